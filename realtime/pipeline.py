"""The way of a frame: source, batcher, stylizer, sink."""

from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from typing import Protocol

from impasto.realtime.frame import Frame

Stylize = Callable[[Iterator[list[Frame]]], Iterable[Frame]]


class Sink(Protocol):
    """Where frames go."""

    def write(self, frame: Frame, /) -> None: ...


def batched(frames: Iterable[Frame], size: int) -> Iterator[list[Frame]]:
    """Yield lists of `size` frames, in order; the last may be short, and none is empty.

    Raises ValueError if `size` is below 1.
    """
    if size < 1:
        raise ValueError(f"a batch holds 1 frame or more, got {size}")
    frames = iter(frames)
    while batch := list(islice(frames, size)):
        yield batch


def run(frames: Iterable[Frame], stylize: Stylize, sink: Sink, *, batch_size: int = 1) -> int:
    """Send every frame through `stylize` into `sink`; return how many were written.

    `stylize` turns an iterator of batches into an iterator of frames: the same number of frames,
    in the same order. Whatever a stage raises passes through unchanged.
    """
    written = 0
    for frame in stylize(batched(frames, batch_size)):
        sink.write(frame)
        written += 1
    return written
