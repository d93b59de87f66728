"""Optical flow with OpenCV on the CPU: estimation (DIS), warping, and where a flow can be trusted.

A flow is (H, W, 2) float32, in pixels: what its own picture shows at (x, y), the other picture
shows at (x + u, y + v). `models.flow` has `warp` and `occlusion_mask` for tensors too, on any
device and differentiable; these are faster on uint8 pictures, but OpenCV rounds coordinates to
1/32 of a pixel.
"""

from collections.abc import Callable
from functools import lru_cache

import cv2
import numpy as np

MIN_SIDE = 32  # px: the least that DIS takes
_MAX_CHANGE = 20.0  # levels between pictures after warping: 1 up to here, 0 from twice as much

Box = tuple[slice, slice]  # rows, columns

# flows(first, second), both (H, W, 3) uint8: the flow from first to second, and the way back.
BidirectionalFlow = Callable[[np.ndarray, np.ndarray], tuple[np.ndarray, np.ndarray]]


def dis_estimator(*, finest_scale: int = 1, refinements: int = 3) -> cv2.DISOpticalFlow:
    """DIS (Kroeger et al., ECCV 2016): the preset "fast", finer and with less refinement."""
    estimator = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_FAST)
    estimator.setFinestScale(finest_scale)
    estimator.setGradientDescentIterations(12)
    estimator.setVariationalRefinementIterations(refinements)
    return estimator


def bidirectional_dis() -> BidirectionalFlow:
    """Forward and backward flow by `dis_estimator`."""
    estimator = dis_estimator()

    def flows(first: np.ndarray, second: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        gray, next_gray = to_gray(first), to_gray(second)
        initial = np.empty(0)  # no flow to begin with
        return estimator.calc(gray, next_gray, initial), estimator.calc(next_gray, gray, initial)

    return flows


# --- Sizes ------------------------------------------------------------------------------------


def downscale(image: np.ndarray, short_side: int) -> np.ndarray:
    """A picture with this short side, in pixels; enlarged only up to the `MIN_SIDE` of DIS."""
    height, width = image.shape[:2]
    scale = min(1.0, short_side / min(height, width))
    size = (max(MIN_SIDE, round(scale * width)), max(MIN_SIDE, round(scale * height)))
    return image if size == (width, height) else cv2.resize(image, size, None, 0, 0, cv2.INTER_AREA)


def resize_flow(flow: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """A flow resized to (height, width), its vectors scaled to pixels of that size."""
    height, width = size
    if flow.shape[:2] == (height, width):
        return flow
    scale = np.array([width / flow.shape[1], height / flow.shape[0]], np.float32)
    return cv2.resize(flow * scale, (width, height))


# --- Warping ----------------------------------------------------------------------------------


def warp(
    image: np.ndarray,
    flow: np.ndarray,
    interpolation: int = cv2.INTER_LINEAR,
    *,
    border: int = cv2.BORDER_REPLICATE,
) -> np.ndarray:
    """Backward warp: the value of `image` that each pixel's flow points at.

    image: (H, W) or (H, W, C), uint8 or float32. flow: (h, w, 2), px. border: what is taken for
    pixels outside, OpenCV's; by default the border is repeated.
    Returns (h, w) or (h, w, C), the dtype of `image`.
    """
    # It adds the grid, in half the time. None: both coordinates are in the first map. OpenCV takes
    # it, its type hints do not.
    flags = interpolation | cv2.WARP_RELATIVE_MAP
    return cv2.remap(image, flow, None, flags, borderMode=border)  # type: ignore[call-overload]


def remap(image: np.ndarray, coordinates: np.ndarray, interpolation: int) -> np.ndarray:
    """The values of `image` at (column, row): (H, W, 2) float32, px; its border is repeated."""
    return cv2.remap(image, coordinates, None, interpolation, borderMode=cv2.BORDER_REPLICATE)  # type: ignore[call-overload]


@lru_cache(maxsize=4)
def pixel_grid(height: int, width: int) -> np.ndarray:
    """The column and row of each pixel: (H, W, 2) float32. Cached: do not modify."""
    rows, columns = np.mgrid[:height, :width].astype(np.float32)
    return np.dstack([columns, rows])


# --- Confidence -------------------------------------------------------------------------------


def flow_confidence(
    before: np.ndarray, after: np.ndarray, forward: np.ndarray, backward: np.ndarray
) -> np.ndarray:
    """Photometric consistency along `backward`, 0 where `occlusion_mask`: (H, W) float32, 0 to 1.

    before, after: (H, W, 3) uint8. forward: the flow from before to after; backward: the way back.
    """
    confidence = photometric_consistency(before, after, backward, _MAX_CHANGE)
    confidence[occlusion_mask(forward, backward)] = 0
    return confidence


def photometric_consistency(
    before: np.ndarray, after: np.ndarray, flow: np.ndarray, levels: float
) -> np.ndarray:
    """How well `before`, warped by `flow`, matches `after`: (H, W) float32, 0 to 1.

    Compared by the mean difference over 5x5 pixels, in the channel that differs most: 1 up to
    `levels` (of 255), 0 from twice as much.
    """
    change = channel_max(cv2.blur(cv2.absdiff(warp(before, flow), after), (5, 5)))
    return np.clip(2 - change * np.float32(1 / levels), 0, 1)


def occlusion_mask(forward: np.ndarray, backward: np.ndarray) -> np.ndarray:
    """Where `backward` cannot be trusted, by the rule of `models.flow.occlusion_mask`.

    The forward-backward check, motion boundaries, and what lies outside the frame. Returns
    (H, W) bool, on the pixels that `backward` starts from.
    """
    u, v = cv2.split(backward)  # as planes: arithmetic on pairs is many times slower
    forward_u, forward_v = cv2.split(warp(forward, backward))
    length = u * u + v * v
    error = (forward_u + u) ** 2 + (forward_v + v) ** 2
    occluded = error > 0.01 * (forward_u * forward_u + forward_v * forward_v + length) + 0.5
    boundary = squared_gradient(u) + squared_gradient(v) > 0.01 * length + 0.002
    return occluded | boundary | out_of_frame(backward)


def out_of_frame(
    flow: np.ndarray, box: Box | None = None, size: tuple[int, int] | None = None
) -> np.ndarray:
    """Where a flow points outside the frame: (H, W) bool.

    box: the region of a frame of this size, (height, width), that the flow is of; None: all of it.
    """
    height, width = size or flow.shape[:2]
    rows, columns = box or (slice(height), slice(width))
    u, v = cv2.split(flow)
    x = u + np.arange(width, dtype=np.float32)[columns]
    y = v + np.arange(height, dtype=np.float32)[rows, None]
    outside: np.ndarray = (x < 0) | (x > width - 1) | (y < 0) | (y > height - 1)
    return outside


def squared_gradient(plane: np.ndarray) -> np.ndarray:
    """Squared length of the gradient of (H, W), by central differences, one-sided at the border."""
    dy, dx = np.gradient(plane)
    return dy * dy + dx * dx


def channel_max(image: np.ndarray) -> np.ndarray:
    """The maximum over the three channels: (H, W, 3) to (H, W)."""
    red, green, blue = cv2.split(image)
    return cv2.max(cv2.max(red, green), blue)


def to_gray(image: np.ndarray) -> np.ndarray:
    """(H, W, 3) uint8 RGB to (H, W) uint8 luma."""
    return cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
