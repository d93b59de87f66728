"""A style network taught a few painted pictures: fine-tuned on patches of them.

After Texler et al. 2020, "Interactive Video Stylization Using Few-Shot Patch-Based Training": a
few keyframes, cut into many small patches, teach a network to paint the frames between as they are
painted. Theirs learns from nothing, with a discriminator; ours begins with a style of the package
and is held to the look by the Gram matrices of the painted keyframes instead.
"""

import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import torch
from torch import Tensor, nn

from impasto.models.loss_network import load_loss_network
from impasto.models.losses import STYLE_LAYERS, content_loss, gram_matrix, style_loss, temporal_loss
from impasto.models.training.train import Losses, Recipe, move, train
from impasto.models.transform_net import TransformNet

PATCH = 128  # px
RECIPE = Recipe(steps=400, batch=4, crop=PATCH, learning_rate=1e-3)
_PIXELS, _FEATURES, _STYLE, _STEADY = 2.0, 1.0, 2.0, 10.0
_SEEN = "relu3_1"  # where patches are compared, besides their pixels


def teach(
    network: TransformNet,
    pairs: Sequence[tuple[Tensor, Tensor]],
    *,
    recipe: Recipe = RECIPE,
    device: str = "cpu",
    on_step: Callable[[int, int], None] = lambda done, total: None,
) -> TransformNet:
    """Fine-tune `network` (in place) to paint the first of each pair as the second; return it.

    pairs: pictures and how they were painted, (1, 3, H, W) each in [0, 1]. recipe: its steps,
    batch, crop, learning rate, loss network and seed count. Raises WeightsError.
    """
    torch.manual_seed(recipe.seed)
    loss_network = load_loss_network(recipe.loss_network, device=device)
    dice = torch.Generator().manual_seed(recipe.seed)
    with torch.no_grad():
        seen = [loss_network(painted.to(device), STYLE_LAYERS) for _, painted in pairs]
        grams = {
            layer: torch.stack([gram_matrix(features[layer]) for features in seen]).mean(0)
            for layer in STYLE_LAYERS
        }

    def losses_of(network: nn.Module, batch: Tensor) -> Losses:
        pictures, wanted = batch[:, :3], batch[:, 3:]
        painted = network(pictures).float()
        layers = (*STYLE_LAYERS, _SEEN)
        features = loss_network(painted, layers)
        with torch.no_grad():
            target = loss_network(wanted, [_SEEN])[_SEEN]
        moved = move(pictures, painted, dice)
        repainted = network(moved.photos).float()
        found = {layer: gram_matrix(features[layer]).mean(0, keepdim=True) for layer in grams}
        return {
            "pixels": _PIXELS * (painted - wanted).abs().mean(),
            "features": _FEATURES * content_loss(features[_SEEN], target).mean(),
            "style": _STYLE * style_loss(found, grams).mean(),
            "temporal": _STEADY * temporal_loss(repainted, moved.painted, moved.mask).mean(),
        }

    with tempfile.TemporaryDirectory() as folder:  # for its checkpoint, which is not gone on from
        out = Path(folder) / "taught.safetensors"
        return train(
            network,
            recipe,
            patches(pairs, recipe),
            losses_of,
            out=out,
            device=device,
            on_step=lambda step, losses, average: on_step(step, recipe.steps),
        )


def patches(pairs: Sequence[tuple[Tensor, Tensor]], recipe: Recipe) -> Iterator[Tensor]:
    """Endless batches (batch, 6, crop, crop): a patch of a picture, and the same one painted."""
    dice = torch.Generator().manual_seed(recipe.seed)
    stacked = [torch.cat(pair, dim=1)[0] for pair in pairs]
    side = min(recipe.crop, *(min(pair.shape[1:]) // 4 * 4 for pair in stacked))
    while True:
        batch = []
        for _ in range(recipe.batch):
            pair = stacked[int(torch.randint(len(stacked), (), generator=dice))]
            y = int(torch.randint(pair.shape[1] - side + 1, (), generator=dice))
            x = int(torch.randint(pair.shape[2] - side + 1, (), generator=dice))
            patch = pair[:, y : y + side, x : x + side]
            mirrored = torch.rand((), generator=dice) < 0.5
            batch.append(patch.flip(2) if mirrored else patch)
        yield torch.stack(batch)
