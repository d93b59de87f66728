"""Frozen convolutions: the values and gradients of PyTorch's own operators."""

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from impasto.models.gatys.frozen_conv import conv_relu

LAST = torch.channels_last


def _layer(channels: int, wider: int, side: int) -> tuple[Tensor, Tensor]:
    weight = torch.randn(wider, channels, side, side) / side
    return weight.contiguous(memory_format=LAST), torch.randn(wider)


@pytest.mark.parametrize("size", [(1, 5, 32, 20), (2, 5, 16, 7), (1, 5, 7, 9), (1, 3, 2, 2)])
@pytest.mark.parametrize("pooled", [False, True])
@pytest.mark.parametrize("side", [1, 3])
@pytest.mark.parametrize("layout", [LAST, torch.contiguous_format])
def test_values_and_gradients_are_pytorchs(
    size: tuple[int, ...], pooled: bool, side: int, layout: torch.memory_format
) -> None:
    torch.manual_seed(0)
    weight, bias = _layer(size[1], 6, side)
    x = torch.randn(size).contiguous(memory_format=layout).requires_grad_()
    theirs = F.conv2d(x, weight, bias, padding=side // 2).relu()
    theirs = F.max_pool2d(theirs, 2) if pooled else theirs
    ours = conv_relu(x, weight, bias, padding=side // 2, pooled=pooled)
    torch.testing.assert_close(ours, theirs)
    along = torch.randn_like(theirs)
    (expected,) = torch.autograd.grad(theirs, x, along)
    (found,) = torch.autograd.grad(ours, x, along)
    torch.testing.assert_close(found, expected)


@pytest.mark.parametrize("onednn", [False, True])
def test_bfloat16_is_that_of_pytorch(onednn: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.backends.mkldnn, "is_available", lambda: onednn)
    torch.manual_seed(0)
    weight, bias = (t.bfloat16() for t in _layer(24, 32, 3))
    x = torch.randn(1, 24, 32, 32).bfloat16().contiguous(memory_format=LAST).requires_grad_()
    theirs = F.max_pool2d(F.conv2d(x, weight, bias, padding=1).relu(), 2)
    ours = conv_relu(x, weight, bias, padding=1, pooled=True)
    # The bias may be added before or after the sum is rounded: to one part in 256.
    torch.testing.assert_close(ours, theirs, rtol=1 / 128, atol=1 / 64)
    assert ours.is_contiguous(memory_format=LAST)
    along = torch.randn_like(ours)
    (expected,), (found,) = (torch.autograd.grad(y, x, along) for y in (theirs, ours))
    assert found.is_contiguous(memory_format=LAST)
    # A rounded tie may be another place of the 2x2.
    assert ((found - expected).float().norm() / expected.float().norm()).item() < 0.05
