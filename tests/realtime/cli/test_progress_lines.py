"""Progress where there is no terminal: lines now and then, with the time left."""

import pytest

from impasto.realtime.cli import progress_lines, terminal
from impasto.realtime.cli.progress_lines import ProgressLines, duration


class Clock:
    """A time that moves only when it is told to."""

    seconds = 0.0

    def __call__(self) -> float:
        return self.seconds


def test_a_file_has_a_line_after_ten_seconds_and_every_thirty() -> None:
    clock, lines = Clock(), list[str]()
    progress = ProgressLines(1, lines.append, now=clock)
    progress.start("a.mp4")
    for second in range(101):
        clock.seconds = second
        progress.update(second * 2, 200, "2.0 fps")
    progress.end_file()
    assert lines == [
        f"a.mp4: {done} of 200, 2.0 fps, about {left} left"
        for done, left in ((20, "2 min"), (80, "60 s"), (140, "30 s"))
    ]


def test_a_stage_is_timed_from_its_own_first_report() -> None:
    """Loading a network took a minute once: the first of 32 steps had 23 min left, of 12 s."""
    clock, lines = Clock(), list[str]()
    progress = ProgressLines(1, lines.append, now=clock)
    progress.start("pictures")
    clock.seconds = 50
    progress.update(7, None, "")
    progress.start("learning")
    for seconds, done in (100, 1), (130, 61):
        clock.seconds = seconds
        progress.update(done, 301, "2.0 steps a second")
    assert lines == [
        "pictures: 7",
        "learning: 1 of 301, 2.0 steps a second",
        "learning: 61 of 301, 2.0 steps a second, about 2 min left",
    ]


def test_work_that_is_done_has_no_line() -> None:
    clock, lines = Clock(), list[str]()
    progress = ProgressLines(1, lines.append, now=clock)
    clock.seconds = 20
    progress.update(1, 1, "")
    assert lines == []


def test_the_time_left_is_that_of_all_files() -> None:
    clock, lines = Clock(), list[str]()
    progress = ProgressLines(3, lines.append, now=clock)
    for name, end in (("a.jpg", 60.0), ("b.jpg", 120.0)):
        progress.start(name)
        clock.seconds = end
        progress.end_file()
    progress.start("c.mp4")
    clock.seconds = 150
    progress.update(5, 10, "1.0 fps")
    assert lines == [
        "files: 1 of 3, about 2 min left",
        "files: 2 of 3, about 60 s left",
        "c.mp4 (3 of 3 files): 5 of 10, 1.0 fps, about 30 s left",
    ]


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(0.4, "0 s"), (89, "89 s"), (100, "2 min"), (5340, "89 min"), (11100, "3 h 05 min")],
)
def test_durations(seconds: float, words: str) -> None:
    assert duration(seconds) == words


def test_a_bar_without_a_terminal_writes_them_to_standard_error(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(progress_lines, "FIRST_SECONDS", 0.0)
    with terminal.progress_bar() as bar, bar.file("a.mp4"):
        bar.advance(1, 4, 2.5)
        bar.advance(2, 4, 2.5)
    shown = capsys.readouterr()
    assert shown.out == "" and shown.err.startswith("a.mp4: 1 of 4, 2.5 fps\n")
    assert shown.err.count("\n") == 1
