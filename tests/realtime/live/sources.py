"""What the tests of live sources share."""

from fractions import Fraction
from itertools import pairwise

from impasto.realtime.frame import Frame
from impasto.realtime.live.live_source import Timing

NO_PAUSES = Timing(pauses=(0.0,))


def times(frames: list[Frame]) -> list[Fraction]:
    return [frame.pts * frame.time_base for frame in frames]


def assert_increasing(frames: list[Frame]) -> None:
    assert all(a.pts < b.pts for a, b in pairwise(frames))
