"""The parameters of training a network, and the options that set them."""

import argparse
import hashlib
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import torch


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
    painting: str = ""  # name and SHA-256 of the picture file
    painting_sha256: str = ""
    student_of: str = ""  # the architecture of the network that it learned from


_FROM_FILE = ("painting", "painting_sha256", "student_of")  # known from the file, not options


def add_recipe_options(
    parser: argparse.ArgumentParser, defaults: Recipe, architectures: Sequence[str]
) -> None:
    """Add the options that every training script has, one for each field of the recipe too."""
    parser.add_argument("--photos", type=Path, required=True)
    parser.add_argument("--parent", type=Path, help="the network to start from")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--precision", choices=("auto", "fp32", "bf16"), default="auto")
    for field, value in asdict(defaults).items():
        if field in _FROM_FILE:
            continue
        flag, several = "--" + field.replace("_", "-"), isinstance(value, tuple)
        parser.add_argument(
            flag,
            type=float if several else type(value),
            nargs=len(value) if several else None,
            default=value,
            choices=architectures if field == "form" else None,
        )


def recipe_from(args: argparse.Namespace) -> Recipe:
    """The recipe of parsed options."""
    fields = [field for field in asdict(Recipe()) if field not in _FROM_FILE]
    given = {field: getattr(args, field) for field in fields}
    return Recipe(**(given | {"layer_weights": tuple(given["layer_weights"])}))


def sha256_of(path: Path) -> str:
    """The SHA-256 of a file, in hexadecimal."""
    return hashlib.sha256(path.read_bytes()).hexdigest()
