"""A folder that is watched: its files are done as they come, until Ctrl-C."""

from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from pathlib import Path
from time import sleep
from typing import Any

from impasto.models.errors import SinkError, SourceError
from impasto.realtime.cli.inputs import LeftOut, left_out_line
from impasto.realtime.cli.jobs import FileJob
from impasto.realtime.cli.terminal import print_line

POLL_SECONDS = 2.0  # between two looks; what was the same in both has stopped growing
Found = tuple[Sequence[FileJob], Sequence[LeftOut]]


def check_watch(source: str, target: Path) -> None:
    """Raise SourceError or SinkError for what cannot be watched."""
    if not Path(source).is_dir():
        raise SourceError(f"--watch is for a folder, {source} is none")
    if target.exists() and target.samefile(source):
        raise SinkError(f"{target} is the folder that is watched: name another one to write to")


def watch_jobs(
    source: str,
    target: Path,
    find: Callable[[], Found],
    do: Callable[..., object],
    *,
    quiet: bool,
) -> list[dict[str, Any]]:
    """Do the jobs of a folder as their files come, until Ctrl-C; returns all rows.

    find: the jobs at present. do: does some of them, and adds a row for each to its `rows`, which
    has them even if Ctrl-C comes meanwhile. quiet: print errors only. A file that changes after it
    was done is a new one.
    """
    check_watch(source, target)
    if not quiet:
        print_line(f"watching {source}; Ctrl-C ends")
    rows: list[dict[str, Any]] = []
    try:
        for jobs in _as_they_come(source, find, quiet=quiet):
            do(jobs, rows=rows)
    except KeyboardInterrupt:
        return rows
    return rows


class Settling:
    """Tells which things have stopped changing, from looks at all of them."""

    def __init__(self) -> None:
        self._last: dict[Hashable, Hashable] = {}
        self._settled: dict[Hashable, Hashable] = {}

    def look(self, states: Mapping[Any, Hashable]) -> list[Any]:
        """Those in the same state as at the last look, each once for a state."""
        settled = [
            thing
            for thing, state in states.items()
            if self._last.get(thing) == state and self._settled.get(thing) != state
        ]
        self._last = dict(states)
        self._settled |= {thing: states[thing] for thing in settled}
        return settled


def _as_they_come(
    source: str, find: Callable[[], Found], *, quiet: bool
) -> Iterator[Sequence[FileJob]]:
    """Jobs whose files have stopped growing, as soon as there are any."""
    settling, told = Settling(), set[Path]()
    while True:
        try:
            jobs, left_out = find()
        except SourceError:  # there is nothing yet
            jobs, left_out = [], []
            if not Path(source).is_dir():
                raise
        new = [entry for entry in left_out if entry.path not in told]
        told |= {entry.path for entry in new}
        if new and not quiet:
            print_line(left_out_line(new))
        settled = settling.look({job: state for job in jobs if (state := _state(job.source))})
        if settled:
            yield settled
        else:
            sleep(POLL_SECONDS)


def _state(path: Path) -> tuple[int, int] | None:
    """Size and time of change of a file; None for an empty one, or one that is gone."""
    try:
        status = path.stat()
    except OSError:
        return None
    return (status.st_size, status.st_mtime_ns) if status.st_size else None
