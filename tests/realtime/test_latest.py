"""Latest and Detached: the newest only, errors, leaving while the source blocks."""

import threading
import weakref
from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from impasto.realtime.threads import Detached, Latest

PATIENCE = 20  # seconds; nothing here takes any
pytestmark = pytest.mark.usefixtures("no_thread_is_left")


class Item:
    """Something a weak reference can watch."""


class Blocking:
    """A camera that gives `count` items, then nothing until it is closed."""

    def __init__(self, count: int) -> None:
        self.count, self.closed, self.blocked = count, threading.Event(), threading.Event()

    def __iter__(self) -> Iterator[int]:
        yield from range(self.count)
        self.blocked.set()
        assert self.closed.wait(PATIENCE), "nobody closed the source"

    def close(self) -> None:
        self.closed.set()


@settings(deadline=None)  # threads wait for each other, longer on a busy machine
@given(count=st.integers(0, 200), slow=st.sets(st.integers(0, 200)))
def test_what_is_got_is_in_order_and_the_last_arrives(count: int, slow: set[int]) -> None:
    got, go_on = [], threading.Event()

    def source() -> Iterator[int]:
        for number in range(count):
            yield number
            if number in slow:  # until the reader has had it
                assert go_on.wait(PATIENCE)
                go_on.clear()

    with Latest(source()) as items:
        for item in items:
            got.append(item)
            if item in slow:
                go_on.set()
    assert got == sorted(set(got)) and set(got) <= set(range(count))
    assert got[-1:] == list(range(count))[-1:]
    assert items.dropped == count - len(got)


def test_a_slow_reader_gets_the_newest_and_the_source_does_not_wait() -> None:
    camera = Blocking(50)
    with Latest(camera) as items:
        assert camera.blocked.wait(PATIENCE)  # all fifty were given, though none was taken
        assert items.get() == 49
        assert items.dropped == 49
        assert items.get(0) is None and not items.ended


def test_two_may_wait() -> None:
    camera = Blocking(50)
    items = Latest(camera)
    items.depth = 2
    with items:
        assert camera.blocked.wait(PATIENCE)
        assert [items.get(), items.get()] == [48, 49]
        assert items.dropped == 48


@pytest.mark.parametrize("taken", [0, 1])
def test_what_nobody_got_counts_as_dropped(taken: int) -> None:
    camera = Blocking(7)
    with Latest(camera) as items:
        assert camera.blocked.wait(PATIENCE)
        for _ in range(taken):
            items.get()
    assert items.dropped == 7 - taken


@pytest.mark.parametrize("after", [0, 1, 7])
def test_an_error_comes_after_the_last_item(after: int) -> None:
    def failing() -> Iterator[int]:
        yield from range(after)
        raise ValueError("broken camera")

    got = []
    with pytest.raises(ValueError, match="broken camera"), Latest(failing()) as items:
        for item in items:
            got.append(item)
    assert got[-1:] == list(range(after))[-1:]


def test_leaving_closes_a_source_that_blocks() -> None:
    camera = Blocking(1)
    with Latest(camera) as items:
        assert items.get() == 0
        assert camera.blocked.wait(PATIENCE)
    assert camera.closed.is_set()


def test_leaving_by_an_error_closes_too() -> None:
    with pytest.raises(KeyboardInterrupt), Latest(Blocking(1)):
        raise KeyboardInterrupt


def test_leaving_ends_an_endless_generator() -> None:
    closed = threading.Event()

    def endless() -> Iterator[int]:
        try:
            while True:
                yield 0
        finally:
            closed.set()

    with Latest(endless()) as items:
        assert items.get() == 0
    assert closed.is_set()


def test_the_end_is_distinguished_from_a_wait() -> None:
    with Latest(range(3)) as items:
        assert list(items)[-1] == 2
        assert items.ended and items.get() is None and items.get(0) is None


def test_only_what_is_in_hand_is_kept_alive() -> None:
    alive: weakref.WeakSet[Item] = weakref.WeakSet()
    most = 0

    def source() -> Iterator[Item]:
        nonlocal most
        for _ in range(200):
            item = Item()
            alive.add(item)
            most = max(most, len(alive))
            yield item
            del item

    with Latest(source()) as items:
        for item in items:
            del item
    assert most <= 4  # made, newest, handed over, in the reader's hand
    assert len(alive) == 0


@settings(deadline=None)
@given(count=st.integers(0, 30))
def test_detached_hands_over_every_item(count: int) -> None:
    reader: Detached[int] = Detached(lambda _: iter(range(count)))
    got = [reader.get(PATIENCE) for _ in range(count + 2)]
    assert got == [*range(count), None, None]
    reader.join(PATIENCE)


def test_detached_raises_the_error_after_the_items_before_it() -> None:
    def work(_: threading.Event) -> Iterator[int]:
        yield 1
        raise ValueError("broken driver")

    reader = Detached(work)
    assert reader.get(PATIENCE) == 1
    with pytest.raises(ValueError, match="broken driver"):
        reader.get(PATIENCE)
    reader.join(PATIENCE)


def test_detached_is_left_behind_where_it_hangs() -> None:
    back, closed = threading.Event(), threading.Event()

    def work(_: threading.Event) -> Iterator[int]:
        try:
            yield 1
            assert back.wait(PATIENCE)
            yield 2
        finally:
            closed.set()

    reader = Detached(work)
    assert reader.get(PATIENCE) == 1
    with pytest.raises(TimeoutError):
        reader.get(0.01)
    reader.stop()
    assert reader.get(PATIENCE) is None
    reader.join(0.01)
    assert reader.alive  # and nobody waits for it
    back.set()
    reader.join(PATIENCE)
    assert closed.is_set() and not reader.alive


def test_stopping_ends_a_wait_in_another_thread() -> None:
    hangs = threading.Event()
    reader: Detached[int] = Detached(lambda stopping: iter([] if stopping.wait(PATIENCE) else [1]))
    got = []
    waiting = threading.Thread(target=lambda: (hangs.set(), got.append(reader.get(PATIENCE))))
    waiting.start()
    assert hangs.wait(PATIENCE)
    reader.stop()
    waiting.join(PATIENCE)
    reader.join(PATIENCE)
    assert got == [None]
