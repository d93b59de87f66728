"""One stream of a media file on its way into another: copied, re-encoded or converted."""

import io
from contextlib import suppress
from fractions import Fraction
from typing import Any, Protocol

import av
from av.stream import Stream

# By muxer, what audio is re-encoded with if the container does not support the original codec:
# encoder, bits a second and channel, maximum number of channels.
_AUDIO_ENCODERS = {
    "mp4": ("aac", 96_000, 8),
    "mov": ("aac", 96_000, 8),
    "matroska": ("aac", 96_000, 8),
    "mpegts": ("aac", 96_000, 8),
    "webm": ("libopus", 64_000, 8),
    "avi": ("libmp3lame", 96_000, 2),
}
_TEXT_ENCODERS = {"mp4": "mov_text", "mov": "mov_text", "matroska": "subrip", "webm": "webvtt"}
# The header text subtitles are converted with: FFmpeg's default header has colors and sizes, which
# would be written into each line. Positions and fonts that a line sets itself are kept as far as
# the new format supports them.
_ASS_HEADER = b"""[Script Info]
ScriptType: v4.00+

[V4+ Styles]
Format: Name, Fontname, Fontsize, PrimaryColour, SecondaryColour, OutlineColour, BackColour, Bold, \
Italic, Underline, StrikeOut, ScaleX, ScaleY, Spacing, Angle, BorderStyle, Outline, Shadow, \
Alignment, MarginL, MarginR, MarginV, Encoding
Style: Default,Arial,16,&Hffffff,&Hffffff,&H0,&H0,0,0,0,0,100,100,0,0,1,1,0,2,10,10,10,1

[Events]
Format: Layer, Start, End, Style, Name, MarginL, MarginR, MarginV, Effect, Text
"""
# MOV has its own list of languages, with one of the two ISO 639-2 codes of each.
_MOV_LANGUAGES = {
    "deu": "ger",
    "nld": "dut",
    "swe": "sve",
    "ell": "gre",
    "isl": "ice",
    "zho": "chi",
}
# FFmpeg writes any other codec to MPEG-TS as private data, which nothing can read back.
_MPEGTS_CODECS = {
    *("mp2", "mp3", "aac", "aac_latm", "ac3", "eac3", "dts", "truehd", "opus"),
    *("dvb_subtitle", "dvb_teletext", "klv", "scte_35", "timed_id3"),
}
# Tags that describe the original file and not its contents.
_FILE_TAGS = {
    *("major_brand", "minor_version", "compatible_brands", "encoder", "vendor_id", "handler_name"),
    *("duration", "bps", "number_of_frames", "number_of_bytes"),
}


class MediaTrack(Protocol):
    """Takes the packets of a source stream and returns those to mux."""

    def send(self, packet: av.Packet) -> list[av.Packet]: ...

    def flush(self) -> list[av.Packet]: ...


def open_track(
    stream: Any, output: Any, muxer: str, origin: Fraction, *, trimmed: bool
) -> tuple[MediaTrack | None, str | None]:
    """Add a stream to `output` for an audio, subtitle, data, attachment or cover stream.

    origin: seconds of the source that are zero in the output. trimmed: drop what lies before it.
    Returns the track, or None if the container does not support the stream, and a note for the
    user where the stream is not copied as it is.
    """
    extension = {"matroska": ".mkv", "mpegts": ".ts"}.get(muxer, f".{muxer}")
    unsupported = f"{extension} does not support it"
    if can_copy(muxer, stream):
        target = output.add_stream_from_template(stream, opaque=True)
        _copy_tags(stream, target, muxer)
        return CopiedTrack(stream, target, origin, trimmed=trimmed), None
    codec = getattr(stream.codec_context, "codec", None)
    if stream.type == "audio" and codec is not None and muxer in _AUDIO_ENCODERS:
        target = _add_audio(output, stream, *_AUDIO_ENCODERS[muxer])
        _copy_tags(stream, target, muxer)
        note = f"{describe(stream)}: {unsupported}; re-encoded as {_AUDIO_ENCODERS[muxer][0]}"
        return ReencodedAudio(stream, target, origin, trimmed=trimmed), note
    if stream.type == "subtitle" and codec is not None and codec.text_sub:
        encoder = _TEXT_ENCODERS.get(muxer)
        if encoder is not None:
            target = output.add_stream(encoder)
            target.codec_context.subtitle_header = _ASS_HEADER
            target.codec_context.time_base = Fraction(1, 1000)
            _copy_tags(stream, target, muxer)
            note = f"{describe(stream)}: {unsupported}; converted to {encoder}"
            return ConvertedSubtitles(stream, target, origin, trimmed=trimmed), note
    return None, f"{describe(stream)} was left out: {unsupported}"


def can_copy(muxer: str, stream: Stream) -> bool:
    """Whether a container supports a stream as it is, tried by writing a header to memory."""
    if muxer == "gif" or (muxer in ("avi", "mov") and stream.type == "video"):
        return False  # AVI would make a second video of a cover; MOV drops it without an error
    if muxer == "mpegts" and codec_name(stream) not in _MPEGTS_CODECS:
        return False
    trial = av.open(io.BytesIO(), "w", format=muxer)
    try:
        copy = trial.add_stream_from_template(stream, opaque=True)  # type: ignore[type-var]
        _copy_tags(stream, copy, muxer)
        trial.start_encoding()
    except (av.FFmpegError, ValueError):
        return False
    finally:
        with suppress(av.FFmpegError):  # it complains that nothing was written
            trial.close()
    return True


class _ShiftedTrack:
    """Moves packets from the source's clock to the output's."""

    def __init__(self, source: Any, target: Any, origin: Fraction, *, trimmed: bool) -> None:
        self._source = source
        self._target = target
        self._trimmed = trimmed
        self._zero = round(origin / source.time_base)

    def _shift(self, packet: av.Packet) -> bool:
        """Shift a packet's timestamps in place; False if it lies before the start."""
        pts = packet.dts if packet.pts is None else packet.pts
        if pts is None and self._source.type == "video":
            pts = self._zero  # a cover has no timestamp
        if pts is None:
            return False
        pts -= self._zero
        if self._trimmed and pts < 0:
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

    def __init__(self, source: Any, target: Any, origin: Fraction, *, trimmed: bool) -> None:
        super().__init__(source, target, origin, trimmed=trimmed)
        self._last_dts: int | None = None
        self._next_sample: int | None = None  # where the next audio packet starts
        context = source.codec_context
        self._frame_size = context.frame_size if source.type == "audio" else 0
        self._rate = context.sample_rate if source.type == "audio" else 0

    def send(self, packet: av.Packet) -> list[av.Packet]:
        if not self._shift(packet):
            return []
        self._count_samples(packet)
        assert packet.dts is not None and packet.pts is not None
        if self._last_dts is not None and packet.dts <= self._last_dts:  # muxers refuse that
            packet.dts = self._last_dts + 1
            packet.pts = max(packet.pts, packet.dts)
        self._last_dts = packet.dts
        packet.stream = self._target
        return [packet]

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


class ReencodedAudio(_ShiftedTrack):
    """Audio decoded and encoded with another codec."""

    def send(self, packet: av.Packet) -> list[av.Packet]:
        if not self._shift(packet):
            return []
        return [out for frame in packet.decode() for out in self._target.encode(frame)]

    def flush(self) -> list[av.Packet]:
        frames = self._source.decode(None)
        return [out for frame in (*frames, None) for out in self._target.encode(frame)]


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


def _add_audio(output: Any, source: Any, encoder: str, bit_rate: int, max_channels: int) -> Any:
    """Add an audio stream; the sample rate is the encoder's nearest that loses nothing."""
    rates = av.codec.Codec(encoder, "w").audio_rates or [source.rate]
    rate = min(rates, key=lambda r: (r < source.rate, abs(r - source.rate)))
    # By the number of channels, as some files do not say which speakers they are for; other
    # numbers become stereo.
    layout = {1: "mono", 6: "5.1", 8: "7.1"}.get(source.codec_context.channels, "stereo")
    target = output.add_stream(encoder, rate=rate)
    target.layout = layout if max_channels > 2 or layout == "mono" else "stereo"
    target.bit_rate = bit_rate * target.codec_context.channels
    return target


def _copy_tags(source: Any, target: Any, muxer: str) -> None:
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


def describe(stream: Stream) -> str:
    """A stream in words, for notes: `audio stream 1 (aac, fra)`."""
    known = (codec_name(stream), stream.language if stream.language != "und" else None)
    return f"{stream.type} stream {stream.index} ({', '.join(k for k in known if k)})"
