"""Parts of the networks that graphs are built from: pixels as bytes, subpixels, yuv420p.

A graph is the trace of a module that computes what a `TransformNet` does, in the operations that
suit a runtime. PyTorch runs these modules too, so each is tested against the original network.
"""

import copy
from collections.abc import Callable
from typing import Any, TypeVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from impasto.export.graphs.rgb_to_yuv import yuv420_weights
from impasto.models.layers import ShuffleConv, reflect_pad
from impasto.models.transform_net import TransformNet

Module = TypeVar("Module", bound=nn.Module)


class RewrittenNet(nn.Module):
    """The weights of a `TransformNet`, copied, under their own names; subclasses add `forward`."""

    gain: nn.Parameter
    gain_deviation: nn.Parameter
    offset: nn.Parameter
    offset_mean: nn.Parameter

    def __init__(self, network: TransformNet) -> None:
        super().__init__()
        network = copy.deepcopy(network)
        self.body, self.recolor = network.body, network.recolor
        for name, parameter in network.named_parameters(recurse=False):
            self.register_parameter(name, parameter)


def pad_by_reflection(x: Tensor, stride: int, margin: int) -> Tensor:
    """`layers.reflect_pad` for all sizes and dtypes.

    x: (N, C, H, W). Sides below `margin` + `stride` are first extended to that by repeating the
    last row and column.
    """
    lack = [max(0, margin + stride - side) for side in x.shape[2:]]
    enlarged = F.pad(x.float(), (0, lack[1], 0, lack[0]), mode="replicate")
    return reflect_pad(enlarged, stride, margin).to(x.dtype)


def replace_modules(
    network: nn.Module, kind: type[nn.Module], make: Callable[[Any], Module]
) -> list[Module]:
    """Replace modules of a kind, in place, by what `make` returns for each; return these."""
    made = []
    for parent in [*network.modules()]:
        for name, child in parent.named_children():
            if isinstance(child, kind):
                made.append(make(child))
                setattr(parent, name, made[-1])
    return made


class _UnshuffledConv(nn.Module):
    def __init__(self, conv: nn.Conv2d) -> None:
        super().__init__()
        self.conv = conv

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.conv(x)
        return y


def skip_last_shuffle(body: nn.Module) -> None:
    """Let a network's body return (N, 4 C, H / 2, W / 2), for a pixel shuffle by 2 elsewhere."""
    replace_modules(body, ShuffleConv, lambda layer: _UnshuffledConv(layer.conv))


def four_of_each(x: Tensor) -> Tensor:
    """(N, 3, 1, 1) to (N, 12, 1, 1): each color's value for its four subpixels."""
    return x.reshape(-1, 3, 1, 1).expand(-1, 3, 4, 1).reshape(-1, 12, 1, 1)


def crop(x: Tensor, margin: int, height: int, width: int) -> Tensor:
    """(N, C, H, W) without `margin` at the top and left, to this height and width."""
    return x[..., margin : margin + height, margin : margin + width]


class Yuv420Conv(nn.Module):
    """1x1 convolutions from 2x2 pixels of RGB in [0, 1] to yuv420: BT.709, limited range.

    Named as in `rgb_to_yuv.yuv420_weights`, if it is its parent's `yuv420`.
    """

    def __init__(self) -> None:
        super().__init__()
        self.luma, self.chroma = nn.Conv2d(12, 4, 1), nn.Conv2d(12, 2, 1)
        weights = yuv420_weights(matrix=1, full_range=False)
        named = {name.split(".", 1)[1]: torch.from_numpy(x) for name, x in weights.items()}
        self.load_state_dict(named)

    def matrix(self) -> tuple[Tensor, Tensor]:
        """The weights of both as a matrix (6, 12), and the biases, (6,)."""
        assert self.luma.bias is not None and self.chroma.bias is not None
        weight = torch.cat([self.luma.weight, self.chroma.weight], 0)
        return weight.reshape(6, 12), torch.cat([self.luma.bias, self.chroma.bias], 0)


def planes_to_yuv420p(luma: Tensor, chroma: Tensor, width: int) -> Tensor:
    """(N, 3 H / 2, W) from luma before its pixel shuffle, (N, 4, H / 2, W / 2), and chroma."""
    planes = (F.pixel_shuffle(luma, 2), chroma)
    return torch.cat([x.reshape(x.shape[0], -1, width) for x in planes], 1)
