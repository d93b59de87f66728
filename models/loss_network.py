"""Loss networks by name or file: the compact network, VGGs, and other ConvNets of torchvision."""

from pathlib import Path

import torch

from impasto.models.convnets import convnet_from
from impasto.models.downloads import downloaded_weights
from impasto.models.errors import WeightsError
from impasto.models.loss_network_names import LOSS_NETWORKS, STAGES
from impasto.models.precision import Precision, dtype_of
from impasto.models.vgg import LossNetwork, compact_network, is_vgg, vgg_from
from impasto.models.weight_files import load_tensors


def load_loss_network(
    name: str,
    *,
    device: torch.device | str = "cpu",
    precision: Precision = "auto",
    teacher: Path | None = None,
) -> LossNetwork:
    """A frozen loss network by name, or from a file of weights.

    name: "compact"; one of LOSS_NETWORKS, whose weights torchvision downloads once, hash checked;
    a file of such weights, .pth or .safetensors, or of Oxford's VGGs; or "oxford", the file
    `teacher`. precision: "auto" is the faster one on `device`, as features need no more than
    bfloat16.
    Raises WeightsError for an unknown name, a missing or damaged file or a failed download.
    """
    if name == "compact":
        network: LossNetwork = compact_network()
    elif name in LOSS_NETWORKS:
        network = _downloaded(name)
    elif path := teacher if name == "oxford" else _file(name):
        network = _from_tensors(load_tensors(path), path.name)
    else:
        raise WeightsError(
            f"unknown loss network {name!r}; use {', '.join(LOSS_NETWORKS)}, or a file of weights"
        )
    return freeze(network, dtype_of(precision, str(device)), device)


def _file(name: str) -> Path | None:
    path = Path(name)
    return path if path.suffix or path.exists() else None


def _downloaded(name: str) -> LossNetwork:
    from torchvision import models as zoo

    weights = zoo.get_model_weights(name).IMAGENET1K_V1
    instead = "get that file elsewhere and give it with --loss-network FILE, or use compact"
    network = _from_tensors(downloaded_weights(weights, name, instead=instead), name)
    network.title = name
    return network


def _from_tensors(tensors: dict[str, torch.Tensor], title: str) -> LossNetwork:
    return vgg_from(tensors, title) if is_vgg(tensors) else convnet_from(tensors, title)


def convnet_of(name: str) -> str | None:
    """The key in STAGES of a loss network by name or file; None for VGGs and what is unknown."""
    if name in STAGES or name in LOSS_NETWORKS or not Path(name).is_file():
        return name if name in STAGES else None
    tensors = load_tensors(Path(name))
    return None if is_vgg(tensors) else convnet_from(tensors, name).name


def freeze(network: LossNetwork, dtype: torch.dtype, device: torch.device | str) -> LossNetwork:
    """The network in place without weight gradients, channels last, on `device` in `dtype`."""
    network.requires_grad_(False).eval()
    for child in network.children():  # the preprocessing stays float32
        child.to(dtype)
    return network.to(device).to(memory_format=torch.channels_last)
