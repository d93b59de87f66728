"""A frame is what its pixel format says."""

from fractions import Fraction

import numpy as np
import pytest
import torch

from impasto.realtime.frame import ColorTags, Frame

BT709 = ColorTags(1, 1, 1)


def test_size_is_that_of_the_picture():
    assert Frame(np.zeros((5, 8, 3), np.uint8), 0, Fraction(1)).size == (5, 8)
    image = np.zeros((6, 8), np.uint8)
    assert Frame(image, 0, Fraction(1), "yuv420p", BT709).size == (4, 8)
    assert Frame(torch.zeros(5, 8, 3, dtype=torch.uint8), 0, Fraction(1)).size == (5, 8)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("shape", "pixel_format", "color"),
    [
        ((6, 8), "rgb24", None),
        ((6, 8, 4), "rgb24", None),
        ((6, 8, 3), "yuv420p", BT709),
        ((7, 8), "yuv420p", BT709),
        ((6, 7), "yuv420p", BT709),
        ((6, 8), "yuv420p", None),
    ],
)
def test_other_shapes_are_refused(shape, pixel_format, color):
    with pytest.raises(ValueError, match=f"a frame of {pixel_format} is"):
        Frame(np.zeros(shape, np.uint8), 0, Fraction(1), pixel_format, color)
