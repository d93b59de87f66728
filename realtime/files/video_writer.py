"""Where frames go: a video file, with all that belongs to them."""

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from errno import EDQUOT, ENOSPC
from fractions import Fraction
from pathlib import Path
from typing import Any, Self

import av
import av.filter
import numpy as np

from impasto.models.errors import SinkError
from impasto.realtime.atomic import Target
from impasto.realtime.files.codecs import (
    CODECS,
    DEFAULT_ENCODER,
    Codec,
    EncoderOptions,
    encoding_for,
)
from impasto.realtime.files.remux import StreamCopier
from impasto.realtime.frame import ColorTags, Frame, StreamInfo
from impasto.realtime.pixels import (
    UNSPECIFIED,
    matrix_for,
    planar_video_frame,
    rgb_of,
    to_video_frame,
)

_HDR_TRANSFERS = (16, 18)  # PQ and HLG


class VideoWriter:
    """Writes frames to a video file, with their times, colours and pixel shape.

        with VideoWriter("painted.mp4", source.info) as sink:
            for frame in frames:
                sink.write(frame)

    The file appears under its name when the block is left normally. Until then it is
    NAME.partial.EXT beside it, which an error removes and Ctrl-C (KeyboardInterrupt) leaves there,
    finished and playable. Frames may be written from another thread than the one that opens and
    closes.

    info: size (of every frame), time base, frame rate, duration, pixel shape and colour.
    encoder: codec, quality, speed and bit depth. extra_streams: audio, subtitles and all else that
    goes into the file.
    index_first: an MP4 shall start playing while it is still being loaded, for which the whole file
    is written once more on closing, with Python's lock held.
    `notes` grows by one line for each thing that a user should be told.
    Raises SinkError, before any frame is taken, for what cannot be had, and says what can.
    """

    def __init__(
        self,
        path: str | Path,
        info: StreamInfo,
        *,
        encoder: EncoderOptions = DEFAULT_ENCODER,
        extra_streams: StreamCopier | None = None,
        overwrite: bool = False,
        index_first: bool = True,
    ) -> None:
        self.path = Path(path)
        self.notes: list[str] = []
        # When the last frame ends, in seconds of the source's clock. By default, the duration of
        # `info` after the first frame; set it to None when the source ended before its time.
        self.ends_at: Fraction | None = None
        self._info = info
        self._extra_streams = extra_streams
        self._index_first = index_first
        self._encoding = encoding_for(self.path, (info.height, info.width), encoder)
        self._color = _told(info.color, CODECS[self._encoding.codec])
        self._rate = info.frame_rate or Fraction(30)
        self._time_base = self._encoding.container.time_base or info.time_base
        if self._encoding.container.constant_rate:
            # 65535: the most that MPEG-4 counts to in a second.
            self._time_base = (1 / self._rate).limit_denominator(65535)
        self._origin = Fraction(0)  # the source's time, in seconds, that is zero in the file
        self._first = self._last = Fraction(0)  # the source's times of those frames, in seconds
        self._held: tuple[Frame, int] | None = None  # until its duration is known
        self._durations: dict[int, int] = {}  # by pts, of the frames that are in the encoder
        self._first_dts: int | None = None
        self._closed = False
        self._note_what_is_lost(encoder.bit_depth)
        self._target = Target(self.path, overwrite=overwrite)
        self._container: Any = None
        self._stream: Any = None

    def write(self, frame: Frame) -> None:
        """Write one frame, RGB or planes.

        Raises SinkError for a frame of another size, a full disk, a lost folder.
        """
        height, width = frame.size
        if (height, width) != (self._info.height, self._info.width):
            raise SinkError(
                f"{self.path.name} is {self._info.width}x{self._info.height}, "
                f"got a frame of {width}x{height}"
            )
        time = frame.pts * frame.time_base
        with self._errors():
            if self._container is None:
                self._open(time)
            pts = self._pts(time)
            if self._held is not None:
                self._encode(*self._held, duration=pts - self._held[1])
        self._held = frame, pts
        self._last = time

    def takes_planes(self, color: ColorTags) -> bool:
        """Whether planes of these colours go into the file as they are."""
        return self._encoding.pixel_format == "yuv420p" and (color.matrix, color.full_range) == (
            matrix_for(self._color.matrix, self._info.height),
            self._color.full_range,
        )

    def close(self) -> None:
        """Complete the file and give it its name. A second call does nothing."""
        if self._closed:
            return
        self._closed = True
        try:
            if self._held is None:
                raise SinkError(f"no frame came, so there is no {self.path.name}")
            with self._errors():
                self._finish()
        except KeyboardInterrupt:
            with suppress(av.FFmpegError, OSError):
                self._container.close()  # so that what is there can be played
            raise
        except BaseException:
            self._discard()
            raise
        self._target.commit()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is None:
            self.close()
        elif not self._closed:
            self._closed = True
            if issubclass(kind, KeyboardInterrupt) and self._held is not None:
                self.ends_at = None
                try:
                    with self._errors():
                        self._finish(interrupted=True)
                except SinkError:
                    self._discard()
            else:
                self._discard()

    def _note_what_is_lost(self, bit_depth: int) -> None:
        info, name = self._info, self.path.name
        self.notes += self._encoding.notes
        if info.sample_aspect_ratio != 1 and not self._encoding.sample_aspect_ratio:
            self.notes.append(
                f"{name} cannot say that its pixels are {info.sample_aspect_ratio} wide, "
                "so the picture will look squeezed: use .mp4"
            )
        if info.color.transfer in _HDR_TRANSFERS and self._color.transfer == UNSPECIFIED:
            self.notes.append(f"{name} cannot say that its colours are HDR: use .mp4 or .mkv")
        elif info.color.transfer in _HDR_TRANSFERS and bit_depth == 8:
            self.notes.append("an HDR picture in 8 bits shows bands: ask for a bit depth of 10")

    def _open(self, first: Fraction) -> None:
        encoding, info = self._encoding, self._info
        if encoding.encoder == "libsvtav1":
            os.environ.setdefault("SVT_LOG", "0")  # it prints to the terminal by itself
        index_first = self._is_mp4 and self._index_first
        self._container = av.open(
            f"file:{self._target.partial}",  # or a colon in the name would be read as a protocol
            "w",
            format=encoding.container.muxer,
            container_options={"movflags": "+faststart"} if index_first else {},
        )
        stream = self._container.add_stream(
            encoding.encoder, rate=self._rate, options=encoding.options
        )
        context = stream.codec_context
        context.width, context.height = info.width, info.height
        context.pix_fmt = encoding.pixel_format
        context.time_base = self._time_base
        context.bit_rate = encoding.bit_rate
        if encoding.sample_aspect_ratio:
            context.sample_aspect_ratio = info.sample_aspect_ratio
        if encoding.codec != "gif":
            context.color_primaries = self._color.primaries
            context.color_trc = self._color.transfer
            context.colorspace = self._color.matrix
            context.color_range = 2 if self._color.full_range else 1
        if encoding.codec.startswith("hevc") and self._is_mp4:
            context.codec_tag = "hvc1"  # Apple's players take no other
        self._stream, self._first = stream, first
        if self.ends_at is None and info.duration is not None:
            self.ends_at = first + info.duration
        if self._extra_streams is not None:
            self._origin = self._extra_streams.attach(
                self._container, stream, first, muxer=encoding.container.muxer
            )
        self._container.start_encoding()

    @property
    def _is_mp4(self) -> bool:
        return self._encoding.container.muxer in ("mp4", "mov")

    def _pts(self, time: Fraction) -> int:
        """A time of the source in the file's units; later than the last, whatever came."""
        exact = (time - self._origin) / self._time_base
        pts = self._pts_at(time)
        if self._held is not None:
            pts = max(pts, self._held[1] + 1)
        if abs(pts - exact) * self._time_base > Fraction(1, 1000):
            note = f"{self.path.suffix} counts time in steps of {self._time_base} s: times rounded"
            if note not in self.notes:
                self.notes.append(note)
        return pts

    def _encode(self, painted: Frame, pts: int, duration: int) -> None:
        if self._encoding.codec == "gif":
            frame = _paletted(rgb_of(painted))
        elif painted.color is not None and self.takes_planes(painted.color):
            frame = planar_video_frame(painted.image, painted.color)
        else:
            frame = to_video_frame(rgb_of(painted), self._encoding.pixel_format, self._color)
        frame.pts, frame.duration, frame.time_base = pts, duration, self._time_base
        self._durations[pts] = duration
        for packet in self._stream.encode(frame):
            self._mux(packet)

    def _mux(self, packet: av.Packet) -> None:
        if packet.pts is not None:  # not every encoder hands the duration through
            packet.duration = self._durations.pop(packet.pts, packet.duration)
        if packet.dts is not None:
            if self._first_dts is None:
                self._first_dts = packet.dts
            if self._extra_streams is not None:
                self._extra_streams.copy_until(self._origin + packet.dts * self._time_base)
        self._container.mux(packet)

    def _finish(self, *, interrupted: bool = False) -> None:
        assert self._held is not None
        last, pts = self._held
        end = pts + self._last_duration()
        self._encode(last, pts, end - pts)
        packets = self._stream.encode(None)
        if self._is_mp4 and packets:
            # MP4 adds up the steps of the decoding times, which B-frames of uneven length leave
            # short of the end; the last step makes up for it.
            first_dts = packets[0].dts if self._first_dts is None else self._first_dts
            left = end - self._pts_at(self._first) - (packets[-1].dts - first_dts)
            self._durations[packets[-1].pts] = max(1, left)
        for packet in packets:
            self._mux(packet)
        if self._extra_streams is not None:
            self._extra_streams.finish(
                self._origin + end * self._time_base if interrupted else None
            )
        self._container.close()

    def _pts_at(self, time: Fraction) -> int:
        return round((time - self._origin) / self._time_base)

    def _last_duration(self) -> int:
        """What is left for the last frame, in ticks; where that is not known, 1 / frame rate."""
        left = Fraction(0) if self.ends_at is None else self.ends_at - self._last
        return max(1, round((left if left > 0 else 1 / self._rate) / self._time_base))

    def _discard(self) -> None:
        if self._container is not None:
            with suppress(av.FFmpegError, OSError):
                self._container.close()
        self._target.discard()

    @contextmanager
    def _errors(self) -> Iterator[None]:
        """Whatever FFmpeg says about writing, as a SinkError."""
        try:
            yield
        except SinkError:
            raise
        except (av.FFmpegError, OSError) as error:
            number = getattr(error, "errno", None)
            if number in (ENOSPC, EDQUOT):
                what = "the disk is full: make room, or write elsewhere"
            elif self._container is not None and not self._stream.codec_context.is_open:
                hardware = CODECS[self._encoding.codec].hardware
                reason = f"{error.strerror}; try another --codec"
                what = (
                    f"the encoder {self._encoding.encoder} did not open at {self._info.width}x"
                    f"{self._info.height}: " + (f"it needs {hardware}" if hardware else reason)
                )
            else:
                what = getattr(error, "strerror", None) or str(error)
            raise SinkError(f"cannot write {self.path}: {what}") from error


def _told(color: ColorTags, codec: Codec) -> ColorTags:
    """As much of `color` as the codec tells a decoder: the pictures are coded by that."""
    if not codec.color_tags:
        return ColorTags()
    return replace(color, full_range=color.full_range and codec.full_range)


def _paletted(image: np.ndarray) -> av.VideoFrame:
    """A picture in its own best 255 colours, one more being left for "as before".

    Ordered dither: error diffusion would boil from frame to frame, and GIF would store all of it.
    """
    height, width = image.shape[:2]
    graph = av.filter.Graph()
    source = graph.add_buffer(
        width=width, height=height, format=av.VideoFormat("rgb24"), time_base=Fraction(1, 100)
    )
    split, use = graph.add("split"), graph.add("paletteuse", "dither=bayer:bayer_scale=4")
    # Every n-th pixel is enough to choose colours by: twice as fast in all, and as good (38.5 dB).
    n = max(1, min(height, width) // 90)
    few = graph.add("scale", f"w=iw/{n}:h=ih/{n}:flags=neighbor")
    palette, sink = graph.add("palettegen"), graph.add("buffersink")
    source.link_to(split)
    split.link_to(use, 0, 0)
    split.link_to(few, 1, 0)
    few.link_to(palette)
    palette.link_to(use, 0, 1)
    use.link_to(sink)
    graph.configure()
    graph.vpush(av.VideoFrame.from_ndarray(np.ascontiguousarray(image), format="rgb24"))
    graph.vpush(None)
    return graph.vpull()
