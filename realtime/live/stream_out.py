"""Live frames, and sound, to a network address."""

import time
from collections.abc import Callable
from contextlib import suppress
from fractions import Fraction
from math import inf
from typing import Any, Self
from urllib.parse import urlsplit

import av
import numpy as np
from av.codec.context import Flags
from av.video.frame import PictureType

from impasto.models.errors import SinkError
from impasto.realtime.frame import Frame
from impasto.realtime.live.audio_track import Sound
from impasto.realtime.live.backoff import Backoff
from impasto.realtime.live.microphone import Microphone
from impasto.realtime.pixels import even_sized, to_video_frame

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
        say: Callable[[str], None] = lambda line: None,
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
        self._backoff = Backoff(_PAUSES, steady_seconds=_PATIENCE_SECONDS, clock=clock)
        self._retry_at = -inf  # by the clock

    def write(self, frame: Frame) -> None:
        """Send one frame, or none while there is no receiver."""
        if self._container is None and self._clock() < self._retry_at:
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
        self._container, self._stream = container, stream
        self._backoff.connected()
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
        self.close()
        pause = self._backoff.next_pause()
        self._retry_at = self._clock() + pause
        self._say(f"{self.name} cannot be reached ({reason}): trying again in {pause} s")


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
