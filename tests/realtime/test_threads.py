"""Prefetch and Background: order, errors, early leaving, and that no thread is left behind."""

import os
import subprocess
import sys
import threading
import weakref
from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from impasto.realtime.cpu import computing_threads, cores
from impasto.realtime.threads import Background, Prefetch

pytestmark = pytest.mark.usefixtures("no_thread_is_left")


class Item:
    """Something a weak reference can watch."""


class Listed:
    """A sink that keeps what it is given, and fails at item `fail_at`."""

    def __init__(self, fail_at: int | None = None) -> None:
        self.items: list[object] = []
        self.fail_at = fail_at

    def write(self, item: object) -> None:
        if len(self.items) == self.fail_at:
            raise OSError("disk full")
        self.items.append(item)


@settings(deadline=None)  # threads wait for each other, longer on a busy machine
@given(count=st.integers(0, 40), depth=st.integers(1, 9))
def test_every_item_arrives_once_and_in_order(count: int, depth: int) -> None:
    sink = Listed()
    with Prefetch(range(count), depth) as items, Background(sink, depth) as out:
        for item in items:
            out.write(item)
    assert sink.items == list(range(count))


def failing(after: int) -> Iterator[int]:
    yield from range(after)
    raise ValueError("broken source")


@pytest.mark.parametrize("after", [0, 1, 7])
def test_error_of_the_source_comes_after_the_items_before_it(after: int) -> None:
    seen = []
    with pytest.raises(ValueError, match="broken source"), Prefetch(failing(after), 2) as items:
        for item in items:
            seen.append(item)
    assert seen == list(range(after))


@pytest.mark.parametrize("fail_at", [0, 1, 7])
@pytest.mark.parametrize("depth", [1, 3])
def test_error_of_the_sink_reaches_the_writer(fail_at: int, depth: int) -> None:
    sink = Listed(fail_at)
    with pytest.raises(OSError, match="disk full"), Background(sink, depth) as out:
        for item in range(100):
            out.write(item)
    assert sink.items == list(range(fail_at))


def test_error_of_the_sink_on_the_last_item_is_not_lost() -> None:
    with pytest.raises(OSError, match="disk full"), Background(Listed(0), 4) as out:
        out.write(1)


@pytest.mark.parametrize("read", [0, 1, 5])
def test_leaving_early_stops_the_source(read: int) -> None:
    produced = []

    def endless() -> Iterator[int]:
        try:
            while True:
                produced.append(len(produced))
                yield produced[-1]
        finally:
            produced.append("closed")

    with Prefetch(endless(), 3) as items:
        for _, _ in zip(range(read), items, strict=False):
            pass
    assert len(produced) <= read + 3 + 3  # the queue, one in hand, one under way, the mark
    assert not produced or produced[-1] == "closed"


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt])
def test_error_inside_the_block_passes_and_drops_what_is_queued(
    error: type[BaseException],
) -> None:
    started, go_on = threading.Event(), threading.Event()

    class Slow(Listed):
        def write(self, item: object) -> None:
            started.set()
            go_on.wait(10)
            super().write(item)

    sink = Slow()
    with pytest.raises(error), Background(sink, 8) as out:
        for item in range(5):
            out.write(item)
        started.wait(10)
        # Released only once the main thread has begun to leave.
        threading.Timer(0.05, go_on.set).start()
        raise error
    assert sink.items == [0]


def test_the_error_of_the_block_wins_over_the_sink_s() -> None:
    with pytest.raises(RuntimeError, match="first"), Background(Listed(0), 4) as out:
        out.write(1)
        raise RuntimeError("first")


def test_prefetch_runs_ahead_by_its_depth_and_no_further() -> None:
    taken = threading.Semaphore(0)

    def source() -> Iterator[Item]:
        for _ in range(20):
            taken.release()
            yield Item()

    with Prefetch(source(), 4) as items:
        for _ in range(5):  # four in the queue, one in the worker's hand
            assert taken.acquire(timeout=10)
        assert not taken.acquire(timeout=0.05)
        assert len(list(items)) == 20


def test_nothing_read_or_written_is_kept_alive() -> None:
    """Memory stays flat: at most the two queues and what is in hand is alive at any time."""
    alive: weakref.WeakSet[Item] = weakref.WeakSet()
    most = 0

    def source() -> Iterator[Item]:
        for _ in range(200):
            item = Item()
            alive.add(item)
            yield item
            del item

    class Counting:
        def write(self, item: Item) -> None:
            nonlocal most
            most = max(most, len(alive))

    with Prefetch(source(), 3) as items, Background(Counting(), 3) as out:
        for item in items:
            out.write(item)
            del item
    assert most <= 3 + 3 + 4
    assert len(alive) == 0


def test_times_are_measured() -> None:
    with Prefetch(range(10), 2) as items, Background(Listed(), 2) as out:
        for item in items:
            out.write(item)
    for time in (
        items.busy_seconds,
        items.waited_seconds,
        out.busy_seconds,
        out.waited_seconds,
    ):
        assert 0 < time < 10


@pytest.mark.parametrize("depth", [0, -1])
def test_a_queue_needs_room(depth: int) -> None:
    with pytest.raises(ValueError, match="1 item or more"):
        Prefetch([], depth)
    with pytest.raises(ValueError, match="1 item or more"):
        Background(Listed(), depth)


@pytest.mark.skipif(not hasattr(os, "SCHED_BATCH"), reason="needs Linux's batch scheduling")
def test_work_in_batch_is_for_the_threads_to_come_too() -> None:
    """In a separate process, since this one must keep its scheduling."""
    code = (
        "import os; from concurrent.futures import ThreadPoolExecutor;"
        "from impasto.realtime.cpu import work_in_batch;"
        "os.sched_setscheduler(0, os.SCHED_OTHER, os.sched_param(0)); work_in_batch();"
        "print(ThreadPoolExecutor(1).submit(os.sched_getscheduler, 0).result())"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert int(ran.stdout) == os.SCHED_BATCH


@pytest.mark.parametrize(
    ("asked", "threads"), [("3", 3), ("2,1", 2), (None, cores()), ("0", cores()), ("all", cores())]
)
def test_computing_threads(
    asked: str | None, threads: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    if asked is not None:
        monkeypatch.setenv("OMP_NUM_THREADS", asked)
    assert computing_threads() == threads
