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
    path: Path, styles: Sequence[str], *, on: Path | None = None, overwrite: bool = False
) -> None:
    """Write a contact sheet of one picture in each of `styles`.

    on: the picture, reduced to a short side of 360 px; None: `seascape`.
    Raises SinkError, SourceError, WeightsError, EngineError.
    """
    check_target(path, overwrite=overwrite)
    picture = seascape() if on is None else read_image(on)
    if min(picture.shape[:2]) > _SHORT_SIDE:
        assert on is not None
        picture = read_image(on, size=_SHORT_SIDE)
    painted = []
    for style in styles:
        stylizer = LazyStylizer(EngineOptions(style), is_video=False)
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


def seascape(height: int = 288, width: int = 512) -> np.ndarray:
    """A small picture to try styles on where none is given: evening sun over hills and water.

    Smooth sky, soft clouds, fine waves and hard edges, as each asks another thing of a style.
    Returns (height, width, 3) uint8 RGB, the same every time.
    """
    y, x = np.mgrid[0:height, 0:width].astype(np.float32) / width
    horizon = 0.55 * height / width
    rng = np.random.default_rng(5)
    depth = np.clip(y / horizon, 0, 1)[..., None]
    image = (1 - depth) * np.array((70, 120, 190.0)) + depth * np.array((255, 205, 150.0))
    for _ in range(40):  # clouds: soft ellipses, in streaks
        at_x, at_y = rng.uniform(0, 1), rng.uniform(0.05, 0.6) * horizon
        far = ((x - at_x) / rng.uniform(0.06, 0.2)) ** 2 + ((y - at_y) / 0.018) ** 2
        image += 45 * np.exp(-far)[..., None] * np.array((1, 0.85, 0.8))
    sun = np.hypot(x - 0.68, y - 0.8 * horizon)
    image = np.where((sun < 0.035)[..., None], (255, 244, 200), image)
    for level, rough, color in ((0.13, 6, (110, 110, 150)), (0.07, 11, (60, 80, 95))):
        phases = rng.uniform(0, 6.3, 4)
        ridge = sum(np.sin(rough * (k + 1) * x + phases[k]) / (k + 2) for k in range(4))
        image = np.where((y > horizon - level - 0.04 * ridge)[..., None], color, image)
    near = np.clip((y - horizon) / (height / width - horizon), 0, 1)
    waves = np.sin(260 * (y - horizon) / (0.15 + near) + 9 * np.sin(14 * x) + 40 * x * near)
    glitter = np.exp(-(((x - 0.68) / (0.04 + 0.16 * near)) ** 2))
    water = np.stack([60 + 150 * glitter, 105 + 90 * glitter, 140 + 20 * glitter], axis=-1)
    image = np.where((y > horizon)[..., None], water + 26 * waves[..., None], image)
    below = y - horizon - 0.08
    boat = (abs(x - 0.33) < 0.044 - 0.6 * below) & (abs(below) < 0.012)
    sail = (x > 0.33) & (x - 0.33 < 0.45 * (y - horizon + 0.08)) & (y < horizon + 0.06)
    image = np.where(boat[..., None], (70, 40, 30), image)
    image = np.where(sail[..., None], (240, 230, 215), image)
    return np.clip(np.rint(image), 0, 255).astype(np.uint8)


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
