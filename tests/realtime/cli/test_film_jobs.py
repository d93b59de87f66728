"""Which films `impasto video` reads, and where they go."""

from functools import partial
from pathlib import Path

import pytest
import typer

from impasto.models.errors import SinkError, SourceError
from impasto.realtime.cli import film_jobs as module
from impasto.realtime.files.addresses import WebAddress
from impasto.realtime.files.image_files import ImageFiles
from impasto.realtime.files.images import write_image
from tests.media import make_clip, numbered_picture

film_jobs = partial(module.film_jobs, as_video=False, pipe_format="mkv")
as_one_film = partial(module.film_jobs, as_video=True, pipe_format="mkv")


@pytest.fixture
def frames(tmp_path: Path) -> Path:
    """A folder with three pictures and a letter."""
    folder = tmp_path / "frames"
    folder.mkdir()
    for number in (9, 10, 12):
        write_image(folder / f"{number}.png", numbered_picture(number))
    (folder / "letter.txt").write_text("no picture")
    return folder


def test_a_pattern(frames: Path, tmp_path: Path) -> None:
    ((job,), left_out) = film_jobs(str(frames / "%d.png"), tmp_path / "out.mp4")
    assert isinstance(job.source, ImageFiles) and list(job.source.paths) == [9, 10, 12]
    assert job.source.is_numbered and job.target == tmp_path / "out.mp4" and left_out == []


@pytest.mark.parametrize("name", ["frames", "frames/*"])
def test_a_folder_as_one_film_names_what_it_leaves_out(
    name: str, frames: Path, tmp_path: Path
) -> None:
    source = str(tmp_path / name)
    if name == "frames":
        ((job,), left_out) = as_one_film(source, tmp_path / "out.mp4")
        assert [entry.path.name for entry in left_out] == ["letter.txt"]
    else:
        ((job,), _) = as_one_film(f"{source}.png", tmp_path / "out.mp4")
    assert [path.name for path in job.source.paths.values()] == ["9.png", "10.png", "12.png"]
    assert not job.source.is_numbered


def test_a_folder_of_videos_is_several(tmp_path: Path) -> None:
    clips = tmp_path / "clips"
    clips.mkdir()
    for name in ("a.mp4", "b.mp4"):
        make_clip(clips / name, frames=1)
    jobs, _ = film_jobs(str(clips), tmp_path / "out")
    assert [job.source.name for job in jobs] == ["a.mp4", "b.mp4"]
    with pytest.raises(SinkError, match="one film fits into standard output"):
        film_jobs(str(clips), Path("-"))
    with pytest.raises(SinkError, match="one film fits into .*%d.png"):
        film_jobs(str(clips), tmp_path / "%d.png")


@pytest.mark.parametrize(
    ("address", "name"),
    [
        ("https://example.org/films/holiday.mkv?key=1", "holiday.mkv"),
        ("http://example.org/live.m3u8", "live.mp4"),
    ],
)
def test_an_address_into_a_folder(address: str, name: str, tmp_path: Path) -> None:
    ((job,), _) = film_jobs(address, tmp_path)
    assert job.source == WebAddress(address) and job.target == tmp_path / name


def test_a_film_into_pictures(tmp_path: Path) -> None:
    clip = make_clip(tmp_path / "in.mp4", frames=1)
    ((job,), _) = film_jobs(str(clip), tmp_path / "out" / "%03d.png")
    assert job.source == clip and job.target == tmp_path / "out" / "%03d.png"


def test_what_cannot_be(frames: Path, tmp_path: Path) -> None:
    clip = make_clip(tmp_path / "in.mp4", frames=1)
    with pytest.raises(typer.BadParameter, match="--as-video is for a folder"):
        as_one_film(str(clip), tmp_path / "out.mp4")
    with pytest.raises(SinkError, match="is a folder: give the name of a file in it"):
        as_one_film(str(frames), tmp_path)
    with pytest.raises(SourceError, match="no file matches"):
        film_jobs(str(tmp_path / "none" / "%d.png"), tmp_path / "out.mp4")
    with pytest.raises(SourceError, match="pictures in sequence cannot be .exr"):
        film_jobs(str(frames / "%04d.exr"), tmp_path / "out.mp4")
    with pytest.raises(SinkError, match="the extension chooses the container"):
        film_jobs(str(frames / "%d.png"), tmp_path / "out.xyz")
    with pytest.raises(SourceError, match="only from http:// and https://"):
        film_jobs("rtsp://camera/stream", tmp_path / "out.mp4")
