"""Styles trained together share their body, differ in the rest, and are style files like all."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from torchvision.utils import save_image

from impasto.models.architectures import shared_weights, state_dict_shapes
from impasto.models.styles import load_network, load_style
from impasto.models.training.checkpoint import load_checkpoint, save_checkpoint
from impasto.models.training.recipe import Recipe
from impasto.models.training.together import tied_networks, train_together
from impasto.models.transform_net import TransformNet
from tests.small_figures import small_figures

RECIPE = Recipe(form="fast", steps=3, crop=48, painting_side=64, seed=3)


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the files of one short run on two paintings."""
    folder = tmp_path_factory.mktemp("together")
    torch.manual_seed(0)
    for name in ("dusk", "dawn", *map(str, range(4))):
        save_image(torch.rand(1, 3, 64, 64), folder / f"{name}.png")
    paintings = [folder / "dusk.png", folder / "dawn.png"]
    with small_figures():
        train_together(paintings, folder, RECIPE, None, folder / "out", "cpu")
    return folder / "out"


@pytest.mark.parametrize("architecture", ["fast", "fine"])
def test_what_is_shared_is_most_of_a_network_and_never_a_norm(architecture: str) -> None:
    shapes, shared = state_dict_shapes(architecture), shared_weights(architecture)
    sizes = {name: torch.Size(shape).numel() for name, shape in shapes.items()}
    assert shared < set(shapes)
    assert sum(sizes[name] for name in shared) > 0.9 * sum(sizes.values())
    norms = {
        f"{name}.{part}"
        for name, module in TransformNet(architecture).named_modules()
        if isinstance(module, torch.nn.InstanceNorm2d)
        for part in ("weight", "bias")
    }
    assert norms and not norms & shared


def test_a_step_of_one_style_moves_the_shared_weights_of_all() -> None:
    networks = tied_networks(["one", "other"], TransformNet("fast"))
    before = {k: v.clone() for k, v in networks["other"].state_dict().items()}
    adam = torch.optim.Adam(networks.parameters(), lr=0.1)
    networks["one"](torch.rand(1, 3, 40, 40)).mean().backward()
    adam.step()
    after, shared = networks["other"].state_dict(), shared_weights("fast")
    moved = {name for name in before if not torch.equal(before[name], after[name])}
    assert moved and moved <= shared and "body.stem.0.weight" in moved


def test_the_files_share_the_body_and_mix(trained: Path) -> None:
    dusk, dawn = (
        load_network(trained / f"{name}.safetensors").state_dict() for name in ("dusk", "dawn")
    )
    assert all(torch.equal(dusk[name], dawn[name]) for name in shared_weights("fast"))
    assert not torch.equal(dusk["body.out.conv.weight"], dawn["body.out.conv.weight"])
    blend = load_style(f"{trained / 'dusk.safetensors'}:0.5+{trained / 'dawn.safetensors'}:0.5")
    assert torch.isfinite(blend(torch.rand(1, 3, 40, 40))).all()


def test_a_checkpoint_restores_what_has_been_trained_so_far(tmp_path: Path) -> None:
    """Also where a network, and so Adam's moments of it, had no step yet."""
    path, recipe = tmp_path / "run.checkpoint", {"steps": 9}

    def begin(seed: int):
        torch.manual_seed(seed)
        networks = tied_networks(["one", "other"], TransformNet("fast"))
        average = {name: value.clone() for name, value in networks.state_dict().items()}
        return networks, average, torch.optim.Adam(networks.parameters(), lr=0.01)

    networks, average, adam = begin(0)
    networks["one"](torch.rand(1, 3, 40, 40)).mean().backward()
    adam.step()
    save_checkpoint(path, recipe, 1, networks, average, adam, seconds=2.5)
    resumed, resumed_average, resumed_adam = begin(1)
    assert load_checkpoint(path, recipe, resumed, resumed_average, resumed_adam) == (1, 2.5)
    torch.testing.assert_close(resumed.state_dict(), networks.state_dict())
    torch.testing.assert_close(resumed_average, average)
    shared = resumed["one"].body.stem[0].weight
    assert resumed["other"].body.stem[0].weight is shared
    assert shared in resumed_adam.state and resumed["other"].gain not in resumed_adam.state


def test_students_learn_from_their_namesakes_by_recipes_of_their_own(
    trained: Path, small_figures: None
) -> None:
    folder = trained.parent
    paintings = [folder / "dusk.png", folder / "dawn.png"]
    train_together(
        paintings,
        folder,
        replace(RECIPE, steps=2),
        trained / "dusk.safetensors",
        folder / "students",
        "cpu",
        differences={"dusk": {"vigor_weight": 2.0}},
        student_of=trained,
    )
    for name, vigor_weight in (("dusk", 2.0), ("dawn", 1.0)):
        with safe_open(folder / "students" / f"{name}.safetensors", "pt") as file:
            recipe = json.loads(file.metadata()["recipe"])
        assert recipe["student_of"] == "fast" and recipe["painting"] == f"{name}.png"
        assert recipe["vigor_weight"] == vigor_weight
