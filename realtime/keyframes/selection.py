"""Selection of keyframes: where shots begin, and where too much of the view has changed.

Cuts are found by PySceneDetect (`realtime.temporal.cuts`).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Literal

import av

from impasto.models.errors import SourceError
from impasto.realtime.files.containers import open_media, video_stream
from impasto.realtime.frame import Frame
from impasto.realtime.keyframes.tracking import PixelTracker
from impasto.realtime.temporal.cuts import CutDetector
from impasto.realtime.temporal.flow import downscale

Reason = Literal["begins", "cut", "view", "every", "at", "intra", "memory"]
_SIDE = 144  # px, short side: enough to measure how much of the view is left
_MIN_VISIBLE = 0.65  # share of a frame that must still be traceable to the last keyframe
_MIN_SECONDS = Fraction(1, 2)  # between keyframes selected by the view: water and smoke never stay
_MEMORY = 1 << 30  # bytes that the frames between two keyframes may take


@dataclass(frozen=True, slots=True)
class Keyframe:
    """A frame to be painted by optimization."""

    number: int  # of the frame, from 0
    pts: int
    time: float  # seconds from the beginning of the file
    shot: int  # from 0
    reason: Reason


@dataclass(frozen=True)
class SelectionRule:
    """Which frames become keyframes. By default: where shots begin, and where the view has changed.

    every: seconds between keyframes; shots still begin with one. at: seconds from the beginning of
    the file. intra: the codec's intra-coded frames. max_gap: frames; there is a keyframe at least
    that often.
    """

    every: Fraction | None = None
    at: tuple[Fraction, ...] = ()
    intra: bool = False
    max_gap: int = 250


@dataclass
class Selection:
    """The keyframes of a video, in order, and its shots."""

    keyframes: list[Keyframe] = field(default_factory=list)
    cuts: set[int] = field(default_factory=set)  # the pts of the first frame of each shot
    frame_count: int = 0


def max_gap(height: int, width: int) -> int:
    """The most frames of this size between two keyframes, by the memory they take.

    Propagation holds each frame twice (the original and the filled-in one) and its motion.
    """
    return max(8, min(250, _MEMORY // (6 * height * width + (5 << 20))))


def select_keyframes(
    frames: Iterable[Frame],
    rule: SelectionRule,
    *,
    start_time: Fraction = Fraction(0),
    end: Fraction | None = None,
    intra: Sequence[Fraction] = (),
) -> Iterator[Selection]:
    """Go through all frames; yields the same growing selection after each of them.

    start_time: the file's first timestamp, in seconds. end: seconds from it to the end of the
    frames. intra: timestamps of the codec's intra frames, in seconds. Raises SourceError for times
    of `rule.at` at which there is no frame.
    """
    selection, selector = Selection(), _Selector(rule, list(intra))
    last: Frame | None = None
    first_time = Fraction(0)
    shot = 0
    begins_shot = CutDetector()
    for frame in frames:
        begins = begins_shot(frame)
        cut = begins and last is not None
        shot += cut
        if begins:
            selection.cuts.add(frame.pts)
        time = frame.pts * frame.time_base - start_time
        if last is None:
            first_time = time
        else:
            _add_requested(selection, rule, last, time, start_time, shot - cut)
        number = selection.frame_count
        reason = selector(frame, time, start_time, cut, number)
        if reason is not None:
            selection.keyframes.append(Keyframe(number, frame.pts, float(time), shot, reason))
            selector.accept(frame, time, number)
        selection.frame_count += 1
        last = frame
        yield selection
    if last is not None:
        last_time = last.pts * last.time_base - start_time
        until = max(end or last_time, last_time + Fraction(1, 1000))
        _add_requested(selection, rule, last, until, start_time, shot)
        for time in rule.at:
            if not first_time <= time < until:
                raise SourceError(
                    f"there is no frame at {float(time):g} s: the part to be painted is "
                    f"from {float(first_time):g} to {float(until):g} s"
                )


class _Selector:
    """Decides for one frame after another whether it is a keyframe, but for the times of `at`."""

    def __init__(self, rule: SelectionRule, intra: list[Fraction]) -> None:
        self._rule, self._intra = rule, intra
        self._by_view = not (rule.every or rule.at or rule.intra)
        self._track: PixelTracker | None = None
        self._last_time = self._next_time = Fraction(0)
        self._last_number = 0

    def __call__(
        self, frame: Frame, time: Fraction, start_time: Fraction, cut: bool, number: int
    ) -> Reason | None:
        """The reason why this frame is a keyframe; None where it is not."""
        rule = self._rule
        if self._intra and time + start_time >= self._intra[0]:
            while self._intra and time + start_time >= self._intra[0]:
                del self._intra[0]
            return "intra"
        if rule.intra or rule.at:
            return None
        if number == 0:
            return "begins"
        if cut:
            return "cut"
        if rule.every is not None and time >= self._next_time:
            return "every"
        if number - self._last_number >= rule.max_gap:
            return "memory"
        if self._by_view and self._track is not None:
            self._track.follow(downscale(frame.image, _SIDE))
            changed = self._track.confidence.mean() < _MIN_VISIBLE
            if changed and time - self._last_time >= _MIN_SECONDS:
                return "view"
        return None

    def accept(self, frame: Frame, time: Fraction, number: int) -> None:
        """Measure from this frame on: it is a keyframe."""
        self._last_time, self._last_number = time, number
        if self._rule.every is not None:
            self._next_time = time + self._rule.every
        if self._by_view:
            self._track = PixelTracker(downscale(frame.image, _SIDE))


def _add_requested(
    selection: Selection,
    rule: SelectionRule,
    frame: Frame,
    until: Fraction,
    start_time: Fraction,
    shot: int,
) -> None:
    """Make `frame`, the newest of the selection, a keyframe if a time of `rule.at` falls on it.

    until: when the next frame is shown.
    """
    time = frame.pts * frame.time_base - start_time
    if any(time <= t < until for t in rule.at):
        number = selection.frame_count - 1
        selection.keyframes.append(Keyframe(number, frame.pts, float(time), shot, "at"))


def intra_frame_times(path: str | Path) -> list[Fraction]:
    """The timestamps of the intra-coded frames of a video file, in seconds. Raises SourceError."""
    container = open_media(path)
    try:
        stream = video_stream(container, path)
        times = [
            packet.pts * packet.time_base
            for packet in container.demux(stream)
            if packet.is_keyframe and packet.pts is not None
        ]
    except av.FFmpegError as error:
        raise SourceError(f"cannot read the packets of {path}: {error.strerror}") from error
    finally:
        container.close()
    return sorted(times)
