"""Charts of lines, with axis titles, round ticks and a linear or logarithmic scale."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import ceil, floor, log10

import numpy as np

from impasto.realtime.painting.choices import Scale
from impasto.realtime.painting.text import draw_text, text_width

_COLORS = (  # RGB; told apart by color-blind people too (Okabe and Ito 2008), then darker ones
    *((0, 114, 178), (213, 94, 0), (0, 158, 115), (204, 121, 167), (230, 159, 0), (86, 180, 233)),
    *((110, 110, 110), (140, 70, 20), (90, 60, 150), (20, 90, 60), (160, 20, 60), (150, 150, 40)),
)
_GRID, _FRAME, _MARK = (228, 228, 228), (150, 150, 150), (120, 120, 120)
_FONT = 15  # px
_LEFT, _RIGHT, _TOP, _BOTTOM = 76, 120, 44, 62  # px, margins; the legend widens the right one
_SWATCH = 39  # px, what stands before a name in the legend
_SUBPIXEL = 4  # bits


@dataclass(frozen=True)
class Line:
    """One line of a chart. Points that its scales cannot show are left out.

    mark: x of a point that is marked with a dot.
    """

    name: str
    x: Sequence[float]
    y: Sequence[float]
    mark: float | None = None


@dataclass(frozen=True)
class _Axis:
    """One axis: from value to px, and its ticks."""

    low: float
    high: float
    scale: Scale
    length: int  # px

    def position(self, value: float) -> float:
        low, high = self._scaled(self.low), self._scaled(self.high)
        return self.length * (self._scaled(value) - low) / (high - low)

    def _scaled(self, value: float) -> float:
        return log10(value) if self.scale == "log" else value

    def ticks(self) -> list[float]:
        make = log_ticks if self.scale == "log" else linear_ticks
        return make(self.low, self.high)


def draw_chart(
    lines: Sequence[Line],
    *,
    title: str = "",
    x_title: str = "step",
    y_title: str = "loss",
    x_scale: Scale = "linear",
    y_scale: Scale = "log",
    level_changes: Sequence[tuple[float, str]] = (),
    note: str = "",
    size: tuple[int, int] = (540, 960),
) -> np.ndarray:
    """A chart of lines, (H, W, 3) uint8 RGB.

    level_changes: x and name of vertical lines. note: a line below. size: (height, width) in px.
    Raises EngineError where OpenCV cannot be loaded.
    """
    legend = _SWATCH + max((text_width(line.name, _FONT) for line in lines), default=0) + 8
    right = min(max(legend, _RIGHT), size[1] // 3)
    height, width = size[0] - _TOP - _BOTTOM, size[1] - _LEFT - right
    points = [_shown(line, x_scale, y_scale) for line in lines]
    x_axis = _axis([x for line in points for x, _ in line], x_scale, width)
    y_axis = _axis(_without_outliers(points, y_scale), y_scale, height)
    chart = np.full((*size, 3), 255, np.uint8)
    _draw_ticks(chart, x_axis, y_axis)
    _write_centered(chart, title, _LEFT + width // 2, 20, _FONT + 1)
    _write_centered(chart, _named(x_title, x_scale), _LEFT + width // 2, size[0] - 14)
    draw_text(chart, _named(y_title, y_scale), (8, 20), _FONT)
    note_width = text_width(note, _FONT - 2)
    draw_text(chart, note, (size[1] - 12 - note_width, size[0] - 14), _FONT - 2, _MARK)
    for x, name in level_changes:
        if x_axis.low <= x <= x_axis.high:
            _draw_level_change(chart, _LEFT + round(x_axis.position(x)), height, name)
    for index, (line, shown) in enumerate(zip(lines, points, strict=True)):
        color = _COLORS[index % len(_COLORS)]
        at = [
            (
                _LEFT + x_axis.position(x),
                _TOP + height - y_axis.position(min(max(y, y_axis.low), y_axis.high)),
            )
            for x, y in shown
        ]
        _draw_line(chart, at, color)
        marked = [place for place, (x, _) in zip(at, shown, strict=True) if x == line.mark]
        _draw_dots(chart, marked, color)
        _draw_legend_entry(chart, line.name, index, _LEFT + width + 14, color)
    return chart


def linear_ticks(low: float, high: float, *, about: int = 6) -> list[float]:
    """Multiples of 1, 2 or 5 times a power of ten between two values, about six of them."""
    rough = (high - low) / about
    power = 10.0 ** floor(log10(rough))
    step = next(power * factor for factor in (1, 2, 5, 10) if power * factor >= rough * 0.999)
    first, last = ceil(low / step - 1e-9), floor(high / step + 1e-9)
    return [round(k * step, 12) for k in range(first, last + 1)]


def log_ticks(low: float, high: float) -> list[float]:
    """Powers of ten between two values above zero, eight at most; with few, 2 and 5 times them."""
    powers = range(floor(log10(low)), ceil(log10(high)) + 1)
    every = -(-len(powers) // 8)
    ticks = [10.0**p for p in powers[::every] if low * 0.999 <= 10.0**p <= high * 1.001]
    if len(ticks) < 3:
        fine = [factor * 10.0**p for p in powers for factor in (1, 2, 5)]
        ticks = [tick for tick in fine if low * 0.999 <= tick <= high * 1.001]
    return ticks if len(ticks) > 1 else linear_ticks(low, high)


def _shown(line: Line, x_scale: Scale, y_scale: Scale) -> list[tuple[float, float]]:
    """The points of a line that its scales can show."""
    return [
        (x, y)
        for x, y in zip(line.x, line.y, strict=True)
        if np.isfinite(y) and (x > 0 or x_scale == "linear") and (y > 0 or y_scale == "linear")
    ]


def _without_outliers(points: Sequence[Sequence[tuple[float, float]]], scale: Scale) -> list[float]:
    """The values to show, for a linear scale up to twice the first ones or the 95th percentile.

    A step that a line search takes back may be thousands of times above all others. For a
    logarithmic one down to a tenth of the 5th percentile: the content loss begins near zero.
    """
    values = [y for line in points for _, y in line]
    if not values:
        return values
    if scale == "log":
        low = float(np.percentile(values, 5)) / 10
        return [max(y, low) for y in values]
    firsts = [line[0][1] for line in points if line]
    high = 2 * max(*firsts, float(np.percentile(values, 95)))
    return [min(y, high) for y in values]


def _axis(values: Sequence[float], scale: Scale, length: int) -> _Axis:
    """An axis that shows all values; a linear one begins at zero."""
    low, high = min(values, default=1.0), max(values, default=1.0)
    if scale == "log":
        low, high = (low / 1.5, high * 1.5) if high < low * 1.01 else (low, high)
    else:
        low, high = min(low, 0.0), max(high, 0.0)
        high = high if high > low else low + 1
    return _Axis(low, high, scale, length)


def _named(title: str, scale: Scale) -> str:
    return f"{title}, logarithmic" if scale == "log" and title else title


# --- Drawing ----------------------------------------------------------------------------------


def _draw_ticks(chart: np.ndarray, x_axis: _Axis, y_axis: _Axis) -> None:
    """The grid, its values, and the frame around it."""
    import cv2

    bottom, right = _TOP + y_axis.length, _LEFT + x_axis.length
    for value in x_axis.ticks():
        x = _LEFT + round(x_axis.position(value))
        cv2.line(chart, (x, _TOP), (x, bottom), _GRID, 1)
        _write_centered(chart, f"{value:g}", x, bottom + 20)
    for value in y_axis.ticks():
        y = bottom - round(y_axis.position(value))
        cv2.line(chart, (_LEFT, y), (right, y), _GRID, 1)
        text = f"{value:g}"
        draw_text(chart, text, (_LEFT - 8 - text_width(text, _FONT), y + 5), _FONT)
    cv2.rectangle(chart, (_LEFT, _TOP), (right, bottom), _FRAME, 1)


def _draw_level_change(chart: np.ndarray, x: int, height: int, name: str) -> None:
    """A broken vertical line with its name at the top."""
    import cv2

    for y in range(_TOP, _TOP + height, 8):
        cv2.line(chart, (x, y), (x, min(y + 4, _TOP + height)), _MARK, 1)
    draw_text(chart, name, (x + 4, _TOP + 16), _FONT - 2, _MARK)


def _draw_line(
    chart: np.ndarray, at: Sequence[tuple[float, float]], color: tuple[int, ...]
) -> None:
    import cv2

    scaled = [tuple(round(value * 2**_SUBPIXEL) for value in place) for place in at]
    for start, end in pairwise(scaled):
        cv2.line(chart, start, end, color, 2, cv2.LINE_AA, _SUBPIXEL)
    if len(at) == 1:
        _draw_dots(chart, at, color)


def _draw_dots(
    chart: np.ndarray, at: Sequence[tuple[float, float]], color: tuple[int, ...]
) -> None:
    import cv2

    for x, y in at:
        cv2.circle(chart, (round(x), round(y)), 5, color, -1, cv2.LINE_AA)


def _draw_legend_entry(
    chart: np.ndarray, name: str, index: int, x: int, color: tuple[int, ...]
) -> None:
    import cv2

    y = _TOP + 8 + 21 * index
    cv2.line(chart, (x, y), (x + 18, y), color, 3, cv2.LINE_AA)
    room = chart.shape[1] - x - 30
    while text_width(name, _FONT) > room:
        name = name.removesuffix("…")[:-1] + "…"
    draw_text(chart, name, (x + 25, y + 5), _FONT)


def _write_centered(chart: np.ndarray, text: str, x: int, y: int, size: int = _FONT) -> None:
    draw_text(chart, text, (x - text_width(text, size) // 2, y), size)
