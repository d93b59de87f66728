"""Saves the state of a training run as a safetensors file, and resumes from it."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

StateDict = dict[str, Tensor]

_ADAM_STATE = ("exp_avg", "exp_avg_sq")


def save_checkpoint(
    path: Path,
    recipe: Mapping[str, Any],
    step: int,
    network: nn.Module,
    average: StateDict,
    adam: torch.optim.Adam,
    *,
    seconds: float = 0.0,
) -> None:
    """Write weights, their moving average and Adam's two moments to `path`, atomically.

    recipe: the training parameters, by name; JSON values. step, seconds: how many steps are done,
    and how long they took.
    """
    tensors = {f"network.{name}": value for name, value in network.state_dict().items()}
    tensors |= {f"average.{name}": value for name, value in average.items()}
    for index, parameter in enumerate(network.parameters()):
        for moment in _ADAM_STATE if parameter in adam.state else ():
            tensors[f"adam.{index}.{moment}"] = adam.state[parameter][moment]
    metadata = {"step": str(step), "seconds": f"{seconds:.1f}", "recipe": json.dumps(dict(recipe))}
    partial = path.with_suffix(".checkpoint.partial")
    # Copied, since a weight that networks share is saved for each of them.
    copies = {name: value.clone().contiguous() for name, value in tensors.items()}
    save_file(copies, partial, metadata)
    partial.replace(path)


def load_checkpoint(
    path: Path,
    recipe: Mapping[str, Any],
    network: nn.Module,
    average: StateDict,
    adam: torch.optim.Adam,
) -> tuple[int, float]:
    """Load a checkpoint into `network`, `average` and `adam`, in place; return its step, seconds.

    Returns 0, and loads nothing, if there is no checkpoint or its recipe differs.
    """
    if not saved_step(path, of=recipe):
        return 0, 0.0
    with safe_open(path, "pt") as file:
        metadata = file.metadata()
        network.load_state_dict({name: file.get_tensor(f"network.{name}") for name in average})
        for name in average:
            average[name].copy_(file.get_tensor(f"average.{name}"))
        saved = set(file.keys())
        for index, parameter in enumerate(network.parameters()):
            if f"adam.{index}.{_ADAM_STATE[0]}" not in saved:
                continue  # it had no gradient yet
            adam.state[parameter] = {
                "step": torch.tensor(float(metadata["step"])),
                **{
                    moment: file.get_tensor(f"adam.{index}.{moment}").to(parameter.device)
                    for moment in _ADAM_STATE
                },
            }
    return int(metadata["step"]), float(metadata.get("seconds", 0))


def saved_step(path: Path, *, of: Mapping[str, Any] | None = None) -> int:
    """The number of steps done when a checkpoint was saved; 0 if there is none, or not `of` this
    recipe."""
    if not path.exists():
        return 0
    with safe_open(path, "pt") as file:
        metadata = file.metadata()
    if of is not None and json.loads(metadata["recipe"]) != json.loads(json.dumps(dict(of))):
        return 0
    return int(metadata["step"])
