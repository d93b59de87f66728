"""Train a style network, or the identity network.

    python -m impasto.models.training.train \\
        style PAINTING --photos PHOTOS --parent PARENT --out wave.safetensors
    python -m impasto.models.training.train \\
        identity --photos PHOTOS --parent PARENT --out identity.safetensors

The identity network reproduces its input. Networks can be mixed in weight space only if they
descend from one parent: the first style of an architecture is trained without a parent; all others,
and the identity network, start from it.

Runs on two CPU cores or on a GPU (in bfloat16 autocast where they compute in it). An interrupted
run resumes from its checkpoint when started again with the same arguments.
"""

import argparse
import json
from dataclasses import asdict, replace
from pathlib import Path

import torch
from torch import Tensor, nn

from impasto.models.architectures import ARCHITECTURES
from impasto.models.judge import StyleMetrics
from impasto.models.loss_network import load_loss_network
from impasto.models.networks import StyleNetwork, new_network
from impasto.models.precision import Precision
from impasto.models.styles import load_network
from impasto.models.training.checkpoint import StateDict
from impasto.models.training.dataset import crops, list_photos, read_photo
from impasto.models.training.loop import train
from impasto.models.training.objectives import (
    LossTerms,
    identity_losses,
    style_losses,
    style_targets,
)
from impasto.models.training.recipe import Recipe, add_recipe_options, recipe_from, sha256_of
from impasto.models.training.results import (
    evaluate_network,
    figures_as_text,
    save_network,
    save_sheet,
)
from impasto.models.transform_net import TransformNet


def train_identity(
    photos: Path,
    recipe: Recipe,
    parent: Path | None,
    out: Path,
    device: str,
    precision: Precision = "auto",
) -> TransformNet:
    """Train an identity network, the zero strength of all styles of its architecture."""
    torch.manual_seed(recipe.seed)
    training, _ = list_photos(photos)
    batches = crops(training, size=recipe.crop, batch=recipe.batch, seed=recipe.seed)
    network = load_network(parent) if parent else TransformNet(recipe.form)
    assert isinstance(network, TransformNet), "the classic network has no identity network"
    network.keep_tone()
    network = train(
        network,
        recipe,
        batches,
        identity_losses,
        out=out,
        device=device,
        precision=precision,
        on_step=report,
    )
    save_network(network, out, recipe=json.dumps(asdict(recipe)))
    return network


def train_style(
    painting: Path,
    photos: Path,
    recipe: Recipe,
    parent: Path | None,
    out: Path,
    device: str,
    teacher: Path | None = None,
    precision: Precision = "auto",
) -> StyleNetwork:
    """Train a style network for `painting`, and print its figures on held-back photos.

    teacher: VGG-19 weights, for the loss network "oxford".
    """
    torch.manual_seed(recipe.seed)
    training, held_back = list_photos(photos)
    network = load_network(parent) if parent else new_network(recipe.form)
    loss_network = load_loss_network(
        recipe.loss_network, device=device, precision=precision, teacher=teacher
    )
    picture = read_photo(painting)
    recipe = replace(recipe, painting=painting.name, painting_sha256=sha256_of(painting))
    metrics = StyleMetrics(loss_network, picture[None])
    targets = style_targets(picture, loss_network, recipe, device)
    generator = torch.Generator().manual_seed(recipe.seed)
    batches = crops(training, size=recipe.crop, batch=recipe.batch, seed=recipe.seed)

    def sheet(step: int, losses: LossTerms, average: StateDict) -> None:
        report(step, losses, average)
        if step % 600 == 0:
            averaged = new_network(recipe.form).to(device).eval()
            averaged.load_state_dict(average)
            _, pictures = evaluate_network(averaged, map(read_photo, held_back[:8]), metrics)
            save_sheet(pictures, out.with_suffix(".png"))

    def losses_of(network: nn.Module, batch: Tensor) -> LossTerms:
        return style_losses(network, batch, targets, recipe, generator)

    network = train(
        network,
        recipe,
        batches,
        losses_of,
        out=out,
        device=device,
        precision=precision,
        on_step=sheet,
    )
    figures, pictures = evaluate_network(network, map(read_photo, held_back[::4]), metrics)
    save_sheet(pictures[:8], out.with_suffix(".png"))
    found = figures_as_text(figures)
    print(f"{out.stem}:", *(f"{name} {value}" for name, value in found.items()), flush=True)
    save_network(network, out, recipe=json.dumps(asdict(recipe)), **found)
    return network


def report(step: int, losses: LossTerms, average: StateDict) -> None:
    """Print the losses of every 200th step."""
    if step % 200 == 0:
        print(step, *(f"{name} {loss:.4g}" for name, loss in losses.items()), flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True, metavar="{identity,style}")
    for name, aliases in (("identity", ["trunk"]), ("style", [])):
        command = commands.add_parser(name, aliases=aliases)
        if name == "style":
            command.add_argument("painting", type=Path)
            command.add_argument("--teacher", type=Path, help="Oxford VGG-19 as safetensors")
        add_recipe_options(command, Recipe(), list(ARCHITECTURES))
    args = parser.parse_args()
    recipe = recipe_from(args)
    if args.command in ("identity", "trunk"):
        train_identity(args.photos, recipe, args.parent, args.out, args.device, args.precision)
    else:
        train_style(
            args.painting,
            args.photos,
            recipe,
            args.parent,
            args.out,
            args.device,
            args.teacher,
            args.precision,
        )


if __name__ == "__main__":
    main()
