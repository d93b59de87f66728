"""The training loop: Adam, checkpoints, and an average of the weights."""

import csv
import math
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import TypeVar

import torch
from torch import Tensor, nn

from impasto.models.precision import Precision, dtype_of
from impasto.models.training.checkpoint import StateDict, load_checkpoint, save_checkpoint
from impasto.models.training.objectives import LossTerms
from impasto.models.training.recipe import Recipe

Network = TypeVar("Network", bound=nn.Module)


def learning_rate_at(progress: float, step: int) -> float:
    """A factor of the full rate: 50 steps of warm-up, then half a cosine down to 2%.

    progress: from 0 to 1.
    """
    return min(1.0, (step + 1) / 50) * (0.02 + 0.49 * (1 + math.cos(math.pi * progress)))


def train(
    network: Network,
    recipe: Recipe,
    batches: Iterator[Tensor],
    losses_of: Callable[[nn.Module, Tensor], LossTerms],
    *,
    out: Path,
    device: str,
    precision: Precision = "auto",
    on_step: Callable[[int, LossTerms, StateDict], None] = lambda step, losses, average: None,
) -> Network:
    """Minimize the sum of `losses_of(network, batch)` by Adam; return the averaged network.

    Writes `out`.checkpoint and a table of losses, `out`.csv, and resumes from them. on_step gets
    the number of steps done, the losses of the last one, and the averaged weights.
    precision: "auto" is the faster one on `device`; weights stay float32.
    The result's weights are an exponential moving average over about the last 100 steps.
    """
    native = dtype_of(precision, device) is torch.bfloat16
    # In float32 on the CPU, autograd's convolutions are faster with channels first.
    layout = torch.channels_last if native else torch.contiguous_format
    network = network.to(device).to(memory_format=layout).train()
    average = {name: value.detach().clone() for name, value in network.state_dict().items()}
    adam = torch.optim.Adam(network.parameters(), lr=recipe.learning_rate, betas=(0.9, 0.98))
    checkpoint = out.with_suffix(".checkpoint")
    first = load_checkpoint(checkpoint, asdict(recipe), network, average, adam)

    with open(out.with_suffix(".csv"), "a" if first else "w", newline="") as table:
        rows = csv.writer(table)
        started = time.monotonic()
        for step, batch in zip(range(first, recipe.steps), batches, strict=False):
            for group in adam.param_groups:
                group["lr"] = recipe.learning_rate * learning_rate_at(step / recipe.steps, step)
            with torch.autocast(device, torch.bfloat16, enabled=native):
                losses = losses_of(network, batch.to(device, memory_format=layout))
            adam.zero_grad()
            torch.stack(list(losses.values())).sum().backward()
            nn.utils.clip_grad_norm_(network.parameters(), 1.0)
            adam.step()
            decay = min(0.99, step / (step + 20))
            for name, value in network.state_dict().items():
                average[name].lerp_(value, 1 - decay)
            if step == 19:
                rows.writerow(["step", "seconds", *losses])
            if step % 20 == 19:
                values = {name: round(loss.item(), 5) for name, loss in losses.items()}
                rows.writerow([step + 1, round(time.monotonic() - started, 1), *values.values()])
                table.flush()
                save_checkpoint(checkpoint, asdict(recipe), step + 1, network, average, adam)
            on_step(step + 1, losses, average)
    network.load_state_dict(average)
    checkpoint.unlink(missing_ok=True)
    return network.eval()
