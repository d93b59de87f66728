"""Titles of DVD-Video: each is split into files of 1 GiB, which are read as one."""

import io
import os
import re
from collections.abc import Sequence
from pathlib import Path

_TITLE_FILE = re.compile(r"(VTS_\d\d_)(\d)(\.VOB)", re.IGNORECASE)


def title_parts(path: Path) -> list[Path]:
    """The files of the title that begins with `path`: VTS_nn_1.VOB, VTS_nn_2.VOB ..., at most nine.

    Any other file is alone.
    """
    found = _TITLE_FILE.fullmatch(path.name)
    parts = [path]
    if found is not None and found[2] == "1":
        for number in range(2, 10):
            part = path.with_name(f"{found[1]}{number}{found[3]}")
            if not part.is_file() or not part.stat().st_size:
                break
            parts.append(part)
    return parts


def title_notes(source: object) -> list[str]:
    """A line for the user where more is read than the file itself; for a path, else none."""
    parts = title_parts(Path(source)) if isinstance(source, str | Path) else []
    if len(parts) < 2:
        return []
    return [f"{parts[0].name} to {parts[-1].name}: one title of a DVD, read as one"]


def title_name(path: Path) -> Path:
    """VTS_nn.VOB for the first file of several of one title; the path itself for any other."""
    return path if len(title_parts(path)) == 1 else path.with_name(path.name[:6] + path.suffix)


def is_later_part(path: Path) -> bool:
    """Whether a file is read with the first one of its title."""
    found = _TITLE_FILE.fullmatch(path.name)
    if found is None or found[2] < "2":
        return False
    return path in title_parts(path.with_name(f"{found[1]}1{found[3]}"))


def is_menu(path: Path) -> bool:
    """Whether a file is a menu of a DVD: VIDEO_TS.VOB, VTS_nn_0.VOB."""
    found = _TITLE_FILE.fullmatch(path.name)
    return path.name.upper() == "VIDEO_TS.VOB" or (found is not None and found[2] == "0")


class JoinedFiles(io.RawIOBase):
    """Files on disk, read as if they were one."""

    def __init__(self, paths: Sequence[Path]) -> None:
        self.name = os.fspath(paths[0])
        self._paths = paths
        self._sizes = [path.stat().st_size for path in paths]
        self._position = 0
        self._file: io.FileIO | None = None
        self._index = -1  # of the file that is open

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._position

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        base = {os.SEEK_SET: 0, os.SEEK_CUR: self._position, os.SEEK_END: sum(self._sizes)}[whence]
        self._position = max(0, base + offset)
        return self._position

    def readinto(self, buffer) -> int:  # type: ignore[no-untyped-def, override]
        start = self._position
        for index, size in enumerate(self._sizes):
            if start < size:
                count = self._open(index, start).readinto(memoryview(buffer)[: size - start]) or 0
                self._position += count
                return count
            start -= size
        return 0

    def close(self) -> None:
        if self._file is not None:
            self._file.close()
        super().close()

    def _open(self, index: int, start: int) -> io.FileIO:
        if self._file is None or index != self._index:
            if self._file is not None:
                self._file.close()
            self._file, self._index = io.FileIO(self._paths[index]), index
        self._file.seek(start)
        return self._file
