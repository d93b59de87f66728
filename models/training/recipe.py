"""The parameters of training a network, and the options that set them."""

import argparse
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import torch

from impasto.models.architectures import CLASSIC
from impasto.models.gatys.choices import Pooling
from impasto.models.gatys.optimize import PRESETS
from impasto.models.loss_network import convnet_of
from impasto.models.loss_network_names import STAGES
from impasto.models.losses import CONTENT_LAYER, STYLE_LAYERS


@dataclass(frozen=True)
class Recipe:
    """All parameters of training. Fields are saved with a network, so their names stay."""

    form: str = "fast"  # the architecture
    loss_network: str = "compact"
    steps: int = 1500
    batch: int = 2
    crop: int = 224  # px
    learning_rate: float = 2e-3
    content_weight: float = 1.0
    style_weight: float = 3.5
    # of relu1_1 ... relu5_1; strokes live in relu3_1 and relu4_1
    layer_weights: tuple[float, ...] = (1.0, 1.0, 2.0, 2.0, 0.5)
    color_weight: float = 5.0  # of colors distributed as the painting's
    vigor_weight: float = 1.0  # of gradients distributed as the painting's
    tv_weight: float = 0.05
    temporal_weight: float = 0.0
    grid_weight: float = 500.0  # of patterns that repeat at the network's stride
    border_weight: float = 100.0  # of border effects of zero padding
    range_weight: float = 10.0  # keeps the unclamped output near [0, 1]
    painting_side: int = 512  # px, long side of the painting for images reduced to 2/3
    seed: int = 1
    objective: str = "ours"  # or "johnson2016": content, style and total variation alone
    # Layers of the loss network, and their weights; none: CONTENT_LAYER, STYLE_LAYERS with
    # `layer_weights`.
    content_layers: Mapping[str, float] = field(default_factory=dict)
    style_layers: Mapping[str, float] = field(default_factory=dict)
    pooling: Pooling = "max"  # of the loss network
    before_relu: bool = False  # features of it before the ReLU of their layers
    schedule: str = "cosine"  # of the learning rate, see `loop.learning_rate_at`; or "constant"
    averaged: bool = True  # whether the result is the moving average of the weights
    largest_gradient: float = 1.0  # the norm to which gradients are clipped; 0: they are not
    start: str = ""  # the style that training began from, if any
    painting: str = ""  # name and SHA-256 of the picture file
    painting_sha256: str = ""
    student_of: str = ""  # the architecture of the network that it learned from

    @property
    def content_weights(self) -> dict[str, float]:
        """The weight of each content layer."""
        return dict(self.content_layers or {CONTENT_LAYER: 1.0})

    @property
    def style_weights(self) -> dict[str, float]:
        """The weight of each style layer."""
        return dict(self.style_layers or zip(STYLE_LAYERS, self.layer_weights, strict=True))


def _johnson2016() -> Recipe:
    """As published, but for three things: photos are cropped to a square, not squeezed; the content
    loss is relative to that of each photo; the network has instance norm.

    Layers and weights are those of the preset of `models.gatys.optimize`, in its relative units.
    """
    published = PRESETS["johnson2016"]
    return Recipe(
        form=CLASSIC,
        objective="johnson2016",
        loss_network=published.loss_network,
        steps=40_000,
        batch=4,
        crop=256,
        learning_rate=1e-3,
        content_layers=published.content_layers,
        style_layers=published.style_layers,
        content_weight=published.content_weight,
        style_weight=published.style_weight,
        tv_weight=published.tv_weight,
        painting_side=256,
        schedule="constant",
        averaged=False,
        largest_gradient=0.0,
    )


RECIPES = {"ours": Recipe(), "johnson2016": _johnson2016()}


def recipe_of(preset: str, given: Mapping[str, Any]) -> Recipe:
    """A recipe of RECIPES with some fields replaced; None keeps the preset's own value.

    A loss network that is no VGG has layers of its own, as the preset's are those of VGGs. Raises
    WeightsError for a file that cannot be read.
    """
    changes = {name: value for name, value in given.items() if value is not None}
    name = convnet_of(changes.get("loss_network", "compact"))
    if name is not None:
        changes.setdefault("content_layers", {STAGES[name].content: 1.0})
        changes.setdefault("style_layers", dict.fromkeys(STAGES[name].style, 1.0))
    return replace(RECIPES[preset], **changes)


# Known from files, or set by a preset: not options of the training scripts.
_NO_OPTIONS = (
    *("painting", "painting_sha256", "student_of", "start"),
    *("objective", "content_layers", "style_layers", "pooling", "before_relu"),
    *("schedule", "averaged", "largest_gradient"),
)


def add_recipe_options(
    parser: argparse.ArgumentParser, defaults: Recipe, architectures: Sequence[str]
) -> None:
    """Add the options that every training script has, one for each field of the recipe too."""
    parser.add_argument("--photos", type=Path, required=True)
    parser.add_argument("--parent", type=Path, help="the network to start from")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--precision", choices=("auto", "fp32", "bf16"), default="auto")
    for name, value in asdict(defaults).items():
        if name in _NO_OPTIONS:
            continue
        flag, several = "--" + name.replace("_", "-"), isinstance(value, tuple)
        parser.add_argument(
            flag,
            type=float if several else type(value),
            nargs=len(value) if several else None,
            default=value,
            choices=architectures if name == "form" else None,
        )


def recipe_from(args: argparse.Namespace) -> Recipe:
    """The recipe of parsed options."""
    names = [name for name in asdict(Recipe()) if name not in _NO_OPTIONS]
    given = {name: getattr(args, name) for name in names}
    return Recipe(**(given | {"layer_weights": tuple(given["layer_weights"])}))


def sha256_of(path: Path) -> str:
    """The SHA-256 of a file, in hexadecimal."""
    return hashlib.sha256(path.read_bytes()).hexdigest()
