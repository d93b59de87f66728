"""Rewrites a network so that no feature map is enlarged or shuffled before the last layer.

The 2x2 subpixels of each position stay apart, as (N, C, 4 H, W) or as (N, 4 C, H, W), which is the
same in memory: subpixel row p and column q are part 2 p + q. Norms and ReLU work on any layout, and
convolutions are rewritten for it (see impasto.models.fast.subpixel_conv), so nothing is shuffled
between layers and an upsampled pixel is read once. Kernels cover 2x2 positions and are padded by
one position on all sides, so the result of subpixel (p, q) is at (i + p, j + q).
"""

from itertools import product

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from impasto.models.fast import subpixel_conv
from impasto.models.layers import ShuffleConv
from impasto.models.transform_net import Body

PARTS = [*product(range(2), repeat=2)]  # row and column of each
BORDER = 2  # px on all sides, by which the picture of `conv_on_subpixels` is larger


def rewrite_on_subpixels(body: Body) -> int:
    """Rewrite a network's body, in place; returns the border in px around its new output.

    The last layer reads subpixels if its input is upsampled, and nothing is added to that; else it
    is left as it is.
    """
    last = body.config.up[-1]
    for layer in body.config.up:
        if not layer.upsample:
            continue
        upsampling, norm = getattr(body, layer.name)
        subpixels = FoldedUpsampleConv(upsampling.conv), norm
        if layer is last and not layer.skip and isinstance(body.out, ShuffleConv):
            setattr(body, layer.name, nn.Sequential(*subpixels))
            body.out = ConvOnSubpixels(body.out.conv)  # type: ignore[assignment]
            return BORDER
        setattr(body, layer.name, nn.Sequential(*subpixels, ShuffleSubpixels(layer.channels)))
    return 0


class FoldedUpsampleConv(nn.Module):
    """An `UpsampleConv` that returns subpixels, (N, C, 4 H, W)."""

    def __init__(self, conv: nn.Conv2d) -> None:
        super().__init__()
        self.conv, self.channels = fold_upsample_into_conv(conv), conv.out_channels

    def forward(self, x: Tensor) -> Tensor:
        y, parts = self.conv(x), []
        for part, (p, q) in enumerate(PARTS):
            channels = slice(part * self.channels, (part + 1) * self.channels)
            rows, columns = (slice(first, None if first else -1) for first in (p, q))
            parts.append(y[:, channels, rows, columns])
        return torch.cat(parts, 2)


class ShuffleSubpixels(nn.Module):
    """Subpixels (N, C, 4 H, W) as a picture, (N, C, 2 H, 2 W)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.channels = channels

    def forward(self, x: Tensor) -> Tensor:
        return F.pixel_shuffle(_as_channels(x, self.channels), 2)


class ConvOnSubpixels(nn.Module):
    """A `ShuffleConv` that reads subpixels (N, C, 4 H, W); its picture has a border of BORDER."""

    def __init__(self, conv: nn.Conv2d) -> None:
        super().__init__()
        self.conv, self.channels = conv_on_subpixels(conv), conv.in_channels

    def forward(self, x: Tensor) -> Tensor:
        return F.pixel_shuffle(self.conv(_as_channels(x, self.channels)), 4)


def _as_channels(x: Tensor, channels: int) -> Tensor:
    """Subpixels (N, C, 4 H, W) as channels: (N, 4 C, H, W)."""
    return x.reshape(x.shape[0], 4 * channels, -1, x.shape[3])


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
