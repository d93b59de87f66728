"""A look at a video file that was written, before it takes its name."""

from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
from av.container import InputContainer
from av.video.stream import VideoStream
from PIL import Image, UnidentifiedImageError

from impasto.models.errors import SinkError, SourceError
from impasto.realtime.files.containers import video_stream

_COUNTED = ("mp4", "mov", "gif")  # by FFmpeg's names: what stores the exact number of frames
_ANIMATIONS = ("webp", "apng")  # with a single frame they are pictures, which Pillow opens
_BACK = 2  # seconds before the end: MPEG-TS is sought by decoding times, to between intra frames
_TOLERANCE = Fraction(1, 20)  # seconds, of timestamps; Matroska rounds to milliseconds


@dataclass
class WrittenVideo:
    """What was written to the video stream of a file, and whether it is there when it is read back.

    size: (height, width). packets: of the video stream. first, last: the least and the greatest of
    their timestamps, in seconds. audio: how many audio streams have packets, at least.
    """

    muxer: str
    size: tuple[int, int]
    packets: int = 0
    first: Fraction | None = None
    last: Fraction = Fraction(0)
    audio: int = 0

    def add(self, packet: av.Packet) -> None:
        """Count a packet of the video stream, before it is muxed."""
        self.packets += 1
        if packet.pts is not None and packet.time_base is not None:
            time = packet.pts * packet.time_base
            self.first = time if self.first is None else min(self.first, time)
            self.last = max(self.last, time)

    def check(self, path: Path) -> None:
        """Open the file, and compare its streams, its number of frames and its length.

        Only the headers and what follows the last intra frame are read, and nothing is decoded but
        what FFmpeg needs to know the streams. Raises SinkError.
        """
        find = self._picture_problem if self.muxer in _ANIMATIONS else self._video_problem
        try:
            problem = find(path)
        except (av.FFmpegError, SourceError, UnidentifiedImageError) as error:
            problem = getattr(error, "strerror", None) or str(error)
        if problem is not None:
            raise SinkError(
                f"what was written cannot be read back, and is not kept: {problem}; "
                "try another kind of file"
            )

    def _picture_problem(self, path: Path) -> str | None:
        with Image.open(path) as picture:
            width, height = picture.size
        return self._size_problem(height, width)

    def _size_problem(self, height: int, width: int) -> str | None:
        if (height, width) == self.size:
            return None
        return f"the picture is {width}x{height} instead of {self.size[1]}x{self.size[0]}"

    def _video_problem(self, path: Path) -> str | None:
        # A single frame in an MPEG-TS ends with the file, to where it is then searched.
        options = {"analyzeduration": "1000000000"}
        with av.open(f"file:{path}", options=options, metadata_errors="replace") as container:
            stream = video_stream(container, path)
            problem = self._stream_problem(container, stream)
            if problem is None and self.muxer not in ("gif", "yuv4mpegpipe"):  # they start at zero
                problem = self._length_problem(container, stream)
            return problem

    def _stream_problem(self, container: InputContainer, stream: VideoStream) -> str | None:
        if problem := self._size_problem(stream.height, stream.width):
            return problem
        if self.muxer in _COUNTED and stream.frames != self.packets:
            return f"it has {stream.frames} frames instead of {self.packets}"
        # Of MPEG-TS, FFmpeg knows the streams that begin in the first seconds only.
        if self.muxer != "mpegts" and len(container.streams.audio) < self.audio:
            return f"it has {len(container.streams.audio)} audio streams instead of {self.audio}"
        return None

    def _length_problem(self, container: InputContainer, stream: VideoStream) -> str | None:
        expected = self.last
        if self.muxer == "mpegts":  # the muxer moves all of it, so that nothing is negative
            first = next((p.pts for p in container.demux(stream) if p.pts is not None), 0)
            expected += first * (stream.time_base or 1) - (self.first or 0)
        last = _last_time(container, stream)
        is_later = last is not None and last > expected + _TOLERANCE
        if last is None or (is_later and self.muxer == "avi"):  # its header counts the audio, too
            return None
        if is_later or last < expected - _TOLERANCE:
            return f"its last frame is at {float(last):.2f} s instead of {float(expected):.2f} s"
        return None


def _last_time(container: InputContainer, stream: VideoStream) -> Fraction | None:
    """The greatest timestamp, in seconds, by what follows the last intra frame.

    None if the file cannot be sought, as an MPEG-TS of one frame.
    """
    unit = stream.time_base or Fraction(1)
    if container.format.name == "avi":  # repeated frames, which have no data, make seeking inexact
        return (stream.duration or 1) * unit - unit if len(stream.index_entries) else Fraction(0)
    end = 2**62
    if stream.duration is not None:
        end = (stream.start_time or 0) + stream.duration - round(_BACK / unit)
    try:
        container.seek(end, stream=stream)
    except av.FFmpegError:
        return None
    times = (p.pts for p in container.demux(stream) if p.pts is not None)
    return max(times, default=0) * unit
