"""A contact sheet of labeled images; one picture in every style."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from impasto.realtime.atomic import check_target
from impasto.realtime.engines.options import EngineOptions
from impasto.realtime.files.images import read_image, write_image
from impasto.realtime.painting.text import LINE_HEIGHT, draw_text, fitted_font_size, text_width
from impasto.realtime.stylizer import LazyStylizer

_SHORT_SIDE = 360  # px, of each image
_GAP = 8  # px, around each image
_PAPER = 255  # gray level
_MIN_WIDTH = 160  # px, of a column: narrower, labels cannot be read
_FONT_SHARE = 18  # width of a column over the size of its font

LabeledImage = tuple[str, np.ndarray]  # lines of text, (H, W, 3) uint8 RGB


def write_style_sheet(
    path: Path,
    styles: Sequence[str],
    *,
    on: Path,
    network: str = "auto",
    overwrite: bool = False,
) -> None:
    """Write a contact sheet of one picture in each of `styles`.

    on: the picture, reduced to a short side of 360 px. network: see `models.styles.load_style`.
    Raises SinkError, SourceError, WeightsError, EngineError.
    """
    check_target(path, overwrite=overwrite)
    picture = read_image(on)
    if min(picture.shape[:2]) > _SHORT_SIDE:
        picture = read_image(on, size=_SHORT_SIDE)
    painted = []
    for style in styles:
        stylizer = LazyStylizer(EngineOptions(style, network=network), is_video=False)
        painted.append((style, stylizer.stylize_image(picture)))
    write_image(path, contact_sheet(painted), overwrite=overwrite)


def contact_sheet(images: Sequence[LabeledImage], *, columns: int = 3) -> np.ndarray:
    """Images in rows, from left to right, each with its label below.

    Returns (H', W', 3) uint8 RGB. Raises EngineError where OpenCV, which draws the labels, cannot
    be loaded.
    """
    columns = min(columns, len(images))
    return table_of_images([images[k : k + columns] for k in range(0, len(images), columns)])


def table_of_images(rows: Sequence[Sequence[LabeledImage | None]]) -> np.ndarray:
    """Rows of images of any size, each in the middle of its column and with its label below.

    None leaves a cell empty. A label may have several lines. Returns (H', W', 3) uint8 RGB. Raises
    EngineError where OpenCV cannot be loaded.
    """
    widths = [_MIN_WIDTH] * max(len(row) for row in rows)
    for row in rows:
        for column, cell in enumerate(row):
            widths[column] = max(widths[column], 0 if cell is None else cell[1].shape[1])
    font = min(widths) // _FONT_SHARE
    lefts = [_GAP + sum(widths[:column]) + _GAP * column for column in range(len(widths) + 1)]
    bands = []
    for row in rows:
        cells = [cell for cell in row if cell is not None]
        tallest = max((image.shape[0] for _, image in cells), default=0)
        lines = max((len(label.splitlines()) for label, _ in cells), default=0)
        height = tallest + _line_height(font) * lines + 2 * _GAP
        band = np.full((height, lefts[-1], 3), _PAPER, np.uint8)
        for cell, left, width in zip(row, lefts, widths, strict=False):
            if cell is not None:
                _draw_cell(band[:, left : left + width], cell, tallest, font)
        bands.append(band)
    return np.vstack(bands)


def _draw_cell(cell: np.ndarray, labeled: LabeledImage, tallest: int, font: int) -> None:
    """Draw an image and its label into a cell, in place; all of a row stand on one line."""
    label, image = labeled
    (height, width), room = image.shape[:2], cell.shape[1]
    top, left = _GAP + tallest - height, (room - width) // 2
    cell[top : top + height, left : left + width] = image
    for index, line in enumerate(label.splitlines(), start=1):
        size = fitted_font_size(line, room, font)
        x = (room - text_width(line, size)) // 2
        draw_text(cell, line, (x, _GAP + tallest + _line_height(font) * index - font // 4), size)


def _line_height(font: int) -> int:
    return round(LINE_HEIGHT * font)
