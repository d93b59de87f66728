"""Pictures in their time: from a device, an address, a filter graph, a file, or made up."""

import errno
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass, replace
from fractions import Fraction
from threading import Event
from time import monotonic
from typing import Protocol

import av
import numpy as np
from av.codec.context import Flags
from av.container import InputContainer
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from impasto.models.errors import SourceError
from impasto.realtime.files.containers import video_stream
from impasto.realtime.files.decoding import Decoder
from impasto.realtime.files.deinterlace import deinterlace
from impasto.realtime.files.rotation import NO_ROTATION, DisplayMatrix, display_matrix, transposes
from impasto.realtime.live.demo_camera import MovingPicture

_SLIP_SECONDS = 0.25  # a paced source that is later than this goes on from where it is
_JUMP_SECONDS = 60  # a longer gap in the time stamps is a jump, and is not waited for
_ASK_AGAIN_SECONDS = 0.002  # for devices that do not wait for a picture: avfoundation
_STALE_SECONDS = 1.0  # time stamps of a device are believed if they are no older than this
_MADE_UP_RATE = {"mpjpeg", "mjpeg"}  # formats without one: FFmpeg says 25


@dataclass(frozen=True, slots=True)
class Opened:
    """What a feed turned out to give, known with its first picture."""

    size: tuple[int, int]  # (height, width), upright
    frame_rate: Fraction | None  # declared
    description: str  # for the user: "1280x720 at 30 fps (mjpeg)"
    matrix: DisplayMatrix = NO_ROTATION  # how pictures are to be turned
    ends: bool = False  # its end is its end, and not a loss
    paced: bool = True  # by its time stamps, or a clock: the rate is what it says


@dataclass(frozen=True, slots=True)
class Captured:
    """A picture, and when it came: a reading of `time.monotonic`."""

    picture: VideoFrame | np.ndarray | None  # (H, W, 3) uint8 RGB if an array; None: broken
    time: float


class Feed(Protocol):
    """Something that can be opened and read, again and again."""

    title: str  # what messages call it
    open_seconds: float  # until the first picture
    stall_seconds: float | None  # without a picture, after which it counts as lost; None: never

    def read(self, stopping: Event, /) -> Iterator[Opened | Captured]:
        """Open it: `Opened`, then what comes, in its time, until `stopping`. Raises SourceError."""
        ...


@dataclass
class MediaFeed:
    """A device, an address, a filter graph or a file: whatever FFmpeg opens.

    open: gives the container, or raises SourceError.
    paced: pictures are given when their time stamps say, not as fast as they can be read. None:
    only if it is a recording behind an address, which would come as fast as the network can.
    asked: (height, width) and rate that a device was asked for.
    """

    title: str
    open: Callable[[], InputContainer]
    paced: bool | None = None
    loop: bool = False
    asked: tuple[tuple[int, int], Fraction] | None = None
    open_seconds: float = 15
    stall_seconds: float | None = 5

    def read(self, stopping: Event) -> Iterator[Opened | Captured]:
        clock = MediaClock()
        opened = None
        while not stopping.is_set():
            with closing(self.open()) as container:
                stream = video_stream(container, self.title)
                ends, paced = bool(self.paced), bool(self.paced)
                if self.paced is None:
                    ends = container.duration is not None
                    paced = ends or _comes_in_pieces(container)
                came = False
                reading = _in_time if paced else _as_it_comes
                for captured in reading(container, stream, clock, stopping):
                    if opened is None and isinstance(captured.picture, VideoFrame):
                        opened = self._opened(container, stream, captured.picture)
                        opened = replace(opened, ends=ends, paced=paced)
                        yield opened
                    if opened is not None:
                        yield captured
                    came = True
            if not came and not stopping.is_set():
                raise SourceError(f"no picture of {self.title} can be decoded")
            if not (self.loop and ends):
                return
            clock.go_round()

    def _opened(self, container: InputContainer, stream: VideoStream, first: VideoFrame) -> Opened:
        matrix = display_matrix(first)
        size = (first.height, first.width)
        if transposes(matrix):
            size = (first.width, first.height)
        rate = stream.average_rate or stream.guessed_rate or None
        if container.format.name in _MADE_UP_RATE:
            rate = None
        codec = stream.codec_context.name
        codec = "" if codec == "wrapped_avframe" else f" ({codec})"
        words = _mode(size, rate) + codec
        if self.asked and (size != self.asked[0] or (rate and rate != self.asked[1])):
            words = f"asked for {_mode(*self.asked)}, it gives {words}"
        return Opened(size, rate, words, matrix)


@dataclass
class GeneratedFeed:
    """The moving test picture, at exactly its rate: when late it leaves pictures out."""

    size: tuple[int, int]
    frame_rate: Fraction
    title: str = "test picture"
    open_seconds: float = 15
    stall_seconds: float | None = None

    def read(self, stopping: Event) -> Iterator[Opened | Captured]:
        picture = MovingPicture(self.size)
        yield Opened(self.size, self.frame_rate, _mode(self.size, self.frame_rate))
        start, index = monotonic(), 0
        while not stopping.is_set():
            due = start + float(index / self.frame_rate)  # from the start, so that it cannot drift
            image = picture(float(index / self.frame_rate))
            if stopping.wait(max(0.0, due - monotonic())):
                return
            yield Captured(image, due)
            index = max(index + 1, int((monotonic() - start) * self.frame_rate))


class MediaClock:
    """When pictures with time stamps are due, on the monotonic clock; the first one at once."""

    def __init__(self) -> None:
        self._offset: float | None = None  # from time stamps, in seconds, to the clock
        self._last, self._interval = 0.0, 0.0  # due time, and that before to it

    def due(self, seconds: float) -> float:
        """When a picture is due whose time stamp is `seconds`.

        One that is already late by more than a quarter of a second moves all that follow.
        """
        now = monotonic()
        if self._offset is None:
            self._offset = (self._last + self._interval if self._last else now) - seconds
        due = self._offset + seconds
        if now - due > _SLIP_SECONDS or due - now > _JUMP_SECONDS:
            self._offset += now - due
            due = now
        if self._last and due > self._last:
            self._interval = due - self._last
        self._last = due
        return due

    def go_round(self) -> None:
        """The same time stamps come again, the first one an interval after the last."""
        self._offset = None


def _in_time(
    container: InputContainer, stream: VideoStream, clock: MediaClock, stopping: Event
) -> Iterator[Captured]:
    """Every picture when it is due by its time stamp, as a file is played."""
    stream.thread_type = "AUTO"  # type: ignore[assignment]  # a name will do
    time_base = stream.time_base or Fraction(1, 1000)
    with closing(deinterlace(Decoder(container, stream), time_base)) as frames:
        for frame in frames:
            assert frame.pts is not None  # the decoder gives every frame one
            due = clock.due(float(frame.pts * time_base))
            if stopping.wait(max(0.0, due - monotonic())):
                return
            yield Captured(frame, due)


def _as_it_comes(
    container: InputContainer, stream: VideoStream, _: MediaClock, stopping: Event
) -> Iterator[Captured]:
    """Every picture as soon as it is there; where it could not be decoded, that it was broken."""
    stream.thread_type = "SLICE"  # type: ignore[assignment]  # threads over frames hold some back
    stream.codec_context.flags |= Flags.low_delay
    is_v4l2 = "v4l2" in container.format.name
    last_whole = monotonic()
    while not stopping.is_set():
        try:
            for packet in container.demux(stream):
                time = monotonic()
                if packet.size == 0:  # the end, or a buffer that the driver gave back unfilled
                    continue
                if is_v4l2:
                    time = _time_of_exposure(packet, time)
                try:
                    frames = stream.decode(packet)
                except av.FFmpegError:
                    yield Captured(None, time)
                    continue
                for frame in frames:
                    # A picture known to be damaged is still better than none for a second.
                    if frame.is_corrupt and time - last_whole < 1:
                        yield Captured(None, time)
                        continue
                    last_whole = time if not frame.is_corrupt else last_whole
                    yield Captured(frame, time)
            return
        except av.error.BlockingIOError:
            stopping.wait(_ASK_AGAIN_SECONDS)
        except av.FFmpegError as error:
            raise SourceError(why_lost(error)) from error


def _time_of_exposure(packet: av.Packet, now: float) -> float:
    """V4L2 stamps buffers by the clock that `monotonic` reads; most drivers, at least."""
    if packet.pts is None or packet.time_base is None:
        return now
    stamp = float(packet.pts * packet.time_base)
    return stamp if 0 <= now - stamp < _STALE_SECONDS else now


def _comes_in_pieces(container: InputContainer) -> bool:
    """Segments come seconds at a time: without pacing, it would be standing still and rushing."""
    return container.format.name in ("hls", "dash")


def why_lost(error: Exception) -> str:
    """In a few words, why a source that was open gave no more."""
    if isinstance(error, (av.error.ExitError, av.error.TimeoutError)):
        return "nothing comes any more"
    if getattr(error, "errno", None) in (errno.ENODEV, errno.ENXIO):
        return "unplugged"
    if getattr(error, "errno", None) in (errno.EIO, errno.ECONNRESET, errno.EPIPE):
        return "the connection broke off"
    return getattr(error, "strerror", None) or str(error) or type(error).__name__


def _mode(size: tuple[int, int], rate: Fraction | None) -> str:
    shown = "at a rate not declared" if rate is None else f"at {float(rate):.4g} fps"
    return f"{size[1]}x{size[0]} {shown}"
