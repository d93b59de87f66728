"""The styles of the package: their table, checked loading, strength and blends.

Networks with a common ancestor can be mixed in weight space (deep network interpolation, Wang et
al. 2019). Strength mixes a style with the identity network, which reproduces its input; a blend
mixes styles.
"""

import copy
import difflib
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from impasto.models.architectures import ARCHITECTURES, state_dict_shapes
from impasto.models.errors import WeightsError

if TYPE_CHECKING:  # torch loads only with the first network
    from impasto.models.transform_net import TransformNet

WEIGHTS = Path(__file__).parent / "weights"


@dataclass(frozen=True)
class Style:
    """One row of the table of styles: a painting, and the file with the weights of its style.

    Fields are named as the keys of manifest.json.
    """

    name: str
    painting: str
    artist: str
    year: str
    licence: str
    sentence: str
    weights: dict[str, Any]  # file, sha256, form (the architecture), recipe, content, style


@cache
def manifest() -> dict:
    """The table beside the weights: {"credits": [...], "trunks": {...}, "styles": {...}}.

    "trunks" are the identity networks, by architecture.
    """
    return json.loads((WEIGHTS / "manifest.json").read_text())


def known_styles() -> dict[str, Style]:
    """The styles of the package by name, in the table's order."""
    return {name: Style(name=name, **row) for name, row in manifest()["styles"].items()}


def parse_blend(spec: str) -> dict[str, float]:
    """ "great_wave:0.6+starry_night:0.4" as {name: share}, shares scaled to sum to one.

    A name without a share counts 1. A path to a .safetensors file may stand for a name.
    Raises WeightsError for shares that are not positive numbers.
    """
    shares: dict[str, float] = {}
    for part in spec.split("+"):
        name, colon, share = part.strip().rpartition(":")
        if not colon or share.endswith(".safetensors"):
            name, share = part.strip(), "1"
        try:
            value = float(share)
        except ValueError:
            value = 0.0
        if not name or not 0 < value < float("inf"):
            raise WeightsError(
                f"{part!r} is not a style with a positive share, such as great_wave:0.6"
            )
        shares[name] = shares.get(name, 0.0) + value
    total = sum(shares.values())
    return {name: value / total for name, value in shares.items()}


class StyleWeights(NamedTuple):
    """The weights of a `TransformNet` without PyTorch, for engines that do not use it."""

    architecture: str  # one of impasto.models.architectures.ARCHITECTURES
    arrays: dict[str, np.ndarray]  # float32, by the names of the network's state dict


def load_style(spec: str, *, strength: float = 1.0) -> "TransformNet":
    """The network of a style or a blend, ready to run: float32, evaluation mode, on the CPU.

    spec: a name, a blend ("great_wave:0.6+starry_night:0.4"), or a path to a .safetensors file.
    strength: 0 reproduces the input, 1 is the full style; in between, the weights of the identity
    network and of the style are interpolated (Wang et al. 2019, eq. 1). Raises WeightsError.
    """
    return build_network(load_weights(spec, strength=strength))


def load_weights(spec: str, *, strength: float = 1.0) -> StyleWeights:
    """As `load_style`, without PyTorch, which takes longer to load than all the rest."""
    mixture = mixture_of(spec, strength=strength)
    parts = {path: read_weights(path) for path in mixture}
    architecture, arrays = parts[next(iter(mixture))]
    if len(mixture) > 1:
        arrays = _weighted_sum([(parts[path].arrays, share) for path, share in mixture.items()])
    return StyleWeights(architecture, arrays)


def weights_of(network: "TransformNet") -> StyleWeights:
    """The weights of a network; the inverse of `build_network`."""
    state = network.state_dict()
    arrays = {name: tensor.float().numpy() for name, tensor in state.items()}
    return StyleWeights(network.architecture, arrays)


def build_network(weights: StyleWeights) -> "TransformNet":
    """A network with these weights, in evaluation mode, on the CPU."""
    import torch

    from impasto.models.transform_net import TransformNet

    network = TransformNet(weights.architecture)
    network.load_state_dict({name: torch.from_numpy(x) for name, x in weights.arrays.items()})
    return network.eval()


def mixture_of(spec: str, *, strength: float = 1.0) -> dict[Path, float]:
    """The files of networks that a style is mixed from, and the share of each.

    Arguments and errors as of `load_style`.
    """
    if not 0 <= strength <= 1:
        raise WeightsError(f"strength is {strength}; it goes from 0 (the picture) to 1 (the style)")
    shares = parse_blend(spec)
    mixture = {style_file(name): share * strength for name, share in shares.items()}
    architectures = {architecture_of(path) for path in mixture}
    if len(architectures) > 1:
        names = ", ".join(sorted(architectures))
        raise WeightsError(f"{spec} mixes networks of different architectures: {names}")
    if strength < 1:
        mixture[identity_file(architectures.pop())] = 1 - strength
    return mixture


def mix(networks: Mapping[Path, "TransformNet"], mixture: Mapping[Path, float]) -> "TransformNet":
    """A new network whose weights are the sum of each network's, times its share."""
    mixed = copy.deepcopy(networks[next(iter(mixture))])
    if len(mixture) > 1:
        parts = [(networks[path].state_dict(), share) for path, share in mixture.items()]
        mixed.load_state_dict(_weighted_sum(parts))
    return mixed


def _weighted_sum(parts: list[tuple[dict[str, Any], float]]) -> dict[str, Any]:
    return {name: sum(part[name] * share for part, share in parts) for name in parts[0][0]}


def style_file(name: str) -> Path:
    """The file of a named style, verified against the table's SHA-256; or a .safetensors path.

    Raises WeightsError.
    """
    if name.endswith(".safetensors"):
        return Path(name)
    styles = known_styles()
    if name not in styles:
        near = difflib.get_close_matches(name, styles, n=1, cutoff=0.4)
        hint = f", did you mean {near[0]}?" if near else "."
        raise WeightsError(f"no style {name!r}{hint} Known: {', '.join(styles)}")
    return verified_file(styles[name].weights)


def identity_file(architecture: str) -> Path:
    """The file of the identity network of an architecture. Raises WeightsError."""
    files = manifest()["trunks"]
    if architecture not in files:
        raise WeightsError(
            f"no identity network of architecture {architecture!r}: strength must be 1"
        )
    return verified_file(files[architecture])


def verified_file(row: dict) -> Path:
    """The file of a row of the table. Raises WeightsError if its SHA-256 differs."""
    path = WEIGHTS / row["file"]
    try:
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError as error:
        raise WeightsError(f"{path}: {error.strerror}; install impasto again") from None
    if digest != row["sha256"]:
        raise WeightsError(f"{path} is damaged (SHA-256 {digest[:12]}...); install impasto again")
    return path


def architecture_of(path: Path) -> str:
    """The architecture of the network in a safetensors file. Raises WeightsError."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, "numpy") as file:
            architecture = (file.metadata() or {}).get("form", "")
    except FileNotFoundError:
        raise WeightsError(f"no style file {path}") from None
    except (OSError, SafetensorError) as error:
        raise WeightsError(f"{path} is not a valid safetensors file ({error})") from None
    if architecture not in ARCHITECTURES:
        raise WeightsError(
            f"{path} is not an Impasto style: its metadata names no known architecture"
        )
    return architecture


def read_weights(path: Path) -> StyleWeights:
    """The weights in a safetensors file. Raises WeightsError if they are not a `TransformNet`'s."""
    from safetensors.numpy import load_file

    architecture = architecture_of(path)
    arrays = {name: value.astype(np.float32) for name, value in load_file(path).items()}
    if {name: value.shape for name, value in arrays.items()} != state_dict_shapes(architecture):
        raise WeightsError(f"{path} does not hold the weights of a {architecture!r} network")
    return StyleWeights(architecture, arrays)


def load_network(path: Path) -> "TransformNet":
    """The network in a safetensors file. Raises WeightsError as `read_weights` does."""
    return build_network(read_weights(path))
