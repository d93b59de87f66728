"""What the preview window shows: the picture at the window's size, and what is drawn over it.

Only numpy in and numpy out, so it needs no display. Lengths follow the picture's size. Everything
written stands on a soft dark backing, and is drawn once and kept until its words change: 0.2 ms
for the mirrored picture at 1280x720, and 0.1 ms more for the read-outs.
"""

from collections.abc import Sequence
from functools import lru_cache
from typing import Any, NamedTuple

import cv2
import numpy as np

from impasto.realtime.live.controls import KEYS, Controls, values

Color = tuple[int, int, int]  # RGB
WHITE, GREY, RED, BLUE = (255, 255, 255), (190, 190, 190), (255, 60, 50), (120, 190, 255)
# What must not be forgotten while it is so.
_MARK_RECORDING, _MARK_FROZEN = (("recording", RED),), (("frozen", BLUE),)
REGULAR, BOLD = 400, 600  # weights of the font
_BODY, _TITLE = 20 / 720, 38 / 720  # size of letters, over the picture's height
_SMALLEST = 11  # px, below which letters cannot be read
_DARKNESS = 0.7  # of the backing; 0.5 leaves grey letters hard to read on a white picture
_LINE = 1.5  # from line to line, in letter sizes
_FADE_IN, _FADE_OUT, _GONE = 0.2, 1.1, 1.6  # s after a caption has changed


class Text(NamedTuple):
    """Words on a panel."""

    words: str
    x: int  # px from the panel's inner left edge
    y: int  # px from its inner upper edge to the line the letters stand on
    size: int  # px
    weight: int = REGULAR
    color: Color = WHITE


class Layer(NamedTuple):
    """Something to lay over a picture: out = picture * clear / 255 + ink."""

    ink: np.ndarray  # (h, w, 3) uint8 RGB, black where there is none
    clear: np.ndarray  # (h, w, 3) uint8, 255 where the picture shows as it is

    def faded(self, opacity: float) -> "Layer":
        """The same, less of it: 0 nothing to 1 all."""
        if opacity >= 1:
            return self
        return Layer(
            cv2.convertScaleAbs(self.ink, alpha=opacity),
            cv2.convertScaleAbs(self.clear, alpha=opacity, beta=255 * (1 - opacity)),
        )

    def lay(self, picture: np.ndarray, left: int, top: int) -> None:
        """Lay it over the picture, in place; what lies outside is cut off."""
        height, width = picture.shape[:2]
        above, before = max(0, -top), max(0, -left)
        bottom, right = min(height, top + len(self.ink)), min(width, left + self.ink.shape[1])
        if bottom <= top + above or right <= left + before:
            return
        area = picture[top + above : bottom, left + before : right]
        part = slice(above, bottom - top), slice(before, right - left)
        cv2.multiply(area, self.clear[part], dst=area, scale=1 / 255)
        cv2.add(area, self.ink[part], dst=area)


def composed(
    original: np.ndarray,
    stylized: np.ndarray,
    controls: Controls,
    *,
    size: tuple[int, int] | None = None,
    lines: Sequence[str] = (),
    caption: str = "",
    opacity: float = 1.0,
) -> np.ndarray:
    """What the window shows.

    original, stylized: (H, W, 3) uint8 RGB. size: (height, width) of the window, None: that of
    `stylized`; the picture is scaled to fit, with black beside it. lines: the read-outs, shown
    where `controls` has them on. caption: the name of the style, say, with its opacity.
    Returns (height, width, 3) uint8 RGB. Neither picture is changed, and `stylized` itself is
    returned where there is nothing to do to it.
    """
    canvas_size = size or (stylized.shape[0], stylized.shape[1])
    top, left, height, width = placed(stylized.shape, canvas_size)
    marks = _MARK_RECORDING * controls.recording + _MARK_FROZEN * controls.frozen
    readouts = tuple(lines) if controls.readouts else ()
    caption = caption if opacity > 0 else ""
    drawn = readouts or marks or caption or controls.help or controls.compare is not None
    if not drawn and not controls.mirror and canvas_size == stylized.shape[:2]:
        return stylized

    canvas = np.empty((*canvas_size, 3), np.uint8)
    if (height, width) != canvas_size:
        canvas[:] = 0
    picture = canvas[top : top + height, left : left + width]
    if controls.compare is None:
        _put(stylized, picture, slice(0, width), controls.mirror)
    else:
        bar = round(controls.compare * (width - 1))
        _put(original, picture, slice(0, bar), controls.mirror)
        _put(stylized, picture, slice(bar, width), controls.mirror)
        _draw_bar(picture, bar)

    body, margin = _letters(picture.shape, _BODY), _margin(picture.shape)
    if readouts:
        layer, soft = _readouts(readouts, body)
        layer.lay(picture, margin - soft, margin - soft)
    if marks:
        layer, soft = _marks(marks, body)
        layer.lay(picture, width - margin + soft - layer.ink.shape[1], margin - soft)
    if caption:
        layer, soft = _caption(caption, _letters(picture.shape, _TITLE))
        layer.faded(opacity).lay(
            picture, margin - soft, height - margin + soft - layer.ink.shape[0]
        )
    if controls.help:
        layer, _ = _help(tuple(values(controls).items()), body)
        layer.lay(picture, (width - layer.ink.shape[1]) // 2, (height - layer.ink.shape[0]) // 2)
    return canvas


def placed(shape: tuple[int, ...], size: tuple[int, int]) -> tuple[int, int, int, int]:
    """Where a picture of this shape lies in a window of this (height, width), as large as fits.

    Returns top, left, height, width in px.
    """
    scale = min(size[0] / shape[0], size[1] / shape[1])
    height, width = (max(1, min(s, round(p * scale))) for s, p in zip(size, shape, strict=False))
    return (size[0] - height) // 2, (size[1] - width) // 2, height, width


def opacity_at(age: float) -> float:
    """Opacity of a caption this many seconds after it changed: in, there, out, gone."""
    if age < _FADE_IN:
        return max(0.0, age / _FADE_IN)
    return min(1.0, max(0.0, (_GONE - age) / (_GONE - _FADE_OUT)))


def _put(image: np.ndarray, picture: np.ndarray, columns: slice, mirror: bool) -> None:
    """Put these columns of an image into the picture, where it is as large as that is."""
    height, width = picture.shape[:2]
    if columns.start == columns.stop:
        return
    if image.shape[:2] != (height, width):
        if mirror and len(image) < height:
            image, mirror = cv2.flip(image, 1), False  # while it is small
        # Halving, linear is the exact mean. Reducing further it leaves out pixels, but the mean of
        # an area takes 18 ms from 4K to 720 lines, and this 3.
        image = cv2.resize(image, (width, height), interpolation=cv2.INTER_LINEAR)
    if mirror:
        part = image[:, width - columns.stop : width - columns.start]
        cv2.flip(part, 1, dst=picture[:, columns])
    else:
        picture[:, columns] = image[:, columns]


def _letters(shape: tuple[int, ...], share: float) -> int:
    """Size of letters in px: a share of the height, or of what 16:9 would have for the width."""
    return max(_SMALLEST, round(share * min(shape[0], shape[1] * 9 / 16)))


def _margin(shape: tuple[int, ...]) -> int:
    return round(0.03 * min(shape[:2]))


def _draw_bar(picture: np.ndarray, column: int) -> None:
    """The bar of the comparison, with a knob half-way down."""
    height = len(picture)
    layer = _bar(height, max(1, round(height / 480)))
    layer.lay(picture, column - layer.ink.shape[1] // 2, 0)
    knob = _knob(max(8, round(height / 36)))
    across = len(knob.ink)
    knob.lay(picture, column - across // 2, (height - across) // 2)


@lru_cache(maxsize=4)
def _bar(height: int, thin: int) -> Layer:
    """A white line of 2 * thin - 1 px, with a shadow as wide at either side."""
    width = 6 * thin - 1
    ink = np.zeros((height, width, 3), np.uint8)
    clear = np.full_like(ink, 150)
    line = slice(2 * thin, 4 * thin - 1)
    ink[:, line], clear[:, line] = 255, 0
    return Layer(ink, clear)


@lru_cache(maxsize=4)
def _knob(radius: int) -> Layer:
    """A dark disc with a white ring and two arrow heads, (2 * radius + 7) px across."""
    fine = 8  # drawn that much larger and reduced, so that edges are smooth
    across = 2 * radius + 7
    centre, r = fine * across // 2, radius * fine
    cover = np.zeros((across * fine, across * fine), np.uint8)
    ink = np.zeros_like(cover)
    cv2.circle(cover, (centre, centre), r, 200, -1)
    for shape in (cover, ink):
        cv2.circle(shape, (centre, centre), r, 255, max(1, r // 9))
        for side in (-1, 1):
            tip = centre + side * round(0.62 * r)
            base = centre + side * round(0.24 * r)
            rise = round(0.34 * r)
            head = np.array([(tip, centre), (base, centre - rise), (base, centre + rise)])
            cv2.fillPoly(shape, [head], 255)
    small = [cv2.resize(x, (across, across), interpolation=cv2.INTER_AREA) for x in (ink, ~cover)]
    return Layer(*(cv2.cvtColor(x, cv2.COLOR_GRAY2RGB) for x in small))


@lru_cache(maxsize=64)
def _readouts(lines: tuple[str, ...], size: int) -> tuple[Layer, int]:
    """Lines one under another."""
    texts = [Text(line, 0, _base(row, size), size) for row, line in enumerate(lines)]
    # In steps, or else the panel would breathe with every digit.
    step = 3 * size
    width = -(-max(_width(line, size) for line in lines) // step) * step
    return _panel(texts, _height(len(lines), size), width, size)


@lru_cache(maxsize=8)
def _marks(marks: tuple[tuple[str, Color], ...], size: int) -> tuple[Layer, int]:
    """Words with a coloured dot before each."""
    indent, texts = size, []
    for row, (words, color) in enumerate(marks):
        y = _base(row, size)
        texts.append(Text("●", 0, y + round(0.13 * size), round(1.4 * size), color=color))
        texts.append(Text(words, indent, y, size))
    width = indent + max(_width(words, size) for words, _ in marks)
    return _panel(texts, _height(len(marks), size), width, size)


@lru_cache(maxsize=4)
def _caption(words: str, size: int) -> tuple[Layer, int]:
    text = Text(words, 0, _base(0, size), size, BOLD)
    return _panel([text], _height(1, size), _width(words, size, BOLD), size)


@lru_cache(maxsize=4)
def _help(now: tuple[tuple[str, str], ...], size: int) -> tuple[Layer, int]:
    """The table of keys, with what is set `now`."""
    rows = [("   ".join(key.keys), key.does, dict(now).get(key.does, "")) for key in KEYS]
    gap = round(1.6 * size)
    keys, does, value = (max(_width(row[i], size, BOLD) for row in rows) for i in range(3))
    texts = []
    for row, (names, label, state) in enumerate(rows):
        y = _base(row, size)
        texts.append(Text(names, keys - _width(names, size, BOLD), y, size, BOLD))
        texts.append(Text(label, keys + gap, y, size))
        right = keys + does + value + 2 * gap
        texts.append(Text(state, right - _width(state, size), y, size, color=GREY))
    return _panel(texts, _height(len(rows), size), right, size, pad=1.2)


def _base(row: int, size: int) -> int:
    return round((row * _LINE + 0.95) * size)


def _height(rows: int, size: int) -> int:
    return round(((rows - 1) * _LINE + 1.2) * size)


def _panel(
    texts: Sequence[Text], height: int, width: int, size: int, *, pad: float = 0.7
) -> tuple[Layer, int]:
    """Words on a soft dark backing, and how far that goes beyond its own edge in px.

    height, width: of what the words take, px. pad: how far the backing goes on, in letter sizes.
    """
    pad = round(pad * size)
    soft = max(2, round(0.35 * size))
    inner = (height + 2 * pad, width + 2 * pad)
    backing = _backing(inner, round(0.6 * size), soft)
    ink = np.zeros((*backing.shape, 3), np.uint8)
    cover = np.zeros_like(backing)
    for text in texts:
        at = (soft + pad + text.x, soft + pad + text.y)
        cv2.putText(cover, text.words, at, (255,), _font(), text.size, text.weight)
        cv2.putText(ink, text.words, at, text.color, _font(), text.size, text.weight)
    clear = cv2.multiply(backing, ~cover, scale=1 / 255)
    return Layer(ink, cv2.cvtColor(clear, cv2.COLOR_GRAY2RGB)), soft


@lru_cache(maxsize=16)
def _backing(inner: tuple[int, int], radius: int, soft: int) -> np.ndarray:
    """How clear the picture stays under a rounded dark rectangle, (h, w) uint8, soft at its edge.

    inner: (height, width) of the rectangle; `soft` px are added on every side.
    """
    height, width = inner
    dark = np.zeros((height + 2 * soft, width + 2 * soft), np.uint8)
    left, top, right, bottom = soft, soft, soft + width - 1, soft + height - 1
    cv2.rectangle(dark, (left + radius, top), (right - radius, bottom), 255, -1)
    cv2.rectangle(dark, (left, top + radius), (right, bottom - radius), 255, -1)
    for x in (left + radius, right - radius):
        for y in (top + radius, bottom - radius):
            cv2.circle(dark, (x, y), radius, 255, -1)
    blurred = cv2.GaussianBlur(dark, (0, 0), soft / 2, borderType=cv2.BORDER_CONSTANT)
    return cv2.convertScaleAbs(blurred, alpha=-_DARKNESS, beta=255)


def _width(words: str, size: int, weight: int = REGULAR) -> int:
    return cv2.getTextSize((0, 0), words, (0, 0), _font(), size, weight)[2] if words else 0


@lru_cache(maxsize=1)
def _font() -> Any:
    """The font that OpenCV carries within itself; loading it takes 50 ms."""
    return cv2.FontFace("sans")
