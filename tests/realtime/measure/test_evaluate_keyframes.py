"""What `impasto eval --propagated` measures: which frames, and its figures for a pan."""

import json
from pathlib import Path

import pytest

from impasto.models.gatys.optimize import Settings
from impasto.models.judge import StyleMetrics
from impasto.models.loss_network import load_loss_network
from impasto.realtime.files.images import write_image
from impasto.realtime.keyframes.fill import unstylized
from impasto.realtime.measure.evaluate_keyframes import (
    evaluate_keyframes,
    evaluate_propagation,
    half_way,
    tables,
)
from impasto.realtime.pixels import as_tensor
from tests.media import make_clip
from tests.realtime.conftest import Impasto
from tests.realtime.keyframes.views import panned, texture


@pytest.mark.parametrize(
    ("keyframes", "count", "expected"),
    [
        ([0, 22], 60, [10, 40]),
        ([0], 4, [1]),
        ([0, 3], 6, [1, 4]),
        ([0, 2], 4, []),  # one frame between is no pair, nor is one left
        ([5], 6, []),
    ],
)
def test_half_way(keyframes: list[int], count: int, expected: list[int]) -> None:
    found = half_way(keyframes, count)
    assert found == expected
    assert not {k for first in found for k in (first, first + 1)} & {*keyframes, count}


def test_a_pan_is_steadier_propagated_than_painted_alone() -> None:
    images, painting = panned(5, size=(64, 80)), texture(90, 100, seed=5)
    as_they_come = {"side": None, "painting_side": None}
    metrics = StyleMetrics(load_loss_network("compact"), as_tensor(painting), **as_they_come)

    row = evaluate_keyframes(images, painting, Settings(steps=10), unstylized, metrics)
    assert row["keyframes"] == [0] and row["filled"] < 0.2
    assert 0 < row["e_warp"]["carried"] < 0.6 * row["e_warp"]["alone"]
    assert row["style"]["ratio"] == pytest.approx(
        row["style"]["carried"] / row["style"]["alone"], rel=1e-6
    )
    assert 0.7 < row["style"]["ratio"] < 1.5

    short = evaluate_keyframes(images[:2], painting, Settings(steps=1), unstylized, metrics)
    assert short["e_warp"] is None and short["style"] is None
    ((columns, rows),) = tables([row | {"clip": Path("a")}, short | {"clip": Path("b")}])
    assert {len(each) for each in rows} == {len(columns)}


def test_eval_reports_it(
    style: Path, tmp_path: Path, impasto: Impasto, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(evaluate_propagation.__kwdefaults__, "settings", Settings(steps=2))
    for name in ("side", "painting_side"):
        monkeypatch.setitem(StyleMetrics.__init__.__kwdefaults__, name, 64)
    clip, painting = make_clip(tmp_path / "clip.mp4", frames=2), tmp_path / "painting.png"
    write_image(painting, texture(64, 64))
    given = ("eval", "--style", style, "--clip", clip, "--side", 64, "--propagated")
    assert impasto(*given).code == 2
    ran = impasto(*given, "--painting", painting, "--engine", "torch", "--json")
    assert (ran.code, ran.err) == (0, "")
    (row,) = json.loads(ran.out)["carried"]
    assert row["keyframes"] == [0] and row["e_warp"] is None  # no room between keyframes
