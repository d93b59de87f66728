"""Video conversion: decode a file, stylize every frame, encode it with all other streams."""

import os
from collections.abc import Iterator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from fractions import Fraction
from functools import partial
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING

from impasto.models.errors import SinkError
from impasto.realtime.atomic import partial_path
from impasto.realtime.files.codecs import (
    DEFAULT_ENCODER,
    EncoderOptions,
    container_for,
    keeps_alpha,
)
from impasto.realtime.files.dvd import title_notes
from impasto.realtime.files.endpoints import FilmReader, FilmWriter, images_of, open_writer
from impasto.realtime.files.frame_rate import at_frame_rate, info_at_frame_rate
from impasto.realtime.files.image_files import ImageFiles, is_sequence_target
from impasto.realtime.files.image_sequence import ImageSequence
from impasto.realtime.files.pipes import InputPipe, OutputPipe
from impasto.realtime.files.sources import Source, source_of
from impasto.realtime.files.video_reader import VideoReader
from impasto.realtime.frame import Frame
from impasto.realtime.mask import MaskedStylizer
from impasto.realtime.pipeline import Stylize, StylizerFormats, formats_of, run
from impasto.realtime.progress import OnProgress
from impasto.realtime.stroke import StrokeStylizer
from impasto.realtime.threads import Background, Prefetch

if TYPE_CHECKING:
    from impasto.realtime.files.masks import OpenMask


@dataclass(frozen=True, slots=True)
class ConversionReport:
    """Result of `stylize_video`: frames, times and notes."""

    target: Path | OutputPipe
    frames: int  # written
    missing_frames: int  # of the source, that could not be decoded
    seconds: float  # wall-clock time of the conversion
    first_frame_s: float  # from the start until the first stylized frame was handed to the encoder
    decode_s: float  # busy, in a separate thread
    stylize_s: float  # busy, on the main thread
    encode_s: float  # busy, in a separate thread; with the extra streams
    notes: tuple[str, ...]  # one line each, for the user


def stylize_video(
    source_path: Source | ImageFiles,
    target_path: str | Path | OutputPipe,
    stylizer: Stylize,
    *,
    size: int | tuple[int, int] | None = None,
    frame_rate: Fraction | int | None = None,
    start: float | Fraction | None = None,
    end: float | Fraction | None = None,
    batch_size: int = 1,
    encoder: EncoderOptions = DEFAULT_ENCODER,
    overwrite: bool = False,
    hwaccel: str | None = None,
    mask: str | Path | None = None,
    stroke: float = 1.0,
    on_progress: OnProgress | None = None,
) -> ConversionReport:
    """Convert a video: every frame by `stylizer`, audio and all other streams copied.

    source_path: a file, an http:// or https:// address, an `InputPipe`, or pictures in sequence: a
    pattern such as frames/%05d.png, a folder, or `ImageFiles`. target_path: a file, by its
    extension, an `OutputPipe`, or a pattern for pictures.
    stylizer: turns an iterator of batches (lists of rgb24 Frame) into an iterator of frames: the
    same number, in the same order and of the same size. Its attribute `formats`, if any, declares
    which other frames it takes or gives: see `StylizerFormats` and `negotiate`.
    size, start (seconds), end, hwaccel: see `VideoReader`. frame_rate: drop or repeat frames by
    their timestamps, to this constant rate; that of a sequence of pictures. encoder: codec, quality
    and speed. overwrite: replace an existing target. batch_size: frames per batch.
    mask: stylize where it is white, keep the film where it is black: see `masks.open_mask`. Its
    first picture is on time with the first of the whole film.
    stroke: how wide the strokes are, 0.5 to 4 times those of the stylizer: see `StrokeStylizer`.
    on_progress: called on this thread after each frame with the frames done, how many are
    expected (None: unknown) and the frames a second since the first, which may wait for an engine.

    The target appears when it is complete. A damaged source is converted as far as it can be
    decoded: `ConversionReport.missing_frames` counts the rest. KeyboardInterrupt leaves what is
    done as NAME.partial.EXT, playable.
    Raises SourceError, SinkError, ValueError for another stroke, and whatever the stylizer raises.
    """
    began = perf_counter()
    if stroke != 1:
        stylizer = StrokeStylizer(stylizer, stroke)
    if not isinstance(source_path, ImageFiles):
        source_path = source_of(source_path)
    target = target_path if isinstance(target_path, OutputPipe) else Path(target_path)
    if isinstance(source_path, Path) and isinstance(target, Path):
        check_target_is_not_source(source_path, target)
    writes_pictures = isinstance(target, Path) and is_sequence_target(target)
    formats = formats_of(stylizer) if mask is None else StylizerFormats()
    source: FilmReader
    if images := images_of(source_path):
        source = ImageSequence(
            images,
            frame_rate=frame_rate,
            size=size,
            start=start,
            end=end,
            keep_alpha=writes_pictures or keeps_alpha(target, encoder),
            keep_pictures=writes_pictures,
        )
        frame_rate = None  # that of the source
    else:
        assert not isinstance(source_path, ImageFiles)
        source = VideoReader(
            source_path,
            size=size,
            start=start,
            end=end,
            hwaccel=hwaccel,
            on_gpu=hwaccel == "cuda" and "cuda" in formats.input_devices,
            quick_chroma=formats.lossy_chroma_ok,
            keep_hdr=encoder.bit_depth > 8 and not writes_pictures,
            keep_alpha=writes_pictures or keeps_alpha(target, encoder),
            share=not isinstance(source_path, Path) and not writes_pictures,
        )
    with source, _open_mask(mask, source) as opened:
        if opened is not None:
            stylizer = MaskedStylizer(stylizer, opened, start=source.picture_start)
        first = source.first_time
        begin = source.start_time + Fraction(str(start)) if start else None
        last = None if end is None else source.start_time + Fraction(str(end))
        info = source.info
        frames: Iterator[Frame] = iter(source)
        if frame_rate is None and not writes_pictures and container_for(target).frames_only:
            frame_rate = info.frame_rate or 25
        if frame_rate is not None:
            frames = at_frame_rate(
                frames,
                frame_rate,
                start_time=first,
                duration=source.info.duration,
                is_complete=lambda: source.is_complete,
            )
            info = info_at_frame_rate(info, frame_rate)
        with open_writer(
            target,
            source_path,
            source,
            info,
            span=(begin, last),
            encoder=encoder,
            overwrite=overwrite,
        ) as (writer, of_others):
            writer.try_header(first)
            watch = _Watch(negotiate(stylizer, writer), info.frame_count, on_progress)
            depth = 2 * batch_size
            with (
                Prefetch(frames, depth) as decoded,
                Background(writer, depth) as encoded,
                stopped_by_errors(source_path),
            ):
                running = perf_counter()
                written = run(decoded, watch, encoded, batch_size=batch_size)
                stylize_s = perf_counter() - running
                stylize_s -= decoded.waited_seconds + encoded.waited_seconds
            missing_frames, notes = source.missing_frames, source.notes
            finishing = perf_counter()
            writer.close(truncated=not source.is_complete)
            lost = source.has_captions and not writer.has_captions
            masked = [] if opened is None else opened.notes
            captions = ["closed captions in the picture were left out"] if lost else []
            encode_s = encoded.busy_seconds + perf_counter() - finishing
    return ConversionReport(
        target=target,
        frames=written - writer.frames_left_out,
        missing_frames=missing_frames,
        seconds=perf_counter() - began,
        first_frame_s=watch.first_frame - began,
        decode_s=decoded.busy_seconds,
        stylize_s=stylize_s,
        encode_s=encode_s,
        notes=(*title_notes(source_path), *notes, *captions, *of_others, *writer.notes, *masked),
    )


def negotiate(stylizer: Stylize, writer: FilmWriter) -> Stylize:
    """The stylizer, giving frames in the pixel format that costs the least of those both declare.

    yuv420p, where the encoder takes it as it is: from a network that gives it, it saves the
    conversion from RGB, 2.1 ms of one core a frame at 640x360, 6.2 ms at 1280x720. As an input it
    gains nothing on a CPU: frames are read as rgb24.
    """
    if "yuv420p" in formats_of(stylizer).output & writer.input_formats:
        return partial(stylizer, yuv420=writer.color)  # type: ignore[call-arg]  # it is declared
    return stylizer


class _Watch:
    """A stylizer that counts what comes out of it."""

    def __init__(
        self, stylizer: Stylize, total: int | None, on_progress: OnProgress | None
    ) -> None:
        self.first_frame = 0.0  # by perf_counter
        self._stylizer, self._total, self._on_progress = stylizer, total, on_progress

    def __call__(self, batches: Iterator[list[Frame]]) -> Iterator[Frame]:
        began = perf_counter()
        for done, frame in enumerate(self._stylizer(batches), start=1):
            now = perf_counter()
            if done == 1:
                self.first_frame = now
            yield frame
            del frame  # written: do not hold it while the next is made
            if self._on_progress is not None:
                fps = 1 / (now - began) if done == 1 else (done - 1) / (now - self.first_frame)
                # The number of frames is an estimate for some files.
                total = None if self._total is None else max(self._total, done)
                self._on_progress(done, total, fps)


def _open_mask(
    mask: str | Path | None, source: FilmReader
) -> AbstractContextManager["OpenMask | None"]:
    if mask is None:
        return nullcontext()
    from impasto.realtime.files.masks import open_mask  # OpenCV loads for nothing else here

    return open_mask(mask, rate=source.info.frame_rate)


def stopped_by_errors(source: object) -> AbstractContextManager[None]:
    """Context manager: an exception in it ends the wait for a pipe that sends nothing."""
    return source.stopped_by_errors() if isinstance(source, InputPipe) else nullcontext()


def check_target_is_not_source(source: Path, target: Path) -> None:
    """Raise SinkError if writing `target` would destroy what is read."""
    for written in (target, partial_path(target)):
        if written.exists() and source.exists() and os.path.samefile(source, written):
            raise SinkError(f"{written} is the source: choose another name to write to")
