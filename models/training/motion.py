"""Synthetic camera motion with known flow, for the temporal loss."""

from dataclasses import dataclass

import torch
from torch import Tensor

from impasto.models.flow import warp


@dataclass(frozen=True)
class NextFrame:
    """The next frame of a synthetic video, and the previous stylized frame warped to it."""

    photos: Tensor  # (N, 3, H, W), warped, with new sensor noise
    stylized: Tensor  # (N, 3, H, W), warped by the same flow
    mask: Tensor  # (N, 1, H, W), 1 where the pixel was visible before


def random_motion(photos: Tensor, stylized: Tensor, generator: torch.Generator) -> NextFrame:
    """Synthetic camera motion: a shift of up to 8 px, a small rotation and zoom, and noise.

    photos, stylized: (N, 3, H, W) in [0, 1]. Half of the frames do not move, so that the network
    learns to ignore noise as well.
    """
    n, _, height, width = photos.shape

    def uniform(scale: float) -> Tensor:
        return (torch.rand(n, 1, 1, generator=generator) * 2 - 1).to(photos.device) * scale

    y = torch.arange(height, device=photos.device).view(1, -1, 1) - height / 2
    x = torch.arange(width, device=photos.device).view(1, 1, -1) - width / 2
    angle, zoom = uniform(0.03), uniform(0.03)
    moving = (torch.rand(n, 1, 1, generator=generator) < 0.5).to(photos.device)
    flow = torch.stack(
        [zoom * x - angle * y + uniform(8.0), angle * x + zoom * y + uniform(8.0)], dim=1
    ) * moving.unsqueeze(1)
    inside = (x + width / 2 + flow[:, 0]).clamp(0, width - 1) == x + width / 2 + flow[:, 0]
    inside &= (y + height / 2 + flow[:, 1]).clamp(0, height - 1) == y + height / 2 + flow[:, 1]
    noise = torch.randn(photos.shape, generator=generator).to(photos.device)
    level = torch.rand(n, 1, 1, 1, generator=generator).to(photos.device) * 0.03
    return NextFrame(
        photos=(warp(photos, flow) + level * noise).clamp(0, 1),
        stylized=warp(stylized, flow),
        mask=inside.unsqueeze(1).float(),
    )
