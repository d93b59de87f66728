"""The pipeline of a file: source, batches, stylizer, sink.

A live session, where frames may be dropped, has its own loop: `live.loop`.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Protocol, TypeVar

from impasto.realtime.frame import Frame, PixelFormat

T_contra = TypeVar("T_contra", contravariant=True)

Stylize = Callable[[Iterator[list[Frame]]], Iterable[Frame]]


@dataclass(frozen=True, slots=True)
class StylizerFormats:
    """What a stylizer declares, as its attribute `formats`; the defaults hold for one without.

    output: pixel formats that it can give. It gives rgb24, or yuv420p if called with the keyword
    `yuv420`, the ColorTags of the frames wanted.
    input_devices: where its frames may be: with "cuda", their images may be tensors on the GPU.
    lossy_chroma_ok: details of the frames' color are lost in it anyway, so that a decoder may
    repeat chroma samples, which is quicker than to interpolate them.
    keeps_chroma: it gives frames the chroma that they came with.
    """

    output: frozenset[PixelFormat] = frozenset({"rgb24"})
    input_devices: frozenset[str] = frozenset({"cpu"})
    lossy_chroma_ok: bool = False
    keeps_chroma: bool = False


def formats_of(stylizer: Stylize) -> StylizerFormats:
    """What a stylizer declares; a plain function takes and gives rgb24 on the host."""
    return getattr(stylizer, "formats", StylizerFormats())


class Sink(Protocol[T_contra]):
    """Anything that items are written to, one after the other: a file, a stream, a queue."""

    def write(self, item: T_contra, /) -> None: ...


def batched(frames: Iterable[Frame], size: int) -> Iterator[list[Frame]]:
    """Yield lists of `size` frames, in order; the last may be short, and none is empty.

    Raises ValueError if `size` is below 1.
    """
    if size < 1:
        raise ValueError(f"a batch holds 1 frame or more, got {size}")
    frames = iter(frames)
    while batch := list(islice(frames, size)):
        yield batch


def run(
    frames: Iterable[Frame], stylize: Stylize, sink: Sink[Frame], *, batch_size: int = 1
) -> int:
    """Send every frame through `stylize` into `sink`; return how many were written.

    `stylize` turns an iterator of batches into an iterator of frames: the same number of frames,
    in the same order. Errors of every stage pass through unchanged.
    """
    written = 0
    for frame in stylize(batched(frames, batch_size)):
        sink.write(frame)
        written += 1
    return written
