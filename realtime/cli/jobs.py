"""The files that a command reads, and the file that each result is written to."""

import os
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from impasto.models.errors import SinkError, SourceError
from impasto.realtime.cli.inputs import LeftOut, choose_inputs, is_many
from impasto.realtime.files.dvd import title_name

# What FFmpeg reads as films, of these names; other files are read by their own names only.
VIDEO_EXTENSIONS = frozenset(
    (".mp4", ".m4v", ".mp4v", ".mov", ".qt", ".3gp", ".3gpp", ".3g2", ".3gp2", ".f4v", ".m4p")
    + (".ismv", ".mj2", ".mkv", ".mk3d", ".webm", ".avi", ".divx", ".xvid", ".amv", ".wmv", ".asf")
    + (".flv", ".ogv", ".ogm", ".ogx", ".rm", ".rmvb", ".nut", ".ivf", ".wtv", ".gif")
    + (".ts", ".tp", ".trp", ".m2t", ".m2ts", ".mts", ".tod", ".mpg", ".mpeg", ".mpe", ".mpv")
    + (".m1v", ".m2v", ".mp2v", ".m2p", ".vob", ".vro", ".evo", ".mod", ".nsv", ".lrv", ".insv")
    + (".h261", ".h263", ".h264", ".264", ".avc", ".h265", ".265", ".hevc", ".h266", ".266")
    + (".vvc", ".obu", ".vc1", ".dv", ".dif", ".mxf", ".gxf", ".y4m", ".mjpg", ".mjpeg")
    + (".bik", ".smk", ".fli", ".flc")
)


@dataclass(frozen=True)
class FileJob:
    """One file to read, and the one to write."""

    source: Any  # a Path; or, where it is the only one, an InputPipe or a WebAddress
    target: Any  # a Path, or an OutputPipe


def find_jobs(
    source: str,
    target: Path,
    *,
    readable: Collection[str],
    writable: Collection[str],
    otherwise: str,
    instead: Mapping[str, str] | None = None,
) -> tuple[list[FileJob], list[LeftOut]]:
    """The jobs for a command's IN and OUT, in the order of the file names; and what is left out.

    source: a file, a folder, or a pattern such as "clips/*.mov", see `choose_inputs`. For these
    two, `target` is a folder, created here if it does not exist. A single file may go into a folder
    as well.
    A result is named like its source; where that extension is not in `writable`, the one that
    `instead` has for it replaces it, or else `otherwise`; files that would share a name keep the
    old extension too ("a.wmv.mp4").
    Matches in several folders keep these folders.
    Raises SourceError where there are no files, and SinkError for a target of the wrong kind.
    """

    def extension_of(path: Path) -> str:
        return (instead or {}).get(path.suffix.lower(), otherwise)

    if not is_many(source):
        path = Path(source)
        if not path.exists():
            raise SourceError(f"{path} does not exist; check the name")
        if target.is_dir():
            target /= _named(Path(title_name(path).name), writable, extension_of)
        if target.suffix.lower() not in writable:
            raise SinkError(
                f"cannot tell the file format from the name {target}: "
                f"use one of the extensions {', '.join(writable)}"
            )
        return [FileJob(path, target)], []
    matches, left_out = choose_inputs(source, readable)
    common = os.path.commonpath([path.parent for path in matches])
    names = [
        _named(title_name(path).relative_to(common), writable, extension_of) for path in matches
    ]
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
    return jobs, [entry for entry in left_out if entry.path != target]


def _named(path: Path, writable: Collection[str], extension_of: Callable[[Path], str]) -> Path:
    return path if path.suffix.lower() in writable else path.with_suffix(extension_of(path))
