"""Restores the detail that blending has softened, region by region, to that of the new frame."""

from __future__ import annotations

import cv2
import numpy as np

from impasto.realtime.temporal.flow import to_gray

_STILL_DETAIL = 9  # px: finer detail is restored where nothing moves

# Where the camera moves, gradients are restored. Their energy over that without blending, least and
# most of 4x6 regions, across and down, over whole clips (network "fine" with The Great Wave, "fast"
# with The Starry Night), by the mode that the clip wants:
#                           one pass each, one again        and what they miss remembered, as here
#     car                   0.97-1.07, 0.95-1.03            1.00-1.06, 0.99-1.04
#     webcam                0.91-1.05, 0.94-1.04            0.97-1.04, 0.99-1.03
#     talking head          0.96-1.04, 0.96-1.03            0.98-1.03, 0.99-1.01
#     room, person walking  0.91-1.06, 0.90-1.05            0.97-1.05, 0.96-1.04
#     runner                0.97-1.03, 0.93-1.03            0.98-1.05, 1.00-1.03
#     hands                 0.94-1.10, 0.94-1.05            1.00-1.07, 1.00-1.05
#     dancer                0.97-1.03, 0.96-1.04            0.99-1.03, 1.00-1.04
# With half the _CORRECTION the hands' most is 1.08; a third pass gains little. Before, on the
# runner, in place: one gain for the whole picture 0.68-1.10; a gain for each region, detail 3 px
# 0.78-1.07, 5 px 0.89-1.12, 7 px 0.95-1.04.
_DETAIL = 5  # px: detail is what a box filter of this length takes away
# Share of the detail finer than 3 px that is the new frame's. Without it, what is amplified from
# frame to frame becomes hatching that is in no frame: right as energy, but not to the eye. Its
# correlation with the new frame's, for the Great Wave on a pan: 0.87, without it 0.70.
_FRESH = 0.3
_OVERDRIVE = 1.2  # of the gain: the gradients of what the filter leaves do not grow
_CORRECTION = 0.2  # exponent of a frame's error that the next frame's target is corrected by
_MAX_CORRECTION = 1.2
_MIN_GAIN, _MAX_GAIN = 0.8, 2.0
_GAIN_REGION = 16  # px
_ROUNDING = 0.1  # levels squared, added to each energy, which is never 0 then


def restore_still_detail(sharp: np.ndarray, blended: np.ndarray, where: np.ndarray) -> np.ndarray:
    """`blended`, its detail amplified region by region to the mean strength it has in `sharp`.

    sharp, blended: (H, W, 3) uint8. where: (H, W) float32, 0 to 1, the share of the gain that each
    pixel gets. For what stands still: it restores less of what only flickers than
    `GradientRestorer` does.
    """
    sharp_base, base = (cv2.blur(x, (_STILL_DETAIL, _STILL_DETAIL)) for x in (sharp, blended))
    gain = np.clip(_mean_detail(sharp, sharp_base) / _mean_detail(blended, base), 1, _MAX_GAIN)
    return _amplified(blended, base, gain, where)


class GradientRestorer:
    """Brings the detail of blended frames region by region to the gradient energy of sharp ones.

    restore(sharp, blended), both (H, W, 3) uint8, returns the latter restored. where: (H, W)
    float32, 0 to 1, the share of the gain that each pixel gets; None: all of it.

    Some of the finest detail is that of `sharp`. The rest is amplified, across and down apart:
    averaging along a pan softens across. What that misses, as each changes the other and the
    regions meet, is made up for in the next frames: an integral controller in each region.
    """

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        """Forget what the frames before have missed."""
        self._corrections: tuple[np.ndarray, ...] = ()  # of the targets: down, across

    def __call__(
        self, sharp: np.ndarray, blended: np.ndarray, *, where: np.ndarray | None = None
    ) -> np.ndarray:
        targets = _gradient_energies(sharp)
        if not self._corrections or self._corrections[0].shape != targets[0].shape:
            self._corrections = tuple(map(np.ones_like, targets))
        lost = cv2.subtract(sharp, blended, dtype=cv2.CV_16S)
        finest = cv2.addWeighted(lost, _FRESH, cv2.blur(lost, (3, 3)), -_FRESH, 0)
        restored = cv2.add(blended, finest, dtype=cv2.CV_8U)
        for axis in (1, 0):
            target = targets[axis] * self._corrections[axis]
            energy = _gradient_energy(to_gray(restored), axis)
            gain = 1 + _OVERDRIVE * (np.sqrt(target / energy) - 1)
            base = cv2.blur(restored, (_DETAIL, 1) if axis else (1, _DETAIL))
            restored = _amplified(restored, base, np.clip(gain, _MIN_GAIN, _MAX_GAIN), where)
        self._corrections = tuple(
            np.clip(
                correction * cv2.pow(target / energy, _CORRECTION),
                1 / _MAX_CORRECTION,
                _MAX_CORRECTION,
            )
            for correction, target, energy in zip(
                self._corrections, targets, _gradient_energies(restored), strict=True
            )
        )
        return restored


def _amplified(
    image: np.ndarray, base: np.ndarray, gain: np.ndarray, where: np.ndarray | None
) -> np.ndarray:
    """base + gain (image - base); the gain, of any size, counts as much as `where` says."""
    gain = cv2.resize(gain, image.shape[1::-1])
    if where is not None:
        gain = 1 + (gain - 1) * where
    return cv2.blendLinear(image, base, gain, 1 - gain)


def _mean_detail(image: np.ndarray, base: np.ndarray) -> np.ndarray:
    """Mean of |image - base| over regions of some 32 pixels, one every 16: float32, at least 1."""
    detail = cv2.resize(cv2.absdiff(image, base), _regions(image), None, 0, 0, cv2.INTER_AREA)
    return _smoothed(detail.sum(axis=2, dtype=np.float32) + 1)  # never 0


def _gradient_energies(image: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """`_gradient_energy` of the luma, down and across. image: (H, W, 3) uint8."""
    gray = to_gray(image)
    return _gradient_energy(gray, 0), _gradient_energy(gray, 1)


def _gradient_energy(gray: np.ndarray, axis: int) -> np.ndarray:
    """Mean squared difference of neighbors along an axis, over regions of some 32 pixels.

    gray: (H, W) uint8. Returns one value every 16 pixels: float32, above 0.
    """
    size = _regions(gray)
    if gray.shape[axis] < 2:
        return np.ones(size[::-1], np.float32)
    after, before = (gray[:, 1:], gray[:, :-1]) if axis else (gray[1:], gray[:-1])
    difference = cv2.absdiff(after, before)
    energy = cv2.multiply(difference, difference, dtype=cv2.CV_32F)
    return _smoothed(cv2.resize(energy, size, None, 0, 0, cv2.INTER_AREA) + _ROUNDING)


def _regions(image: np.ndarray) -> tuple[int, int]:
    """How many regions an image has, across and down."""
    height, width = image.shape[:2]
    return max(1, width // _GAIN_REGION), max(1, height // _GAIN_REGION)


def _smoothed(regions: np.ndarray) -> np.ndarray:
    """A value above zero for each region smoothed with its neighbors', by weights 1, 2, 1.

    With equal weights, gains that go up and down by turns from region to region would look right,
    or the wrong way around, and their pattern would grow from frame to frame. Fourth roots are
    smoothed, or a busy region would decide on the gain of a flat one beside it.
    """
    roots = cv2.GaussianBlur(cv2.pow(regions, 0.25), (3, 3), 0)
    return cv2.pow(roots, 4.0)
