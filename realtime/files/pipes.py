"""Films that are read from, or written to, a pipe: standard input and output, or any file object.

A pipe can be read once and written once, from the beginning to the end: it has no seeking.
"""

import select
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import BinaryIO

from impasto.models.errors import SourceError

_POLL_SECONDS = 0.2  # between two looks at whether reading has been stopped


class InputPipe:
    """A film that is read from a binary file object, such as `sys.stdin.buffer`.

    file: one that is unbuffered and has a descriptor (`open(0, "rb", buffering=0)`) can be stopped
    while nothing comes; another is waited for. name: for messages.
    """

    def __init__(self, file: BinaryIO, name: str = "standard input") -> None:
        self.name = name
        self._read = getattr(file, "read1", file.read)  # what is there, at once
        self._descriptor: int | None = None
        if hasattr(file, "readall") and sys.platform != "win32":  # io.RawIOBase
            self._descriptor = file.fileno()
        self._stopped = False
        self.is_empty = True  # nothing was read so far

    def read(self, size: int) -> bytes:
        """At most `size` bytes, as soon as there are any; none at the end, or after a stop.

        Raises SourceError.
        """
        try:
            while self._descriptor is not None:
                if self._stopped:
                    return b""
                if select.select([self._descriptor], [], [], _POLL_SECONDS)[0]:
                    break
            data = self._read(size)
        except OSError as error:  # a folder, a disk that fails
            raise SourceError(f"cannot read {self.name}: {error.strerror}") from error
        self.is_empty = self.is_empty and not data
        return data

    @contextmanager
    def stopped_by_errors(self) -> Iterator[None]:
        """Context manager: an exception ends a read in another thread that waits for data."""
        try:
            yield
        except BaseException:
            self._stopped = True
            raise

    def __str__(self) -> str:
        return self.name


class OutputPipe:
    """A film that is written to a binary file object, such as `sys.stdout.buffer`.

    extension: that of a file of this format: ".mkv", ".webm", ".ts" or ".y4m". name: for messages.
    It is written to as `atomic.Target` is, without a name to give or a file to remove.
    """

    def __init__(
        self, file: BinaryIO, extension: str = ".mkv", *, name: str = "standard output"
    ) -> None:
        self.name, self.suffix = name, extension
        self._file = file

    def write(self, data: bytes) -> int:
        """Write all of it, at once. Raises BrokenPipeError if the reader is gone."""
        self._file.write(data)
        self._file.flush()
        return len(data)

    def commit(self) -> None:
        """Nothing is left to do."""

    def keep(self) -> None:
        """What was written is with the reader."""

    def discard(self) -> None:
        """What was written cannot be taken back."""

    def __str__(self) -> str:
        return self.name
