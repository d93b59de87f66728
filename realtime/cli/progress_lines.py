"""Progress as lines of text, where there is no terminal to show a bar."""

from collections.abc import Callable
from time import perf_counter

FIRST_SECONDS, EVERY_SECONDS = 10.0, 30.0  # until the first line, and between two


class ProgressLines:
    """Gives a line now and then: what is done, how much of it, and about how long it will take.

    files: how many are to be done, one after another. write: called with each line. now: the time
    in seconds. Work that ends within FIRST_SECONDS gives no line.
    """

    def __init__(
        self,
        files: int,
        write: Callable[[str], None],
        *,
        now: Callable[[], float] = perf_counter,
    ) -> None:
        self._files, self._write, self._now = files, write, now
        self._ended = 0  # files
        self._name = ""
        self._first: tuple[float, int] | None = None  # report of the stage: its time, steps done
        self._began = now()
        self._due = self._began + FIRST_SECONDS

    def start(self, name: str) -> None:
        """Begin a file, or a stage of the work on it."""
        self._name, self._first = name, None

    def end_file(self) -> None:
        """The present file is done."""
        self._ended += 1
        if self._files > 1:
            self._report("files", self._ended, self._files, "", self._files_left(self._ended))

    def update(self, done: int, total: int | None, text: str, rate: float = 0.0) -> None:
        """Report steps done of the present file or stage, how many it has, and a rate or losses.

        rate: steps a second, for the time left; 0: as many as since the first report of the stage.
        """
        if self._files > 1:
            name = f"{self._name} ({self._ended + 1} of {self._files} files)"
            part = min(done / total, 1.0) if total else None
            left = None if part is None else self._files_left(self._ended + part)
            self._report(name, done, total, text, left)
            return
        now = self._now()
        # What was done until the first report is not counted: networks are loaded before.
        since, before = self._first = self._first or (now, done)
        if not rate and now > since:
            rate = (done - before) / (now - since)
        left = (total - done) / rate if total and rate else None
        self._report(self._name, done, total, text, left)

    def _files_left(self, done: float) -> float | None:
        """Seconds that the other files will take, by those done and the part of the present one."""
        return (self._now() - self._began) * (self._files - done) / done if done else None

    def _report(
        self, name: str, done: int, total: int | None, text: str, seconds_left: float | None
    ) -> None:
        """Write a line if it is due and the work is not done."""
        now = self._now()
        if now < self._due or (total is not None and done >= total):
            return
        self._due = now + EVERY_SECONDS
        parts = [str(done) if total is None else f"{done} of {total}", text]
        if seconds_left is not None:
            parts.append(f"about {duration(seconds_left)} left")
        self._write(f"{name}: {', '.join(part for part in parts if part)}")


def duration(seconds: float) -> str:
    """ "40 s", "12 min" or "3 h 05 min"."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 90 else f"{minutes // 60} h {minutes % 60:02} min"
