"""The images to train on: files of folders and videos, read as they are needed."""

import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from itertools import islice
from pathlib import Path

import numpy as np
from torch import Tensor

from impasto.export.scenes import render
from impasto.models.errors import SourceError
from impasto.models.training.dataset import HOLD_BACK
from impasto.realtime.files.images import IMAGE_SUFFIXES, read_image, write_image
from impasto.realtime.files.video_reader import VideoReader
from impasto.realtime.pixels import as_tensor

MIN_IMAGES = 8
_MAX_FRAMES = 250  # of a video, evenly spaced: neighbors are alike
RENDERED = 300  # images, where none are given
_SLOW_TO_READ = 400_000  # bytes; a reduced copy is kept of larger files


@dataclass
class TrainingImages:
    """Image files, and how to read them: reduced to a short side of `side` px.

    folder: where reduced copies of large files, and the frames of videos, are kept.
    """

    folder: Path
    side: int
    files: list[Path] = field(default_factory=list)
    unreadable: set[Path] = field(default_factory=set)

    @property
    def held_back(self) -> list[Path]:
        """Every 25th, which is not trained on."""
        return self.files[::HOLD_BACK]

    @property
    def training(self) -> list[Path]:
        """All others."""
        return [file for place, file in enumerate(self.files) if place % HOLD_BACK]

    def add(self, path: Path, on_image: Callable[[], None]) -> None:
        """Add a picture, all pictures in a folder and below it, or frames of a video.

        on_image: called for each. Raises SourceError.
        """
        if path.is_dir():
            files = _pictures_below(path)
        elif path.suffix.lower() in IMAGE_SUFFIXES:
            read_image(path, size=self.side)  # raises for what cannot be read
            files = iter([path])
        else:
            files = self._frames_of(path)
        for file in files:
            self.files.append(file)
            on_image()

    def count(self, path: Path) -> int | None:
        """How many images `add` finds there; None: not known before they are read.

        Raises SourceError.
        """
        if path.is_dir():
            return sum(1 for _ in _pictures_below(path))
        if path.suffix.lower() in IMAGE_SUFFIXES:
            return 1
        with VideoReader(path) as video:
            frames = video.info.frame_count
        return frames and min(_MAX_FRAMES, len(range(0, frames, _spacing(frames))))

    def add_rendered(self, on_image: Callable[[], None]) -> None:
        """Add rendered scenes."""
        for seed in range(RENDERED):
            path = self._kept("scene", seed)
            if not path.exists():
                write_image(path, render(1, self.side, self.side * 3 // 2, seed=seed)[0])
            self.files.append(path)
            on_image()

    def check(self, origins: Sequence[Path]) -> None:
        """Raise SourceError unless there are MIN_IMAGES that can be read. origins: for its text."""
        count = len(self.first_readable(self.files, MIN_IMAGES))
        if count < MIN_IMAGES:
            paths = ", ".join(map(str, origins))
            raise SourceError(
                f"there are {count} pictures in {paths}: at least {MIN_IMAGES} are needed to train "
                "on, and some hundreds are best; videos count as well"
            )

    def first_readable(self, files: Sequence[Path], count: int) -> list[Tensor]:
        """Up to so many of these images, (3, H, W) in [0, 1]."""
        images = (image for file in files if (image := self.read(file)) is not None)
        return list(islice(images, count))

    def read(self, file: Path) -> Tensor | None:
        """An image, (3, H, W) in [0, 1]; None for one that cannot be read, which is recorded."""
        if file in self.unreadable:
            return None
        try:
            return as_tensor(self._reduced(file))[0]
        except (SourceError, OSError):
            self.unreadable.add(file)
            return None

    def _reduced(self, file: Path) -> np.ndarray:
        if file.parent == self.folder:
            return read_image(file)
        about = file.stat()
        if about.st_size < _SLOW_TO_READ:
            return read_image(file, size=self.side)
        kept = self._kept(file.absolute(), about.st_mtime_ns)
        if not kept.exists():
            write_image(kept, read_image(file, size=self.side))
        return read_image(kept)

    def _frames_of(self, path: Path) -> Iterator[Path]:
        with VideoReader(path, size=self.side) as video:
            every = _spacing(video.info.frame_count)
            for frame in islice(video, 0, every * _MAX_FRAMES, every):
                kept = self._kept(path.absolute(), frame.pts)
                write_image(kept, frame.image, overwrite=True)
                yield kept

    def _kept(self, *origin: object) -> Path:
        """The file in the folder for an image. origin: what it is of."""
        name = sha256(repr((self.side, *map(str, origin))).encode()).hexdigest()[:16]
        return self.folder / f"{name}.jpg"


def _spacing(frame_count: int | None) -> int:
    """Every how many frames of a video one is taken."""
    return max(1, (frame_count or 0) // _MAX_FRAMES)


def _pictures_below(folder: Path) -> Iterator[Path]:
    """The image files in a folder and below it, such as COCO's, in order; no hidden ones."""
    for parent, folders, names in os.walk(folder, followlinks=True):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(names):
            if not name.startswith(".") and Path(name).suffix.lower() in IMAGE_SUFFIXES:
                yield Path(parent, name)
