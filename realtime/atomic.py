"""Atomic file writing: a file gets its final name only when it is complete."""

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from impasto.models.errors import SinkError
from impasto.realtime.target_lock import TargetLock


def partial_path(path: Path) -> Path:
    """The name of what was written of `path` before an interruption: NAME.partial.EXT beside it."""
    return path.with_name(f"{path.stem}.partial{path.suffix}")


class Target:
    """An output file, written as `partial` and renamed to `path` by `commit`.

    The constructor locks the name and creates the partial file: NAME.partial.EXT; beside one of an
    earlier, interrupted run, NAME.new.partial.EXT, which takes the other's place when it is kept,
    and with whose commit the other goes; or where the lock may not keep others out, a name that no
    other process has. It raises TargetInUseError if another process is writing to `path`, and
    SinkError if `path` exists (unless `overwrite`) or the folder cannot be written to.
    """

    def __init__(self, path: Path, *, overwrite: bool = False) -> None:
        self.path = path
        self._overwrite = overwrite
        self._is_open = True
        self._earlier: Path | None = None  # kept by an interrupted run
        if path.is_dir():
            raise SinkError(f"{path} is a folder: give the name of a file in it")
        self._check_name()
        if not path.parent.is_dir():
            raise SinkError(f"there is no folder {path.parent} to write {path.name} to: create it")
        with self._errors():
            self._lock = TargetLock(path)
            try:
                self._check_name()  # it may have been written before it was locked
                self.partial = self._partial_name()
                self.partial.open("wb").close()
                self._created = self.partial.stat()
            except BaseException:
                self._lock.release()
                raise

    def commit(self) -> None:
        """Rename the complete file to `path`. Raises SinkError if `path` was created meanwhile."""
        self._is_open = created = False
        try:
            if self._is_replaced():
                raise SinkError(f"{self.partial} was replaced while it was written: start again")
            if not self._overwrite:
                # Creating the name first, exclusively, leaves no moment in which another file of
                # that name could be replaced; and unlike a hard link, it works on any file system.
                os.close(os.open(self.path, os.O_CREAT | os.O_EXCL | os.O_WRONLY))
                created = True
            os.replace(self.partial, self.path)
            self._remove_earlier()
        except SinkError:
            raise
        except OSError as error:
            if created:
                self.path.unlink()
            self._keep()
            taken = isinstance(error, FileExistsError)
            what = "was created meanwhile" if taken else f"cannot be renamed to: {error.strerror}"
            raise SinkError(f"{self.path} {what}; the output is kept as {self.partial}") from error
        finally:
            self._lock.release()

    def keep(self) -> None:
        """Leave what was written, as NAME.partial.EXT unless another process has that name."""
        self._is_open = False
        self._keep()
        self._lock.release()

    def discard(self) -> None:
        """Remove the partial file, unless it was committed or kept."""
        if self._is_open and not self._is_replaced():
            self.partial.unlink(missing_ok=True)
        self._is_open = False
        self._lock.release()

    def _keep(self) -> None:
        kept = partial_path(self.path)
        self._remove_earlier()
        with suppress(OSError):
            if not kept.exists():
                os.rename(self.partial, kept)
                self.partial = kept

    def _remove_earlier(self) -> None:
        if self._earlier is not None:
            with suppress(OSError):  # on Windows: the file is open
                self._earlier.unlink()

    def _check_name(self) -> None:
        if os.path.lexists(self.path) and not self._overwrite:  # a broken link, too
            raise SinkError(f"{self.path} exists: choose another name, or ask to overwrite it")

    def _partial_name(self) -> Path:
        """A name to write to, free of other files."""
        if self._lock.excludes_others():
            free = partial_path(self.path)
            if free.is_file() and not free.is_symlink():
                self._earlier = free
                free = free.with_name(f"{self.path.stem}.new.partial{self.path.suffix}")
            with suppress(PermissionError):  # on Windows: the file is open
                # Another file, as its writer may have lost its lock, and still be at it.
                if free.is_file() and not free.is_symlink():
                    free.unlink()
                return free
        own = f"{self.path.stem}.{secrets.token_hex(4)}.partial{self.path.suffix}"
        return self.path.with_name(own)

    def _is_replaced(self) -> bool:
        """Whether another program put its own file in the place of ours: the lock file was lost."""
        if self._lock.is_intact():
            return False
        if self._lock.is_taken() or not self.partial.exists():
            return True
        return not os.path.samestat(self._created, self.partial.stat())

    @contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            yield
        except SinkError:
            raise
        except OSError as error:
            raise SinkError(f"cannot write to {self.path.parent}: {error.strerror}") from error


def check_target(path: Path, *, overwrite: bool = False) -> None:
    """Raise SinkError now if `Target(path)` would, so that long work does not fail at its end."""
    Target(path, overwrite=overwrite).discard()


@contextmanager
def reserved(path: Path) -> Iterator[None]:
    """Context manager: nobody else begins to write `path`, which is written after the block.

    For work that takes long and writes at its end. Raises TargetInUseError.
    """
    lock = TargetLock(path)
    try:
        yield
    finally:
        lock.release()


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
