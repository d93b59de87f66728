"""The image transformation network of Johnson et al. 2016 (arXiv:1603.08155): the classic network.

As in the paper's supplementary material, but with instance norm (Ulyanov et al. 2016,
arXiv:1607.08022) in place of batch norm, as in most work since. About 126,000 multiply-adds a
pixel, padding not counted; 154,000 in the common variant with resize-convolutions.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from impasto.models.architectures import CLASSIC
from impasto.models.layers import reflect_pad


class ClassicNet(nn.Module):
    """(N, 3, H, W) RGB in [0, 1], at least 44 px a side, to the same shape and range."""

    architecture = CLASSIC
    MARGIN = 40  # px of reflection; the residual blocks, which do not pad, use it up
    STRIDE = 4

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(
            *_step(nn.Conv2d(3, 32, 9, padding=4)),
            *_step(nn.Conv2d(32, 64, 3, stride=2, padding=1)),
            *_step(nn.Conv2d(64, 128, 3, stride=2, padding=1)),
            *(ValidResidualBlock(128) for _ in range(5)),
            *_step(nn.ConvTranspose2d(128, 64, 3, stride=2, padding=1, output_padding=1)),
            *_step(nn.ConvTranspose2d(64, 32, 3, stride=2, padding=1, output_padding=1)),
            nn.Conv2d(32, 3, 9, padding=4),
        )

    def forward(self, images: Tensor) -> Tensor:
        height, width = images.shape[-2:]
        y = self.body(reflect_pad(images, self.STRIDE, self.MARGIN))
        return (torch.tanh(y) * 0.5 + 0.5)[..., :height, :width]


class ValidResidualBlock(nn.Module):
    """Two 3x3 convolutions without padding, added to the middle of their input."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels, channels, 3)
        self.norm1 = nn.InstanceNorm2d(channels, affine=True)
        self.conv2 = nn.Conv2d(channels, channels, 3)
        self.norm2 = nn.InstanceNorm2d(channels, affine=True)

    def forward(self, x: Tensor) -> Tensor:
        y = F.relu(self.norm1(self.conv1(x)))
        return x[..., 2:-2, 2:-2] + self.norm2(self.conv2(y))


def _step(conv: nn.Conv2d | nn.ConvTranspose2d) -> list[nn.Module]:
    return [conv, nn.InstanceNorm2d(conv.out_channels, affine=True), nn.ReLU()]
