"""Which files a command is to work on, and where the result of each goes."""

import glob
import os
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

from impasto.models.errors import SinkError, SourceError

VIDEO_EXTENSIONS = frozenset(
    (".mp4", ".m4v", ".mov", ".mkv", ".webm", ".avi", ".ts", ".m2ts", ".mts", ".mpg", ".mpeg")
    + (".wmv", ".flv", ".ogv", ".3gp", ".mxf", ".gif")
)


@dataclass(frozen=True)
class Job:
    """One file to read, and the one to write."""

    source: Path
    target: Path


def is_many(source: str) -> bool:
    """Whether a command's IN names a folder or a pattern, so that its OUT is a folder."""
    path = Path(source)
    return path.is_dir() or (glob.has_magic(source) and not path.exists())


def find_jobs(
    source: str,
    target: Path,
    *,
    readable: Collection[str],
    writable: Collection[str],
    otherwise: str,
) -> list[Job]:
    """The work for a command's IN and OUT, in the order of the names.

    source: a file, a folder (every file in it whose extension is in `readable`), or a pattern
    such as "clips/*.mov" (every file it matches). For these two, `target` is a folder, made here
    if need be. A single file may go into a folder as well.
    A result is named like its source; where that extension is not in `writable`, `otherwise`
    replaces it, and two that would share a name keep the old one too ("a.wmv.mp4"). Matches in
    several folders stay in such folders.
    Raises SourceError where there is nothing to do, and SinkError for a target of the wrong kind.
    """
    if not is_many(source):
        path = Path(source)
        if not path.exists():
            raise SourceError(f"{path} does not exist; check the name")
        if target.is_dir():
            target /= _named(Path(path.name), writable, otherwise)
        if target.suffix.lower() not in writable:
            given = f"{target.suffix!r} is none of them" if target.suffix else "there is none"
            raise SinkError(
                f"the extension of {target} chooses its kind, and {given}: "
                f"use {', '.join(writable)}"
            )
        return [Job(path, target)]
    folder = Path(source)
    if folder.is_dir():
        found = [path for path in folder.iterdir() if path.suffix.lower() in readable]
        kinds = ", ".join(sorted(readable))
        nothing = f"no file in {folder} has an extension that is known: {kinds}"
    else:
        found = [Path(match) for match in glob.glob(source, recursive=True)]
        nothing = f"no file matches {source}"
    found = sorted(path for path in found if path.is_file())
    if not found:
        raise SourceError(nothing)
    common = os.path.commonpath([path.parent for path in found])
    names = [_named(path.relative_to(common), writable, otherwise) for path in found]
    shared = {name for name in names if names.count(name) > 1}
    jobs = [
        Job(path, target / (name.with_name(path.name + name.suffix) if name in shared else name))
        for path, name in zip(found, names, strict=True)
    ]
    if target.is_file() or (target.suffix.lower() in writable and not target.is_dir()):
        raise SinkError(f"several files cannot go into {target}: name a folder")
    try:
        target.mkdir(exist_ok=True)
        for job in jobs:
            job.target.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise SinkError(f"cannot make the folder {target}: {error.strerror}") from None
    return jobs


def _named(path: Path, writable: Collection[str], otherwise: str) -> Path:
    return path if path.suffix.lower() in writable else path.with_suffix(otherwise)
