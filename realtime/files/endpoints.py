"""Opens the two ends of a conversion: a film or pictures in sequence, to read and to write."""

from collections.abc import Iterator
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path

from impasto.models.errors import SinkError
from impasto.realtime.files.codecs import EncoderOptions
from impasto.realtime.files.image_files import (
    ImageFiles,
    NumberPattern,
    folder_as_film,
    number_pattern,
    numbered_images,
)
from impasto.realtime.files.image_sequence import ImageSequence
from impasto.realtime.files.pipes import OutputPipe
from impasto.realtime.files.remux import StreamCopier
from impasto.realtime.files.sequence_writer import SequenceWriter
from impasto.realtime.files.sources import Source, source_of
from impasto.realtime.files.tracks import describe
from impasto.realtime.files.video_reader import VideoReader
from impasto.realtime.files.video_writer import VideoWriter
from impasto.realtime.frame import StreamInfo

FilmReader = VideoReader | ImageSequence
FilmWriter = VideoWriter | SequenceWriter


def images_of(source: Source | ImageFiles) -> ImageFiles | None:
    """The image files of a folder or a pattern; None for any other source. Raises SourceError."""
    if isinstance(source, ImageFiles):
        return source
    path = source_of(source)
    if not isinstance(path, Path):
        return None
    if path.is_dir():
        return folder_as_film(path)
    pattern = number_pattern(path)
    return None if pattern is None else numbered_images(pattern)


@contextmanager
def open_writer(
    target: Path | OutputPipe,
    source: Source | ImageFiles,
    reader: FilmReader,
    info: StreamInfo,
    *,
    span: tuple[Fraction | None, Fraction | None],
    encoder: EncoderOptions,
    overwrite: bool,
) -> Iterator[tuple[FilmWriter, list[str]]]:
    """Context manager: what frames are written to, with the sound and all else of the source.

    span: the part of the source, in seconds of its own clock. Gives the writer, and notes on the
    other streams, which are complete at the end. Raises SinkError.
    """
    pattern = number_pattern(target) if isinstance(target, Path) else None
    notes: list[str] = []
    end_time = None if info.duration is None else reader.first_time + info.duration
    if pattern is not None:
        notes += _left_out(reader)
        if not info.looks_square:
            shape = info.sample_aspect_ratio
            notes.append(
                f"pixels of {shape} become square: give a size of WxH, or it looks squeezed"
            )
        with _sequence_writer(pattern, reader, overwrite=overwrite) as pictures:
            yield pictures, notes
    elif isinstance(reader, ImageSequence):
        with VideoWriter(
            target, info, encoder=encoder, overwrite=overwrite, end_time=end_time
        ) as writer:
            yield writer, notes
    else:
        assert not isinstance(source, ImageFiles)
        with (
            StreamCopier(source, start=span[0], end=span[1], shared=reader.shared) as others,
            VideoWriter(
                target,
                info,
                encoder=encoder,
                extra_streams=others,
                overwrite=overwrite,
                end_time=end_time,
            ) as writer,
        ):
            yield writer, others.notes


def _sequence_writer(
    pattern: NumberPattern, reader: FilmReader, *, overwrite: bool
) -> SequenceWriter:
    """A sequence keeps the numbers of the sequence it is made of."""
    if isinstance(reader, VideoReader):
        return SequenceWriter(pattern, overwrite=overwrite)
    read = {path.resolve() for path in reader.files.paths.values()}
    if any(path.resolve() in read for path in pattern.files().values()):
        raise SinkError(f"{pattern} is the source: choose another name to write to")
    if not reader.files.is_numbered:
        return SequenceWriter(pattern, overwrite=overwrite)
    return SequenceWriter(pattern, first=reader.files.first, by_time=True, overwrite=overwrite)


def _left_out(reader: FilmReader) -> list[str]:
    """A line for each stream but the picture, which image files have no room for."""
    if isinstance(reader, ImageSequence):
        return []
    return [f"{describe(stream)} was left out: pictures have none" for stream in reader.others()]
