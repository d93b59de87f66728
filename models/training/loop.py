"""The training loop: Adam, checkpoints, and an average of the weights."""

import csv
import math
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

from impasto.models.precision import Precision, dtype_of
from impasto.models.training.checkpoint import StateDict, load_checkpoint, save_checkpoint
from impasto.models.training.objectives import LossTerms
from impasto.models.training.recipe import Recipe

Network = TypeVar("Network", bound=nn.Module)


CHECKPOINT_STEPS, CHECKPOINT_SECONDS = 20, 60.0  # from one checkpoint to the next, at most


def learning_rate_at(progress: float, step: int, schedule: str = "cosine") -> float:
    """A factor of the full rate: 50 steps of warm-up, then half a cosine down to 2%; or 1.

    progress: from 0 to 1. schedule: "cosine" or "constant".
    """
    if schedule == "constant":
        return 1.0
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
    limit_seconds: float = math.inf,
) -> Network:
    """Minimize the sum of `losses_of(network, batch)` by Adam; return the averaged network.

    Writes `out`.checkpoint and a table of losses, `out`.csv, and resumes from them; at a constant
    learning rate even where the recipe has another number of steps now. on_step gets the number of
    steps done, the losses of the last one, and the averaged weights.
    limit_seconds: of all runs together; it ends then, if sooner, and the learning rate falls by it.
    precision: "auto" is the faster one on `device`; weights stay float32.
    The result's weights are an exponential moving average over about the last 100 steps, unless
    the recipe has none.
    """
    native = dtype_of(precision, device) is torch.bfloat16
    # In float32 on the CPU, autograd's convolutions are faster with channels first.
    layout = torch.channels_last if native else torch.contiguous_format
    network = network.to(device).to(memory_format=layout).train()
    average = {name: value.detach().clone() for name, value in network.state_dict().items()}
    betas = (0.9, 0.999) if recipe.schedule == "constant" else (0.9, 0.98)
    adam = torch.optim.Adam(network.parameters(), lr=recipe.learning_rate, betas=betas)
    checkpoint = out.with_suffix(".checkpoint")
    first, seconds = load_checkpoint(checkpoint, continued_by(recipe), network, average, adam)

    with open(out.with_suffix(".csv"), "a" if first else "w", newline="") as table:
        rows = csv.writer(table)
        started = saved = time.monotonic()
        for step, batch in zip(range(first, recipe.steps), batches, strict=False):
            passed = seconds + time.monotonic() - started
            if passed >= limit_seconds and step > first:
                break
            progress = max(step / recipe.steps, passed / limit_seconds)
            rate = learning_rate_at(progress, step, recipe.schedule)
            for group in adam.param_groups:
                group["lr"] = recipe.learning_rate * rate
            with torch.autocast(device, torch.bfloat16, enabled=native):
                losses = losses_of(network, batch.to(device, memory_format=layout))
            adam.zero_grad()
            torch.stack(list(losses.values())).sum().backward()
            if recipe.largest_gradient:
                nn.utils.clip_grad_norm_(network.parameters(), recipe.largest_gradient)
            adam.step()
            decay = min(0.99, step / (step + 20)) if recipe.averaged else 0.0
            for name, value in network.state_dict().items():
                average[name].lerp_(value, 1 - decay)
            done, now = step + 1, time.monotonic()
            is_due = done % CHECKPOINT_STEPS == 0 or now - saved > CHECKPOINT_SECONDS
            if is_due or done == recipe.steps:
                values = {name: round(loss.item(), 5) for name, loss in losses.items()}
                if table.tell() == 0:
                    rows.writerow(["step", "seconds", *values, "total"])
                passed, saved = seconds + now - started, now
                total = round(sum(values.values()), 5)
                rows.writerow([done, round(passed, 1), *values.values(), total])
                table.flush()
            if is_due:
                save_checkpoint(
                    checkpoint, continued_by(recipe), done, network, average, adam, seconds=passed
                )
            on_step(done, losses, average)
    network.load_state_dict(average)
    checkpoint.unlink(missing_ok=True)
    return network.eval()


def continued_by(recipe: Recipe) -> dict[str, Any]:
    """What must be the same for a run to continue from a checkpoint."""
    parameters = asdict(recipe)
    if recipe.schedule == "constant":
        del parameters["steps"]
    return parameters
