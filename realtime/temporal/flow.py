"""Optical flow between two pictures, on the CPU: estimated, followed, and where it can be trusted.

A flow is (H, W, 2) float32, in pixels: what its picture shows at (x, y), the other one shows at
(x + u, y + v). `models.flow` does the same with tensors, and exactly: OpenCV fetches at 1/32 of a
pixel.
"""

from collections.abc import Callable
from functools import lru_cache

import cv2
import numpy as np

LEAST_SIDE = 32  # px: what DIS needs
_CHANGED = 20.0  # levels that places may differ by after warping; from twice that none is alike

# From one picture, (H, W, 3) uint8, to another, and back.
Flows = Callable[[np.ndarray, np.ndarray], tuple[np.ndarray, np.ndarray]]


def dis(*, finest_scale: int = 1, refinements: int = 3) -> cv2.DISOpticalFlow:
    """DIS (Kroeger et al., ECCV 2016): the preset "fast", finer and with less refinement."""
    estimator = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_FAST)
    estimator.setFinestScale(finest_scale)
    estimator.setGradientDescentIterations(12)
    estimator.setVariationalRefinementIterations(refinements)
    return estimator


def flows_by_dis() -> Flows:
    """Flow there and back by `dis`."""
    estimator = dis()

    def flows(before: np.ndarray, after: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        first, second = grey(before), grey(after)
        nothing = np.empty(0)  # no flow to begin with
        return estimator.calc(first, second, nothing), estimator.calc(second, first, nothing)

    return flows


# --- Sizes ------------------------------------------------------------------------------------


def reduced(image: np.ndarray, side: int) -> np.ndarray:
    """A picture with this short side, in px; never enlarged, but for DIS."""
    height, width = image.shape[:2]
    scale = min(1.0, side / min(height, width))
    size = (max(LEAST_SIDE, round(scale * width)), max(LEAST_SIDE, round(scale * height)))
    return image if size == (width, height) else cv2.resize(image, size, None, 0, 0, cv2.INTER_AREA)


def enlarged(flow: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """A flow in pixels of pictures of (height, width)."""
    height, width = size
    if flow.shape[:2] == (height, width):
        return flow
    scale = np.array([width / flow.shape[1], height / flow.shape[0]], np.float32)
    return cv2.resize(flow * scale, (width, height))


# --- Following it -----------------------------------------------------------------------------


def fetch(image: np.ndarray, flow: np.ndarray, how: int = cv2.INTER_LINEAR) -> np.ndarray:
    """What each pixel's flow points at in `image`; its border is repeated."""
    return fetch_at(image, flow + grid(*flow.shape[:2]), how)


def fetch_at(image: np.ndarray, places: np.ndarray, how: int) -> np.ndarray:
    """What `image` has at these columns and rows, (H, W, 2) float32."""
    # None: both coordinates are in the first map. OpenCV takes it, its type hints do not.
    return cv2.remap(image, places, None, how, borderMode=cv2.BORDER_REPLICATE)  # type: ignore[call-overload]


@lru_cache(maxsize=4)
def grid(height: int, width: int) -> np.ndarray:
    """The column and row of each pixel: (H, W, 2) float32, not to be changed."""
    rows, columns = np.mgrid[:height, :width].astype(np.float32)
    return np.dstack([columns, rows])


# --- Trusting it ------------------------------------------------------------------------------


def likeness(
    before: np.ndarray, after: np.ndarray, forward: np.ndarray, backward: np.ndarray
) -> np.ndarray:
    """1 where a place shows what it showed before, 0 where it does not: (H, W) float32."""
    found = alike(before, after, backward, _CHANGED)
    found[untrusted(forward, backward)] = 0
    return found


def alike(before: np.ndarray, after: np.ndarray, flow: np.ndarray, levels: float) -> np.ndarray:
    """1 where `after` looks like what its flow points at in `before`: (H, W) float32.

    levels: that 5x5 pixels may differ by; from twice that it is 0.
    """
    change = most(cv2.blur(cv2.absdiff(fetch(before, flow), after), (5, 5)))
    return np.clip(2 - change * np.float32(1 / levels), 0, 1)


def untrusted(forward: np.ndarray, backward: np.ndarray) -> np.ndarray:
    """`models.flow.occlusion_mask`, on the pixels that `backward` starts from: (H, W) bool."""
    u, v = cv2.split(backward)  # planes: arithmetic on pairs is many times slower
    there_u, there_v = cv2.split(fetch(forward, backward))
    length = u * u + v * v
    apart = (there_u + u) ** 2 + (there_v + v) ** 2
    occluded = apart > 0.01 * (there_u * there_u + there_v * there_v + length) + 0.5
    steep = squared_gradient(u) + squared_gradient(v) > 0.01 * length + 0.002
    return occluded | steep | points_outside(backward)


def points_outside(flow: np.ndarray) -> np.ndarray:
    """Where a flow leaves the picture: (H, W) bool."""
    height, width = flow.shape[:2]
    u, v = cv2.split(flow)
    x, y = u + np.arange(width, dtype=np.float32), v + np.arange(height, dtype=np.float32)[:, None]
    outside: np.ndarray = (x < 0) | (x > width - 1) | (y < 0) | (y > height - 1)
    return outside


def squared_gradient(plane: np.ndarray) -> np.ndarray:
    """Squared length of the gradient, by central differences, one-sided at the border."""
    down, across = np.gradient(plane)
    return down * down + across * across


def most(image: np.ndarray) -> np.ndarray:
    """The largest of the three channels: (H, W)."""
    red, green, blue = cv2.split(image)
    return cv2.max(cv2.max(red, green), blue)


def grey(image: np.ndarray) -> np.ndarray:
    """(H, W, 3) uint8 RGB as (H, W) uint8."""
    return cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
