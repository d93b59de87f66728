"""Video file encoding: frames with their timestamps, color tags and pixel shape."""

import io
import math
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from errno import EDQUOT, ENOSPC
from fractions import Fraction
from pathlib import Path
from typing import Any, Protocol, Self

import av
import av.filter
import numpy as np

from impasto.models.errors import OutputClosedError, SinkError
from impasto.realtime.atomic import Target
from impasto.realtime.cpu import same_scheduling
from impasto.realtime.files import mpegts
from impasto.realtime.files.animation import loop_option, set_last_delay
from impasto.realtime.files.captions import with_captions_of
from impasto.realtime.files.codecs import (
    CODECS,
    DEFAULT_ENCODER,
    Codec,
    EncoderOptions,
    encoding_for,
)
from impasto.realtime.files.hdr_metadata import encoder_options
from impasto.realtime.files.mp4_tags import fill_room
from impasto.realtime.files.pipes import OutputPipe
from impasto.realtime.files.written import WrittenVideo
from impasto.realtime.frame import ColorTags, Frame, PixelFormat, StreamInfo
from impasto.realtime.pixels import (
    bit_depth_of,
    matrix_for,
    rgb_of,
    to_video_frame,
    with_alpha,
    yuv420p_video_frame,
)
from impasto.realtime.tone_mapping import HDR_NAMES


class ExtraStreams(Protocol):
    """Audio, subtitles and others, written to a file in step with its video stream."""

    def attach(self, output: Any, video: Any, first: Fraction, *, muxer: str) -> Fraction:
        """Add streams and tags to a PyAV container, before its header is written.

        video: its video stream. first: the time of the first frame, in seconds of the source's
        clock. Returns the time, on that clock, that is zero in the file.
        """
        ...

    def copy_until(self, time: Fraction) -> None:
        """Write what lies before `time`, in seconds of the source's clock."""
        ...

    def finish(self, time: Fraction | None = None) -> None:
        """Write the rest, or what lies before `time`."""
        ...


class VideoWriter:
    """Writes frames to a video file, with their timestamps, color tags and pixel shape.

        with VideoWriter("stylized.mp4", source.info) as sink:
            for frame in frames:
                sink.write(frame)

    The file gets its name when the block is left normally. Until then it is NAME.partial.EXT in
    the same folder, and no other process can write it (see `atomic.Target`). An error removes it;
    KeyboardInterrupt leaves it there, complete up to the last frame and playable. Frames may be
    written from another thread than the one that opens and closes the writer.

    info: size of every frame, time base, frame rate, duration, pixel shape and color tags.
    encoder: codec, quality, speed and bit depth. extra_streams: audio and others, see
    `ExtraStreams`.
    index_first: of an MP4, which then plays before it is downloaded completely. It costs writing
    the file a second time on closing, with Python's lock held.
    end_time: when the last frame ends, in seconds of the source's clock; None: the duration of
    `info` after the first frame.
    `notes` has a line for each thing the user should know, complete when it is closed.
    `frames_left_out`: those that a GIF has no time for. `has_captions`: closed captions were
    written, in the picture.
    Raises SinkError for an unsupported combination or a path that cannot be written, before the
    first frame; OutputClosedError where the reader of a pipe is gone.
    """

    def __init__(
        self,
        path: str | Path | OutputPipe,
        info: StreamInfo,
        *,
        encoder: EncoderOptions = DEFAULT_ENCODER,
        extra_streams: ExtraStreams | None = None,
        overwrite: bool = False,
        index_first: bool = True,
        end_time: Fraction | None = None,
    ) -> None:
        self.path = path if isinstance(path, OutputPipe) else Path(path)
        self.notes: list[str] = []
        self._end_time = end_time
        self._info = info
        self._extra_streams = extra_streams
        self._index_first = index_first
        size = (info.height, info.width)
        self._encoding = encoding_for(self.path, size, encoder, has_alpha=info.has_alpha)
        self._color = _stored_color(info.color, CODECS[self._encoding.codec])
        self._rate = info.frame_rate or Fraction(30)
        self._time_base = self._encoding.container.time_base or info.time_base
        if self._encoding.container.constant_rate:
            # 65535: the most that MPEG-4 counts to in a second.
            self._time_base = (1 / self._rate).limit_denominator(65535)
        self._origin = Fraction(0)  # the source's time, in seconds, that is zero in the file
        self._first = self._last = Fraction(0)  # the source's times of those frames, in seconds
        self._held: tuple[Frame, int] | None = None  # until its duration is known
        self._durations: dict[int, int] = {}  # by pts, of the frames that are in the encoder
        self._written = WrittenVideo(self._encoding.container.muxer, (info.height, info.width))
        self._first_dts: int | None = None
        self._rounded = False  # whether any time was, by more than a millisecond
        self.frames_left_out = 0
        self.has_captions = False
        self._closed = False
        self._check_hdr()
        self._note_limits(encoder.bit_depth)
        self._target = (
            path if isinstance(path, OutputPipe) else Target(Path(path), overwrite=overwrite)
        )
        self._container: Any = None
        self._stream: Any = None

    def write(self, frame: Frame) -> None:
        """Write one frame, rgb24 or yuv420p.

        A frame that a GIF has no time for is left out. Raises SinkError for a frame of another
        size, a full disk, a lost folder.
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
            if self._held is not None and pts is not None:
                self._encode(*self._held, duration=pts - self._held[1])
        if pts is None:
            self._leave_one_out(frame)
        else:
            self._held, self._last = (frame, pts), time

    @property
    def color(self) -> ColorTags:
        """How frames are encoded: the tags of the file, with the matrix even where it has none."""
        return replace(self._color, matrix=matrix_for(self._color.matrix, self._info.height))

    @property
    def input_formats(self) -> frozenset[PixelFormat]:
        """The pixel formats `write` takes; yuv420p, with the matrix and range of `color`, where
        it is encoded without a conversion."""
        is_even = self._info.height % 2 == self._info.width % 2 == 0
        if self._encoding.pixel_format == "yuv420p" and is_even:
            return frozenset({"rgb24", "yuv420p"})
        return frozenset({"rgb24"})

    def close(self, *, end_time: Fraction | None = None, truncated: bool = False) -> None:
        """Complete the file and give it its name. A second call does nothing.

        end_time: when the last frame ends, instead of the constructor's. truncated: the source
        ended before its time, so the last frame is as long as the frame rate says.
        """
        if self._closed:
            return
        self._closed = True
        self._end_time = None if truncated else end_time or self._end_time
        try:
            if self._held is None:
                raise SinkError(f"the source has no frames, so {self.path.name} is not written")
            with self._errors():
                self._finish()
        except KeyboardInterrupt:
            with suppress(av.FFmpegError, OSError):
                self._close_container()  # so that the file is playable
            self._target.keep()
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
                self._end_time = None
                try:
                    with self._errors():
                        self._finish(interrupted=True)
                    self._target.keep()
                except SinkError:
                    self._discard()
            else:
                self._discard()

    def _note_limits(self, bit_depth: int) -> None:
        """Note what the file cannot store."""
        info, name = self._info, self.path.name
        self.notes += self._encoding.notes
        if not info.looks_square and not self._encoding.sample_aspect_ratio:
            self.notes.append(
                f"{name} cannot store the sample aspect ratio {info.sample_aspect_ratio}, "
                "so the picture will look squeezed: use .mp4"
            )
        if info.bit_depth > 8 and self._bits == 8:
            self.notes.append(
                f"{info.bit_depth} bits a channel become 8; a bit depth of 10 keeps 10"
            )

    def _check_hdr(self) -> None:
        """Add the static metadata of HDR to the encoder's options; raise SinkError for 8 bits."""
        info, encoding = self._info, self._encoding
        name = HDR_NAMES.get(info.color.transfer)
        if name is None:
            return
        if self._bits == 8:
            raise SinkError(
                f"{self.path.name} would have {name} in 8 bits, which shows as bands: use a bit "
                "depth of 10, or SDR"
            )
        if info.hdr is None:
            return
        option = encoder_options(encoding.encoder, info.hdr)
        if option is None:
            self.notes.append(
                f"mastering display and content light level left out: {encoding.codec} cannot "
                "store them; hevc, h264 and av1 can"
            )
            return
        key, value = option
        encoding.options[key] = ":".join(filter(None, (encoding.options.get(key), value)))

    @property
    def _bits(self) -> int:
        """Bits a channel in the file."""
        return bit_depth_of(av.VideoFormat(self._encoding.pixel_format))

    def try_header(self, first: Fraction) -> None:
        """Write the header of a trial file into memory, with all streams.

        What codec, layout, bit depth or container refuse is refused now, not after hours of work.
        first: the time of the first frame, in seconds of the source's clock. Raises SinkError.
        """
        with self._errors():
            end_time = self._end_time
            self._open(first, io.BytesIO())
            with suppress(av.FFmpegError):  # it complains that nothing was written
                self._container.close()
            self._container, self._stream, self._end_time = None, None, end_time

    def _open(self, first: Fraction, trial: io.BytesIO | None = None) -> None:
        encoding, info = self._encoding, self._info
        if encoding.encoder == "libsvtav1":
            os.environ.setdefault("SVT_LOG", "0")  # or it prints to the terminal
        target = trial or self._target
        options = dict(loop_option(encoding.container.muxer, info.plays))
        if self._is_mp4 and self._index_first and trial is None:
            options["movflags"] = "+faststart"
        if encoding.container.frames_only and self._bits > 8:
            options["strict"] = "-1"  # y4m of 10 bits is not in its first description
        self._container = av.open(
            # Without "file:", a colon would end a protocol.
            f"file:{target.partial}" if isinstance(target, Target) else target,
            "w",
            format=encoding.container.muxer,
            container_options=options,
        )
        stream = self._container.add_stream(
            encoding.encoder, rate=self._rate, options=encoding.options
        )
        context = stream.codec_context
        context.width, context.height = info.width, info.height
        context.pix_fmt = encoding.alpha_format or encoding.pixel_format
        context.time_base = self._time_base
        context.bit_rate = encoding.bit_rate
        if encoding.sample_aspect_ratio:
            context.sample_aspect_ratio = info.sample_aspect_ratio
        if CODECS[encoding.codec].color_tags:
            context.color_primaries = self._color.primaries
            context.color_trc = self._color.transfer
            context.colorspace = self._color.matrix
            context.color_range = 2 if self._color.full_range else 1
        if encoding.codec.startswith("hevc") and self._is_mp4:
            context.codec_tag = "hvc1"  # Apple's players accept no other
        self._stream, self._first = stream, first
        if self._end_time is None and info.duration is not None:
            self._end_time = first + info.duration
        if self._extra_streams is not None:
            self._origin = self._extra_streams.attach(
                self._container, stream, first, muxer=encoding.container.muxer
            )
        with same_scheduling():
            self._container.start_encoding()

    @property
    def _is_mp4(self) -> bool:
        return self._encoding.container.muxer in ("mp4", "mov")

    def _pts(self, time: Fraction) -> int | None:
        """A source time in units of the file, after the last frame's; None: there is no room.

        Where the container has a shortest frame, a frame is late by half of it at most.
        """
        exact = (time - self._origin) / self._time_base
        pts = self._pts_at(time)
        if self._held is not None:
            pts = max(pts, self._held[1] + self._shortest)
            if self._shortest > 1 and (pts - exact > self._shortest / 2 or self._is_over(pts)):
                return None
        self._rounded |= abs(pts - exact) * self._time_base > Fraction(1, 1000)
        return pts

    def _is_over(self, pts: int) -> bool:
        return self._end_time is not None and pts >= self._pts_at(self._end_time)

    def _leave_one_out(self, frame: Frame) -> None:
        """Show this frame instead of the last, which would be too short; but none after the end."""
        assert self._held is not None
        self.frames_left_out += 1
        pts = self._held[1]
        if not self._is_over(pts + self._shortest):
            self._held = frame, pts

    @property
    def _shortest(self) -> int:
        """The shortest frame, in units of the file."""
        return max(1, math.ceil(self._encoding.container.shortest_frame / self._time_base))

    def _note_times(self) -> None:
        """Note how times were changed."""
        suffix = self.path.suffix
        if self.frames_left_out:
            rate = float(1 / self._encoding.container.shortest_frame)
            self.notes.append(
                f"{suffix} plays at most {rate:.3g} frames a second: "
                f"{self.frames_left_out} left out"
            )
        elif self._rounded:
            step = self._time_base
            self.notes.append(f"{suffix} stores times in steps of {step} s: times rounded")

    def _encode(self, stylized: Frame, pts: int, duration: int) -> None:
        if self._is_packed:
            frame = self._packed(rgb_of(stylized), stylized.alpha)
        elif stylized.color is not None and self._encodes(stylized.color):
            frame = yuv420p_video_frame(stylized.image, stylized.color)
        else:
            frame = to_video_frame(rgb_of(stylized), self._encoding.pixel_format, self._color)
        if self._encoding.alpha_format is not None and not self._is_packed:
            alpha = stylized.alpha if stylized.alpha is not None else _opaque(stylized)
            frame = with_alpha(frame, alpha, self._encoding.alpha_format)
        if stylized.captioned is not None and CODECS[self._encoding.codec].closed_captions:
            frame = with_captions_of(stylized.captioned, frame)
            self.has_captions = True
        frame.pts, frame.duration, frame.time_base = pts, duration, self._time_base
        self._durations[pts] = duration
        for packet in self._stream.encode(frame):
            self._mux(packet)

    @property
    def _is_packed(self) -> bool:
        """Whether the encoder takes RGB, with or without alpha, or a palette."""
        kind = av.VideoFormat(self._encoding.pixel_format)
        return kind.is_rgb or kind.has_palette

    def _packed(self, image: np.ndarray, alpha: np.ndarray | None) -> av.VideoFrame:
        """A picture as RGB, RGBA or palette, as the encoder takes it."""
        if self._encoding.alpha_format is not None:
            alpha = alpha if alpha is not None else np.full(image.shape[:2], 255, np.uint8)
            image = np.concatenate([image, alpha[..., None]], axis=2)
        if self._encoding.codec == "gif":
            return _paletted(image)
        frame = av.VideoFrame.from_ndarray(image, format="rgba" if image.shape[2] == 4 else "rgb24")
        return frame.reformat(format=self._encoding.alpha_format or self._encoding.pixel_format)

    def _encodes(self, color: ColorTags) -> bool:
        """Whether yuv420p of this color is encoded without a conversion."""
        same = (color.matrix, color.full_range) == (self.color.matrix, self.color.full_range)
        return same and "yuv420p" in self.input_formats

    def _mux(self, packet: av.Packet) -> None:
        if packet.pts is not None:  # not every encoder hands the duration through
            packet.duration = self._durations.pop(packet.pts, packet.duration)
        if packet.dts is not None:
            if self._first_dts is None:
                self._first_dts = packet.dts
            if self._extra_streams is not None:
                self._extra_streams.copy_until(self._origin + packet.dts * self._time_base)
        self._written.add(packet)
        self._container.mux(packet)

    def _finish(self, *, interrupted: bool = False) -> None:
        assert self._held is not None
        self._note_times()
        last, pts = self._held
        end = pts + self._last_duration()
        self._encode(last, pts, end - pts)
        packets = self._stream.encode(None)
        if not self._written.packets and len(packets) <= 2:
            for packet in packets:  # of one or two frames, which x265 gives no decoding times
                packet.dts = packet.pts
        if self._is_mp4 and packets:
            # MP4 stores the differences of decoding times, whose sum ends too early with B-frames
            # of uneven duration; the last difference makes up for it.
            first_dts = packets[0].dts if self._first_dts is None else self._first_dts
            left = end - self._pts_at(self._first) - (packets[-1].dts - first_dts)
            self._durations[packets[-1].pts] = max(1, left)
        for packet in packets:
            self._mux(packet)
        if self._extra_streams is not None:
            self._extra_streams.finish(
                self._origin + end * self._time_base if interrupted else None
            )
        self._close_container()
        if isinstance(self._target, Target):
            muxer = self._encoding.container.muxer
            set_last_delay(self._target.partial, muxer, (end - pts) * self._time_base)
            self._written.check(self._target.partial)

    def _close_container(self) -> None:
        audio = self._container.streams.audio
        self._written.audio = sum(stream.frames > 0 for stream in audio)
        self._container.close()
        if isinstance(self._target, OutputPipe):
            return
        if self._is_mp4:
            fill_room(self._target.partial)
        elif self._encoding.container.muxer == "mpegts" and isinstance(self._target, Target):
            mpegts.pad(self._target.partial)

    def _pts_at(self, time: Fraction) -> int:
        return round((time - self._origin) / self._time_base)

    def _last_duration(self) -> int:
        """Duration of the last frame in ticks: until the end time, or 1 / frame rate."""
        left = Fraction(0) if self._end_time is None else self._end_time - self._last
        return max(self._shortest, round((left if left > 0 else 1 / self._rate) / self._time_base))

    def _discard(self) -> None:
        if self._container is not None:
            with suppress(av.FFmpegError, OSError):
                self._container.close()
        self._target.discard()

    @contextmanager
    def _errors(self) -> Iterator[None]:
        """Turn FFmpeg's and the system's errors into SinkError."""
        try:
            yield
        except SinkError:
            raise
        except BrokenPipeError as error:
            raise OutputClosedError(f"the reader of {self.path} is gone") from error
        except (av.FFmpegError, OSError) as error:
            number = getattr(error, "errno", None)
            if number in (ENOSPC, EDQUOT):
                what = "the disk is full: free some space, or write elsewhere"
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


def _stored_color(color: ColorTags, codec: Codec) -> ColorTags:
    """The part of `color` that the codec stores, which frames are encoded with."""
    if not codec.color_tags:
        return ColorTags()
    return replace(color, full_range=color.full_range and codec.full_range)


def _opaque(frame: Frame) -> np.ndarray:
    return np.full(frame.size, 255, np.uint8)


def _paletted(image: np.ndarray) -> av.VideoFrame:
    """An image as pal8, with its own palette: 255 colors, and one for "unchanged".

    image: (H, W, 3) or (H, W, 4) uint8; pixels with an alpha below 128 get the transparent entry.
    Ordered dither: error diffusion would flicker from frame to frame, and GIF would store that.
    """
    height, width, channels = image.shape
    form = "rgba" if channels == 4 else "rgb24"
    graph = av.filter.Graph()
    source = graph.add_buffer(
        width=width, height=height, format=av.VideoFormat(form), time_base=Fraction(1, 100)
    )
    split, use = graph.add("split"), graph.add("paletteuse", "dither=bayer:bayer_scale=4")
    # Every n-th pixel is enough to choose a palette: twice as fast in all, and as good (38.5 dB).
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
    graph.vpush(av.VideoFrame.from_ndarray(np.ascontiguousarray(image), format=form))
    graph.vpush(None)
    return graph.vpull()
