"""Training a style from a painting: a few steps, on pictures and videos made here."""

import json
from pathlib import Path

import numpy as np
import pytest
from safetensors import safe_open

from impasto.models.errors import SinkError, SourceError
from impasto.models.styles import load_style, load_weights
from impasto.models.training.recipe import Recipe
from impasto.realtime.files.images import write_image
from impasto.realtime.painting.learn import MIN_IMAGES, TrainingJob, train_style
from tests.media import make_clip
from tests.pictures import make_pictures

TINY = Recipe(steps=2, crop=48, painting_side=96)


def start(name: str, unit: str):
    return lambda done, total, rate: None


@pytest.fixture
def painting(tmp_path: Path) -> Path:
    path = tmp_path / "painting.png"
    write_image(path, make_pictures(1, 90, 120, seed=7)[0])
    return path


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    folder = tmp_path / "photos"
    (folder / "more").mkdir(parents=True)
    for index, picture in enumerate(make_pictures(MIN_IMAGES, 70, 90)):
        write_image(folder / ("more" if index % 2 else "") / f"{index}.png", picture)
    return folder


@pytest.fixture
def target(tmp_path: Path) -> Path:
    return tmp_path / "mine.safetensors"


def test_the_result_is_a_style(painting: Path, photos: Path, target: Path) -> None:
    result = train_style(TrainingJob(painting, [photos], target, TINY), start)
    assert result.pictures == MIN_IMAGES and result.content > 0 and result.style > 0
    with safe_open(target, "pt") as file:
        about = file.metadata()
    assert about["painting"] == "painting.png" and about["parent"] == "great_wave"
    assert json.loads(about["recipe"])["steps"] == 2 and about["form"] == "fast"
    trained, parent = load_weights(str(target)).arrays, load_weights("great_wave").arrays
    assert any(np.abs(trained[name] - parent[name]).max() > 1e-4 for name in trained)
    load_style(f"{target}:0.5+great_wave:0.5", strength=0.5)  # it blends
    assert sorted(p.name for p in target.parent.iterdir()) == [
        "mine.safetensors", "painting.png", "photos",
    ]  # fmt: skip


def test_videos_and_single_pictures_are_trained_on(
    painting: Path, target: Path, tmp_path: Path
) -> None:
    video = make_clip(tmp_path / "video.mp4")
    with_picture = train_style(TrainingJob(painting, [video, painting], target, TINY), start)
    alone = train_style(TrainingJob(painting, [video], target, TINY, overwrite=True), start)
    assert with_picture.pictures == alone.pictures + 1 >= MIN_IMAGES + 1


def test_a_damaged_picture_in_a_folder_is_left_out(
    painting: Path, photos: Path, target: Path
) -> None:
    (photos / "damaged.jpg").write_text("no picture")
    result = train_style(TrainingJob(painting, [photos], target, TINY), start)
    assert result.pictures == MIN_IMAGES and "1 files could not be read" in result.notes[0]


@pytest.mark.parametrize(
    "change, error, words",
    [
        ({"painting": Path("gone.png")}, SourceError, "gone.png"),
        ({"painting": (15, 15)}, SourceError, "too small"),
        ({"painting": (20, 700)}, SourceError, "too narrow"),
        ({"photos": [Path("gone")]}, SourceError, "gone"),
        ({"photos": [Path(__file__).parent]}, SourceError, "0 pictures"),
        ({"target": Path("mine.onnx")}, SinkError, ".safetensors"),
        ({"target": Path("gone/mine.safetensors")}, SinkError, "no folder gone"),
    ],
)
def test_bad_input_leaves_nothing(
    painting: Path, photos: Path, target: Path, change, error, words: str
) -> None:
    if isinstance(size := change.get("painting"), tuple):
        change = {"painting": painting.with_name("odd.png")}
        write_image(change["painting"], make_pictures(1, *size)[0])
    job = {"painting": painting, "photos": [photos], "target": target, "recipe": TINY} | change
    before = sorted(target.parent.iterdir())
    with pytest.raises(error, match=words):
        train_style(TrainingJob(**job), start)
    assert sorted(target.parent.iterdir()) == before


def test_a_style_that_exists_is_kept(painting: Path, photos: Path, target: Path) -> None:
    target.write_text("mine")
    with pytest.raises(SinkError, match="exists"):
        train_style(TrainingJob(painting, [photos], target, TINY), start)
    assert target.read_text() == "mine"


def test_a_folder_of_other_files_is_left_alone(painting: Path, photos: Path, target: Path) -> None:
    job = TrainingJob(painting, [photos], target, TINY)
    job.folder.mkdir()
    (job.folder / "holiday.jpg").write_text("mine")
    with pytest.raises(SinkError, match=r"holiday\.jpg is in the way"):
        train_style(job, start)
    assert [p.name for p in job.folder.iterdir()] == ["holiday.jpg"]
    names = {p.name for p in target.parent.iterdir()}
    assert names == {"mine.learning", "painting.png", "photos"}


def test_a_stopped_job_continues(painting: Path, photos: Path, target: Path) -> None:
    """Stopped by Ctrl-C after its first checkpoint, at 20 steps; before, nothing is kept."""
    stop_at, steps = 2, []

    def stopping(name: str, unit: str):
        def tell(done: int, total: int | None, rate: float) -> None:
            if name == "learning":
                steps.append(done)
                if done == stop_at:
                    raise KeyboardInterrupt

        return tell

    job = TrainingJob(painting, [photos], target, Recipe(steps=22, crop=32, painting_side=96))
    with pytest.raises(KeyboardInterrupt):
        train_style(job, stopping)
    assert not job.folder.exists() and not target.exists()
    stop_at = 21
    with pytest.raises(KeyboardInterrupt):
        train_style(job, stopping)
    assert job.folder.is_dir() and not target.exists()
    stop_at = 0
    steps.clear()
    train_style(job, stopping)
    assert steps == [21, 22] and target.exists() and not job.folder.exists()
