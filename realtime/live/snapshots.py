"""Single live frames as pictures in a folder."""

from collections.abc import Callable
from datetime import datetime
from itertools import count
from pathlib import Path

import numpy as np

from impasto.realtime.files.images import write_image
from impasto.realtime.frame import Frame


class Snapshots:
    """Saves each frame it is given as a picture; in `DroppingSink`, beside the window."""

    def __init__(
        self, folder: str | Path, *, say: Callable[[str], None] = lambda line: None
    ) -> None:
        self._folder = Path(folder)
        self._say = say

    def write(self, frame: Frame) -> None:
        """Save one picture. SinkError where that fails."""
        self._say(f"saved {save_snapshot(frame.image, self._folder)}")

    def close(self) -> None:
        """Nothing to complete."""


def save_snapshot(image: np.ndarray, folder: str | Path) -> Path:
    """Save a picture (H, W, 3) as PNG, named by the time; no file is ever overwritten.

    Returns its path. Raises SinkError where the folder cannot be written.
    """
    stem = f"impasto-{datetime.now():%Y%m%d-%H%M%S}"
    names = (f"{stem}.png" if n == 1 else f"{stem}-{n}.png" for n in count(1))
    path = next(p for p in (Path(folder, name) for name in names) if not p.exists())
    write_image(path, image)
    return path
