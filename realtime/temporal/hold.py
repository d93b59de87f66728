"""Input hold: pixels of the input are kept where only the camera's noise changed them."""

from __future__ import annotations

from statistics import NormalDist

import cv2
import numpy as np

# Limits in units of the noise (standard deviation of one frame). Pure noise makes the mean absolute
# difference of two frames 1.13 of it; over 6x6 pixels of white noise it strays by 0.14, so that
# 2.5 is never reached by chance, and is reached by a drift of 2.4. The noise of compressed video
# is uneven: the margin is for that.
_WINDOW_LIMIT = 2.5  # mean over 6x6 pixels
_SPOT_LIMIT = 5.0  # mean over 2x2 pixels
_MIN_NOISE = 0.3  # levels: what rounding alone does; a change of one level is seen in any case
_NOISE_WEIGHT = 0.15  # of each new estimate: half of a new noise level after four frames
_SAMPLES = 64  # a side, that the noise is estimated from


def noise_level(before: np.ndarray, after: np.ndarray) -> float:
    """Standard deviation of the noise in two frames of one scene, in levels (0 to 255).

    before, after: (H, W, 3) uint8. 0 for pictures below 16 pixels a side.

    The median difference between the frames where the picture is flat, as motion hardly changes
    flat regions. The median is read from the distribution of whole numbers, since noise below one
    level is mostly zero differences. A fast pan still moves it, so it is limited by the noise
    within one frame, the estimate of Immerkaer (1996), plus half a level. That estimate alone
    would miss most of what a video codec leaves, which is smooth.
    """
    height, width = after.shape[:2]
    if min(height, width) < 16:
        return 0.0
    down, right = max(1, height // _SAMPLES), max(1, width // _SAMPLES)

    def at(y: int, x: int, image: np.ndarray = after) -> np.ndarray:
        rows = slice(2 + y, height - 2 + y, down)
        return image[rows, 2 + x : width - 2 + x : right].astype(np.int16)

    # The slope leaves the pixel itself out: selecting by its value would select by its noise.
    slope = (np.abs(at(0, 2) - at(0, -2)) + np.abs(at(2, 0) - at(-2, 0))).max(axis=2)
    flat = slope <= np.quantile(slope, 0.3)
    temporal = _sigma_of_rounded(np.abs(at(0, 0) - at(0, 0, before))[flat]) / np.sqrt(2)
    crossed = at(0, 1) + at(0, -1) + at(1, 0) + at(-1, 0)
    corners = at(1, 1) + at(1, -1) + at(-1, 1) + at(-1, -1)
    mask = np.abs(4 * at(0, 0) - 2 * crossed + corners)[flat]
    spatial = float(np.sqrt(np.pi / 2) / 6 * mask.mean())
    return float(min(temporal, spatial + 0.5))


def _sigma_of_rounded(magnitudes: np.ndarray) -> float:
    """Standard deviation of a normal distribution, from absolute values rounded to integers."""
    shares = np.cumsum(np.bincount(magnitudes.ravel())) / magnitudes.size
    nearest = int(np.argmin(np.abs(shares - 0.5)))
    share = float(shares[nearest])
    if share >= 1:
        return 0.0
    return float((nearest + 0.5) / NormalDist().inv_cdf((1 + share) / 2))


class PixelHold:
    """Keeps the pixels of the input that changed by no more than the camera's noise.

    hold(image) takes (H, W, 3) uint8 and returns the same shape, to be stylized in its place.
    Each pixel is compared with the one that is held, not with the frame before, so a slow drift
    is followed as soon as it exceeds the noise; and together with its neighborhood, so that edges
    are not torn. Changed pixels are exactly those of the new frame. It is for a camera that stands
    still: when the camera moves, every pixel is replaced, and nothing is gained.

    `noise` is the current estimate, in levels. A frame of another size resets the held picture.
    """

    def __init__(self) -> None:
        self.noise = 0.0  # levels
        self.reset()

    def reset(self) -> None:
        """Forget the held picture; the noise is kept, as it is the camera's."""
        self._held: np.ndarray | None = None
        self._before: np.ndarray | None = None

    def __call__(self, image: np.ndarray) -> np.ndarray:
        before, held = self._before, self._held
        self._before = image
        if before is None or held is None or held.shape != image.shape:
            self._held = image
            return image
        level = noise_level(before, image)
        self.noise = level if self.noise == 0 else self.noise + _NOISE_WEIGHT * (level - self.noise)
        changed = _changed(held, image, max(self.noise, _MIN_NOISE))
        self._held = cv2.copyTo(image, changed, held.copy())  # earlier ones are still in use
        return self._held


def _changed(held: np.ndarray, image: np.ndarray, noise: float) -> np.ndarray:
    """Where two pictures differ by more than this noise: (H, W) uint8, 0 or 255.

    At half the size, which is also the first averaging: 1280x720 then takes 1.5 ms.
    """
    height, width = image.shape[:2]
    size = ((width + 1) // 2, (height + 1) // 2)
    spots = cv2.resize(cv2.absdiff(held, image), size, interpolation=cv2.INTER_AREA)
    sums = cv2.boxFilter(spots, cv2.CV_16U, (3, 3), normalize=False)
    zero = (0, 0, 0)
    same = cv2.bitwise_and(
        cv2.inRange(sums, zero, (9 * _WINDOW_LIMIT * noise,) * 3),
        cv2.inRange(spots, zero, (_SPOT_LIMIT * noise,) * 3),
    )
    changed = cv2.dilate(cv2.bitwise_not(same), np.ones((3, 3), np.uint8))
    return cv2.resize(changed, (width, height), interpolation=cv2.INTER_NEAREST)
