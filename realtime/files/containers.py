"""Opening media files with FFmpeg: container, video stream, duration, and why one is refused."""

import os
from collections.abc import Iterator
from contextlib import suppress
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
from av.codec.hwaccel import HWAccel, hwdevices_available
from av.container import InputContainer
from av.packet import Packet
from av.stream import Disposition, Stream
from av.video.stream import VideoStream

from impasto.models.errors import EngineError, SourceError
from impasto.realtime.files.addresses import (
    OPEN_SECONDS,
    READ_SECONDS,
    WebAddress,
    address_error,
    web_options,
)
from impasto.realtime.files.animation import is_animated_webp
from impasto.realtime.files.dvd import JoinedFiles, title_parts
from impasto.realtime.files.nvdec import nvdec_device
from impasto.realtime.files.pipes import InputPipe
from impasto.realtime.files.sources import Source, source_of

MAX_SIDE, MAX_PIXELS = 16384, 100_000_000
MAX_SECONDS = 24 * 3600  # beyond which a damaged file is more likely than a film so long
_LONGEST_FRAME, _DEFAULT_STEP = 3600, Fraction(1, 25)  # seconds
# Demuxers that open other files or addresses named in the file, or wait for more data; and those
# that render any text as a picture.
NOT_MEDIA = {
    *("hls", "dash", "webm_dash_manifest", "imf", "concat", "sdp", "rtp", "rtsp", "sap"),
    *("avisynth", "vapoursynth", "tty", "bin", "xbin", "adf", "idf"),
}
_MOST_FRAMES = 1000  # a second, beyond which FFmpeg's guess is more likely
_STILLS = ("heic", "heix", "heim", "mif1", "avif")  # brands of HEIC and AVIF
_MP4_ATOMS = {b"ftyp", b"moov", b"mdat", b"wide", b"free", b"skip"}


def open_media(
    source: Source, *, hwaccel: str | None = None, on_gpu: bool = False
) -> InputContainer:
    """Open a file, a pipe or a web address with FFmpeg; the caller closes the container.

    No other file is opened; a playlist behind an address may name other addresses.
    hwaccel: FFmpeg's name of a device to decode on, such as "cuda"; None decodes on the CPU.
    on_gpu: with "cuda", leave frames in GPU memory if possible; see `files.nvdec`.
    A path is never read as a protocol, a pattern or an option, and playlists on disk are refused.
    The first file of a DVD's title stands for all of the title.
    Raises SourceError if the source cannot be read, and EngineError for `hwaccel`.
    """
    path = source_of(source)
    if isinstance(path, InputPipe):
        return _open_pipe(path)
    if isinstance(path, WebAddress):
        return _open_address(path, hwaccel)
    if path.is_dir():
        raise SourceError(f"expected a media file, {path} is a folder; give a file in it")
    if not path.exists():
        raise SourceError(f"{path} does not exist; check the name")
    if not path.is_file():
        raise SourceError(f"expected a media file, {path} is a device or a pipe")
    if path.stat().st_size == 0:
        raise SourceError(f"{path} is empty (0 bytes); copy or record it again")
    device, parts = _device(hwaccel) if hwaccel else None, title_parts(path)
    if on_gpu and hwaccel == "cuda":
        try:
            device = nvdec_device()
        except (RuntimeError, TypeError, AssertionError):  # the last: a PyTorch built for CPUs
            on_gpu = False
    file: Any = f"file:{os.fspath(path)}"
    if len(parts) > 1:
        file = JoinedFiles(parts)
    elif is_animated_webp(path):
        from impasto.realtime.files.animated_webp import AnimatedWebp  # loads Pillow

        file = AnimatedWebp(path)
    try:
        return av.open(
            file,
            "r",
            options={
                "protocol_whitelist": "file",
                "format_whitelist": ",".join(sorted(_media_formats())),
            },
            metadata_errors="replace",
            hwaccel=device,
        )
    except (av.FFmpegError, RuntimeError) as error:
        if on_gpu:
            return open_media(path, hwaccel=hwaccel)
        if device and not isinstance(error, av.error.InvalidDataError):
            raise EngineError(
                f"cannot decode {path} on {hwaccel!r}: {_reason(error)}; decode on the CPU instead"
            ) from error
        raise SourceError(f"cannot read {path}: {_why_unreadable(path, error)}") from error


def _open_pipe(pipe: InputPipe) -> InputContainer:
    """Open a pipe. Raises SourceError."""
    try:
        return av.open(
            pipe,
            "r",
            options={
                "protocol_whitelist": "",
                "format_whitelist": ",".join(sorted(_media_formats())),
            },
            metadata_errors="replace",
        )
    except (av.FFmpegError, RuntimeError) as error:
        if pipe.is_empty:
            raise SourceError(f"{pipe} is empty: nothing was written to it") from error
        raise SourceError(
            f"cannot read {pipe}: it is not a film, or one that cannot be read from a pipe; "
            "use Matroska, y4m or MPEG-TS"
        ) from error


def _open_address(address: WebAddress, hwaccel: str | None) -> InputContainer:
    """Open an address, never by another program. Raises SourceError."""
    try:
        return av.open(
            address.url,
            options=web_options(_media_formats()),
            timeout=(OPEN_SECONDS, READ_SECONDS),
            metadata_errors="replace",
            hwaccel=_device(hwaccel) if hwaccel else None,
        )
    except (av.FFmpegError, RuntimeError) as error:
        reason = address_error(address.url, error, OPEN_SECONDS)
        raise SourceError(f"cannot read {address}: {reason}") from error


def _media_formats() -> set[str]:
    return av.formats_available - NOT_MEDIA


def video_stream(container: InputContainer, path: object) -> VideoStream:
    """The video stream to read: FFmpeg's best one that has a decoder, and is no cover picture.

    Of a broadcast with several programs, it is the one with the largest picture.
    path: for messages. Raises SourceError if there is none, or if it is too large.
    """
    streams = [s for s in container.streams.video if not s.disposition & Disposition.attached_pic]
    if not streams:
        kinds = sorted({f"{s.type}" for s in container.streams if s.type != "video"})
        only = " and ".join(kinds) or "nothing else"
        raise SourceError(f"{path} has no video stream, only {only}; give a video file")
    whole = [s for s in streams if not s.disposition & Disposition.dependent]
    is_still = container.metadata.get("major_brand") in _STILLS  # beside tiles, with a thumbnail
    if not whole or (is_still and len(whole) < len(streams)):
        raise SourceError(f"{path} is a still picture in tiles, not a film; use `impasto image`")
    # Without a decoder, a stream has no codec context, and with it no width.
    decodable = [s for s in whole if s.codec_context is not None]
    if not decodable:
        raise SourceError(f"{path}: this FFmpeg has no decoder for its video; convert it first")
    best = None if container.format.name == "mpegts" else container.streams.best("video")
    stream = max(
        decodable,
        key=lambda s: (
            s.width * s.height > 0,
            s.codec_context.pix_fmt is not None,  # else FFmpeg has not found a frame in it
            best and s.index == best.index,
            s.width * s.height,
        ),
    )
    height, width = stream.height, stream.width
    if not height or not width:
        raise SourceError(
            f"{path} holds no frame that can be read; it is damaged, incomplete, or no video"
        )
    check_image_size(height, width, f"{path} has frames of")
    return stream


def demuxed(container: InputContainer, *streams: Stream) -> Iterator[Packet]:
    """The packets of these streams, as `container.demux` yields them.

    Streams may appear in the middle of a file. PyAV 18 fails at the end of such a file, where it
    goes through more streams than it has; by then, all packets have been read.
    """
    with suppress(IndexError):
        yield from container.demux(*streams)


def check_image_size(height: int, width: int, what: str) -> None:
    """Raise SourceError for a size beyond the limits. what: the start of the message."""
    if max(height, width) > MAX_SIDE or height * width > MAX_PIXELS:
        raise SourceError(
            f"{what} {width}x{height}; "
            f"at most {MAX_SIDE} a side and {MAX_PIXELS // 10**6} megapixels are supported"
        )


def time_base_of(stream: Stream) -> Fraction:
    """Seconds per unit of a stream's timestamps; 1/25 if a damaged header says an hour or more."""
    unit = stream.time_base or Fraction(1, 1000)
    return unit if unit < _LONGEST_FRAME else _DEFAULT_STEP


def rate_of(stream: VideoStream) -> Fraction | None:
    """Frames a second that a file declares for a stream; None if it declares none.

    25 if a damaged header says fewer than one in an hour.
    """
    rate, guessed = stream.average_rate, stream.guessed_rate
    if not rate or (guessed and guessed <= _MOST_FRAMES < rate):  # DV says its ticks a second
        rate = guessed
    if not rate:
        return None
    return rate if 1 / rate < _LONGEST_FRAME else 1 / _DEFAULT_STEP


def is_fragmented(stream: VideoStream) -> bool:
    """Whether an MP4 is written in fragments: its header then counts the first one at most.

    FFmpeg's index has all fragments of the file, or as many as are read, if the file has an index
    of fragments (sidx).
    """
    return "mov" in stream.container.format.name and len(stream.index_entries) > stream.frames


def shown_in_index(stream: VideoStream) -> int:
    """The number of frames in the index, without those hidden by an edit list."""
    return sum(not entry.is_discard and entry.size > 0 for entry in stream.index_entries)


def duration_of(container: InputContainer, stream: VideoStream) -> Fraction | None:
    """Duration of the stream in seconds, or of the container; None if neither is known.

    More than a day is believed only if the number of frames agrees with it.
    """
    duration, rate = _declared_duration(container, stream), rate_of(stream)
    if duration is None or duration <= MAX_SECONDS:
        return duration
    counted = stream.frames / rate if stream.frames and rate else None
    return duration if counted is not None and 2 * counted > duration else counted


def _declared_duration(container: InputContainer, stream: VideoStream) -> Fraction | None:
    time_base = time_base_of(stream)
    if stream.duration:  # 0: y4m from a pipe, whose size is unknown
        return stream.duration * time_base
    tagged = tagged_duration(stream)
    if tagged is not None:
        return max(tagged - (stream.start_time or 0) * time_base, Fraction(0))
    return None if container.duration is None else Fraction(container.duration, av.time_base)


def tagged_duration(stream: VideoStream) -> Fraction | None:
    """Seconds, from the DURATION tag of a Matroska stream ("HH:MM:SS.n"); None without one."""
    try:
        hours, minutes, seconds = map(Fraction, stream.metadata.get("DURATION", "").split(":"))
    except ValueError:
        return None
    return hours * 3600 + minutes * 60 + seconds


def _device(kind: str) -> HWAccel:
    if kind not in hwdevices_available():
        known = ", ".join(hwdevices_available()) or "none"
        raise EngineError(f"cannot decode on {kind!r}; this FFmpeg supports: {known}")
    return HWAccel(kind, allow_software_fallback=False)


def _reason(error: Exception) -> str:
    return getattr(error, "strerror", None) or str(error) or type(error).__name__


def _why_unreadable(path: Path, error: Exception) -> str:
    """The reason for the user: FFmpeg's "invalid data" may be any file, or half of a video."""
    if isinstance(error, av.error.ArgumentError):  # "format not on the whitelist"
        return "it is text, a playlist or a script, not a media file"
    if not isinstance(error, (av.error.InvalidDataError, av.error.EOFError)):
        return _reason(error)
    with path.open("rb") as file:
        atom = file.read(8)[4:]
    if atom in _MP4_ATOMS:
        return "its index (moov) is missing or cut off: the recording or the copy was interrupted"
    return "it is not a media file, or its beginning is damaged"
