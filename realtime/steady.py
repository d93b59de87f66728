"""Against flicker: inputs held where only noise changed, outputs blended along the motion."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from statistics import NormalDist

import cv2
import numpy as np

# Hold, in units of the noise (standard deviation of one frame). Pure noise makes the mean absolute
# difference of two frames 1.13 of it; over 6x6 pixels of white noise it strays by 0.14, so that
# 2.5 is never reached by chance, and is reached by a drift of 2.4. A compressed picture's noise
# is uneven: the margin is for that.
_WINDOW_LIMIT = 2.5
_SPOT_LIMIT = 5.0  # over 2x2 pixels
_LEAST_NOISE = 0.3  # levels: what rounding alone does; a change of one level is seen in any case
_NOISE_WEIGHT = 0.15  # of each new estimate: half of a new noise level after four frames
_SAMPLES = 64  # a side, that the noise is estimated from

# StillBlend, in levels by which means over 10x10 pixels differ: blended in full up to the first,
# ever less up to the second. E_warp and style loss of the Great Wave relative to no blending, on a
# webcam / a talking head that is never quite still:
#     1.5 to 4: 0.86 / 0.81, style 1.04 / 1.04
#     2 to 6:   0.84 / 0.76, style 1.05 / 1.07
#     3 to 9:   0.81 / 0.72, style 1.06 / 1.09
# Most of what is left is in what moves: pixels that move by 0.4 a frame or more, a tenth of them,
# make three quarters of the webcam's squared error.
_STILL, _MOVED = 1.5, 4.0
STILL_SHARE = 0.8  # of the frame before

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
_CHANGED = 20.0  # levels that 5x5 pixels may differ by after warping; from twice that none is kept
_FLOW_SIDE = 216  # px: the short side at which flow is estimated

Flows = Callable[[np.ndarray, np.ndarray], tuple[np.ndarray, np.ndarray]]


def noise_level(before: np.ndarray, after: np.ndarray) -> float:
    """Standard deviation of the noise in two frames of one scene, in levels (0 to 255).

    before, after: (H, W, 3) uint8. From the median difference, where the picture is flat: there
    motion hardly changes it. The median is read from the distribution of whole numbers, since
    noise below one level is mostly zero differences. What moves even so (a fast pan) is bounded by
    the noise seen within one frame, the estimate of Immerkaer (1996); that alone would miss most of
    what a video codec leaves, which is smooth. 0 for pictures below 16 pixels a side.
    """
    height, width = after.shape[:2]
    if min(height, width) < 16:
        return 0.0
    down, right = max(1, height // _SAMPLES), max(1, width // _SAMPLES)

    def at(y: int, x: int, image: np.ndarray = after) -> np.ndarray:
        rows = slice(2 + y, height - 2 + y, down)
        return image[rows, 2 + x : width - 2 + x : right].astype(np.int16)

    # The pixel itself is not asked whether it is flat: its noise would choose.
    slope = (np.abs(at(0, 2) - at(0, -2)) + np.abs(at(2, 0) - at(-2, 0))).max(axis=2)
    flat = slope <= np.quantile(slope, 0.3)
    temporal = _sigma_of_whole_numbers(np.abs(at(0, 0) - at(0, 0, before))[flat]) / np.sqrt(2)
    crossed = at(0, 1) + at(0, -1) + at(1, 0) + at(-1, 0)
    corners = at(1, 1) + at(1, -1) + at(-1, 1) + at(-1, -1)
    mask = np.abs(4 * at(0, 0) - 2 * crossed + corners)[flat]
    spatial = float(np.sqrt(np.pi / 2) / 6 * mask.mean())
    return float(min(temporal, spatial + 0.5))


def _sigma_of_whole_numbers(sizes: np.ndarray) -> float:
    """Of a normal distribution rounded to whole numbers, given their absolute values."""
    shares = np.cumsum(np.bincount(sizes.ravel())) / sizes.size
    nearest = int(np.argmin(np.abs(shares - 0.5)))
    share = float(shares[nearest])
    if share >= 1:
        return 0.0
    return float((nearest + 0.5) / NormalDist().inv_cdf((1 + share) / 2))


class Hold:
    """Keeps the pixels of an input where it has not changed beyond the camera's own noise.

    hold(image) takes (H, W, 3) uint8 and gives the same, to be stylised in its stead. Each pixel is
    compared with the one that is held, not with the frame before, so what drifts slowly is renewed
    as soon as it has drifted by more than the noise; and together with those around it, so that
    edges are not torn. What has changed is the new frame's, exactly. For a camera that stands
    still: behind a moving one everything is renewed, and nothing is gained.

    `noise` is the level estimated so far. A frame of another size begins anew.
    """

    def __init__(self) -> None:
        self.noise = 0.0  # levels
        self.reset()

    def reset(self) -> None:
        """Forget the picture; the noise stays, as it is the camera's."""
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
        changed = _changed(held, image, max(self.noise, _LEAST_NOISE))
        self._held = cv2.copyTo(image, changed, held.copy())  # earlier ones are still in use
        return self._held


def _changed(held: np.ndarray, image: np.ndarray, noise: float) -> np.ndarray:
    """Where two pictures differ by more than noise of this level: (H, W) uint8, 0 or 255.

    At half the size, which is also the first averaging: 1280x720 then takes 1.5 ms.
    """
    height, width = image.shape[:2]
    size = ((width + 1) // 2, (height + 1) // 2)
    spots = cv2.resize(cv2.absdiff(held, image), size, interpolation=cv2.INTER_AREA)
    sums = cv2.boxFilter(spots, cv2.CV_16U, (3, 3), normalize=False)
    nothing = (0, 0, 0)
    same = cv2.bitwise_and(
        cv2.inRange(sums, nothing, (9 * _WINDOW_LIMIT * noise,) * 3),
        cv2.inRange(spots, nothing, (_SPOT_LIMIT * noise,) * 3),
    )
    changed = cv2.dilate(cv2.bitwise_not(same), np.ones((3, 3), np.uint8))
    return cv2.resize(changed, (width, height), interpolation=cv2.INTER_NEAREST)


class StillBlend:
    """Blends each stylised frame with the one before, in place, where the input shows the same.

    blend(image, stylized), both (H, W, 3) uint8, gives (H, W, 3) uint8. It takes what `Hold` lets
    through: compression that comes and goes, light that trembles, the network's own answer to what
    moves elsewhere. The picture that was painted from is kept beside the painting, blended by the
    same weights, and each frame is compared with that, not with the frame before: so nothing is
    ever shown that is further from the input than `_MOVED`, however slowly it moves, and what has
    changed is the new frame's at once.

    A frame of another size begins anew.
    """

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        """Forget the frames before: the next comes out as it went in."""
        self._seen: np.ndarray | None = None  # half as large, float32
        self._result: np.ndarray | None = None

    def __call__(self, image: np.ndarray, stylized: np.ndarray) -> np.ndarray:
        seen, result = self._seen, self._result
        height, width = stylized.shape[:2]
        half = ((width + 1) // 2, (height + 1) // 2)
        now = cv2.resize(image, half, None, 0, 0, cv2.INTER_AREA).astype(np.float32)
        self._seen, self._result = now, stylized
        if seen is None or result is None or result.shape != stylized.shape:
            return stylized
        red, green, blue = cv2.split(cv2.blur(cv2.absdiff(seen, now), (5, 5)))
        change = cv2.max(cv2.max(red, green), blue)
        weight = np.clip(
            (_MOVED - change) * np.float32(STILL_SHARE / (_MOVED - _STILL)), 0, STILL_SHARE
        )
        self._seen = cv2.blendLinear(seen, now, weight, 1 - weight)
        weight = cv2.resize(weight, (width, height))
        self._result = cv2.blendLinear(result, stylized, weight, 1 - weight)
        return self._result


class FlowBlend:
    """Blends each stylised frame with the one before, carried along by the motion of the inputs.

    blend(image, stylized), both (H, W, 3) uint8, gives (H, W, 3) uint8: `share` of the previous
    result, warped, wherever optical flow can be trusted (`untrusted`) and the input still shows
    what it showed; the new frame elsewhere. Averaging strokes that do not agree, and warping again
    and again, would take the finest contrast away; it is brought back to what the new frame has,
    which is also what keeps the softening from growing from frame to frame.

    flows: gives the flow from one picture, (H, W, 3) uint8, to another, and back; None: DIS.
    A frame of another size begins anew.
    """

    def __init__(self, share: float = SHARE, flows: Flows | None = None) -> None:
        if not 0 <= share < 1:
            raise ValueError(f"share is {share}; it goes from 0 (no blending) to below 1")
        self.share = share
        self._flows = flows or dis()
        self.reset()

    def reset(self) -> None:
        """Forget the frames before: the next comes out as it went in."""
        self._image: np.ndarray | None = None  # reduced
        self._result: np.ndarray | None = None

    def __call__(self, image: np.ndarray, stylized: np.ndarray) -> np.ndarray:
        before, result = self._image, self._result
        after = self._image = _reduced(image)
        self._result = stylized
        if before is None or before.shape != after.shape:
            return stylized
        if result is None or result.shape != stylized.shape:
            return stylized
        forward, backward = self._flows(before, after)
        weight: np.ndarray = self.share * likeness(before, after, forward, backward)
        height, width = stylized.shape[:2]
        if weight.shape != (height, width):
            backward[..., 0] *= width / weight.shape[1]
            backward[..., 1] *= height / weight.shape[0]
            backward = cv2.resize(backward, (width, height))
            weight = cv2.resize(weight, (width, height))
        # Bicubic: bilinear costs 8 % more of the style loss, as it softens.
        carried = fetch(result, backward, cv2.INTER_CUBIC)
        blended = cv2.blendLinear(carried, stylized, weight, 1 - weight)
        self._result = _with_contrast_of(stylized, blended)
        return self._result


def dis() -> Flows:
    """Flow by OpenCV's DIS (Kroeger et al., ECCV 2016), for `FlowBlend`: (H, W, 2) float32 each."""
    # The preset "fast", twice as fine and with less refinement.
    estimator = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_FAST)
    estimator.setFinestScale(1)
    estimator.setGradientDescentIterations(12)
    estimator.setVariationalRefinementIterations(3)

    def flows(before: np.ndarray, after: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        first, second = (cv2.cvtColor(image, cv2.COLOR_RGB2GRAY) for image in (before, after))
        empty = np.empty(0)  # no flow to begin with
        return estimator.calc(first, second, empty), estimator.calc(second, first, empty)

    return flows


def _reduced(image: np.ndarray) -> np.ndarray:
    """The picture at the size that flow is estimated at; never larger, and large enough for DIS."""
    height, width = image.shape[:2]
    scale = min(1.0, _FLOW_SIDE / min(height, width))
    size = (max(32, round(scale * width)), max(32, round(scale * height)))
    return image if size == (width, height) else cv2.resize(image, size, None, 0, 0, cv2.INTER_AREA)


def likeness(
    before: np.ndarray, after: np.ndarray, forward: np.ndarray, backward: np.ndarray
) -> np.ndarray:
    """1 where a place shows what it showed before, 0 where it does not: (H, W) float32."""
    difference = cv2.absdiff(fetch(before, backward), after)
    red, green, blue = cv2.split(cv2.blur(difference, (5, 5)))
    change = cv2.max(cv2.max(red, green), blue)
    alike = np.clip(2 - change * np.float32(1 / _CHANGED), 0, 1)
    alike[untrusted(forward, backward)] = 0
    return alike


def untrusted(forward: np.ndarray, backward: np.ndarray) -> np.ndarray:
    """`models.flow.occlusion_mask` on (H, W, 2) float32 arrays, for the CPU: (H, W) bool.

    On the pixels that `backward` starts from. OpenCV fetches at 1/32 of a pixel.
    """
    height, width = backward.shape[:2]
    u, v = cv2.split(backward)  # planes: arithmetic on pairs is many times slower
    there_u, there_v = cv2.split(fetch(forward, backward))
    length = u * u + v * v
    apart = (there_u + u) ** 2 + (there_v + v) ** 2
    occluded = apart > 0.01 * (there_u * there_u + there_v * there_v + length) + 0.5
    steep = _squared_gradient(u) + _squared_gradient(v) > 0.01 * length + 0.002
    x, y = u + np.arange(width, dtype=np.float32), v + np.arange(height, dtype=np.float32)[:, None]
    outside = (x < 0) | (x > width - 1) | (y < 0) | (y > height - 1)
    return occluded | steep | outside


def fetch(image: np.ndarray, flow: np.ndarray, how: int = cv2.INTER_LINEAR) -> np.ndarray:
    """What each pixel's flow, (H, W, 2) float32, points at in `image`; its border is repeated."""
    places = flow + _grid(*flow.shape[:2])
    # None: both coordinates are in the first map. OpenCV takes it, its type hints do not.
    return cv2.remap(image, places, None, how, borderMode=cv2.BORDER_REPLICATE)  # type: ignore[call-overload]


@lru_cache(maxsize=4)
def _grid(height: int, width: int) -> np.ndarray:
    """The column and row of each pixel: (H, W, 2) float32."""
    rows, columns = np.mgrid[:height, :width].astype(np.float32)
    return np.dstack([columns, rows])


def _squared_gradient(plane: np.ndarray) -> np.ndarray:
    """Squared length of the gradient, by central differences, one-sided at the border."""
    down, across = np.gradient(plane)
    return down * down + across * across


def _with_contrast_of(sharp: np.ndarray, blended: np.ndarray) -> np.ndarray:
    """`blended`, its finest detail amplified to what `sharp` has in the same region."""
    smooth, soft = (cv2.GaussianBlur(x, (0, 0), _FINE_SIGMA) for x in (sharp, blended))
    gain = np.clip(_mean_size(sharp, smooth) / _mean_size(blended, soft), 1, _MOST_GAIN)
    height, width = sharp.shape[:2]
    gain = cv2.resize(gain, (width, height))
    return cv2.blendLinear(blended, soft, gain, 1 - gain)  # soft + gain (blended - soft)


def _mean_size(image: np.ndarray, smooth: np.ndarray) -> np.ndarray:
    """How much they differ on average, over regions of some 50 pixels, one every 16: float32."""
    height, width = image.shape[:2]
    size = (max(1, width // _REGION), max(1, height // _REGION))
    detail = cv2.resize(cv2.absdiff(image, smooth), size, None, 0, 0, cv2.INTER_AREA)
    return cv2.blur(detail.sum(axis=2, dtype=np.float32), (3, 3)) + 1  # so that none is 0
