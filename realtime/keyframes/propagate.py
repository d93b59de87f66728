"""Painted keyframes carried through the film: every frame from the two around it.

Each frame takes the keyframe before it, warped forwards along the motion, and the one after it,
warped backwards, each as far as its motion can be trusted and the nearer one more. Where neither
can be trusted, their paint is taken all the same where what it was painted for looks alike: it is
better paint than any that another painter has. Where nothing does, as where something new comes
into view between them, another painter fills in, in the colours of the keyframes.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, replace
from itertools import chain, tee
from typing import NamedTuple

import cv2
import numpy as np

from impasto.realtime.frame import Frame
from impasto.realtime.keyframes.color_transfer import UNCHANGED, Recoloring, recoloring
from impasto.realtime.keyframes.tracking import SIDE, Track
from impasto.realtime.pipeline import Stylize, batched
from impasto.realtime.temporal.flow import downscale, resize_flow, warp

_SOFT = 1.0  # px: how soft the masks of trust are, at the size of the flow
_FINE = 1.0  # px: what is finer is what moving a painting, and averaging two, loses
_MOST_GAIN = 2.0
_SHARP = 8  # power of nearness: what is half way takes both, all else little of the further one
_WEAK = 0.01  # of what can be trusted: how much paint counts that only fits
_NONE = 1e-15  # the weight of both where neither has any
_NEAR = 0.04  # share of the picture's width within which what fills in takes the tone around it


class _Path(NamedTuple):
    """Where a keyframe lies in a frame, at the size of the flow: see `Track`."""

    to_key: np.ndarray
    trust: np.ndarray
    fitting: np.ndarray

    @classmethod
    def of(cls, track: Track) -> _Path:
        return cls(track.to_key, track.trust, track.fitting)


@dataclass
class _Held:
    """A frame that waits for the next keyframe."""

    frame: Frame  # its picture painted by what fills in
    small: np.ndarray  # the original, reduced
    path: _Path | None = None  # to the keyframe before


@dataclass(frozen=True)
class _Key:
    """A painted keyframe."""

    image: np.ndarray  # (H, W, 3) uint8
    energy: np.ndarray  # (H, W) float32

    @classmethod
    def of(cls, image: np.ndarray) -> _Key:
        return cls(image, _energy(image))


class Carry:
    """Turns an iterator of batches into an iterator of frames, as `pipeline.run` wants it.

    keyframes: the pts of those that are painted. painted: gives the picture of one, (H, W, 3) uint8
    of the frames' size; asked for when it comes, and kept until the next. cuts: the pts with
    which scenes begin. fill: paints where no keyframe can be traced.
    most_held: how many frames may wait for the next keyframe; the first of more go without it.
    """

    def __init__(
        self,
        keyframes: Collection[int],
        painted: Callable[[int], np.ndarray],
        cuts: Collection[int],
        fill: Stylize,
        *,
        most_held: int = 250,
    ) -> None:
        self._keyframes, self._painted, self._cuts = set(keyframes), painted, set(cuts)
        self._fill, self._most_held = fill, most_held
        self._key: _Key | None = None  # the keyframe before
        self._track: Track | None = None  # from it
        self._colors: Recoloring | None = None  # of what fills in, at it
        self._since = 0  # frames since it
        self.filled = 0.0  # the sum over frames of the share that was filled in

    def __call__(self, batches: Iterator[list[Frame]]) -> Iterator[Frame]:
        ours, theirs = tee(chain.from_iterable(batches))
        held: list[_Held] = []
        for frame, filled in zip(ours, self._fill(batched(theirs, 1)), strict=True):
            small = downscale(frame.image, SIDE)
            if frame.pts in self._cuts or (held and held[-1].small.shape != small.shape):
                yield from self._release(held)
                self._key = self._track = None
            if frame.pts in self._keyframes:
                key = _Key.of(self._painted(frame.pts))
                colors = recoloring(filled.image, key.image)
                yield from self._release(held, key, small, colors)
                self._key, self._track, self._colors = key, Track(small), colors
                self._since = 0
                yield replace(frame, image=key.image)
                continue
            waiting = _Held(filled, small)
            self._since += 1
            if self._track is not None:
                self._track.follow(small)
                waiting.path = _Path.of(self._track)
            held.append(waiting)
            if len(held) >= self._most_held:
                yield from self._release(held)
        yield from self._release(held)

    def _release(
        self,
        held: list[_Held],
        key: _Key | None = None,
        small: np.ndarray | None = None,
        colors: Recoloring | None = None,
    ) -> Iterator[Frame]:
        """Paint the frames that wait, now that the next keyframe is known, or known to be none."""
        behind: list[_Path] = []  # to it
        if key is not None and small is not None:
            track = Track(small)
            for waiting in reversed(held):
                track.follow(waiting.small)
                behind.append(_Path.of(track))
        before = self._colors or colors or UNCHANGED
        after = colors or before
        first, gap = self._since - len(held) + 1, self._since + 1
        for number, waiting in enumerate(held, start=first):
            share = number / gap if key is not None else 0.0
            sources = []
            if self._key is not None and waiting.path is not None:
                sources.append(_fetched(self._key, waiting.path, 1 - share))
            if key is not None:
                sources.append(_fetched(key, behind.pop(), share))
            filled = before.towards(after, share)(waiting.frame.image)
            image, cover = composed(sources, filled)
            self.filled += 1 - cover
            yield replace(waiting.frame, image=image)
        held.clear()


@dataclass(frozen=True)
class Source:
    """A keyframe as it would look in another frame."""

    image: np.ndarray  # (H, W, 3) uint8
    energy: np.ndarray  # (H, W) float32: of its finest detail, before it was moved
    trust: np.ndarray  # (H, W) float32: how much it counts beside another one
    cover: np.ndarray  # (H, W) float32: where it may be shown at all
    nearness: float  # 1 at the keyframe, 0 at the other one


def _fetched(key: _Key, path: _Path, nearness: float) -> Source:
    height, width = key.image.shape[:2]
    large = resize_flow(path.to_key, (height, width))

    def soft(mask: np.ndarray) -> np.ndarray:
        return cv2.resize(cv2.GaussianBlur(mask, (0, 0), _SOFT), (width, height))

    # Lanczos: bilinear, and bicubic less so, soften what they move by parts of a pixel. In The
    # Starry Night bicubic lost 3 to 4 % more of the style.
    return Source(
        warp(key.image, large, cv2.INTER_LANCZOS4),
        warp(key.energy, large),
        soft(np.maximum(path.trust, _WEAK * path.fitting)),
        soft(np.maximum(path.trust, path.fitting)),
        nearness,
    )


def composed(sources: list[Source], filled: np.ndarray) -> tuple[np.ndarray, float]:
    """One picture of all: (H, W, 3) uint8, and the share that is not filled in.

    Of two sources the nearer counts much more, and so does the one that can be trusted. Moving and
    averaging take away the finest contrast; it is amplified, place by place, to what the keyframes
    have there. filled: (H, W, 3) uint8, shown where no source fits.
    """
    if not sources:
        return filled, 0.0
    image, energy, cover = sources[0].image, sources[0].energy, sources[0].cover
    if len(sources) == 2:
        weights = [s.nearness**_SHARP * s.trust**2 + np.float32(_NONE) for s in sources]
        total = weights[0] + weights[1]
        weights = [weight / total for weight in weights]
        image = cv2.blendLinear(image, sources[1].image, *weights)
        energy = weights[0] * energy + weights[1] * sources[1].energy
        cover = 1 - (1 - cover) * (1 - sources[1].cover)
    image = _amplified(image, np.sqrt((energy + 1) / (_energy(image) + 1)).clip(1, _MOST_GAIN))
    share = float(cover.mean())
    if cover.min() < 0.996:  # or one level of a picture in black and white is not moved
        # A network's strokes are as fine as it makes them; in all they get the keyframes' contrast.
        gain = np.sqrt((energy.mean() + 1) / (_energy(filled).mean() + 1))
        filled = _amplified(filled, np.full_like(cover, gain.clip(1 / _MOST_GAIN, _MOST_GAIN)))
        image = cv2.blendLinear(image, _in_tone(filled, image, cover), cover, 1 - cover)
    return image, share


def _amplified(image: np.ndarray, gain: np.ndarray) -> np.ndarray:
    """(H, W, 3) uint8 with its finest detail multiplied by `gain`, (H, W) float32."""
    soft = cv2.GaussianBlur(image, (0, 0), _FINE)
    detail = cv2.subtract(image, soft, dtype=cv2.CV_32F) * gain[..., None]
    return cv2.add(soft, detail, dtype=cv2.CV_8U)


def _energy(image: np.ndarray) -> np.ndarray:
    """Of the finest detail around each place: (H, W) float32, squared levels."""
    grey = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY).astype(np.float32)
    return cv2.GaussianBlur((grey - cv2.GaussianBlur(grey, (0, 0), _FINE)) ** 2, (0, 0), 4 * _FINE)


def _in_tone(filled: np.ndarray, image: np.ndarray, cover: np.ndarray) -> np.ndarray:
    """`filled`, moved to the tone that `image` has around, so that no seam is seen."""
    height, width = cover.shape
    size = (max(8, width // 8), max(8, height // 8))  # tone is smooth
    weight = cv2.resize(cover, size, None, 0, 0, cv2.INTER_AREA)
    apart = cv2.subtract(image, filled, dtype=cv2.CV_32F) * cover[..., None]
    apart = cv2.resize(apart, size, None, 0, 0, cv2.INTER_AREA)
    sums = cv2.GaussianBlur(np.dstack([apart, weight]), (0, 0), _NEAR * size[0])
    tone = sums[..., :3] / (sums[..., 3:] + np.float32(0.05))  # far from all that is known: none
    return cv2.add(filled, cv2.resize(tone, (width, height)), dtype=cv2.CV_8U)
