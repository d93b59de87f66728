"""Stream copy: everything but the video stream, from one media file into another."""

from collections.abc import Callable, Iterator
from fractions import Fraction
from functools import partial
from pathlib import Path
from typing import Any, Self

import av
from av.stream import Discard, Disposition, Stream

from impasto.realtime.files.containers import open_media, video_stream
from impasto.realtime.files.discontinuity import TimestampUnwrapper
from impasto.realtime.files.streams import film_start
from impasto.realtime.files.tracks import MediaTrack, codec_name, describe, kept_tags, open_track

_MAX_SKEW_SECONDS = 10  # by which the streams of one file may be interleaved out of step
_WITH_CHAPTERS = ("mp4", "mov", "matroska", "webm")
# The tags that MP4 and MOV write where every player looks; others need `use_metadata_tags`.
_MP4_TAGS = {
    *("title", "artist", "album_artist", "album", "composer", "author", "date", "comment"),
    *("genre", "copyright", "grouping", "lyrics", "description", "synopsis", "show", "network"),
    *("episode_id", "keywords", "track", "disc", "creation_time", "language", "timecode"),
    *("encoded_by", "location"),
}


class StreamCopier:
    """Copies audio, subtitles, data, attachments, covers, chapters and tags into another file.

        with StreamCopier("a.mkv") as rest, VideoWriter("b.mp4", info, extra_streams=rest) as sink:

    Packets are copied if the new container supports their codec. Otherwise audio is re-encoded,
    text subtitles are converted and all else is left out; `notes` has a line for each. The writer
    asks for packets in step with the video, so that nothing is buffered.

    start, end: seconds on the file's own clock (which need not start at zero). What lies outside
    is left out; timestamps are shifted so that audio and video stay in sync.
    Raises SourceError if the file cannot be opened.
    """

    def __init__(
        self, path: str | Path, *, start: Fraction | None = None, end: Fraction | None = None
    ) -> None:
        self.notes: list[str] = []
        self._input = open_media(path)
        self._path = Path(path)
        self._video = video_stream(self._input, path)
        self._timestamps = TimestampUnwrapper(self._input, self._video)
        self._start = start
        self._end = end
        # The file is shifted to start at zero: the clock of a broadcast may stand at nine hours.
        self._origin = film_start(self._input, self._video)
        self._tracks: dict[int, MediaTrack] = {}
        self._packets: Iterator[av.Packet] = iter(())
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
            rate = self._video.average_rate or self._video.guessed_rate or 1
            self._origin = first if first - self._start < 1 / rate else self._start
        output.metadata.update(kept_tags(self._input.metadata))
        for stream in self._input.streams:
            if stream.index == self._video.index:
                video.metadata.update(kept_tags(stream.metadata))
                video.disposition = stream.disposition & ~Disposition.attached_pic
            elif (track := self._track(stream, output, muxer)) is not None:
                self._tracks[stream.index] = track
        if muxer in ("matroska", "webm"):
            # Audio starts a packet early, to prime the decoder. By default, the muxer would shift
            # all streams so that this packet is at zero, and the video later.
            output.container_options["avoid_negative_ts"] = "disabled"
        if muxer in ("mp4", "mov") and {k.lower() for k in output.metadata} - _MP4_TAGS:
            flags = output.container_options.get("movflags", "")
            output.container_options["movflags"] = flags + "+use_metadata_tags"
        chapters = self._chapters()
        if muxer in _WITH_CHAPTERS:
            output.set_chapters(chapters)
        elif chapters:
            self.notes.append(
                f"{len(chapters)} chapters were left out: {muxer} does not support them"
            )
        if self._tracks:
            self._demux()
        return self._origin

    def copy_until(self, time: Fraction) -> None:
        """Write everything before `time`, in seconds of the original.

        What cannot be read is left out, with a note. Raises av.FFmpegError if writing fails.
        """
        self._copy(time)

    def finish(self, time: Fraction | None = None) -> None:
        """Write the rest: all of it, or what lies before `time`."""
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

    def _demux(self) -> None:
        """Start reading the packets of all tracks."""
        wanted = {*self._tracks}
        if self._timestamps.is_broadcast:  # the video's packets show where the clock jumps
            wanted.add(self._video.index)
        for stream in self._input.streams:
            if stream.index not in wanted:
                stream.discard = Discard.all
        if self._start is not None:
            self._input.seek(int(self._origin * av.time_base))
        self._packets = self._input.demux(*(self._input.streams[i] for i in wanted))

    def _copy(self, time: Fraction | None) -> None:
        while (packet := self._next()) is not None:
            at = _time_of(packet)
            if at is not None and time is not None and at >= time:
                self._waiting = packet
                return
            if at is not None and self._end is not None and at >= self._end:
                if at >= self._end + _MAX_SKEW_SECONDS:
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
        try:
            for packet in self._packets:
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
        except (av.InvalidDataError, av.ArgumentError):  # not a full disk, which is an error
            stream = self._input.streams[index]
            self._note(f"some packets of {describe(stream)} were damaged, and left out")

    def _note(self, note: str) -> None:
        if note not in self.notes:
            self.notes.append(note)

    def _track(self, stream: Stream, output: Any, muxer: str) -> MediaTrack | None:
        """Add a stream to `output`; None, with a note for the user, if it is left out."""
        if stream.type == "data" and (
            stream.discard == Discard.all  # the titles of MP4's chapters: `_chapters` copies them
            or "timecode" in stream.metadata  # the muxer writes it, from the video's tags
        ):
            return None
        if stream.type == "video" and stream.codec_context is None:
            self._note(f"{describe(stream)} was left out: this FFmpeg has no decoder for it")
            return None
        if stream.type == "video" and not stream.disposition & Disposition.attached_pic:
            self._note(f"{describe(stream)}, a second video stream, was left out")
            return None
        if stream.type == "video" and muxer == "matroska":  # which stores covers as attachments
            self._attach_cover(stream, output)
            return None
        # MPEG-TS and AVI start at zero in any case.
        trimmed = self._start is not None or muxer in ("mpegts", "avi")
        track, note = open_track(stream, output, muxer, self._origin, trimmed=trimmed)
        if note is not None:
            self._note(note)
        return track

    def _attach_cover(self, stream: Stream, output: Any) -> None:
        with open_media(self._path) as again:
            data = next((bytes(p) for p in again.demux(again.streams[stream.index]) if p.size), b"")
        kind = codec_name(stream).replace("mjpeg", "jpeg")
        name = stream.metadata.get("filename", f"cover.{kind.replace('jpeg', 'jpg')}")
        output.add_attachment(name, f"image/{kind}", data)

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
