"""The image transformation network of all styles: after Johnson et al. 2016, small and fast."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from impasto.models import architectures
from impasto.models.architectures import ARCHITECTURES, ConvLayer, NetworkConfig
from impasto.models.layers import ResidualBlock, ShuffleConv, UpsampleConv, conv, reflect_pad


class TransformNet(nn.Module):
    """(N, 3, H, W) RGB in [0, 1], at least 32 px a side, to the same shape, about [0, 1].

    The input is standardized (each channel to mean 0, deviation 1), and its mean and deviation skip
    the body to `recolor`. Instance norm in every layer makes the style independent of brightness
    and contrast; this path can restore them, which the identity network needs to reproduce its
    input, and which a style learns to use as far as its palette allows. Initially they are restored
    in full.
    """

    MARGIN, STRIDE = architectures.MARGIN, architectures.STRIDE

    def __init__(self, architecture: str) -> None:
        """architecture: one of ARCHITECTURES."""
        super().__init__()
        self.architecture = architecture
        self.body = Body(ARCHITECTURES[architecture])
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
        """Restore all of the input's mean and deviation, as the identity network does."""
        for parameter in (self.gain_deviation, self.offset_mean):
            nn.init.ones_(parameter)
        for parameter in (self.gain, self.offset):
            nn.init.zeros_(parameter)

    def recolor(self, mean: Tensor, deviation: Tensor) -> tuple[Tensor, Tensor]:
        """Gain and offset of the output, y * gain + offset, from the input's mean and deviation.

        All (N, 3, 1, 1).
        """
        gain = self.gain + self.gain_deviation * deviation
        return gain, self.offset + self.offset_mean * mean


class Body(nn.Module):
    """Down, residual blocks, and back up: convolutions and instance norms only.

    Submodules are named by their layers and registered in the order of computation.
    """

    def __init__(self, config: NetworkConfig) -> None:
        super().__init__()
        self.config = config
        channels = 3
        for layer in config.down:
            self.add_module(layer.name, _layer(layer, channels))
            channels = layer.channels
        self.blocks = nn.Sequential(*(ResidualBlock(channels) for _ in range(config.blocks)))
        for layer in config.up:
            self.add_module(layer.name, _layer(layer, channels))
            channels = layer.channels
        self.out = ShuffleConv(channels, 3)

    def forward(self, x: Tensor) -> Tensor:
        outputs: dict[str, Tensor] = {}
        for layer in self.config.down:
            x = outputs[layer.name] = F.relu(getattr(self, layer.name)(x))
        x = self.blocks(x)
        for layer in self.config.up:
            x = getattr(self, layer.name)(x)
            x = outputs[layer.name] = F.relu(x + outputs[layer.skip] if layer.skip else x)
        y: Tensor = self.out(x)
        return y


def _layer(layer: ConvLayer, inputs: int) -> nn.Sequential:
    """A convolution, then instance norm (Ulyanov et al. 2016) with learned scale and shift."""
    if layer.upsample:
        first: nn.Module = UpsampleConv(inputs, layer.channels)
    else:
        first = conv(inputs, layer.channels, layer.kernel, stride=layer.stride)
    return nn.Sequential(first, nn.InstanceNorm2d(layer.channels, affine=True))
