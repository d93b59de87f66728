"""Text in pictures, with OpenCV's built-in font: file names in any script can be written."""

from functools import lru_cache
from typing import Any

import numpy as np

from impasto.models.errors import EngineError

_WEIGHT = 500  # 400 is regular, 600 semibold
INK = (40, 40, 40)  # dark gray, RGB
LINE_HEIGHT = 1.3  # from line to line, in font sizes


def draw_text(
    image: np.ndarray, text: str, at: tuple[int, int], size: int, color: tuple[int, ...] = INK
) -> None:
    """Draw one line of text onto (H, W, 3) uint8 RGB, in place.

    at: px, (x, y) of the left end of its baseline. size: px, of the font. Raises EngineError where
    OpenCV cannot be loaded.
    """
    _, drawn = _cv2().putText(np.ascontiguousarray(image), text, at, color, _font(), size, _WEIGHT)
    image[:] = drawn


def text_width(text: str, size: int) -> int:
    """Width of one line of text in px, at a font size in px. Raises EngineError."""
    if not text:
        return 0
    _, _, width, _ = _cv2().getTextSize((0, 0), text, (0, 0), _font(), size, _WEIGHT)
    return int(width)


def fitted_font_size(text: str, width: int, largest: int) -> int:
    """The font size in px, at most `largest`, at which a line of text is at most `width` px."""
    wide = text_width(text, largest)
    return largest if wide <= width else max(6, largest * width // wide)


@lru_cache(maxsize=1)
def _font() -> Any:
    """The built-in font; loading it takes 50 ms."""
    return _cv2().FontFace("sans")


def _cv2() -> Any:
    try:
        import cv2
    except ImportError as error:
        raise EngineError(
            f"text in pictures needs OpenCV, which could not be loaded: {error}"
        ) from None
    return cv2
