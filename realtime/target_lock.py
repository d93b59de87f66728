"""A lock on an output file: one process writes it at a time, and others are told which."""

import os
import platform
import time
from contextlib import suppress
from pathlib import Path

from filelock import lock_descriptor

from impasto.models.errors import TargetInUseError

_LOCKED = b" "  # the byte that is locked: Windows lets nobody else read it
_SIGNING_SECONDS = 0.1
_FLAGS = os.O_CREAT | os.O_RDWR | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_BINARY", 0)


class TargetLock:
    """The lock on an output file: the operating system's, on a file `.NAME.lock` beside it.

    It ends with its process, however that ends, so a lock file that was left behind blocks nobody.
    On a file system without locks nobody is kept out: `is_intact` is then false.

    Raises TargetInUseError if it is held, by another process or by this one, and OSError if the
    folder cannot be written to.
    """

    def __init__(self, target: Path) -> None:
        self._path = target.with_name(f".{target.name}.lock")
        self._descriptor: int | None = None
        self._last: str | None = None  # the holder that ended without a release
        while self._descriptor is None:
            opened = _open(self._path)
            is_locked, holder = _try_lock(opened), _signature(opened)
            if is_locked and _is_file_at(self._path, opened):
                self._descriptor, self._last = opened, holder
                _sign(opened)
                return
            if is_locked is False and holder is None:  # which locked it just now, and signs next
                time.sleep(_SIGNING_SECONDS)
                holder = _signature(opened)
            os.close(opened)
            if is_locked is None:
                self._path.unlink(missing_ok=True)
                return
            if not is_locked:
                raise TargetInUseError(
                    f"{holder or 'another process'} is writing {target}: "
                    "wait until it is done, or choose another name"
                )
            # Else its last holder has just removed the file: once more.

    def excludes_others(self) -> bool:
        """Whether certainly nobody else is writing the target.

        Some network file systems lock on each computer by itself: if the last holder was on another
        one, and its file is still there, that may be still at work.
        """
        is_local = self._last is None or self._last.endswith(f" on {platform.node()}")
        return self.is_intact() and is_local

    def is_intact(self) -> bool:
        """Whether the lock is held, and its file was not removed by another program."""
        return self._descriptor is not None and _is_file_at(self._path, self._descriptor)

    def is_taken(self) -> bool:
        """Whether another process has it now, as its file was removed."""
        held = self._descriptor is not None
        return held and self._path.exists() and not self.is_intact()

    def release(self) -> None:
        """Release the lock and remove its file. A second call does nothing."""
        opened, self._descriptor = self._descriptor, None
        if opened is None:
            return
        is_ours = _is_file_at(self._path, opened)
        with suppress(OSError):
            if is_ours and os.name != "nt":  # while it is held: nobody else can lock it before
                self._path.unlink()
        os.close(opened)
        with suppress(OSError):
            if is_ours and os.name == "nt":  # no open file can be removed: if locked anew, it stays
                self._path.unlink()

    def __del__(self) -> None:
        self.release()


def this_process() -> str:
    """How a lock names its holder."""
    return f"process {os.getpid()} on {platform.node()}"


def _open(path: Path) -> int:
    try:
        return os.open(path, _FLAGS, 0o666)
    except PermissionError:
        if not path.exists():  # the folder is read-only
            raise
        return os.open(path, os.O_RDONLY)  # the file of another user


def _try_lock(descriptor: int) -> bool | None:
    """Whether the file could be locked; None where the file system has no locks."""
    try:
        return lock_descriptor(descriptor, blocking=False)
    except OSError:
        return None


def _is_file_at(path: Path, descriptor: int) -> bool:
    try:
        return os.path.samestat(path.stat(), os.fstat(descriptor))
    except OSError:
        return False


def _signature(descriptor: int) -> str | None:
    """The holder that signed a lock file; None if nobody did."""
    with suppress(OSError):
        os.lseek(descriptor, len(_LOCKED), os.SEEK_SET)
        return os.read(descriptor, 200).decode(errors="replace").strip() or None
    return None


def _sign(descriptor: int) -> None:
    with suppress(OSError):  # read-only: the file of another user
        os.lseek(descriptor, 0, os.SEEK_SET)
        os.ftruncate(descriptor, 0)
        os.write(descriptor, _LOCKED + this_process().encode() + b"\n")
