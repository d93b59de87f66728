"""Color preservation: the statistics that it gives to a painting, and those it keeps."""

import pytest
import torch

from impasto.models.gatys.color import luminance, luminance_matched, recolored, with_colors_of
from tests.models.gatys.helpers import blobs

PAINTING, CONTENT = blobs(40, 50, 1) * 0.3 + 0.2, blobs(60, 30, 2) * 0.4 + 0.3


def test_recolored_has_the_contents_statistics() -> None:
    pixels = recolored(PAINTING, CONTENT)[0].flatten(1)
    expected = CONTENT[0].flatten(1)
    torch.testing.assert_close(pixels.mean(1), expected.mean(1), atol=5e-3, rtol=0)
    torch.testing.assert_close(pixels.cov(), expected.cov(), atol=1e-3, rtol=0)


def test_a_gray_painting_can_be_recolored() -> None:
    assert torch.isfinite(recolored(torch.full((1, 3, 9, 9), 0.5), CONTENT)).all()


def test_luminance_takes_mean_and_deviation() -> None:
    matched, expected = luminance_matched(PAINTING, CONTENT), luminance(CONTENT)
    assert matched.mean() == pytest.approx(expected.mean().item(), abs=5e-3)
    assert matched.std() == pytest.approx(expected.std().item(), abs=5e-3)


def test_colors_come_back() -> None:
    torch.testing.assert_close(with_colors_of(CONTENT, CONTENT), CONTENT)
    gray = luminance(CONTENT) * 0.9
    mixed = with_colors_of(gray, CONTENT)
    torch.testing.assert_close(luminance(mixed), gray, atol=1e-3, rtol=0)
    difference = (mixed - luminance(mixed)) - (CONTENT - luminance(CONTENT))
    assert difference.abs().max() < 1e-3
