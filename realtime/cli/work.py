"""One file job after another: a progress bar, a line for each result, and a line for each error."""

from collections.abc import Callable, Sequence
from typing import Any

import typer

from impasto.models.errors import ImpastoError
from impasto.realtime.cli.jobs import FileJob
from impasto.realtime.cli.terminal import (
    error_message,
    plural,
    print_error,
    print_line,
    progress_bar,
    show_json,
)
from impasto.realtime.progress import OnProgress

Do = Callable[[FileJob, OnProgress], tuple[str, dict[str, Any]]]


def run_jobs(
    jobs: Sequence[FileJob], do: Do, *, count: Callable[[FileJob], int], quiet: bool
) -> list[dict[str, Any]]:
    """Do every job; of several, one that fails is reported and the others still run.

    do: returns a line for the user and figures; figures["lost"] counts frames that are missing in
    the result. count: the number of frames of a job, asked only where a progress bar shows it.
    quiet: print errors only. Returns the figures of each job, with "source", "target" and "error".
    """
    rows = []
    with progress_bar(files=len(jobs)) as bar:
        if bar.needs_total:
            bar.set_total(sum(_frame_count(count, job) for job in jobs))
        for job in jobs:
            row: dict[str, Any] = {"source": job.source, "target": job.target, "error": None}
            rows.append(row)
            try:
                with bar.file(job.source.name):
                    line, figures = do(job, bar.advance)
            except OSError as error:  # SourceError and SinkError are among them
                if len(jobs) == 1:
                    raise
                row["error"] = error_message(error)
                print_error(f"{job.source.name}: {row['error']}")
                continue
            row |= figures
            for note in () if quiet else figures.get("notes", ()):
                print_line(f"{job.target.name}: {note}")
            if missing := figures.get("lost"):
                row["error"] = f"{plural(missing, 'frame')} could not be decoded"
                print_error(f"{job.target}: {row['error']} and are missing")
            if not quiet:
                print_line(line)
    return rows


def finish(rows: Sequence[dict[str, Any]], *, as_json: dict[str, Any] | None) -> None:
    """Print the figures or a summary, and exit with code 1 if a job has failed."""
    failed = sum(row["error"] is not None for row in rows)
    if as_json is not None:
        show_json(as_json)
    elif len(rows) > 1:
        summary = f"{len(rows) - failed} of {len(rows)} files are done"
        if failed:
            print_error(f"{summary}, {failed} failed")
        else:
            print_line(summary)
    if failed:
        raise typer.Exit(1)


def _frame_count(count: Callable[[FileJob], int], job: FileJob) -> int:
    try:
        return count(job)
    except ImpastoError:
        return 0  # reported when it is done
