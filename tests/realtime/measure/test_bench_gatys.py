"""The form of the figures of `impasto bench --gatys` and `impasto eval --gatys-steps`."""

import json
from pathlib import Path

import pytest

from impasto.models.gatys.optimize import StyleImage, paint
from impasto.realtime.files.images import write_image
from impasto.realtime.measure import bench_gatys as module
from impasto.realtime.measure.bench_gatys import PLAIN, bench_gatys, steps_to_equal, tables
from impasto.realtime.pixels import as_tensor
from tests.pictures import make_pictures
from tests.realtime.conftest import Impasto


def test_rows_and_table(style: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    limit = {"convolution_gflops": 1.0, "gflops": 2.0, "matmul_gflops": 2.0}
    monkeypatch.setattr(module, "limit", lambda precision, device: limit)  # in test_bench.py
    figures = bench_gatys(str(style), side=32, steps=3)
    for name in ("plain", "coarse_to_fine", "default"):
        row = figures[name]
        assert row["seconds"] > 0 and row["steps_per_second"] > 0 and row["style"] > 0
    assert json.loads(json.dumps(figures))["limit"]["convolution_gflops_before"] > 0
    ((columns, rows),) = tables(figures)
    assert len(rows) == 3 and {len(row) for row in rows} == {len(columns)}


def test_a_picture_of_five_steps_is_worth_five_steps() -> None:
    content, painting = (as_tensor(make_pictures(1, 48, 48, seed=s)[0]) for s in (1, 2))
    settings = PLAIN.__class__(**{**vars(PLAIN), "steps": 6})
    painted = [now.image for now in paint(content, [StyleImage(painting)], settings)]
    # The total is that before the step, so the fifth picture's is first met by the sixth.
    assert steps_to_equal(painted[4], content, painting, most=12) in (4, 5, 6)
    assert steps_to_equal(content, content, painting, most=3) == 0
    assert steps_to_equal(painting, painting, painting, most=3) == 0


def test_eval_reports_it(style: Path, tmp_path: Path, impasto: Impasto) -> None:
    picture = tmp_path / "a.png"
    write_image(picture, make_pictures(1, 40, 40)[0])
    given = ("eval", "--style", style, "--picture", picture, "--gatys-steps")
    assert impasto(*given).code == 2
    small = ("--engine", "torch", "--json")
    ran = impasto(*given, "--painting", picture, *small)
    assert (ran.code, ran.err) == (0, "")
    (row,) = json.loads(ran.out)["pictures"]
    assert "gatys_steps" in row
