"""A film of how a picture was painted."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from fractions import Fraction
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from impasto.realtime.atomic import check_target
from impasto.realtime.files.codecs import container_for
from impasto.realtime.files.video_writer import VideoWriter
from impasto.realtime.frame import Frame, StreamInfo

if TYPE_CHECKING:  # targets are checked before PyTorch is loaded
    from impasto.models.gatys.optimize import Progress

FRAME_RATE = Fraction(10)
_LAST_SECONDS = 2  # that the last picture is shown for


def check_film_target(path: Path, *, overwrite: bool) -> None:
    """Raise SinkError now if `film_of_steps` could not write later."""
    container_for(path)
    check_target(path, overwrite=overwrite)


@contextmanager
def film_of_steps(
    path: Path | None, size: tuple[int, int], *, overwrite: bool = False
) -> Iterator[Callable[[np.ndarray], None]]:
    """Context manager: a function that appends a picture, (H, W, 3) uint8 RGB, to a video file.

    path: None: pictures are dropped. size: (height, width) of the pictures; an odd side is extended
    by a pixel, as most players need. As `VideoWriter`, the file gets its name at the end of the
    block, and stays as NAME.partial.EXT, playable, on KeyboardInterrupt. Raises SinkError.
    """
    if path is None:
        yield lambda picture: None
        return
    down, right = size[0] % 2, size[1] % 2
    info = StreamInfo(size[0] + down, size[1] + right, 1 / FRAME_RATE, FRAME_RATE)
    numbers = count()
    with VideoWriter(path, info, overwrite=overwrite) as writer:

        def append(picture: np.ndarray) -> None:
            even = np.pad(picture, ((0, down), (0, right), (0, 0)), mode="edge")
            writer.write(Frame(even, next(numbers), 1 / FRAME_RATE))

        yield append
        writer.close(end_time=(next(numbers) - 1) / FRAME_RATE + _LAST_SECONDS)


class Descent:
    """Leaves out the steps of an optimization that raise the total loss.

    L-BFGS may overshoot: the picture is then noise, which its next step takes back. What a step has
    done to the loss is known at the next one: descent(progress) returns the progress before,
    if that is to be shown, else None. At another size the loss is another, and begins anew.
    """

    def __init__(self) -> None:
        self._before: Progress | None = None
        self._total = 0.0  # of the last picture shown

    def __call__(self, progress: "Progress") -> "Progress | None":
        before, self._before = self._before, progress
        resized = before is None or before.size != progress.size
        if not resized and progress.total > self._total:
            return None
        self._total = progress.total
        return before
