"""The files of a folder or a pattern that a command reads, and why it leaves out the others."""

import glob
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import NamedTuple

from impasto.models.errors import SourceError
from impasto.realtime.files.dvd import is_later_part, is_menu

_NAMED = 8  # files in a line about those that are left out


class LeftOut(NamedTuple):
    """A file that is not read, and why."""

    path: Path
    reason: str


def is_many(source: str) -> bool:
    """Whether IN is a folder or a pattern, so that OUT must be a folder."""
    path = Path(source)
    return path.is_dir() or (glob.has_magic(source) and not path.exists())


def choose_inputs(source: str, readable: Collection[str]) -> tuple[list[Path], list[LeftOut]]:
    """The files to read of a folder or a pattern, by name, and those that are left out.

    source: a folder: the files in it whose extension is in `readable`, in any case; the titles of
    a DVD, also if the folder is that of the whole disc. Or a pattern, such as "clips/*.mov": every
    file it matches. Raises SourceError where there are none.
    """
    folder = Path(source)
    if not folder.is_dir():
        matches = sorted(Path(match) for match in glob.glob(source, recursive=True))
        paths = [path for path in matches if not path.is_dir()]
        inputs, left_out = _sorted_out(paths, readable=None)
        if not inputs:
            raise SourceError(f"no file matches {source}" + _in_brackets(left_out))
        return inputs, left_out
    paths = sorted(folder.iterdir())
    discs = [path for path in paths if path.name.upper() == "VIDEO_TS" and path.is_dir()]
    for disc in discs:
        paths.remove(disc)
        paths += sorted(disc.iterdir())
    inputs, left_out = _sorted_out(paths, readable)
    if not inputs:
        raise SourceError(
            f"no file in {folder} has an extension that is known{_in_brackets(left_out)}; "
            "give a file by its name"
        )
    return inputs, left_out


def left_out_line(left_out: Sequence[LeftOut]) -> str:
    """What is left out, in one line: the first names of each reason."""
    names: dict[str, list[str]] = {}
    for path, reason in left_out:
        names.setdefault(reason, []).append(path.name)
    parts = []
    for reason, some in names.items():
        more = len(some) - _NAMED
        parts.append(
            ", ".join(some[:_NAMED]) + (f" and {more} more" if more > 0 else "") + f" ({reason})"
        )
    return "left out: " + "; ".join(parts)


def _in_brackets(left_out: Sequence[LeftOut]) -> str:
    return f" ({left_out_line(left_out)})" if left_out else ""


def _sorted_out(
    paths: Sequence[Path], readable: Collection[str] | None
) -> tuple[list[Path], list[LeftOut]]:
    """Those to read, and the others; readable: extensions, None for any."""
    inputs, left_out = [], []
    for path in paths:
        reason = _reason_against(path, readable)
        if reason is None:
            inputs.append(path)
        elif reason:
            left_out.append(LeftOut(path, reason))
    return inputs, left_out


def _reason_against(path: Path, readable: Collection[str] | None) -> str | None:
    """Why a file is not read; empty where that need not be said, None where it is read."""
    is_known = readable is None or path.suffix.lower() in readable
    if path.name.startswith(".") and readable is not None:
        return "hidden" if is_known else ""
    if path.is_dir():
        return 'a folder: a pattern such as "**/*.mp4" reads into folders'
    if not path.is_file():
        return "not a file"
    if not is_known:
        return "not a known extension"
    if path.stem.endswith(".partial"):
        return "unfinished"
    if is_menu(path):
        return "a menu of a DVD"
    return "" if is_later_part(path) else None
