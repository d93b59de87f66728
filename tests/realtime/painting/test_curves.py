"""Loss curves: what the table lists, what the chart shows."""

import csv
from pathlib import Path

import numpy as np
import pytest

from impasto.realtime.files.images import read_image
from impasto.realtime.painting.chart import Line, draw_chart, linear_ticks, log_ticks
from impasto.realtime.painting.convergence import converged_step, knee, spread, succeeded
from impasto.realtime.painting.curves import level_changes, write_curves

WHITE = 255


def run_of(totals: list[float], sizes: list[int] | None = None) -> list[dict[str, float]]:
    pairs = zip(totals, sizes or [64] * len(totals), strict=True)
    return [
        {"step": step, "height": size, "width": 2 * size, "content": 0.5, "style": total / 2,
         "total_variation": 0.0, "total": total, "style_relu1_1": total / 3}
        for step, (total, size) in enumerate(pairs, start=1)
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [
        (0, 120, [0, 20, 40, 60, 80, 100, 120]),
        (0, 500, [0, 100, 200, 300, 400, 500]),
        (0, 0.7, [0, 0.2, 0.4, 0.6]),
        (0, 3, [0, 0.5, 1, 1.5, 2, 2.5, 3]),
    ],
)
def test_linear_ticks_are_round(low: float, high: float, expected: list[float]) -> None:
    assert linear_ticks(low, high) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [
        (0.02, 300, [0.1, 1, 10, 100]),
        (0.3, 3, [0.5, 1, 2]),
        (1.1, 1.8, [1.2, 1.4, 1.6, 1.8]),
    ],
)
def test_log_ticks_are_powers_or_round(low: float, high: float, expected: list[float]) -> None:
    assert log_ticks(low, high) == pytest.approx(expected)


@pytest.mark.parametrize("scale", ["linear", "log"])
def test_a_line_is_drawn_where_its_values_are(scale) -> None:
    """Of two values on an axis of two decades, 10 is half-way up by powers, a tenth linearly."""
    chart = draw_chart([Line("a", [0, 10], [10, 10]), Line("b", [0, 0], [1, 100])], y_scale=scale)
    blue = (chart[..., 2].astype(int) - chart[..., 0] > 120)[:, 200:700]
    rows = np.flatnonzero(blue.mean(1) > 0.9)
    top, bottom = 44, 540 - 62
    up = (bottom - rows.mean()) / (bottom - top)
    assert up == pytest.approx(0.5 if scale == "log" else 0.1, abs=0.01)


@pytest.mark.parametrize("scale", ["linear", "log"])
def test_a_chart_of_zeros_can_be_drawn(scale) -> None:
    assert draw_chart([Line("zero", [1, 2], [0.0, 0.0])], y_scale=scale).shape == (540, 960, 3)


def test_one_step_that_is_taken_back_does_not_flatten_a_linear_chart() -> None:
    """Of 1 and a spike of a million, 1 is half-way up, and the spike ends at the top."""
    y = [1.0] * 2 + [1e6] + [1.0] * 40
    chart = draw_chart([Line("a", range(43), y)], y_scale="linear")
    blue = chart[..., 2].astype(int) - chart[..., 0] > 120
    rows = np.flatnonzero(blue[:, 200:700].mean(1) > 0.9)
    assert rows.mean() == pytest.approx((44 + 540 - 62) / 2, abs=2)
    assert not blue[:40].any()


def test_one_value_near_zero_does_not_flatten_a_logarithmic_chart() -> None:
    """The content loss, from the content: an axis from a tenth of 1, the least but for it, to 2."""
    chart = draw_chart([Line("a", range(43), [2.0, 1e-6] + [1.0] * 41)], y_scale="log")
    blue = chart[..., 2].astype(int) - chart[..., 0] > 120
    rows = np.flatnonzero(blue[:, 200:700].mean(1) > 0.9)
    down = np.log10(2) / np.log10(20)
    assert rows.mean() == pytest.approx(44 + down * (540 - 62 - 44), abs=2)
    assert not blue[540 - 62 + 4 :].any()


def test_the_table_lists_every_loss_and_layer(tmp_path: Path) -> None:
    other = [{k: v for k, v in row.items() if k != "style_relu1_1"} for row in run_of([5.0])]
    write_curves(tmp_path / "losses.png", {"a": run_of([4.0, 2.0]), "b": other})
    with (tmp_path / "losses.csv").open() as table:
        rows = list(csv.DictReader(table))
    assert [(row["run"], row["step"], row["total"]) for row in rows] == [
        ("a", "1", "4"), ("a", "2", "2"), ("b", "1", "5"),
    ]  # fmt: skip
    assert [row["style_relu1_1"] for row in rows] == ["1.33333", "0.666667", ""]


def test_separately_each_loss_has_a_plot(tmp_path: Path) -> None:
    """Content, style, total and one layer; the total variation was not computed."""
    write_curves(tmp_path / "losses.png", {"a": run_of([4.0, 2.0])}, layout="separate")
    chart = read_image(tmp_path / "losses.png")
    assert chart.shape == (2 * 360, 2 * 720, 3)
    panels = [chart[y : y + 360, x : x + 720] for y in (0, 360) for x in (0, 720)]
    assert all((panel < WHITE).any() for panel in panels)


def test_level_changes_are_those_of_all_runs() -> None:
    sizes = [64, 64, 128, 128]
    a, b = run_of([4, 3, 2, 1], sizes), run_of([9, 8, 7, 6], sizes)
    assert level_changes({"a": a, "b": b}) == [(3, "256x128")]
    assert level_changes({"a": a, "c": run_of([1, 1])}) == []


def test_the_step_of_convergence() -> None:
    assert converged_step([1, 2, 3, 4, 5], [9, 1.005, 1.2, 1.009, 1]) == 4
    assert converged_step([1, 2], [9, 1]) == 2
    assert converged_step([1, 2], [0, 0]) == 1


def test_success_is_within_a_tenth_of_the_best() -> None:
    assert succeeded([1.0, 1.1, 1.2, 30]) == [True, True, False, False]
    assert spread([1, 2, 3]) == 1 and spread([0, 0]) == 0


def test_the_knee_is_where_a_trade_off_bends() -> None:
    """A corner at (2, 3): to its left y falls and x hardly grows, to its right the reverse."""
    x, y = [1, 1.5, 2, 6, 11], [100, 50, 3, 2, 1]
    assert knee(x, y) == 2
    assert knee([0, 5, 10], [10, 5, 0]) is None  # straight
    assert knee([0, 9, 10], [10, 9, 0]) is None  # bent the other way
    assert knee([1, 2], [2, 1]) is None
    assert knee([1, 2, 1], [2, 0, 1]) is None
