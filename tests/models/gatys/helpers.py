"""Images and settings for the tests of Gatys optimization."""

from pathlib import Path

import torch

from impasto.models.gatys.optimize import Settings, resized
from impasto.models.losses import STYLE_LAYERS

SAMPLES = Path(__file__).parents[3] / "samples"
EXACT = Settings(
    precision="fp32", levels=1, style_layers=dict.fromkeys(STYLE_LAYERS, 1.0), style_loss="gram"
)


def blobs(height: int, width: int, seed: int) -> torch.Tensor:
    """A smooth random image, (1, 3, height, width) in [0, 1]."""
    generator = torch.Generator().manual_seed(seed)
    small = torch.rand(1, 3, height // 12 + 2, width // 12 + 2, generator=generator)
    return resized(small, (height, width))
