"""Measures the mean and variance of channels, as instance norm needs them, and averages them."""

import torch
from torch import Tensor

from impasto.models.fast.norm_statistics import NormStatistics


def statistics_of(x: Tensor) -> NormStatistics[Tensor]:
    """Mean and variance of each channel of one picture. x: (1, C, H, W), any strides."""
    _, channels, height, width = x.shape
    lines = x.permute(0, 2, 3, 1)
    if not x.is_cpu:
        lines = lines.float().reshape(height, -1)  # (H, W * C): reads the memory in order
        mean, mean_square = (
            sums.mean(0).view(-1, channels).mean(0) for sums in (lines, lines.square())
        )
        return NormStatistics(mean, (mean_square - mean.square()).clamp_min(0))
    # The operator of batch norm reads the memory in order, and once: 0.03 ms for 64 channels of
    # 84x49 in bf16, where torch.var_mean, which reads channel by channel, takes 0.7. It is made for
    # many channels, so with few of them neighboring pixels count as further channels.
    group = 8 if channels < 16 and width % 8 == 0 else 1
    lines = lines.reshape(1, height, width // group, group * channels)
    stats = torch.ops.aten.batch_norm_update_stats(lines.permute(0, 3, 1, 2), None, None, 0.0)
    mean, variance = (x.float().view(group, channels) for x in stats)
    spread = mean.var(0, correction=0)
    return NormStatistics(mean.mean(0), variance.mean(0) + spread)


def tensors_of(
    statistics: NormStatistics, device: torch.device | str = "cpu"
) -> NormStatistics[Tensor]:
    """Statistics as tensors on a device; those on the host share their memory."""
    return NormStatistics(*(torch.as_tensor(x, device=device) for x in statistics))


def join(parts: list[NormStatistics[Tensor]]) -> NormStatistics[Tensor]:
    """Concatenate the channels of `parts`."""
    return NormStatistics(
        torch.cat([m.mean for m in parts]), torch.cat([m.variance for m in parts])
    )


def split(statistics: NormStatistics[Tensor], widths: list[int]) -> list[NormStatistics[Tensor]]:
    """The inverse of `join`: parts of these numbers of channels."""
    parts = zip(statistics.mean.split(widths), statistics.variance.split(widths), strict=True)
    return [NormStatistics(mean, variance) for mean, variance in parts]


def moving_average(
    old: NormStatistics[Tensor], new: NormStatistics[Tensor], weight: float
) -> NormStatistics[Tensor]:
    """`old` moved toward `new` by `weight` (0 to 1)."""
    return NormStatistics(
        torch.lerp(old.mean, new.mean, weight), torch.lerp(old.variance, new.variance, weight)
    )
