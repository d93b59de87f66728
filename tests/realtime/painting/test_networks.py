"""`impasto paint` with other loss networks, layers, optimizers and presets."""

import json
from pathlib import Path

import pytest
import torch
from torch import nn

from impasto.models.convnets import _untrained
from impasto.models.gatys.optimize import PRESETS, settings_of
from impasto.realtime.files.images import read_image, write_image
from tests.pictures import make_pictures
from tests.realtime.conftest import Impasto

FAST = ("--size", 64, "--steps", 2)


@pytest.fixture
def files(tmp_path: Path) -> tuple[Path, Path, Path]:
    """A picture, a painting, and where the result goes."""
    names = [tmp_path / name for name in ("content.png", "wave.png", "out.png")]
    for seed, path in enumerate(names[:2]):
        write_image(path, make_pictures(1, 64, 80, seed=seed)[0])
    return names[0], names[1], names[2]


@pytest.fixture
def alexnet(tmp_path: Path) -> Path:
    """AlexNet with random weights, without its classifier."""
    model = _untrained("alexnet").to_empty(device="cpu")
    for tensor in model.state_dict().values():
        nn.init.normal_(tensor, std=0.05)
    torch.save(model.state_dict(), tmp_path / "alexnet.pth")
    return tmp_path / "alexnet.pth"


def test_another_convnet_from_a_file_has_layers_of_its_own(
    files: tuple[Path, Path, Path], alexnet: Path, impasto: Impasto
) -> None:
    ran = impasto("paint", *files, *FAST, "--loss-network", alexnet)
    assert (ran.code, ran.err) == (0, "")
    assert "loss network: alexnet of alexnet.pth in " in ran.out
    assert read_image(files[2]).shape == (64, 80, 3)
    settings = settings_of("ours", {"loss_network": str(alexnet), "style_layers": {"relu1": 1.0}})
    assert (settings.content_layers, settings.style_layers) == ({"relu4": 1.0}, {"relu1": 1.0})
    more = ("--content-layers", "conv4_2", "--overwrite")
    ran = impasto("paint", *files, *FAST, "--loss-network", alexnet, *more)
    assert ran.code == 1 and "no layer conv4_2 in alexnet of alexnet.pth: " in ran.err
    small = ("--size", 16, "--steps", 2, "--overwrite", "--loss-network", alexnet)
    ran = impasto("paint", *files, *small)
    assert ran.code == 1 and "is too small for relu" in ran.err and ran.err.count("\n") == 1


@pytest.mark.parametrize("preset", ["johnson2016", "gatys2016"])
def test_what_stands_in_for_a_network_that_cannot_be_downloaded_is_named(
    preset: str, files: tuple[Path, Path, Path], impasto: Impasto
) -> None:
    ran = impasto("paint", *files, *FAST, "--preset", preset)
    name = PRESETS[preset].loss_network
    assert ran.code == 0
    assert ran.err == "" or ran.err.startswith("Downloading") and ran.err.count("\n") == 1
    assert f"the compact network stands in for {name}: cannot download {name} from https" in ran.out
    asked = ("--preset", preset, "--loss-network", name, "--overwrite")
    ran = impasto("paint", *files, *FAST, *asked)
    assert ran.code == 1 and "https://" in ran.err and "/models/vgg" in ran.err


def test_layers_optimizer_and_features_before_relu(
    files: tuple[Path, Path, Path], impasto: Impasto
) -> None:
    layers = ("--style-layers", "conv1_1,block2_conv1:0.5,features.10", "--content-layers", "4_2")
    options = ("--before-relu", "--optimizer", "sgd", "--learning-rate", "0.01")
    ran = impasto("paint", *files, *FAST, *layers, *options, "--preset", "default")
    assert (ran.code, ran.err) == (0, "")
    ran = impasto("paint", *files, *FAST, "--overwrite", "--content-layers", "conv5_3")
    assert ran.code == 1 and ran.err.count("\n") == 1
    assert "compact has no layer conv5_3: the nearest are" in ran.err and "vgg19" in ran.err
    ran = impasto("paint", *files, *FAST, "--overwrite", "--style-layers", "conv1_1,relu1_1")
    assert ran.code == 1 and "given twice" in ran.err
    ran = impasto("paint", *files, *FAST, "--overwrite", "--loss-network", "vgg20")
    assert ran.code == 2 and "vgg19" in ran.err
    ran = impasto("paint", *files, *FAST, "--overwrite", "--learning-rate", "0.1")
    assert ran.code == 2 and "adam and sgd" in ran.err


def test_a_study_of_loss_networks_gives_each_its_own_layers(
    files: tuple[Path, Path, Path], alexnet: Path, impasto: Impasto
) -> None:
    study = ("--study", "loss-network", "--values", f"compact,{alexnet}", "--json")
    ran = impasto("paint", *files, "--size", 64, "--steps", 1, *study)
    assert ran.code == 0
    first, second = json.loads(ran.out)["pictures"]
    assert (first["name"], second["name"]) == ("compact", "alexnet.pth")
    assert first["style_relu3_1"] > 0 and second["style_relu3"] > 0
