"""What a command refuses at once, with a line that says what to do instead: nothing heavy loads."""

from collections.abc import Iterable
from pathlib import Path

import typer

from impasto.models.errors import SinkError, SourceError
from impasto.models.styles import known_styles
from impasto.realtime.cli.jobs import VIDEO_EXTENSIONS
from impasto.realtime.files.codecs import CONTAINERS
from impasto.realtime.files.images import IMAGE_SUFFIXES, check_is_image


def check_film(source: str, target: Path) -> None:
    """Raise SourceError or SinkError where IN or OUT of a conversion is a picture, not a film."""
    if is_picture(target):
        if is_picture(Path(source)):
            raise SourceError(f"{source} is a picture: use impasto image")
        numbered = target.with_name(f"{target.stem}-%05d{target.suffix}")
        raise SinkError(
            f"{target} is the name of a picture: name a video file, such as "
            f"{target.with_suffix('.mp4')}, or numbered pictures, such as {numbered}"
        )
    kinds = _kinds_in(Path(source))
    if kinds & set(IMAGE_SUFFIXES) and not kinds & VIDEO_EXTENSIONS:
        raise SourceError(
            f"{source} has pictures and no video: use impasto image, or --as-video for a film of "
            "them"
        )


def check_picture(source: str, target: Path) -> None:
    """Raise SourceError or SinkError where OUT of `impasto image` is a film, and IN perhaps too."""
    if is_film(target):
        if is_film(Path(source)):
            raise SourceError(f"{source} is a video: use impasto video")
        instead = target.with_suffix(".png")
        raise SinkError(f"{target} is the name of a video: name a picture, such as {instead}")


def is_film(path: Path) -> bool:
    """Whether the name is that of a video; an animated picture is none."""
    suffix = path.suffix.lower()
    return suffix in VIDEO_EXTENSIONS and suffix not in (*IMAGE_SUFFIXES, ".gif")


def is_picture(path: Path) -> bool:
    """Whether the name is that of one picture, which no video can have: not a numbered sequence."""
    suffix = path.suffix.lower()
    return suffix in IMAGE_SUFFIXES and suffix not in CONTAINERS and "%" not in path.name


def check_paintings(paths: Iterable[Path], *, folders: bool = False) -> None:
    """Raise an error where these are not pictures to paint like. folders: of them, too.

    A usage error for a style in place of a painting; SourceError as `check_readable` raises it.
    """
    for path in paths:
        is_style = str(path) in known_styles() and not path.exists()
        if is_style or path.suffix.lower() == ".safetensors":
            raise typer.BadParameter(
                f"{path} is a style, and a picture of a painting is expected here; impasto image, "
                f"video and live paint in it, by --style {path}."
            )
        if is_film(path) and path.is_file():
            raise SourceError(
                f"{path} is a video, and a picture of a painting is expected here: save a frame of "
                "it as a picture"
            )
        check_readable(path, folders=folders)


def check_readable(path: Path, *, folders: bool = False) -> None:
    """Raise SourceError where there is no picture: no file, a folder, or a file of another kind."""
    check_exists(path)
    if not path.is_dir():
        check_is_image(path)
    elif not folders:
        raise SourceError(f"{path} is a folder: name a picture in it")


def check_exists(path: Path) -> None:
    """Raise SourceError where there is no file and no folder of this name."""
    if not path.exists():
        raise SourceError(f"{path} does not exist; check the name")


def check_suffix(path: Path, suffix: str, what: str) -> None:
    """Raise SinkError where a file of a kind with one extension is given another."""
    if path.suffix.lower() != suffix and not path.is_dir():  # a folder is reported as one
        raise SinkError(f"{path} must end in {suffix}, as {what} does")


def _kinds_in(folder: Path) -> set[str]:
    """The extensions of the files in a folder; none of what is no folder."""
    return {path.suffix.lower() for path in folder.iterdir()} if folder.is_dir() else set()
