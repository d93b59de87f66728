"""Convolutions of places against those of the pixels themselves."""

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from impasto.export.graphs.subpixel import BORDER, PARTS, giving_places, reading_places

SIZES = pytest.mark.parametrize("size", [(1, 1), (2, 5), (7, 4)])


@pytest.fixture(autouse=True)
def seed():
    torch.manual_seed(0)


def picture_of(places: Tensor) -> Tensor:
    """(N, C, 2 H, 2 W) from (N, C, 4 H, W), pixel by pixel."""
    n, channels, rows, width = places.shape
    picture = torch.empty(n, channels, rows // 2, 2 * width)
    for (p, q), part in zip(PARTS, places.unflatten(2, (4, -1)).unbind(2), strict=True):
        picture[:, :, p::2, q::2] = part
    return picture


@SIZES
def test_places_given_are_the_enlarged_picture(size):
    conv, x = nn.Conv2d(3, 5, 3, padding=1), torch.rand(2, 3, *size)
    given = giving_places(conv)(x).unflatten(1, (4, 5)).unbind(1)
    height, width = size
    parts = [y[..., p : p + height, q : q + width] for y, (p, q) in zip(given, PARTS, strict=True)]
    expected = conv(F.interpolate(x, scale_factor=2.0, mode="nearest"))
    assert torch.allclose(picture_of(torch.cat(parts, dim=2)), expected, atol=1e-6)


@SIZES
def test_places_read_are_the_picture(size):
    conv, (height, width) = nn.Conv2d(5, 12, 3, padding=1), size
    places = torch.rand(2, 5, 4 * height, width)
    given = reading_places(conv)(places.reshape(2, 20, height, width))
    expected = F.pixel_shuffle(conv(picture_of(places)), 2)
    inside = F.pixel_shuffle(given, 4)[..., BORDER:-BORDER, BORDER:-BORDER]
    assert torch.allclose(inside, expected, atol=1e-6)
