"""The files that a command reads, and the file that each result is written to."""

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
class FileJob:
    """One file to read, and the one to write."""

    source: Path
    target: Path


def is_many(source: str) -> bool:
    """Whether IN is a folder or a pattern, so that OUT must be a folder."""
    path = Path(source)
    return path.is_dir() or (glob.has_magic(source) and not path.exists())


def find_jobs(
    source: str,
    target: Path,
    *,
    readable: Collection[str],
    writable: Collection[str],
    otherwise: str,
) -> list[FileJob]:
    """The jobs for a command's IN and OUT, in the order of the file names.

    source: a file, a folder (every file in it whose extension is in `readable`), or a pattern
    such as "clips/*.mov" (every file it matches). For these two, `target` is a folder, created here
    if it does not exist. A single file may go into a folder as well.
    A result is named like its source; where that extension is not in `writable`, `otherwise`
    replaces it, and files that would share a name keep the old extension too ("a.wmv.mp4").
    Matches in several folders keep these folders.
    Raises SourceError where there are no files, and SinkError for a target of the wrong kind.
    """
    if not is_many(source):
        path = Path(source)
        if not path.exists():
            raise SourceError(f"{path} does not exist; check the name")
        if target.is_dir():
            target /= _named(Path(path.name), writable, otherwise)
        if target.suffix.lower() not in writable:
            raise SinkError(
                f"cannot tell the file format from the name {target}: "
                f"use one of the extensions {', '.join(writable)}"
            )
        return [FileJob(path, target)]
    folder = Path(source)
    if folder.is_dir():
        matches = [path for path in folder.iterdir() if path.suffix.lower() in readable]
        nothing = f"no file in {folder} has a known extension: {', '.join(sorted(readable))}"
    else:
        matches = [Path(match) for match in glob.glob(source, recursive=True)]
        nothing = f"no file matches {source}"
    matches = sorted(path for path in matches if path.is_file())
    if not matches:
        raise SourceError(nothing)
    common = os.path.commonpath([path.parent for path in matches])
    names = [_named(path.relative_to(common), writable, otherwise) for path in matches]
    shared = {name for name in names if names.count(name) > 1}
    jobs = [
        FileJob(
            path, target / (name.with_name(path.name + name.suffix) if name in shared else name)
        )
        for path, name in zip(matches, names, strict=True)
    ]
    if target.is_file() or (target.suffix.lower() in writable and not target.is_dir()):
        raise SinkError(f"cannot write several files to {target}: name a folder")
    try:
        target.mkdir(exist_ok=True)
        for job in jobs:
            job.target.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise SinkError(f"cannot create the folder {target}: {error.strerror}") from None
    return jobs


def _named(path: Path, writable: Collection[str], otherwise: str) -> Path:
    return path if path.suffix.lower() in writable else path.with_suffix(otherwise)
