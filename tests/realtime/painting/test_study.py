"""Studies: which pictures are compared, what the sheet, the table and the report say."""

import csv
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from impasto.models.gatys.optimize import Settings
from impasto.realtime.cli.study import values_of
from impasto.realtime.files.images import read_image, write_image
from impasto.realtime.painting.sheet import table_of_images
from impasto.realtime.painting.study import StudyJob, StudyReport, write_study
from impasto.realtime.painting.study_plan import StudyPlan, plan_study
from tests.pictures import make_pictures
from tests.realtime.conftest import Impasto

SETTINGS = Settings(steps=2, levels=1)


@pytest.fixture
def content(tmp_path: Path) -> Path:
    path = tmp_path / "content.png"
    write_image(path, make_pictures(1, 48, 64, seed=0)[0])
    return path


@pytest.fixture
def painting(tmp_path: Path) -> Path:
    path = tmp_path / "wave.png"
    write_image(path, make_pictures(1, 64, 48, seed=1)[0])
    return path


@pytest.fixture
def job(content: Path, painting: Path, tmp_path: Path) -> StudyJob:
    sheet = tmp_path / "sheet.png"
    return StudyJob("pooling", content, [(painting, 1.0)], sheet, SETTINGS, size=16)


def write(job: StudyJob) -> StudyReport:
    return write_study(job, job.plan())


def names(plan: StudyPlan) -> list[str]:
    return [image.name for image in plan.images]


@pytest.mark.parametrize("text", ["1..100,3", "1 … 100, 3", "1...100 ,3"])
def test_ranges_as_they_are_typed(text: str) -> None:
    assert values_of(text) == ["1..100", "3"]


class TestPlan:
    def test_content_by_layers_in_any_order_and_spelling(self, content: Path) -> None:
        values = ["1_2", "conv3_2", "relu2_1", "conv4_1..conv5_1"]
        plan = plan_study("content", content, [], SETTINGS, values=values, size=32)
        assert names(plan) == ["1_2", "conv3_2", "relu2_1", "relu4_1", "relu5_1"]
        layers = [list(image.settings.content_layers) for image in plan.images]
        assert layers == [["relu1_2"], ["relu3_2"], ["relu2_1"], ["relu4_1"], ["relu5_1"]]
        assert all(image.settings.init == "noise" for image in plan.images)
        assert not any(image.settings.style_layers for image in plan.images)
        assert [label for label, _ in plan.contents] == ["content: content.png"]
        assert plan.paintings == []

    def test_textures_of_single_layers_and_growing_sets(self, painting: Path) -> None:
        values = ["relu1_1", "relu3_1", "relu4_1"]
        plan = plan_study("texture", None, [(painting, 1.0)], SETTINGS, values=values, size=32)
        assert names(plan) == [*values, "relu1_1 to relu3_1", "relu1_1 to relu4_1"]
        counts = [len(image.settings.style_layers) for image in plan.images]
        assert counts == [1, 1, 1, 2, 3]
        assert not any(image.settings.content_layers for image in plan.images)
        assert {image.content.shape for image in plan.images} == {(42, 32, 3)}  # the painting's
        assert plan.contents == [] and plan.paintings[0][0] == "style: wave.png"

    def test_starts_from_noise_have_seeds(self, job: StudyJob) -> None:
        plan = replace(job, study="start", seeds=3, settings=replace(SETTINGS, seed=5)).plan()
        found = [(image.settings.init, image.settings.seed) for image in plan.images]
        assert found == [("content", 5), ("style", 5), ("noise", 5), ("noise", 6), ("noise", 7)]
        assert len(replace(job, study="start").plan().images) == 6
        noise = replace(job, study="noise", values=["3", "9"]).plan()
        assert [image.settings.seed for image in noise.images] == [3, 9]
        assert names(replace(job, study="noise").plan()) == ["noise, seed 0", "noise, seed 1"]

    def test_weights_by_powers(self, job: StudyJob) -> None:
        plan = replace(job, study="weight", values=["0.5", "1..1000"]).plan()
        weights = [image.settings.style_weight for image in plan.images]
        assert weights == [0.5, 1, 10, 100, 1000]
        usual = replace(job, study="weight").plan().images
        assert [image.settings.style_weight for image in usual] == [10.0**k for k in range(6)]

    def test_sets_of_layers_keep_their_weights(self, job: StudyJob) -> None:
        plan = replace(job, study="layers", values=["1_1+5_1", "relu1_1..relu2_1"]).plan()
        assert [dict(image.settings.style_layers) for image in plan.images] == [
            {"relu1_1": 3.0, "relu5_1": 1.0},
            {"relu1_1": 3.0, "relu2_1": 3.0},
        ]
        assert len(replace(job, study="layers").plan().images) == 5
        content = replace(job, study="content-layers", values=["2_2", "4_2"]).plan()
        found = [list(image.settings.content_layers) for image in content.images]
        assert found == [["relu2_2"], ["relu4_2"]]

    @pytest.mark.parametrize(
        ("study", "expected"), [("pooling", {"max", "average"}), ("optimizer", {"lbfgs", "adam"})]
    )
    def test_a_setting_has_all_its_values(self, job: StudyJob, study, expected) -> None:
        images = replace(job, study=study).plan().images
        assert {getattr(image.settings, study) for image in images} >= expected

    def test_sizes(self, job: StudyJob) -> None:
        plan = replace(job, study="size", values=["16", "32"]).plan()
        images, (_, original) = plan.images, plan.contents[0]
        assert min(original.shape[:2]) == 32  # as large as the largest picture beside it
        assert [image.content.shape[:2] for image in images] == [(16, 22), (32, 42)]

    def test_a_grid_keeps_every_shape(self, job: StudyJob, tmp_path: Path) -> None:
        folder = tmp_path / "contents"
        folder.mkdir()
        for seed, shape in enumerate([(40, 60), (60, 40)]):
            write_image(folder / f"{seed}.png", make_pictures(1, *shape, seed=seed)[0])
        styles = [(tmp_path / "wave.png", 1.0), (tmp_path / "content.png", 1.0)]
        plan = replace(job, study="grid", content=folder, styles=styles).plan()
        assert names(plan) == ["0, wave", "0, content", "1, wave", "1, content"]
        shapes = [image.content.shape[:2] for image in plan.images]
        assert shapes == [(16, 24), (16, 24), (24, 16), (24, 16)]
        assert [label for label, _ in plan.contents] == ["0.png", "1.png"]
        assert [label for label, _ in plan.paintings] == ["wave.png", "content.png"]

    @pytest.mark.parametrize(
        ("study", "values", "words"),
        [
            ("weight", ["0"], "weights above zero"),
            ("weight", ["x"], "got 'x'"),
            ("weight", ["100..1"], "1..100000"),
            ("size", ["4"], "from 16"),
            ("start", ["photo"], "content, style or noise"),
            ("noise", ["a"], "seeds"),
            ("optimizer", ["rmsprop"], "lbfgs"),
            ("layers", ["1_1..2_2"], "one of each block"),
            ("content", ["1_1", "1_1"], "twice"),
        ],
    )
    def test_values_it_cannot_have(self, job: StudyJob, study, values, words: str) -> None:
        with pytest.raises(ValueError, match=words):
            replace(job, study=study, values=values).plan()


def test_a_sheet_a_table_and_curves(job: StudyJob) -> None:
    report = write(job)
    assert report.files == [job.target, job.table, job.curves, job.curves.with_suffix(".csv")]
    with job.table.open() as table:
        rows = list(csv.DictReader(table))
    assert [row["name"] for row in rows] == ["max", "average"]
    for row in rows:
        assert (row["width"], row["height"], row["steps"]) == ("22", "16", "2")
        assert row["pooling"] == row["name"] and "seed" not in row
        assert float(row["seconds"]) > 0 and float(row["style_relu3_1"]) > 0
    with job.curves.with_suffix(".csv").open() as table:
        assert len(list(csv.DictReader(table))) == 2 * 2
    original = read_image(job.content, size=16)
    assert any(
        np.array_equal(view, original)
        for view in np.lib.stride_tricks.sliding_window_view(
            read_image(job.target), original.shape
        ).reshape(-1, *original.shape)
    ), "the original is on the sheet"


def test_seeds_are_compared(job: StudyJob) -> None:
    report = write(replace(job, study="noise"))
    assert report.summary["difference"] > 20  # two noises, hardly changed
    assert set(report.summary["spread"]) == {"content", "style", "total"}
    assert 0 < report.summary["spread"]["total"] < 0.5


def test_a_start_succeeds_near_the_best(job: StudyJob) -> None:
    """With hardly any style, noise is far from the content's own loss after two steps."""
    settings = replace(SETTINGS, style_weight=0.1)
    start = replace(job, study="start", seeds=2, values=["content", "noise"], settings=settings)
    report = write(start)
    starts = report.summary["starts"]
    assert {name: (s["runs"], s["success_rate"]) for name, s in starts.items()} == {
        "content": (1, 1.0),
        "noise": (2, 0.0),
    }
    assert [row["succeeded"] for row in report.rows] == [True, False, False]


def test_the_knee_of_a_weight_sweep(job: StudyJob) -> None:
    settings = replace(SETTINGS, steps=4)
    report = write(replace(job, study="weight", values=["0.1", "10", "1000"], settings=settings))
    assert [row["knee"] for row in report.rows].count(True) == (report.summary["knee"] is not None)
    assert read_image(job.weights).shape == (540, 960, 3)
    content = [row["content"] for row in report.rows]
    assert content == sorted(content), "more style, less content"


def test_ctrl_c_keeps_the_pictures_so_far(job: StudyJob) -> None:
    def stop(done: int, total: int) -> None:
        if done == 3:  # two steps each
            raise KeyboardInterrupt

    report = write_study(job, job.plan(), on_progress=stop)
    assert report.stopped and [row["name"] for row in report.rows] == ["max"]
    assert report.target.name == "sheet.partial.png" and all(p.exists() for p in report.files)
    assert not job.target.exists() and not job.table.exists()


def test_a_layer_that_the_network_lacks_is_refused_first(
    content: Path, tmp_path: Path, impasto: Impasto
) -> None:
    sheet = tmp_path / "sheet.png"
    options = ("--study", "content", "--values", "1_1,5_2", "--size", 16, "--steps", 2)
    ran = impasto("paint", content, sheet, *options)
    assert ran.code == 1 and "relu5_2" in ran.error_line and not sheet.exists()


def test_content_needs_no_painting_and_texture_no_content(
    content: Path, painting: Path, tmp_path: Path, impasto: Impasto
) -> None:
    small = ("--size", 16, "--steps", 2)
    ran = impasto(
        "paint", content, tmp_path / "c.png", "--study", "content", "--content-layers",
        "relu1_1,relu4_2", *small, "--json",
    )  # fmt: skip
    assert ran.code == 0
    rows = json.loads(ran.out)["pictures"]
    assert [row["name"] for row in rows] == ["relu1_1", "relu4_2"]
    assert all(row["style"] == 0 and row["content"] > 0 for row in rows)
    texture = ("--study", "texture", "--values", "1_1,2_1")
    blend = f"{painting}:0.5+{content}:0.5"
    ran = impasto("paint", blend, tmp_path / "t.png", *texture, *small)
    assert ran.code == 0 and "t.png: 3 pictures in" in ran.out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--study", "start", "--preview"), "--study"),
        (("--study", "weight", "--start", "photo.png"), "content, noise or style"),
        (("--study", "weight", "--values", "1,,2"), "empty"),
        (("--study", "weight", "--values", "a"), "1..100000"),
        (("--values", "1"), "--study"),
    ],
)
def test_bad_arguments(
    job: StudyJob, arguments: tuple[str, ...], message: str, impasto: Impasto
) -> None:
    ran = impasto("paint", job.content, job.styles[0][0], job.target, *arguments)
    assert ran.code == 2 and message in ran.error_line
    ran = impasto("paint", job.content, job.target)
    assert ran.code == 2 and "OUT" in ran.error_line


def test_rows_of_a_sheet_are_as_high_as_their_images() -> None:
    wide, high = np.full((20, 200, 3), 9, np.uint8), np.full((90, 170, 3), 9, np.uint8)
    sheet = table_of_images([[None, ("a", wide)], [("b\nc", high), ("d", wide)]])
    dark = (sheet == 9).all(2)
    assert dark.sum() == 2 * wide[..., 0].size + high[..., 0].size
    assert dark[:, :178].sum() == high[..., 0].size  # None leaves the first cell empty
