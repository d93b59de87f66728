"""What training gives: a style file, its figures on held-back photos, and a contact sheet."""

from collections.abc import Iterable
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from impasto.models.judge import StyleFigures, StyleMetrics, mean_figures
from impasto.models.networks import StyleNetwork
from impasto.models.training.dataset import resize_short_side


def save_network(network: StyleNetwork, path: Path, **note: str) -> None:
    """Save weights in half precision, with the architecture and `note` as the file's metadata."""
    tensors = {
        name: value.half().contiguous().cpu() for name, value in network.state_dict().items()
    }
    save_file(tensors, path, {"form": network.architecture, **note})


_EVALUATED_SIDE = 384  # px, short side of the stylized photos


@torch.no_grad()
def evaluate_network(
    network: nn.Module, photos: Iterable[Tensor], metrics: StyleMetrics
) -> tuple[StyleFigures, list[Tensor]]:
    """Mean figures over photos, (3, H, W) in [0, 1], and the stylized photos, (1, 3, H, W).

    Photos are stylized at short side _EVALUATED_SIDE and rounded to 8 bits.
    """
    device = next(network.parameters()).device
    figures, pictures = [], []
    for each in photos:
        photo = each.to(device)[None]
        stylized = network(resize_short_side(photo, _EVALUATED_SIDE)).float().clamp(0, 1)
        stylized = (stylized * 255).round() / 255
        figures.append(metrics(stylized, photo))
        pictures.append(stylized.cpu())
    return mean_figures(figures), pictures


def figures_as_text(figures: StyleFigures) -> dict[str, str]:
    """Figures as a style file's metadata has them."""
    vigor = " ".join(f"{value:.2f}" for value in figures.vigor)
    numbers = {"content": figures.content, "style": figures.style, "strokes": figures.strokes}
    text = {name: f"{value:.3f}" for name, value in numbers.items()}
    return text | {"vigor": vigor, "grid": f"{figures.grid:.2f}"}


def save_sheet(pictures: list[Tensor], path: Path) -> None:
    """Save the middle 384x384 px of each picture as one image, four in a row."""
    from torchvision.transforms.v2.functional import center_crop
    from torchvision.utils import save_image

    save_image(torch.cat([center_crop(p, [384, 384]) for p in pictures]), path, nrow=4)
