"""What the tests of live sources and outputs share."""

import re
import threading
from collections.abc import Iterator

import pytest

from tests.realtime.live.outputs import Receiver

PATIENCE = 30  # seconds, for what should take none


class Log:
    """Keeps the lines that are logged; a test can wait for one."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self._changed = threading.Condition()

    def __call__(self, line: str) -> None:
        with self._changed:
            self.lines.append(line)
            self._changed.notify_all()

    def wait_for(self, pattern: str) -> None:
        with self._changed:
            came = self._changed.wait_for(lambda: self.matching(pattern), PATIENCE)
        assert came, f"nothing like {pattern!r} in {self.lines}"

    def matching(self, pattern: str) -> list[str]:
        return [line for line in self.lines if re.search(pattern, line)]


@pytest.fixture
def log() -> Log:
    return Log()


@pytest.fixture
def no_thread_hangs() -> Iterator[None]:
    """Every thread that a test starts ends; one that was left behind in a read may take a while."""
    before = set(threading.enumerate())
    yield
    for thread in set(threading.enumerate()) - before:
        thread.join(PATIENCE)
        assert not thread.is_alive(), thread


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    made = Receiver()
    yield made
    made.close()
