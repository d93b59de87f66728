"""What changes in the middle of a film: the shape of its pictures, their pixel format and color."""

from collections import deque
from collections.abc import Iterator
from fractions import Fraction
from typing import NamedTuple

from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from impasto.realtime.files.fitting import PictureShape
from impasto.realtime.files.rotation import display_matrix
from impasto.realtime.frame import ColorTags
from impasto.realtime.tone_mapping import color_name

# Demuxers of containers without a pixel shape: what FFmpeg gives for their streams is the codec's,
# of any part of the file.
_WITHOUT_PIXEL_SHAPE = {"mpegts", "mpeg", "mpegvideo", "h264", "hevc", "m4v"}


class _Look(NamedTuple):
    """What of a decoded frame is the same throughout most films."""

    shape: tuple[int, int, int, Fraction]  # height, width, rotation, pixel shape by the codec
    pixel_format: str
    color: tuple[int, int]  # transfer and primaries


class ChangeWatch:
    """Watches the decoded frames of a film for changes.

    first: its first frame, just decoded. start_time: seconds, which the times in notes count from.
    `first_shape`: of that frame.
    """

    def __init__(
        self, first: VideoFrame, stream: VideoStream, time_base: Fraction, start_time: Fraction
    ) -> None:
        self._stream, self._time_base, self._start_time = stream, time_base, start_time
        self._first_pixel_shape = self._pixel_shape_by_codec()
        pixel_shape = stream.sample_aspect_ratio or Fraction(1)
        if stream.container.format.name in _WITHOUT_PIXEL_SHAPE:
            pixel_shape = self._first_pixel_shape
        self.first_shape = PictureShape(
            first.height, first.width, pixel_shape, display_matrix(first)
        )
        self._shapes: deque[tuple[int, PictureShape]] = deque()  # with the pts they begin at
        self._lines: dict[str, str] = {}  # the first change of each kind
        self._counts: dict[str, int] = {}

    def watch(self, frames: Iterator[VideoFrame]) -> Iterator[VideoFrame]:
        """The same frames; each is looked at just after it is decoded."""
        last, shape = None, self.first_shape
        for frame in frames:
            look = _Look(
                (frame.height, frame.width, frame.rotation, self._pixel_shape_by_codec()),
                frame.format.name,
                (frame.color_trc, frame.color_primaries),
            )
            if last is not None and look != last:
                shape = self._note_changes(frame, last, look, shape)
            last = look
            yield frame

    def shape_at(self, pts: int) -> PictureShape | None:
        """The shape that pictures have from this pts on; None: that of the one before.

        Filters stand between the watch and the caller, so that it may be some frames ahead.
        """
        shape = None
        while self._shapes and pts >= self._shapes[0][0]:
            _, shape = self._shapes.popleft()
        return shape

    def notes(self, *, keep_color: bool) -> list[str]:
        """One line for each kind of change. keep_color: tags are those of the first frame."""
        color = "the tags are those of the first frame" if keep_color else "converted to the first"
        done = {"picture": "fitted with bars", "pixel format": "converted", "color": color}
        return [
            f"the {kind} {line}{self._more(kind)}: {done[kind]}"
            for kind, line in self._lines.items()
        ]

    def _more(self, kind: str) -> str:
        later = self._counts[kind] - 1
        return f", and {later} more time{'s' * (later > 1)}" if later else ""

    def _note_changes(
        self, frame: VideoFrame, before: _Look, now: _Look, shape: PictureShape
    ) -> PictureShape:
        """Note what changes with this frame; returns its shape, which was `shape` before."""
        assert frame.pts is not None  # the decoder gives every frame one
        if now.shape != before.shape:
            pixel_shape = self.first_shape.pixel_shape * now.shape[3] / self._first_pixel_shape
            new = PictureShape(frame.height, frame.width, pixel_shape, display_matrix(frame))
            self._shapes.append((frame.pts, new))
            self._add("picture", frame.pts, shape, new)
            shape = new
        if now.pixel_format != before.pixel_format:
            self._add("pixel format", frame.pts, before.pixel_format, now.pixel_format)
        old_color, new_color = (
            color_name(ColorTags(primaries=primaries, transfer=transfer))
            for transfer, primaries in (before.color, now.color)
        )
        if new_color != old_color:
            self._add("color", frame.pts, old_color, new_color)
        return shape

    def _add(self, kind: str, pts: int, before: object, now: object) -> None:
        time = float(pts * self._time_base - self._start_time)
        self._counts[kind] = self._counts.get(kind, 0) + 1
        self._lines.setdefault(kind, f"changes at {time:.1f} s from {before} to {now}")

    def _pixel_shape_by_codec(self) -> Fraction:
        return self._stream.codec_context.sample_aspect_ratio or Fraction(1)
