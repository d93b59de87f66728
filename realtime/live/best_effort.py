"""Whatever takes frames beside the window, in a thread of its own: none may slow that down."""

import time
from collections import deque
from collections.abc import Callable
from threading import Condition, Thread
from typing import Any, Protocol, Self

from impasto.models.errors import ImpastoError
from impasto.realtime.frame import Frame

_TELL_SECONDS = 2.0  # between two lines about dropped frames
_PAUSE: Any = object()


class Output(Protocol):
    """What `BestEffort` runs."""

    def write(self, frame: Frame, /) -> None: ...

    def close(self) -> None: ...


class BestEffort:
    """Runs a sink in a thread of its own, and never makes the caller wait or fail.

        with BestEffort(Recorder("out.mp4"), "recording", say) as recording:
            recording.write(frame)

    At most `depth` frames wait; where another comes, the oldest of them is dropped and counted.
    `say` gets a line about that at most every two seconds, and one line where the sink fails:
    after that, frames are ignored. `error` then holds the reason. `pause` also lets a sink that
    failed try again.
    close_seconds: how long closing may take, after which the sink is left to itself. A long
    recording needs it: its index is moved to the front of the file.
    """

    def __init__(
        self,
        sink: Output,
        name: str,
        say: Callable[[str], None],
        *,
        depth: int = 2,
        close_seconds: float = 10.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.written = 0
        self.dropped = 0
        self.error: str | None = None
        self._sink = sink
        self._name = name
        self._say = say
        self._depth = depth
        self._close_seconds = close_seconds
        self._clock = clock
        self._told, self._told_at = 0, -_TELL_SECONDS  # dropped frames that were told of, and when
        self._queue: deque[Any] = deque()
        self._changed = Condition()
        self._closing = False
        self._thread = Thread(target=self._work, name=name, daemon=True)
        self._thread.start()

    def write(self, frame: Frame) -> None:
        """Queue a frame; returns at once."""
        with self._changed:
            if self._closing or self.error is not None:
                return
            waiting = [at for at, item in enumerate(self._queue) if item is not _PAUSE]
            if len(waiting) >= self._depth:
                del self._queue[waiting[0]]
                self.dropped += 1
            self._queue.append(frame)
            self._changed.notify()
        if self.dropped > self._told and self._clock() >= self._told_at + _TELL_SECONDS:
            self._tell_of_drops()

    def pause(self) -> None:
        """End what was begun (a file), once what is queued is written; the next frame begins anew.

        Returns at once. Does so for sinks that have a `pause`.
        """
        with self._changed:
            self._queue.append(_PAUSE)
            self._changed.notify()

    def close(self) -> None:
        """Write what is queued, close the sink. A second call does nothing."""
        if self._closing:
            return
        with self._changed:
            self._closing = True
            self._changed.notify()
        self._thread.join(self._close_seconds)
        if self._thread.is_alive():
            self._say(
                f"{self._name}: did not end within {self._close_seconds:g} s, left unfinished"
            )
        if self.dropped > self._told:
            self._tell_of_drops()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _tell_of_drops(self) -> None:
        more, self._told = self.dropped - self._told, self.dropped
        self._told_at = self._clock()
        frames = "frame" if more == 1 else "frames"
        self._say(f"{self._name}: too slow, {more} {frames} dropped ({self.dropped} in all)")

    def _work(self) -> None:
        while (item := self._next()) is not None:
            if item is _PAUSE:
                self._attempt(getattr(self._sink, "pause", lambda: None))
                self.error = None
            elif self.error is None and self._attempt(self._sink.write, item):
                self.written += 1
            del item  # held here while the next one is awaited, it would outlive the queue
        self._attempt(self._sink.close)

    def _next(self) -> Any:
        """The next frame or mark; None at the end."""
        with self._changed:
            self._changed.wait_for(lambda: self._queue or self._closing)
            return self._queue.popleft() if self._queue else None

    def _attempt(self, do: Callable[..., None], *arguments: Any) -> bool:
        try:
            do(*arguments)
        except Exception as error:  # whatever it is, the window goes on
            kind = "" if isinstance(error, ImpastoError) else f"{type(error).__name__}: "
            self.error = f"{kind}{error}"
            self._say(f"{self._name}: {self.error}; going on without it")
            return False
        return True
