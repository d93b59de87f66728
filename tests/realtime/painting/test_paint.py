"""`impasto paint`: what it writes, and what it refuses."""

import csv
import json
from dataclasses import replace
from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image

from impasto.models.errors import TargetInUseError
from impasto.models.gatys.optimize import Settings
from impasto.realtime.cli.arguments import parse_layers, parse_paintings
from impasto.realtime.files.images import read_image, write_image
from impasto.realtime.painting.paint import (
    PaintJob,
    enlarged_for_text,
    paint_image,
    read_content,
    read_styles,
    snapshot_path,
)
from tests.pictures import make_pictures
from tests.realtime.conftest import Impasto
from tests.realtime.files.photos import DISPLAY_P3, rgb_profile

FAST = ("--size", 32, "--steps", 3)


@pytest.fixture
def files(tmp_path: Path) -> dict[str, Path]:
    """A picture, two paintings and a mask."""
    found = {}
    for seed, name in enumerate(("content", "wave", "scream")):
        found[name] = tmp_path / f"{name}.png"
        write_image(found[name], make_pictures(1, 48, 64, seed=seed)[0])
    found["mask"] = tmp_path / "mask.png"
    mask = np.zeros((20, 30, 3), np.uint8)
    mask[:, :15] = 255
    write_image(found["mask"], mask)
    return found


@pytest.fixture
def job(files, tmp_path: Path) -> PaintJob:
    return PaintJob(
        files["content"],
        [(files["wave"], 1.0)],
        tmp_path / "out.png",
        Settings(steps=6, levels=1),
        size=32,
    )


def test_paintings_and_contents_are_read_by_their_color_profile(tmp_path: Path) -> None:
    """(234, 51, 35) of Display P3 is the red of sRGB."""
    path = tmp_path / "a.png"
    profile = rgb_profile(DISPLAY_P3, None, "P3")
    Image.new("RGB", (64, 48), (234, 51, 35)).save(path, icc_profile=profile)
    (painting,) = read_styles([(path, 1.0)], [])
    assert np.abs(painting.image[0, :, 9, 9].numpy() * 255 - (255, 0, 0)).max() <= 3
    assert np.abs(read_content(path, None)[9, 9].astype(int) - (255, 0, 0)).max() <= 3


def test_a_picture_with_snapshots_and_curves(files, tmp_path: Path, impasto: Impasto) -> None:
    out, curves = tmp_path / "out.png", tmp_path / "losses.png"
    styles = f"{files['wave']}:0.6+{files['scream']}:0.4"
    more = ("--every", 2, "--curves", curves, "--mask", files["mask"], "--levels", 1)
    ran = impasto("paint", files["content"], styles, out, *FAST, *more)
    assert (ran.code, ran.err) == (0, "")
    assert "42x32" in ran.out and "GiB of memory" in ran.out and f"{out}: 3 steps" in ran.out
    assert read_image(out).shape == (32, 42, 3)
    assert read_image(snapshot_path(out, 2)).shape == (32, 42, 3)
    with curves.with_suffix(".csv").open() as table:
        rows = list(csv.DictReader(table))
    assert [row["step"] for row in rows] == ["1", "2", "3"]
    assert float(rows[-1]["total"]) < float(rows[0]["total"])
    assert float(rows[0]["style_relu3_1"]) > 0
    assert read_image(curves).std() > 0


@pytest.mark.parametrize(("every", "frames"), [(0, 6), (4, 2)])
def test_a_film_of_the_snapshots(job: PaintJob, every: int, frames: int) -> None:
    """A frame for each snapshot and one for the result, which is shown for two seconds."""
    film = job.target.with_name("steps.mp4")
    job = replace(job, size=(33, 45), film=film, snapshot_every=every)
    report = paint_image(job)
    assert film in report.files and report.converged_step <= 6
    with av.open(film) as container:
        shown = list(container.decode(video=0))
        assert len(shown) == frames and (shown[0].height, shown[0].width) == (34, 46)
        assert float(container.duration / 1e6) == pytest.approx((frames - 1) / 10 + 2, abs=0.05)
    luma = shown[-1].to_ndarray(format="gray")[:33, :45].astype(float)
    painted = read_image(job.target) @ (0.299, 0.587, 0.114)
    assert np.abs(luma - painted).mean() < 3  # H.264; it is 4.5 or more to the frames before


def test_ctrl_c_leaves_a_film_that_plays(job: PaintJob) -> None:
    def stop(progress):
        if progress.step == 3:
            raise KeyboardInterrupt

    report = paint_image(replace(job, film=job.target.with_name("steps.mp4")), on_progress=stop)
    (film,) = report.files
    assert report.stopped and film.name == "steps.partial.mp4"
    with av.open(film) as container:
        assert len(list(container.decode(video=0))) == 2


def test_json(files, tmp_path: Path, impasto: Impasto) -> None:
    out = tmp_path / "out.jpg"
    ran = impasto("paint", files["content"], files["wave"], out, *FAST, "--json")
    found = json.loads(ran.out)
    assert (ran.code, ran.err) == (0, "")
    assert (found["steps"], found["width"], found["height"]) == (3, 42, 32)
    assert found["stopped"] is False and found["style"] > 0 and out.exists()


@pytest.mark.parametrize("colors", ["luminance", "recolored"])
def test_colors_of_the_content_are_kept(colors, files, tmp_path: Path, impasto: Impasto) -> None:
    gray = np.repeat(make_pictures(1, 48, 48, seed=7)[0][..., :1], 3, axis=2)
    content, out = tmp_path / "gray.png", tmp_path / "out.png"
    write_image(content, gray)
    options = ("--steps", 12, "--levels", 1, "--colors", colors)
    assert impasto("paint", content, files["wave"], out, *options).code == 0
    painted = read_image(out).astype(int)
    colorful = np.abs(painted - painted.mean(2, keepdims=True)).mean()
    assert colorful < (1 if colors == "luminance" else 12)
    assert np.abs(painted - gray).mean() > 1


def test_transparency_is_kept(files, tmp_path: Path, impasto: Impasto) -> None:
    picture = np.concatenate(
        [make_pictures(1, 32, 32)[0], np.full((32, 32, 1), 128, np.uint8)], axis=2
    )
    picture[:8, :, 3] = 0
    content, out = tmp_path / "glass.png", tmp_path / "out.png"
    write_image(content, picture)
    assert impasto("paint", content, files["wave"], out, "--steps", 2).code == 0
    assert np.array_equal(read_image(out, alpha=True)[..., 3], picture[..., 3])
    assert impasto("paint", content, files["wave"], out.with_suffix(".jpg"), "--steps", 2).code == 0


def test_a_second_run_is_refused_at_once(job: PaintJob) -> None:
    def another(progress):
        with pytest.raises(TargetInUseError, match="is writing"):
            paint_image(job)

    assert not paint_image(job, on_progress=another).stopped
    assert [path.name for path in job.target.parent.glob(".*")] == []


def test_ctrl_c_keeps_the_picture_so_far(job: PaintJob) -> None:
    def stop(progress):
        if progress.step == 3:
            raise KeyboardInterrupt

    report = paint_image(job, on_progress=stop)
    assert report.stopped and report.steps == 3
    assert report.target.name == "out.partial.png" and not job.target.exists()
    assert read_image(report.target).shape == (32, 42, 3)


def test_ctrl_c_at_a_coarse_level_keeps_full_size(job: PaintJob) -> None:
    settings = replace(job.settings, levels=2, steps=4)
    found = []

    def stop(picture, progress):
        found.append(picture.shape)
        return False

    report = paint_image(replace(job, size=130, settings=settings), preview=stop)
    assert report.stopped and found == [(130, 174, 3)]
    assert read_image(report.target).shape == (130, 174, 3)


def test_the_command_after_ctrl_c(
    files, tmp_path: Path, impasto: Impasto, monkeypatch: pytest.MonkeyPatch
) -> None:
    from impasto.realtime.cli.terminal import Bar

    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(Bar, "update", interrupted)
    out = tmp_path / "out.png"
    ran = impasto("paint", files["content"], files["wave"], out, *FAST)
    assert ran.code == 130 and "out.partial.png" in ran.error_line
    assert out.with_name("out.partial.png").exists() and not out.exists()


def test_another_picture_to_start_from(files, tmp_path: Path, impasto: Impasto) -> None:
    out = tmp_path / "out.png"
    start = ("--start", files["scream"])
    assert impasto("paint", files["content"], files["wave"], out, *FAST, *start).code == 0


class TestBadInput:
    def run(self, impasto: Impasto, *arguments: object, message: str, code: int = 1) -> None:
        ran = impasto("paint", *arguments)
        assert ran.code == code and message in ran.error_line

    def test_one_pixel(self, files, tmp_path: Path, impasto: Impasto) -> None:
        dot, out = tmp_path / "dot.png", tmp_path / "out.png"
        write_image(dot, np.full((1, 1, 3), 90, np.uint8))
        self.run(impasto, dot, files["wave"], out, message="--size enlarges it")
        self.run(impasto, files["content"], dot, out, message="too small to have a style")
        assert impasto("paint", dot, files["wave"], out, *FAST).code == 0
        assert read_image(out).shape == (32, 32, 3)

    def test_thirty_megapixels(self, tmp_path: Path) -> None:
        large = tmp_path / "large.bmp"
        write_image(large, np.full((5000, 6000, 3), 90, np.uint8))
        height, width, _ = read_content(large, None).shape
        assert 900_000 < height * width <= 1_001_000
        (style,) = read_styles([(large, 1.0)], ())
        assert style.image.shape == (1, 3, 2500, 3000)

    def test_damaged_and_missing_files(self, files, tmp_path: Path, impasto: Impasto) -> None:
        broken, out = tmp_path / "broken.jpg", tmp_path / "out.png"
        broken.write_bytes(files["wave"].read_bytes()[:200])
        self.run(impasto, broken, files["wave"], out, message="damaged")
        self.run(impasto, files["content"], broken, out, message="damaged")
        self.run(impasto, files["content"], tmp_path / "none.jpg", out, message="none.jpg")
        assert not out.exists() and not list(tmp_path.glob("*.partial.*"))

    def test_targets_that_cannot_be_written(self, files, tmp_path: Path, impasto: Impasto) -> None:
        given = files["content"], files["wave"]
        self.run(impasto, *given, tmp_path / "no" / "out.png", message="no folder")
        self.run(impasto, *given, tmp_path / "out.txt", message="cannot write pictures")
        before = files["scream"].read_bytes()
        self.run(impasto, *given, files["scream"], message="exists")
        curves = ("--curves", files["scream"])
        self.run(impasto, *given, tmp_path / "out.png", *curves, message="exists")
        assert files["scream"].read_bytes() == before

    def test_arguments(self, files, tmp_path: Path, impasto: Impasto) -> None:
        given = (files["content"], files["wave"], tmp_path / "out.png")
        mask = ("--mask", files["mask"])
        self.run(impasto, *given, *mask, *mask, message="--mask", code=2)
        self.run(impasto, *given, "--style-layers", "conv9", message="no layer conv9 in compact")
        self.run(impasto, *given, "--content-layers", "relu5_2", message="no layer relu5_2")
        self.run(impasto, given[0], "a.jpg:0", given[2], message="wave.jpg:0.6", code=2)
        self.run(impasto, *given, "--study", "start", "--preview", message="--study", code=2)
        self.run(impasto, *given, "--vgg19-weights", files["wave"], message="is damaged")


def test_paintings_and_layers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert parse_paintings("a.jpg:0.6 + b+c.png:2") == [
        (Path("a.jpg"), 0.6),
        (Path("b"), 1.0),
        (Path("c.png"), 2.0),
    ]
    Path("b+c.png:2").touch()
    assert parse_paintings("b+c.png:2") == [(Path("b+c.png:2"), 1.0)]
    assert parse_layers("relu3_1:.5, relu4_1") == {"relu3_1": 0.5, "relu4_1": 1.0}
    with pytest.raises(ValueError, match="above zero"):
        parse_layers("relu3_1:0")


@pytest.mark.parametrize(
    ("size", "shown"), [((1, 1), (240, 240)), ((100, 200), (300, 600)), ((240, 500), (240, 500))]
)
def test_a_small_picture_is_previewed_enlarged(
    size: tuple[int, int], shown: tuple[int, int]
) -> None:
    picture = make_pictures(1, *size)[0]
    found = enlarged_for_text(picture)
    assert found.shape == (*shown, 3)
    times = shown[0] // size[0]
    np.testing.assert_array_equal(found[::times, ::times], picture)
