"""The table of named styles; checked loading; strength and blends by mixing weights."""

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

from impasto.models.architectures import FORMS, shapes
from impasto.models.errors import WeightsError

if TYPE_CHECKING:  # torch loads only with the first network
    from impasto.models.transform_net import TransformNet

WEIGHTS = Path(__file__).parent / "weights"


@dataclass(frozen=True)
class Style:
    """One row of the table: the painting behind a style, and the file that holds its weights."""

    name: str
    painting: str
    artist: str
    year: str
    licence: str
    sentence: str
    weights: dict[str, Any]  # file, sha256, form, recipe, content, style


@cache
def manifest() -> dict:
    """The table beside the weights: {"credits": [...], "trunks": {...}, "styles": {...}}."""
    return json.loads((WEIGHTS / "manifest.json").read_text())


def known_styles() -> dict[str, Style]:
    """Every style shipped, by name, in the table's order."""
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
                f"{part!r} is no style with a positive share, such as great_wave:0.6"
            )
        shares[name] = shares.get(name, 0.0) + value
    total = sum(shares.values())
    return {name: value / total for name, value in shares.items()}


class Weights(NamedTuple):
    """What a network is, for engines that need no PyTorch."""

    form: str  # one of impasto.models.architectures.FORMS
    arrays: dict[str, np.ndarray]  # float32, by the names that `TransformNet` gives them


def load_style(spec: str, *, strength: float = 1.0) -> "TransformNet":
    """The network of a style or a blend, ready to run: float32, evaluation mode, on the CPU.

    spec: a name, a blend ("great_wave:0.6+starry_night:0.4"), or a path to a .safetensors file.
    strength: 0 gives the picture back, 1 paints in full, from the trunk to the style in weight
    space (deep network interpolation, Wang et al. 2019, eq. 1). Raises WeightsError.
    """
    return network_of(load_weights(spec, strength=strength))


def load_weights(spec: str, *, strength: float = 1.0) -> Weights:
    """As `load_style`, without PyTorch, which takes longer to load than all the rest."""
    mixture = mixture_of(spec, strength=strength)
    parts = {path: read_weights(path) for path in mixture}
    form, arrays = parts[next(iter(mixture))]
    if len(mixture) > 1:
        arrays = _mixed([(parts[path].arrays, share) for path, share in mixture.items()])
    return Weights(form, arrays)


def weights_of(network: "TransformNet") -> Weights:
    """The opposite of `network_of`."""
    state = network.state_dict()
    return Weights(network.form_name, {name: x.float().numpy() for name, x in state.items()})


def network_of(weights: Weights) -> "TransformNet":
    """The network itself."""
    import torch

    from impasto.models.transform_net import TransformNet

    network = TransformNet(weights.form)
    network.load_state_dict({name: torch.from_numpy(x) for name, x in weights.arrays.items()})
    return network.eval()


def mixture_of(spec: str, *, strength: float = 1.0) -> dict[Path, float]:
    """Which files hold the networks of a style, and the share of each: as for `load_style`."""
    if not 0 <= strength <= 1:
        raise WeightsError(f"strength is {strength}; it goes from 0 (the picture) to 1 (the style)")
    shares = parse_blend(spec)
    mixture = {style_file(name): share * strength for name, share in shares.items()}
    forms = {form_of(path) for path in mixture}
    if len(forms) > 1:
        raise WeightsError(f"{spec} mixes networks of different forms: {', '.join(sorted(forms))}")
    if strength < 1:
        mixture[trunk_file(forms.pop())] = 1 - strength
    return mixture


def mix(networks: Mapping[Path, "TransformNet"], mixture: Mapping[Path, float]) -> "TransformNet":
    """A new network whose weights are the sum of each network's, times its share."""
    mixed = copy.deepcopy(networks[next(iter(mixture))])
    if len(mixture) > 1:
        parts = [(networks[path].state_dict(), share) for path, share in mixture.items()]
        mixed.load_state_dict(_mixed(parts))
    return mixed


def _mixed(parts: list[tuple[dict[str, Any], float]]) -> dict[str, Any]:
    return {name: sum(part[name] * share for part, share in parts) for name in parts[0][0]}


def style_file(name: str) -> Path:
    """Where the weights of a named style are, checked against the table's SHA-256."""
    if name.endswith(".safetensors"):
        return Path(name)
    styles = known_styles()
    if name not in styles:
        near = difflib.get_close_matches(name, styles, n=1, cutoff=0.4)
        hint = f", did you mean {near[0]}?" if near else "."
        raise WeightsError(f"no style {name!r}{hint} Known: {', '.join(styles)}")
    return checked(styles[name].weights)


def trunk_file(form: str) -> Path:
    """Where the trunk of a form is: the network that gives its input back."""
    trunks = manifest()["trunks"]
    if form not in trunks:
        raise WeightsError(f"no trunk for form {form!r}, so strength below 1 cannot be had")
    return checked(trunks[form])


def checked(row: dict) -> Path:
    """The file of a table's row. Raises WeightsError when it is not the one described."""
    path = WEIGHTS / row["file"]
    try:
        found = hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError as error:
        raise WeightsError(f"{path}: {error.strerror}; install impasto again") from None
    if found != row["sha256"]:
        raise WeightsError(f"{path} is damaged (SHA-256 {found[:12]}...); install impasto again")
    return path


def form_of(path: Path) -> str:
    """The form of the network in a safetensors file. Raises WeightsError as `read_weights` does."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, "numpy") as file:
            form = (file.metadata() or {}).get("form", "")
    except FileNotFoundError:
        raise WeightsError(f"no style file {path}") from None
    except (OSError, SafetensorError) as error:
        raise WeightsError(f"{path} is not a whole safetensors file ({error})") from None
    if form not in FORMS:
        raise WeightsError(f"{path} is no Impasto style: its metadata name no network form")
    return form


def read_weights(path: Path) -> Weights:
    """What a safetensors file holds. Raises WeightsError when that is no network of ours."""
    from safetensors.numpy import load_file

    form = form_of(path)
    arrays = {name: value.astype(np.float32) for name, value in load_file(path).items()}
    if {name: value.shape for name, value in arrays.items()} != shapes(form):
        raise WeightsError(f"{path} does not hold the weights of a {form!r} network")
    return Weights(form, arrays)


def load_network(path: Path) -> "TransformNet":
    """The network in a safetensors file. Raises WeightsError when the file holds none of ours."""
    return network_of(read_weights(path))
