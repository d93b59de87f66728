"""Training a style from a painting: a few steps, on pictures and videos made here."""

import csv
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from safetensors import safe_open

from impasto.models import loss_network
from impasto.models.errors import DownloadError, SinkError, SourceError, WeightsError
from impasto.models.styles import load_style, load_weights
from impasto.models.training import loop
from impasto.models.training.recipe import RECIPES, Recipe, recipe_of
from impasto.realtime.files.images import read_image, write_image
from impasto.realtime.painting.learn import TrainingJob, train_style
from impasto.realtime.painting.training_images import MIN_IMAGES
from impasto.realtime.painting_styles import predicted_style
from tests.media import make_clip
from tests.pictures import make_pictures

TINY = Recipe(steps=2, crop=48, painting_side=96)
JOHNSON = replace(
    RECIPES["johnson2016"], loss_network="compact", steps=2, batch=2, crop=48, painting_side=96
)


pytestmark = pytest.mark.usefixtures("small_figures")


def start(name: str, unit: str):
    return lambda done, total, rate: None


@pytest.fixture
def checkpoints(monkeypatch: pytest.MonkeyPatch) -> None:
    """One at every second step."""
    monkeypatch.setattr(loop, "CHECKPOINT_STEPS", 2)


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
    assert about["painting"] == "painting.png" and about["parent"] == "predicted"
    assert json.loads(about["recipe"])["steps"] == 2 and about["form"] == "fast"
    trained = load_weights(str(target)).arrays
    parent = load_weights(str(predicted_style(str(painting))), network="fast").arrays
    assert any(np.abs(trained[name] - parent[name]).max() > 1e-4 for name in trained)
    load_style(f"{target}:0.5+great_wave:0.5", strength=0.5)  # it blends
    assert sorted(p.name for p in target.parent.iterdir()) == [
        "mine.safetensors", "painting.png", "photos",
    ]  # fmt: skip


def test_videos_and_single_pictures_are_trained_on(
    painting: Path, target: Path, tmp_path: Path
) -> None:
    gathered: list[tuple[int, int | None]] = []

    def telling(name: str, unit: str):
        return lambda done, total, rate: name == "pictures" and gathered.append((done, total))

    video = make_clip(tmp_path / "video.mp4", frames=9)
    result = train_style(TrainingJob(painting, [video, painting], target, TINY), telling)
    assert result.pictures == 10 and gathered == [(done, 10) for done in range(1, 11)]


def test_a_damaged_picture_in_a_folder_is_left_out(
    painting: Path, photos: Path, target: Path
) -> None:
    (photos / "damaged.jpg").write_text("no picture")
    result = train_style(TrainingJob(painting, [photos], target, TINY), start)
    assert result.pictures == MIN_IMAGES and "1 files could not be read" in result.notes[-1]


@pytest.mark.parametrize(
    "change, error, words",
    [
        ({"painting": Path("gone.png")}, SourceError, "gone.png"),
        ({"painting": (15, 15)}, SourceError, "too small"),
        ({"painting": (20, 700)}, SourceError, "too narrow"),
        ({"photos": [Path("gone")]}, SourceError, "gone"),
        ({"photos": [Path(__file__).parent]}, SourceError, "0 pictures"),
        ({"start": __file__}, SourceError, "not an image"),
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


def test_a_style_to_start_from_that_is_missing_is_said_before_pictures_are_gathered(
    painting: Path, photos: Path, target: Path
) -> None:
    stages: list[str] = []

    def begun(name: str, unit: str):
        stages.append(name)
        return start(name, unit)

    with pytest.raises(WeightsError, match="great_wave"):
        train_style(TrainingJob(painting, [photos], target, TINY, start="great_vawe"), begun)
    assert stages == []


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


def test_a_stopped_job_continues(
    painting: Path, photos: Path, target: Path, checkpoints: None
) -> None:
    """Stopped by Ctrl-C after its first checkpoint, at 2 steps; before, nothing is kept."""
    stop_at, steps = 1, []

    def stopping(name: str, unit: str):
        def tell(done: int, total: int | None, rate: float) -> None:
            if name == "learning":
                steps.append(done)
                if done == stop_at:
                    raise KeyboardInterrupt

        return tell

    job = TrainingJob(painting, [photos], target, Recipe(steps=4, crop=32, painting_side=96))
    with pytest.raises(KeyboardInterrupt):
        train_style(job, stopping)
    assert not job.folder.exists() and not target.exists()
    stop_at = 3
    with pytest.raises(KeyboardInterrupt):
        train_style(job, stopping)
    assert job.folder.is_dir() and not target.exists()
    stop_at = 0
    steps.clear()
    train_style(job, stopping)
    assert steps == [3, 4] and target.exists() and not job.folder.exists()


def rows_of(table: Path) -> list[dict[str, float]]:
    with open(table, newline="") as file:
        return [{name: float(value) for name, value in row.items()} for row in csv.DictReader(file)]


def test_the_classic_network_is_trained_from_random_weights(
    painting: Path, photos: Path, target: Path
) -> None:
    sheet, table = target.with_suffix(".png"), target.with_suffix(".csv")
    job = TrainingJob(painting, [photos], target, JOHNSON, sheet=sheet, table=table)
    result = train_style(job, start)
    assert (result.network, result.steps, result.new_steps) == ("classic", 2, 2)
    with safe_open(target, "pt") as file:
        about = file.metadata()
    assert about["form"] == "classic" and about["parent"] == "random"
    recipe = json.loads(about["recipe"])
    assert recipe["style_layers"].keys() == {"relu1_2", "relu2_2", "relu3_3", "relu4_3"}
    assert recipe["painting"] == "painting.png" and len(recipe["painting_sha256"]) == 64
    (row,) = rows_of(table)
    assert list(row) == ["step", "seconds", "content", "style", "tv", "total"] and row["step"] == 2
    assert row["total"] == pytest.approx(row["content"] + row["style"] + row["tv"], abs=1e-4)
    height, width = read_image(sheet).shape[:2]
    assert width > 2 * 256 and height > 2 * 256  # the painting and a photo, and this painted
    assert sorted(p.name for p in target.parent.iterdir()) == [
        "mine.csv", "mine.png", "mine.safetensors", "painting.png", "photos",
    ]  # fmt: skip


@pytest.mark.parametrize(
    "recipe",
    [replace(TINY, form="classic"), replace(JOHNSON, form="fast")],
    ids=["ours on classic", "johnson2016 on fast"],
)
def test_every_network_is_trained_by_every_preset(
    recipe: Recipe, painting: Path, photos: Path, target: Path
) -> None:
    train_style(TrainingJob(painting, [photos], target, recipe), start)
    assert load_style(str(target)).architecture == recipe.form


def test_a_style_of_ones_own_is_started_from(painting: Path, photos: Path, target: Path) -> None:
    """At a learning rate of almost nothing the result is the style that it started from."""
    train_style(TrainingJob(painting, [photos], target, JOHNSON), start)
    other = target.with_name("other.safetensors")
    slow = replace(JOHNSON, learning_rate=1e-9)
    train_style(TrainingJob(painting, [photos], other, slow, start=str(target)), start)
    first, second = (load_weights(str(path)).arrays for path in (target, other))
    assert all(np.abs(first[name] - second[name]).max() < 1e-6 for name in first)


def test_a_stopped_job_may_end_where_it_is(
    painting: Path, photos: Path, target: Path, checkpoints: None
) -> None:
    """At a constant learning rate the number of steps may be another one than at first."""
    steps: list[int] = []

    def stopping(name: str, unit: str):
        def tell(done: int, total: int | None, rate: float) -> None:
            if name == "learning":
                steps.append(done)
                if done == stop_at:
                    raise KeyboardInterrupt

        return tell

    stop_at, recipe = 3, replace(JOHNSON, steps=40_000, batch=1)
    table = target.with_suffix(".csv")
    job = TrainingJob(painting, [photos], target, recipe, table=table)
    with pytest.raises(KeyboardInterrupt):
        train_style(job, stopping)
    assert job.steps_done() == 2 and not target.exists() and not table.exists()
    longer = replace(job, recipe=replace(recipe, steps=4))
    steps.clear()
    stop_at = 4
    with pytest.raises(KeyboardInterrupt):
        train_style(longer, stopping)
    assert steps == [3, 4]
    result = train_style(replace(job, recipe=replace(recipe, steps=1)), stopping)
    assert (result.steps, result.new_steps) == (4, 0) and steps == [3, 4]
    assert [row["step"] for row in rows_of(table)][0] == 2 and not job.folder.exists()
    with safe_open(target, "pt") as file:
        assert json.loads(file.metadata()["recipe"])["steps"] == 4


def test_the_compact_network_stands_in_for_one_that_cannot_be_had(
    painting: Path, photos: Path, target: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def offline(*_: object, **__: object) -> None:
        raise DownloadError("cannot download vgg16")

    monkeypatch.setattr(loss_network, "downloaded_weights", offline)
    recipe = replace(JOHNSON, loss_network="vgg16")
    with pytest.raises(WeightsError, match="cannot download vgg16"):
        train_style(TrainingJob(painting, [photos], target, recipe), start)
    lines: list[str] = []
    job = TrainingJob(painting, [photos], target, recipe, stand_in=True)
    result = train_style(job, start, lines.append)
    assert result.loss_network == "compact" and result.notes == lines
    assert "the compact network stands in for vgg16" in lines[0]
    with safe_open(target, "pt") as file:
        assert json.loads(file.metadata()["recipe"])["loss_network"] == "compact"


def test_layers_are_found_in_anybodys_spelling(painting: Path, photos: Path, target: Path) -> None:
    layers = {"content_layers": {"conv4_2": 1.0}, "style_layers": {"block1_conv2": 2.0}}
    train_style(TrainingJob(painting, [photos], target, replace(JOHNSON, **layers)), start)
    with safe_open(target, "pt") as file:
        recipe = json.loads(file.metadata()["recipe"])
    assert recipe["content_layers"] == {"relu4_2": 1.0} and recipe["style_layers"] == {"relu1_2": 2}
    wrong = replace(TINY, style_layers={"relu5_4": 1.0})
    with pytest.raises(WeightsError, match="relu5_4"):
        train_style(TrainingJob(painting, [photos], target, wrong, overwrite=True), start)


def test_another_convnet_has_layers_of_its_own() -> None:
    recipe = recipe_of("johnson2016", {"loss_network": "alexnet", "content_layers": {"relu3": 1.0}})
    assert recipe.content_layers == {"relu3": 1.0} and "relu5" in recipe.style_layers
    assert recipe_of("johnson2016", {"steps": None}) == RECIPES["johnson2016"]


def test_minutes_end_it_and_the_style_says_after_how_many_steps(
    painting: Path, photos: Path, target: Path
) -> None:
    job = TrainingJob(painting, [photos], target, replace(TINY, steps=10_000), minutes=1e-4)
    result = train_style(job, start)
    assert 1 <= result.steps < 10_000
    with safe_open(target, "pt") as file:
        assert json.loads(file.metadata()["recipe"])["steps"] == result.steps
