"""Fine-tune a style network on a few stylized keyframes.

After Texler et al. 2020, "Interactive Video Stylization Using Few-Shot Patch-Based Training": small
patches of a few keyframes train a network to stylize the frames between them. Theirs is trained
from scratch with a discriminator; here a style of the package is fine-tuned, and the Gram matrices
of the stylized keyframes take the discriminator's place.
"""

import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import torch
from torch import Tensor, nn

from impasto.models.loss_network import load_loss_network
from impasto.models.losses import STYLE_LAYERS, content_loss, gram_matrix, style_loss, temporal_loss
from impasto.models.networks import StyleNetwork
from impasto.models.precision import Precision
from impasto.models.training.loop import train
from impasto.models.training.motion import random_motion
from impasto.models.training.objectives import LossTerms
from impasto.models.training.recipe import Recipe

PATCH = 128  # px
RECIPE = Recipe(steps=400, batch=4, crop=PATCH, learning_rate=1e-3)
_PIXEL_WEIGHT, _FEATURE_WEIGHT, _STYLE_WEIGHT, _TEMPORAL_WEIGHT = 2.0, 1.0, 2.0, 10.0
_FEATURE_LAYER = "relu3_1"  # where patches are compared, besides their pixels


def finetune(
    network: StyleNetwork,
    pairs: Sequence[tuple[Tensor, Tensor]],
    *,
    recipe: Recipe = RECIPE,
    device: str = "cpu",
    precision: Precision = "auto",
    on_step: Callable[[int, int], None] = lambda done, total: None,
) -> StyleNetwork:
    """Fine-tune `network` (in place) to map the first image of each pair to the second; return it.

    pairs: keyframes and their stylized versions, (1, 3, H, W) each in [0, 1]. recipe: only its
    steps, batch, crop, learning rate, loss network and seed are used. on_step: gets the number of
    steps done and of all steps. Raises WeightsError.
    """
    torch.manual_seed(recipe.seed)
    loss_network = load_loss_network(recipe.loss_network, device=device, precision=precision)
    generator = torch.Generator().manual_seed(recipe.seed)
    with torch.no_grad():
        targets = [loss_network(stylized.to(device), STYLE_LAYERS) for _, stylized in pairs]
        target_grams = {
            layer: torch.stack([gram_matrix(features[layer]) for features in targets]).mean(0)
            for layer in STYLE_LAYERS
        }

    def losses_of(network: nn.Module, batch: Tensor) -> LossTerms:
        photos, target = batch[:, :3], batch[:, 3:]
        stylized = network(photos).float()
        features = loss_network(stylized, (*STYLE_LAYERS, _FEATURE_LAYER))
        with torch.no_grad():
            target_features = loss_network(target, [_FEATURE_LAYER])[_FEATURE_LAYER]
        feature_error = content_loss(features[_FEATURE_LAYER], target_features)
        grams = {k: gram_matrix(features[k]).mean(0, keepdim=True) for k in STYLE_LAYERS}
        moved = random_motion(photos, stylized, generator)
        next_stylized = network(moved.photos).float()
        temporal = temporal_loss(next_stylized, moved.stylized, moved.mask)
        return {
            "pixels": _PIXEL_WEIGHT * (stylized - target).abs().mean(),
            "features": _FEATURE_WEIGHT * feature_error.mean(),
            "style": _STYLE_WEIGHT * style_loss(grams, target_grams).mean(),
            "temporal": _TEMPORAL_WEIGHT * temporal.mean(),
        }

    with tempfile.TemporaryDirectory() as folder:  # for the checkpoint, which is not kept
        out = Path(folder) / "finetuned.safetensors"
        return train(
            network,
            recipe,
            patches(pairs, recipe),
            losses_of,
            out=out,
            device=device,
            precision=precision,
            on_step=lambda step, losses, average: on_step(step, recipe.steps),
        )


def patches(pairs: Sequence[tuple[Tensor, Tensor]], recipe: Recipe) -> Iterator[Tensor]:
    """Endless batches (batch, 6, crop, crop): random patches of keyframes, raw and stylized."""
    generator = torch.Generator().manual_seed(recipe.seed)
    stacked = [torch.cat(pair, dim=1)[0] for pair in pairs]
    side = min(recipe.crop, *(min(pair.shape[1:]) // 4 * 4 for pair in stacked))
    while True:
        batch = []
        for _ in range(recipe.batch):
            pair = stacked[int(torch.randint(len(stacked), (), generator=generator))]
            y = int(torch.randint(pair.shape[1] - side + 1, (), generator=generator))
            x = int(torch.randint(pair.shape[2] - side + 1, (), generator=generator))
            patch = pair[:, y : y + side, x : x + side]
            mirrored = torch.rand((), generator=generator) < 0.5
            batch.append(patch.flip(2) if mirrored else patch)
        yield torch.stack(batch)
