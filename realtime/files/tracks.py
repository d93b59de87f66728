"""One stream of a media file on its way into another: copied, re-encoded or converted."""

from fractions import Fraction
from typing import Any, NamedTuple, Protocol

import av
from av.stream import Stream

from impasto.realtime.files.audio import SteadyAudio

# MOV has its own list of languages, with one of the two ISO 639-2 codes of each.
_MOV_LANGUAGES = {
    "deu": "ger",
    "nld": "dut",
    "swe": "sve",
    "ell": "gre",
    "isl": "ice",
    "zho": "chi",
}
# Tags that describe the original file and not its contents.
_FILE_TAGS = {
    *("major_brand", "minor_version", "compatible_brands", "encoder", "vendor_id", "handler_name"),
    *("duration", "bps", "number_of_frames", "number_of_bytes", "alpha_mode"),
}


MAX_SECONDS = 24 * 3600  # a longer subtitle has no end; a longer pause is a damaged timestamp


LONG_GAP_SECONDS = 600  # after which nothing follows that ends after the picture


class DamagedPacketError(ValueError):
    """A packet that no container takes, of a damaged file."""


class MediaTrack(Protocol):
    """Takes the packets of a source stream and returns those to mux."""

    def send(self, packet: av.Packet) -> list[av.Packet]:
        """Raises DamagedPacketError or av.FFmpegError for a packet to leave out."""
        ...

    def flush(self) -> list[av.Packet]: ...


class Setting(NamedTuple):
    """Where a track goes: container, and the part of the source that is taken."""

    muxer: str
    origin: Fraction  # seconds of the source that are zero in the output
    end: Fraction | None  # of the picture, in seconds of the source, for subtitles without an end
    trimmed: bool  # drop what lies before the origin


class _Clock:
    """Refuses packets whose timestamps are absurd: a track may pause, but not so long."""

    def __init__(self, setting: Setting) -> None:
        self._end = None if setting.end is None else setting.end - setting.origin
        self._last = Fraction(0)  # seconds of the output

    def check(self, time: Fraction) -> None:
        """Raise DamagedPacketError for a time, in seconds of the output, that no film has."""
        gap = abs(time - self._last)
        is_after = self._end is not None and time - self._end > LONG_GAP_SECONDS
        if gap > MAX_SECONDS or (gap > LONG_GAP_SECONDS and is_after):
            raise DamagedPacketError(f"a pause of {float(gap):.0f} s")
        self._last = time


class _ShiftedTrack:
    """Moves packets from the source's clock to the output's."""

    def __init__(self, source: Any, target: Any, setting: Setting) -> None:
        self._source = source
        self._target = target
        self._setting = setting
        self._zero = round(setting.origin / source.time_base)

    def _shift(self, packet: av.Packet) -> bool:
        """Shift a packet's timestamps in place; False if it lies before the start."""
        pts = packet.dts if packet.pts is None else packet.pts
        if pts is None and self._source.type == "video":
            pts = self._zero  # a cover has no timestamp
        if pts is None:
            return False
        pts -= self._zero
        if self._setting.trimmed and pts < 0:
            # A subtitle that is on show at the start is kept for the rest of its time. An audio
            # packet is not: it would start before the video, and some containers then move that.
            if self._source.type != "subtitle" or pts + (packet.duration or 0) <= 0:
                return False
            packet.duration, pts = (packet.duration or 0) + pts, 0
        packet.dts = pts if packet.dts is None else min(packet.dts - self._zero, pts)
        packet.pts = pts
        return True


class CopiedTrack(_ShiftedTrack):
    """A stream copied packet by packet."""

    def __init__(self, source: Any, target: Any, setting: Setting) -> None:
        super().__init__(source, target, setting)
        self._last_dts: int | None = None
        self._clock = _Clock(setting)
        self._next_sample: int | None = None  # where the next audio packet starts
        context = source.codec_context
        self._frame_size = context.frame_size if source.type == "audio" else 0
        self._rate = context.sample_rate if source.type == "audio" else 0

    def send(self, packet: av.Packet) -> list[av.Packet]:
        if not self._shift(packet):
            return []
        assert packet.dts is not None and packet.pts is not None
        self._clock.check(packet.dts * packet.time_base)
        self._end_subtitle(packet)
        self._count_samples(packet)
        if self._last_dts is not None and packet.dts <= self._last_dts:  # muxers refuse that
            packet.dts = self._last_dts + 1
            packet.pts = max(packet.pts, packet.dts)
        self._last_dts = packet.dts
        packet.stream = self._target
        return [packet]

    def _end_subtitle(self, packet: av.Packet) -> None:
        """A subtitle without an end lasts until the next one, or the end of the film.

        Matroska says so by no duration; MP4 ends each where the next begins.
        """
        if (packet.duration or 0) * packet.time_base < MAX_SECONDS:
            return
        end, origin = self._setting.end, self._setting.origin
        left = 0 if end is None else round((end - origin) / packet.time_base) - (packet.pts or 0)
        packet.duration = 0 if self._setting.muxer in ("matroska", "webm") else max(0, left)

    def _count_samples(self, packet: av.Packet) -> None:
        """Time audio in samples if the source rounds to milliseconds, as Matroska does.

        Otherwise the output would store the rounding as packets of uneven length.
        """
        unit = self._source.time_base
        if not self._frame_size or not self._rate or (1 / unit / self._rate).denominator == 1:
            return
        exact = packet.pts * unit * self._rate
        expected = self._next_sample
        near = expected is not None and abs(expected - exact) <= unit * self._rate
        sample = expected if near else round(exact)
        length = (packet.duration or 0) * unit * self._rate
        if abs(self._frame_size - length) <= unit * self._rate:
            length = Fraction(self._frame_size)
        packet.time_base = Fraction(1, self._rate)
        packet.pts = packet.dts = sample
        packet.duration = round(length)
        self._next_sample = sample + round(length)

    def flush(self) -> list[av.Packet]:
        return []


class ReencodedAudio:
    """Audio decoded and encoded with another codec, without gaps from zero on."""

    def __init__(self, source: Any, target: Any, setting: Setting) -> None:
        self._source, self._target = source, target
        self._zero = round(setting.origin / source.time_base)
        self._clock = _Clock(setting)
        context = target.codec_context
        self._steady = SteadyAudio(context.format, context.layout.name, context.sample_rate)

    def send(self, packet: av.Packet) -> list[av.Packet]:
        packet.pts = None if packet.pts is None else packet.pts - self._zero
        packet.dts = None if packet.dts is None else packet.dts - self._zero
        if packet.dts is not None:
            self._clock.check(packet.dts * packet.time_base)
        return [out for frame in packet.decode() for out in self._encoded(frame)]

    def flush(self) -> list[av.Packet]:
        frames = [*self._source.decode(None), None]
        packets = [out for frame in frames for out in self._encoded(frame)]
        return [*packets, *self._target.encode(None)]

    def _encoded(self, frame: Any) -> list[av.Packet]:
        return [out for steady in self._steady.send(frame) for out in self._target.encode(steady)]


class ConvertedSubtitles(_ShiftedTrack):
    """Text subtitles in another format, which may not support their positions and fonts."""

    def send(self, packet: av.Packet) -> list[av.Packet]:
        if not self._shift(packet):
            return []
        subtitles = self._source.codec_context.decode2(packet)
        if not subtitles:
            return []
        out = self._target.codec_context.encode_subtitle(subtitles)
        out.stream, out.time_base = self._target, packet.time_base
        out.pts = out.dts = packet.pts
        out.duration = packet.duration
        return [out]

    def flush(self) -> list[av.Packet]:
        return []


def copy_tags(source: Any, target: Any, muxer: str) -> None:
    target.metadata.update(kept_tags(source.metadata))
    if muxer == "mov" and source.language in _MOV_LANGUAGES:
        target.metadata["language"] = _MOV_LANGUAGES[source.language]
    target.disposition = source.disposition


def kept_tags(metadata: dict[str, str]) -> dict[str, str]:
    """The tags of a file or stream that hold for a copy; without Matroska's statistics."""
    return {
        key: value
        for key, value in metadata.items()
        if key.lower() not in _FILE_TAGS and not key.startswith("_STATISTICS")
    }


def codec_name(stream: Any) -> str:
    """FFmpeg's name of a stream's codec; "unknown" if it has none."""
    if stream.codec_context is None:
        return stream.name or "unknown" if stream.type == "data" else "unknown"
    return stream.codec_context.codec.canonical_name


def describe(stream: Stream, codec: str | None = None) -> str:
    """A stream in words, for notes: `audio stream 1 (aac, fra)`.

    codec: its name, of one that FFmpeg cannot decode.
    """
    known = (codec or codec_name(stream), stream.language if stream.language != "und" else None)
    return f"{stream.type} stream {stream.index} ({', '.join(k for k in known if k)})"


def extension_of(muxer: str) -> str:
    """The file extension of a container, for notes."""
    special = {"matroska": ".mkv", "mpegts": ".ts", "yuv4mpegpipe": ".y4m"}
    return special.get(muxer, f".{muxer}")


def clock(seconds: Fraction) -> str:
    """A time as players show it: 1:02:03, or 0:02."""
    whole = max(0, round(seconds))
    hours, minutes = whole // 3600, whole // 60 % 60
    return (f"{hours}:{minutes:02}" if hours else f"{minutes}") + f":{whole % 60:02}"
