"""Loss curves of Gatys optimization, as a table and as a chart."""

import csv
import io
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from impasto.models.errors import EngineError
from impasto.models.gatys.optimize import Progress
from impasto.realtime.atomic import check_target, write_file
from impasto.realtime.files.images import write_image

COLUMNS = ("step", "height", "width", "content", "style", "total_variation", "total")
_COLORS = (  # as many as a study has images
    *((200, 60, 50), (40, 110, 190), (60, 150, 70), (30, 30, 30), (180, 120, 20)),
    *((130, 70, 170), (0, 170, 180), (230, 130, 170), (130, 130, 130), (120, 190, 40)),
)
_SIZE, _MARGIN = (540, 960), 60  # px: (height, width), and the margin


def curve_row(progress: Progress) -> tuple[float, ...]:
    """The losses after one step: a row of `COLUMNS`."""
    return (progress.step, *progress.size, *progress[3:7])


def write_curves(
    path: Path, curves: Mapping[str, Sequence[tuple[float, ...]]], *, overwrite: bool = False
) -> list[Path]:
    """Write a chart to `path`, and beside it a table as .csv; return both paths.

    curves: rows of `curve_row`, by the name of the run. One run is drawn with all its losses,
    several with their totals. Raises SinkError, EngineError.
    """
    table = path.with_suffix(".csv")
    write_image(path, draw_chart(_lines(curves)), overwrite=overwrite)
    text = io.StringIO(newline="")
    rows = csv.writer(text)
    rows.writerow(("run", *COLUMNS))
    for name, run in curves.items():
        rows.writerows((name, *(f"{value:.6g}" for value in row)) for row in run)
    write_file(table, text.getvalue().encode(), overwrite=overwrite)
    return [path, table]


def check_curve_targets(path: Path, *, overwrite: bool) -> None:
    """Raise SinkError now if `write_curves` could not write later."""
    for name in (path, path.with_suffix(".csv")):
        check_target(name, overwrite=overwrite)


def _lines(
    curves: Mapping[str, Sequence[tuple[float, ...]]],
) -> dict[str, tuple[list[float], list[float]]]:
    """The lines of the chart: (steps, values) by name."""
    if len(curves) == 1:
        (run,) = curves.values()
        names = COLUMNS[3:]
        return {n: ([r[0] for r in run], [r[k] for r in run]) for k, n in enumerate(names, start=3)}
    return {name: ([r[0] for r in run], [r[6] for r in run]) for name, run in curves.items()}


def draw_chart(lines: Mapping[str, tuple[Sequence[float], Sequence[float]]]) -> np.ndarray:
    """Lines on a logarithmic scale, (540, 960, 3) uint8 RGB.

    lines: (x, y) by name; points that are not above zero are left out. Raises EngineError where
    OpenCV cannot be loaded.
    """
    try:
        import cv2
    except ImportError as error:
        raise EngineError(f"loss curves need OpenCV, which could not be loaded: {error}") from None
    chart = np.full((*_SIZE, 3), 255, np.uint8)
    height, width = _SIZE[0] - 2 * _MARGIN, _SIZE[1] - 3 * _MARGIN
    values = [y for _, ys in lines.values() for y in ys if y > 0] or [1.0]
    low, high = np.floor(np.log10(min(values))), np.ceil(np.log10(max(values)))
    high = max(high, low + 1)
    last = max((x for xs, _ in lines.values() for x in xs), default=1) or 1

    def position(x: float, y: float) -> tuple[int, int]:
        up = (np.log10(y) - low) / (high - low)
        return _MARGIN + round(width * x / last), _MARGIN + round(height * (1 - up))

    def write(text: str, at: tuple[int, int], color: tuple[int, ...] = (90, 90, 90)) -> None:
        cv2.putText(chart, text, at, cv2.FONT_HERSHEY_SIMPLEX, 0.42, color, 1, cv2.LINE_AA)

    for power in range(int(low), int(high) + 1):
        left, y = position(0, 10.0**power)
        cv2.line(chart, (left, y), (left + width, y), (225, 225, 225), 1)
        write(f"{10.0**power:g}", (8, y + 5))
    for share in (0, 0.25, 0.5, 0.75, 1):
        x, _ = position(last * share, 10.0**low)
        write(f"{last * share:.0f}", (x - 10, _MARGIN + height + 22))
    for index, (name, (xs, ys)) in enumerate(lines.items()):
        color = _COLORS[index % len(_COLORS)]
        points = [position(x, y) for x, y in zip(xs, ys, strict=True) if y > 0]
        cv2.polylines(chart, [np.array(points, np.int32)], False, color, 2, cv2.LINE_AA)
        write(name[:16], (_MARGIN + width + 8, _MARGIN + 14 + 20 * index), color)
    return chart
