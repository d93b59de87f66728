"""Masks from files: a picture, a film, or pictures in sequence."""

from collections.abc import Callable, Iterator
from fractions import Fraction
from pathlib import Path
from typing import Protocol, Self

import cv2
import numpy as np

from impasto.models.errors import SourceError
from impasto.realtime.files.animation import is_animated_webp
from impasto.realtime.files.endpoints import FilmReader, images_of
from impasto.realtime.files.image_sequence import ImageSequence
from impasto.realtime.files.images import IMAGE_SUFFIXES, images_in, read_image
from impasto.realtime.files.video_reader import VideoReader
from impasto.realtime.frame import Frame
from impasto.realtime.pixels import composited, resized

_MAX_STRETCH = 1.02  # between the shapes of mask and film, before the user is told


class OpenMask(Protocol):
    """How white a mask is at a time; see `mask.MaskAt`."""

    notes: list[str]

    def __call__(self, time: Fraction, size: tuple[int, int]) -> np.ndarray: ...

    def __enter__(self) -> Self: ...

    def __exit__(self, *_: object) -> None: ...


def open_mask(path: str | Path, *, rate: Fraction | None = None, loop: bool = False) -> OpenMask:
    """Open a mask. What is transparent in it is black.

    path: a picture; a film; or pictures in sequence, a pattern such as masks/%05d.png or a folder,
    of `rate` pictures a second. A film that has ended keeps its last picture, or with `loop` begins
    again. Raises SourceError for anything else.
    """
    path = Path(path)
    if images := images_of(path):
        return MovingMask(lambda: ImageSequence(images, frame_rate=rate or 25), path, loop=loop)
    if not path.exists():
        raise SourceError(f"{path} does not exist; check the name")
    if path.suffix.lower() in IMAGE_SUFFIXES and not is_animated_webp(path):
        return StillMask(path)
    return MovingMask(lambda: VideoReader(path), path, loop=loop)


def still_mask_for(mask: Path, picture: Path) -> "StillMask":
    """The mask of a picture: a picture, or that of the same name in a folder. Raises SourceError.

    Of the same name: without the extension.
    """
    if not mask.is_dir():
        return StillMask(mask)
    same = [path for path in images_in(mask) if path.stem == picture.stem]
    if not same:
        raise SourceError(
            f"there is no mask for {picture.name} in {mask}: name it {picture.stem}.png"
        )
    return StillMask(same[0])


def whiteness(image: np.ndarray) -> np.ndarray:
    """How white a picture is: (H, W, 3 or 4) uint8 RGB as (H, W) uint8, by BT.601 luma."""
    if image.shape[2] == 4:
        image = composited(image, 0)
    return cv2.cvtColor(np.ascontiguousarray(image), cv2.COLOR_RGB2GRAY)


class _ScaledMask:
    """A mask's present picture, scaled to the frames once."""

    def __init__(self, path: Path) -> None:
        self.notes: list[str] = []
        self._path = path
        self._white: np.ndarray | None = None  # as it is
        self._scaled: np.ndarray | None = None

    def _show(self, image: np.ndarray) -> None:
        self._white, self._scaled = image, None

    def _at_size(self, size: tuple[int, int]) -> np.ndarray:
        assert self._white is not None
        if self._scaled is None or self._scaled.shape != size:
            white = whiteness(self._white)
            self._note_stretch(white.shape[:2], size)
            self._scaled = resized(white, size)
        return self._scaled

    def _note_stretch(self, own: tuple[int, ...], size: tuple[int, int]) -> None:
        stretch = own[1] * size[0] / (own[0] * size[1])
        note = f"{self._path.name} is {own[1]}x{own[0]}: stretched to {size[1]}x{size[0]}"
        if max(stretch, 1 / stretch) > _MAX_STRETCH:
            self._note(note)

    def _note(self, line: str) -> None:
        if line not in self.notes:
            self.notes.append(line)


class StillMask(_ScaledMask):
    """A picture as a mask, at all times. Raises SourceError."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self._show(read_image(path, alpha=True))

    def __call__(self, time: Fraction, size: tuple[int, int]) -> np.ndarray:
        """How white it is, (H, W) uint8 of `size`."""
        return self._at_size(size)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """No file is open."""


class MovingMask(_ScaledMask):
    """A film as a mask: its picture at the time asked for, which must not go back.

    open: opens it, again for each `loop`. Its first picture is at the time zero, and shown before
    it too. Raises SourceError.
    """

    def __init__(self, open: Callable[[], FilmReader], path: Path, *, loop: bool) -> None:
        super().__init__(path)
        self._open, self._loop = open, loop
        self._film: FilmReader | None = None
        self._turns = Fraction(0)  # seconds of the turns before this one
        self._last = Fraction(0)  # time of the picture shown
        self._next: Frame | None = None
        self._begin()

    def __call__(self, time: Fraction, size: tuple[int, int]) -> np.ndarray:
        """How white it is, (H, W) uint8 of `size`. time: seconds from its first picture."""
        while self._next is not None and self._time_of(self._next) <= time + self._slack:
            self._show(self._next.image)
            self._last = self._time_of(self._next)
            self._next = next(self._frames, None)
            if self._next is None:
                self._end()
        if self._next is None and time >= self._last + 2 * self._step:
            end = float(self._last + self._step)
            self._note(f"{self._path.name} ends after {end:g} s: its last picture stays")
        return self._at_size(size)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._film is not None:
            self._film.close()
            self._film = None

    def _begin(self) -> None:
        self._film = self._open()
        rate = self._film.info.frame_rate or Fraction(25)
        # Times are rounded, in Matroska to milliseconds: half a frame early is on time.
        self._step, self._slack = 1 / rate, 1 / (4 * rate)
        self._frames: Iterator[Frame] = iter(self._film)
        self._next = next(self._frames, None)
        if self._next is None:
            raise SourceError(f"no picture of the mask {self._path} can be decoded")
        self._zero = self._next.pts * self._next.time_base
        if self._white is None:
            self._show(self._next.image)

    def _time_of(self, frame: Frame) -> Fraction:
        return self._turns + frame.pts * frame.time_base - self._zero

    def _end(self) -> None:
        """The last picture is reached: keep it, or begin again after it."""
        if self._loop:
            self._turns = self._last + self._step
            self.__exit__()
            self._begin()
