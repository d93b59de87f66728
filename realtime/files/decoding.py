"""Decoding a video stream: every frame once and in order, skipping what is damaged."""

from collections import deque
from collections.abc import Callable, Iterator
from fractions import Fraction
from typing import Any

import av
from av.container import InputContainer
from av.packet import Packet
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from impasto.realtime.files.captions import CaptionWatch
from impasto.realtime.files.containers import (
    MAX_SECONDS,
    demuxed,
    duration_of,
    is_fragmented,
    rate_of,
    shown_in_index,
    tagged_duration,
    time_base_of,
)
from impasto.realtime.files.discontinuity import TimestampUnwrapper

_SKIPPED_BYTES = 128  # between two Matroska blocks; headers take 7 to 40
_ALPHA_DECODERS = {"vp8": "libvpx", "vp9": "libvpx-vp9"}
_EARLY_SECONDS = 10  # by which sound that is not needed may lie before the first picture
_LONG_GAP = 600  # seconds without a frame that are believed even after the film's declared end
_TAIL = Fraction(1, 2)  # seconds before the declared end that are no missing frames


def has_hidden_alpha(stream: VideoStream) -> bool:
    """Whether a stream of VP8 or VP9 has transparency, which FFmpeg's own decoders leave out."""
    is_tagged = stream.metadata.get("alpha_mode") == "1"
    return is_tagged and stream.codec_context.name in _ALPHA_DECODERS


def _decoder_of(stream: VideoStream, *, alpha: bool) -> Callable[[Packet], list[VideoFrame]]:
    if not alpha or not has_hidden_alpha(stream):
        return stream.decode
    context: Any = av.CodecContext.create(_ALPHA_DECODERS[stream.codec_context.name], "r")
    context.extradata = stream.codec_context.extradata
    return context.decode


class Decoder:
    """The frames of a stream with first_pts <= pts < end_pts; iterate once.

    seekable: if not, what lies before first_pts is read. others: gets the packets of all other
    streams, with the video's corrections to their timestamps.

    If a longer-lasting frame is on show at first_pts, it comes first, with that pts. alpha: decode
    the transparency of VP8 and VP9 as well, which takes another decoder.

    `captions` looks for closed captions in what is decoded.
    `notes` has a line for each thing the user should know. `has_discontinuity`: another recording
    follows in the same stream, whose duration the container does not give.

    `missing_frames` counts frames that could not be decoded. If the container stores the number of
    frames (MP4, MOV, AVI, GIF) and the stream is read to its end, it is exact at the end.
    Otherwise it is an estimate: the packets that the decoder refused, or, if a damaged stream has
    a constant frame rate, the frames that fit into the gaps between timestamps; for Matroska also
    those missing before the stream's own duration.
    """

    def __init__(
        self,
        container: InputContainer,
        stream: VideoStream,
        *,
        first_pts: int | None = None,
        end_pts: int | None = None,
        alpha: bool = False,
        seekable: bool = True,
        others: deque[Packet] | None = None,
    ) -> None:
        self.notes: list[str] = []
        self.has_discontinuity = False
        self._decode = _decoder_of(stream, alpha=alpha)
        self.captions = CaptionWatch(stream.codec_context.name)
        self._container, self._stream = container, stream
        self._first_pts, self._end_pts = first_pts, end_pts
        self._seekable, self._others = seekable, others
        self._time_base = time_base_of(stream)
        if stream.time_base not in (None, self._time_base):
            self._note("an absurd frame rate in the header: read at 25 frames a second")
        self._start = stream.start_time or 0
        rate = rate_of(stream)
        self._step = 1 / (rate * self._time_base) if rate else Fraction(1)  # ticks a frame
        self._is_matroska = "matroska" in container.format.name
        duration = duration_of(container, stream)
        self._declared_end = None if duration is None else self._start + duration / self._time_base
        self._jump = 0  # ticks by which absurd timestamps are off
        self._last_pts: int | None = None
        self._end = Fraction(0)  # of the frame that lasts longest, in ticks
        self._frames = 0
        self._damaged = False
        self._refused = 0
        self._skipped = 0  # by the gaps between timestamps
        self._constant_rate = True
        self._not_counted: int | None = None  # by the container's number of frames, at the end

    @property
    def missing_frames(self) -> int:
        """Frames that could not be decoded so far; see the class."""
        if self._not_counted is not None:
            return self._not_counted
        return max(self._refused, self._skipped)

    def __iter__(self) -> Iterator[VideoFrame]:
        untrimmed = self._first_pts is None and self._end_pts is None
        begin = 0 if self._first_pts is None else self._first_pts
        before: VideoFrame | None = None
        for frame in self._from_first():
            pts = self._increasing_pts(frame)
            if pts is None:
                continue
            if self._first_pts is not None and pts < begin:
                before, frame.pts = frame, pts
                continue
            if before is not None and pts - begin > self._step:  # it lasts into the range
                yield self._emit(before, begin)
            before = None
            if self._end_pts is not None and pts >= self._end_pts:
                return
            yield self._emit(frame, pts)
        if before is not None and (before.pts or 0) + self._length(before) > begin:
            yield self._emit(before, begin)
        if self._frames and self._end_pts is None:
            self._count_tail()
        if untrimmed and is_fragmented(self._stream):
            self._not_counted = self._missing_of_fragments()
        elif untrimmed and self._stream.frames:
            self._not_counted = max(0, self._expected() - self._frames)

    def _emit(self, frame: VideoFrame, pts: int) -> VideoFrame:
        """Count a frame and set its timestamp."""
        self._watch_rate(pts)
        self._last_pts, self._frames = pts, self._frames + 1
        frame.pts, frame.time_base = pts, self._time_base
        self._end = max(self._end, pts + self._length(frame))
        return frame

    def _length(self, frame: VideoFrame) -> Fraction:
        return max(Fraction(self._duration(frame)), self._step)

    def _duration(self, frame: VideoFrame) -> int:
        """What the file says, in ticks; 0 for more than a day, as damaged H.264 does."""
        return frame.duration if frame.duration * self._time_base <= MAX_SECONDS else 0

    def _from_first(self) -> Iterator[VideoFrame]:
        """All frames from `first_pts` on, and some before it.

        Seeking finds an intra frame by its decoding time, which may be too late: if the first
        frame is after `first_pts`, seek further back, at last to the beginning.
        """
        if self._first_pts is None or not self._seekable:
            yield from self._decoded()
            return
        second, start = round(1 / self._time_base), self._start
        back = (self._first_pts - second, self._first_pts - 10 * second, start - second, start)
        for target in back:
            try:
                self._container.seek(target, stream=self._stream)
            except av.FFmpegError:
                continue
            self._refused, self._damaged = 0, False
            if self._others is not None:
                self._others.clear()
            frames = self._decoded()
            first = next(frames, None)
            if first is None or first.pts is None:
                continue
            if first.pts <= self._first_pts or target == start:
                yield first
                yield from frames
                return
        yield from self._decoded()  # a format without seeking is still at its beginning

    def _decoded(self) -> Iterator[VideoFrame]:
        has_frames = False
        for packet in self._packets():
            try:
                frames = self._decode(packet)
            except av.error.EOFError:
                return
            except av.FFmpegError:
                self._damaged = True
                # Before the first frame, the recording began between intra frames.
                self._refused += has_frames and packet.size > 0 and self._is_wanted(packet)
                continue
            has_frames = has_frames or bool(frames)
            yield from frames

    def _is_long_before(self, packet: Packet) -> bool:
        """Whether sound ends long before `first_pts`: a pipe is read from its beginning."""
        if self._first_pts is None or packet.pts is None or packet.stream.type != "audio":
            return False
        return packet.pts * packet.time_base < self._first_pts * self._time_base - _EARLY_SECONDS

    def _is_wanted(self, packet: Packet) -> bool:
        first, end, pts = self._first_pts, self._end_pts, packet.pts
        return pts is None or ((first is None or first <= pts) and (end is None or pts < end))

    def _packets(self) -> Iterator[Packet]:
        """The stream's packets; the last is empty and flushes the decoder."""
        # The Matroska demuxer skips damage silently; the gaps between all blocks show it.
        all_streams = self._is_matroska or self._others is not None
        streams = tuple(self._container.streams) if all_streams else (self._stream,)
        position, timestamps = None, TimestampUnwrapper(self._container, self._stream)
        try:
            for packet in demuxed(self._container, *streams):
                if self._is_matroska and packet.pos is not None:
                    if position is not None and packet.pos - position > _SKIPPED_BYTES:
                        self._damaged = True
                    position = packet.pos + packet.size
                if packet.stream.index != self._stream.index:
                    if self._others is not None:
                        timestamps.unwrap(packet)
                        if not self._is_long_before(packet):
                            self._others.append(packet)
                    continue
                self._damaged = self._damaged or packet.is_corrupt
                self.captions.look_at(packet)
                timestamps.unwrap(packet)
                if timestamps.discontinuities:
                    self.has_discontinuity = True
                    self._note("timestamps jump: read as recordings joined end to end")
                yield packet
        except av.FFmpegError as error:
            self._damaged = True
            waited = isinstance(error, av.error.ExitError)  # an address, until its time is over
            self._note(f"reading stopped early: {'no data came' if waited else error.strerror}")
            flush = Packet()
            flush.stream = self._stream
            yield flush

    def _increasing_pts(self, frame: VideoFrame) -> int | None:
        """The frame's pts, repaired if it is absurd or does not increase; None: drop the frame."""
        step = max(1, round(self._step))
        if frame.pts is None:
            self._note("frames without timestamps: spaced by the frame rate")
            if self._last_pts is None:
                return self._start
            return self._last_pts + (self._duration(frame) or step)
        pts = self._believed(frame.pts)
        if self._last_pts is None or pts > self._last_pts:
            return pts
        if self._damaged:
            return None  # after a loss of references some frames come late
        self._note("timestamps that do not increase: moved to just after the frame before")
        return self._last_pts + 1

    def _believed(self, pts: int) -> int:
        """A pts, moved to just after the frame before if it is absurdly late."""
        last = self._start if self._last_pts is None else self._last_pts
        for candidate in (pts, pts - self._jump):
            if not self._is_absurd(candidate, last):
                return candidate
        self._note("timestamps that are absurd: moved to just after the frame before")
        self._damaged = True
        due = self._start if self._last_pts is None else last + max(1, round(self._step))
        self._jump = pts - due
        return due

    def _is_absurd(self, pts: int, last: int) -> bool:
        """Whether no film has so long a gap: a day, or minutes that end after the film's end."""
        gap = (pts - last) * self._time_base
        if gap <= _LONG_GAP or self._first_pts is not None and self._last_pts is None:
            return False
        end = self._declared_end
        return gap > MAX_SECONDS or (end is not None and (pts - end) * self._time_base > _LONG_GAP)

    def _watch_rate(self, pts: int) -> None:
        if self._last_pts is None:
            return
        ticks = pts - self._last_pts
        if abs(ticks - self._step) <= 1:
            return
        if self._damaged and self._constant_rate and ticks > 1.5 * self._step:
            self._skipped += round(ticks / self._step) - 1
        else:
            self._constant_rate = False

    def _count_tail(self) -> None:
        """Count the frames missing between the last one and Matroska's duration of the stream."""
        end = tagged_duration(self._stream)
        if end is not None:
            self._skipped += max(0, round((end / self._time_base - self._end) / self._step))

    def _expected(self) -> int:
        """Number of frames by the container's index, without those hidden by an edit list."""
        entries, total = self._stream.index_entries, self._stream.frames
        if "mov" in self._container.format.name:
            return shown_in_index(self._stream)
        if "avi" in self._container.format.name and entries:
            # An empty chunk repeats the last frame. It is counted and takes a tick, but is in the
            # index with a size of zero, or not at all.
            return total - (entries[-1].timestamp + 1 - shown_in_index(self._stream))
        return total

    def _missing_of_fragments(self) -> int:
        """Frames missing of a fragmented MP4: by its fragments, and by its duration if it has one.

        Without a duration, fragments that were cut off leave no trace but half of the last one.
        """
        missing = max(0, shown_in_index(self._stream) - self._frames)
        left = Fraction(0) if self._declared_end is None else self._declared_end - self._end
        if left * self._time_base > _TAIL:
            return max(missing, round(left / self._step))
        if missing:
            self._note("the file was cut off: more frames than are counted may be missing")
        return missing

    def _note(self, line: str) -> None:
        if line not in self.notes:
            self.notes.append(line)
