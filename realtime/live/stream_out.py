"""Streams live frames and the microphone's audio to a network address."""

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
from impasto.realtime.live.audio_track import AudioTrack
from impasto.realtime.live.backoff import Backoff
from impasto.realtime.live.microphone import Microphone
from impasto.realtime.pixels import even_sized, to_video_frame

# FFmpeg's format by URL scheme.
_STREAM_FORMATS = {"udp": "mpegts", "srt": "mpegts", "tcp": "mpegts"} | dict.fromkeys(
    ("rtmp", "rtmps"), "flv"
)
_KEY_FRAME_SECONDS = 2  # the longest a viewer who joins waits for a picture
_LIVE = {
    "preset": "ultrafast",
    "tune": "zerolatency",
    "bf": "0",
    "g": "100000",  # key frames are set by time instead, as the rate varies with dropped frames
    "forced-idr": "1",
}
_BITS_PER_PIXEL = 0.15  # brush strokes are hard to code: 4 Mbit/s for 1280x720 at 30 fps
_AUDIO_WAIT_SECONDS = 0.5  # that pictures wait for their audio, at most
_QUEUED_PACKETS = 4  # between encoder and network; if full, the encoder waits
_TIMEOUT_SECONDS = 5  # of a receiver that does not answer
_PAUSES = (1, 2, 4, 8, 16, 30)  # seconds between attempts to reach a receiver again


class StreamOut:
    """Streams frames as H.264 with low latency, and a microphone's audio as AAC.

    url: udp://, tcp:// or srt:// (as MPEG-TS), rtmp:// or rtmps:// (as FLV), with the parameters
    of FFmpeg's protocol: "srt://host:9000?latency=50000".
    bitrate: bits per second; None: by size and rate. Odd sizes lose a row or a column; a frame of
    another size begins a new stream.
    microphone, epoch: as for `Recorder`. Pictures then wait for their audio, up to half a second.
    A receiver that cannot be reached is tried again after growing pauses of up to 30 s; frames
    until then are discarded. `log` gets a line for each attempt.
    Raises SinkError at once for an address that this FFmpeg cannot send to.
    """

    def __init__(
        self,
        url: str,
        *,
        frame_rate: Fraction | None = None,
        bitrate: int | None = None,
        microphone: Microphone | None = None,
        epoch: float = 0.0,
        log: Callable[[str], None] = lambda line: None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._url = url
        self._scheme = _checked_scheme(url)
        # For messages: the path may hold the key of a channel.
        self.name = f"{self._scheme}://{urlsplit(url).netloc.rpartition('@')[2]}"
        self._rate = frame_rate or Fraction(30)
        self._bitrate = bitrate
        self._microphone = microphone
        self._epoch = epoch
        self._audio: AudioTrack | None = None
        self._log = log
        self._clock = clock
        self._container: Any = None
        self._stream: Any = None
        self._size = (0, 0)
        self._first: Fraction | None = None  # time of the first frame, for all attempts
        self._last_pts = -1
        self._key_frame_at = Fraction(0)
        self._backoff = Backoff(_PAUSES, steady_seconds=_TIMEOUT_SECONDS, clock=clock)
        self._retry_at = -inf  # by the clock

    def write(self, frame: Frame) -> None:
        """Send one frame, or discard it while there is no receiver."""
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
            self._disconnect(error)

    def close(self) -> None:
        """End the stream. A second call does nothing."""
        container, self._container = self._container, None
        if container is None:
            return
        end_audio = self._audio.finish if self._audio else lambda: None
        for end in (
            lambda: container.mux(self._stream.encode(None)),
            end_audio,
            container.close,
        ):
            with suppress(av.FFmpegError, OSError):  # the connection may be lost
                end()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _open(self, image: np.ndarray, frame: Frame) -> None:
        height, width = image.shape[:2]
        bitrate = self._bitrate or round(_BITS_PER_PIXEL * height * width * self._rate)
        form = _STREAM_FORMATS[self._scheme]
        # PyAV connects while holding the GIL, which would freeze the window until the receiver
        # answers. FFmpeg's fifo muxer connects and sends in a separate thread.
        container: Any = av.open(
            _with_packet_size(self._url) if self._scheme == "udp" else self._url,
            "w",
            format="fifo",
            container_options={
                "fifo_format": form,
                "queue_size": str(_QUEUED_PACKETS),
                "format_opts": f"flush_packets=1:rw_timeout={_TIMEOUT_SECONDS * 10**6}",
                "max_interleave_delta": str(round(_AUDIO_WAIT_SECONDS * 10**6)),
            },
        )
        limits = {"maxrate": str(bitrate), "bufsize": str(bitrate)}
        stream = container.add_stream("libx264", rate=self._rate, options=_LIVE | limits)
        context = stream.codec_context
        context.width, context.height, context.pix_fmt = width, height, "yuv420p"
        context.time_base = frame.time_base
        context.bit_rate = bitrate
        if form == "flv":  # it stores the encoder's parameters once, in the header
            context.flags |= Flags.global_header
        at = frame.pts * frame.time_base
        if self._first is None:
            self._first = at
        if self._microphone is not None:
            epoch = self._epoch + float(self._first)
            self._audio = AudioTrack(self._microphone, epoch, begin=at - self._first)
            self._audio.attach(container, stream, Fraction(0), muxer=form)
        container.start_encoding()
        self._container, self._stream = container, stream
        self._backoff.connected()
        self._size, self._last_pts = (height, width), -1
        self._log(f"streaming to {self.name}: {width}x{height}, {bitrate / 1e6:.1f} Mbit/s")

    def _send(self, image: np.ndarray, frame: Frame) -> None:
        at = frame.pts * frame.time_base
        assert self._first is not None  # set by `_open`
        pts = round((at - self._first) / frame.time_base)
        if pts <= self._last_pts:
            return
        picture = to_video_frame(image, "yuv420p")
        picture.pts, picture.time_base = pts, frame.time_base
        if self._last_pts < 0 or at >= self._key_frame_at + _KEY_FRAME_SECONDS:
            picture.pict_type = PictureType.I
            self._key_frame_at = at
        self._last_pts = pts
        self._container.mux(self._stream.encode(picture))
        if self._audio is not None:
            self._audio.copy_until(pts * frame.time_base)

    def _disconnect(self, error: Exception) -> None:
        reason = getattr(error, "strerror", None) or str(error)
        self.close()
        pause = self._backoff.next_pause()
        self._retry_at = self._clock() + pause
        self._log(f"{self.name} cannot be reached ({reason}): trying again in {pause} s")


def _checked_scheme(url: str) -> str:
    """The scheme of an address to stream to. Raises SinkError if it is not supported."""
    try:
        parts = urlsplit(url)
        known = parts.scheme in _STREAM_FORMATS and bool(parts.hostname)
    except ValueError:  # an unclosed bracket
        known = False
    if not known:
        forms = ", ".join(f"{scheme}://HOST" for scheme in _STREAM_FORMATS)
        raise SinkError(f"cannot stream to this address: expected one of {forms}")
    if parts.scheme == "srt":
        try:
            av.open("srt://", format="mpegts").close()  # without a port this always fails
        except av.error.ProtocolNotFoundError:
            raise SinkError(
                "srt:// needs an FFmpeg with libsrt, which PyAV's lacks: use udp:// or "
                "rtmp://, or install PyAV from source (pip install av --no-binary av)"
            ) from None
        except av.FFmpegError:
            pass
    return parts.scheme


def _with_packet_size(url: str) -> str:
    """The address with 7 MPEG-TS packets in each UDP packet, what fits an Ethernet frame."""
    if "pkt_size=" in url:
        return url
    return f"{url}{'&' if '?' in url else '?'}pkt_size=1316"
