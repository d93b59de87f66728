"""Threads: decode and encode beside the main thread, and two frames painted side by side.

Files, where every frame counts (`Prefetch`, `Background`): nothing waits for a time to pass. Each
queue has one writer and one reader; the writer's last item is always the end mark, and whoever
leaves early goes on reading (or has the worker go on reading) until that mark has come: so neither
side can be left waiting, whatever was raised.

Cameras, where the newest frame counts (`Latest`) and a driver may never come back (`Detached`):
one item in hand behind a condition, and whoever stops says so there. What may take its time is an
`Errand`.
"""

from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import contextmanager
from queue import Queue
from threading import Condition, Event, Thread
from time import perf_counter
from typing import Any, Generic, Protocol, Self, TypeVar

T = TypeVar("T")
T_contra = TypeVar("T_contra", contravariant=True)

_END: Any = object()


class Writer(Protocol[T_contra]):
    """Anything with a `write`."""

    def write(self, item: T_contra, /) -> None: ...


class Prefetch(Generic[T]):
    """Runs an iterable ahead, in a thread, by at most `depth` items.

        with Prefetch(source, depth=16) as frames:
            for frame in frames: ...

    An error of the iterable is raised again from the loop, after the items that came before it.
    Leaving the block stops the thread and joins it. The iterable itself is neither opened nor
    closed: it belongs to a `with` around this one.
    """

    def __init__(self, source: Iterable[T], depth: int) -> None:
        _check(depth)
        self.busy_seconds = 0.0  # the thread's, inside the iterable
        self.waited_seconds = 0.0  # the reader's, for items that were not there yet
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
                del item  # held here while the next one is awaited, it would outlive the queue
        except BaseException as error:  # raised again on the reader's thread
            self._error = error
        finally:
            if isinstance(items, Generator):
                items.close()  # here, not whenever it is collected: it may hold a file
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
    The sink is neither opened nor closed: it belongs to a `with` around this one.
    """

    def __init__(self, sink: Writer[T], depth: int) -> None:
        _check(depth)
        self.busy_seconds = 0.0  # the thread's, inside the sink
        self.waited_seconds = 0.0  # the writer's, for room in the queue
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
            del item  # held here while the next one is awaited, it would outlive the queue

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


class Errand(Generic[T]):
    """Computes one thing in a thread that ends with it, for whoever comes to see if it is there.

    Nobody has to come: an error is raised to whoever does, and the thread keeps nothing alive.
    """

    def __init__(self, work: Callable[[], T]) -> None:
        self._work = work
        self._result: T = _END
        self._error: BaseException | None = None
        self._thread = Thread(target=self._run, name="errand", daemon=True)
        self._thread.start()

    def _run(self) -> None:
        try:
            self._result = self._work()
        except BaseException as error:  # raised again to whoever comes
            self._error = error

    @property
    def done(self) -> bool:
        """Whether `result` has an answer already."""
        return not self._thread.is_alive()

    def result(self) -> T:
        """What was computed, awaited if need be. Raises what the work raised."""
        self._thread.join()
        if self._error is not None:
            raise self._error
        return self._result


class Latest(Generic[T]):
    """Runs an iterable in a thread, and keeps the newest item only.

        with Latest(camera) as frames:
            for frame in frames: ...

    The thread never waits for the reader; `dropped` counts the items nobody got. An error of the
    iterable is raised again at the reader, after the last item before it. Leaving the block closes
    it and joins the thread.
    """

    def __init__(self, source: Iterable[T]) -> None:
        self.dropped = 0
        self._source = source
        self._changed = Condition()
        self._newest: T = _END  # _END: there is none that was not yet taken
        self._error: BaseException | None = None
        self._ended = False  # nothing more will come
        self._stopping = False
        self._thread = Thread(target=self._work, name="latest", daemon=True)

    @property
    def ended(self) -> bool:
        """Whether the iterable has ended, and its last item was taken."""
        with self._changed:
            return self._ended and self._newest is _END

    def _work(self) -> None:
        items: Iterator[T] = iter(())
        try:
            items = iter(self._source)
            for item in items:
                with self._changed:
                    self.dropped += self._newest is not _END
                    self._newest = item
                    self._changed.notify_all()
                del item  # held here while the next one is awaited, it would outlive its reader
                if self._stopping:
                    break
        except BaseException as error:  # raised again on the reader's thread
            self._error = error
        finally:
            if isinstance(items, Generator):
                items.close()  # here, not whenever it is collected: it may hold a camera
            with self._changed:
                self._ended = True
                self._changed.notify_all()

    def get(self, timeout_seconds: float | None = None) -> T | None:
        """The newest item, awaited if it was already taken; None after that time, or at the end.

        `ended` tells which of the two it was. None at once where it is closed.
        """
        with self._changed:
            self._changed.wait_for(
                lambda: self._newest is not _END or self._ended or self._stopping, timeout_seconds
            )
            if self._stopping:
                return None
            item, self._newest = self._newest, _END
            if item is not _END:
                return item
            if self._ended and self._error is not None:
                raise self._error
            return None

    def __iter__(self) -> Iterator[T]:
        while (item := self.get()) is not None:
            yield item
            del item

    def close(self) -> None:
        """End the reader's loop, and the thread's. From any thread; twice does no harm.

        An iterable that has a `close` is closed, which is to end a read that blocks. (A generator
        cannot be closed from outside: it is left after its next item.)
        """
        with self._changed:
            self._stopping = True
            self._changed.notify_all()
        close = getattr(self._source, "close", None)
        if close is not None and not isinstance(self._source, Generator):
            close()

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
        self._thread.join()
        self.dropped += self._newest is not _END
        self._newest = _END


class Detached(Generic[T]):
    """Runs an iterable in a thread that can be left behind where it hangs, as drivers do.

    work: called in the thread with an event that is set when nobody wants its items any more;
    what it opens, it closes. Every item is handed over, one by one. An error of the iterable is
    raised by the `get` that would have had the next item.
    """

    def __init__(self, work: Callable[[Event], Iterable[T]]) -> None:
        self.stopping = Event()
        self._changed = Condition()
        self._item: T = _END  # _END: taken
        self._error: BaseException | None = None
        self._ended = False
        self._thread = Thread(target=self._run, args=(work,), name="detached", daemon=True)
        self._thread.start()

    def _run(self, work: Callable[[Event], Iterable[T]]) -> None:
        items: Iterator[T] = iter(())
        try:
            items = iter(work(self.stopping))
            for item in items:
                with self._changed:
                    self._item = item
                    self._changed.notify_all()
                    del item
                    self._changed.wait_for(lambda: self._item is _END or self.stopping.is_set())
                if self.stopping.is_set():
                    break
        except BaseException as error:  # raised again on the reader's thread
            self._error = error
        finally:
            if isinstance(items, Generator):
                items.close()  # here: closing a device from another thread is no thread's business
            with self._changed:
                self._ended = True
                self._changed.notify_all()

    @property
    def alive(self) -> bool:
        """Whether the thread still runs."""
        return self._thread.is_alive()

    def get(self, timeout_seconds: float | None = None) -> T | None:
        """The next item; None at the end, or once stopped. Raises TimeoutError."""
        with self._changed:
            came = self._changed.wait_for(
                lambda: self._item is not _END or self._ended or self.stopping.is_set(),
                timeout_seconds,
            )
            if not came:
                raise TimeoutError
            item, self._item = self._item, _END
            self._changed.notify_all()
            if item is not _END and not self.stopping.is_set():
                return item
            if self._error is not None and not self.stopping.is_set():
                raise self._error
            return None

    def stop(self) -> None:
        """Have `get` return, and the thread end as soon as it can. From any thread, and twice."""
        with self._changed:
            self.stopping.set()
            self._item = _END
            self._changed.notify_all()

    def join(self, timeout_seconds: float) -> None:
        """Wait for the thread, but not for long."""
        self._thread.join(timeout_seconds)


@contextmanager
def side_by_side(prepare: Callable[[], object], *, threads: int = 2) -> Iterator[Executor]:
    """Threads that take up what is submitted in its order; each first calls `prepare`.

    Leaving the block waits for what is being done and drops what is not yet begun.
    """
    pool = ThreadPoolExecutor(threads, thread_name_prefix="side-by-side", initializer=prepare)
    try:
        yield pool
    finally:
        pool.shutdown(cancel_futures=True)


def _check(depth: int) -> None:
    if depth < 1:
        raise ValueError(f"a queue holds 1 item or more, got {depth}")
