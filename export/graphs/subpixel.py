"""Our network's way up with its pixels left where they are: convolutions of places.

A place is 2x2 pixels of a picture twice as large, (N, C, 2 H, 2 W). Kept as (N, C, 4 H, W), or as
(N, 4 C, H, W), which is the same in memory, its pixels stand in four parts, row p and column q of
each place in part 2 p + q. Norms and ReLU do not mind, and convolutions can be written for it: so
nothing is shuffled before the next layer, and a pixel repeated by 2x2 is read once.

Row p of place i reads, by row a of a 3x3 kernel, row p + a - 1 counted from the place's first: of
places i - 1 + p or i + p, whatever a is. So kernels are 2x2 here, and padded by a place on all
sides, what (p, q) is stands at (i + p, j + q).
"""

import copy
from collections.abc import Iterator
from itertools import product

import torch
from torch import nn

from impasto.models.layers import ShuffleConv, UpsampleConv

PARTS = [*product(range(2), repeat=2)]  # row and column of each
BORDER = 2  # px on all sides, more than the picture, which `reading_places` gives


class GivingPlaces(nn.Module):
    """Stands for an `UpsampleConv`. `conv` is what `giving_places` says, of so many `channels`."""

    def __init__(self, conv: nn.Conv2d) -> None:
        super().__init__()
        self.conv, self.channels = giving_places(conv), conv.out_channels


class ReadingPlaces(nn.Module):
    """Stands for a `ShuffleConv`. `conv` is what `reading_places` says."""

    def __init__(self, conv: nn.Conv2d) -> None:
        super().__init__()
        self.conv = reading_places(conv)


def in_places(network: nn.Module) -> nn.Module:
    """A copy with these in their stead: not to be called, but to be written as a graph."""
    network = copy.deepcopy(network)
    for parent in [*network.modules()]:
        for name, module in parent.named_children():
            if isinstance(module, UpsampleConv):
                setattr(parent, name, GivingPlaces(module.conv))
            elif isinstance(module, ShuffleConv):
                setattr(parent, name, ReadingPlaces(module.conv))
    return network


@torch.no_grad()
def giving_places(conv: nn.Conv2d) -> nn.Conv2d:
    """What reads a picture as `conv` does once each pixel is repeated 2x2.

    (N, I, H, W) to (N, 4 O, H + 1, W + 1): the parts one after the other, O channels each, that of
    row p and column q in the H rows from p on, and the W columns from q on.
    """
    outputs, inputs = _sizes(conv)
    weight = conv.weight.new_zeros(2, 2, outputs, inputs, 2, 2)
    for (p, a, i, _), (q, b, j, _) in product(_reads(), repeat=2):
        weight[p, q, :, :, i, j] += conv.weight[..., a, b]
    return _convolution(weight.flatten(0, 2), _bias(conv).repeat(4))


@torch.no_grad()
def reading_places(conv: nn.Conv2d) -> nn.Conv2d:
    """What, shuffled by four, gives `conv` of the pixels, shuffled by two.

    (N, 4 I, H, W), a channel's four parts one after the other, to (N, 4 O, H + 1, W + 1): after the
    shuffle (N, O / 4, 4 H + 4, 4 W + 4), the picture inside a border.
    """
    outputs, inputs = _sizes(conv)
    kernels = conv.weight.unflatten(0, (-1, 2, 2))
    weight = conv.weight.new_zeros(outputs // 4, 2, 2, 2, 2, inputs, 2, 2, 2, 2)
    for (p, a, i, row), (q, b, j, column) in product(_reads(), repeat=2):
        # Row 1 of a place is given a place lower, and so above row 0 of the next.
        weight[:, 1 - p, :, 1 - q, :, :, row, column, i, j] += kernels[..., a, b]
    bias = _bias(conv).unflatten(0, (-1, 1, 2, 1, 2)).expand(-1, 2, -1, 2, -1)
    return _convolution(weight.flatten(5, 7).flatten(0, 4), bias.flatten())


def _reads() -> Iterator[tuple[int, int, int, int]]:
    """Row of a place, row of a 3x3 kernel; which of two places it reads, and which row of that."""
    for p, a in product(range(2), range(3)):
        read = p + a - 1
        yield p, a, read // 2 + 1 - p, read % 2


def _sizes(conv: nn.Conv2d) -> tuple[int, int]:
    assert (conv.kernel_size, conv.stride, conv.padding) == ((3, 3), (1, 1), (1, 1))
    return conv.out_channels, conv.in_channels


def _bias(conv: nn.Conv2d) -> torch.Tensor:
    assert conv.bias is not None
    return conv.bias


def _convolution(weight: torch.Tensor, bias: torch.Tensor) -> nn.Conv2d:
    conv = nn.Conv2d(weight.shape[1], weight.shape[0], 2, padding=1)
    conv.weight, conv.bias = nn.Parameter(weight), nn.Parameter(bias)
    return conv
