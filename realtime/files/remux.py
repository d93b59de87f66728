"""What a video file holds besides its pictures, on its way into another file."""

import io
from collections.abc import Callable, Iterator
from contextlib import suppress
from fractions import Fraction
from functools import partial
from pathlib import Path
from typing import Any, Protocol, Self

import av
from av.stream import Discard, Disposition, Stream

from impasto.realtime.files.containers import open_media, video_stream
from impasto.realtime.files.discontinuity import TimestampUnwrapper

# What is re-encoded where the container does not hold the original: encoder, bits a second and
# channel, most channels.
_SOUND = {
    "mp4": ("aac", 96_000, 8),
    "mov": ("aac", 96_000, 8),
    "matroska": ("aac", 96_000, 8),
    "mpegts": ("aac", 96_000, 8),
    "webm": ("libopus", 64_000, 8),
    "avi": ("libmp3lame", 96_000, 2),
}
_TEXT = {"mp4": "mov_text", "mov": "mov_text", "matroska": "subrip", "webm": "webvtt"}
# What text subtitles are converted with: their own colours and sizes would be written into each
# line. Positions and fonts that a line names itself are kept as far as the new form has them.
_PLAIN_TEXT = b"""[Script Info]
ScriptType: v4.00+

[V4+ Styles]
Format: Name, Fontname, Fontsize, PrimaryColour, SecondaryColour, OutlineColour, BackColour, Bold, \
Italic, Underline, StrikeOut, ScaleX, ScaleY, Spacing, Angle, BorderStyle, Outline, Shadow, \
Alignment, MarginL, MarginR, MarginV, Encoding
Style: Default,Arial,16,&Hffffff,&Hffffff,&H0,&H0,0,0,0,0,100,100,0,0,1,1,0,2,10,10,10,1

[Events]
Format: Layer, Start, End, Style, Name, MarginL, MarginR, MarginV, Effect, Text
"""
# MOV knows languages by a list of its own, which has one of the two ISO 639-2 codes of each.
_IN_MOV = {"deu": "ger", "nld": "dut", "swe": "sve", "ell": "gre", "isl": "ice", "zho": "chi"}
_SLACK = 10  # seconds by which streams of one file may be out of step
_CHAPTERS = ("mp4", "mov", "matroska", "webm")
# MPEG-TS writes whatever it is given, as private data that nobody can read back. These it knows.
_IN_MPEGTS = {
    *("mp2", "mp3", "aac", "aac_latm", "ac3", "eac3", "dts", "truehd", "opus"),
    *("dvb_subtitle", "dvb_teletext", "klv", "scte_35", "timed_id3"),
}
# Tags that describe the old file, not the work.
_OLD_FILE = {
    *("major_brand", "minor_version", "compatible_brands", "encoder", "vendor_id", "handler_name"),
    *("duration", "bps", "number_of_frames", "number_of_bytes"),
}
# The tags that MP4 and MOV write where every player looks; others need a list of their own.
_COMMON_IN_MP4 = {
    *("title", "artist", "album_artist", "album", "composer", "author", "date", "comment"),
    *("genre", "copyright", "grouping", "lyrics", "description", "synopsis", "show", "network"),
    *("episode_id", "keywords", "track", "disc", "creation_time", "language", "timecode"),
    *("encoded_by", "location"),
}


class _Track(Protocol):
    """One stream on its way: packets in, packets out."""

    def send(self, packet: av.Packet) -> list[av.Packet]: ...

    def flush(self) -> list[av.Packet]: ...


class StreamCopier:
    """Sound, subtitles, data, attachments, cover pictures, chapters and tags of a video file.

        with StreamCopier("a.mkv") as rest, VideoWriter("b.mp4", info, extra_streams=rest) as sink:

    They are copied, packet by packet, where the new container holds them; else sound is re-encoded
    and text subtitles are converted; else they are left out: `notes` says each. The writer draws
    them in step with the pictures, so that nothing piles up.

    start, end: seconds on the file's own clock (which need not start at zero). What lies outside
    is left out; times are shifted so that sound and picture stay together.
    Raises SourceError if the file cannot be opened.
    """

    def __init__(
        self, path: str | Path, *, start: Fraction | None = None, end: Fraction | None = None
    ) -> None:
        self.notes: list[str] = []
        self._input = open_media(path)
        self._path = Path(path)
        self._pictures = video_stream(self._input, path)
        self._timestamps = TimestampUnwrapper(self._input, self._pictures)
        self._trimmed = start is not None
        self._end = end
        # The whole file is moved to start at zero: a broadcast's clock may stand at nine hours.
        self._origin = Fraction(self._input.start_time or 0, av.time_base)
        self._tracks: dict[int, _Track] = {}
        self._packets: Iterator[av.Packet] = iter(())
        self._waiting: av.Packet | None = None  # read, and not due yet
        self._output: Any = None

    def attach(self, output: Any, video: Any, first: Fraction, *, muxer: str) -> Fraction:
        """Give `output` all its streams and tags, before its header is written.

        video: its own video stream, which gets the tags of the original's. first: the time of the
        first picture, in seconds of the original. Returns the time of the original, in seconds,
        that shall be zero in the new file.
        """
        self._output = output
        if self._trimmed:
            self._origin = first
        output.metadata.update(_tags(self._input.metadata))
        for stream in self._input.streams:
            if stream.index == self._pictures.index:
                video.metadata.update(_tags(stream.metadata))
                video.disposition = stream.disposition & ~Disposition.attached_pic
            elif (track := self._track(stream, output, muxer)) is not None:
                self._tracks[stream.index] = track
        if muxer in ("matroska", "webm"):
            # Sound starts a packet early, to warm the decoder up. Left to itself, the muxer would
            # move all streams so that this packet comes at zero, and the picture later.
            output.container_options["avoid_negative_ts"] = "disabled"
        if muxer in ("mp4", "mov") and {k.lower() for k in output.metadata} - _COMMON_IN_MP4:
            flags = output.container_options.get("movflags", "")
            output.container_options["movflags"] = flags + "+use_metadata_tags"
        chapters = self._chapters()
        if muxer in _CHAPTERS:
            output.set_chapters(chapters)
        elif chapters:
            self.notes.append(f"{len(chapters)} chapters were left out: {muxer} holds none")
        wanted = {*self._tracks}
        if self._tracks and self._timestamps.is_broadcast:  # video packets show the clock's jumps
            wanted.add(self._pictures.index)
        for stream in self._input.streams:
            if stream.index not in wanted:
                stream.discard = Discard.all
        if self._trimmed and self._tracks:
            self._input.seek(int(self._origin * av.time_base))
        if self._tracks:
            self._packets = self._input.demux(*(self._input.streams[i] for i in wanted))
        return self._origin

    def copy_until(self, time: Fraction) -> None:
        """Write everything before `time`, in seconds of the original.

        What cannot be read is left out, and noted. Raises av.FFmpegError where writing fails.
        """
        self._copy(time)

    def finish(self, time: Fraction | None = None) -> None:
        """Write what is left: all of it, or what lies before `time`."""
        self._copy(time)
        for index, track in self._tracks.items():
            self._write(index, track.flush)
        self._tracks.clear()

    def close(self) -> None:
        """Close the original. A second call does nothing."""
        self._packets = iter(())
        self._waiting = None
        self._tracks.clear()
        self._input.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _copy(self, time: Fraction | None) -> None:
        while (packet := self._next()) is not None:
            at = _time_of(packet)
            if at is not None and time is not None and at >= time:
                self._waiting = packet
                return
            if at is not None and self._end is not None and at >= self._end:
                if at >= self._end + _SLACK:
                    self._packets = iter(())
                continue
            self._write(
                packet.stream_index, partial(self._tracks[packet.stream_index].send, packet)
            )

    def _next(self) -> av.Packet | None:
        """The next packet that holds something; None at the end."""
        if self._waiting is not None:
            packet, self._waiting = self._waiting, None
            return packet
        try:
            for packet in self._packets:
                self._timestamps.unwrap(packet)
                if packet.size and packet.stream_index in self._tracks:
                    return packet
            return None
        except av.FFmpegError as error:
            self._note(f"{self._path.name}: sound and subtitles end early: {error.strerror}")
            self._packets = iter(())
            return None

    def _write(self, index: int, packets: Callable[[], list[av.Packet]]) -> None:
        """Mux what `packets` makes. Damaged ones are left out; a full disk is an error."""
        try:
            self._output.mux(packets())
        except (av.InvalidDataError, av.ArgumentError):
            stream = self._input.streams[index]
            self._note(f"some packets of {_name(stream)} were damaged, and left out")

    def _note(self, note: str) -> None:
        if note not in self.notes:
            self.notes.append(note)

    def _track(self, stream: Stream, output: Any, muxer: str) -> _Track | None:
        """The way of a stream into a container; None where there is none."""
        if stream.type == "data" and (
            stream.discard == Discard.all  # the titles of MP4's chapters: `_chapters` has them
            or "timecode" in stream.metadata  # made anew by the muxer, from the video's tags
        ):
            return None
        if stream.type == "video" and not stream.disposition & Disposition.attached_pic:
            self._note(f"{_name(stream)}, a second picture, was left out")
            return None
        if stream.type == "video" and muxer == "matroska":  # where covers are attached files
            self._attach_cover(stream, output)
            return None
        # These start at zero, whatever comes.
        trimmed = self._trimmed or muxer in ("mpegts", "avi")
        if _holds(muxer, stream):
            target = output.add_stream_from_template(stream, opaque=True)
            _copy_tags(stream, target, muxer)
            return _Copied(stream, target, self._origin, trimmed=trimmed)
        codec = getattr(stream.codec_context, "codec", None)
        if stream.type == "audio" and codec is not None and muxer in _SOUND:
            encoder, bit_rate, most = _SOUND[muxer]
            self._note(f"{_name(stream)}: .{_short(muxer)} does not hold it; now {encoder}")
            target = _add_sound(output, stream, encoder, bit_rate, most)
            _copy_tags(stream, target, muxer)
            return _Reencoded(stream, target, self._origin, trimmed=trimmed)
        if stream.type == "subtitle" and codec is not None and codec.text_sub and muxer in _TEXT:
            self._note(f"{_name(stream)}: .{_short(muxer)} does not hold it; now {_TEXT[muxer]}")
            target = output.add_stream(_TEXT[muxer])
            target.codec_context.subtitle_header = _PLAIN_TEXT
            target.codec_context.time_base = Fraction(1, 1000)
            _copy_tags(stream, target, muxer)
            return _Converted(stream, target, self._origin, trimmed=trimmed)
        self._note(f"{_name(stream)} was left out: .{_short(muxer)} does not hold it")
        return None

    def _attach_cover(self, stream: Stream, output: Any) -> None:
        with open_media(self._path) as again:
            data = next((bytes(p) for p in again.demux(again.streams[stream.index]) if p.size), b"")
        kind = _codec_name(stream).replace("mjpeg", "jpeg")
        name = stream.metadata.get("filename", f"cover.{kind.replace('jpeg', 'jpg')}")
        output.add_attachment(name, f"image/{kind}", data)

    def _chapters(self) -> list[Any]:
        """The chapters, shifted, and cut to what is kept."""
        kept: list[Any] = []
        for chapter in self._input.chapters():
            unit = chapter["time_base"] or Fraction(1)
            zero = round(self._origin / unit)
            start, end = max(0, chapter["start"] - zero), chapter["end"] - zero
            if self._end is not None:
                end = min(end, round((self._end - self._origin) / unit))
            if start < end:
                kept.append({**chapter, "id": len(kept) + 1, "start": start, "end": end})
        return kept


class _Timed:
    """Moves packets from the original's clock to the new file's."""

    def __init__(self, source: Any, target: Any, origin: Fraction, *, trimmed: bool) -> None:
        self._source = source
        self._target = target
        self._trimmed = trimmed
        self._zero = round(origin / source.time_base)

    def _shift(self, packet: av.Packet) -> bool:
        """Shift a packet's times; False where it lies before the start."""
        pts = packet.dts if packet.pts is None else packet.pts
        if pts is None and self._source.type == "video":
            pts = self._zero  # a cover has no time
        if pts is None:
            return False
        pts -= self._zero
        if self._trimmed and pts < 0:
            # A line that is being read is shown for what is left of it. A piece of sound is not:
            # it would start before the picture, and some containers then move the picture.
            if self._source.type != "subtitle" or pts + (packet.duration or 0) <= 0:
                return False
            packet.duration, pts = (packet.duration or 0) + pts, 0
        packet.dts = pts if packet.dts is None else min(packet.dts - self._zero, pts)
        packet.pts = pts
        return True


class _Copied(_Timed):
    """A stream as it is."""

    def __init__(self, source: Any, target: Any, origin: Fraction, *, trimmed: bool) -> None:
        super().__init__(source, target, origin, trimmed=trimmed)
        self._last_dts: int | None = None
        self._sample: int | None = None  # where the next packet starts, counted in samples
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
        """Time sound in samples where the original rounds to milliseconds, as Matroska does.

        Otherwise the rounding would be written down as uneven packets, for good.
        """
        unit = self._source.time_base
        if not self._frame_size or not self._rate or (1 / unit / self._rate).denominator == 1:
            return
        exact = packet.pts * unit * self._rate
        near = self._sample is not None and abs(self._sample - exact) <= unit * self._rate
        sample = self._sample if near else round(exact)
        length = (packet.duration or 0) * unit * self._rate
        if abs(self._frame_size - length) <= unit * self._rate:
            length = Fraction(self._frame_size)
        packet.time_base = Fraction(1, self._rate)
        packet.pts = packet.dts = sample
        packet.duration = round(length)
        self._sample = sample + round(length)

    def flush(self) -> list[av.Packet]:
        return []


class _Reencoded(_Timed):
    """Sound in another codec."""

    def send(self, packet: av.Packet) -> list[av.Packet]:
        if not self._shift(packet):
            return []
        return [out for frame in packet.decode() for out in self._target.encode(frame)]

    def flush(self) -> list[av.Packet]:
        frames = self._source.decode(None)
        return [out for frame in (*frames, None) for out in self._target.encode(frame)]


class _Converted(_Timed):
    """Lines of text in another form; their places and fonts may be lost."""

    def send(self, packet: av.Packet) -> list[av.Packet]:
        if not self._shift(packet):
            return []
        lines = self._source.codec_context.decode2(packet)
        if not lines:
            return []
        out = self._target.codec_context.encode_subtitle(lines)
        out.stream, out.time_base = self._target, packet.time_base
        out.pts = out.dts = packet.pts
        out.duration = packet.duration
        return [out]

    def flush(self) -> list[av.Packet]:
        return []


def _holds(muxer: str, stream: Stream) -> bool:
    """Whether a container takes a stream as it is: found out by writing its header to memory."""
    if muxer == "gif" or (muxer in ("avi", "mov") and stream.type == "video"):
        return False  # AVI would make a second film of a cover; MOV has it swallowed in silence
    if muxer == "mpegts" and _codec_name(stream) not in _IN_MPEGTS:
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


def _add_sound(output: Any, source: Any, encoder: str, bit_rate: int, most: int) -> Any:
    rates = av.codec.Codec(encoder, "w").audio_rates or [source.rate]
    rate = min(rates, key=lambda r: (r < source.rate, abs(r - source.rate)))
    # By number, for some files do not say which loudspeakers theirs are; others become stereo.
    layout = {1: "mono", 6: "5.1", 8: "7.1"}.get(source.codec_context.channels, "stereo")
    target = output.add_stream(encoder, rate=rate)
    target.layout = layout if most > 2 or layout == "mono" else "stereo"
    target.bit_rate = bit_rate * target.codec_context.channels
    return target


def _copy_tags(source: Any, target: Any, muxer: str) -> None:
    target.metadata.update(_tags(source.metadata))
    if muxer == "mov" and source.language in _IN_MOV:
        target.metadata["language"] = _IN_MOV[source.language]
    target.disposition = source.disposition


def _tags(metadata: dict[str, str]) -> dict[str, str]:
    """The tags worth keeping; without the statistics that Matroska adds."""
    return {
        key: value
        for key, value in metadata.items()
        if key.lower() not in _OLD_FILE and not key.startswith("_STATISTICS")
    }


def _time_of(packet: av.Packet) -> Fraction | None:
    at = packet.pts if packet.dts is None else packet.dts
    return None if at is None else at * packet.time_base


def _codec_name(stream: Any) -> str:
    if stream.codec_context is None:
        return stream.name or "unknown" if stream.type == "data" else "unknown"
    return stream.codec_context.codec.canonical_name


def _name(stream: Stream) -> str:
    """What a user would call a stream: `audio stream 1 (aac, fra)`."""
    known = (_codec_name(stream), stream.language if stream.language != "und" else None)
    return f"{stream.type} stream {stream.index} ({', '.join(k for k in known if k)})"


def _short(muxer: str) -> str:
    return {"matroska": "mkv", "mpegts": "ts"}.get(muxer, muxer)
