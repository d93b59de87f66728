"""Loss curves of Gatys optimization, as a table and as a chart."""

import csv
import io
from collections.abc import Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from impasto.realtime.atomic import check_target, write_file
from impasto.realtime.files.images import check_image_target, write_image
from impasto.realtime.painting.chart import Line, draw_chart
from impasto.realtime.painting.choices import CurvesLayout, Scale
from impasto.realtime.painting.convergence import converged_step

if TYPE_CHECKING:  # targets are checked before PyTorch is loaded
    from impasto.models.gatys.optimize import Progress

CurveRow = Mapping[str, float]  # by the names of COLUMNS, and of the style layers
COLUMNS = ("step", "height", "width", "content", "style", "total_variation", "total")
LOSSES = COLUMNS[3:]
_NOTE = "dot: from here on within 1 % of the end"
_PANEL = (360, 720)  # px: (height, width) of each plot where there are several


def curve_row(progress: "Progress") -> CurveRow:
    """The losses after one step; the style loss of a layer alone as "style_relu3_1"."""
    height, width = progress.size
    values = (progress.step, height, width, *progress[3:7])
    layers = {f"style_{layer}": loss for layer, loss in progress.style_layers.items()}
    return dict(zip(COLUMNS, values, strict=True)) | layers


def write_curves(
    path: Path,
    curves: Mapping[str, Sequence[CurveRow]],
    *,
    scale: Scale = "log",
    layout: CurvesLayout = "together",
    overwrite: bool = False,
) -> list[Path]:
    """Write a chart to `path`, and beside it a table as .csv; return both paths.

    curves: rows of `curve_row`, by the name of the run. Of one run all losses are drawn, of several
    together the totals; separately, each loss in a plot of its own. Raises SinkError, EngineError.
    """
    table = path.with_suffix(".csv")
    drawn = draw_together if layout == "together" else draw_separately
    write_image(path, drawn(curves, scale), overwrite=overwrite)
    columns = dict.fromkeys(name for run in curves.values() for row in run for name in row)
    rows = [{"run": name} | dict(row) for name, run in curves.items() for row in run]
    write_file(table, csv_text(["run", *columns], rows).encode(), overwrite=overwrite)
    return [path, table]


def csv_text(columns: Sequence[str], rows: Sequence[Mapping[str, object]]) -> str:
    """A table as comma-separated values, numbers with six digits; what a row lacks is empty."""
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, columns, restval="")
    writer.writeheader()
    for row in rows:
        writer.writerow({k: f"{v:.6g}" if isinstance(v, float) else v for k, v in row.items()})
    return text.getvalue()


def check_curve_targets(path: Path, *, overwrite: bool) -> None:
    """Raise SinkError now if `write_curves` could not write later."""
    check_image_target(path, overwrite=overwrite)
    check_target(path.with_suffix(".csv"), overwrite=overwrite)


def draw_together(curves: Mapping[str, Sequence[CurveRow]], scale: Scale) -> np.ndarray:
    """One plot of all losses of one run, or of the totals of several; (H, W, 3) uint8 RGB."""
    changes = level_changes(curves)
    if len(curves) > 1:
        lines = [_line(name, run, "total") for name, run in curves.items()]
        return draw_chart(
            lines, y_title="total loss", y_scale=scale, level_changes=changes, note=_NOTE
        )
    (run,) = curves.values()
    lines = [_line(_title(loss), run, loss) for loss in _losses(run)]
    return draw_chart(lines, y_scale=scale, level_changes=changes, note=_NOTE)


def draw_separately(curves: Mapping[str, Sequence[CurveRow]], scale: Scale) -> np.ndarray:
    """A plot for each loss, with all runs, in two columns; (H, W, 3) uint8 RGB."""
    losses = dict.fromkeys(loss for run in curves.values() for loss in _losses(run))
    panels = []
    for loss in losses:
        runs = {name: run for name, run in curves.items() if loss in run[0]}
        panel = draw_chart(
            [_line(name, run, loss) for name, run in runs.items()],
            title=_title(loss),
            y_scale=scale,
            level_changes=level_changes(runs),
            note=_NOTE if loss == "total" else "",
            size=_PANEL,
        )
        panels.append(panel)
    if len(panels) % 2:
        panels.append(np.full_like(panels[0], 255))
    rows = [np.hstack(panels[k : k + 2]) for k in range(0, len(panels), 2)]
    return np.vstack(rows)


def level_changes(curves: Mapping[str, Sequence[CurveRow]]) -> list[tuple[float, str]]:
    """The steps at which all runs go on to a larger size, with its name; none where they differ."""
    found = [
        [
            (now["step"], f"{now['width']:.0f}x{now['height']:.0f}")
            for before, now in pairwise(run)
            if (before["height"], before["width"]) != (now["height"], now["width"])
        ]
        for run in curves.values()
    ]
    return list(found[0]) if found and all(each == found[0] for each in found) else []


def _losses(run: Sequence[CurveRow]) -> list[str]:
    """The losses of a run that were ever above zero: with a weight of zero none is computed."""
    names = [name for name in run[0] if name in LOSSES or name.startswith("style_")]
    return [name for name in names if any(row[name] > 0 for row in run)]


def _line(name: str, run: Sequence[CurveRow], loss: str) -> Line:
    """One loss of a run; on the total, a dot where it had converged."""
    steps, values = [int(row["step"]) for row in run], [row[loss] for row in run]
    mark = converged_step(steps, values) if loss == "total" else None
    return Line(name, steps, values, mark)


def _title(loss: str) -> str:
    return loss.replace("_", " ", 1)
