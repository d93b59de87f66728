"""What `impasto video` reads and writes: files, pictures in sequence, pipes and web addresses."""

from pathlib import Path

import typer

from impasto.models.errors import SinkError
from impasto.realtime.cli.inputs import LeftOut, choose_inputs, is_many
from impasto.realtime.cli.jobs import VIDEO_EXTENSIONS, FileJob, find_jobs
from impasto.realtime.cli.standard_streams import (
    film_from_standard_input,
    film_to_standard_output,
)
from impasto.realtime.files.addresses import WebAddress, is_address
from impasto.realtime.files.codecs import CONTAINERS, container_for
from impasto.realtime.files.image_files import (
    ImageFiles,
    check_sequence_source,
    images_as_film,
    is_sequence_target,
    number_pattern,
    numbered_images,
)
from impasto.realtime.files.images import IMAGE_SUFFIXES, in_natural_order
from impasto.realtime.files.pipes import InputPipe, OutputPipe


def film_jobs(
    source: str, target: Path, *, as_video: bool, pipe_format: str
) -> tuple[list[FileJob], list[LeftOut]]:
    """The jobs for IN and OUT, and the files of a folder that are left out.

    as_video: the pictures of a folder or a pattern are one film. pipe_format: of standard output,
    which from then on is for the film alone. Raises SourceError and SinkError.
    """
    if as_video and not is_many(source):
        raise typer.BadParameter("--as-video is for a folder of pictures, or a pattern.")
    film, left_out = _single_film(source, as_video)
    to_pipe = str(target) == "-"
    to_one = to_pipe or is_sequence_target(target)
    if film is None and is_many(source) and to_one:
        where = "standard output" if to_pipe else target
        raise SinkError(f"one film fits into {where}, and {source} may be several")
    if film is None and not to_one:
        return find_jobs(
            source, target, readable=VIDEO_EXTENSIONS, writable=CONTAINERS, otherwise=".mp4"
        )
    read = film or Path(source)
    if to_pipe:
        return [FileJob(read, film_to_standard_output(f".{pipe_format}"))], left_out
    return [FileJob(read, _file_for(read, target))], left_out


def _single_film(
    source: str, as_video: bool
) -> tuple[InputPipe | WebAddress | ImageFiles | None, list[LeftOut]]:
    """A film that is not in a file of its own, None for files; and what is left out of a folder."""
    if as_video:
        paths, left_out = choose_inputs(source, IMAGE_SUFFIXES)
        return images_as_film(in_natural_order(paths), source), left_out
    if source == "-":
        return film_from_standard_input(), []
    if is_address(source):
        return WebAddress(source), []
    if Path(source).is_fifo():  # a named pipe, or <(a command) of a shell
        return InputPipe(open(source, "rb", buffering=0), source), []
    check_sequence_source(source)
    pattern = number_pattern(source)
    return (None if pattern is None else numbered_images(pattern)), []


def _file_for(film: Path | InputPipe | WebAddress | ImageFiles, target: Path) -> Path | OutputPipe:
    """The file to write; in a folder, it is named like the film."""
    if is_sequence_target(target):
        return target
    if target.is_dir():
        if isinstance(film, InputPipe | ImageFiles):
            raise SinkError(f"{target} is a folder: give the name of a file in it")
        name = Path(film.name)
        target /= name if name.suffix.lower() in CONTAINERS else name.with_suffix(".mp4")
    container_for(target)
    return target
