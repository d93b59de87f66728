"""Live frames that go on: lost sources are opened again, and what is amiss is said."""

import logging
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from math import inf
from threading import Event, Lock
from time import monotonic
from typing import Self

import av
import numpy as np
from av.video.reformatter import VideoReformatter

from impasto.models.errors import SourceError
from impasto.realtime.files.rotation import apply_display_matrix, transposes
from impasto.realtime.frame import Frame
from impasto.realtime.live.backoff import Backoff
from impasto.realtime.live.feeds import Captured, Feed, Opened
from impasto.realtime.meter import Meter
from impasto.realtime.pixels import to_rgb
from impasto.realtime.threads import Detached

MICROSECOND = Fraction(1, 1_000_000)
_LEAVE_SECONDS = 0.5  # a thread that does not end in this time is left behind
_RATE_TOLERANCE = 0.1  # cameras that declare 30 give 29 to 31
_BLACK_LEVEL = 20  # the brightest of a covered lens, with the sensor's noise, of 255

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Timing:
    """How long a live source is waited for and watched, in seconds."""

    open: float = 10.0  # until an address answers
    stall: float = 5.0  # without a picture, after which the source counts as lost
    segment: float = 20.0  # the same for HLS, whose pictures come a segment at a time
    pauses: Sequence[float] = (0.5, 1.0, 2.0, 4.0, 8.0)  # before trying again; the last repeats
    steady: float = 8.0  # a connection that held this long was good: the pauses start over
    rate_window: float = 2.0  # over which the frame rate is measured
    black: float = 1.0  # of black pictures before they are reported: cameras begin with some


class LiveSource:
    """Frames as they are captured, by the clock; iterate once, in a thread.

    pts are microseconds since `epoch`, strictly increasing. All frames have one size, that of the
    first connection. Iteration blocks until the next frame, opens the source again where it was
    lost, and ends only where a file ends or after `close`, which any thread may call.

    say: called with one line for each thing a user should know, from the iterating thread.
    Raises SourceError where the source cannot be opened; it does not give up later.
    """

    def __init__(
        self, feed: Feed, *, timing: Timing | None = None, say: Callable[[str], None] = _log.info
    ) -> None:
        timing = timing or Timing()
        self.epoch = monotonic()
        self._feed, self._say = feed, say
        self._closing = Event()
        self._lock = Lock()  # between closing and connecting
        self._reader: Detached[Opened | Captured] | None = None
        self._opened = self._connect()
        self.size = self._opened.size  # (height, width)
        self._rate, self._black = RateWatch(timing.rate_window), BlackWatch(timing.black)
        self._backoff = Backoff(timing.pauses, steady_seconds=timing.steady)
        self._last_pts = -1
        self._scaler = VideoReformatter()
        self._tell(self._opened.description)

    @property
    def frame_rate(self) -> Fraction | None:
        """As declared; None where the source declares none."""
        return self._opened.frame_rate

    @property
    def measured_fps(self) -> float | None:
        """Frames a second over the last two; None before there are any."""
        return self._rate.fps or None

    def __iter__(self) -> Iterator[Frame]:
        try:
            while not self._closing.is_set():
                self._backoff.connected()
                reason = "the stream ended"
                try:
                    yield from self._frames()
                    if self._opened.ends:
                        return
                except TimeoutError:
                    reason = f"no picture for {self._feed.stall_seconds:g} s"
                except SourceError as error:
                    reason = str(error)
                self._reconnect(reason)
        finally:
            self.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End the iteration, whatever it waits for. From any thread; twice does no harm."""
        self._closing.set()
        with self._lock:
            reader = self._reader
        if reader is not None:
            reader.stop()
            reader.join(_LEAVE_SECONDS)

    def __del__(self) -> None:
        reader = getattr(self, "_reader", None)
        if reader is not None:
            reader.stop()  # nobody closed it; its thread would wait for ever

    def _connect(self) -> Opened:
        """Open the source; what it gives. Raises SourceError."""
        reader = Detached(self._feed.read)
        with self._lock:
            self._reader = reader
            if self._closing.is_set():
                reader.stop()
        try:
            opened = reader.get(self._feed.open_seconds)
            if opened is None:
                raise SourceError(f"{self._feed.title} gives no picture")
            assert isinstance(opened, Opened)  # the first thing that every feed gives
            return opened
        except TimeoutError:
            reader.stop()
            raise SourceError(
                f"{self._feed.title}: no picture came in {self._feed.open_seconds:g} s; "
                "check that it is on, and free"
            ) from None
        except BaseException:
            reader.stop()
            raise

    def _reconnect(self, reason: str) -> None:
        """Try until the source can be opened again, or is closed."""
        lost = self._reader
        assert lost is not None
        lost.stop()
        while not self._closing.is_set():
            pause = self._backoff.next_pause()
            self._tell(f"{reason}; trying again in {pause:g} s")
            if self._closing.wait(pause):
                return
            if lost.alive:  # one thread in a driver that hangs is enough
                reason = "its driver does not answer"
                continue
            try:
                self._opened = self._connect()
            except SourceError as error:
                reason = str(error).removeprefix(f"{self._feed.title}: ")
                lost = self._reader or lost
                continue
            self._rate.restart()
            self._tell(f"back, {self._opened.description}")
            return

    def _frames(self) -> Iterator[Frame]:
        """The frames of one connection. Raises TimeoutError where none comes, and SourceError."""
        reader, stall_seconds, opened = self._reader, self._feed.stall_seconds, self._opened
        assert reader is not None
        broken, last_whole = 0, monotonic()
        while (captured := reader.get(stall_seconds)) is not None:
            assert isinstance(captured, Captured)
            if captured.picture is None:
                broken += 1
                if broken == 1:
                    self._tell("broken pictures come; they are left out")
                if stall_seconds is not None and monotonic() - last_whole > stall_seconds:
                    raise TimeoutError
                continue
            last_whole = monotonic()
            frame = self._frame(captured, opened)
            self._watch(frame, captured.time)
            del captured
            yield frame
            del frame

    def _frame(self, captured: Captured, opened: Opened) -> Frame:
        picture = captured.picture
        pts = max(self._last_pts + 1, round((captured.time - self.epoch) / MICROSECOND))
        self._last_pts = pts
        if isinstance(picture, np.ndarray):
            return Frame(picture, pts, MICROSECOND)
        assert picture is not None
        height, width = self.size
        if transposes(opened.matrix):
            height, width = width, height
        try:
            image = to_rgb(picture, size=(height, width), scaler=self._scaler, quick=True)
        except av.FFmpegError as error:
            raise SourceError(f"cannot convert {picture.format.name}: {error.strerror}") from error
        return Frame(apply_display_matrix(image, opened.matrix), pts, MICROSECOND)

    def _watch(self, frame: Frame, time: float) -> None:
        declared = None if self._opened.paced else self.frame_rate
        for line in (self._rate(time, declared), self._black(time, frame.image)):
            if line:
                self._tell(line)

    def _tell(self, line: str) -> None:
        self._say(f"{self._feed.title}: {line}")


class RateWatch:
    """Measures the frame rate, and reports once that it is not the declared one."""

    def __init__(self, window_seconds: float = 2.0) -> None:
        self._window = window_seconds
        self._said = False
        self.restart()

    @property
    def fps(self) -> float:
        """Frames per second over the window; 0 before there are two."""
        return self._meter.fps

    def restart(self) -> None:
        """Forget the frames so far: a gap follows, which is no interval."""
        self._meter = Meter(self._window)
        self._began, self._last = inf, -inf  # times of the first and the last frame

    def __call__(self, time: float, declared: Fraction | None) -> str | None:
        """Take note of a frame; a line for the user, or None."""
        if time <= self._last:
            return None  # a burst, within the clock's step
        self._began, self._last = min(self._began, time), time
        self._meter.tick(time)
        # The first pictures of a connection come late, or all at once: they have left the window.
        fps = self.fps
        if self._said or not declared or not fps or time - self._began < 2 * self._window:
            return None
        if abs(fps / declared - 1) <= _RATE_TOLERANCE:
            return None
        self._said = True
        why = " (cameras slow down in the dark)" if fps < declared else ""
        return f"declares {float(declared):.4g} fps and gives {fps:.3g}{why}"


class BlackWatch:
    """Reports that the pictures have become black, and that they no longer are."""

    def __init__(self, black_seconds: float = 1.0) -> None:
        self._black_seconds = black_seconds
        self._since: float | None = None
        self._said = False

    def __call__(self, time: float, image: np.ndarray) -> str | None:
        """Take note of a frame; a line for the user, or None."""
        # One pixel in 64: 0.03 ms at 1280x720.
        if image[::8, ::8].max() > _BLACK_LEVEL:
            line = "the picture is back" if self._said else None
            self._since, self._said = None, False
            return line
        if self._since is None:
            self._since = time
        if self._said or time - self._since < self._black_seconds:
            return None
        self._said = True
        return "black pictures come: is the lens covered, or a privacy switch on?"
