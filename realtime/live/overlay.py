"""What the preview window shows: the picture at the window's size, with texts drawn over it.

Only numpy in and numpy out, so it needs no display. Lengths scale with the picture. Each text has a
soft dark backing; it is drawn once and cached until it changes: 0.2 ms for the mirrored picture at
1280x720, and 0.1 ms more for the readouts.
"""

from collections.abc import Sequence
from functools import lru_cache
from typing import Any, NamedTuple

import cv2
import numpy as np

from impasto.realtime.live.controls import KEYS, Controls, values

Color = tuple[int, int, int]  # RGB
WHITE, GRAY, RED, BLUE = (255, 255, 255), (190, 190, 190), (255, 60, 50), (120, 190, 255)
_RECORDING, _FROZEN = ("recording", RED), ("frozen", BLUE)
REGULAR, BOLD = 400, 600  # weights of the font
_BODY, _TITLE = 20 / 720, 38 / 720  # font size, as a share of the picture's height
_SMALLEST = 11  # px, the smallest font size that can be read
_DARKNESS = 0.7  # of the backing; 0.5 leaves gray letters hard to read on a white picture
_LINE = 1.5  # line spacing, in font sizes
_FADE_IN, _FADE_OUT, _GONE = 0.2, 1.1, 1.6  # seconds after a caption has changed


class Text(NamedTuple):
    """A line of text on a panel."""

    text: str
    x: int  # px from the panel's inner left edge
    y: int  # px from its inner upper edge to the baseline
    size: int  # px
    weight: int = REGULAR
    color: Color = WHITE


class Layer(NamedTuple):
    """An image with premultiplied alpha: out = picture * transparency / 255 + color.

    feather: width in px of the soft edge around it, for panels.
    """

    color: np.ndarray  # (h, w, 3) uint8 RGB, already multiplied by alpha
    transparency: np.ndarray  # (h, w, 3) uint8, 255 * (1 - alpha)
    feather: int = 0

    def faded(self, opacity: float) -> "Layer":
        """The same layer at `opacity`, 0 to 1."""
        if opacity >= 1:
            return self
        return Layer(
            cv2.convertScaleAbs(self.color, alpha=opacity),
            cv2.convertScaleAbs(self.transparency, alpha=opacity, beta=255 * (1 - opacity)),
            self.feather,
        )

    def blend(self, picture: np.ndarray, left: int, top: int) -> None:
        """Draw it over the picture, in place; what lies outside is cropped."""
        height, width = picture.shape[:2]
        above, before = max(0, -top), max(0, -left)
        bottom, right = min(height, top + len(self.color)), min(width, left + self.color.shape[1])
        if bottom <= top + above or right <= left + before:
            return
        area = picture[top + above : bottom, left + before : right]
        part = slice(above, bottom - top), slice(before, right - left)
        cv2.multiply(area, self.transparency[part], dst=area, scale=1 / 255)
        cv2.add(area, self.color[part], dst=area)


def compose(
    original: np.ndarray,
    stylized: np.ndarray,
    controls: Controls,
    *,
    size: tuple[int, int] | None = None,
    lines: Sequence[str] = (),
    caption: str = "",
    opacity: float = 1.0,
) -> np.ndarray:
    """The image that the window shows.

    original, stylized: (H, W, 3) uint8 RGB. size: (height, width) of the window, None: that of
    `stylized`; the picture is scaled to fit, with black bars. lines: the readouts, shown if
    `controls.readouts`. caption: such as the name of the style, drawn at `opacity`.
    Returns (height, width, 3) uint8 RGB. Neither picture is changed; `stylized` itself is returned
    if there is nothing to draw.
    """
    size = size or (stylized.shape[0], stylized.shape[1])
    marks = (_RECORDING,) * controls.recording + (_FROZEN,) * controls.frozen
    readouts = tuple(lines) if controls.readouts else ()
    caption = caption if opacity > 0 else ""
    drawn = readouts or marks or caption or controls.help or controls.compare is not None
    if not drawn and not controls.mirror and size == stylized.shape[:2]:
        return stylized

    top, left, height, width = letterbox(stylized.shape, size)
    canvas = np.empty((*size, 3), np.uint8)
    if (height, width) != size:
        canvas[:] = 0
    picture = canvas[top : top + height, left : left + width]
    _draw_picture(picture, original, stylized, controls)
    _draw_panels(picture, readouts, marks)
    if caption:
        _draw_caption(picture, caption, opacity)
    if controls.help:
        _draw_help(picture, controls)
    return canvas


def letterbox(shape: tuple[int, ...], size: tuple[int, int]) -> tuple[int, int, int, int]:
    """The largest centered rectangle of this shape's aspect ratio in a (height, width) window.

    Returns top, left, height, width in px.
    """
    scale = min(size[0] / shape[0], size[1] / shape[1])
    height, width = (max(1, min(s, round(p * scale))) for s, p in zip(size, shape, strict=False))
    return (size[0] - height) // 2, (size[1] - width) // 2, height, width


def caption_opacity(age: float) -> float:
    """Opacity of a caption, `age` seconds after it changed: fades in, stays, fades out."""
    if age < _FADE_IN:
        return max(0.0, age / _FADE_IN)
    return min(1.0, max(0.0, (_GONE - age) / (_GONE - _FADE_OUT)))


def _draw_picture(
    picture: np.ndarray, original: np.ndarray, stylized: np.ndarray, controls: Controls
) -> None:
    """Fill `picture` with the stylized image, or with both images and the bar between them."""
    width = picture.shape[1]
    if controls.compare is None:
        _draw_columns(picture, stylized, slice(0, width), controls.mirror)
        return
    bar = round(controls.compare * (width - 1))
    _draw_columns(picture, original, slice(0, bar), controls.mirror)
    _draw_columns(picture, stylized, slice(bar, width), controls.mirror)
    _draw_bar(picture, bar)


def _draw_panels(
    picture: np.ndarray, readouts: tuple[str, ...], marks: tuple[tuple[str, Color], ...]
) -> None:
    """The readouts in the upper left corner, recording and frozen marks in the upper right."""
    size, margin = _font_size(picture.shape, _BODY), _margin(picture.shape)
    if readouts:
        layer = _readouts(readouts, size)
        layer.blend(picture, margin - layer.feather, margin - layer.feather)
    if marks:
        layer = _marks(marks, size)
        left = picture.shape[1] - margin + layer.feather - layer.color.shape[1]
        layer.blend(picture, left, margin - layer.feather)


def _draw_caption(picture: np.ndarray, caption: str, opacity: float) -> None:
    """The caption in the lower left corner."""
    layer, margin = _caption(caption, _font_size(picture.shape, _TITLE)), _margin(picture.shape)
    top = len(picture) - margin + layer.feather - len(layer.color)
    layer.faded(opacity).blend(picture, margin - layer.feather, top)


def _draw_help(picture: np.ndarray, controls: Controls) -> None:
    """The table of keys, centered."""
    layer = _help(tuple(values(controls).items()), _font_size(picture.shape, _BODY))
    (height, width), (h, w) = picture.shape[:2], layer.color.shape[:2]
    layer.blend(picture, (width - w) // 2, (height - h) // 2)


def _draw_columns(picture: np.ndarray, image: np.ndarray, columns: slice, mirror: bool) -> None:
    """Fill these columns of the picture from an image, scaled to the picture's size."""
    height, width = picture.shape[:2]
    if columns.start == columns.stop:
        return
    if image.shape[:2] != (height, width):
        if mirror and len(image) < height:
            image, mirror = cv2.flip(image, 1), False  # before it grows
        # Linear interpolation is an exact mean when halving. Beyond that it skips pixels, but
        # INTER_AREA takes 18 ms from 4K to 720 lines, and this 3.
        image = cv2.resize(image, (width, height), interpolation=cv2.INTER_LINEAR)
    if mirror:
        part = image[:, width - columns.stop : width - columns.start]
        cv2.flip(part, 1, dst=picture[:, columns])
    else:
        picture[:, columns] = image[:, columns]


def _font_size(shape: tuple[int, ...], share: float) -> int:
    """Font size in px: a share of the height, or of that of 16:9 if the picture is narrower."""
    return max(_SMALLEST, round(share * min(shape[0], shape[1] * 9 / 16)))


def _margin(shape: tuple[int, ...]) -> int:
    return round(0.03 * min(shape[:2]))


def _draw_bar(picture: np.ndarray, column: int) -> None:
    """The bar of the comparison, with a handle halfway down."""
    height = len(picture)
    bar = _bar(height, max(1, round(height / 480)))
    bar.blend(picture, column - bar.color.shape[1] // 2, 0)
    handle = _handle(max(8, round(height / 36)))
    side = len(handle.color)
    handle.blend(picture, column - side // 2, (height - side) // 2)


@lru_cache(maxsize=4)
def _bar(height: int, thin: int) -> Layer:
    """A white line of 2 * thin - 1 px, with a shadow of 2 * thin px on either side."""
    width = 6 * thin - 1
    color = np.zeros((height, width, 3), np.uint8)
    transparency = np.full_like(color, 150)
    line = slice(2 * thin, 4 * thin - 1)
    color[:, line], transparency[:, line] = 255, 0
    return Layer(color, transparency)


@lru_cache(maxsize=4)
def _handle(radius: int) -> Layer:
    """A dark disk with a white ring and two arrow heads, 2 * radius + 7 px wide."""
    oversampling = 8  # drawn larger and reduced, for smooth edges
    side = 2 * radius + 7
    center, r = oversampling * side // 2, radius * oversampling
    cover = np.zeros((side * oversampling, side * oversampling), np.uint8)
    color = np.zeros_like(cover)
    cv2.circle(cover, (center, center), r, 200, -1)
    for canvas in (cover, color):
        cv2.circle(canvas, (center, center), r, 255, max(1, r // 9))
        for direction in (-1, 1):
            tip = center + direction * round(0.62 * r)
            base = center + direction * round(0.24 * r)
            rise = round(0.34 * r)
            head = np.array([(tip, center), (base, center - rise), (base, center + rise)])
            cv2.fillPoly(canvas, [head], 255)
    small = [cv2.resize(x, (side, side), interpolation=cv2.INTER_AREA) for x in (color, ~cover)]
    return Layer(*(cv2.cvtColor(x, cv2.COLOR_GRAY2RGB) for x in small))  # type: ignore[arg-type]


@lru_cache(maxsize=64)
def _readouts(lines: tuple[str, ...], size: int) -> Layer:
    """Lines of text, one below another."""
    texts = [Text(line, 0, _baseline(row, size), size) for row, line in enumerate(lines)]
    # In steps, else the panel would change its width with every digit.
    step = 3 * size
    width = -(-max(_text_width(line, size) for line in lines) // step) * step
    return _panel(texts, _text_height(len(lines), size), width, size)


@lru_cache(maxsize=8)
def _marks(marks: tuple[tuple[str, Color], ...], size: int) -> Layer:
    """Words, each after a colored dot."""
    indent, texts = size, []
    for row, (word, color) in enumerate(marks):
        y = _baseline(row, size)
        texts.append(Text("●", 0, y + round(0.13 * size), round(1.4 * size), color=color))
        texts.append(Text(word, indent, y, size))
    width = indent + max(_text_width(word, size) for word, _ in marks)
    return _panel(texts, _text_height(len(marks), size), width, size)


@lru_cache(maxsize=4)
def _caption(text: str, size: int) -> Layer:
    line = Text(text, 0, _baseline(0, size), size, BOLD)
    return _panel([line], _text_height(1, size), _text_width(text, size, BOLD), size)


@lru_cache(maxsize=4)
def _help(now: tuple[tuple[str, str], ...], size: int) -> Layer:
    """The table of keys, with the present settings `now`."""
    rows = [("   ".join(key.keys), key.setting, dict(now).get(key.setting, "")) for key in KEYS]
    gap = round(1.6 * size)
    keys, settings, value = (max(_text_width(row[i], size, BOLD) for row in rows) for i in range(3))
    right = keys + settings + value + 2 * gap
    texts = []
    for row, (names, setting, state) in enumerate(rows):
        y = _baseline(row, size)
        texts.append(Text(names, keys - _text_width(names, size, BOLD), y, size, BOLD))
        texts.append(Text(setting, keys + gap, y, size))
        texts.append(Text(state, right - _text_width(state, size), y, size, color=GRAY))
    return _panel(texts, _text_height(len(rows), size), right, size, padding=1.2)


def _baseline(row: int, size: int) -> int:
    return round((row * _LINE + 0.95) * size)


def _text_height(rows: int, size: int) -> int:
    return round(((rows - 1) * _LINE + 1.2) * size)


def _panel(
    texts: Sequence[Text], height: int, width: int, size: int, *, padding: float = 0.7
) -> Layer:
    """Texts on a soft dark backing.

    height, width: of the texts, px. padding: from the texts to the backing's edge, in font sizes.
    """
    pad = round(padding * size)
    feather = max(2, round(0.35 * size))
    backing = _backing((height + 2 * pad, width + 2 * pad), round(0.6 * size), feather)
    color = np.zeros((*backing.shape, 3), np.uint8)
    cover = np.zeros_like(backing)
    for line in texts:
        at = (feather + pad + line.x, feather + pad + line.y)
        cv2.putText(cover, line.text, at, (255,), _font(), line.size, line.weight)
        cv2.putText(color, line.text, at, line.color, _font(), line.size, line.weight)
    transparency = cv2.multiply(backing, ~cover, scale=1 / 255)
    return Layer(color, cv2.cvtColor(transparency, cv2.COLOR_GRAY2RGB), feather)


@lru_cache(maxsize=16)
def _backing(inner: tuple[int, int], radius: int, feather: int) -> np.ndarray:
    """Transparency of a rounded dark rectangle with soft edges, (h, w) uint8.

    inner: (height, width) of the rectangle; `feather` px are added on every side.
    """
    height, width = inner
    dark = np.zeros((height + 2 * feather, width + 2 * feather), np.uint8)
    left, top, right, bottom = feather, feather, feather + width - 1, feather + height - 1
    cv2.rectangle(dark, (left + radius, top), (right - radius, bottom), 255, -1)
    cv2.rectangle(dark, (left, top + radius), (right, bottom - radius), 255, -1)
    for x in (left + radius, right - radius):
        for y in (top + radius, bottom - radius):
            cv2.circle(dark, (x, y), radius, 255, -1)
    blurred = cv2.GaussianBlur(dark, (0, 0), feather / 2, borderType=cv2.BORDER_CONSTANT)
    return cv2.convertScaleAbs(blurred, alpha=-_DARKNESS, beta=255)


def _text_width(text: str, size: int, weight: int = REGULAR) -> int:
    return cv2.getTextSize((0, 0), text, (0, 0), _font(), size, weight)[2] if text else 0


@lru_cache(maxsize=1)
def _font() -> Any:
    """OpenCV's built-in font; loading it takes 50 ms."""
    return cv2.FontFace("sans")
