"""Train several styles together: one body, and for each style its own norms and decoder.

    python -m impasto.models.training.together PAINTING... --photos PHOTOS --out FOLDER

After Dumoulin et al. 2017: what strokes have in common is learned once, a style is 33,000 numbers
of 425,000, and styles mix well, as most of their weights are the same. FOLDER gets a complete style
file for each painting, by its name. The identity network cannot share their body, which loses
colors: `train identity`, with one of these files as the parent, comes after.

With --student-of, a folder of style files of a larger architecture by the same names, each network
learns to paint as its namesake does.
"""

import argparse
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from itertools import cycle
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from impasto.models.architectures import ARCHITECTURES, shared_weights
from impasto.models.judge import StyleMetrics
from impasto.models.loss_network import load_loss_network
from impasto.models.precision import Precision
from impasto.models.styles import load_network
from impasto.models.training.checkpoint import StateDict
from impasto.models.training.dataset import crops, list_photos, read_photo
from impasto.models.training.loop import train
from impasto.models.training.objectives import (
    LossTerms,
    student_losses,
    style_losses,
    style_targets,
)
from impasto.models.training.recipe import Recipe, add_recipe_options, recipe_from, sha256_of
from impasto.models.training.results import evaluate_network, figures_as_text, save_network
from impasto.models.transform_net import TransformNet


def tied_networks(names: Sequence[str], start: TransformNet) -> nn.ModuleDict:
    """Copies of `start` by name that share one set of `shared_weights`."""
    networks = nn.ModuleDict()
    shared = shared_weights(start.architecture)
    for name in names:
        network = TransformNet(start.architecture)
        network.load_state_dict(start.state_dict())
        for weight in shared if len(networks) else ():
            module, _, part = weight.rpartition(".")
            first = next(iter(networks.values()))
            setattr(network.get_submodule(module), part, first.get_parameter(weight))
        networks[name] = network
    return networks


def train_together(
    paintings: Sequence[Path],
    photos: Path,
    recipe: Recipe,
    parent: Path | None,
    out: Path,
    device: str,
    teacher: Path | None = None,
    precision: Precision = "auto",
    differences: Mapping[str, Mapping[str, Any]] | None = None,
    student_of: Path | None = None,
) -> None:
    """Train a style for each painting, one step each in turn, and write it into the folder `out`.

    Other arguments as for `train_style`; recipe.steps counts the steps of all. differences: by the
    painting's stem, the fields of the recipe that differ, such as {"udnie": {"style_weight": 3.5}}.
    student_of: a folder of style files, by the paintings' stems.
    """
    torch.manual_seed(recipe.seed)
    out.mkdir(parents=True, exist_ok=True)
    training, held_back = list_photos(photos)
    names = [path.stem for path in paintings]
    recipes = {name: replace(recipe, **(differences or {}).get(name, {})) for name in names}
    start = load_network(parent) if parent else TransformNet(recipe.form)
    assert isinstance(start, TransformNet), "classic networks do not share weights"
    networks = tied_networks(names, start)
    loss_network = load_loss_network(
        recipe.loss_network, device=device, precision=precision, teacher=teacher
    )
    pictures = {path.stem: read_photo(path) for path in paintings}
    targets = {k: style_targets(p, loss_network, recipe, device) for k, p in pictures.items()}
    models = _models(student_of, names, device) if student_of else None
    generator = torch.Generator().manual_seed(recipe.seed)
    turns, latest = cycle(networks), dict.fromkeys(networks, "")  # the losses of each, as text

    def losses_of(networks: nn.Module, batch: Tensor) -> LossTerms:
        assert isinstance(networks, nn.ModuleDict)
        name = next(turns)
        network = networks[name]
        if models:
            assert isinstance(network, TransformNet)
            losses = student_losses(network, batch, models[name])
        else:
            losses = style_losses(network, batch, targets[name], recipes[name], generator)
        latest[name] = " ".join(f"{term} {loss:.3f}" for term, loss in losses.items())
        return losses

    def report(step: int, losses: LossTerms, average: StateDict) -> None:
        if step % (20 * len(networks)) == 0:
            print(step, *(f"  {name}: {text}" for name, text in latest.items()), sep="\n")

    batches = crops(training, size=recipe.crop, batch=recipe.batch, seed=recipe.seed)
    train(
        networks,
        recipe,
        batches,
        losses_of,
        out=out / "together",
        device=device,
        precision=precision,
        on_step=report,
    )
    for path in paintings:
        network = networks[path.stem]
        assert isinstance(network, TransformNet)
        metrics = StyleMetrics(loss_network, pictures[path.stem][None])
        figures, _ = evaluate_network(network, map(read_photo, held_back[::4]), metrics)
        found = figures_as_text(figures)
        print(f"{path.stem}:", *(f"{name} {value}" for name, value in found.items()), flush=True)
        own = replace(
            recipes[path.stem],
            painting=path.name,
            painting_sha256=sha256_of(path),
            student_of=models[path.stem].architecture if models else "",
        )
        target = out / f"{path.stem}.safetensors"
        save_network(network, target, recipe=json.dumps(asdict(own)), **found)


def _models(folder: Path, names: Sequence[str], device: str) -> dict[str, TransformNet]:
    """The style networks in a folder, by name."""
    models = {}
    for name in names:
        network = load_network(folder / f"{name}.safetensors")
        assert isinstance(network, TransformNet)
        models[name] = network.to(device)
    return models


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("paintings", type=Path, nargs="+", metavar="PAINTING")
    parser.add_argument("--teacher", type=Path, help="Oxford VGG-19 as safetensors")
    parser.add_argument("--student-of", type=Path, help="a folder of style files to paint like")
    parser.add_argument("--differences", type=Path, help="JSON: the recipe's fields by painting")
    add_recipe_options(parser, replace(Recipe(), form="fine"), list(ARCHITECTURES))
    args = parser.parse_args()
    train_together(
        args.paintings,
        args.photos,
        recipe_from(args),
        args.parent,
        args.out,
        args.device,
        args.teacher,
        args.precision,
        json.loads(args.differences.read_text()) if args.differences else None,
        args.student_of,
    )


if __name__ == "__main__":
    main()
