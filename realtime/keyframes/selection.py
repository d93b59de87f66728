"""Which frames of a film are its keyframes: where scenes begin, and where the view has changed.

Cuts are found by PySceneDetect (`realtime.cuts`).
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
from impasto.realtime.keyframes.tracking import Track, downscale
from impasto.realtime.temporal.cuts import CutDetector

Reason = Literal["begins", "cut", "view", "every", "at", "intra", "memory"]
_SIDE = 144  # px: how much of the view is left needs no more
_STILL_SEEN = 0.65  # of a picture, that can be followed back to the last keyframe
_LEAST_SECONDS = Fraction(1, 2)  # between keyframes by the view: water and smoke never stay
_MEMORY = 1 << 30  # bytes that the frames between two keyframes may take


@dataclass(frozen=True, slots=True)
class Keyframe:
    """A frame to be painted by optimisation."""

    number: int  # of the frame, from 0
    pts: int
    time: float  # seconds from the beginning of the file
    shot: int  # from 0
    reason: Reason


@dataclass(frozen=True)
class Rule:
    """Which frames to take. With nothing said: where scenes begin and where the view has changed.

    every: seconds; also where scenes begin. at: seconds, from the beginning of the file. intra:
    frames that the codec coded by themselves. most_apart: frames; one is taken wherever the next
    would come later.
    """

    every: Fraction | None = None
    at: tuple[Fraction, ...] = ()
    intra: bool = False
    most_apart: int = 250


@dataclass
class Shots:
    """What was found: keyframes in order, the pts with which scenes begin, frames in all."""

    keyframes: list[Keyframe] = field(default_factory=list)
    cuts: set[int] = field(default_factory=set)
    frames: int = 0


def most_apart(height: int, width: int) -> int:
    """How many frames of this size may lie between two keyframes, by the memory they take.

    Each waits as it is and as it is filled in, with its motion.
    """
    return max(8, min(250, _MEMORY // (6 * height * width + (5 << 20))))


def find_shots(
    frames: Iterable[Frame],
    rule: Rule,
    *,
    start_time: Fraction = Fraction(0),
    end: Fraction | None = None,
    intra: Sequence[Fraction] = (),
) -> Iterator[Shots]:
    """Look through a film; yields what was found after each frame, growing.

    start_time: of the file, in its own time. end: seconds from it, where the frames end. intra:
    times of the codec's intra frames, in the file's own time. Raises SourceError for times outside.
    """
    found, chooser = Shots(), _Chooser(rule, list(intra))
    held: Frame | None = None
    first = Fraction(0)
    shot = 0
    begins_scene = CutDetector()
    for frame in frames:
        begins = begins_scene(frame)
        cut = begins and held is not None
        shot += cut
        if begins:
            found.cuts.add(frame.pts)
        time = frame.pts * frame.time_base - start_time
        if held is None:
            first = time
        else:
            _take_at(found, rule, held, time, start_time, shot - cut)
        reason = chooser(frame, time, start_time, cut, found.frames)
        if reason is not None:
            found.keyframes.append(Keyframe(found.frames, frame.pts, float(time), shot, reason))
            chooser.taken(frame, time, found.frames)
        found.frames += 1
        held = frame
        yield found
    if held is not None:
        last = held.pts * held.time_base - start_time
        until = max(end or last, last + Fraction(1, 1000))
        _take_at(found, rule, held, until, start_time, shot)
        for wanted in rule.at:
            if not first <= wanted < until:
                raise SourceError(
                    f"there is no frame at {float(wanted):g} s: what is painted goes "
                    f"from {float(first):g} to {float(until):g} s"
                )


class _Chooser:
    """Says of each frame in turn whether it is a keyframe, and why; times of `at` apart."""

    def __init__(self, rule: Rule, intra: list[Fraction]) -> None:
        self._rule, self._intra = rule, intra
        self._by_view = not (rule.every or rule.at or rule.intra)
        self._track: Track | None = None
        self._last_time = self._next_time = Fraction(0)
        self._last_number = 0

    def __call__(
        self, frame: Frame, time: Fraction, start_time: Fraction, cut: bool, number: int
    ) -> Reason | None:
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
        if number - self._last_number >= rule.most_apart:
            return "memory"
        if self._by_view and self._track is not None:
            self._track.follow(downscale(frame.image, _SIDE))
            changed = self._track.trust.mean() < _STILL_SEEN
            if changed and time - self._last_time >= _LEAST_SECONDS:
                return "view"
        return None

    def taken(self, frame: Frame, time: Fraction, number: int) -> None:
        """This frame is a keyframe."""
        self._last_time, self._last_number = time, number
        if self._rule.every is not None:
            self._next_time = time + self._rule.every
        if self._by_view:
            self._track = Track(downscale(frame.image, _SIDE))


def _take_at(
    found: Shots, rule: Rule, frame: Frame, until: Fraction, start_time: Fraction, shot: int
) -> None:
    """Take `frame`, the last but one that came, if a time of `at` falls on it."""
    time = frame.pts * frame.time_base - start_time
    if any(time <= t < until for t in rule.at):
        number = found.frames - 1
        found.keyframes.append(Keyframe(number, frame.pts, float(time), shot, "at"))


def intra_times(path: str | Path) -> list[Fraction]:
    """The times, in the file's own time, of the frames that are coded by themselves."""
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
