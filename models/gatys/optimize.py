"""Gatys et al. 2016: paint one picture by optimising its pixels, coarse to fine.

A pure generator: `paint` yields its progress, prints nothing, and needs no more than tensors.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from impasto.models.errors import WeightsError
from impasto.models.gatys.lbfgs import LBFGS, Multilevel
from impasto.models.gatys.objective import (
    MARGIN,
    Losses,
    Objective,
    Previous,
    Region,
    Weights,
    painting_moments,
    regions_of,
)
from impasto.models.loss_network import LossNetwork, load_loss_network
from impasto.models.losses import STYLE_LAYERS, total_variation, total_variation_root
from impasto.models.precision import computes_bfloat16

MIN_SIDE = 16  # px: relu5_1 needs four poolings
_COARSEST = 96  # px, least short side of the coarsest level: it has one of 96 to 191
_LEAST_ROUGHNESS = 1e-3  # total variation of a painting of one colour, which has none


@dataclass(frozen=True)
class StyleImage:
    """A painting, how much it counts among others, and where in the content picture.

    image: (1, 3, H, W) in [0, 1]. mask: (1, 1, h, w) in [0, 1], of any size; None: everywhere.
    """

    image: Tensor
    weight: float = 1.0
    mask: Tensor | None = None


def _equal(layers: Sequence[str]) -> dict[str, float]:
    return dict.fromkeys(layers, 1.0)


def _shallow_first() -> dict[str, float]:
    """relu5_1 counts less: it copies the painting's things, where the others take its strokes."""
    return {layer: 1.0 if layer == "relu5_1" else 3.0 for layer in STYLE_LAYERS}


@dataclass(frozen=True)
class Settings:
    """Everything that decides how a picture is painted. The defaults are what looks best.

    Weights count relative losses (see `models.gatys_objective.Objective`), and the pyramid begins
    at about the same size whatever the picture's, so that one setting serves pictures, sizes and
    loss networks.
    """

    loss_network: str = "compact"  # compact, vgg16, vgg19, or oxford from `teacher`
    teacher: Path | None = None
    pooling: Literal["max", "average"] = "max"
    content_layers: Mapping[str, float] = field(default_factory=lambda: _equal(["relu4_2"]))
    style_layers: Mapping[str, float] = field(default_factory=_shallow_first)
    style_loss: Literal["gram", "wasserstein", "mixed"] = "mixed"
    content_weight: float = 1.0
    style_weight: float = 70.0
    tv_weight: float = 0.03  # 1 is as rough as the painting
    tv_form: Literal["squared", "root"] = "squared"
    start: Literal["content", "noise", "style"] = "content"
    seed: int = 0
    optimizer: Literal["multilevel", "lbfgs", "adam"] = "multilevel"  # L-BFGS that knows scales
    steps: int = 120  # over all levels, see `level_steps`
    learning_rate: float = 0.02  # of Adam
    history: int = 10  # gradients that L-BFGS remembers
    tolerance: float = 0.0  # stop a level when ten steps lower the total by a smaller share
    levels: int = 8  # sizes of the pyramid at most, each twice the one before
    style_scale: float = 1.0  # long side of the painting as a share of the picture's
    tile: int | None = 1024  # px, side of what the loss network sees at once; None: all
    precision: Literal["bf16", "fp32"] = "bf16"  # fp32 where bf16 would be emulated


PRESETS: dict[str, Settings] = {
    "default": Settings(),
    # Gatys et al. 2016. The ratio of their losses holds for the scale of their features only; these
    # are the weights of the authors' released code (content 1, style 1e3 / N_l^2, means of squares)
    # in our units, as measured in VGG-19 with their weights and pooling on 10 photos and 10
    # paintings. relu5_1 is left with next to nothing there.
    "gatys2016": Settings(
        loss_network="vgg19",
        pooling="average",
        style_loss="gram",
        style_layers={
            "relu1_1": 4.0,
            "relu2_1": 185.0,
            "relu3_1": 19.0,
            "relu4_1": 205.0,
            "relu5_1": 0.001,
        },
        style_weight=413.0,
        tv_weight=0.0,
        optimizer="lbfgs",
        steps=500,
        history=20,
        levels=1,
    ),
    # What Johnson et al. 2016 compare their networks with, by the authors' released
    # `slow_neural_style.lua`: VGG-16, from noise, content 1, style 5, total variation 1e-6 on
    # levels to 255, means of squares, Grams per place and channel. In our units, as measured in
    # VGG-19 with its authors' weights, at the layers of these names, for pictures of 512x512.
    "johnson2016": Settings(
        loss_network="vgg16",
        content_layers=_equal(["relu3_3"]),
        style_layers={"relu1_2": 3.0, "relu2_2": 1.1, "relu3_3": 11.7, "relu4_3": 0.18},
        style_loss="gram",
        style_weight=16.0,
        tv_weight=0.001,
        start="noise",
        optimizer="lbfgs",
        steps=500,
        history=20,
        levels=1,
    ),
}


def settings_of(preset: str, given: Mapping[str, Any]) -> Settings:
    """A preset of PRESETS with what is given in place of its own; None: not given."""
    return replace(PRESETS[preset], **{n: value for n, value in given.items() if value is not None})


class Progress(NamedTuple):
    """Where the painting stands. Losses are relative and unweighted; the total is weighted."""

    size: tuple[int, int]  # (height, width) of this level of the pyramid
    step: int
    steps: int  # over all levels
    content: float
    style: float
    total_variation: float
    total: float
    image: Tensor  # (1, 3, h, w) in [0, 1], detached; the picture so far


def paint(
    content: Tensor,
    styles: Sequence[StyleImage],
    settings: Settings,
    *,
    start: Tensor | None = None,
    previous: Previous | None = None,
    device: str = "cpu",
) -> Iterator[Progress]:
    """Optimise a picture until it has the content of one and the style of others.

    content: (1, 3, H, W) in [0, 1], already at the size to paint, sides of 16 px or more. styles:
    one or more. start: (1, 3, any, any), begin from it instead of `settings.start`. previous: a
    picture of content's size to agree with.

    Yields after every step; the last `Progress` has the result at content's size. The same
    arguments on the same machine give the same result. Raises WeightsError, also for a layer that
    the loss network has not, and ValueError for a picture that is too small.
    """
    if min(content.shape[-2:]) < MIN_SIDE:
        raise ValueError(f"expected a picture of {MIN_SIDE} px a side or more")
    if not styles:
        raise ValueError("expected one painting or more")
    network = open_network(settings, device)
    content = content.to(device)
    sizes = level_sizes(content.shape[-2:], settings.levels)
    steps = level_steps(settings.steps, len(sizes))
    first = image = _first(content, styles, settings, start).to(device)
    detailed = start is not None or settings.start != "noise"
    guess = Multilevel(sizes[0])
    done = 0
    for size, count in zip(sizes, steps, strict=True):
        if not count:
            continue
        before = None if previous is None else _previous_at(size, previous, device)
        objective = _objective(network, resized(content, size), styles, settings, before)
        image = enlarged(image, first, size) if done and detailed else resized(image, size)
        guess = guess.finer(size)
        for step, losses, pixels in optimize(objective, image, count, settings, guess):
            yield Progress(
                size,
                done + step,
                sum(steps),
                losses.content.item(),
                losses.style.item(),
                losses.total_variation.item(),
                losses.total.item(),
                pixels.clamp(0, 1),
            )
        image = pixels
        done += count


class Retouch:
    """A few steps on each of many pictures that are nearly painted, all of one size.

    What the optimiser learns of one it knows of the next: two steps do what four do from nothing.
    """

    def __init__(self, styles: Sequence[StyleImage], settings: Settings, device: str) -> None:
        """settings: `steps` are those on each; sizes, start and optimiser do not count.

        Raises WeightsError.
        """
        self._styles, self._settings, self._device = styles, settings, device
        self._network = open_network(settings, device)
        self._known: tuple[Objective, Multilevel] | None = None  # of the size last seen

    def __call__(self, content: Tensor, image: Tensor) -> Tensor:
        """`image`, nearer to its content and the styles; all (1, 3, H, W) in [0, 1]."""
        content, size = content.to(self._device), (content.shape[-2], content.shape[-1])
        settings = replace(self._settings, optimizer="multilevel", tolerance=0.0)
        if self._known is None or self._known[0].content.shape != content.shape:
            objective = _objective(self._network, content, self._styles, settings, None)
            self._known = objective, Multilevel(size)
        objective, guess = self._known
        objective.aim_at(content)
        steps = settings.steps if guess else 2 * settings.steps
        *_, (_, _, pixels) = optimize(objective, image.to(self._device), steps, settings, guess)
        return pixels.clamp(0, 1)


def open_network(settings: Settings, device: str) -> LossNetwork:
    """The frozen loss network that the settings name. Raises WeightsError."""
    network = load_loss_network(settings.loss_network, device=device, teacher=settings.teacher)
    there, named = network.convs, (*settings.content_layers, *settings.style_layers)
    if missing := [layer for layer in named if layer not in there]:
        raise WeightsError(
            f"the loss network {settings.loss_network} has no {', '.join(missing)}: "
            f"take of {', '.join(there)}, or another loss network"
        )
    if settings.pooling == "average":
        network.pool = F.avg_pool2d
    if settings.precision == "fp32":
        network.float()
    return network


def optimize(
    objective: Objective, image: Tensor, steps: int, settings: Settings, guess: Multilevel
) -> Iterator[tuple[int, Losses, Tensor]]:
    """Minimise at one size: (step from 1, losses before it, the picture after it, detached).

    guess: what "multilevel" begins from, and where it leaves what it has learnt.
    """
    pixels = image.detach().clone(memory_format=torch.contiguous_format).requires_grad_()
    optimizer: LBFGS | torch.optim.Optimizer
    if settings.optimizer == "adam":
        optimizer = torch.optim.Adam([pixels], lr=settings.learning_rate, betas=(0.9, 0.99))
    else:
        known = guess if settings.optimizer == "multilevel" else None
        optimizer = LBFGS(pixels, min(settings.history, steps), known)
    found: list[Losses] = []

    def evaluate() -> Tensor:
        found.append(objective(pixels))
        return found[-1].total

    for step in range(1, steps + 1):
        optimizer.step(evaluate)  # type: ignore[arg-type]
        yield step, found[-1], pixels.detach().clone()
        if settings.tolerance and step > 10:
            before, now = found[-11].total, found[-1].total
            if before - now < settings.tolerance * before:
                return


# --- Sizes ------------------------------------------------------------------------------------


def level_sizes(size: Sequence[int], levels: int) -> list[tuple[int, int]]:
    """(height, width) of each level, from coarse to `size`; fewer where they would be too small.

    What the network sees of a picture at once is of a fixed number of pixels, so where the coarsest
    level is decides how large the painting's forms become in it.
    """
    height, width = size
    found = [(height, width)]
    while len(found) < levels and min(found[0]) // 2 >= _COARSEST:
        found.insert(0, (round(found[0][0] / 2), round(found[0][1] / 2)))
    return found


def level_steps(steps: int, levels: int) -> list[int]:
    """As many steps at every level and twice as many at the finest, all where it is few."""
    coarser = steps // (levels + 1)
    return [coarser] * (levels - 1) + [steps - coarser * (levels - 1)]


def resized(image: Tensor, size: tuple[int, int]) -> Tensor:
    """(1, C, H, W) in [0, 1] at another size, antialiased."""
    if tuple(image.shape[-2:]) == tuple(size):
        return image
    return F.interpolate(image, size, mode="bicubic", antialias=True).clamp(0, 1)


def enlarged(image: Tensor, first: Tensor, size: tuple[int, int]) -> Tensor:
    """A painted level (1, 3, h, w) at the next size: the start, `first`, and what changed in it.

    Enlarging the picture itself would leave the detail of the start behind, for the next level to
    make again: its total began 1.4 times as high.
    """
    coarse = (image.shape[-2], image.shape[-1])
    changed = F.interpolate(image - resized(first, coarse), size, mode="bicubic")
    return (resized(first, size) + changed).clamp(0, 1)


def _seen(painting: Tensor, settings: Settings, size: tuple[int, int]) -> Tensor:
    """A painting (1, 3, h, w) at the size that suits a picture of `size`.

    Its long side is the picture's times `style_scale`, but never more than its own, as enlarging
    would teach blur, nor so little that there is nothing to see.
    """
    height, width = painting.shape[-2:]
    scale = min(1.0, settings.style_scale * max(size) / max(height, width))
    scale = max(scale, MIN_SIDE / min(height, width))
    return resized(painting, (round(height * scale), round(width * scale)))


def _objective(
    network: LossNetwork,
    content: Tensor,
    styles: Sequence[StyleImage],
    settings: Settings,
    previous: Previous | None,
) -> Objective:
    """What is minimised at the size of `content`."""
    size = (content.shape[-2], content.shape[-1])
    paintings = [_seen(style.image.to(content.device), settings, size) for style in styles]
    weights = Weights(
        settings.content_layers,
        settings.style_layers,
        settings.content_weight,
        settings.style_weight,
        settings.tv_weight,
        settings.style_loss,
        settings.tv_form,
    )
    return Objective(
        network,
        content,
        _regions(network, styles, paintings, size, settings),
        weights,
        previous,
        settings.tile,
        _roughness(styles, paintings, settings),
    )


def _previous_at(size: tuple[int, int], previous: Previous, device: str) -> Previous:
    image, mask = (resized(x.to(device), size) for x in (previous.image, previous.mask))
    return Previous(image, mask, previous.weight)


def _regions(
    network: LossNetwork,
    styles: Sequence[StyleImage],
    paintings: Sequence[Tensor],
    size: tuple[int, int],
    settings: Settings,
) -> list[Region]:
    """What is wanted where in a picture of `size`, from the paintings as they are seen there."""
    found = []
    for style, painting in zip(styles, paintings, strict=True):
        targets = painting_moments(network, painting, list(settings.style_layers), settings.tile)
        mask = None if style.mask is None else resized(style.mask.to(painting.device), size)
        found.append((targets, style.weight, mask))
    return regions_of(found)


def _roughness(
    styles: Sequence[StyleImage], paintings: Sequence[Tensor], settings: Settings
) -> float:
    """The paintings' own total variation: the weighted mean, and never nothing."""
    variation = total_variation if settings.tv_form == "squared" else total_variation_root
    each = [s.weight * variation(p).item() for s, p in zip(styles, paintings, strict=True)]
    return max(sum(each) / sum(style.weight for style in styles), _LEAST_ROUGHNESS)


def _first(
    content: Tensor, styles: Sequence[StyleImage], settings: Settings, start: Tensor | None
) -> Tensor:
    """The picture to begin from, at any size."""
    if start is not None:
        return start
    if settings.start == "noise":
        dice = torch.Generator().manual_seed(settings.seed)
        return torch.rand(content.shape, generator=dice)
    if settings.start == "style":
        return styles[0].image
    return content


# --- Memory -----------------------------------------------------------------------------------


def memory_needed(size: Sequence[int], settings: Settings, device: str = "cpu") -> int:
    """Bytes that painting a picture of (height, width) takes at most, about; the program aside.

    What the loss network keeps of one tile for its gradient, and what is kept of the whole
    picture: itself, its gradient, the memory of the optimiser, the content's features.
    """
    height, width = size
    pixels = height * width
    seen = pixels
    if settings.tile is not None and pixels > settings.tile**2 * 3 // 2:
        seen = (settings.tile + 2 * MARGIN) ** 2
    values = 500 if settings.loss_network == "compact" else 850  # a pixel seen, with gradients
    width_of_value = 2 if settings.precision == "bf16" and computes_bfloat16(device) else 4
    copies = 13 if settings.optimizer == "adam" else 14 + 2 * settings.history
    return seen * values * width_of_value + pixels * (copies * 12 + 32)
