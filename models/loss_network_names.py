"""The names of loss networks, their layers, and the spellings of these; loads nothing."""

import re
from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from typing import NamedTuple

VGG_BLOCKS = {  # convolutions between two poolings (Simonyan and Zisserman 2014, table 1)
    "vgg11": (1, 1, 2, 2, 2),
    "vgg13": (2, 2, 2, 2, 2),
    "vgg16": (2, 2, 3, 3, 3),
    "vgg19": (2, 2, 4, 4, 4),
}
VGGS = tuple(name + bn for name in VGG_BLOCKS for bn in ("", "_bn"))


class Stages(NamedTuple):
    """The named stages of a ConvNet as layers: name -> node in torchvision's graph of it.

    style, content: the layers to take where none are asked for.
    """

    layers: Mapping[str, str]
    style: Sequence[str]
    content: str


def _same(*names: str) -> dict[str, str]:
    return {name: name for name in names}


_RESNET = Stages(
    _same("relu", "layer1", "layer2", "layer3", "layer4"),
    ("relu", "layer1", "layer2", "layer3", "layer4"),
    "layer3",
)
_RELUS = {f"relu{k}": f"features.{n}" for k, n in enumerate((1, 4, 7, 9, 11), start=1)}
_FIRES = {f"fire{k}": f"features.{n}" for k, n in enumerate((3, 4, 6, 7, 9, 10, 11, 12), start=2)}
_DENSE = {f"denseblock{k}": f"features.denseblock{k}" for k in range(1, 5)}
_INCEPTIONS = ("3a", "3b", "4a", "4b", "4c", "4d", "4e", "5a", "5b")
STAGES = {
    "alexnet": Stages(_RELUS, tuple(_RELUS), "relu4"),
    "squeezenet1_1": Stages(
        {"relu1": "features.1"} | _FIRES, ("relu1", "fire3", "fire4", "fire5"), "fire2"
    ),
    "resnet18": _RESNET,
    "resnet50": _RESNET,
    "densenet121": Stages({"relu0": "features.relu0"} | _DENSE, ("relu0", *_DENSE), "denseblock3"),
    "googlenet": Stages(
        _same("conv1", "conv2", "conv3", *(f"inception{k}" for k in _INCEPTIONS)),
        ("conv1", "conv3", "inception3b", "inception4c", "inception5b"),
        "inception4b",
    ),
}
LOSS_NETWORKS = ("compact", *VGGS, *STAGES)


def vgg_layer(text: str, convolutions: Sequence[str], numbers: Mapping[int, str]) -> str:
    """The name "relu4_2" for a layer of a VGG in anybody's spelling.

    "conv4_2", "relu4_2", "relu_4_2", "r42", "4_2", "block4_conv2", "vgg_19/conv4/conv4_2";
    "features.21" (see `numbers`); "conv_10", the tenth. What cannot be read stays as it is.
    convolutions: names of this form, in order. numbers: those of torchvision's modules.
    """
    name = text.strip().lower().rpartition("/")[2]
    if match := re.fullmatch(r"(?:(?:conv|relu|r)[_.]?)?(\d)_(\d)|(?:conv|relu|r)(\d)(\d)", name):
        block, index = (part for part in match.groups() if part)
        return f"relu{block}_{index}"
    if match := re.fullmatch(r"block_?(\d)_(?:conv|relu)_?(\d)", name):
        return f"relu{match[1]}_{match[2]}"
    if match := re.fullmatch(r"(?:conv|relu)_(\d+)", name):
        number = int(match[1])
        return convolutions[number - 1] if 0 < number <= len(convolutions) else text
    if match := re.fullmatch(r"features[._](\d+)", name):
        return numbers.get(int(match[1]), text)
    return text


def nearest(name: str, known: Sequence[str]) -> str:
    """What to say after the name of an unknown layer: the nearest ones, or all."""
    close = get_close_matches(name, known, 3, 0.5)
    return f"the nearest are {', '.join(close)}" if close else f"it has {', '.join(known)}"
