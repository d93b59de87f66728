"""The batcher and the loop: order, count, and that any batch size gives the same frames."""

from collections.abc import Iterator
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from impasto.realtime.frame import Frame
from impasto.realtime.pipeline import batched, run
from impasto.realtime.threads import Background, Prefetch


def frames(count: int) -> list[Frame]:
    return [
        Frame(np.full((2, 3, 3), n % 256, np.uint8), pts=n * n, time_base=Fraction(1, 90000))
        for n in range(count)
    ]


class Listed:
    def __init__(self) -> None:
        self.frames: list[Frame] = []

    def write(self, frame: Frame) -> None:
        self.frames.append(frame)


def invert(batches: Iterator[list[Frame]]) -> Iterator[Frame]:
    for batch in batches:
        for frame in batch:
            yield Frame(255 - frame.image, frame.pts, frame.time_base)


@given(count=st.integers(0, 50), size=st.integers(1, 12))
def test_batches_are_full_but_the_last(count: int, size: int) -> None:
    given_frames = frames(count)
    batches = list(batched(given_frames, size))
    assert [frame for batch in batches for frame in batch] == given_frames
    assert all(len(batch) == size for batch in batches[:-1])
    assert all(1 <= len(batch) <= size for batch in batches)


@pytest.mark.parametrize("size", [0, -3])
def test_a_batch_holds_something(size: int) -> None:
    with pytest.raises(ValueError, match="1 frame or more"):
        list(batched(frames(3), size))


@settings(deadline=None)
@given(count=st.integers(0, 30), batch_size=st.integers(1, 9), depth=st.integers(1, 5))
def test_any_batch_size_and_queue_depth_gives_the_same_frames(
    count: int, batch_size: int, depth: int
) -> None:
    plain, threaded = Listed(), Listed()
    assert run(frames(count), invert, plain) == count
    with Prefetch(frames(count), depth) as source, Background(threaded, depth) as out:
        assert run(source, invert, out, batch_size=batch_size) == count
    assert [f.pts for f in threaded.frames] == [n * n for n in range(count)]
    for one, other in zip(plain.frames, threaded.frames, strict=True):
        assert one.pts == other.pts and one.time_base == other.time_base
        assert np.array_equal(one.image, other.image)


def test_the_first_batch_does_not_wait_for_the_second() -> None:
    asked = 0

    def counting() -> Iterator[Frame]:
        nonlocal asked
        for frame in frames(9):
            asked += 1
            yield frame

    first = next(invert(batched(counting(), 4)))
    assert first.pts == 0 and asked == 4
