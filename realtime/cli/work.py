"""One file job after another: a progress bar, a line for each result, and a line for each error."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import typer

from impasto.models.errors import ImpastoError, TargetInUseError
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

_THERE = "it was there already"
Do = Callable[[FileJob, OnProgress], tuple[str, dict[str, Any]]]


def run_jobs(
    jobs: Sequence[FileJob],
    do: Do,
    *,
    count: Callable[[FileJob], int],
    skip_existing: bool,
    quiet: bool,
    report_errors: bool = False,
    rows: list[dict[str, Any]] | None = None,
) -> list[dict[str, Any]]:
    """Do every job; of several, one that fails is reported and the others still run.

    do: returns a line for the user and figures; figures["lost"] counts frames that are missing in
    the result. count: the number of frames of a job, asked only where a progress bar shows it.
    skip_existing: leave out jobs whose target is there. Of several, those that another process is
    writing are left out in any case. quiet: print errors only. report_errors: of a single job, too;
    else its error is raised. rows: a list to add the figures to, which has them after Ctrl-C, too.
    Returns the figures of each job, with "source", "target", "error" and "skipped", the reason.
    """
    rows = [] if rows is None else rows
    to_do = [job for job in jobs if not (skip_existing and _is_done(job))]
    with progress_bar(files=len(to_do)) as bar:
        if bar.needs_total:
            bar.set_total(sum(_frame_count(count, job) for job in to_do))
        for job in jobs:
            row: dict[str, Any] = {"source": job.source, "target": job.target}
            row |= {"error": None, "skipped": None}
            rows.append(row)
            if skip_existing and _is_done(job):
                row["skipped"] = _THERE
                if not quiet:
                    print_line(f"{job.target} was there already")
                continue
            try:
                with bar.file(job.source.name):
                    line, figures = do(job, bar.advance)
            except OSError as error:  # SourceError and SinkError are among them
                if skip_existing and _is_done(job):  # another process has done it meanwhile
                    row["skipped"] = _THERE
                    continue
                if len(jobs) == 1 and not report_errors:
                    raise
                what = "skipped" if isinstance(error, TargetInUseError) else "error"
                row[what] = error_message(error)
                print_error(f"{job.source.name}: {row[what]}")
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
    skipped = sum(row["skipped"] is not None for row in rows)
    done = len(rows) - failed - skipped
    if as_json is not None:
        show_json(as_json | {"done": done, "skipped": skipped, "failed": failed})
    elif len(rows) > 1:
        there = sum(row["skipped"] == _THERE for row in rows)
        summary = f"{done} of {len(rows)} files are done"
        if there:
            summary += f", {there} {'was' if there == 1 else 'were'} there already (skipped)"
        if skipped > there:
            summary += f", {skipped - there} written by another process (skipped)"
        if failed:
            print_error(f"{summary}, {failed} failed")
        else:
            print_line(summary)
    if failed:
        raise typer.Exit(1)


def _is_done(job: FileJob) -> bool:
    """Whether the target is there; not an empty file, and not the source itself."""
    if not isinstance(job.target, Path):
        return False
    try:
        is_source = isinstance(job.source, Path) and job.target.samefile(job.source)
        return job.target.stat().st_size > 0 and not is_source
    except OSError:
        return False


def _frame_count(count: Callable[[FileJob], int], job: FileJob) -> int:
    try:
        return count(job)
    except ImpastoError:
        return 0  # reported when it is done
