"""Against flicker: outputs blended with the ones before, along the motion."""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np

from impasto.realtime.temporal.flow import (
    LEAST_SIDE,
    Flows,
    dis,
    enlarged,
    fetch,
    fetch_at,
    flows_by_dis,
    grey,
    grid,
    likeness,
    most,
    reduced,
    squared_gradient,
)

# StillBlend. E_warp and style loss relative to no blending, in VGG-19 and by a finer flow than ours
# (Great Wave, 288 px), on a webcam / a room that a person walks through / a talking head:
#     in place only, share 0.8:              0.86 / 0.94 / 0.80, style 1.04 / 1.01 / 1.04
#     flow at 288 px, finest scale 1:        0.54 / 0.51 / 0.48, style 1.07 / 1.07 / 0.97
#     flow at 180 px, finest scale 0:        0.47 / 0.47 / 0.46, style 1.08 / 1.07 / 0.97
#     and contrast of 9 px brought back, not 2: style 1.04 / 1.05 / 1.00
#     as it is here:                         0.48 / 0.50 / 0.47, style 1.03 / 1.05 / 1.00
# Where the flow folds (`_TORN`), threads of paint are left behind things that move fast; a limit of
# 0.1 there costs 0.04 of E_warp more. A limit of 6 to 12 levels from what was painted costs 0.07.
STILL_SHARE = 0.88  # of the frame before
_SMALL_SIDE = 190  # px: the short side at which pictures are compared and motion is seen
_MOST_PIXELS = 50_000  # of them, that motion is estimated on: bounds the time it takes
_STIRS = 2  # levels, over 9x9 pixels: from here on a place may move
_MARGIN = 12  # px, around what stirs
_ALIKE, _UNLIKE = 12.0, 24.0  # levels, over 9x9 pixels: kept in full, and not at all
_TORN = 0.3  # squared gradient of the flow: what folds or opens is not carried
_BROAD = 9  # px: what is finer is brought back where blending loses it

# FlowBlend. E_warp and style loss relative to no blending, in VGG-19 and by a finer flow than ours,
# for the Great Wave on a runner / a spinning dancer at 512x288, and how long a frame takes there:
#     share 0.7, flow at 288 px: 0.46 / 0.40, style 1.03 / 1.06
#     share 0.8, flow at 288 px: 0.42 / 0.36, style 1.03 / 1.05
#     share 0.8, flow at 216 px: 0.46 / 0.39, style 1.02 / 1.05, half the time at 1280x720
#     the same by the preset "fast", at 288 px: 0.54 / 0.45, style 1.04 / 1.04
# Without the contrast restored, style 1.15 / 1.25; above it was restored by one gain for all of the
# picture. With the Great Wave as trained since, share 0.8 at 216 px is
#     by one gain:      0.48 / 0.42, style 1.08 / 1.04
#     region by region: 0.49 / 0.43, style 1.05 / 1.01
#     and share 0.85:   0.49 / 0.42, style 1.04 / 1.00
SHARE = 0.85
_FINE_SIGMA = 1.0  # px: what is finer is what averaging strokes loses
_MOST_GAIN = 2.0
_REGION = 16  # px
_FLOW_SIDE = 216  # px: the short side at which flow is estimated


class StillBlend:
    """Blends each stylised frame with the one before, where the input shows the same.

    blend(image, stylized), both (H, W, 3) uint8, gives (H, W, 3) uint8. For a camera that stands
    still: motion is followed in the box around what stirs, and everything else stays in its place.
    The flow is estimated one way only and on few pixels, so it is trusted where the pictures agree:
    with the frame before, and, more coarsely, with the picture that was painted from. That one is
    kept beside the painting, carried and blended by the same weights, so what changes too slowly to
    be seen from frame to frame is renewed as well. What has changed is the new frame's at once.

    A frame of another size begins anew.
    """

    def __init__(self) -> None:
        self._estimator = dis(finest_scale=0, refinements=2)
        self.reset()

    def reset(self) -> None:
        """Forget the frames before: the next comes out as it went in."""
        self._image: np.ndarray | None = None  # reduced
        self._seen: np.ndarray | None = None  # the same size, float32
        self._result: np.ndarray | None = None

    def __call__(self, image: np.ndarray, stylized: np.ndarray) -> np.ndarray:
        before, seen, result = self._image, self._seen, self._result
        after = self._image = reduced(image, _SMALL_SIDE)
        now = self._seen = after.astype(np.float32)
        self._result = stylized
        if before is None or seen is None or before.shape != after.shape:
            return stylized
        if result is None or result.shape != stylized.shape:
            return stylized
        torn = np.zeros(after.shape[:2], bool)
        box = _stirring(before, after)
        if box is not None:
            flow = self._flow(before[box], after[box])
            torn[box] = squared_gradient(flow[..., 0]) + squared_gradient(flow[..., 1]) > _TORN
            before, seen = (_carried(x, box, flow, cv2.INTER_LINEAR) for x in (before, seen))
            box, flow = _at_size(box, flow, after.shape, result.shape)
            result = _carried(result, box, flow, cv2.INTER_CUBIC)
        change = most(cv2.blur(cv2.absdiff(before, after), (9, 9))).astype(np.float32)
        drift = most(cv2.absdiff(cv2.blur(seen, (9, 9)), cv2.blur(now, (9, 9))))
        unlike = (cv2.max(change, drift) - _ALIKE) * np.float32(1 / (_UNLIKE - _ALIKE))
        kept = 1 - np.clip(unlike, 0, 1)
        kept[torn] = 0
        weight = STILL_SHARE * kept
        self._seen = cv2.blendLinear(seen, now, weight, 1 - weight)
        kept = cv2.resize(kept, stylized.shape[1::-1])
        weight = STILL_SHARE * kept
        blended = cv2.blendLinear(result, stylized, weight, 1 - weight)
        self._result = _with_contrast_of(stylized, blended, without=_broad, where=kept)
        return self._result

    def _flow(self, before: np.ndarray, after: np.ndarray) -> np.ndarray:
        """From the pixels of `after`, both (h, w, 3) uint8, to `before`: (h, w, 2) float32."""
        height, width = after.shape[:2]
        scale = min(1.0, (_MOST_PIXELS / (height * width)) ** 0.5)
        size = (max(LEAST_SIDE, round(scale * width)), max(LEAST_SIDE, round(scale * height)))
        first, second = grey(before), grey(after)
        if size != (width, height):
            first, second = (
                cv2.resize(x, size, None, 0, 0, cv2.INTER_AREA) for x in (first, second)
            )
        return enlarged(self._estimator.calc(second, first, np.empty(0)), (height, width))


Box = tuple[slice, slice]  # rows, columns


def _stirring(before: np.ndarray, after: np.ndarray) -> Box | None:
    """Around all that changes and is more than a speck, with a margin; None where nothing does."""
    change = most(cv2.blur(cv2.absdiff(before, after), (9, 9)))
    stirs = cv2.threshold(change, _STIRS - 1, 1, cv2.THRESH_BINARY)[1]
    stirs = cv2.morphologyEx(stirs, cv2.MORPH_OPEN, np.ones((5, 5), np.uint8))
    stirs = cv2.dilate(stirs, np.ones((2 * _MARGIN + 1,) * 2, np.uint8))
    left, top, width, height = cv2.boundingRect(stirs)
    return (slice(top, top + height), slice(left, left + width)) if width else None


def _carried(image: np.ndarray, box: Box, flow: np.ndarray, how: int) -> np.ndarray:
    """A copy of the image, inside the box fetched along the flow, (h, w, 2) float32."""
    carried = image.copy()
    carried[box] = fetch_at(image, flow + grid(*image.shape[:2])[box], how)
    return carried


def _at_size(
    box: Box, flow: np.ndarray, small: tuple[int, ...], large: tuple[int, ...]
) -> tuple[Box, np.ndarray]:
    """Box and flow of a picture of one shape, for the same picture in another."""
    rows, columns = (
        slice(int(side.start * to / of), -int(-side.stop * to // of))
        for side, of, to in zip(box, small, large, strict=False)
    )
    flow = flow * np.array([large[1] / small[1], large[0] / small[0]], np.float32)
    return (rows, columns), cv2.resize(flow, (columns.stop - columns.start, rows.stop - rows.start))


class FlowBlend:
    """Blends each stylised frame with the one before, carried along by the motion of the inputs.

    blend(image, stylized), both (H, W, 3) uint8, gives (H, W, 3) uint8: `share` of the previous
    result, warped, wherever optical flow can be trusted and the input still shows what it showed
    (`motion.likeness`); the new frame elsewhere. Averaging strokes that do not agree, and warping
    again and again, would take the finest contrast away; it is brought back to what the new frame
    has, which is also what keeps the softening from growing from frame to frame.

    flows: gives the flow from one picture, (H, W, 3) uint8, to another, and back; None: DIS.
    A frame of another size begins anew.
    """

    def __init__(self, share: float = SHARE, flows: Flows | None = None) -> None:
        if not 0 <= share < 1:
            raise ValueError(f"share is {share}; it goes from 0 (no blending) to below 1")
        self.share = share
        self._flows = flows or flows_by_dis()
        self.reset()

    def reset(self) -> None:
        """Forget the frames before: the next comes out as it went in."""
        self._image: np.ndarray | None = None  # reduced
        self._result: np.ndarray | None = None

    def __call__(self, image: np.ndarray, stylized: np.ndarray) -> np.ndarray:
        before, result = self._image, self._result
        after = self._image = reduced(image, _FLOW_SIDE)
        self._result = stylized
        if before is None or before.shape != after.shape:
            return stylized
        if result is None or result.shape != stylized.shape:
            return stylized
        forward, backward = self._flows(before, after)
        weight: np.ndarray = self.share * likeness(before, after, forward, backward)
        height, width = stylized.shape[:2]
        if weight.shape != (height, width):
            weight = cv2.resize(weight, (width, height))
        # Bicubic: bilinear costs 8 % more of the style loss, as it softens.
        carried = fetch(result, enlarged(backward, (height, width)), cv2.INTER_CUBIC)
        blended = cv2.blendLinear(carried, stylized, weight, 1 - weight)
        self._result = _with_contrast_of(stylized, blended, without=_smooth)
        return self._result


def _with_contrast_of(
    sharp: np.ndarray,
    blended: np.ndarray,
    *,
    without: Callable[[np.ndarray], np.ndarray],
    where: np.ndarray | None = None,
) -> np.ndarray:
    """`blended`, its detail amplified to what `sharp` has of it in the same region.

    without: a picture without what is called detail. where: (H, W) float32, the share of the
    change that each place gets; None: all of it.
    """
    smooth, soft = without(sharp), without(blended)
    gain = np.clip(_mean_size(sharp, smooth) / _mean_size(blended, soft), 1, _MOST_GAIN)
    height, width = sharp.shape[:2]
    gain = cv2.resize(gain, (width, height))
    if where is not None:
        gain = 1 + (gain - 1) * where
    return cv2.blendLinear(blended, soft, gain, 1 - gain)  # soft + gain (blended - soft)


def _smooth(image: np.ndarray) -> np.ndarray:
    return cv2.GaussianBlur(image, (0, 0), _FINE_SIGMA)


def _broad(image: np.ndarray) -> np.ndarray:
    return cv2.blur(image, (_BROAD, _BROAD))  # a sixth of the time of a Gaussian as wide


def _mean_size(image: np.ndarray, smooth: np.ndarray) -> np.ndarray:
    """How much they differ on average, over regions of some 50 pixels, one every 16: float32."""
    height, width = image.shape[:2]
    size = (max(1, width // _REGION), max(1, height // _REGION))
    detail = cv2.resize(cv2.absdiff(image, smooth), size, None, 0, 0, cv2.INTER_AREA)
    return cv2.blur(detail.sum(axis=2, dtype=np.float32), (3, 3)) + 1  # so that none is 0
