"""Pictures in sequence, written as a film."""

from fractions import Fraction
from typing import Self

import numpy as np

from impasto.models.errors import SinkError
from impasto.realtime.files.image_encoding import check_is_writable, supports_alpha
from impasto.realtime.files.image_files import NumberPattern, in_words, runs_of
from impasto.realtime.files.images import write_image
from impasto.realtime.frame import ColorTags, Frame, PixelFormat
from impasto.realtime.pixels import composited, rgb_of


class SequenceWriter:
    """Writes each frame to an image file of its own, numbered by a pattern such as %05d.png.

    first: the number of the first file. by_time: a frame's number is `first` + pts, so that gaps
    stay; else they are counted. Frames with a `picture` keep its transparency, 16 bits and
    metadata, as far as the format has them; keep_metadata: its date, camera and place too.
    Each file gets its name when it is complete. The folder is created if there is none.
    Raises SinkError for a format that cannot be written, or where files of the pattern exist,
    unless `overwrite`, before the first frame.
    """

    def __init__(
        self,
        pattern: NumberPattern,
        *,
        first: int = 1,
        by_time: bool = False,
        overwrite: bool = False,
        keep_metadata: bool = True,
    ) -> None:
        self.notes: list[str] = []
        self.frames_left_out = 0
        self.has_captions = False
        self.color = ColorTags()
        self.input_formats: frozenset[PixelFormat] = frozenset({"rgb24"})
        self._pattern, self._next, self._by_time = pattern, first, by_time
        self._first, self._overwrite, self._keep_metadata = first, overwrite, keep_metadata
        self._written: set[int] = set()
        check_is_writable(pattern.path(first))
        self._there = pattern.files()
        if self._there and not overwrite:
            some = next(iter(self._there.values()))
            raise SinkError(f"{some} exists: choose another name, or ask to overwrite it")
        try:
            pattern.folder.mkdir(exist_ok=True)
        except OSError as error:
            raise SinkError(f"cannot create {pattern.folder}: {error.strerror}") from error

    def try_header(self, first: Fraction) -> None:
        """There is none."""

    def write(self, frame: Frame) -> None:
        """Write one frame. Raises SinkError."""
        number = self._first + frame.pts if self._by_time else self._next
        self._next += 1
        path, image, metadata = self._pattern.path(number), rgb_of(frame), None
        if frame.alpha is not None:
            image = np.dstack([image, frame.alpha])
        if picture := frame.picture:
            image = picture.painted_as(image, path)
            metadata = picture.metadata_kept(self._keep_metadata)
            for note in picture.notes_for(path):
                self._note(note)
        if frame.alpha is not None and not supports_alpha(path):
            self._note(f"transparency: composited over white, as {path.suffix} has none")
            image = composited(image, 255)
        write_image(path, image, metadata=metadata, overwrite=self._overwrite)
        self._written.add(number)

    def close(self, *, truncated: bool = False) -> None:
        """Name the files of an earlier run that are still there."""
        if not self._written:
            raise SinkError(f"the source has no frames, so {self._pattern} is not written")
        if older := runs_of(self._there.keys() - self._written):
            self._note(f"older pictures are still there: {in_words(older)}")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        """Nothing is left to do: every file is complete."""

    def _note(self, line: str) -> None:
        if line not in self.notes:
            self.notes.append(line)
