"""Convolutions rewritten for subpixels against the original ones on pixels."""

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from impasto.export.graphs.subpixel import (
    BORDER,
    PARTS,
    conv_on_subpixels,
    fold_upsample_into_conv,
)

SIZES = pytest.mark.parametrize("size", [(1, 1), (2, 5), (7, 4)])


@pytest.fixture(autouse=True)
def seed():
    torch.manual_seed(0)


def picture_of(subpixels: Tensor) -> Tensor:
    """(N, C, 2 H, 2 W) from (N, C, 4 H, W), pixel by pixel."""
    n, channels, rows, width = subpixels.shape
    picture = torch.empty(n, channels, rows // 2, 2 * width)
    for (p, q), part in zip(PARTS, subpixels.unflatten(2, (4, -1)).unbind(2), strict=True):
        picture[:, :, p::2, q::2] = part
    return picture


@SIZES
def test_a_folded_upsampling_gives_the_subpixels(size):
    conv, x = nn.Conv2d(3, 5, 3, padding=1), torch.rand(2, 3, *size)
    given = fold_upsample_into_conv(conv)(x).unflatten(1, (4, 5)).unbind(1)
    height, width = size
    parts = [y[..., p : p + height, q : q + width] for y, (p, q) in zip(given, PARTS, strict=True)]
    expected = conv(F.interpolate(x, scale_factor=2.0, mode="nearest"))
    assert torch.allclose(picture_of(torch.cat(parts, dim=2)), expected, atol=1e-6)


@SIZES
def test_a_convolution_reads_subpixels(size):
    conv, (height, width) = nn.Conv2d(5, 12, 3, padding=1), size
    subpixels = torch.rand(2, 5, 4 * height, width)
    given = conv_on_subpixels(conv)(subpixels.reshape(2, 20, height, width))
    expected = F.pixel_shuffle(conv(picture_of(subpixels)), 2)
    inside = F.pixel_shuffle(given, 4)[..., BORDER:-BORDER, BORDER:-BORDER]
    assert torch.allclose(inside, expected, atol=1e-6)
