"""Saves single live frames as PNG files."""

from collections.abc import Callable
from datetime import datetime
from itertools import count
from pathlib import Path

import numpy as np

from impasto.realtime.files.images import write_image
from impasto.realtime.frame import Frame


class Snapshots:
    """Saves each frame written to it as a PNG file in `folder`; `log` gets its path."""

    def __init__(
        self, folder: str | Path, *, log: Callable[[str], None] = lambda line: None
    ) -> None:
        self._folder = Path(folder)
        self._log = log

    def write(self, frame: Frame) -> None:
        """Save one picture. Raises SinkError if that fails."""
        self._log(f"saved {save_snapshot(frame.image, self._folder)}")

    def close(self) -> None:
        """Do nothing: every file is complete."""


def save_snapshot(image: np.ndarray, folder: str | Path) -> Path:
    """Save an image, (H, W, 3) uint8 RGB, as PNG, named by the time; never overwrites a file.

    Returns its path. Raises SinkError if the folder cannot be written.
    """
    stem = f"impasto-{datetime.now():%Y%m%d-%H%M%S}"
    names = (f"{stem}.png" if n == 1 else f"{stem}-{n}.png" for n in count(1))
    path = next(p for p in (Path(folder, name) for name in names) if not p.exists())
    write_image(path, image)
    return path
