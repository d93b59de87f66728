"""Our feed-forward image transformation network, after Johnson et al. 2016, made small and fast."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from impasto.models import architectures
from impasto.models.architectures import FORMS, Form
from impasto.models.layers import ResidualBlock, ShuffleConv, UpsampleConv, conv, reflect_pad


class TransformNet(nn.Module):
    """(N, 3, H, W) RGB in [0, 1], at least 32 px a side, to the same shape, about [0, 1].

    The picture is standardised first (each channel to mean 0, deviation 1), and its mean and
    deviation are handed around the body to `recolor`. Instance norm in every layer makes the style
    strong whatever the light; what it takes away can so be given back, which the trunk needs to
    reproduce its input, and which a style learns to use as far as its palette allows. It starts
    with all of it given back.
    """

    MARGIN, STRIDE = architectures.MARGIN, architectures.STRIDE

    def __init__(self, form_name: str) -> None:
        super().__init__()
        self.form_name = form_name
        self.body = Body(FORMS[form_name])
        self.gain = nn.Parameter(torch.empty(3, 1, 1))
        self.gain_deviation = nn.Parameter(torch.empty(3, 1, 1))
        self.offset = nn.Parameter(torch.empty(3, 1, 1))
        self.offset_mean = nn.Parameter(torch.empty(3, 1, 1))
        self.keep_tone()

    def forward(self, images: Tensor) -> Tensor:
        height, width = images.shape[-2:]
        x = reflect_pad(images, self.STRIDE, self.MARGIN)
        variance, mean = torch.var_mean(x, dim=(2, 3), keepdim=True, correction=0)
        deviation = (variance + 1e-5).sqrt()
        gain, offset = self.recolor(mean, deviation)
        y = self.body((x - mean) / deviation)
        y = y[..., self.MARGIN : self.MARGIN + height, self.MARGIN : self.MARGIN + width]
        return y * gain + offset

    def keep_tone(self) -> None:
        """Give back all of the picture's mean and deviation: what a trunk needs."""
        for kept in (self.gain_deviation, self.offset_mean):
            nn.init.ones_(kept)
        for own in (self.gain, self.offset):
            nn.init.zeros_(own)

    def recolor(self, mean: Tensor, deviation: Tensor) -> tuple[Tensor, Tensor]:
        """The output's map y * gain + offset. Input mean and deviation, results: (N, 3, 1, 1)."""
        gain = self.gain + self.gain_deviation * deviation
        return gain, self.offset + self.offset_mean * mean


class Body(nn.Module):
    """Down to 1/8, residual blocks, and back up: convolutions and instance norms alone.

    The stem's features at 1/4 are added on the way up: without them the blocks' own stride shows
    as a stamped pattern, and fine content is lost.
    """

    def __init__(self, form: Form) -> None:
        super().__init__()
        self.stem = normed(conv(3, form.stem, 7, stride=4), form.stem)
        self.down = normed(conv(form.stem, form.width, 3, stride=2), form.width)
        self.blocks = nn.Sequential(*(ResidualBlock(form.width) for _ in range(form.blocks)))
        self.up = normed(UpsampleConv(form.width, form.stem), form.stem)
        self.refine = normed(UpsampleConv(form.stem, form.refine), form.refine)
        self.out = ShuffleConv(form.refine, 3)

    def forward(self, x: Tensor) -> Tensor:
        stem = F.relu(self.stem(x))
        y = self.blocks(F.relu(self.down(stem)))
        y = F.relu(self.up(y) + stem)
        return self.out(F.relu(self.refine(y)))


def normed(layer: nn.Module, channels: int) -> nn.Sequential:
    """A convolution, then instance norm (Ulyanov et al. 2016) with a scale and shift of its own."""
    return nn.Sequential(layer, nn.InstanceNorm2d(channels, affine=True))
