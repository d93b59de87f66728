"""A contact sheet of labeled images; one picture in every style."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from impasto.models.errors import EngineError
from impasto.realtime.atomic import check_target
from impasto.realtime.engines.options import EngineOptions
from impasto.realtime.files.images import read_image, write_image
from impasto.realtime.stylizer import LazyStylizer

_SHORT_SIDE = 360  # px, of each image
_GAP = 8  # px, around each image
_PAPER, _INK = 255, 40  # gray levels


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


def contact_sheet(images: Sequence[tuple[str, np.ndarray]], *, columns: int = 3) -> np.ndarray:
    """Images in rows, from left to right, each with its name below.

    images: (name, (H, W, 3) uint8 RGB), all of one size. Returns (H', W', 3) uint8 RGB.
    Raises EngineError where OpenCV, which draws the names, cannot be loaded.
    """
    columns = min(columns, len(images))
    rows = -(-len(images) // columns)
    height, width = images[0][1].shape[:2]
    label = max(20, width // 14)
    tall, wide = height + label + _GAP, width + _GAP
    sheet = np.full((rows * tall + _GAP, columns * wide + _GAP, 3), _PAPER, np.uint8)
    for index, (name, image) in enumerate(images):
        top, left = _GAP + index // columns * tall, _GAP + index % columns * wide
        sheet[top : top + height, left : left + width] = image
        _draw_text(sheet[top + height : top + height + label, left : left + width], name)
    return sheet


def _draw_text(strip: np.ndarray, text: str) -> None:
    """Draw `text` into the middle of a strip of the sheet, (h, w, 3) uint8, in place."""
    try:
        import cv2
    except ImportError as error:
        raise EngineError(
            f"a contact sheet needs OpenCV, which could not be loaded: {error}"
        ) from None
    height, width = strip.shape[:2]
    face, thickness = cv2.FONT_HERSHEY_SIMPLEX, max(1, height // 24)
    (at_one, _), _ = cv2.getTextSize(text, face, 1.0, thickness)
    scale = min(height / 44, 0.95 * width / max(at_one, 1))
    (wide, tall), _ = cv2.getTextSize(text, face, scale, thickness)
    at = ((width - wide) // 2, (height + tall) // 2)
    inked = cv2.putText(strip.copy(), text, at, face, scale, (_INK,) * 3, thickness, cv2.LINE_AA)
    strip[:] = inked
