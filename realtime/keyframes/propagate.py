"""Keyframe propagation: every frame of a video from the two painted keyframes around it.

Each frame takes the keyframe before it, warped forwards along the motion, and the one after it,
warped backwards, each as far as its motion can be trusted and the nearer one more. Where neither
can be trusted, their paint is still used where what it was painted for looks alike: it is better
than a style network's. Where nothing looks alike, as where something new comes into view between
them, a style network fills in, in the colors of the keyframes.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, replace
from itertools import chain, tee
from typing import NamedTuple

import cv2
import numpy as np

from impasto.realtime.frame import Frame
from impasto.realtime.keyframes.color_transfer import IDENTITY, ColorTransfer, fit_color_transfer
from impasto.realtime.keyframes.tracking import SIDE, PixelTracker
from impasto.realtime.pipeline import Stylize, batched
from impasto.realtime.temporal.flow import downscale, resize_flow, warp

_MASK_BLUR = 1.0  # px, at the size of the flow
_DETAIL = 1.0  # px: finer than this is lost when a painting is warped, or two are averaged
_MAX_GAIN = 2.0
_NEARNESS_POWER = 8  # half way both keyframes count; elsewhere the farther one counts little
_SIMILAR_WEIGHT = 0.01  # of similar paint, relative to paint whose motion can be trusted
_EPSILON = 1e-15  # the weight of two keyframes neither of which can be trusted
_TONE_RADIUS = 0.04  # share of the width within which what fills in takes the tone around it


class _Correspondence(NamedTuple):
    """Where a keyframe lies in a frame, at the size of the flow: see `PixelTracker`."""

    to_key: np.ndarray
    confidence: np.ndarray
    similarity: np.ndarray

    @classmethod
    def of(cls, track: PixelTracker) -> _Correspondence:
        return cls(track.to_key, track.confidence, track.similarity)


@dataclass
class _PendingFrame:
    """A frame that waits for the next keyframe."""

    filled: Frame  # by what fills in
    small: np.ndarray  # the original, reduced
    from_last: _Correspondence | None = None  # to the keyframe before


class KeyframePropagation:
    """Stylizes a video from its painted keyframes; a `pipeline.Stylize`.

    keyframes: the pts of the keyframes. read_painted: gives the painting of one by its pts, (H, W,
    3) uint8 of the frames' size; called when its frame comes, and held until the next. cuts: the
    pts of the first frame of each shot. fill: stylizes where no keyframe can be traced.
    max_pending: the most frames that wait for the next keyframe; beyond, they go on without it.
    """

    def __init__(
        self,
        keyframes: Collection[int],
        read_painted: Callable[[int], np.ndarray],
        cuts: Collection[int],
        fill: Stylize,
        *,
        max_pending: int = 250,
    ) -> None:
        self._keyframes, self._read_painted = set(keyframes), read_painted
        self._cuts, self._fill, self._max_pending = set(cuts), fill, max_pending
        self._last: _Painting | None = None  # the keyframe before
        self._track: PixelTracker | None = None  # from it
        self._colors: ColorTransfer | None = None  # for what fills in, at it
        self._since = 0  # frames since it
        self.filled = 0.0  # the sum over frames of the share that was filled in

    def __call__(self, batches: Iterator[list[Frame]]) -> Iterator[Frame]:
        originals, to_fill = tee(chain.from_iterable(batches))
        pending: list[_PendingFrame] = []
        for frame, filled in zip(originals, self._fill(batched(to_fill, 1)), strict=True):
            small = downscale(frame.image, SIDE)
            if frame.pts in self._cuts or (pending and pending[-1].small.shape != small.shape):
                yield from self._release(pending)
                self._last = self._track = None
            if frame.pts in self._keyframes:
                keyframe = _Painting.of(self._read_painted(frame.pts))
                colors = fit_color_transfer(filled.image, keyframe.image)
                yield from self._release(pending, keyframe, small, colors)
                self._last, self._track, self._colors = keyframe, PixelTracker(small), colors
                self._since = 0
                yield replace(frame, image=keyframe.image)
                continue
            waiting = _PendingFrame(filled, small)
            self._since += 1
            if self._track is not None:
                self._track.follow(small)
                waiting.from_last = _Correspondence.of(self._track)
            pending.append(waiting)
            if len(pending) >= self._max_pending:
                yield from self._release(pending)
        yield from self._release(pending)

    def _release(
        self,
        pending: list[_PendingFrame],
        keyframe: _Painting | None = None,
        small: np.ndarray | None = None,
        colors: ColorTransfer | None = None,
    ) -> Iterator[Frame]:
        """Stylize the pending frames: the next keyframe is known now, or there is none.

        small: the keyframe's original, reduced. colors: for what fills in, at it.
        """
        from_next: list[_Correspondence] = []
        if keyframe is not None and small is not None:
            track = PixelTracker(small)
            for waiting in reversed(pending):
                track.follow(waiting.small)
                from_next.append(_Correspondence.of(track))
        before = self._colors or colors or IDENTITY
        after = colors or before
        first, gap = self._since - len(pending) + 1, self._since + 1
        for number, waiting in enumerate(pending, start=first):
            share = number / gap if keyframe is not None else 0.0
            sources = []
            if self._last is not None and waiting.from_last is not None:
                sources.append(self._last.warped(waiting.from_last, 1 - share))
            if keyframe is not None:
                sources.append(keyframe.warped(from_next.pop(), share))
            filled = before.interpolated(after, share)(waiting.filled.image)
            image, cover = composite(sources, filled)
            self.filled += 1 - cover
            yield replace(waiting.filled, image=image)
        pending.clear()


@dataclass(frozen=True)
class _Painting:
    """The painting of a keyframe."""

    image: np.ndarray  # (H, W, 3) uint8
    energy: np.ndarray  # (H, W) float32: of its finest detail

    @classmethod
    def of(cls, image: np.ndarray) -> _Painting:
        return cls(image, _detail_energy(image))

    def warped(self, path: _Correspondence, nearness: float) -> WarpedKeyframe:
        """The painting as it would look in another frame."""
        height, width = self.image.shape[:2]
        flow = resize_flow(path.to_key, (height, width))

        def soft(mask: np.ndarray) -> np.ndarray:
            return cv2.resize(cv2.GaussianBlur(mask, (0, 0), _MASK_BLUR), (width, height))

        # Lanczos: bilinear, and bicubic less so, soften what they move by parts of a pixel. In The
        # Starry Night bicubic lost 3 to 4 % more of the style.
        return WarpedKeyframe(
            warp(self.image, flow, cv2.INTER_LANCZOS4),
            warp(self.energy, flow),
            soft(np.maximum(path.confidence, _SIMILAR_WEIGHT * path.similarity)),
            soft(np.maximum(path.confidence, path.similarity)),
            nearness,
        )


@dataclass(frozen=True)
class WarpedKeyframe:
    """A painted keyframe, warped into another frame."""

    image: np.ndarray  # (H, W, 3) uint8
    energy: np.ndarray  # (H, W) float32: of its finest detail, before it was warped
    weight: np.ndarray  # (H, W) float32: how much it counts beside the other keyframe
    cover: np.ndarray  # (H, W) float32: where it may be shown at all
    nearness: float  # 1 at the keyframe, 0 at the other one


def composite(sources: list[WarpedKeyframe], filled: np.ndarray) -> tuple[np.ndarray, float]:
    """One frame from one or two keyframes and what fills in.

    sources: the nearer counts much more, and so does the one whose motion can be trusted. filled:
    (H, W, 3) uint8, shown where no source may be. Warping and averaging take away the finest
    contrast; it is amplified, pixel by pixel, to what the keyframes have there.
    Returns (H, W, 3) uint8, and the share of the frame that is not filled in.
    """
    if not sources:
        return filled, 0.0
    image, energy, cover = sources[0].image, sources[0].energy, sources[0].cover
    if len(sources) == 2:
        weights = [
            s.nearness**_NEARNESS_POWER * s.weight**2 + np.float32(_EPSILON) for s in sources
        ]
        total = weights[0] + weights[1]
        weights = [weight / total for weight in weights]
        image = cv2.blendLinear(image, sources[1].image, *weights)
        energy = weights[0] * energy + weights[1] * sources[1].energy
        cover = 1 - (1 - cover) * (1 - sources[1].cover)
    gain = np.sqrt((energy + 1) / (_detail_energy(image) + 1)).clip(1, _MAX_GAIN)
    image = _with_detail(image, gain)
    share = float(cover.mean())
    if cover.min() < 0.996:  # one level of a black and white picture is not visible
        # A network's strokes keep their size; all of them get the contrast of the keyframes.
        gain = np.sqrt((energy.mean() + 1) / (_detail_energy(filled).mean() + 1))
        filled = _with_detail(filled, np.full_like(cover, gain.clip(1 / _MAX_GAIN, _MAX_GAIN)))
        image = cv2.blendLinear(image, _in_tone_of(image, filled, cover), cover, 1 - cover)
    return image, share


def _with_detail(image: np.ndarray, gain: np.ndarray) -> np.ndarray:
    """(H, W, 3) uint8 with its finest detail multiplied by `gain`, (H, W) float32."""
    soft = cv2.GaussianBlur(image, (0, 0), _DETAIL)
    detail = cv2.subtract(image, soft, dtype=cv2.CV_32F) * gain[..., None]
    return cv2.add(soft, detail, dtype=cv2.CV_8U)


def _detail_energy(image: np.ndarray) -> np.ndarray:
    """Mean square of the finest detail around each pixel: (H, W) float32, squared levels."""
    gray = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY).astype(np.float32)
    detail = gray - cv2.GaussianBlur(gray, (0, 0), _DETAIL)
    return cv2.GaussianBlur(detail**2, (0, 0), 4 * _DETAIL)


def _in_tone_of(image: np.ndarray, filled: np.ndarray, cover: np.ndarray) -> np.ndarray:
    """`filled` with the tone that `image` has around it, so that no seam shows."""
    height, width = cover.shape
    size = (max(8, width // 8), max(8, height // 8))  # tone is smooth
    weight = cv2.resize(cover, size, None, 0, 0, cv2.INTER_AREA)
    difference = cv2.subtract(image, filled, dtype=cv2.CV_32F) * cover[..., None]
    difference = cv2.resize(difference, size, None, 0, 0, cv2.INTER_AREA)
    sums = cv2.GaussianBlur(np.dstack([difference, weight]), (0, 0), _TONE_RADIUS * size[0])
    tone = sums[..., :3] / (sums[..., 3:] + np.float32(0.05))  # far from all cover: none
    return cv2.add(filled, cv2.resize(tone, (width, height)), dtype=cv2.CV_8U)
