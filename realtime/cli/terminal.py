"""Output to the terminal: lines, tables, and progress bars."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from impasto.models.errors import SinkError
from impasto.realtime.cli.progress_lines import ProgressLines
from impasto.realtime.progress import OnProgress

if TYPE_CHECKING:  # rich is loaded where it is used: --help needs little of it
    from rich.progress import Progress, TaskID


def print_line(line: str) -> None:
    """Print a result or a note to standard output. Raises SinkError where it cannot be written."""
    try:
        print(line, flush=True)
    except BrokenPipeError:  # nobody reads it any more; the work goes on
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except OSError as error:
        raise SinkError(f"cannot write to standard output: {error.strerror}") from error


def plural(number: int, thing: str) -> str:
    """ "1 frame", "2 frames"."""
    return f"{number} {thing}" if number == 1 else f"{number} {thing}s"


def print_error(line: str) -> None:
    """Print an error to standard error, as one line, whatever the message contains."""
    print("impasto: " + " ".join(line.split()), file=sys.stderr, flush=True)


def print_progress(line: str) -> None:
    """Print a line about the progress of the work to standard error."""
    print(line, file=sys.stderr, flush=True)


def error_message(error: Exception) -> str:
    """The message of an error; of the system's own about a file, its name and the reason."""
    if isinstance(error, OSError) and error.filename is not None:
        return f"{error.filename}: {error.strerror}"
    return str(error)


def show_json(data: Any) -> None:
    """Print figures for another program to standard output."""
    print_line(json.dumps(data, indent=2, default=str))


def show_table(columns: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """Print a table, as wide as the terminal; 200 columns where the output is no terminal."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False)
    for column in columns:
        table.add_column(column, overflow="fold")
    for row in rows:
        table.add_row(*(Text("" if cell is None else str(cell)) for cell in row))
    console = Console(width=None if sys.stdout.isatty() else 200, highlight=False)
    console.print(table)


def show_nested(name: str, data: Any, *, indent: str = "") -> None:
    """Print nested data as indented lines."""
    if isinstance(data, dict) and data:
        print_line(f"{indent}{name}")
        for key, value in data.items():
            show_nested(key, value, indent=indent + "  ")
    elif isinstance(data, list) and data and isinstance(data[0], dict):
        for item in data:
            show_nested(name, item, indent=indent)
    else:
        value = ", ".join(map(str, data)) if isinstance(data, list) else data
        print_line(f"{indent}{name}: {'none' if value in (None, '', {}) else value}")


class Bar:
    """A progress bar for the current file, and above it one for all files where there are several.

    Where standard error is no terminal, a line every half minute stands in for them.
    """

    def __init__(self, progress: Progress, files: int) -> None:
        self._progress = progress
        self._lines = ProgressLines(files, print_progress) if progress.disable else None
        self._all: TaskID | None = None
        if files > 1:
            self._all = progress.add_task("all files", total=None, fps="")
        self._file: TaskID | None = None
        self._frames_before = 0

    @property
    def needs_total(self) -> bool:
        """Whether the total of all files is shown, so that their frames have to be counted."""
        return self._all is not None and not self._progress.disable

    def set_total(self, frames: int) -> None:
        """The number of frames of all files, as far as it is known."""
        if self._all is not None:
            self._progress.update(self._all, total=frames)

    @contextmanager
    def file(self, name: str) -> Iterator[None]:
        """Show the bar of one file until the block ends."""
        self._begin(name)
        try:
            yield
        finally:
            assert self._file is not None
            if self._lines is not None:
                self._lines.end_file()
            task = next(t for t in self._progress.tasks if t.id == self._file)
            self._frames_before += int(task.completed)
            self._progress.remove_task(self._file)

    def start_stage(self, name: str, unit: str = "fps") -> OnProgress:
        """Replace the bar by one for the next stage of the work; returns what moves it on."""
        if self._file is not None:
            self._progress.remove_task(self._file)
        self._begin(name)
        return lambda done, total, rate: self.update(done, total, f"{rate:.1f} {unit}", rate)

    def advance(self, done: int, total: int | None, fps: float) -> None:
        """Move the bar: frames done of this file, how many it has, frames a second."""
        self.update(done, total, f"{fps:.1f} fps")

    def update(self, done: int, total: int | None, text: str, rate: float = 0.0) -> None:
        """Move the bar: steps done of this file, how many it has, and the text beside them.

        rate: of steps in a second, if it is known.
        """
        assert self._file is not None, "no bar was begun"
        self._progress.update(self._file, completed=done, total=total, fps=text)
        if self._all is not None:
            self._progress.update(self._all, completed=self._frames_before + done)
        if self._lines is not None:
            self._lines.update(done, total, text, rate)

    def _begin(self, name: str) -> None:
        self._file = self._progress.add_task(name, total=None, fps="")
        if self._lines is not None:
            self._lines.start(name)


@contextmanager
def progress_bar(*, files: int = 1) -> Iterator[Bar]:
    """A `Bar` on standard error, removed when the block ends; see there for what is no terminal."""
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeRemainingColumn,
    )

    console = Console(stderr=True)
    progress = Progress(
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[fps]}", markup=False),
        TimeRemainingColumn(),
        console=console,
        transient=True,
        disable=not console.is_terminal,
        redirect_stdout=sys.stdout.isatty(),  # else piped output would appear on the screen
        redirect_stderr=True,
    )
    with progress:
        yield Bar(progress, files)
