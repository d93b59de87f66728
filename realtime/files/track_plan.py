"""How each stream of a file gets into another container: decided before the first frame."""

import io
from collections.abc import Callable, Sequence
from contextlib import suppress
from fractions import Fraction
from functools import partial
from typing import Any, NamedTuple

import av
from av.stream import Stream

from impasto.realtime.files.animation import ANIMATIONS
from impasto.realtime.files.audio import AudioEncoding, encodings_for
from impasto.realtime.files.survey import Survey
from impasto.realtime.files.tracks import (
    MAX_SECONDS,
    ConvertedSubtitles,
    CopiedTrack,
    MediaTrack,
    ReencodedAudio,
    Setting,
    clock,
    codec_name,
    copy_tags,
    extension_of,
)

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
# What players of a container decode, where FFmpeg's muxer takes more.
_CODECS = {
    "mp4": {
        *("aac", "ac3", "eac3", "alac", "flac", "opus", "mp3", "dts", "truehd", "mp4als"),
        *("mov_text", "dvd_subtitle", "bin_data"),
    },
    "avi": {
        *("pcm_u8", "pcm_s16le", "pcm_s24le", "pcm_s32le", "pcm_f32le", "pcm_f64le"),
        *("pcm_alaw", "pcm_mulaw", "adpcm_ms", "adpcm_ima_wav", "adpcm_yamaha"),
        *("mp2", "mp3", "ac3", "eac3", "dts", "aac", "flac", "vorbis", "wmav1", "wmav2"),
    },
    # FFmpeg writes any other codec as private data, which nothing can read back.
    "mpegts": {
        *("mp2", "mp3", "aac", "aac_latm", "ac3", "eac3", "dts", "truehd", "opus"),
        *("dvb_subtitle", "dvb_teletext", "klv", "scte_35", "timed_id3"),
    },
}
_NOT_CODECS = {"mov": {"mp1", "mp2", "nellymoser"}}
PICTURES_ONLY = (*ANIMATIONS, "yuv4mpegpipe")  # muxers
_LATE_SECONDS = Fraction(1, 50)  # by which sound may be late where it cannot be stored


class TrackPlan(NamedTuple):
    """How a stream gets into a container: `open` adds it; None if it is left out."""

    open: Callable[[Any, Setting], MediaTrack | None] | None
    note: str | None = None  # for the user, where it is not copied as it is


def plan_track(stream: Any, setting: Setting, found: Survey, name: str) -> TrackPlan:
    """Decide how a stream gets into a container, by writing the start of it to memory.

    stream: audio, subtitle, data, attachment or cover. found: what was read of it. name: the
    stream in words, for notes.
    """
    muxer = setting.muxer
    unsupported = f"{extension_of(muxer)} does not support it"
    if stream.type in ("audio", "subtitle") and stream.codec_context is None:
        return TrackPlan(None, f"{name} was left out: this FFmpeg has no decoder for it")
    if stream.type == "audio":
        return _plan_audio(stream, setting, found, name)
    packets = found.first_packets.get(stream.index, ())
    if can_copy(muxer, stream, packets):
        return TrackPlan(partial(_open_copy, stream, packets))
    codec = getattr(stream.codec_context, "codec", None)
    encoder = _TEXT_ENCODERS.get(muxer)
    if stream.type == "subtitle" and codec is not None and codec.text_sub and encoder:
        note = f"{name}: {unsupported}; converted to {encoder}"
        return TrackPlan(partial(_open_text, stream, encoder), note)
    return TrackPlan(None, f"{name} was left out: {unsupported}")


def _plan_audio(stream: Any, setting: Setting, found: Survey, name: str) -> TrackPlan:
    context, muxer = stream.codec_context, setting.muxer
    reason = f"{extension_of(muxer)} does not support it"
    start = (stream.start_time or 0) * stream.time_base
    late = start - setting.origin
    change, pause = (
        None if after is None else start + after
        for after in (found.changes.get(stream.index), found.gaps.get(stream.index))
    )
    if change is not None and setting.end is not None and change >= setting.end:
        change = None
    if change is not None:
        reason = f"its layout or rate changes at {clock(change - setting.origin)}"
    elif muxer == "avi" and stream.start_time is not None and late > _LATE_SECONDS:
        reason = f"it starts {float(late):.2f} s late, which .avi cannot store"
    elif muxer == "avi" and pause is not None:
        reason = f"it pauses at {clock(pause - setting.origin)}, which .avi cannot store"
    elif can_copy(muxer, stream, packets := found.first_packets.get(stream.index, ())):
        return TrackPlan(partial(_open_copy, stream, packets))
    best = found.richest(stream.index) if change is not None else None
    rate, channels = (best.rate, best.channels or None) if best else (None, None)
    if best and 2 * best.rate == context.sample_rate:  # HE-AAC, whose header has the half of it
        rate, channels = context.sample_rate, max(best.channels, context.channels)
    for encoding in encodings_for(muxer, context, rate=rate, channels=channels):
        if _can_encode(muxer, encoding):
            note = f"{name}: {reason}; re-encoded as {encoding.codec}"
            if change is not None or not _is_same_layout(encoding.layout, context.layout):
                note += f", {encoding.layout}"
            return TrackPlan(partial(_open_reencoded, stream, encoding), note)
    return TrackPlan(None, f"{name} was left out: {reason}")


def _is_same_layout(name: str, original: av.AudioLayout) -> bool:
    """Whether a layout is the original, which may say its number of channels only."""
    channels = av.AudioLayout(name).nb_channels
    return name == original.name or original.name == f"{channels} channels"


def can_copy(muxer: str, stream: Stream, packets: Sequence[av.Packet] = ()) -> bool:
    """Whether a container supports a stream as it is, tried by writing and reading it in memory.

    packets: the first of the stream.
    """
    name = codec_name(stream)
    if muxer in PICTURES_ONLY or (muxer in ("avi", "mov") and stream.type == "video"):
        return False  # AVI would make a second video of a cover; MOV drops it without an error
    if stream.type in ("audio", "subtitle", "data") and (
        name == "unknown"
        or name not in _CODECS.get(muxer, {name})
        or name in _NOT_CODECS.get(muxer, ())
    ):
        return False
    file = io.BytesIO()
    trial = av.open(file, "w", format=muxer)
    try:
        copy = _add_copy(trial, stream, packets)
        copy_tags(stream, copy, muxer)
        trial.start_encoding()
        for packet in packets:
            trial.mux(_again(packet, copy))
        if packets:
            trial.close()
    except (av.FFmpegError, ValueError):
        return False
    finally:
        with suppress(av.FFmpegError):  # it complains if nothing was written
            trial.close()
    return not packets or muxer == "mpegts" or stream.type == "video" or _holds(file, stream)


def _again(packet: av.Packet, stream: Any) -> av.Packet:
    """A copy of a packet, at the start of another stream."""
    copy = av.Packet(bytes(packet))
    copy.stream, copy.time_base = stream, packet.time_base
    copy.pts, copy.dts, copy.is_keyframe = packet.pts, packet.dts, packet.is_keyframe
    if packet.duration and packet.duration * packet.time_base < MAX_SECONDS:
        copy.duration = packet.duration
    return copy


def _holds(file: io.BytesIO, stream: Stream) -> bool:
    """Whether a file has a stream of the same kind and codec."""
    try:
        with av.open(io.BytesIO(file.getvalue()), metadata_errors="replace") as written:
            kinds = {(s.type, codec_name(s)) for s in written.streams}
    except av.FFmpegError:
        return False
    return (stream.type, codec_name(stream)) in kinds


def _can_encode(muxer: str, encoding: AudioEncoding) -> bool:
    """Whether a container takes the header of an encoding."""
    trial = av.open(io.BytesIO(), "w", format=muxer)
    try:
        _add_audio(trial, encoding)
        trial.start_encoding()
    except (av.FFmpegError, ValueError):
        return False
    finally:
        with suppress(av.FFmpegError):
            trial.close()
    return True


def _add_copy(output: Any, stream: Any, packets: Sequence[av.Packet]) -> Any:
    """Add a stream for a copy. packets: the first of the original."""
    target = output.add_stream_from_template(stream, opaque=True)
    if output.format.name == "avi" and codec_name(stream).startswith("adpcm") and packets:
        # AVI measures the time of ADPCM by its bit rate, and headers may state a wrong one.
        size, duration = packets[0].size, (packets[0].duration or 0) * packets[0].time_base
        if duration:
            target.codec_context.bit_rate = round(8 * size / duration)
    return target


def _open_copy(
    stream: Any, packets: Sequence[av.Packet], output: Any, setting: Setting
) -> MediaTrack:
    target = _add_copy(output, stream, packets)
    copy_tags(stream, target, setting.muxer)
    return CopiedTrack(stream, target, setting)


def _open_reencoded(
    stream: Any, encoding: AudioEncoding, output: Any, setting: Setting
) -> MediaTrack:
    target = _add_audio(output, encoding)
    copy_tags(stream, target, setting.muxer)
    return ReencodedAudio(stream, target, setting)


def _open_text(stream: Any, encoder: str, output: Any, setting: Setting) -> MediaTrack:
    target = output.add_stream(encoder)
    target.codec_context.subtitle_header = _ASS_HEADER
    target.codec_context.time_base = Fraction(1, 1000)
    copy_tags(stream, target, setting.muxer)
    return ConvertedSubtitles(stream, target, setting)


def _add_audio(output: Any, encoding: AudioEncoding) -> Any:
    target = output.add_stream(encoding.encoder, rate=encoding.rate)
    target.layout = encoding.layout
    target.bit_rate = encoding.bit_rate
    return target
