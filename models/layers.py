"""Layers shared by the networks: padding, residual blocks, upsampling convolutions."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn


def reflect_pad(x: Tensor, stride: int, margin: int) -> Tensor:
    """Reflect `margin` px at the top and left, and up to `stride` - 1 more at bottom and right.

    x: (N, C, H, W), H and W at least `margin` + `stride`. The result's height and width are
    multiples of `stride`. Done once, before a network whose convolutions pad with zeros: the border
    effects of the zeros then lie in the margin, which the caller crops away.
    """
    height, width = x.shape[-2:]
    bottom = margin + (-(height + 2 * margin)) % stride
    right = margin + (-(width + 2 * margin)) % stride
    return F.pad(x, (margin, right, margin, bottom), mode="reflect")


def conv(inputs: int, outputs: int, size: int, *, stride: int = 1) -> nn.Conv2d:
    """A convolution that keeps the input's size, or divides it by `stride`."""
    return nn.Conv2d(inputs, outputs, size, stride=stride, padding=size // 2)


class ResidualBlock(nn.Module):
    """x + f(x), f two 3x3 convolutions with instance norm (He et al. 2016; Ulyanov et al. 2016).

    The skip connection has no norm, so brightness and color survive any number of blocks.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv1 = conv(channels, channels, 3)
        self.norm1 = nn.InstanceNorm2d(channels, affine=True)
        self.conv2 = conv(channels, channels, 3)
        self.norm2 = nn.InstanceNorm2d(channels, affine=True)

    def forward(self, x: Tensor) -> Tensor:
        y = F.relu(self.norm1(self.conv1(x)))
        return x + self.norm2(self.conv2(y))


class UpsampleConv(nn.Module):
    """Nearest-neighbor upsampling by two, then a 3x3 convolution (Odena et al. 2016)."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.conv = conv(inputs, outputs, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.conv(F.interpolate(x, scale_factor=2.0, mode="nearest"))


class ShuffleConv(nn.Module):
    """A 3x3 convolution, then a pixel shuffle by two (Shi et al. 2016).

    Initialized as nearest-neighbor upsampling (ICNR, Aitken et al. 2017, section 3): all four
    subpixels start equal, so training starts without a checkerboard.
    """

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.conv = conv(inputs, 4 * outputs, 3)
        with torch.no_grad():
            for weights in self.conv.parameters():
                weights.copy_(weights[::4].repeat_interleave(4, dim=0))

    def forward(self, x: Tensor) -> Tensor:
        return F.pixel_shuffle(self.conv(x), 2)
