"""What live frames go to beside the window: recordings, a stream, snapshots; none may slow it."""

import shutil
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from datetime import datetime
from fractions import Fraction
from itertools import count
from pathlib import Path
from threading import Condition, Thread
from typing import Any, Protocol, Self
from urllib.parse import urlsplit

import av
import numpy as np
from av.codec.context import Flags
from av.video.frame import PictureType

from models.errors import ImpastoError, SinkError
from realtime.atomic import check_target
from realtime.files.codecs import container_for
from realtime.files.pictures import write_picture
from realtime.files.sinks import VideoWriter
from realtime.frame import Frame, StreamInfo
from realtime.live.microphone import Microphone, Sound
from realtime.pixels import even_sized, to_video_frame

Say = Callable[[str], None]

_TELL_SECONDS = 2.0  # between two lines about dropped frames
_PAUSE: Any = object()
# FFmpeg's format by the scheme of an address.
_STREAM_FORMATS = {"udp": "mpegts", "srt": "mpegts", "tcp": "mpegts"} | dict.fromkeys(
    ("rtmp", "rtmps"), "flv"
)
_KEY_FRAME_SECONDS = 2  # how long a viewer who joins waits for a picture, at most
_LIVE = {
    "preset": "ultrafast",
    "tune": "zerolatency",
    "bf": "0",
    "g": "100000",  # key frames come by time instead: with what is dropped, the rate changes
    "forced-idr": "1",
}
_BITS_PER_PIXEL = 0.15  # brush strokes are hard to code: 4 Mbit/s for 1280x720 at 30 fps
_SOUND_SECONDS = 0.5  # that pictures wait for the sound to them, at most
_QUEUED_PACKETS = 4  # between encoder and network; where it is full, the encoder waits
_PATIENCE_SECONDS = 5  # with a receiver that does not answer
_PAUSES = (1, 2, 4, 8, 16, 30)  # seconds between attempts to reach a receiver again
# A disk's last part stays free: a full one would cost the whole recording, whose index comes last.
_RESERVE_BYTES = 64 << 20


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
        say: Say,
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


class Recorder:
    """Records frames with their own times, in as many files as there are pauses.

    The file plays at the true speed, whatever was dropped on the way: every frame is shown until
    the next one's time, as told by its pts. The first file is `path`, those after it take the next
    free numbers: out.mp4, out-2.mp4 ... A frame of another size begins the next one.
    Names, codecs and errors are those of `sinks.VideoWriter`: a file has its name only when it is
    complete; odd sizes are kept, with full chroma.

    frame_rate: declared; the last frame lasts that long. microphone: its sound goes into the file;
    epoch, the `time.monotonic()` at which the frames' time is zero, must then be given. Both stay
    open: they belong to a `with` around this one. overwrite: of `path` only.
    say: gets a line for each file begun and ended, and each thing a user should know.
    reserve_bytes: with less than this free on the disk, the file is completed and SinkError raised.
    Raises SinkError at once where `path` cannot be written.
    """

    def __init__(
        self,
        path: str | Path,
        *,
        frame_rate: Fraction | None = None,
        microphone: Microphone | None = None,
        epoch: float = 0.0,
        overwrite: bool = False,
        say: Say = lambda line: None,
        reserve_bytes: int = _RESERVE_BYTES,
    ) -> None:
        self.path = Path(path)
        self.paths: list[Path] = []  # of the files that are complete
        self._rate = frame_rate or Fraction(30)
        self._microphone = microphone
        self._epoch = epoch
        self._overwrite = overwrite
        self._say = say
        self._reserve = reserve_bytes
        self._container = container_for(self.path)
        check_target(self.path, overwrite=overwrite)
        self._begun = 0
        self._writer: VideoWriter | None = None
        self._sound: Sound | None = None
        self._size = (0, 0)
        self._zero = 0  # pts of the first frame of this file
        self._last = Fraction(0)  # seconds in this file
        self._count = 0

    def write(self, frame: Frame) -> None:
        """Write one frame. SinkError for a full disk or a lost folder; the next begins anew."""
        size = (frame.image.shape[0], frame.image.shape[1])
        if self._writer is not None and size != self._size:
            self._say(f"{self._writer.path.name} ends: the picture is now {size[1]}x{size[0]}")
            self.pause()
        self._keep_reserve()
        if self._writer is None:
            self._begin(frame, size)
        assert self._writer is not None
        try:
            self._writer.write(Frame(frame.image, frame.pts - self._zero, frame.time_base))
        except SinkError as error:
            self._writer.__exit__(type(error), error, None)  # which removes what there is
            self._writer = None
            raise
        if not self._count:  # what a file cannot hold is known when it is begun
            self._tell(self._writer.notes + (self._sound.notes if self._sound else []))
        self._last = (frame.pts - self._zero) * frame.time_base
        self._count += 1

    def pause(self) -> None:
        """Complete the file, if there is one; the next frame begins another."""
        writer, self._writer = self._writer, None
        if writer is None:
            return
        writer.ends_at = self._last + 1 / self._rate
        if self._sound is not None:
            self._sound.end = writer.ends_at
        writer.close()
        self.paths.append(writer.path)
        self._say(f"{writer.path}: {float(writer.ends_at):.1f} s, {self._count} frames")

    def close(self) -> None:
        """Complete the file. A second call does nothing."""
        self.pause()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """The file is completed whatever came: what was recorded cannot be had again."""
        self.close()

    def _begin(self, frame: Frame, size: tuple[int, int]) -> None:
        path = self._next_path()
        self._zero, self._last, self._count, self._size = frame.pts, Fraction(0), 0, size
        companions: Any = None
        if self._microphone is not None:
            zero = self._epoch + float(frame.pts * frame.time_base)
            companions = self._sound = Sound(self._microphone, zero)
        self._writer = VideoWriter(
            path,
            StreamInfo(*size, time_base=frame.time_base, frame_rate=self._rate),
            # 9.9 ms of CPU time a frame at 1280x720, where files made at leisure take 16.8.
            preset="ultrafast" if self._container.codecs[0] == "h264" else None,
            companions=companions,
            overwrite=self._overwrite and path == self.path,
            index_first=False,
        )
        self._begun += 1
        self._say(f"recording {path}")

    def _tell(self, notes: list[str]) -> None:
        for note in notes:
            self._say(note)

    def _next_path(self) -> Path:
        """The name asked for, then the next number that is free."""
        if not self._begun:
            return self.path
        names = (self.path.with_stem(f"{self.path.stem}-{n}") for n in count(self._begun + 1))
        return next(path for path in names if not path.exists())

    def _keep_reserve(self) -> None:
        try:
            free = shutil.disk_usage(self.path.parent).free
        except OSError as error:
            raise SinkError(f"cannot write to {self.path.parent}: {error.strerror}") from error
        if free >= self._reserve:
            return
        recorded = self._writer.path.name if self._writer else None
        self.pause()
        raise SinkError(
            f"less than {self._reserve >> 20} MiB are free in {self.path.parent}: make room"
            + (f" ({recorded} is complete)" if recorded else "")
        )


class StreamOut:
    """Sends frames as H.264 to an address, with little delay; with a microphone's sound as AAC.

    url: udp://, tcp:// or srt:// (as MPEG-TS), rtmp:// or rtmps:// (as FLV). The receiver's own
    parameters go into it as FFmpeg has them: "srt://host:9000?latency=50000".
    bitrate: bits a second; None: by size and rate. Odd sizes lose a row or a column, and a frame of
    another size begins the stream anew.
    microphone, epoch: as for `Recorder`. With sound, pictures wait for it, up to half a second.
    A receiver that is not there, or no longer, is tried again, at growing pauses of up to 30 s;
    frames until then go nowhere. `say` gets a line for each attempt.
    Raises SinkError at once for an address that FFmpeg here cannot send to.
    """

    def __init__(
        self,
        url: str,
        *,
        frame_rate: Fraction | None = None,
        bitrate: int | None = None,
        microphone: Microphone | None = None,
        epoch: float = 0.0,
        say: Say = lambda line: None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._url = url
        self._scheme = _sendable(url)
        # To be shown: what follows the host is the key to somebody's channel.
        self.name = f"{self._scheme}://{urlsplit(url).netloc.rpartition('@')[2]}"
        self._rate = frame_rate or Fraction(30)
        self._bitrate = bitrate
        self._microphone = microphone
        self._epoch = epoch
        self._sound: Sound | None = None
        self._say = say
        self._clock = clock
        self._container: Any = None
        self._stream: Any = None
        self._size = (0, 0)
        self._zero: Fraction | None = None  # the first frame's time, for all attempts
        self._last_pts = -1
        self._key_frame_at = Fraction(0)
        self._failures = 0  # in a row
        self._opened_at = self._again_at = 0.0  # by the clock; the latter is when to try again

    def write(self, frame: Frame) -> None:
        """Send one frame, or none while there is no receiver."""
        if self._container is None and self._failures and self._clock() < self._again_at:
            return
        image = even_sized(frame.image)
        try:
            if self._container is not None and image.shape[:2] != self._size:
                self.close()
            if self._container is None:
                self._open(image, frame)
            self._send(image, frame)
        except (av.FFmpegError, OSError) as error:
            self._lose(error)

    def close(self) -> None:
        """End the stream. A second call does nothing."""
        container, self._container = self._container, None
        if container is None:
            return
        sound_ends = self._sound.finish if self._sound else lambda: None
        for end in (
            lambda: container.mux(self._stream.encode(None)),
            sound_ends,
            container.close,
        ):
            with suppress(av.FFmpegError, OSError):  # the receiver may be gone
                end()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _open(self, image: np.ndarray, frame: Frame) -> None:
        height, width = image.shape[:2]
        bitrate = self._bitrate or round(_BITS_PER_PIXEL * height * width * self._rate)
        form = _STREAM_FORMATS[self._scheme]
        # PyAV connects with Python's lock held, which would stop the window until the receiver
        # answers. FFmpeg's fifo connects and sends in a thread of its own.
        container: Any = av.open(
            _packeted(self._url) if self._scheme == "udp" else self._url,
            "w",
            format="fifo",
            container_options={
                "fifo_format": form,
                "queue_size": str(_QUEUED_PACKETS),
                "format_opts": f"flush_packets=1:rw_timeout={_PATIENCE_SECONDS * 10**6}",
                "max_interleave_delta": str(round(_SOUND_SECONDS * 10**6)),
            },
        )
        limits = {"maxrate": str(bitrate), "bufsize": str(bitrate)}
        stream = container.add_stream("libx264", rate=self._rate, options=_LIVE | limits)
        context = stream.codec_context
        context.width, context.height, context.pix_fmt = width, height, "yuv420p"
        context.time_base = frame.time_base
        context.bit_rate = bitrate
        if form == "flv":  # which has the encoder's settings once, in front
            context.flags |= Flags.global_header
        at = frame.pts * frame.time_base
        if self._zero is None:
            self._zero = at
        if self._microphone is not None:
            zero = self._epoch + float(self._zero)
            self._sound = Sound(self._microphone, zero, begin=at - self._zero)
            self._sound.attach(container, stream, Fraction(0), muxer=form)
        container.start_encoding()
        self._container, self._stream, self._opened_at = container, stream, self._clock()
        self._size, self._last_pts = (height, width), -1
        self._say(f"streaming to {self.name}: {width}x{height}, {bitrate / 1e6:.1f} Mbit/s")

    def _send(self, image: np.ndarray, frame: Frame) -> None:
        at = frame.pts * frame.time_base
        assert self._zero is not None  # since the stream was opened
        pts = round((at - self._zero) / frame.time_base)
        if pts <= self._last_pts:
            return
        picture = to_video_frame(image, "yuv420p")
        picture.pts, picture.time_base = pts, frame.time_base
        if self._last_pts < 0 or at >= self._key_frame_at + _KEY_FRAME_SECONDS:
            picture.pict_type = PictureType.I
            self._key_frame_at = at
        self._last_pts = pts
        self._container.mux(self._stream.encode(picture))
        if self._sound is not None:
            self._sound.copy_until(pts * frame.time_base)

    def _lose(self, error: Exception) -> None:
        reason = getattr(error, "strerror", None) or str(error)
        if self._clock() >= self._opened_at + _PATIENCE_SECONDS:  # it had been reached
            self._failures = 0
        self.close()
        pause = _PAUSES[min(self._failures, len(_PAUSES) - 1)]
        self._failures += 1
        self._again_at = self._clock() + pause
        self._say(f"{self.name} cannot be reached ({reason}): trying again in {pause} s")


class Snapshots:
    """Saves each frame it is given as a picture; in `BestEffort`, beside the window."""

    def __init__(self, folder: str | Path, *, say: Say = lambda line: None) -> None:
        self._folder = Path(folder)
        self._say = say

    def write(self, frame: Frame) -> None:
        """Save one picture. SinkError where that fails."""
        self._say(f"saved {save_snapshot(frame.image, self._folder)}")

    def close(self) -> None:
        """Nothing to complete."""


def save_snapshot(image: np.ndarray, folder: str | Path) -> Path:
    """Save a picture (H, W, 3) as PNG, named by the time; no file is ever overwritten.

    Returns its path. Raises SinkError where the folder cannot be written.
    """
    stem = f"impasto-{datetime.now():%Y%m%d-%H%M%S}"
    names = (f"{stem}.png" if n == 1 else f"{stem}-{n}.png" for n in count(1))
    path = next(p for p in (Path(folder, name) for name in names) if not p.exists())
    write_picture(path, image)
    return path


def _sendable(url: str) -> str:
    """The scheme of an address; SinkError where nothing can be sent by it."""
    try:
        parts = urlsplit(url)
        known = parts.scheme in _STREAM_FORMATS and bool(parts.hostname)
    except ValueError:  # brackets that do not close
        known = False
    if not known:
        forms = ", ".join(f"{scheme}://HOST" for scheme in _STREAM_FORMATS)
        raise SinkError(f"that is no address to stream to: expected one of {forms}")
    if parts.scheme == "srt":
        try:
            av.open("srt://", format="mpegts").close()  # no port: fails where srt is known, too
        except av.error.ProtocolNotFoundError:
            raise SinkError(
                "srt:// needs an FFmpeg with libsrt, and PyAV's own has none: use udp:// or "
                "rtmp://, or install PyAV from source (pip install av --no-binary av)"
            ) from None
        except av.FFmpegError:
            pass
    return parts.scheme


def _packeted(url: str) -> str:
    """With as many whole MPEG-TS packets in each UDP packet as an Ethernet frame holds: 7."""
    if "pkt_size=" in url:
        return url
    return f"{url}{'&' if '?' in url else '?'}pkt_size=1316"
