"""Groups frames into batches."""

from collections.abc import Iterable, Iterator
from itertools import islice

from realtime.frame import Frame


def batched(frames: Iterable[Frame], size: int) -> Iterator[list[Frame]]:
    """Yield lists of `size` frames, in order; the last may be short, and none is empty.

    Raises ValueError if `size` is below 1.
    """
    if size < 1:
        raise ValueError(f"a batch holds 1 frame or more, got {size}")
    frames = iter(frames)
    while batch := list(islice(frames, size)):
        yield batch
