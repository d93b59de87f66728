"""Pictures in sequence, read as a film."""

from collections.abc import Iterator
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Self

import numpy as np

from impasto.models.errors import SourceError
from impasto.realtime.files.fitting import PictureShape, with_bars
from impasto.realtime.files.image_files import ImageFiles, in_words
from impasto.realtime.files.images import Picture, read_picture
from impasto.realtime.frame import Frame, StreamInfo
from impasto.realtime.pixels import composited

DEFAULT_RATE = Fraction(25)


class ImageSequence:
    """The frames of a sequence of image files, as `VideoReader` gives those of a film.

    frame_rate: frames a second; None: 25, with a note. size, start, end: see `VideoReader`.
    keep_alpha: give transparency with the frames; else it becomes black, with a note.
    keep_pictures: each frame has its file's `Picture`, for a sequence to be written.

    A number that has no file takes its time all the same: the frame before lasts longer. One that
    cannot be read counts as missing. A picture of another size than the first is fitted with bars.
    Raises SourceError if no picture can be read.
    """

    def __init__(
        self,
        files: ImageFiles,
        *,
        frame_rate: Fraction | int | None = None,
        size: int | tuple[int, int] | None = None,
        start: float | Fraction | None = None,
        end: float | Fraction | None = None,
        keep_alpha: bool = False,
        keep_pictures: bool = False,
    ) -> None:
        self.files = files
        self.notes: list[str] = []
        self.missing_frames = 0
        self.has_captions = False
        self.start_time = self.picture_start = Fraction(0)
        self._rate = Fraction(frame_rate or DEFAULT_RATE)
        self._size, self._keep_alpha, self._keep_pictures = size, keep_alpha, keep_pictures
        if frame_rate is None and not keep_pictures:
            self.notes.append(f"{self._rate} pictures a second, as no rate was given")
        self._numbers = self._chosen(start, end)
        first = self._first_readable()
        height, width = first.image.shape[:2]
        self._shape = height, width
        last = max(files.paths) if end is None else self._numbers[-1]
        count = last - self._numbers[0] + 1
        self.first_time = (self._numbers[0] - files.first) / self._rate
        self.info = StreamInfo(
            height=height,
            width=width,
            time_base=1 / self._rate,
            frame_rate=self._rate,
            frame_count=len(self._numbers),
            duration=count / self._rate,
            bit_depth=8 if first.remainder is None else 16,
            has_alpha=keep_alpha and first.image.shape[2] == 4,
        )
        if files.gaps:
            held = files.is_numbered and not keep_pictures
            kept = "; the picture before is shown for their time" if held else ""
            self.notes.append(f"pictures {in_words(files.gaps)} are missing{kept}")

    @property
    def is_complete(self) -> bool:
        """Whether every picture so far could be read."""
        return not self.missing_frames

    def __iter__(self) -> Iterator[Frame]:
        for number in self._numbers:
            picture = self._read(number)
            if picture is None:
                continue
            pixels, alpha = picture.image[..., :3], None
            if picture.image.shape[2] == 4 and self._keep_alpha:
                alpha = np.ascontiguousarray(picture.image[..., 3])
            elif picture.image.shape[2] == 4:
                self._note("transparency: composited over black")
                pixels = composited(picture.image, 0)
            yield Frame(
                np.ascontiguousarray(pixels),
                number - self.files.first,
                1 / self._rate,
                alpha=alpha,
                picture=picture if self._keep_pictures else None,
            )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """No file is open between two pictures."""

    def _chosen(self, start: float | Fraction | None, end: float | Fraction | None) -> list[int]:
        """The numbers of the pictures on show from `start` on, until `end`."""
        begin = Fraction(str(start or 0)) * self._rate + self.files.first
        stop = None if end is None else Fraction(str(end)) * self._rate + self.files.first
        numbers = [n for n in self.files.paths if stop is None or n < stop]
        later = [n for n in numbers if n >= begin]
        if begin > self.files.first and later == []:
            length = float((max(self.files.paths) - self.files.first + 1) / self._rate)
            raise SourceError(
                f"cannot start at {float(start or 0):g} s: {self.files} is {length:g} s long"
            )
        return later

    def _first_readable(self) -> Picture:
        reason: SourceError | None = None
        for number in self._numbers:
            try:
                return self._picture(self.files.paths[number], self._size)
            except SourceError as error:
                reason = reason or error
        raise reason or SourceError(f"{self.files} has no pictures")

    def _read(self, number: int) -> Picture | None:
        """The picture with this number, of the size of the first; None if it cannot be read."""
        path = self.files.paths[number]
        try:
            picture = self._picture(path, self._size)
            height, width = picture.image.shape[:2]
            if (height, width) != self._shape:
                self._note(
                    f"{path.name} is {width}x{height}: fitted into {self._shape[1]}x"
                    f"{self._shape[0]} with bars"
                )
                within = PictureShape(height, width).size_within(self._shape, Fraction(1))
                picture = self._picture(path, within)
                image = with_bars(picture.image, self._shape)
                picture = replace(picture, image=image, remainder=None)
        except SourceError as error:
            self.missing_frames += 1
            self._note(str(error))
            return None
        for note in picture.notes:
            self._note(note)
        return picture

    def _picture(self, path: Path, size: int | tuple[int, int] | None) -> Picture:
        return read_picture(path, size=size, alpha=True)

    def _note(self, line: str) -> None:
        if line not in self.notes:
            self.notes.append(line)
