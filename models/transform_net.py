"""Our feed-forward image transformation network, after Johnson et al. 2016, made small and fast."""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from models.layers import ResidualBlock, ShuffleConv, UpsampleConv, conv, reflect_pad


@dataclass(frozen=True)
class Form:
    """The shape of a network: where it does its work, and how wide it is there."""

    stride: int  # the residual blocks work at 1 / stride of the picture's size
    width: int  # channels in the residual blocks
    stem: int  # channels after the first convolution, at 2 / stride
    stem_size: int  # px, the first convolution's kernel
    up: int  # channels after the first step back up, at 2 / stride
    blocks: int = 5
    skip: bool = False  # add the stem's features to those on the way back up


# Chosen by the bake-off in README.md beside this file.
FORMS = {
    "q32": Form(stride=4, width=32, stem=16, stem_size=5, up=16),
    "q48": Form(stride=4, width=48, stem=16, stem_size=5, up=24),
    "e48": Form(stride=8, width=48, stem=24, stem_size=7, up=24),
    "e64": Form(stride=8, width=64, stem=32, stem_size=7, up=32),
    "e64skip": Form(stride=8, width=64, stem=32, stem_size=7, up=32, skip=True),
}


class TransformNet(nn.Module):
    """(N, 3, H, W) RGB in [0, 1], at least 24 px a side, to the same shape, about [0, 1].

    The picture is standardised first (each channel to mean 0, deviation 1), and its mean and
    deviation are handed around the body to `recolor`. Instance norm in every layer makes the style
    strong whatever the light; what it takes away can so be given back, which the trunk needs to
    reproduce its input, and which a style learns to use as far as its palette allows.
    """

    MARGIN = 16  # px of reflection around the picture; the convolutions' zero padding stays in it

    def __init__(self, form_name: str) -> None:
        super().__init__()
        self.form_name = form_name
        self.stride = FORMS[form_name].stride
        self.body = Body(FORMS[form_name])
        self.gain = nn.Parameter(torch.full((3, 1, 1), 0.25))
        self.gain_deviation = nn.Parameter(torch.zeros(3, 1, 1))
        self.offset = nn.Parameter(torch.full((3, 1, 1), 0.5))
        self.offset_mean = nn.Parameter(torch.zeros(3, 1, 1))

    def forward(self, images: Tensor) -> Tensor:
        height, width = images.shape[-2:]
        x = reflect_pad(images, self.stride, self.MARGIN)
        variance, mean = torch.var_mean(x, dim=(2, 3), keepdim=True, correction=0)
        deviation = (variance + 1e-5).sqrt()
        gain, offset = self.recolor(mean, deviation)
        y = self.body((x - mean) / deviation) * gain + offset
        return y[..., self.MARGIN : self.MARGIN + height, self.MARGIN : self.MARGIN + width]

    def recolor(self, mean: Tensor, deviation: Tensor) -> tuple[Tensor, Tensor]:
        """The output map y * gain + offset for an input of this mean and deviation, (N, 3, 1, 1)."""
        gain = self.gain + self.gain_deviation * deviation
        return gain, self.offset + self.offset_mean * mean


class Body(nn.Module):
    """Down by `stride`, residual blocks, and back up: convolutions and instance norms alone."""

    def __init__(self, form: Form) -> None:
        super().__init__()
        self.skip = form.skip
        self.stem = normed(conv(3, form.stem, form.stem_size, stride=form.stride // 2), form.stem)
        self.down = normed(conv(form.stem, form.width, 3, stride=2), form.width)
        self.blocks = nn.Sequential(*(ResidualBlock(form.width) for _ in range(form.blocks)))
        self.up = normed(UpsampleConv(form.width, form.up), form.up)
        # From 2 / stride: one pixel shuffle for a stride of 4, two for 8.
        if form.stride == 8:
            self.refine = nn.Sequential(normed(ShuffleConv(form.up, 8), 8), nn.ReLU())
            self.out = ShuffleConv(8, 3)
        else:
            self.refine = nn.Sequential()
            self.out = ShuffleConv(form.up, 3)

    def forward(self, x: Tensor) -> Tensor:
        stem = F.relu(self.stem(x))
        y = self.blocks(F.relu(self.down(stem)))
        y = self.up(y)
        if self.skip:
            y = y + stem
        return self.out(self.refine(F.relu(y)))


def normed(layer: nn.Module, channels: int) -> nn.Sequential:
    """A convolution followed by instance norm (Ulyanov et al. 2016) with its own scale and shift."""
    return nn.Sequential(layer, nn.InstanceNorm2d(channels, affine=True))
