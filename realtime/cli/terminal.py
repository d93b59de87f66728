"""What the command shows: lines, tables, and a bar of progress."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from impasto.models.errors import SinkError

if TYPE_CHECKING:  # rich is loaded where it is used: --help needs little of it
    from rich.progress import Progress, TaskID


def say(line: str) -> None:
    """A result or a note, on standard output; SinkError where that takes no more."""
    try:
        print(line, flush=True)
    except BrokenPipeError:  # nobody reads any more, and the work is not to suffer from it
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except OSError as error:
        raise SinkError(f"cannot write to standard output: {error.strerror}") from error


def counted(number: int, thing: str) -> str:
    """ "1 frame", "2 frames"."""
    return f"{number} {thing}" if number == 1 else f"{number} {thing}s"


def complain(line: str) -> None:
    """An error, as one line on standard error, whatever the message holds."""
    print("impasto: " + " ".join(line.split()), file=sys.stderr, flush=True)


def words_of(error: Exception) -> str:
    """What an error says; of the system's own, which file it is about and why."""
    if isinstance(error, OSError) and error.filename is not None:
        return f"{error.filename}: {error.strerror}"
    return str(error)


def show_json(data: Any) -> None:
    """Figures for another program, on standard output."""
    say(json.dumps(data, indent=2, default=str))


def show_table(columns: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """A table as wide as the terminal; whole where the output goes to a file or another program."""
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


def show_speeds(figures: dict[str, Any]) -> None:
    """What `measure.bench.bench` found: the networks, the limit, a conversion, the machine."""
    rows = figures["networks"]

    def case(row: dict[str, Any]) -> tuple[Any, ...]:
        return row["engine"], row["precision"], row["width"]

    classic = {case(row): row["fps"] for row in rows if row["network"] == "classic"}
    columns = ("network", "engine", "precision", "norms", "size", "fps", "ms a frame", "x classic")
    table = []
    for row in rows:
        size = f"{row['width']}x{row['height']}"
        spread = f"{row['ms']:.1f} ({row['ms_min']:.1f} to {row['ms_max']:.1f})"
        peer = classic.get(case(row))  # there is no classic network in int8
        times = "" if peer is None else f"{row['fps'] / peer:.1f}"
        norms = "carried" if row["folded"] else "each frame's"
        named = (row["network"], row["engine"], row["precision"], norms, size)
        table.append((*named, f"{row['fps']:.1f}", spread, times))
    show_table(columns, table)
    if on_gpu := figures.get("on_gpu"):
        show_table(
            ("on the GPU alone", "precision", "size", "batch", "fps"),
            [
                (
                    r["engine"],
                    r["precision"],
                    f"{r['width']}x{r['height']}",
                    r["batch"],
                    f"{r['fps']:.0f}",
                )
                for r in on_gpu
            ],
        )
    for precision, found in figures["limit"].items():
        matmul, conv = found["matmul_gflops"], found["convolution_gflops"]
        say(f"limit in {precision}: {matmul:.0f} gflops (matrix product), {conv:.0f} (convolution)")
    if whole := figures.get("end_to_end"):
        say(
            f"{whole['clip']} from end to end: {whole['fps']:.1f} fps, "
            f"{whole['fps'] / whole['network_fps']:.0%} of the network alone "
            f"({whole['network_fps']:.1f} fps, {whole['engine']} {whole['precision']}); "
            f"first frame after {whole['first_frame_s']:.1f} s, "
            f"{whole['steady_fps']:.1f} fps from it on"
        )
        parts = {part: f"{whole[part + '_ms']:.1f} ms" for part in ("decode", "stylize", "encode")}
        say("busy a frame: " + ", ".join(f"{part} {time}" for part, time in parts.items()))
        say(f"processor time a frame, of all cores: {whole['processor_ms']:.1f} ms")
        if whole["peak_memory_mb"]:
            say(f"peak memory: {whole['peak_memory_mb']:.0f} MB")
    else:
        say("no conversion was timed: name a clip with --clip")
    show_findings("machine", figures["machine"])


def show_live(figures: dict[str, Any]) -> None:
    """What `realtime.measure.bench_live.bench_live` measured."""
    delay, scale = figures["delay_ms"], figures["working_scale"]
    say(
        f"{figures['width']}x{figures['height']}, {figures['target_fps']} fps wanted, "
        f"{figures['shown_fps']:.1f} shown for {figures['seconds']:.0f} s "
        f"({figures['engine']} {figures['precision']}), {figures['dropped']} dropped"
    )
    say(f"delay: half within {delay['p50']:.0f} ms, 95% {delay['p95']:.0f}, all {delay['max']:.0f}")
    say(f"painted at {scale['median']:.0%} of the size, at least {scale['min']:.0%}")
    say(f"processor time: {figures['cpu_seconds']:.0f} s")
    if (start := figures["rss_mb"]["start"]) is not None:
        say(f"memory: {start:.0f} MB at the start, {figures['rss_mb']['end']:.0f} MB at the end")
    show_findings("machine", figures["machine"])


def show_findings(name: str, found: Any, *, indent: str = "") -> None:
    """Nested data as indented lines, for reading."""
    if isinstance(found, dict) and found:
        say(f"{indent}{name}")
        for key, value in found.items():
            show_findings(key, value, indent=indent + "  ")
    elif isinstance(found, list) and found and isinstance(found[0], dict):
        for item in found:
            show_findings(name, item, indent=indent)
    else:
        value = ", ".join(map(str, found)) if isinstance(found, list) else found
        say(f"{indent}{name}: {'none' if value in (None, '', {}) else value}")


class Bar:
    """A bar for the file in hand, and above it one for all of them where there are several.

    Where standard error is no terminal, nothing is shown.
    """

    def __init__(self, progress: Progress, files: int) -> None:
        self._progress = progress
        self._all: TaskID | None = None
        if files > 1:
            self._all = progress.add_task("all files", total=None, fps="")
        self._file: TaskID | None = None
        self._frames_before = 0

    @property
    def needs_total(self) -> bool:
        """Whether it is worth counting all frames beforehand."""
        return self._all is not None and not self._progress.disable

    def expect(self, frames: int) -> None:
        """How many frames all files have together, as far as is known."""
        if self._all is not None:
            self._progress.update(self._all, total=frames)

    @contextmanager
    def file(self, name: str) -> Iterator[None]:
        """The bar of one file, for as long as the block runs."""
        self._file = self._progress.add_task(name, total=None, fps="")
        try:
            yield
        finally:
            task = next(t for t in self._progress.tasks if t.id == self._file)
            self._frames_before += int(task.completed)
            self._progress.remove_task(self._file)

    def stage(self, name: str, unit: str = "fps") -> Callable[[int, int | None, float], None]:
        """A bar in place of the last one, for the next stage of one piece of work."""
        if self._file is not None:
            self._progress.remove_task(self._file)
        self._file = self._progress.add_task(name, total=None, fps="")
        return lambda done, total, rate: self.tell(done, total, f"{rate:.1f} {unit}")

    def advance(self, done: int, total: int | None, fps: float) -> None:
        """Move on: frames done of this file, how many it has, frames a second."""
        self.tell(done, total, f"{fps:.1f} fps")

    def tell(self, done: int, total: int | None, words: str) -> None:
        """Move on: steps done of this file, how many it has, what there is to say beside them."""
        assert self._file is not None, "there is a file in hand"
        self._progress.update(self._file, completed=done, total=total, fps=words)
        if self._all is not None:
            self._progress.update(self._all, completed=self._frames_before + done)


@contextmanager
def progress_bar(*, files: int = 1) -> Iterator[Bar]:
    """A `Bar` on standard error, gone when the block ends."""
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
        redirect_stdout=sys.stdout.isatty(),  # or else what is piped on would end on the screen
        redirect_stderr=True,
    )
    with progress:
        yield Bar(progress, files)
