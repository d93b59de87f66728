"""Threads: decode and encode beside the main thread, and two frames painted side by side.

Nothing here waits for a time to pass. Each queue has one writer and one reader; the writer's last
item is always the end mark, and whoever leaves early goes on reading (or has the worker go on
reading) until that mark has come: so neither side can be left waiting, whatever was raised.
"""

from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import contextmanager
from queue import Queue
from threading import Thread
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


@contextmanager
def side_by_side(prepare: Callable[[], object]) -> Iterator[Executor]:
    """Two threads that take up what is submitted in its order; each first calls `prepare`.

    Leaving the block waits for what is being done and drops what is not yet begun.
    """
    pool = ThreadPoolExecutor(2, thread_name_prefix="side-by-side", initializer=prepare)
    try:
        yield pool
    finally:
        pool.shutdown(cancel_futures=True)


def _check(depth: int) -> None:
    if depth < 1:
        raise ValueError(f"a queue holds 1 item or more, got {depth}")
