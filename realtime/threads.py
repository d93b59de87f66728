"""Every thread of the program: reading, writing and stylizing beside the main thread.

Files, where every frame counts (`Prefetch`, `Background`): no wait has a timeout. Each queue has
one writer and one reader. The writer's last item is always the end mark, and a side that leaves
early reads on (or has the worker read on) to that mark, so neither side can be left waiting,
whatever was raised.

Live, where the newest frame counts: `Latest` drops frames between a camera and its reader,
`DroppingSink` between the writer and an output; `Detached` leaves a driver that hangs behind.
`History` keeps the last seconds of a microphone.
"""

from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import contextmanager
from itertools import islice
from queue import Queue
from threading import Condition, Event, Thread
from time import monotonic, perf_counter
from typing import Any, Generic, Protocol, Self, TypeVar

from impasto.models.errors import ImpastoError
from impasto.realtime.pipeline import Sink

T = TypeVar("T")
T_contra = TypeVar("T_contra", contravariant=True)

_END: Any = object()
_PAUSE: Any = object()
_REPORT_SECONDS = 2.0  # between two lines about dropped items


class ClosableSink(Sink[T_contra], Protocol[T_contra]):
    """A sink that has to be closed, such as a file."""

    def close(self) -> None: ...


class Prefetch(Generic[T]):
    """Runs an iterable ahead, in a thread, by at most `depth` items.

        with Prefetch(source, depth=16) as frames:
            for frame in frames: ...

    An error of the iterable is raised again from the loop, after the items that came before it.
    Leaving the block stops the thread and joins it. The iterable itself is neither opened nor
    closed: that is up to the caller.
    """

    def __init__(self, source: Iterable[T], depth: int) -> None:
        _check(depth)
        self.busy_seconds = 0.0  # of the thread, inside the iterable
        self.waited_seconds = 0.0  # of the reader, for the next item
        self._source = source
        self._queue: Queue[T] = Queue(depth)
        self._error: BaseException | None = None
        self._ended = False  # the end mark has been read
        self._stopping = False
        self._thread = Thread(target=self._work, name="prefetch", daemon=True)

    def _work(self) -> None:
        items: Iterator[T] = iter(())
        try:
            items = iter(self._source)
            while not self._stopping:
                began = perf_counter()
                item = next(items, _END)
                self.busy_seconds += perf_counter() - began
                if item is _END:
                    break
                self._queue.put(item)
                del item  # kept here during the next wait, it would outlive the queue
        except BaseException as error:  # raised again on the reader's thread
            self._error = error
        finally:
            if isinstance(items, Generator):
                items.close()  # here, not when it is collected: it may hold a file
            self._queue.put(_END)

    def _get(self) -> T:
        began = perf_counter()
        item = self._queue.get()
        self.waited_seconds += perf_counter() - began
        self._ended = item is _END
        return item

    def __iter__(self) -> Iterator[T]:
        while not self._ended and (item := self._get()) is not _END:
            yield item
            del item
        if self._error is not None:
            raise self._error

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopping = True
        while not self._ended:
            self._ended = self._queue.get() is _END
        self._thread.join()


class Background(Generic[T]):
    """Runs a sink's `write` in a thread, behind a queue of at most `depth` items.

    An error of the sink is raised again by the next `write`, or on leaving the block. Leaving it
    normally waits until every item is written; leaving it by an exception drops what is queued.
    The sink is neither opened nor closed: that is up to the caller.
    """

    def __init__(self, sink: Sink[T], depth: int) -> None:
        _check(depth)
        self.busy_seconds = 0.0  # of the thread, inside the sink
        self.waited_seconds = 0.0  # of the writer, for room in the queue
        self._sink = sink
        self._queue: Queue[T] = Queue(depth)
        self._error: BaseException | None = None
        self._dropping = False
        self._thread = Thread(target=self._work, name="background", daemon=True)

    def _work(self) -> None:
        while (item := self._queue.get()) is not _END:
            if self._dropping:
                continue
            began = perf_counter()
            try:
                self._sink.write(item)
            except BaseException as error:  # raised again on the writer's thread
                self._error = error
                self._dropping = True
            self.busy_seconds += perf_counter() - began
            del item  # kept here during the next wait, it would outlive the queue

    def write(self, item: T) -> None:
        """Queue an item, waiting for room."""
        if self._error is not None:
            raise self._error
        began = perf_counter()
        self._queue.put(item)
        self.waited_seconds += perf_counter() - began

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is not None:
            self._dropping = True
        self._queue.put(_END)
        began = perf_counter()
        self._thread.join()
        self.waited_seconds += perf_counter() - began
        if kind is None and self._error is not None:
            raise self._error


class DroppingSink(Generic[T]):
    """Runs a sink in a thread, and never makes the writer wait or fail: it drops items instead.

        with DroppingSink(Recorder("out.mp4"), "recording", log) as recording:
            recording.write(frame)

    At most `depth` items wait; a further one replaces the oldest of them, which counts as dropped.
    `log` gets a line about that at most every two seconds, and one line if the sink fails: after
    that, items are ignored, and `error` holds the reason. `pause` also lets a sink that failed try
    again.
    close_seconds: how long closing may take, after which the sink is left unfinished. A long
    recording needs it: its index is moved to the front of the file.
    """

    def __init__(
        self,
        sink: ClosableSink[T],
        name: str,
        log: Callable[[str], None],
        *,
        depth: int = 2,
        close_seconds: float = 10.0,
        clock: Callable[[], float] = monotonic,
    ) -> None:
        _check(depth)
        self.written = 0
        self.dropped = 0
        self.error: str | None = None
        self._sink = sink
        self._name = name
        self._log = log
        self._depth = depth
        self._close_seconds = close_seconds
        self._clock = clock
        self._reported, self._reported_at = 0, -_REPORT_SECONDS  # dropped items, and when
        self._queue: deque[T] = deque()
        self._changed = Condition()
        self._closing = False
        self._thread = Thread(target=self._work, name=name, daemon=True)
        self._thread.start()

    def write(self, item: T) -> None:
        """Queue an item; returns at once."""
        with self._changed:
            if self._closing or self.error is not None:
                return
            waiting = [at for at, queued in enumerate(self._queue) if queued is not _PAUSE]
            if len(waiting) >= self._depth:
                del self._queue[waiting[0]]
                self.dropped += 1
            self._queue.append(item)
            self._changed.notify()
        if self._clock() >= self._reported_at + _REPORT_SECONDS:
            self._report_drops()

    def pause(self) -> None:
        """Call the sink's `pause`, if it has one, after what is queued: it completes a file.

        Returns at once.
        """
        with self._changed:
            self._queue.append(_PAUSE)
            self._changed.notify()

    def close(self) -> None:
        """Write what is queued and close the sink. A second call does nothing."""
        if self._closing:
            return
        with self._changed:
            self._closing = True
            self._changed.notify()
        self._thread.join(self._close_seconds)
        if self._thread.is_alive():
            self._log(
                f"{self._name}: did not end within {self._close_seconds:g} s, left unfinished"
            )
        self._report_drops()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _report_drops(self) -> None:
        new, self._reported = self.dropped - self._reported, self.dropped
        if new:
            self._reported_at = self._clock()
            frames = "frame" if new == 1 else "frames"
            self._log(f"{self._name}: too slow, {new} {frames} dropped ({self.dropped} in all)")

    def _work(self) -> None:
        while (item := self._next()) is not _END:
            if item is _PAUSE:
                self._attempt(getattr(self._sink, "pause", lambda: None))
                self.error = None
            elif self.error is None and self._attempt(self._sink.write, item):
                self.written += 1
            del item  # kept here during the next wait, it would outlive the queue
        self._attempt(self._sink.close)

    def _next(self) -> T:
        """The next item or `_PAUSE`; `_END` after the last, once closing."""
        with self._changed:
            self._changed.wait_for(lambda: self._queue or self._closing)
            return self._queue.popleft() if self._queue else _END

    def _attempt(self, do: Callable[..., None], *arguments: T) -> bool:
        try:
            do(*arguments)
        except Exception as error:  # of any kind: the writer goes on
            kind = "" if isinstance(error, ImpastoError) else f"{type(error).__name__}: "
            self.error = f"{kind}{error}"
            self._log(f"{self._name}: {self.error}; continuing without it")
            return False
        return True


class _Runner(ABC, Generic[T]):
    """Runs an iterable in a thread; a subclass keeps its items.

    open: returns the iterable; called in the thread.
    """

    def __init__(self, open: Callable[[], Iterable[T]], name: str) -> None:
        self.stopping = Event()
        self._open = open
        self._changed = Condition()  # of everything that the threads share
        self._error: BaseException | None = None
        self._ended = False
        self._thread = Thread(target=self._work, name=name, daemon=True)

    @abstractmethod
    def _keep(self, item: T) -> None:
        """Keep an item; the lock is held."""

    def _may_continue(self) -> bool:
        """Whether the next item may be read; the lock is held."""
        return True

    def _work(self) -> None:
        items: Iterator[T] = iter(())
        try:
            items = iter(self._open())
            for item in items:
                with self._changed:
                    self._keep(item)
                    del item  # kept here during the next read, it would outlive its reader
                    self._changed.notify_all()
                    self._changed.wait_for(self._may_continue)
                if self.stopping.is_set():
                    break
        except BaseException as error:  # raised again on the reader's thread
            self._error = error
        finally:
            if isinstance(items, Generator):
                items.close()  # here, not when it is collected: it may hold a camera
            with self._changed:
                self._ended = True
                self._changed.notify_all()

    @property
    def alive(self) -> bool:
        """Whether the thread still runs."""
        return self._thread.is_alive()

    def stop(self) -> None:
        """Have the thread and all waits end as soon as they can. From any thread, and twice."""
        with self._changed:
            self.stopping.set()
            self._changed.notify_all()

    def join(self, timeout_seconds: float) -> None:
        """Wait for the thread, at most for this long."""
        self._thread.join(timeout_seconds)


class _Slot(_Runner[T]):
    """A `_Runner` with room for `depth` items, at first one, between the thread and the reader."""

    def __init__(self, open: Callable[[], Iterable[T]], name: str) -> None:
        super().__init__(open, name)
        self.depth = 1
        self.dropped = 0
        self._items: deque[T] = deque()

    def _keep(self, item: T) -> None:
        self._items.append(item)
        while len(self._items) > self.depth:
            self._items.popleft()
            self.dropped += 1

    @property
    def ended(self) -> bool:
        """Whether the iterable has ended and its last item was taken."""
        with self._changed:
            return self._ended and not self._items

    def get(self, timeout_seconds: float | None = None) -> T | None:
        """The next item; None after the timeout, at the end, or once stopped.

        `ended` tells a timeout from the end. Raises the iterable's error after its last item.
        """
        with self._changed:
            self._changed.wait_for(
                lambda: self._items or self._ended or self.stopping.is_set(), timeout_seconds
            )
            if self.stopping.is_set():
                return None
            if self._items:
                item = self._items.popleft()
                self._changed.notify_all()
                return item
            if self._error is not None:
                raise self._error
            return None


class Latest(_Slot[T]):
    """Runs an iterable in a thread and keeps its newest item only, or the newest `depth`.

        with Latest(camera) as frames:
            for frame in frames: ...

    The thread never waits for the reader; `dropped` counts the items that were never read. `depth`
    may be changed at any time. An error of the iterable is raised again in the reader, after the
    last item before it. Leaving the block closes the iterable and joins the thread.
    """

    def __init__(self, source: Iterable[T]) -> None:
        super().__init__(lambda: source, "latest")
        self._source = source

    def __iter__(self) -> Iterator[T]:
        while (item := self.get()) is not None:
            yield item
            del item

    def close(self) -> None:
        """End the reader's loop and the thread's. From any thread, and twice.

        An iterable with a `close` is closed, which should end a read that blocks. A generator
        cannot be closed from another thread: it is left after its next item.
        """
        self.stop()
        close = getattr(self._source, "close", None)
        if close is not None and not isinstance(self._source, Generator):
            close()

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
        self._thread.join()
        self.dropped += len(self._items)
        self._items.clear()


class Detached(_Slot[T]):
    """Runs an iterable in a thread that can be left behind where a driver hangs.

    work: called in the thread with an event that is set when no more items are wanted; it closes
    what it opens. Every item is passed on, one at a time. An error of the iterable is raised by the
    `get` after the last item.
    """

    def __init__(self, work: Callable[[Event], Iterable[T]]) -> None:
        super().__init__(lambda: work(self.stopping), "detached")
        self._thread.start()

    def _may_continue(self) -> bool:
        return not self._items or self.stopping.is_set()

    def get(self, timeout_seconds: float | None = None) -> T | None:
        """The next item; None at the end, or once stopped. Raises TimeoutError."""
        with self._changed:
            item = super().get(timeout_seconds)
            if item is None and not self.ended and not self.stopping.is_set():
                raise TimeoutError
            return item


class History(_Runner[T]):
    """Runs an iterable in a thread and keeps its last items, for any number of readers.

    expired: whether to drop the first of two items, given the newest as the second. The iterable's
    error is not raised anywhere: it ends the history.
    """

    def __init__(
        self, open: Callable[[], Iterable[T]], *, expired: Callable[[T, T], bool], name: str
    ) -> None:
        super().__init__(open, name)
        self._expired = expired
        self._items: deque[T] = deque()
        self._count = 0  # of all items so far
        self._thread.start()

    def _keep(self, item: T) -> None:
        self._items.append(item)
        self._count += 1
        while self._expired(self._items[0], item):
            self._items.popleft()

    def since(self, number: int) -> tuple[list[T], int]:
        """The items kept from number `number` on, counted from 0, and the number of the next."""
        with self._changed:
            first = self._count - len(self._items)
            return list(islice(self._items, max(0, number - first), None)), self._count

    def wait_for(self, reached: Callable[[T], bool], timeout_seconds: float) -> bool:
        """Wait until `reached` holds for the newest item, or the end; whether it holds."""

        def holds() -> bool:
            return bool(self._items) and reached(self._items[-1])

        with self._changed:
            self._changed.wait_for(lambda: self._ended or holds(), timeout_seconds)
            return holds()


@contextmanager
def side_by_side(prepare: Callable[[], object], *, threads: int = 2) -> Iterator[Executor]:
    """A thread pool that starts tasks in their order; each thread first calls `prepare`.

    Leaving the block waits for running tasks and cancels those not yet started.
    """
    pool = ThreadPoolExecutor(threads, thread_name_prefix="side-by-side", initializer=prepare)
    try:
        yield pool
    finally:
        pool.shutdown(cancel_futures=True)


def _check(depth: int) -> None:
    if depth < 1:
        raise ValueError(f"a queue holds 1 item or more, got {depth}")
