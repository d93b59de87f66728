"""One job after another: a bar while it runs, a line for what came of it, and what failed."""

from collections.abc import Callable, Sequence
from typing import Any

import typer

from impasto.models.errors import ImpastoError
from impasto.realtime.cli.jobs import Job
from impasto.realtime.cli.terminal import complain, counted, progress_bar, say, show_json, words_of

OnProgress = Callable[[int, int | None, float], None]
Do = Callable[[Job, OnProgress], tuple[str, dict[str, Any]]]


def work_through(
    jobs: Sequence[Job], do: Do, *, count: Callable[[Job], int], quiet: bool
) -> list[dict[str, Any]]:
    """Do every job; a file that fails among several is told, and does not stop the others.

    do: returns a line for the user and figures; figures["lost"] counts frames that are missing in
    the result. count: how many frames a job has, asked only where a bar is to be seen. quiet:
    only errors are told. Returns the figures of each job, with "source", "target" and "error".
    """
    rows = []
    with progress_bar(files=len(jobs)) as bar:
        if bar.needs_total:
            bar.expect(sum(_counted(count, job) for job in jobs))
        for job in jobs:
            row: dict[str, Any] = {"source": job.source, "target": job.target, "error": None}
            rows.append(row)
            try:
                with bar.file(job.source.name):
                    line, figures = do(job, bar.advance)
            except OSError as error:  # a SourceError or a SinkError among them
                if len(jobs) == 1:
                    raise
                row["error"] = words_of(error)
                complain(f"{job.source.name}: {row['error']}")
                continue
            row |= figures
            for note in () if quiet else figures.get("notes", ()):
                say(f"{job.target.name}: {note}")
            if lost := figures.get("lost"):
                frames = counted(lost, "frame")
                row["error"] = f"{frames} could not be decoded"
                complain(f"{job.target} is short of {frames} that could not be decoded")
            if not quiet:
                say(line)
    return rows


def finish(rows: Sequence[dict[str, Any]], *, as_json: dict[str, Any] | None) -> None:
    """Show the figures, sum up several jobs, and leave with exit code 1 if any failed."""
    failed = sum(row["error"] is not None for row in rows)
    if as_json is not None:
        show_json(as_json)
    elif len(rows) > 1:
        summary = f"{len(rows) - failed} of {len(rows)} files are done"
        if failed:
            complain(f"{summary}, {failed} failed")
        else:
            say(summary)
    if failed:
        raise typer.Exit(1)


def _counted(count: Callable[[Job], int], job: Job) -> int:
    try:
        return count(job)
    except ImpastoError:
        return 0  # it will be told when its turn comes
