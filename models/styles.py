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

from impasto.models.architectures import CLASSIC, NETWORKS, state_dict_shapes
from impasto.models.errors import WeightsError

if TYPE_CHECKING:  # torch loads only with the first network
    from impasto.models.networks import StyleNetwork

WEIGHTS = Path(__file__).parent / "weights"
SCALE = ".scale"  # see `dequantized`
SHARED = "shared"  # the key in a style file's metadata, and in the manifest


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
    # By architecture: {"fast": {"file", "sha256", "recipe", "content", "style"}, "fine": ...}.
    weights: dict[str, dict[str, Any]]


@cache
def manifest() -> dict:
    """The table beside the weights: {"credits": [...], "trunks": {...}, "styles": {...}}.

    "trunks" are the identity networks, by architecture; "shared" the files of weights that styles
    have in common.
    """
    return json.loads((WEIGHTS / "manifest.json").read_text())


def known_styles(network: str = "auto") -> dict[str, Style]:
    """The styles of the package by name, in the table's order.

    network: only those that have one of this architecture; "auto": all.
    """
    rows = manifest()["styles"].items()
    return {
        name: Style(name=name, **row)
        for name, row in rows
        if network == "auto" or network in row["weights"]
    }


def style_in(path: Path) -> Style:
    """The row of a style file that is not of the package, by its metadata. Raises WeightsError."""
    if path.suffix != ".safetensors":
        raise WeightsError(f"{path} is no style file: expected a .safetensors file")
    about = _metadata(path)
    row: dict[str, Any] = {"file": str(path)}
    row |= {name: about[name] for name in ("parent", "content", "style") if name in about}
    if "recipe" in about:
        row["recipe"] = json.loads(about["recipe"])
    described = {name: about.get(name, "") for name in ("painting", "artist", "year", "licence")}
    return Style(name=str(path), **described, sentence="", weights={about["form"]: row})


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
    """The weights of a style network without PyTorch, for engines that do not use it."""

    architecture: str  # one of impasto.models.architectures.NETWORKS
    arrays: dict[str, np.ndarray]  # float32, by the names of the network's state dict


def load_style(spec: str, *, strength: float = 1.0, network: str = "auto") -> "StyleNetwork":
    """The network of a style or a blend, ready to run: float32, evaluation mode, on the CPU.

    spec: a name, a blend ("great_wave:0.6+starry_night:0.4"), or a path: of a .safetensors file, or
    of a folder with a `fast.safetensors` and a `fine.safetensors`.
    strength: 0 reproduces the input, 1 is the full style; in between, the weights of the identity
    network and of the style are interpolated (Wang et al. 2019, eq. 1).
    network: the architecture, or "auto"; see `choose_network`. Raises WeightsError.
    """
    return build_network(load_weights(spec, strength=strength, network=network))


def load_weights(spec: str, *, strength: float = 1.0, network: str = "auto") -> StyleWeights:
    """As `load_style`, without PyTorch, which takes longer to load than all the rest."""
    mixture = mixture_of(spec, strength=strength, network=network)
    parts = {path: read_weights(path) for path in mixture}
    return mix_weights(parts, mixture)


def mix_weights(parts: Mapping[Path, StyleWeights], mixture: Mapping[Path, float]) -> StyleWeights:
    """The sum of each network's weights, times its share; of a single one, its own."""
    first = parts[next(iter(mixture))]
    if len(mixture) == 1:
        return first
    weighted = [(parts[path].arrays, share) for path, share in mixture.items()]
    return StyleWeights(first.architecture, _weighted_sum(weighted))


def weights_of(network: "StyleNetwork") -> StyleWeights:
    """The weights of a network; the inverse of `build_network`."""
    state = network.state_dict()
    arrays = {name: tensor.float().numpy() for name, tensor in state.items()}
    return StyleWeights(network.architecture, arrays)


def build_network(weights: StyleWeights) -> "StyleNetwork":
    """A network with these weights, in evaluation mode, on the CPU."""
    import torch

    from impasto.models.networks import new_network

    network = new_network(weights.architecture)
    network.load_state_dict({name: torch.from_numpy(x) for name, x in weights.arrays.items()})
    return network.eval()


def mixture_of(spec: str, *, strength: float = 1.0, network: str = "auto") -> dict[Path, float]:
    """The files of networks that a style is mixed from, and the share of each.

    Arguments and errors as of `load_style`.
    """
    if not 0 <= strength <= 1:
        raise WeightsError(f"strength is {strength}; it goes from 0 (the picture) to 1 (the style)")
    architecture = choose_network(spec, network, strength=strength)
    mixture = {
        style_file(name, architecture): share * strength
        for name, share in parse_blend(spec).items()
    }
    if strength < 1:
        mixture[identity_file(architecture)] = 1 - strength
    return mixture


def choose_network(
    spec: str, network: str = "auto", *, strength: float = 1.0, fastest: bool = False
) -> str:
    """The architecture of the networks of a style or a blend: only those of one can be mixed.

    network: an architecture, or "auto": of those that every part of `spec` has, and the identity
    network too if strength is below 1, the one that paints best, or the fastest.
    Raises WeightsError where no choice is left.
    """
    if network not in ("auto", *NETWORKS):
        raise WeightsError(f"unknown network {network!r}; use {', '.join(NETWORKS)} or auto")
    available = {name: networks_of(name) for name in parse_blend(spec)}
    if network != "auto":
        for name, networks in available.items():
            if network not in networks:
                name, others = short_name(name), " or ".join(networks)
                raise WeightsError(f"{name} has no {network} network: use --network {others}")
        return network
    common = [each for each in NETWORKS if all(each in x for x in available.values())]
    if not common:
        parts = ", ".join(f"{short_name(k)} ({' or '.join(x)})" for k, x in available.items())
        raise WeightsError(
            f"networks of different architectures cannot be mixed: {parts}; blend styles that "
            "have one in common"
        )
    if strength < 1:
        common = [each for each in common if each in manifest()["trunks"]] or common
    return common[0 if fastest else -1]


def networks_of(name: str) -> list[str]:
    """The architectures that a style has networks of; one for a .safetensors file.

    name: a style of the package, or a path. Raises WeightsError.
    """
    if name.endswith(".safetensors"):
        return [architecture_of(Path(name))]
    if found := _networks_in(name):
        return found
    return [each for each in NETWORKS if each in _known_style(name).weights]


def mix(networks: Mapping[Path, "StyleNetwork"], mixture: Mapping[Path, float]) -> "StyleNetwork":
    """A new network whose weights are the sum of each network's, times its share."""
    mixed = copy.deepcopy(networks[next(iter(mixture))])
    if len(mixture) > 1:
        parts = [(networks[path].state_dict(), share) for path, share in mixture.items()]
        mixed.load_state_dict(_weighted_sum(parts))
    return mixed


def _weighted_sum(parts: list[tuple[dict[str, Any], float]]) -> dict[str, Any]:
    return {name: sum(part[name] * share for part, share in parts) for name in parts[0][0]}


def style_file(name: str, architecture: str) -> Path:
    """The file of a named style, verified against the table's SHA-256; or of a path, as it is.

    architecture: one of `networks_of`. Raises WeightsError.
    """
    if name.endswith(".safetensors"):
        return Path(name)
    if architecture in _networks_in(name):
        return Path(name) / f"{architecture}.safetensors"
    return verified_file(_known_style(name).weights[architecture])


def short_name(name: str) -> str:
    """The name of a style's folder without the path to it; other names as they are."""
    return Path(name).name if _networks_in(name) else name


def _networks_in(folder: str) -> list[str]:
    """The architectures that a folder has a style file of, by the files' names; or none."""
    if folder in known_styles() or not Path(folder).is_dir():
        return []
    return [each for each in NETWORKS if (Path(folder) / f"{each}.safetensors").is_file()]


def _known_style(name: str) -> Style:
    styles = known_styles()
    if name not in styles and Path(name).suffix.lower() == ".onnx":
        raise WeightsError(
            f"{name} is an exported network, not a style: name the style that it was exported "
            "from, or its .safetensors file"
        )
    if name not in styles and Path(name).suffix:
        raise WeightsError(
            f"{name} is a file, not a style; impasto.realtime.with_predicted_styles gives a "
            "painting's"
        )
    if name not in styles:
        near = difflib.get_close_matches(name, styles, n=1, cutoff=0.4)
        hint = f", did you mean {near[0]}?" if near else "."
        raise WeightsError(f"no style {name!r}{hint} Known: {', '.join(styles)}")
    return styles[name]


def identity_file(architecture: str) -> Path:
    """The file of the identity network of an architecture. Raises WeightsError."""
    files = manifest()["trunks"]
    if architecture == CLASSIC:
        raise WeightsError("a style of the classic network has no strength but 1")
    if architecture not in files:
        raise WeightsError(
            f"there is no {architecture} identity network, so strength must be 1; --network "
            f"{' or '.join(files)} has one"
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
    return _metadata(path)["form"]


def _metadata(path: Path) -> dict[str, str]:
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, "numpy") as file:
            metadata = file.metadata() or {}
    except FileNotFoundError:
        raise WeightsError(f"no style file {path}") from None
    except (OSError, SafetensorError) as error:
        raise WeightsError(f"{path} is not a valid safetensors file ({error})") from None
    if metadata.get("form") not in NETWORKS:
        raise WeightsError(
            f"{path} is not an Impasto style: its metadata names no known architecture"
        )
    return dict(metadata)


def read_weights(path: Path) -> StyleWeights:
    """The weights in a safetensors file. Raises WeightsError if they are not its network's.

    Of styles that were trained together the package's files hold only their own weights; the shared
    ones are in a file whose SHA-256 is in their metadata (SHARED).
    """
    from safetensors.numpy import load_file

    metadata = _metadata(path)
    architecture, tensors = metadata["form"], load_file(path)
    if SHARED in metadata:
        row = manifest().get(SHARED, {}).get(architecture)
        if row is None or row["sha256"] != metadata[SHARED]:
            raise WeightsError(f"{path} belongs to another version of impasto; install it again")
        tensors |= load_file(verified_file(row))
    arrays = dequantized(tensors)
    if {name: value.shape for name, value in arrays.items()} != state_dict_shapes(architecture):
        raise WeightsError(f"{path} does not hold the weights of a {architecture!r} network")
    return StyleWeights(architecture, arrays)


def dequantized(tensors: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Weights as float32. Int8 ones have a scale for each output channel, (O, 1, 1, 1), beside them
    under their name and SCALE."""
    return {
        name: value.astype(np.float32)
        * (tensors[name + SCALE].astype(np.float32) if value.dtype == np.int8 else 1)
        for name, value in tensors.items()
        if not name.endswith(SCALE)
    }


def load_network(path: Path) -> "StyleNetwork":
    """The network in a safetensors file. Raises WeightsError as `read_weights` does."""
    return build_network(read_weights(path))
