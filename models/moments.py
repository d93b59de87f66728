"""Mean and variance of channels, as instance norm needs them, and their moving average."""

from typing import NamedTuple

import torch
from torch import Tensor


class Moments(NamedTuple):
    """Mean and variance of each channel over one picture: (C,) float32."""

    mean: Tensor
    variance: Tensor


def moments_of(x: Tensor) -> Moments:
    """Mean and variance of each channel of one picture. x: (1, C, H, W), any strides.

    Summed down the columns of (H, W * C) first, which reads memory in order: 0.1 ms for 32
    channels of 168x98 in channels_last order where torch.var_mean, walking by channel, takes 1.3.
    """
    rows = x.permute(0, 2, 3, 1).float().reshape(x.shape[2], -1)
    mean, mean_square = (
        sums.mean(0).view(-1, x.shape[1]).mean(0) for sums in (rows, rows.square())
    )
    return Moments(mean, (mean_square - mean.square()).clamp_min(0))


def join(parts: list[Moments]) -> Moments:
    """All channels of `parts`, in their order."""
    return Moments(torch.cat([m.mean for m in parts]), torch.cat([m.variance for m in parts]))


def moving_average(old: Moments, new: Moments, weight: float) -> Moments:
    """`old` moved towards `new` by `weight` (0 to 1)."""
    return Moments(
        torch.lerp(old.mean, new.mean, weight), torch.lerp(old.variance, new.variance, weight)
    )
