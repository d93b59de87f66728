"""A live source that reconnects after a loss, and reports what is wrong with its pictures."""

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
from impasto.realtime.live.feeds import CapturedPicture, Feed, FeedInfo
from impasto.realtime.meter import Meter
from impasto.realtime.pixels import color_of, to_rgb
from impasto.realtime.threads import Detached
from impasto.realtime.tone_mapping import SdrConverters, sdr_note

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
    """Frames as a feed captures them; to be iterated once, in a thread.

    pts are microseconds since `epoch`, strictly increasing. All frames have one size, that of the
    first connection. Iteration blocks until the next frame, opens the source again after a loss,
    and ends only at the end of a file or after `close`, which any thread may call.

    log: gets a line for each thing a user should know, from the iterating thread.
    Raises SourceError if the source cannot be opened at first; later it keeps trying.
    """

    def __init__(
        self, feed: Feed, *, timing: Timing | None = None, log: Callable[[str], None] = _log.info
    ) -> None:
        timing = timing or Timing()
        self.epoch = monotonic()
        self._feed, self._log = feed, log
        self._closing = Event()
        self._lock = Lock()  # between closing and connecting
        self._reader: Detached[FeedInfo | CapturedPicture] | None = None
        self._info = self._connect()
        self.size = self._info.size  # (height, width)
        self._rate, self._black = RateWatch(timing.rate_window), BlackWatch(timing.black)
        self._backoff = Backoff(timing.pauses, steady_seconds=timing.steady)
        self._last_pts = -1
        self._scaler = VideoReformatter()
        self._converters = SdrConverters()
        self._reported: set[str] = set()  # the lines of `_report_once`
        self._report(self._info.description)

    @property
    def frame_rate(self) -> Fraction | None:
        """Declared frames per second; None if the source declares none."""
        return self._info.frame_rate

    @property
    def measured_fps(self) -> float | None:
        """Frames per second over the last two seconds; None before there are two frames."""
        return self._rate.fps or None

    def __iter__(self) -> Iterator[Frame]:
        try:
            while not self._closing.is_set():
                self._backoff.connected()
                reason = "the stream ended"
                try:
                    yield from self._frames()
                    if self._info.ends:
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
        """End the iteration, whatever it waits for. From any thread; a second call does nothing."""
        self._closing.set()
        with self._lock:
            reader = self._reader
        if reader is not None:
            reader.stop()
            reader.join(_LEAVE_SECONDS)

    def __del__(self) -> None:
        reader = getattr(self, "_reader", None)
        if reader is not None:
            reader.stop()  # not closed: its thread would wait forever

    def _connect(self) -> FeedInfo:
        """Open the source. Raises SourceError."""
        reader = Detached(self._feed.read)
        with self._lock:
            self._reader = reader
            if self._closing.is_set():
                reader.stop()
        try:
            info = reader.get(self._feed.open_seconds)
            if info is None:
                raise SourceError(f"{self._feed.title} delivers no picture")
            assert isinstance(info, FeedInfo)  # every feed yields it first
            return info
        except TimeoutError:
            reader.stop()
            raise SourceError(
                f"{self._feed.title}: no picture within {self._feed.open_seconds:g} s; "
                "check that it is on, and not used by another program"
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
            self._report(f"{reason}; trying again in {pause:g} s")
            if self._closing.wait(pause):
                return
            if lost.alive:  # do not leave a second thread in a driver that hangs
                reason = "its driver does not answer"
                continue
            try:
                self._info = self._connect()
            except SourceError as error:
                reason = str(error).removeprefix(f"{self._feed.title}: ")
                lost = self._reader or lost
                continue
            self._rate.restart()
            self._report(f"back, {self._info.description}")
            return

    def _frames(self) -> Iterator[Frame]:
        """The frames of one connection. Raises TimeoutError after a stall, and SourceError."""
        reader, stall_seconds, info = self._reader, self._feed.stall_seconds, self._info
        assert reader is not None
        corrupt, last_intact = 0, monotonic()
        while (captured := reader.get(stall_seconds)) is not None:
            assert isinstance(captured, CapturedPicture)
            if captured.picture is None:
                corrupt += 1
                if corrupt == 1:
                    self._report("some pictures are corrupt; they are skipped")
                if stall_seconds is not None and monotonic() - last_intact > stall_seconds:
                    raise TimeoutError
                continue
            last_intact = monotonic()
            frame = self._frame(captured, info)
            self._watch(frame, captured.time)
            del captured
            yield frame
            del frame

    def _frame(self, captured: CapturedPicture, info: FeedInfo) -> Frame:
        picture = captured.picture
        pts = max(self._last_pts + 1, round((captured.time - self.epoch) / MICROSECOND))
        self._last_pts = pts
        assert picture is not None
        height, width = self.size
        if transposes(info.matrix):
            height, width = width, height
        try:
            if converter := self._converters.of(picture):
                self._report_once(sdr_note(color_of(picture)))
                image = converter(picture, size=(height, width))
            else:
                image = to_rgb(picture, size=(height, width), scaler=self._scaler, quick=True)
        except av.FFmpegError as error:
            raise SourceError(f"cannot convert {picture.format.name}: {error.strerror}") from error
        return Frame(apply_display_matrix(image, info.matrix), pts, MICROSECOND)

    def _watch(self, frame: Frame, time: float) -> None:
        declared = None if self._info.paced else self.frame_rate
        for line in (self._rate(time, declared), self._black(time, frame.image)):
            if line:
                self._report(line)

    def _report_once(self, line: str | None) -> None:
        if line is not None and line not in self._reported:
            self._reported.add(line)
            self._report(line)

    def _report(self, line: str) -> None:
        self._log(f"{self._feed.title}: {line}")


class RateWatch:
    """Measures the frame rate, and reports once that it is not the declared one."""

    def __init__(self, window_seconds: float = 2.0) -> None:
        self._window = window_seconds
        self._reported = False
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
        """Account for a frame; returns a line for the user, or None."""
        if time <= self._last:
            return None  # a burst, within the clock's step
        self._began, self._last = min(self._began, time), time
        self._meter.tick(time)
        # The first pictures of a connection come late, or all at once: they have left the window.
        fps = self.fps
        if self._reported or not declared or not fps or time - self._began < 2 * self._window:
            return None
        if abs(fps / declared - 1) <= _RATE_TOLERANCE:
            return None
        self._reported = True
        why = " (cameras slow down in the dark)" if fps < declared else ""
        return f"declares {float(declared):.4g} fps and delivers {fps:.3g}{why}"


class BlackWatch:
    """Reports that the pictures have become black, and that they no longer are."""

    def __init__(self, black_seconds: float = 1.0) -> None:
        self._black_seconds = black_seconds
        self._since: float | None = None
        self._reported = False

    def __call__(self, time: float, image: np.ndarray) -> str | None:
        """Account for a frame; returns a line for the user, or None."""
        # One pixel in 64: 0.03 ms at 1280x720.
        if image[::8, ::8].max() > _BLACK_LEVEL:
            line = "the picture is back" if self._reported else None
            self._since, self._reported = None, False
            return line
        if self._since is None:
            self._since = time
        if self._reported or time - self._since < self._black_seconds:
            return None
        self._reported = True
        return "the pictures are black: is the lens covered, or a privacy switch on?"
