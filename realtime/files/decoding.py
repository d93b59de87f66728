"""From packets to frames: every frame once and in order, past whatever is broken between."""

from collections.abc import Iterator
from fractions import Fraction

import av
from av.container import InputContainer
from av.packet import Packet
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from impasto.realtime.files.containers import tagged_duration
from impasto.realtime.files.discontinuity import TimestampUnwrapper

_SKIPPED_BYTES = 128  # between two Matroska blocks; headers take 7 to 40


class Decoder:
    """The frames of a stream with first_pts <= pts < end_pts; iterate once.

    Where the picture stands still at first_pts, the frame on show then comes first, with that pts.

    `notes` grows by a line for each thing a user should know. `has_discontinuity`: another
    recording follows in the same stream, whose length the container does not give.

    `lost` counts frames that should have come and did not. Where the container says how many
    there are (MP4, MOV, AVI, GIF) and the stream is read whole, it is exact at the end. Elsewhere
    it is an estimate: packets the decoder refused, or, where the stream is damaged and was at an
    even rate, the frames that fit into the gaps of the time stamps; for Matroska also those
    missing up to the stream's own duration.
    """

    def __init__(
        self,
        container: InputContainer,
        stream: VideoStream,
        *,
        first_pts: int | None = None,
        end_pts: int | None = None,
    ) -> None:
        self.notes: list[str] = []
        self.has_discontinuity = False
        self._container, self._stream = container, stream
        self._first_pts, self._end_pts = first_pts, end_pts
        self._time_base = stream.time_base or Fraction(1, 1000)
        rate = stream.average_rate or stream.guessed_rate
        self._step = 1 / (rate * self._time_base) if rate else Fraction(1)  # ticks a frame
        self._is_matroska = "matroska" in container.format.name
        self._last_pts: int | None = None
        self._end = Fraction(0)  # of the frame that lasts longest, in ticks
        self._frames = 0
        self._damaged = False
        self._refused = 0
        self._missing = 0  # by the gaps in time
        self._even_rate = True
        self._uncounted: int | None = None  # by the container's own count, at the end

    @property
    def missing_frames(self) -> int:
        """Frames lost so far; see the class."""
        if self._uncounted is not None:
            return self._uncounted
        return max(self._refused, self._missing)

    def __iter__(self) -> Iterator[VideoFrame]:
        whole = self._first_pts is None and self._end_pts is None
        begin = 0 if self._first_pts is None else self._first_pts
        before: VideoFrame | None = None
        for frame in self._from_first():
            pts = self._in_order(frame)
            if pts is None:
                continue
            if self._first_pts is not None and pts < begin:
                before, frame.pts = frame, pts
                continue
            if before is not None and pts - begin > self._step:  # it begins in a still picture
                yield self._timed(before, begin)
            before = None
            if self._end_pts is not None and pts >= self._end_pts:
                return
            yield self._timed(frame, pts)
        if before is not None and (before.pts or 0) + self._length(before) > begin:
            yield self._timed(before, begin)
        if self._frames and self._end_pts is None:
            self._count_tail()
        if whole and self._stream.frames:
            self._uncounted = max(0, self._expected() - self._frames)

    def _timed(self, frame: VideoFrame, pts: int) -> VideoFrame:
        """A frame that is to be had, with its time."""
        self._watch_rate(pts)
        self._last_pts, self._frames = pts, self._frames + 1
        frame.pts, frame.time_base = pts, self._time_base
        self._end = max(self._end, pts + self._length(frame))
        return frame

    def _length(self, frame: VideoFrame) -> Fraction:
        return max(Fraction(frame.duration), self._step)

    def _from_first(self) -> Iterator[VideoFrame]:
        """All frames from `first_pts` on, and some before it.

        Seeking finds an intra frame by decode time, not always one early enough: when the first
        frame comes out late, try further back, at last from the beginning.
        """
        if self._first_pts is None:
            yield from self._decoded()
            return
        second, start = round(1 / self._time_base), self._stream.start_time or 0
        back = (self._first_pts - second, self._first_pts - 10 * second, start - second, start)
        for target in back:
            try:
                self._container.seek(target, stream=self._stream)
            except av.FFmpegError:
                continue
            self._refused, self._damaged = 0, False
            frames = self._decoded()
            first = next(frames, None)
            if first is None or first.pts is None:
                continue
            if first.pts <= self._first_pts or target == start:
                yield first
                yield from frames
                return
        yield from self._decoded()  # a format that cannot seek is still at its beginning

    def _decoded(self) -> Iterator[VideoFrame]:
        came = False
        for packet in self._packets():
            try:
                frames = self._stream.decode(packet)
            except av.error.EOFError:
                return
            except av.FFmpegError:
                self._damaged = True
                # Before the first frame it is a recording that began between intra frames.
                self._refused += came and packet.size > 0 and self._is_wanted(packet)
                continue
            came = came or bool(frames)
            yield from frames

    def _is_wanted(self, packet: Packet) -> bool:
        first, end, pts = self._first_pts, self._end_pts, packet.pts
        return pts is None or ((first is None or first <= pts) and (end is None or pts < end))

    def _packets(self) -> Iterator[Packet]:
        """The stream's packets; the last is empty and makes the decoder give what it holds."""
        # Matroska skips damage without a word; only the positions of all blocks show it.
        streams = tuple(self._container.streams) if self._is_matroska else (self._stream,)
        position, timestamps = None, TimestampUnwrapper(self._container, self._stream)
        try:
            for packet in self._container.demux(*streams):
                if self._is_matroska and packet.pos is not None:
                    if position is not None and packet.pos - position > _SKIPPED_BYTES:
                        self._damaged = True
                    position = packet.pos + packet.size
                if packet.stream.index != self._stream.index:
                    continue
                self._damaged = self._damaged or packet.is_corrupt
                timestamps.unwrap(packet)
                if timestamps.discontinuities:
                    self.has_discontinuity = True
                    self._note("time stamps jump: read as recordings joined end to end")
                yield packet
        except av.FFmpegError as error:
            self._damaged = True
            self._note(f"reading stopped early: {error.strerror}")
            flush = Packet()
            flush.stream = self._stream
            yield flush

    def _in_order(self, frame: VideoFrame) -> int | None:
        """The frame's pts, repaired where it does not come after the last; None to drop it."""
        step = max(1, round(self._step))
        if frame.pts is None:
            self._note("frames without time stamps: spaced by the frame rate")
            if self._last_pts is None:
                return self._stream.start_time or 0
            return self._last_pts + (frame.duration or step)
        if self._last_pts is None or frame.pts > self._last_pts:
            return frame.pts
        if self._damaged:
            return None  # a decoder that lost its references gives some frames late
        self._note("time stamps that do not increase: moved to just after the frame before")
        return self._last_pts + 1

    def _watch_rate(self, pts: int) -> None:
        if self._last_pts is None:
            return
        ticks = pts - self._last_pts
        if abs(ticks - self._step) <= 1:
            return
        if self._damaged and self._even_rate and ticks > 1.5 * self._step:
            self._missing += round(ticks / self._step) - 1
        else:
            self._even_rate = False

    def _count_tail(self) -> None:
        """What Matroska's own duration of the stream says is missing after all frames."""
        end = tagged_duration(self._stream)
        if end is not None:
            self._missing += max(0, round((end / self._time_base - self._end) / self._step))

    def _expected(self) -> int:
        """Frames in the container's index, less those an edit list or an empty chunk hides."""
        entries, total = self._stream.index_entries, self._stream.frames
        shown = sum(not entry.is_discard and entry.size > 0 for entry in entries)
        if "mov" in self._container.format.name:
            return shown
        if "avi" in self._container.format.name and entries:
            # An empty chunk says "as before". It is counted, takes a tick, and is in the index
            # with a size of zero, or not at all.
            return total - (entries[-1].timestamp + 1 - shown)
        return total

    def _note(self, line: str) -> None:
        if line not in self.notes:
            self.notes.append(line)
