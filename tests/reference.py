"""Norm statistics by the plainest way there is, for comparison."""

import torch
from torch import Tensor, nn

from impasto.models.fast.norm_statistics import NormStatistics
from impasto.models.fast.uint8_io import Uint8Wrapper
from impasto.models.layers import reflect_pad
from impasto.models.transform_net import TransformNet


@torch.inference_mode()
def measure(network: TransformNet, frames: Tensor) -> NormStatistics:
    """What each norm of `network` sees, and the padded picture first, of (1, H, W, 3) uint8."""
    picture = Uint8Wrapper(network).normalize(frames)
    seen = [reflect_pad(picture, network.STRIDE, network.MARGIN)]
    norms = [m for m in network.body.modules() if isinstance(m, nn.InstanceNorm2d)]
    hooks = [norm.register_forward_pre_hook(lambda _, x: seen.append(x[0])) for norm in norms]
    network(picture)
    for hook in hooks:
        hook.remove()
    channels = [x.double().transpose(0, 1).flatten(1) for x in seen]
    return NormStatistics(
        torch.cat([x.mean(1) for x in channels]).float(),
        torch.cat([x.var(1, correction=0) for x in channels]).float(),
    )
