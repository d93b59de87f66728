"""Rewrites a network so that no feature map is enlarged or shuffled before the last layer.

The 2x2 subpixels of each position stay apart, as (N, C, 4 H, W) or as (N, 4 C, H, W), which is the
same in memory: subpixel row p and column q are part 2 p + q. Norms and ReLU work on any layout, and
convolutions are rewritten for it (see impasto.models.fast.subpixel_conv), so nothing is shuffled
between layers and an upsampled pixel is read once. Kernels cover 2x2 positions and are padded by
one position on all sides, so the result of subpixel (p, q) is at (i + p, j + q).
"""

import copy
from itertools import product

import numpy as np
import torch
from torch import nn

from impasto.models.fast import subpixel_conv
from impasto.models.layers import ShuffleConv, UpsampleConv
from impasto.models.transform_net import Body

PARTS = [*product(range(2), repeat=2)]  # row and column of each
BORDER = 2  # px on all sides, by which the picture of `conv_on_subpixels` is larger


class FoldedUpsampleConv(nn.Module):
    """Replaces an `UpsampleConv`; `conv` is the result of `fold_upsample_into_conv`."""

    def __init__(self, conv: nn.Conv2d) -> None:
        super().__init__()
        self.conv, self.channels = fold_upsample_into_conv(conv), conv.out_channels


class ConvOnSubpixels(nn.Module):
    """Replaces a `ShuffleConv`; `conv` is the result of `conv_on_subpixels`."""

    def __init__(self, conv: nn.Conv2d) -> None:
        super().__init__()
        self.conv = conv_on_subpixels(conv)


def rewrite_on_subpixels(network: nn.Module) -> nn.Module:
    """A copy with the classes above in place of theirs: for writing a graph, not for calling.

    A `ShuffleConv` whose input is not upsampled has no subpixels to read, and stays.
    """
    network = copy.deepcopy(network)
    for parent in [*network.modules()]:
        shuffles_subpixels = isinstance(parent, Body) and parent.config.up[-1].upsample
        for name, module in parent.named_children():
            if isinstance(module, UpsampleConv):
                setattr(parent, name, FoldedUpsampleConv(module.conv))
            elif isinstance(module, ShuffleConv) and shuffles_subpixels:
                setattr(parent, name, ConvOnSubpixels(module.conv))
    return network


def fold_upsample_into_conv(conv: nn.Conv2d) -> nn.Conv2d:
    """A 2x2 convolution equal to nearest-neighbor upsampling by 2 followed by `conv`, 3x3.

    (N, I, H, W) to (N, 4 O, H + 1, W + 1): the four parts in order, O channels each; part (p, q)
    is in H rows starting at p and W columns starting at q.
    """
    weight = torch.from_numpy(subpixel_conv.fold_upsample_into_conv(_weight(conv)))
    return _convolution(weight.flatten(0, 2), _bias(conv).repeat(4))


def conv_on_subpixels(conv: nn.Conv2d) -> nn.Conv2d:
    """A 2x2 convolution of subpixels equal to `conv`, 3x3, followed by a pixel shuffle by 2.

    (N, 4 I, H, W), four parts for each channel, to (N, 4 O, H + 1, W + 1). A pixel shuffle by 4
    makes of it (N, O / 4, 4 H + 4, 4 W + 4): the picture inside a border.
    """
    weight = torch.from_numpy(subpixel_conv.conv_on_subpixels(_weight(conv)))
    # Part 1 is written one position lower, which is above part 0 of the next: hence the flip.
    weight = weight.flip(0, 1).unflatten(2, (-1, 2, 2))
    weight = weight.permute(2, 0, 3, 1, 4, 5, 6, 7, 8, 9)
    bias = _bias(conv).unflatten(0, (-1, 1, 2, 1, 2)).expand(-1, 2, -1, 2, -1)
    return _convolution(weight.flatten(5, 7).flatten(0, 4), bias.flatten())


def _weight(conv: nn.Conv2d) -> np.ndarray:
    assert (conv.kernel_size, conv.stride, conv.padding) == ((3, 3), (1, 1), (1, 1))
    return conv.weight.detach().cpu().numpy()


def _bias(conv: nn.Conv2d) -> torch.Tensor:
    assert conv.bias is not None
    return conv.bias.detach().cpu()


def _convolution(weight: torch.Tensor, bias: torch.Tensor) -> nn.Conv2d:
    conv = nn.Conv2d(weight.shape[1], weight.shape[0], 2, padding=1)
    conv.weight, conv.bias = nn.Parameter(weight), nn.Parameter(bias)
    return conv
