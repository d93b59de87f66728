"""Atomic file writing: a file gets its final name only when it is complete."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from impasto.models.errors import SinkError


def partial_path(path: Path) -> Path:
    """The temporary name of `path` while it is written: NAME.partial.EXT, in the same folder."""
    return path.with_name(f"{path.stem}.partial{path.suffix}")


class Target:
    """An output file, written as `partial` and renamed to `path` by `commit`.

    The constructor creates the partial file, and replaces one of an earlier, interrupted run. It
    raises SinkError if `path` exists (unless `overwrite`) or the folder cannot be written to.
    """

    def __init__(self, path: Path, *, overwrite: bool = False) -> None:
        self.path = path
        self.partial = partial_path(path)
        self._overwrite = overwrite
        if path.is_dir():
            raise SinkError(f"{path} is a folder: give the name of a file in it")
        if os.path.lexists(path) and not overwrite:  # a broken link, too
            raise SinkError(f"{path} exists: choose another name, or ask to overwrite it")
        if not path.parent.is_dir():
            raise SinkError(f"there is no folder {path.parent} to write {path.name} to: create it")
        try:
            self.partial.open("wb").close()
        except OSError as error:
            raise SinkError(f"cannot write to {path.parent}: {error.strerror}") from error

    def commit(self) -> None:
        """Rename the complete file to `path`. Raises SinkError if `path` was created meanwhile."""
        try:
            if not self._overwrite:
                # Creating the name first, exclusively, leaves no moment in which another file of
                # that name could be replaced; and unlike a hard link, it works on any file system.
                os.close(os.open(self.path, os.O_CREAT | os.O_EXCL | os.O_WRONLY))
            os.replace(self.partial, self.path)
        except FileExistsError as error:
            raise SinkError(
                f"{self.path} was created meanwhile: the output is kept as {self.partial}"
            ) from error
        except OSError as error:
            raise SinkError(
                f"cannot rename to {self.path}: {error.strerror}; "
                f"the output is kept as {self.partial}"
            ) from error

    def discard(self) -> None:
        """Remove the partial file."""
        self.partial.unlink(missing_ok=True)


def check_target(path: Path, *, overwrite: bool = False) -> None:
    """Raise SinkError now if `Target(path)` would, so that long work does not fail at its end."""
    Target(path, overwrite=overwrite).discard()


@contextmanager
def atomic_write(path: Path, *, overwrite: bool = False) -> Iterator[Path]:
    """Context manager: the partial name of `path`, renamed at the end and removed on an error."""
    target = Target(path, overwrite=overwrite)
    try:
        yield target.partial
    except BaseException:
        target.discard()
        raise
    target.commit()


def write_file(path: Path, data: bytes, *, overwrite: bool = False) -> None:
    """Write a small file at once. Raises SinkError."""
    with atomic_write(path, overwrite=overwrite) as partial:
        try:
            partial.write_bytes(data)
        except OSError as error:
            raise SinkError(f"cannot write {path}: {error.strerror}") from error
