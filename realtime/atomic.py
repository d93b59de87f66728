"""A file that takes its name only when it is complete."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from impasto.models.errors import SinkError


def partial_path(path: Path) -> Path:
    """Where `path` is written until it is complete: NAME.partial.EXT, in the same folder."""
    return path.with_name(f"{path.stem}.partial{path.suffix}")


class Target:
    """The name a file shall have, and the one it is written under until `commit`.

    Making one claims the folder: it raises SinkError if the name is taken (unless `overwrite`),
    or if nothing can be written there. A partial file of an earlier, interrupted run is replaced.
    """

    def __init__(self, path: Path, *, overwrite: bool = False) -> None:
        self.path = path
        self.partial = partial_path(path)
        self._overwrite = overwrite
        if path.is_dir():
            raise SinkError(f"{path} is a folder: give the name of a file in it")
        if os.path.lexists(path) and not overwrite:  # also where it points to nothing
            raise SinkError(f"{path} exists: choose another name, or ask to overwrite it")
        if not path.parent.is_dir():
            raise SinkError(f"there is no folder {path.parent} to write {path.name} to: make it")
        try:
            self.partial.open("wb").close()
        except OSError as error:
            raise SinkError(f"cannot write to {path.parent}: {error.strerror}") from error

    def commit(self) -> None:
        """Give the finished file its name. SinkError if somebody took it meanwhile."""
        try:
            if not self._overwrite:
                # Taking the name first, exclusively, leaves no moment in which another file of
                # that name could be replaced unseen; and unlike a hard link, it works everywhere.
                os.close(os.open(self.path, os.O_CREAT | os.O_EXCL | os.O_WRONLY))
            os.replace(self.partial, self.path)
        except FileExistsError as error:
            raise SinkError(
                f"{self.path} was made by somebody else meanwhile: yours is {self.partial}"
            ) from error
        except OSError as error:
            raise SinkError(
                f"cannot rename to {self.path} ({error.strerror}): yours is {self.partial}"
            ) from error

    def discard(self) -> None:
        """Remove what was written."""
        self.partial.unlink(missing_ok=True)


def check_target(path: Path, *, overwrite: bool = False) -> None:
    """Raise SinkError now for what `Target` would refuse when the work is done."""
    Target(path, overwrite=overwrite).discard()


@contextmanager
def written(path: Path, *, overwrite: bool = False) -> Iterator[Path]:
    """The name to write `path` under until the block ends; nothing is left where it raises."""
    target = Target(path, overwrite=overwrite)
    try:
        yield target.partial
    except BaseException:
        target.discard()
        raise
    target.commit()


def write_file(path: Path, data: bytes, *, overwrite: bool = False) -> None:
    """A small file, all at once. Raises SinkError."""
    with written(path, overwrite=overwrite) as partial:
        try:
            partial.write_bytes(data)
        except OSError as error:
            raise SinkError(f"cannot write {path}: {error.strerror}") from error
