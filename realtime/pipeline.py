"""The way of a frame: source, batcher, stylizer, sink."""

from collections.abc import Callable, Iterable, Iterator
from typing import Protocol

from realtime.batcher import batched
from realtime.frame import Frame

Stylize = Callable[[Iterator[list[Frame]]], Iterable[Frame]]


class Sink(Protocol):
    """Where frames go."""

    def write(self, frame: Frame, /) -> None: ...


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
