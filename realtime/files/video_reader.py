"""Video file decoding: frames with their timestamps, rotated, resized and as RGB."""

from collections.abc import Iterator, Mapping
from fractions import Fraction
from itertools import chain
from pathlib import Path
from typing import Self

import av
import numpy as np
from av.stream import Stream
from av.video.frame import VideoFrame
from av.video.reformatter import VideoReformatter

from impasto.models.errors import EngineError, SourceError
from impasto.realtime.cpu import codec_threads
from impasto.realtime.files.animation import plays_of
from impasto.realtime.files.changes import ChangeWatch
from impasto.realtime.files.containers import (
    check_image_size,
    duration_of,
    is_fragmented,
    open_media,
    rate_of,
    time_base_of,
    video_stream,
)
from impasto.realtime.files.decoding import Decoder, has_hidden_alpha
from impasto.realtime.files.deinterlace import deinterlace
from impasto.realtime.files.dolby_vision import refuse_dolby_vision_5
from impasto.realtime.files.fitting import PictureShape, with_bars
from impasto.realtime.files.hdr_metadata import hdr_metadata_of
from impasto.realtime.files.nvdec import is_nv12_on_gpu, rgb_on_gpu
from impasto.realtime.files.opening import shape_of_film
from impasto.realtime.files.pipes import InputPipe
from impasto.realtime.files.rotation import (
    NO_ROTATION,
    DisplayMatrix,
    apply_display_matrix,
)
from impasto.realtime.files.side_data import has_color_profile, side_data_of
from impasto.realtime.files.sources import SharedInput, Source, source_of
from impasto.realtime.files.streams import film_start
from impasto.realtime.frame import Frame, StreamInfo
from impasto.realtime.pixels import (
    UNSPECIFIED,
    bit_depth_of,
    color_of,
    fitted_size,
    has_alpha,
    has_known_matrix,
    is_transparent,
    matrix_for,
    to_rgb,
)
from impasto.realtime.tone_mapping import (
    HDR_NAMES,
    SdrConverters,
    is_sdr_bt709,
    known_color,
    sdr_color,
    sdr_note,
)

Seconds = float | Fraction
_INTERLACED_ORDERS = (2, 3, 4, 5)  # AVFieldOrder: top or bottom field first, coded or shown


class VideoReader:
    """The frames of a video, rgb24 and upright, each one once and in order; iterate once.

    path: a file, an address on the web, or a pipe. share: the packets of its other streams are read
    in the same pass, for a `StreamCopier`: they are in `shared`.
    size: None, the short side, or (height, width): see `pixels.fitted_size`. With an exact size
    the pixels of the output are square, which corrects anamorphic video.
    start, end: seconds from the start of the film, which is where players begin: the earliest of
    picture and sound. The frames with start <= t < end, and before them one that is still on show
    at `start`. Floats are exact decimals: 0.1 is a tenth.
    hwaccel: FFmpeg's name of a device that decodes, such as "cuda"; None: the CPU. on_gpu: leave
    frames decoded by CUDA in GPU memory, if they are neither resized nor rotated.
    quick_chroma: repeat chroma samples instead of interpolating them: see `pixels.to_rgb`.
    keep_hdr: leave HDR and wide gamuts as they are coded; else they become SDR of BT.709.
    keep_alpha: give transparent frames alpha, with colors that are black where it is 0; else they
    are composited over black.

    The constructor decodes the first frame, as only it has rotation, color tags and interlacing.
    `notes` has a line for each thing the user should know, and `missing_frames` counts frames that
    could not be decoded (see `decoding.Decoder`); both may grow until the last frame.
    `start_time`: the file's own time, in seconds, that `start` is relative to; `first_time`: that
    of the first frame by the container, or of `start` if that is later. `picture_start`: that of
    the first frame of the whole file.
    Raises SourceError if the file cannot be read, and EngineError for `hwaccel`.
    """

    def __init__(
        self,
        path: Source,
        *,
        size: int | tuple[int, int] | None = None,
        start: Seconds | None = None,
        end: Seconds | None = None,
        hwaccel: str | None = None,
        on_gpu: bool = False,
        quick_chroma: bool = False,
        keep_hdr: bool = False,
        keep_alpha: bool = False,
        share: bool = False,
    ) -> None:
        self.path = source_of(path)
        self._container = open_media(path, hwaccel=hwaccel, on_gpu=on_gpu)
        self.shared = SharedInput(self._container) if share else None
        try:
            self._stream = video_stream(self._container, self.path)
            self._stream.thread_type = "AUTO"  # type: ignore[assignment]  # a string works
            self._stream.codec_context.thread_count = codec_threads()
            self._time_base = time_base_of(self._stream)
            self.start_time = film_start(self._container, self._stream)
            start, end = _checked_range(start, end)
            video_start = (self._stream.start_time or 0) * self._time_base
            self.picture_start = video_start
            self.first_time = max(video_start, self.start_time + (start or 0))
            self._decoder = Decoder(
                self._container,
                self._stream,
                first_pts=None if self.first_time == video_start else self._ticks(start or 0),
                end_pts=None if end is None else self._ticks(end),
                alpha=keep_alpha,
                seekable=not isinstance(path, InputPipe),
                others=None if self.shared is None else self.shared.packets,
            )
            frames = iter(self._decoder)
            first = next(frames, None)
            if first is None:
                raise self._no_frame_error(hwaccel, start, end)
            side_data = side_data_of(first)
            refuse_dolby_vision_5(first, side_data, self._stream, self.path)
            self._hdr = hdr_metadata_of(side_data)
            self._converters = None if keep_hdr else SdrConverters(self._hdr)
            self._background = None if keep_alpha else 0
            self._notes = _notes_on(first, self._stream) + self._color_notes(first)
            self._notes += _left_out_notes(side_data, keep_hdr=keep_hdr)
            if not keep_alpha:
                self._notes += _alpha_notes(first, self._stream)
            self._changes = ChangeWatch(first, self._stream, self._time_base, self.start_time)
            self._film_shape = self._changes.first_shape
            if not start and isinstance(self.path, Path):
                self._film_shape = shape_of_film(
                    self.path, self._stream, self._film_shape, self._film_duration()
                )
            self.info = self._describe(first, size, start, end)
        except BaseException:
            self._container.close()
            raise
        watched = self._changes.watch(chain([first], frames))
        self._frames = deinterlace(watched, self._time_base)
        self._scaler = VideoReformatter()
        self._quick_chroma = quick_chroma

    @property
    def missing_frames(self) -> int:
        return self._decoder.missing_frames

    @property
    def has_captions(self) -> bool:
        """Whether there are closed captions in the picture, in what is read so far."""
        return self._decoder.captions.found

    @property
    def is_complete(self) -> bool:
        """Whether no frame is missing and no other recording follows, in what is read so far."""
        return not self._decoder.missing_frames and not self._decoder.has_discontinuity

    @property
    def notes(self) -> list[str]:
        changes = self._changes.notes(keep_color=self._converters is None)
        return self._notes + changes + self._decoder.notes

    def __iter__(self) -> Iterator[Frame]:
        frame_size, shape = (self.info.height, self.info.width), self._changes.first_shape
        size = shape.decoded_size(self._fitted(shape))
        for frame in self._frames:
            assert frame.pts is not None  # the decoder gives every frame one
            if changed := self._changes.shape_at(frame.pts):
                shape, size = changed, changed.decoded_size(self._fitted(changed))
            try:
                image = self._to_rgb(frame, size, shape.matrix)
            except av.FFmpegError as error:
                raise SourceError(
                    f"cannot convert the {frame.format.name} of {self.path}: {error.strerror}"
                ) from error
            if image.shape[:2] != frame_size:
                image = with_bars(image, frame_size)
            alpha = None
            if image.shape[2] == 4:
                image, alpha = _without_alpha(image)
            captioned = self._decoder.captions.captioned(frame)
            yield Frame(image, frame.pts, self._time_base, alpha=alpha, captioned=captioned)
        if self.shared is None:  # else the other streams are still read
            self.close()

    def _to_rgb(
        self, frame: VideoFrame, size: tuple[int, int], matrix: DisplayMatrix
    ) -> np.ndarray:
        """A frame as RGB of this size, then turned upright."""
        converter = self._converters.of(frame) if self._converters is not None else None
        if converter is not None:
            sdr = converter(frame, size=size, background=self._background)
            return apply_display_matrix(sdr, matrix)
        is_unchanged = size == (frame.height, frame.width) and matrix == NO_ROTATION
        if is_unchanged and is_nv12_on_gpu(frame):
            coefficients = matrix_for(frame.colorspace, frame.height)
            return rgb_on_gpu(frame, coefficients, color_of(frame).full_range)  # type: ignore[return-value]
        rgb = to_rgb(
            frame,
            size=size,
            background=self._background,
            scaler=self._scaler,
            quick=self._quick_chroma,
        )
        return apply_display_matrix(rgb, matrix)

    def _fitted(self, shape: PictureShape) -> tuple[int, int]:
        """The upright (height, width) that a picture of this shape has within a frame."""
        frame_size = self.info.height, self.info.width
        if shape == self._film_shape:
            return frame_size
        return shape.size_within(frame_size, self.info.sample_aspect_ratio)

    def _color_notes(self, frame: VideoFrame) -> list[str]:
        """Notes on what is done to HDR and to wide gamuts."""
        color = known_color(frame, self._hdr)
        if self._converters is None:
            name = HDR_NAMES.get(color.transfer)
            return [f"HDR ({name}): stylized as if it were SDR, and kept"] if name else []
        note = sdr_note(color)
        return [f"{note}; a bit depth of 10 keeps it"] if note else []

    def others(self) -> list[Stream]:
        """The streams of the source that are not read here; valid until it is closed."""
        return [s for s in self._container.streams if s.index != self._stream.index]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the file, which ends the iteration. A second call does nothing."""
        self._frames.close()  # before the container, from which it reads
        self._container.close()

    def __del__(self) -> None:
        # Closes the file when a loop over it is abandoned; PyAV waits for the garbage collector.
        if hasattr(self, "_frames"):
            self.close()

    def _ticks(self, seconds: Fraction | int) -> int:
        """The first pts at or after `seconds` from the start."""
        return -int(-(self.start_time + seconds) // self._time_base)

    def _no_frame_error(
        self, hwaccel: str | None, start: Fraction | None, end: Fraction | None
    ) -> Exception:
        """The reason why there is no first frame."""
        duration = self._film_duration()
        if start and duration is not None and start >= duration:
            return SourceError(
                f"cannot start at {float(start):g} s: {self.path} is {float(duration):g} s long"
            )
        if end is not None and self.start_time + end <= self.first_time:
            late = float(self.first_time - self.start_time)
            return SourceError(
                f"cannot end at {float(end):g} s: the picture of {self.path} begins at {late:g} s"
            )
        if hwaccel:
            return EngineError(
                f"{hwaccel!r} cannot decode the {self._stream.codec_context.name} of {self.path}; "
                "decode on the CPU instead"
            )
        if isinstance(self.path, InputPipe):
            return SourceError(
                f"no frame of {self.path} can be decoded; MP4 with its index at the end cannot be "
                "read from a pipe: use Matroska or a file"
            )
        return SourceError(f"no frame of {self.path} can be decoded; it is damaged or incomplete")

    def _film_duration(self) -> Fraction | None:
        """Seconds from the start of the film to the end of the picture; None if unknown."""
        duration = duration_of(self._container, self._stream)
        if duration is None:
            return None
        return (self._stream.start_time or 0) * self._time_base - self.start_time + duration

    def _describe(
        self,
        first: VideoFrame,
        size: int | tuple[int, int] | None,
        start: Fraction | None,
        end: Fraction | None,
    ) -> StreamInfo:
        height, width, pixel_shape = self._film_shape.upright
        height, width = fitted_size(height, width, size)
        check_image_size(height, width, f"{self.path} would become")
        rate = rate_of(self._stream)
        duration = self._film_duration()
        if duration is not None:
            late = self.first_time - self.start_time
            duration = max(min(duration, end or duration) - late, Fraction(0))
        count = self._stream.frames or None
        if count is None or start or end or is_fragmented(self._stream):
            count = round(duration * rate) if duration and rate else None
        color = known_color(first, self._hdr)
        bit_depth = bit_depth_of(first.sw_format or first.format)
        if self._converters is not None and not is_sdr_bt709(color):
            color, bit_depth = sdr_color(color), 8
        return StreamInfo(
            height=height,
            width=width,
            time_base=self._time_base,
            frame_rate=rate,
            frame_count=count,
            duration=duration,
            sample_aspect_ratio=Fraction(1) if isinstance(size, tuple) else pixel_shape,
            color=color,
            hdr=self._hdr if color.transfer in HDR_NAMES else None,
            bit_depth=bit_depth,
            has_alpha=self._background is None and has_alpha(first.sw_format or first.format),
            plays=plays_of(self.path) if isinstance(self.path, Path) else None,
        )


def _checked_range(
    start: Seconds | None, end: Seconds | None
) -> tuple[Fraction | None, Fraction | None]:
    """Start and end as exact seconds: 0.1 is a tenth, not the nearest float. Raises SourceError."""
    begin, finish = (None if s is None else Fraction(str(s)) for s in (start, end))
    if (begin or 0) < 0 or (finish is not None and finish <= (begin or 0)):
        raise SourceError(f"expected 0 <= start < end, got start {start} and end {end} (seconds)")
    return begin or None, finish


def _without_alpha(rgba: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(H, W, 4) uint8 as RGB, black where it is transparent, and alpha (H, W)."""
    alpha = np.ascontiguousarray(rgba[..., 3])
    return rgba[..., :3] * (alpha > 0)[..., None], alpha


def _left_out_notes(side_data: Mapping[str, object], *, keep_hdr: bool) -> list[str]:
    """Notes on what PyAV cannot write of the side data of a film's first frame."""
    notes = []
    if keep_hdr and side_data.keys() & {"DOVI_METADATA", "DYNAMIC_HDR_PLUS", "DYNAMIC_HDR_VIVID"}:
        notes.append("dynamic HDR metadata (Dolby Vision, HDR10+) was left out")
    if "SPHERICAL" in side_data:
        notes.append("360° video: its projection was left out, so that players show it flat")
    if "STEREO3D" in side_data:
        notes.append("stereoscopic 3D: its layout was left out, so that players show it flat")
    return notes


def _alpha_notes(frame: VideoFrame, stream: av.VideoStream) -> list[str]:
    """Notes on transparency that is not kept."""
    hint = "ProRes, VP9, WebP and GIF can keep it"
    if is_transparent(frame):
        return [f"transparency: composited over black; {hint}"]
    if has_hidden_alpha(stream):
        return [f"transparency: left out; {hint}"]
    return []


def _notes_on(frame: VideoFrame, stream: av.VideoStream) -> list[str]:
    """Notes on what is done to this stream that the user may not expect."""
    notes = []
    if frame.interlaced_frame or stream.codec_context.field_order in _INTERLACED_ORDERS:
        notes.append("interlaced: deinterlaced with bwdif, one frame for each frame")
    is_yuv = not frame.format.is_rgb and not frame.format.has_palette
    if is_yuv and frame.colorspace != UNSPECIFIED and not has_known_matrix(frame.colorspace):
        notes.append(f"color matrix {frame.colorspace} is not supported: colors may be wrong")
    if has_color_profile(frame):
        notes.append("color profile: ignored, colors are read as if there was none")
    return notes
