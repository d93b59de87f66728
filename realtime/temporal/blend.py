"""Output blending: stylized frames blended with previous ones, along the motion of the input."""

from __future__ import annotations

import cv2
import numpy as np

from impasto.realtime.temporal.detail import GradientRestorer, restore_still_detail
from impasto.realtime.temporal.flow import (
    MIN_SIDE,
    BidirectionalFlow,
    Box,
    bidirectional_dis,
    channel_max,
    dis_estimator,
    downscale,
    flow_confidence,
    out_of_frame,
    pixel_grid,
    remap,
    resize_flow,
    squared_gradient,
    to_gray,
    warp,
)

# StillBlend. E_warp and style loss relative to no blending, in VGG-19 and by a finer flow
# (Great Wave, 288 px), on a webcam / a room that a person walks through / a talking head:
#     in place only, share 0.8:              0.86 / 0.94 / 0.80, style 1.04 / 1.01 / 1.04
#     flow at 288 px, finest scale 1:        0.54 / 0.51 / 0.48, style 1.07 / 1.07 / 0.97
#     flow at 180 px, finest scale 0:        0.47 / 0.47 / 0.46, style 1.08 / 1.07 / 0.97
#     and contrast of 9 px restored, not 2:  style 1.04 / 1.05 / 1.00
#     as it is here:                         0.48 / 0.50 / 0.47, style 1.03 / 1.05 / 1.00
# Where the flow folds (`_MAX_FLOW_GRADIENT`), threads of paint are left behind fast objects; with a
# limit of 0.1 E_warp is 0.04 higher. Limits of 6 to 12 levels from the reference cost 0.07.
STILL_SHARE = 0.88  # of the previous frame
_STILL_SIDE = 190  # px: the short side at which inputs are compared and flow is estimated
_MAX_FLOW_PIXELS = 50_000  # that flow is estimated on, which bounds the time it takes
_MOTION_LEVELS = 2  # change over 9x9 pixels from which motion is assumed
_MOTION_MARGIN = 12  # px, around what changes
_KEEP_BELOW, _DROP_ABOVE = 12.0, 24.0  # levels of change over 9x9 pixels: full share, and none
_MAX_FLOW_GRADIENT = 0.3  # squared: where the flow folds or tears, nothing is blended

# FlowBlend. E_warp and style loss relative to no blending, in VGG-19 and by a finer flow,
# for the Great Wave on a runner / a spinning dancer at 512x288, and how long a frame takes there:
#     share 0.7, flow at 288 px: 0.46 / 0.40, style 1.03 / 1.06
#     share 0.8, flow at 288 px: 0.42 / 0.36, style 1.03 / 1.05
#     share 0.8, flow at 216 px: 0.46 / 0.39, style 1.02 / 1.05, half the time at 1280x720
#     the same by the preset "fast", at 288 px: 0.54 / 0.45, style 1.04 / 1.04
# Without the contrast restored, style 1.15 / 1.25; above it was restored by one gain for the whole
# picture. With the Great Wave as trained since, share 0.8 at 216 px is
#     by one gain:      0.48 / 0.42, style 1.08 / 1.04
#     region by region: 0.49 / 0.43, style 1.05 / 1.01
#     and share 0.85:   0.49 / 0.42, style 1.04 / 1.00
FLOW_SHARE = 0.85  # of the previous frame
_FLOW_SIDE = 216  # px: the short side at which flow is estimated


class StillBlend:
    """Blends each stylized frame with the previous one, for a camera that stands still.

    blend(image, stylized), both (H, W, 3) uint8, returns (H, W, 3) uint8. Flow is estimated only
    in the box around what changes, one way and on few pixels, so a forward-backward check is not
    possible. Instead, the blend keeps a pixel where the input matches the previous input after
    warping, and also matches the input of the blended result so far: that reference is warped and
    blended with the same weights as the result, so that a change too slow to be seen from frame
    to frame is followed as well. Where the input has changed, the new frame is shown at once.

    A frame of another size resets the blend.
    """

    def __init__(self) -> None:
        self._estimator = dis_estimator(finest_scale=0, refinements=2)
        self._restore_gradients = GradientRestorer()
        self.reset()

    def reset(self) -> None:
        """Forget the previous frames: the next one is returned as it is."""
        self._image: np.ndarray | None = None  # the previous input, downscaled
        self._reference: np.ndarray | None = None  # the input of the result, float32, same size
        self._result: np.ndarray | None = None
        self._restore_gradients.reset()

    def resume(self, image: np.ndarray, result: np.ndarray) -> None:
        """Go on from a frame that another blend showed; both (H, W, 3) uint8."""
        self._image = downscale(image, _STILL_SIDE)
        self._reference = self._image.astype(np.float32)
        self._result = result

    def __call__(self, image: np.ndarray, stylized: np.ndarray) -> np.ndarray:
        before, reference, result = self._image, self._reference, self._result
        after = self._image = downscale(image, _STILL_SIDE)
        current = self._reference = after.astype(np.float32)
        self._result = stylized
        if before is None or reference is None or before.shape != after.shape:
            return stylized
        if result is None or result.shape != stylized.shape:
            return stylized
        torn = np.zeros(after.shape[:2], bool)
        box = _moving_box(before, after)
        if box is not None:
            flow = self._flow(before[box], after[box])
            gradient = squared_gradient(flow[..., 0]) + squared_gradient(flow[..., 1])
            # From outside the frame, the border would be fetched again and again: drawn-out rows.
            outside = out_of_frame(flow, box, after.shape[:2])
            torn[box] = (gradient > _MAX_FLOW_GRADIENT) | outside
            before, reference = (
                _warp_box(x, box, flow, cv2.INTER_LINEAR) for x in (before, reference)
            )
            large, flow = _resize_box(box, flow, after.shape, result.shape)
            result = _warp_box(result, large, flow, cv2.INTER_CUBIC)
        kept = _unchanged(before, reference, after, current)
        kept[torn] = 0
        weight = STILL_SHARE * kept
        self._reference = cv2.blendLinear(reference, current, weight, 1 - weight)
        where = cv2.resize(kept, stylized.shape[1::-1])
        share = STILL_SHARE * where
        blended = cv2.blendLinear(result, stylized, share, 1 - share)
        if box is None or _is_small(box, after):
            self._result = restore_still_detail(stylized, blended, where)
        else:
            self._result = self._restore_gradients(stylized, blended, where=where)
        return self._result

    def _flow(self, before: np.ndarray, after: np.ndarray) -> np.ndarray:
        """The flow from `after` to `before`, both (h, w, 3) uint8: (h, w, 2) float32."""
        height, width = after.shape[:2]
        scale = min(1.0, (_MAX_FLOW_PIXELS / (height * width)) ** 0.5)
        size = (max(MIN_SIDE, round(scale * width)), max(MIN_SIDE, round(scale * height)))
        first, second = to_gray(before), to_gray(after)
        if size != (width, height):
            first, second = (
                cv2.resize(x, size, None, 0, 0, cv2.INTER_AREA) for x in (first, second)
            )
        return resize_flow(self._estimator.calc(second, first, np.empty(0)), (height, width))


def _moving_box(before: np.ndarray, after: np.ndarray) -> Box | None:
    """The bounding box of what changes beyond single specks, with a margin; None if nothing does.

    before, after: (h, w, 3) uint8.
    """
    change = channel_max(cv2.blur(cv2.absdiff(before, after), (9, 9)))
    moving = cv2.threshold(change, _MOTION_LEVELS - 1, 1, cv2.THRESH_BINARY)[1]
    moving = cv2.morphologyEx(moving, cv2.MORPH_OPEN, np.ones((5, 5), np.uint8))
    moving = cv2.dilate(moving, np.ones((2 * _MOTION_MARGIN + 1,) * 2, np.uint8))
    left, top, width, height = cv2.boundingRect(moving)
    return (slice(top, top + height), slice(left, left + width)) if width else None


def _unchanged(
    before: np.ndarray, reference: np.ndarray, after: np.ndarray, current: np.ndarray
) -> np.ndarray:
    """1 where `after` matches both the previous input and the reference, down to 0: (h, w) float32.

    before, after: (h, w, 3) uint8. reference, current: the same, float32; current equals after.
    """
    change = channel_max(cv2.blur(cv2.absdiff(before, after), (9, 9))).astype(np.float32)
    drift = channel_max(cv2.absdiff(cv2.blur(reference, (9, 9)), cv2.blur(current, (9, 9))))
    excess = (cv2.max(change, drift) - _KEEP_BELOW) * np.float32(1 / (_DROP_ABOVE - _KEEP_BELOW))
    return 1 - np.clip(excess, 0, 1)


def _warp_box(image: np.ndarray, box: Box, flow: np.ndarray, interpolation: int) -> np.ndarray:
    """A copy of `image`, warped inside the box by the box's flow, (h, w, 2) float32."""
    warped = image.copy()
    warped[box] = remap(image, flow + pixel_grid(*image.shape[:2])[box], interpolation)
    return warped


def _resize_box(
    box: Box, flow: np.ndarray, small: tuple[int, ...], large: tuple[int, ...]
) -> tuple[Box, np.ndarray]:
    """A box and its flow in a picture of shape `small`, for the same picture of shape `large`."""
    rows, columns = (
        slice(int(side.start * to / of), -int(-side.stop * to // of))
        for side, of, to in zip(box, small, large, strict=False)
    )
    flow = flow * np.array([large[1] / small[1], large[0] / small[0]], np.float32)
    return (rows, columns), cv2.resize(flow, (columns.stop - columns.start, rows.stop - rows.start))


class FlowBlend:
    """Blends each stylized frame with the previous one, warped by the optical flow of the inputs.

    blend(image, stylized), both (H, W, 3) uint8, returns (H, W, 3) uint8: `share` of the previous
    result, warped, where the flow passes the forward-backward check and the input is
    photometrically consistent (`flow.flow_confidence`); the new frame elsewhere. Averaging strokes
    that differ, and warping repeatedly, would remove the finest contrast; it is restored to that
    of the new frame, which also keeps the softening from growing from frame to frame.

    flows: estimates the forward and backward flow of two pictures; None: DIS.
    A frame of another size resets the blend. Raises ValueError for a share outside [0, 1).
    """

    def __init__(self, share: float = FLOW_SHARE, flows: BidirectionalFlow | None = None) -> None:
        if not 0 <= share < 1:
            raise ValueError(f"share is {share}; it goes from 0 (no blending) to below 1")
        self.share = share
        self._flows = flows or bidirectional_dis()
        self._restore_gradients = GradientRestorer()
        self.reset()

    def reset(self) -> None:
        """Forget the previous frames: the next one is returned as it is."""
        self._image: np.ndarray | None = None  # the previous input, downscaled
        self._result: np.ndarray | None = None
        self._restore_gradients.reset()

    def resume(self, image: np.ndarray, result: np.ndarray) -> None:
        """Go on from a frame that another blend showed; both (H, W, 3) uint8."""
        self._image, self._result = downscale(image, _FLOW_SIDE), result

    def __call__(self, image: np.ndarray, stylized: np.ndarray) -> np.ndarray:
        before, result = self._image, self._result
        after = self._image = downscale(image, _FLOW_SIDE)
        self._result = stylized
        if before is None or before.shape != after.shape:
            return stylized
        if result is None or result.shape != stylized.shape:
            return stylized
        forward, backward = self._flows(before, after)
        weight: np.ndarray = self.share * flow_confidence(before, after, forward, backward)
        height, width = stylized.shape[:2]
        if weight.shape != (height, width):
            weight = cv2.resize(weight, (width, height))
        # Bicubic: bilinear costs 8 % more of the style loss, as it softens.
        warped = warp(result, resize_flow(backward, (height, width)), cv2.INTER_CUBIC)
        blended = cv2.blendLinear(warped, stylized, weight, 1 - weight)
        self._result = self._restore_gradients(stylized, blended)
        return self._result


def _is_small(box: Box, picture: np.ndarray) -> bool:
    """Whether a box covers less than half of a picture."""
    rows, columns = box
    area = (rows.stop - rows.start) * (columns.stop - columns.start)
    return bool(2 * area < picture.shape[0] * picture.shape[1])
