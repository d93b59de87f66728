"""Stream copy: everything but the video stream, from one media file into another."""

from collections.abc import Callable, Iterator
from fractions import Fraction
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Any, Self

import av
from av.stream import Discard, Disposition, Stream

from impasto.realtime.files.containers import (
    demuxed,
    duration_of,
    open_media,
    rate_of,
    time_base_of,
    video_stream,
)
from impasto.realtime.files.discontinuity import TimestampUnwrapper
from impasto.realtime.files.mp4_tags import with_room
from impasto.realtime.files.sources import SharedInput, Source, source_of
from impasto.realtime.files.streams import film_start, names_of_unknown, program_streams
from impasto.realtime.files.survey import Survey, survey, survey_of
from impasto.realtime.files.timecode import shifted_timecode
from impasto.realtime.files.track_plan import PICTURES_ONLY, TrackPlan, plan_track
from impasto.realtime.files.tracks import (
    LONG_GAP_SECONDS,
    DamagedPacketError,
    MediaTrack,
    Setting,
    codec_name,
    describe,
    extension_of,
    kept_tags,
)

_MAX_SKEW_SECONDS = 10  # by which the streams of one file may be interleaved out of step
_DAMAGED = (DamagedPacketError, av.InvalidDataError, av.ArgumentError)  # a full disk is an error
_WITH_CHAPTERS = ("mp4", "mov", "matroska", "webm")


class StreamCopier:
    """Copies audio, subtitles, data, attachments, covers, chapters and tags into another file.

        with StreamCopier("a.mkv") as rest, VideoWriter("b.mp4", info, extra_streams=rest) as sink:

    Packets are copied if the new container supports their codec. Otherwise audio is re-encoded,
    text subtitles are converted and all else is left out; `notes` has a line for each. The writer
    asks for packets in step with the video, so that nothing is buffered.

    shared: take the packets from there, which someone else reads, instead of opening the file.
    start, end: seconds on the file's own clock (which need not start at zero). What lies outside
    is left out; timestamps are shifted so that audio and video stay in sync.
    Raises SourceError if the file cannot be opened.
    """

    def __init__(
        self,
        path: Source,
        *,
        start: Fraction | None = None,
        end: Fraction | None = None,
        shared: SharedInput | None = None,
    ) -> None:
        self.notes: list[str] = []
        self._input = open_media(path) if shared is None else shared.container
        self._shared = shared
        self._path = source_of(path)
        self._video = video_stream(self._input, self._path)
        self._timestamps = TimestampUnwrapper(self._input, self._video)
        unknown = any(s.codec_context is None for s in self._input.streams)
        self._unknown = names_of_unknown(self._input) if unknown else {}
        self._start = start
        self._end = end
        # The file is shifted to start at zero: the clock of a broadcast may stand at nine hours.
        self._origin = film_start(self._input, self._video)
        self._plans: dict[int, TrackPlan] | None = None
        self._tracks: dict[int, MediaTrack] = {}
        self._packets: Iterator[av.Packet] | None = None  # from the first use on
        self._rest: Iterator[av.Packet] = iter(())  # of the shared, after its reader is done
        self._latest: Fraction | None = None  # the time up to which packets wait for the picture
        self._waiting: av.Packet | None = None  # read, and not due yet
        self._output: Any = None

    def attach(self, output: Any, video: Any, first: Fraction, *, muxer: str) -> Fraction:
        """Add all streams, chapters and tags to `output`, before its header is written.

        video: the output's video stream, which gets the tags of the original's. first: time of
        the first video frame, in seconds of the original. Returns the time of the original, in
        seconds, that is zero in the output.
        """
        self._output = output
        if self._start is not None:
            # A cut between two frames begins with the next; one before a late picture begins there.
            rate = rate_of(self._video) or 1
            self._origin = first if first - self._start < 1 / rate else self._start
        # MPEG-TS and AVI start at zero in any case.
        trimmed = self._start is not None or muxer in ("mpegts", "avi")
        end = self._picture_end()
        # Nothing waits for a timestamp that only damage explains, or all that follows would too.
        self._latest = None if end is None else end + LONG_GAP_SECONDS
        setting = Setting(muxer, self._origin, end, trimmed)
        if self._plans is None:
            self._plans = self._planned(setting)
        for index, plan in self._plans.items():
            track = plan.open(output, setting) if plan.open else None
            if track is not None:
                self._tracks[index] = track
        if muxer in ("matroska", "webm"):
            # Audio starts a packet early, to prime the decoder. By default, the muxer would shift
            # all streams so that this packet is at zero, and the video later.
            output.container_options["avoid_negative_ts"] = "disabled"
        self._tag(output, video, first, muxer)
        chapters = self._chapters()
        if muxer in _WITH_CHAPTERS:
            output.set_chapters(chapters)
        elif chapters:
            self._note(f"{len(chapters)} chapters were left out: {muxer} does not support them")
        return self._origin

    def copy_until(self, time: Fraction) -> None:
        """Write everything before `time`, in seconds of the original.

        What cannot be read is left out, with a note. Raises av.FFmpegError if writing fails.
        """
        self._copy(time)

    def finish(self, time: Fraction | None = None) -> None:
        """Write the rest: all of it, or what lies before `time`."""
        if self._shared is not None and time is None and self._end is not None:
            # The video was read to its end; the sound that goes with it may come later.
            self._rest = self._input.demux()
        self._copy(time)
        for index, track in self._tracks.items():
            self._write(index, track.flush)
        self._tracks.clear()

    def close(self) -> None:
        """Close the original. A second call does nothing."""
        self._packets = iter(())
        self._waiting = None
        self._tracks.clear()
        if self._shared is None:
            self._input.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _demux(self) -> Iterator[av.Packet]:
        """Start reading the packets of all tracks."""
        if not self._tracks:
            return iter(())
        wanted = {*self._tracks}
        if self._timestamps.is_broadcast:  # the video's packets show where the clock jumps
            wanted.add(self._video.index)
        for stream in self._input.streams:
            if stream.index not in wanted:
                stream.discard = Discard.all
        if self._start is not None:
            self._input.seek(int(self._origin * av.time_base))
        return demuxed(self._input, *(self._input.streams[i] for i in wanted))

    def _copy(self, time: Fraction | None) -> None:
        while (packet := self._next()) is not None:
            at = _time_of(packet)
            if at is not None and time is not None and time <= at < (self._latest or at + 1):
                self._waiting = packet
                return
            if at is not None and self._end is not None and at >= self._end:
                if self._end + _MAX_SKEW_SECONDS <= at < self._end + LONG_GAP_SECONDS:
                    self._packets = iter(())
                continue
            self._write(
                packet.stream_index, partial(self._tracks[packet.stream_index].send, packet)
            )

    def _next(self) -> av.Packet | None:
        """The next packet that is not empty; None at the end."""
        if self._waiting is not None:
            packet, self._waiting = self._waiting, None
            return packet
        if self._shared is not None:
            self._packets = chain(self._shared.available(), self._rest)
        elif self._packets is None:
            self._packets = self._demux()
        try:
            for packet in self._packets:
                if self._shared is None:  # else its reader has done that
                    self._timestamps.unwrap(packet)
                if packet.size and packet.stream_index in self._tracks:
                    return packet
            return None
        except av.FFmpegError as error:
            self._note(f"{self._path.name}: audio and subtitles end early: {error.strerror}")
            self._packets = iter(())
            return None

    def _write(self, index: int, packets: Callable[[], list[av.Packet]]) -> None:
        """Mux the packets that `packets` returns; damaged ones are left out, with a note."""
        try:
            self._output.mux(packets())
        except _DAMAGED:
            self._note(f"some packets of {self._name(index)} were damaged, and left out")

    def _note(self, note: str) -> None:
        if note not in self.notes:
            self.notes.append(note)

    def _name(self, index: int) -> str:
        return describe(self._input.streams[index], self._unknown.get(index))

    def _picture_end(self) -> Fraction | None:
        """When the picture or its part ends, in seconds of the original; None if unknown."""
        duration = duration_of(self._input, self._video)
        if self._end is not None or duration is None:
            return self._end
        return (self._video.start_time or 0) * time_base_of(self._video) + duration

    def _planned(self, setting: Setting) -> dict[int, TrackPlan]:
        """How each stream but the video gets into the container, with a note where it changes."""
        mine = program_streams(self._input, self._video)
        others = [s for s in self._input.streams if s.index not in mine]
        if others:
            numbers = ", ".join(str(stream.index) for stream in others)
            self._note(f"streams {numbers} were left out: they belong to another program")
        wanted = [s for s in self._input.streams if s.index in mine and self._is_wanted(s)]
        whole = setting.muxer == "avi"  # which stores no times of sound: are there gaps?
        found = Survey()
        if self._shared is not None:
            found = survey_of(self._shared.packets.copy(), wanted)
        elif wanted and setting.muxer not in PICTURES_ONLY:
            assert isinstance(self._path, Path)
            found = survey(self._path, (s.index for s in wanted), whole=whole)
        plans = {stream.index: self._plan(stream, setting, found) for stream in wanted}
        for plan in plans.values():
            if plan.note is not None:
                self._note(plan.note)
        return plans

    def _is_wanted(self, stream: Stream) -> bool:
        """Whether a stream is one to plan; a note for the user where it is not."""
        name = self._name(stream.index)
        if stream.index == self._video.index or (
            stream.type == "data"
            and (
                stream.discard == Discard.all  # titles of MP4's chapters: `_chapters` copies them
                or "timecode" in stream.metadata  # the muxer writes it, from the video's tags
            )
        ):
            return False
        if stream.type == "video" and stream.codec_context is None:
            self._note(f"{name} was left out: this FFmpeg has no decoder for it")
            return False
        if stream.type == "video" and not stream.disposition & Disposition.attached_pic:
            self._note(f"{name}, a second video stream, was left out")
            return False
        return True

    def _plan(self, stream: Stream, setting: Setting, found: Survey) -> TrackPlan:
        if stream.type == "video" and setting.muxer == "matroska":  # it stores covers as files
            return TrackPlan(partial(self._attach_cover, stream))
        return plan_track(stream, setting, found, self._name(stream.index))

    def _attach_cover(self, stream: Stream, output: Any, _: Setting) -> None:
        data = b""
        if self._shared is not None:  # it comes before all else
            here = (p for p in self._shared.packets.copy() if p.stream_index == stream.index)
            data = next((bytes(p) for p in here if p.size), b"")
        else:
            with open_media(self._path) as again:
                packets = again.demux(again.streams[stream.index])
                data = next((bytes(p) for p in packets if p.size), b"")
        kind = codec_name(stream).replace("mjpeg", "jpeg")
        name = stream.metadata.get("filename", f"cover.{kind.replace('jpeg', 'jpg')}")
        output.add_attachment(name, f"image/{kind}", data)

    def _tag(self, output: Any, video: Any, first: Fraction, muxer: str) -> None:
        """Write the tags of the file and of its video; the timecode is that of the first frame."""
        tags, of_video = kept_tags(self._input.metadata), kept_tags(self._video.metadata)
        for some in (tags, of_video):
            for key in [key for key in some if key.lower() == "timecode"]:
                label = self._timecode(some.pop(key), video, first, muxer)
                if label is not None:
                    some[key] = label
        if muxer in ("mp4", "mov"):
            tags, unusual = with_room(tags, muxer)
            if unusual:
                flags = output.container_options.get("movflags", "")
                output.container_options["movflags"] = flags + "+use_metadata_tags"
        output.metadata.update(tags)
        video.metadata.update(of_video)
        video.disposition = self._video.disposition & ~Disposition.attached_pic

    def _timecode(self, label: str, video: Any, first: Fraction, muxer: str) -> str | None:
        """The timecode of the first frame; None, with a note, if it cannot be written."""
        if muxer not in _WITH_CHAPTERS:
            self._note(f"timecode {label} was left out: {extension_of(muxer)} does not support it")
            return None
        rate = rate_of(self._video) or Fraction(25)
        late = first - (self._video.start_time or 0) * time_base_of(self._video)
        new = shifted_timecode(label, round(late * rate), rate, video.codec_context.framerate)
        if new is None:
            self._note(f"timecode {label} was left out: it is not one of SMPTE")
        return new

    def _chapters(self) -> list[Any]:
        """The chapters between start and end, shifted to the output's clock."""
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


def _time_of(packet: av.Packet) -> Fraction | None:
    at = packet.pts if packet.dts is None else packet.dts
    return None if at is None else at * packet.time_base
