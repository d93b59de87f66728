"""`impasto paint --study`: many pictures on one sheet."""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from impasto.models.errors import ImpastoError
from impasto.realtime.cli import options
from impasto.realtime.cli.arguments import parse_paintings
from impasto.realtime.cli.terminal import plural, print_error, print_line, progress_bar, show_json

if TYPE_CHECKING:
    from impasto.realtime.painting.study import StudyJob

NEEDS_NO_CONTENT, NEEDS_NO_STYLE = "texture", "content"  # studies with two files only
Styles = Sequence[tuple[Path, float]]


def files_of(
    study: str | None, content: Path, style: str, target: Path | None
) -> tuple[Path | None, Styles, Path]:
    """(content, paintings, output) from the arguments, of which some studies need only two.

    Raises a usage error where OUT is missing, or no painting can be read from STYLE.
    """
    paintings = options.parsed(parse_paintings)
    if target is not None:
        return content, paintings(style), target
    if study not in (NEEDS_NO_CONTENT, NEEDS_NO_STYLE):
        raise typer.BadParameter(
            "Missing argument OUT; only --study content and texture need one picture and no other."
        )
    if study == NEEDS_NO_STYLE:
        return content, [], Path(style)
    return None, paintings(str(content)), Path(style)


def values_of(text: str | None) -> list[str]:
    """ "1, 10,100" as its parts; "1…100" and "1 ... 100" are "1..100"."""
    text = None if text is None else re.sub(r"\s*(…|\.\.+)\s*", "..", text)
    parts = [] if text is None else [part.strip() for part in text.split(",")]
    if not all(parts):
        raise typer.BadParameter(f"--values has an empty part: {text!r}.")
    return parts


def run_study(job: "StudyJob", *, json: bool) -> None:
    """Paint and write a study, and report it."""
    from impasto.realtime.painting.study import write_study

    try:
        plan = job.plan()
    except ImpastoError:
        raise
    except ValueError as error:
        raise typer.BadParameter(f"{error}.") from None
    log = (lambda line: None) if json else print_line
    with progress_bar() as bar, bar.file(job.target.name):
        report = write_study(
            job, plan, log=log, on_progress=lambda done, total: bar.update(done, total, "")
        )
    if json:
        figures = {"pictures": report.rows, "summary": report.summary, "files": report.files}
        show_json({"study": job.study, "target": report.target, **figures})
    if report.stopped:
        print_error(f"stopped; the pictures so far are in {report.target}")
        raise typer.Exit(130)
    for line in summary_lines(report.summary):
        log(line)
    seconds = sum(row["seconds"] for row in report.rows)
    log(f"{report.target}: {plural(len(report.rows), 'picture')} in {seconds:.1f} s")


def summary_lines(summary: dict[str, Any]) -> list[str]:
    """What the pictures of a study say together, as lines to read."""
    lines = []
    for start, found in summary.get("starts", {}).items():
        lines.append(
            f"from {start}: {found['success_rate']:.0%} of {found['runs']} within 10 % of the "
            f"best, {found['seconds']:.1f} s each"
        )
    if "spread" in summary:
        spreads = ", ".join(f"{name} {share:.1%}" for name, share in summary["spread"].items())
        lines.append(
            f"the pictures differ by {summary['difference']:.1f} of 255 (root mean square), their "
            f"losses by: {spreads}"
        )
    if "knee" in summary:
        knee = summary["knee"]
        lines.append("no knee" if knee is None else f"the knee is at a style weight of {knee:,g}")
    return lines
