"""Timed pictures from a device, an address, a filter graph or a file."""

import errno
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass, replace
from fractions import Fraction
from threading import Event
from time import monotonic
from typing import Protocol

import av
from av.codec.context import Flags
from av.container import InputContainer
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from impasto.models.errors import SourceError
from impasto.realtime.files.containers import video_stream
from impasto.realtime.files.decoding import Decoder
from impasto.realtime.files.deinterlace import deinterlace
from impasto.realtime.files.rotation import NO_ROTATION, DisplayMatrix, display_matrix, transposes

_SLIP_SECONDS = 0.25  # a paced source later than this does not catch up, but stays late
_JUMP_SECONDS = 60  # a longer gap in the timestamps is a discontinuity, and is not waited for
_RETRY_SECONDS = 0.002  # for devices whose reads do not block: avfoundation
_STALE_SECONDS = 1.0  # timestamps of a device are trusted if they are no older than this
_NO_RATE = {"mpjpeg", "mjpeg"}  # formats that declare no rate, where FFmpeg reports 25


@dataclass(frozen=True, slots=True)
class FeedInfo:
    """What a feed delivers, known with its first picture."""

    size: tuple[int, int]  # (height, width), upright
    frame_rate: Fraction | None  # declared
    description: str  # for the user: "1280x720 at 30 fps (mjpeg)"
    matrix: DisplayMatrix = NO_ROTATION  # the rotation that makes its pictures upright
    ends: bool = False  # its end is final, not a lost connection
    paced: bool = True  # pictures come by timestamps or a clock, at the declared rate


@dataclass(frozen=True, slots=True)
class CapturedPicture:
    """A picture as a feed delivers it, with the time of its capture."""

    picture: VideoFrame | None  # None: corrupt
    time: float  # of time.monotonic


class Feed(Protocol):
    """A source of timed pictures that can be opened and read repeatedly."""

    title: str  # its name in messages
    open_seconds: float  # until the first picture
    stall_seconds: float | None  # without a picture, after which it counts as lost; None: never

    def read(self, stopping: Event, /) -> Iterator[FeedInfo | CapturedPicture]:
        """Open it; yield its `FeedInfo`, then each picture when it is due, until `stopping`.

        Raises SourceError.
        """
        ...


@dataclass
class MediaFeed:
    """A device, an address, a filter graph or a file: anything that FFmpeg opens.

    open: returns the container, or raises SourceError.
    paced: pictures are yielded by their timestamps, not as fast as they can be read. None: only if
    it is a recording behind an address, which would come as fast as the network allows.
    requested: (height, width) and rate requested from a device.
    """

    title: str
    open: Callable[[], InputContainer]
    paced: bool | None = None
    loop: bool = False
    requested: tuple[tuple[int, int], Fraction] | None = None
    open_seconds: float = 15
    stall_seconds: float | None = 5

    def read(self, stopping: Event) -> Iterator[FeedInfo | CapturedPicture]:
        clock = MediaClock()
        info = None
        while not stopping.is_set():
            with closing(self.open()) as container:
                stream = video_stream(container, self.title)
                ends, paced = bool(self.paced), bool(self.paced)
                if self.paced is None:
                    ends = container.duration is not None
                    paced = ends or _is_segmented(container)
                empty = True
                read = _read_paced if paced else _read_unpaced
                for captured in read(container, stream, clock, stopping):
                    if info is None and captured.picture is not None:
                        info = self._info(container, stream, captured.picture)
                        info = replace(info, ends=ends, paced=paced)
                        yield info
                    if info is not None:
                        yield captured
                    empty = False
            if empty and not stopping.is_set():
                raise SourceError(f"no picture of {self.title} can be decoded")
            if not (self.loop and ends):
                return
            clock.restart()

    def _info(self, container: InputContainer, stream: VideoStream, first: VideoFrame) -> FeedInfo:
        matrix = display_matrix(first)
        size = (first.height, first.width)
        if transposes(matrix):
            size = (first.width, first.height)
        rate = stream.average_rate or stream.guessed_rate or None
        if container.format.name in _NO_RATE:
            rate = None
        codec = stream.codec_context.name
        codec = "" if codec == "wrapped_avframe" else f" ({codec})"
        description = _mode(size, rate) + codec
        if self.requested and (size != self.requested[0] or rate not in (None, self.requested[1])):
            description = f"requested {_mode(*self.requested)}, got {description}"
        return FeedInfo(size, rate, description, matrix)


class MediaClock:
    """When pictures with timestamps are due, on the monotonic clock; the first one at once."""

    def __init__(self) -> None:
        self._offset: float | None = None  # from timestamps, in seconds, to the clock
        self._last, self._interval = 0.0, 0.0  # the last due time, and the interval before it

    def due(self, seconds: float) -> float:
        """When a picture is due whose timestamp is `seconds`.

        One that is late by more than a quarter of a second delays all that follow.
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

    def restart(self) -> None:
        """The timestamps start over; the first picture is due one interval after the last."""
        self._offset = None


def _read_paced(
    container: InputContainer, stream: VideoStream, clock: MediaClock, stopping: Event
) -> Iterator[CapturedPicture]:
    """Yield every picture when it is due by its timestamp, as a player does."""
    stream.thread_type = "AUTO"  # type: ignore[assignment]  # a name will do
    time_base = stream.time_base or Fraction(1, 1000)
    with closing(deinterlace(Decoder(container, stream), time_base)) as frames:
        for frame in frames:
            assert frame.pts is not None  # the decoder gives every frame one
            due = clock.due(float(frame.pts * time_base))
            if stopping.wait(max(0.0, due - monotonic())):
                return
            yield CapturedPicture(frame, due)


def _read_unpaced(
    container: InputContainer, stream: VideoStream, _: MediaClock, stopping: Event
) -> Iterator[CapturedPicture]:
    """Yield every picture as soon as it arrives; one that cannot be decoded as None."""
    stream.thread_type = "SLICE"  # type: ignore[assignment]  # frame threads would delay frames
    stream.codec_context.flags |= Flags.low_delay
    is_v4l2 = "v4l2" in container.format.name
    last_intact = monotonic()
    while not stopping.is_set():
        try:
            for packet in container.demux(stream):
                time = monotonic()
                if packet.size == 0:  # the end, or a buffer that the driver returned unfilled
                    continue
                if is_v4l2:
                    time = _capture_time(packet, time)
                try:
                    frames = stream.decode(packet)
                except av.FFmpegError:
                    yield CapturedPicture(None, time)
                    continue
                for frame in frames:
                    # After a second without an intact picture, a corrupt one is better than none.
                    if frame.is_corrupt and time - last_intact < 1:
                        yield CapturedPicture(None, time)
                        continue
                    last_intact = time if not frame.is_corrupt else last_intact
                    yield CapturedPicture(frame, time)
            return
        except av.error.BlockingIOError:
            stopping.wait(_RETRY_SECONDS)
        except av.FFmpegError as error:
            raise SourceError(_loss_reason(error)) from error


def _capture_time(packet: av.Packet, now: float) -> float:
    """The timestamp of a V4L2 buffer; `now` if the driver does not use the monotonic clock."""
    if packet.pts is None or packet.time_base is None:
        return now
    stamp = float(packet.pts * packet.time_base)
    return stamp if 0 <= now - stamp < _STALE_SECONDS else now


def _is_segmented(container: InputContainer) -> bool:
    """Whether pictures arrive in bursts, a segment of seconds at a time, and need pacing."""
    return container.format.name in ("hls", "dash")


def _loss_reason(error: Exception) -> str:
    """Why a source that was open delivers no more, in a few words."""
    if isinstance(error, (av.error.ExitError, av.error.TimeoutError)):
        return "it sends no more data"
    if getattr(error, "errno", None) in (errno.ENODEV, errno.ENXIO):
        return "unplugged"
    if getattr(error, "errno", None) in (errno.EIO, errno.ECONNRESET, errno.EPIPE):
        return "the connection was lost"
    return getattr(error, "strerror", None) or str(error) or type(error).__name__


def _mode(size: tuple[int, int], rate: Fraction | None) -> str:
    shown = "at an undeclared rate" if rate is None else f"at {float(rate):.4g} fps"
    return f"{size[1]}x{size[0]} {shown}"
