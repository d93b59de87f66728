"""The pictures and clips that `impasto eval` measures with, and finished ones paired with them."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path

import numpy as np

from impasto.models.errors import SourceError
from impasto.realtime.files.images import (
    IMAGE_SUFFIXES,
    image_files,
    images_in,
    read_image,
    read_same_size,
)
from impasto.realtime.files.video_reader import VideoReader
from impasto.realtime.measure.warping import shot_starts

PICTURE_SIDE = 384  # px, short: what pictures are stylized at
_LOOKED_AT = 8  # pictures of a folder, to see whether they are a film
_SAME_SHAPE = 0.02  # relative difference of aspect ratios that cropping to whole pixels makes

Named = tuple[Path, np.ndarray]  # a file, (H, W, 3) uint8


@dataclass(frozen=True)
class Originals:
    """Pictures, and clips with all of their frames, each (H, W, 3) uint8, with where they are from.

    frames: how many of each clip are read at most.
    """

    pictures: Sequence[Named] = ()
    clips: Sequence[tuple[Path, Sequence[np.ndarray]]] = ()
    frames: int = 30
    notes: list[str] = field(default_factory=list)


def read_originals(
    pictures: Iterable[Path],
    clips: Iterable[Path],
    *,
    original: Path | None = None,
    side: int = 288,
    frames: int = 30,
) -> Originals:
    """Read what is measured with. Raises SourceError.

    original: a picture, a video, a folder of pictures or of the frames of a film (see
    `is_film`). side, frames: what clips are cut down to, px of the short side.
    """
    pictures, clips = list(pictures), list(clips)
    if original is not None:
        (clips if is_film(original) else pictures).append(original)
    return Originals(
        read_pictures(pictures),
        [(path, read_clip(path, size=side, frames=frames)) for path in clips],
        frames,
    )


def is_film(path: Path) -> bool:
    """Whether a path is a video, or a folder whose pictures are mostly one shot in one size."""
    if not path.is_dir():
        return path.suffix.lower() not in IMAGE_SUFFIXES
    files = images_in(path)[:_LOOKED_AT]
    images = [read_image(file, size=64) for file in files]
    if len(images) < 2 or len({image.shape for image in images}) > 1:
        return False
    cuts = len(set(shot_starts(images))) - 1
    return cuts < (len(images) - 1) / 2


def read_clip(path: Path, *, size: int | tuple[int, int], frames: int) -> list[np.ndarray]:
    """The first frames of a video file or a folder of pictures, at this short side or size (px).

    Raises SourceError, also where there are fewer than two.
    """
    if path.is_dir():
        files = images_in(path)[:frames]
        if isinstance(size, int):
            images = list(read_same_size(files, size=size))
        else:
            images = [read_image(file, size=size) for file in files]
    else:
        with VideoReader(path, size=size) as source:
            images = [frame.image for frame in islice(source, frames)]
    if len(images) < 2:
        raise SourceError(f"{path} has one frame only: steadiness needs two or more")
    return images


def read_pictures(paths: Iterable[Path]) -> list[Named]:
    """Pictures, and all those in folders, at the size they are stylized at. Raises SourceError."""
    return [(file, read_image(file, size=PICTURE_SIDE)) for file in image_files(paths)]


class Finished:
    """Pictures or a film that another program painted, paired with their originals.

    Raises SourceError where a picture has no counterpart, or one of another shape.
    """

    def __init__(self, path: Path, originals: Originals) -> None:
        self.pictures: list[np.ndarray] = []
        self.clips: list[list[np.ndarray]] = []
        self.notes: list[str] = []
        if originals.clips:
            _, frames = originals.clips[0]
            self.clips.append(self._film(path, frames, originals.frames))
        else:
            files = [file for file, _ in originals.pictures]
            for painted, (file, original) in zip(
                _counterparts(files, image_files([path]), path), originals.pictures, strict=True
            ):
                self.pictures.append(_fitted(painted, file, original))

    def _film(self, path: Path, frames: Sequence[np.ndarray], limit: int) -> list[np.ndarray]:
        own = read_clip(path, size=min(frames[0].shape[:2]), frames=limit)
        _check_shape(own[0], frames[0], f"the frames of {path}")
        if own[0].shape != frames[0].shape:
            own = read_clip(path, size=frames[0].shape[:2], frames=limit)
        if len(own) != len(frames):
            self.notes.append(
                f"{path} has {len(own)} of the first {limit} frames, its original {len(frames)}: "
                f"the first {min(len(own), len(frames))} are compared"
            )
        return own


def _counterparts(originals: Sequence[Path], painted: Sequence[Path], path: Path) -> list[Path]:
    """The painted file of each original: of its name, of a name that holds it, or all in order."""
    if len(originals) == len(painted) == 1:
        return list(painted)
    by_name = {file.stem: file for file in painted}
    found = []
    for original in originals:
        holding = [file for file in painted if original.stem in file.stem]
        match = by_name.get(original.stem) or (holding[0] if len(holding) == 1 else None)
        if match is None:
            if len(originals) == len(painted):
                return list(painted)
            raise SourceError(f"{path} has no painted {original.stem}: give it its original's name")
        found.append(match)
    return found


def _fitted(painted: Path, file: Path, original: np.ndarray) -> np.ndarray:
    """A painted picture at the size of its original."""
    image = read_image(painted)
    _check_shape(image, original, f"{painted}, painted from {file},")
    return read_image(painted, size=original.shape[:2])


def _check_shape(image: np.ndarray, original: np.ndarray, what: str) -> None:
    (height, width), (own_height, own_width) = image.shape[:2], original.shape[:2]
    if abs(width / height / (own_width / own_height) - 1) > _SAME_SHAPE + 2 / min(height, width):
        raise SourceError(
            f"{what} is {width}x{height}, and the original has the shape of "
            f"{own_width}x{own_height}: compare whole pictures, not cropped ones"
        )
