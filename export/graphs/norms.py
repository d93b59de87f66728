"""Instance norms by statistics from elsewhere: inputs of the graph, or moved towards the picture's.

As in impasto.models.fast.norm_folding, but in plain operations, which a graph can have.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from impasto.export.graphs.rewrites import replace_modules
from impasto.export.spec import NormMode


class NormSource:
    """Where the norms of a network have their statistics from in a norm mode.

    Norms ask for their channels in the order of computation, the picture's three first.
    """

    def __init__(self, norm_mode: NormMode) -> None:
        self.norm_mode = norm_mode

    def begin(self, mean: Tensor | None, variance: Tensor | None, weight: Tensor | None) -> None:
        """Start with statistics (C,) of all channels, and the weight of the picture's own, ()."""
        self._mean, self._variance, self._weight = mean, variance, weight
        self._channels = 0
        self._new: list[tuple[Tensor, Tensor]] = []

    def of_picture(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and variance of the colors of images in [0, 1], (N or 1, 3, 1, 1)."""
        if self.norm_mode == "instance":
            return _measured(images)
        mean, variance = self.following(images, 3)
        return mean.reshape(1, 3, 1, 1), variance.reshape(1, 3, 1, 1)

    def following(self, x: Tensor, channels: int) -> tuple[Tensor, Tensor]:
        """Mean and variance for `x`, (C,); "running": moved towards its own."""
        assert self._mean is not None and self._variance is not None
        part = slice(self._channels, self._channels + channels)
        self._channels += channels
        given = self._mean[part], self._variance[part]
        if self.norm_mode == "frozen":
            return given
        assert self._weight is not None
        own = (value.squeeze((0, 2, 3)) for value in _measured(x))
        steps = [(new - old) * self._weight for new, old in zip(own, given, strict=True)]
        self._new.append((given[0] + steps[0], given[1] + steps[1]))
        return self._new[-1]

    def updated(self) -> tuple[Tensor, Tensor]:
        """The statistics of all channels after the last norm, (C,)."""
        means, variances = zip(*self._new, strict=True)
        return torch.cat(means, 0), torch.cat(variances, 0)


def _measured(x: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and variance of each channel of each picture, (N, C, 1, 1)."""
    mean = x.mean((2, 3), keepdim=True)
    rest = x - mean
    return mean, (rest * rest).mean((2, 3), keepdim=True)


class GivenNorm(nn.Module):
    """Applies an instance norm by the statistics of a `NormSource`, in float32."""

    def __init__(self, norm: nn.InstanceNorm2d, source: NormSource, dtype: torch.dtype) -> None:
        """dtype: of input and output."""
        super().__init__()
        self.weight, self.bias, self.eps = norm.weight, norm.bias, norm.eps
        self.channels, self.source, self.dtype = norm.num_features, source, dtype

    def forward(self, x: Tensor) -> Tensor:
        x = x.to(torch.float32)
        mean, variance = self.source.following(x, self.channels)
        y = F.batch_norm(x, mean, variance, self.weight, self.bias, eps=self.eps)
        return y.to(self.dtype)


def replace_norms(module: nn.Module, source: NormSource, dtype: torch.dtype) -> None:
    """Put a `GivenNorm` in the place of each instance norm."""
    replace_modules(module, nn.InstanceNorm2d, lambda norm: GivenNorm(norm, source, dtype))


def count_channels(network: nn.Module) -> int:
    """The number of channels with statistics: the picture's three and those of all norms."""
    norms = (m for m in network.modules() if isinstance(m, nn.InstanceNorm2d))
    return 3 + sum(norm.num_features for norm in norms)
