"""The tensors of weight files: safetensors, and PyTorch's own, of which nothing else is loaded."""

from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from impasto.models.errors import WeightsError


def load_tensors(path: Path) -> dict[str, Tensor]:
    """The tensors of a file by name: a .safetensors file, else one that `torch.save` wrote.

    Raises WeightsError for a file that is missing, damaged, or holds anything but tensors.
    """
    if not path.is_file():
        raise WeightsError(f"no weights at {path}")
    return _safetensors(path) if path.suffix == ".safetensors" else _state_dict(path)


def _safetensors(path: Path) -> dict[str, Tensor]:
    try:
        return load_file(path)
    except (OSError, SafetensorError) as error:
        raise WeightsError(f"{path} is not a valid safetensors file: {error}") from None


def _state_dict(path: Path) -> dict[str, Tensor]:
    """A state dict, such as torchvision's .pth files. What is no tensor is never unpickled."""
    try:
        loaded = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # of a damaged file, of many types
        refused = type(error).__name__ == "UnpicklingError"
        if not refused or "Unsupported operand" in str(error):
            raise WeightsError(
                f"{path} is damaged, or neither a .pth nor a .safetensors file"
            ) from None
        loaded = None  # a whole network, or other objects
    if not isinstance(loaded, dict) or not all(isinstance(x, Tensor) for x in loaded.values()):
        raise WeightsError(
            f"{path} holds more than tensors, and is not loaded: save the network's state_dict()"
        )
    return {str(name): tensor for name, tensor in loaded.items()}
