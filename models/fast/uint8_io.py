"""Any style network on uint8 pictures, as it is: what every faster path is compared with."""

import torch
from torch import Tensor, nn


class EightBit(nn.Module):
    """(N, H, W, 3) uint8 RGB to the same shape, through a network of (N, 3, H, W) in [0, 1]."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, frames: Tensor) -> Tensor:
        stylized = self.network(self.picture(frames)).float() * 255
        return stylized.clamp(0, 255).round().to(torch.uint8).permute(0, 2, 3, 1)

    def picture(self, frames: Tensor) -> Tensor:
        """(N, 3, H, W) in [0, 1], in the network's own dtype and channels_last order."""
        dtype = next(self.network.parameters()).dtype
        return (frames.permute(0, 3, 1, 2).float() / 255).to(dtype)
