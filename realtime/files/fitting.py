"""Pictures of another size, pixel shape or rotation than a film's first, fitted with black bars."""

from dataclasses import dataclass
from fractions import Fraction

import numpy as np

from impasto.realtime.files.rotation import NO_ROTATION, DisplayMatrix, transposes


@dataclass(frozen=True, slots=True)
class PictureShape:
    """The size of a decoded picture, the shape of its pixels and its rotation."""

    height: int  # as decoded, before the rotation
    width: int
    pixel_shape: Fraction = Fraction(1)  # width of a pixel over its height, before the rotation
    matrix: DisplayMatrix = NO_ROTATION

    @property
    def upright(self) -> tuple[int, int, Fraction]:
        """Height, width and pixel shape after the rotation."""
        if transposes(self.matrix):
            return self.width, self.height, 1 / self.pixel_shape
        return self.height, self.width, self.pixel_shape

    def decoded_size(self, upright: tuple[int, int]) -> tuple[int, int]:
        """(height, width) before the rotation, of a picture that is `upright` after it."""
        return (upright[1], upright[0]) if transposes(self.matrix) else upright

    def size_within(self, size: tuple[int, int], pixel_shape: Fraction) -> tuple[int, int]:
        """The largest upright (height, width) within `size` at which a circle stays a circle.

        pixel_shape: of the pixels of that size.
        """
        height, width, own = self.upright
        width_of_square = width * own / pixel_shape  # at this height, in pixels of the target
        scale = min(size[0] / Fraction(height), size[1] / width_of_square)
        fitted = round(height * scale), round(width_of_square * scale)
        return max(1, min(fitted[0], size[0])), max(1, min(fitted[1], size[1]))

    def __str__(self) -> str:
        height, width, pixel_shape = self.upright
        shape = "" if pixel_shape == 1 else f" with pixels of {pixel_shape}"
        return f"{width}x{height}{shape}"


def with_bars(image: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """A picture, (h, w, C) uint8, in the middle of a black (or transparent) one of `size`."""
    height, width = image.shape[:2]
    if (height, width) == size:
        return image
    framed = np.zeros((*size, image.shape[2]), np.uint8)
    top, left = (size[0] - height) // 2, (size[1] - width) // 2
    framed[top : top + height, left : left + width] = image
    return framed
