"""Gatys et al. 2016: stylize one image by optimizing its pixels, coarse to fine.

`paint` is a generator of progress: it takes tensors, yields tensors and prints nothing.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from impasto.models.errors import DownloadError, EngineError, WeightsError
from impasto.models.gatys.choices import Init, Optimizer, Pooling, Preset, StyleLoss, TvForm
from impasto.models.gatys.lbfgs import LBFGS, MultilevelPreconditioner
from impasto.models.gatys.objective import (
    Losses,
    LossWeights,
    Objective,
    Previous,
    Region,
    make_regions,
    painting_statistics,
)
from impasto.models.loss_network import LossNetwork, convnet_of, load_loss_network
from impasto.models.loss_network_names import STAGES
from impasto.models.losses import STYLE_LAYERS, total_variation, total_variation_root
from impasto.models.precision import Precision, dtype_of

MIN_SIDE = 16  # px: relu5_1 needs four poolings
_MIN_COARSEST = 96  # px, least short side of the coarsest level: it has one of 96 to 191
_TILE_MARGIN = 80  # px, see `LossNetwork.tile_margin`
_DIVERGED = 100.0  # of pixels, which are 0 to 1
_MIN_TV_SCALE = 1e-3  # for a painting of one color, whose total variation is 0


@dataclass(frozen=True)
class StyleImage:
    """A painting, its weight among several, and the region of the content image it applies to.

    image: (1, 3, H, W) in [0, 1]. mask: (1, 1, h, w) in [0, 1], of any size; None: everywhere.
    """

    image: Tensor
    weight: float = 1.0
    mask: Tensor | None = None


def _equal(layers: Sequence[str]) -> dict[str, float]:
    return dict.fromkeys(layers, 1.0)


def _shallow_first() -> dict[str, float]:
    """relu5_1 counts less: it copies the painting's objects, the others take its strokes."""
    return {layer: 1.0 if layer == "relu5_1" else 3.0 for layer in STYLE_LAYERS}


@dataclass(frozen=True)
class Settings:
    """All parameters of the optimization. The defaults are what looks best.

    Weights are of relative losses (see `models.gatys.objective.Objective`), and the pyramid begins
    at about the same size for every image, so that one setting serves images, sizes and loss
    networks.
    """

    loss_network: str = "compact"  # a name or a file, see `load_loss_network`
    teacher: Path | None = None  # of the loss network "oxford"
    stand_in: bool = False  # the compact network, where the weights of another cannot be downloaded
    before_relu: bool = False  # features before the ReLU of their layers
    pooling: Pooling = "max"
    content_layers: Mapping[str, float] = field(default_factory=lambda: _equal(["relu4_2"]))
    style_layers: Mapping[str, float] = field(default_factory=_shallow_first)
    style_loss: StyleLoss = "mixed"
    content_weight: float = 1.0
    style_weight: float = 70.0
    tv_weight: float = 0.03  # of the total variation relative to the painting's
    tv_form: TvForm = "squared"
    init: Init = "content"
    seed: int = 0
    optimizer: Optimizer = "multilevel"
    steps: int = 90  # over all levels, see `level_steps`; with a third more the eye sees the same
    learning_rate: float | None = None  # of Adam and SGD; None: see LEARNING_RATES
    history: int = 10  # steps that L-BFGS stores
    tolerance: float = 0.0  # stop a level when ten steps lower the total by a smaller share
    levels: int = 8  # sizes of the pyramid at most, each twice the one before
    style_scale: float = 1.0  # long side of the painting as a share of the image's
    tile: int | None = 1024  # px, side of the tiles of a large image; None: no tiles
    precision: Precision = "auto"  # of the features; auto: the faster one on the device


def _published(loss_network: str, **changes: Any) -> Settings:
    """What the published methods share: Gram matrices and L-BFGS at full size, from noise."""
    shared: dict[str, Any] = {
        "stand_in": True,
        "style_loss": "gram",
        "init": "noise",
        "optimizer": "lbfgs",
        "steps": 500,
        "history": 20,
        "levels": 1,
    }
    return Settings(loss_network, **(shared | changes))


PRESETS: dict[Preset, Settings] = {
    "ours": Settings(),
    "default": Settings(),  # the same
    # Gatys et al. 2015, arXiv:1508.06576, as printed: eqs. 1, 4 and 5, w_l = 1 / 5, alpha / beta =
    # 1e-3, average pooling, from noise. In our units, as measured in VGG-19 with its authors'
    # weights on 6 photos and 6 paintings, for images of 512x512: their sums depend on the size.
    "gatys2015": _published(
        "vgg19",
        pooling="average",
        style_layers={
            "relu1_1": 0.0015,
            "relu2_1": 0.16,
            "relu3_1": 0.037,
            "relu4_1": 2.3,
            "relu5_1": 0.00001,
        },
        style_weight=2.5,
        tv_weight=0.0,
    ),
    # Gatys et al. 2016. Their ratio of losses holds for the scale of their features only; these are
    # the weights of the authors' released code (content 1, style 1e3 / N_l^2, means of squares) in
    # our units, as measured in VGG-19 with their weights and pooling on 10 photos and 10 paintings.
    # With them relu5_1 counts next to nothing.
    "gatys2016": _published(
        "vgg19",
        pooling="average",
        style_layers={
            "relu1_1": 4.0,
            "relu2_1": 185.0,
            "relu3_1": 19.0,
            "relu4_1": 205.0,
            "relu5_1": 0.001,
        },
        style_weight=413.0,
        tv_weight=0.0,
        init="content",
    ),
    # The baseline of Johnson et al. 2016, from the authors' released `slow_neural_style.lua`:
    # VGG-16, from noise, content 1, style 5, total variation 1e-6 on levels to 255, means of
    # squares, Grams per position and channel. In our units, as measured in VGG-19 with its authors'
    # weights, at the layers of these names, for images of 512x512.
    "johnson2016": _published(
        "vgg16",
        content_layers=_equal(["relu3_3"]),
        style_layers={"relu1_2": 3.0, "relu2_2": 1.1, "relu3_3": 11.7, "relu4_3": 0.18},
        style_weight=16.0,
        tv_weight=0.001,
    ),
    # The defaults of jcjohnson's neural-style: content 5, style 100 with Grams per position and
    # channel, means of squares, total variation 1e-3 on levels to 255, max pooling, from noise,
    # 1000 steps. In our units, as measured like gatys2015, for images of 512x512.
    "neural-style": _published(
        "vgg19",
        style_layers={
            "relu1_1": 0.024,
            "relu2_1": 1.9,
            "relu3_1": 0.55,
            "relu4_1": 29.0,
            "relu5_1": 0.0013,
        },
        style_weight=32.0,
        tv_weight=0.4,
        steps=1000,
    ),
}


def settings_of(preset: Preset, given: Mapping[str, Any]) -> Settings:
    """A preset of PRESETS with some fields replaced; None keeps the preset's own value.

    A loss network that is given gets no stand-in; and one that is no VGG has layers of its own, as
    the preset's are those of VGGs. Raises WeightsError for a file that cannot be read.
    """
    changes = {name: value for name, value in given.items() if value is not None}
    if "loss_network" in changes:
        changes = changes_for_network(changes["loss_network"]) | changes
    return replace(PRESETS[preset], **changes)


def changes_for_network(name: str) -> dict[str, Any]:
    """The fields of Settings that come with a loss network that is asked for, by name or file.

    It gets no stand-in, and, if it is no VGG, layers of its own. Raises WeightsError.
    """
    changes: dict[str, Any] = {"loss_network": name, "stand_in": False}
    if (convnet := convnet_of(name)) is not None:
        stages = STAGES[convnet]
        changes["content_layers"] = _equal([stages.content])
        changes["style_layers"] = _equal(stages.style)
    return changes


class Progress(NamedTuple):
    """The state after one step. Losses are of this image, and relative; the total is weighted."""

    size: tuple[int, int]  # (height, width) of this level of the pyramid
    step: int
    steps: int  # over all levels
    content: float
    style: float
    total_variation: float
    total: float
    image: Tensor  # (1, 3, h, w) in [0, 1], detached
    style_layers: Mapping[str, float]  # the style loss of each layer alone


def paint(
    content: Tensor,
    styles: Sequence[StyleImage],
    settings: Settings,
    *,
    init: Tensor | None = None,
    previous: Previous | None = None,
    device: str = "cpu",
    network: LossNetwork | None = None,
) -> Iterator[Progress]:
    """Optimize an image until it has the content of one image and the style of others.

    content: (1, 3, H, W) in [0, 1], already at the output's size, sides of 16 px or more. styles:
    one or more. init: (1, 3, any, any), the image to begin from instead of `settings.init`.
    previous: the previous frame's result, at content's size, for the temporal loss. network: that
    of `open_network`, where it is open already.

    Yields after every step; the last `Progress` has the result at content's size. The same
    arguments on the same machine give the same result. Raises WeightsError, also for a layer that
    the loss network does not have, and ValueError for an image that is too small.
    """
    if min(content.shape[-2:]) < MIN_SIDE:
        raise ValueError(f"expected an image of {MIN_SIDE} px a side or more")
    if not styles:
        raise ValueError("expected one painting or more")
    network = open_network(settings, device) if network is None else network
    given_layers, settings = settings.style_layers, with_layers_of(network, settings)
    content = content.to(device)
    sizes = level_sizes(content.shape[-2:], settings.levels)
    steps = level_steps(settings.steps, len(sizes))
    first = image = _initial_image(content, styles, settings, init).to(device)
    detailed = init is not None or settings.init != "noise"
    preconditioner = MultilevelPreconditioner(sizes[0])
    done = 0
    for size, count in zip(sizes, steps, strict=True):
        if not count:
            continue
        before = None if previous is None else _previous_at(size, previous, device)
        objective = _objective(network, resized(content, size), styles, settings, before)
        image = enlarged(image, first, size) if done and detailed else resized(image, size)
        preconditioner = preconditioner.finer(size)
        steps_of_level = optimize(objective, image, count, settings, preconditioner)
        for step, losses, pixels in _with_own_losses(steps_of_level, objective, image):
            values = torch.hstack(losses).tolist()  # one copy from the device
            by_layer = dict(zip(given_layers, values[4:], strict=True))
            shown = pixels.clamp(0, 1)
            content_loss, style_loss, variation, total = values[:4]
            yield Progress(
                size,
                done + step,
                sum(steps),
                content_loss,
                style_loss,
                variation,
                total,
                shown,
                by_layer,
            )
        image = pixels
        done += count


def _with_own_losses(
    steps: Iterator[tuple[int, Losses, Tensor]], objective: Objective, first: Tensor
) -> Iterator[tuple[int, Losses, Tensor]]:
    """The steps of `optimize`, from the image `first` on, each with the losses of its own image.

    In place of a last step that has made the loss greater, the image before it.
    """
    step, losses, pixels = next(steps)
    before = first
    for later, losses, image in steps:
        yield step, losses, pixels
        step, before, pixels = later, pixels, image
    own = objective.losses(pixels)
    yield (step, own, pixels) if own.total < losses.total else (step, losses, before)


class Refiner:
    """Makes a few steps on each of many nearly finished images of one size, such as video frames.

    Its preconditioner is kept from image to image: two steps do what four do without.
    """

    def __init__(self, styles: Sequence[StyleImage], settings: Settings, device: str) -> None:
        """settings: `steps` are those on each image; levels, init and optimizer are not used.

        Raises WeightsError.
        """
        self._styles, self._device = styles, device
        self._network = open_network(settings, device)
        self._settings = with_layers_of(self._network, settings)
        self._cached: tuple[Objective, MultilevelPreconditioner] | None = None  # of the last size

    def __call__(self, content: Tensor, image: Tensor) -> Tensor:
        """`image` after some steps toward content and styles; all (1, 3, H, W) in [0, 1]."""
        content, size = content.to(self._device), (content.shape[-2], content.shape[-1])
        settings = replace(self._settings, optimizer="multilevel", tolerance=0.0)
        if self._cached is None or self._cached[0].content.shape != content.shape:
            objective = _objective(self._network, content, self._styles, settings, None)
            self._cached = objective, MultilevelPreconditioner(size)
        objective, preconditioner = self._cached
        objective.set_content(content)
        steps = settings.steps if preconditioner else 2 * settings.steps
        image = image.to(self._device)
        *_, (_, _, pixels) = optimize(objective, image, steps, settings, preconditioner)
        return pixels.clamp(0, 1)


def open_network(
    settings: Settings, device: str, log: Callable[[str], None] = lambda line: None
) -> LossNetwork:
    """The frozen loss network that the settings name, with their pooling. Raises WeightsError.

    log: called with a line that says which network it is, and where another stands in for it.
    """
    how: Any = {"device": device, "precision": settings.precision}
    try:
        network = load_loss_network(settings.loss_network, teacher=settings.teacher, **how)
    except DownloadError as error:
        if not settings.stand_in:
            raise
        network = load_loss_network("compact", **how)
        log(f"the compact network stands in for {settings.loss_network}: {error}")
    with_layers_of(network, settings)  # raises, before anything is computed
    if settings.pooling == "average":
        network.use_average_pooling()
    if settings.before_relu:
        network.use_features_before_relu()
    dtype = next(network.parameters()).dtype
    log(f"loss network: {network.title} in {'bf16' if dtype is torch.bfloat16 else 'fp32'}")
    return network


def with_layers_of(network: LossNetwork, settings: Settings) -> Settings:
    """The settings with the network's own names of their layers. Raises WeightsError."""

    def named(layers: Mapping[str, float]) -> dict[str, float]:
        found = {network.layer(name): weight for name, weight in layers.items()}
        if len(found) < len(layers):
            raise WeightsError(f"a layer is given twice in {', '.join(layers)}")
        return found

    content, style = named(settings.content_layers), named(settings.style_layers)
    return replace(settings, content_layers=content, style_layers=style)


def optimize(
    objective: Objective,
    image: Tensor,
    steps: int,
    settings: Settings,
    preconditioner: MultilevelPreconditioner,
) -> Iterator[tuple[int, Losses, Tensor]]:
    """Minimize at one size: (step from 1, losses before it, the image after it, detached).

    preconditioner: used and updated where `settings.optimizer` is "multilevel".
    """
    pixels = image.detach().clone(memory_format=torch.contiguous_format).requires_grad_()
    optimizer: LBFGS | torch.optim.Optimizer
    if settings.optimizer in LEARNING_RATES:
        optimizer = _first_order(pixels, settings)
    else:
        multilevel = settings.optimizer == "multilevel"
        history = min(settings.history, steps)
        optimizer = LBFGS(pixels, history, preconditioner if multilevel else None)
    losses: list[Losses] = []

    def evaluate() -> Tensor:
        losses.append(objective(pixels))
        if len(losses) == 1 and isinstance(optimizer, torch.optim.SGD):
            _scale_rate(optimizer, pixels)
        return losses[-1].total

    for step in range(1, steps + 1):
        optimizer.step(evaluate)  # type: ignore[arg-type]
        if settings.optimizer == "sgd" and not pixels.detach().abs().max() < _DIVERGED:
            raise EngineError("gradient descent has diverged: use a smaller learning rate")
        yield step, losses[-1], pixels.detach().clone()
        if settings.tolerance and step > 10:
            before, now = losses[-11].total, losses[-1].total
            if before - now < settings.tolerance * before:
                return


# How far a step moves a pixel, of 0 to 1: of Adam at most, the first of SGD on average.
LEARNING_RATES = {"adam": 0.02, "sgd": 0.01}


def _first_order(pixels: Tensor, settings: Settings) -> torch.optim.Optimizer:
    """Adam, or gradient descent with momentum."""
    rate = settings.learning_rate or LEARNING_RATES[settings.optimizer]
    if settings.optimizer == "adam":
        return torch.optim.Adam([pixels], lr=rate, betas=(0.9, 0.99))
    return torch.optim.SGD([pixels], lr=rate, momentum=0.9)


def _scale_rate(optimizer: torch.optim.SGD, pixels: Tensor) -> None:
    """Make the rate that of the first gradient: losses of any weight and size then suit it."""
    assert pixels.grad is not None
    optimizer.param_groups[0]["lr"] /= pixels.grad.square().mean().sqrt().clamp_min(1e-30).item()


# --- Sizes ------------------------------------------------------------------------------------


def level_sizes(size: Sequence[int], levels: int) -> list[tuple[int, int]]:
    """(height, width) of each level, from coarse to `size`; fewer where they would be too small.

    The receptive field of the loss network is a fixed number of pixels, so the size of the coarsest
    level decides how large the painting's forms become in the image.
    """
    height, width = size
    sizes = [(height, width)]
    while len(sizes) < levels and min(sizes[0]) // 2 >= _MIN_COARSEST:
        sizes.insert(0, (round(sizes[0][0] / 2), round(sizes[0][1] / 2)))
    return sizes


def level_steps(steps: int, levels: int) -> list[int]:
    """Split `steps` over `levels`: an equal share for each, two shares for the finest.

    With fewer steps than shares, all go to the finest.
    """
    coarser = steps // (levels + 1)
    return [coarser] * (levels - 1) + [steps - coarser * (levels - 1)]


def resized(image: Tensor, size: tuple[int, int]) -> Tensor:
    """(1, C, H, W) in [0, 1] at another size, antialiased."""
    if tuple(image.shape[-2:]) == tuple(size):
        return image
    return F.interpolate(image, size, mode="bicubic", antialias=True).clamp(0, 1)


def enlarged(image: Tensor, first: Tensor, size: tuple[int, int]) -> Tensor:
    """The result of one level, (1, 3, h, w), at the size of the next finer level.

    It is the initial image `first` at that size, plus the upsampled change that was made to it.
    Upsampling the result itself would lose the detail of the initial image, for the next level to
    make again: its total loss began 1.4 times as high.
    """
    coarse = (image.shape[-2], image.shape[-1])
    change = F.interpolate(image - resized(first, coarse), size, mode="bicubic")
    return (resized(first, size) + change).clamp(0, 1)


def _painting_at(painting: Tensor, settings: Settings, size: tuple[int, int]) -> Tensor:
    """A painting (1, 3, h, w) at the scale that suits an image of `size`.

    Its long side is the image's times `style_scale`. It is never enlarged, which would teach blur,
    nor reduced below MIN_SIDE.
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
    """The function to minimize at the size of `content`."""
    size = (content.shape[-2], content.shape[-1])
    paintings = [_painting_at(style.image.to(content.device), settings, size) for style in styles]
    weights = LossWeights(
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
        _tv_scale(styles, paintings, settings),
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
    """The regions of an image of `size`. paintings: the images of `styles`, scaled for it."""
    parts = []
    for style, painting in zip(styles, paintings, strict=True):
        layers = list(settings.style_layers)
        targets = painting_statistics(network, painting, layers, settings.tile)
        mask = None if style.mask is None else resized(style.mask.to(painting.device), size)
        parts.append((targets, style.weight, mask))
    return make_regions(parts)


def _tv_scale(
    styles: Sequence[StyleImage], paintings: Sequence[Tensor], settings: Settings
) -> float:
    """The weighted mean of the paintings' own total variation, above 0."""
    variation = total_variation if settings.tv_form == "squared" else total_variation_root
    each = [s.weight * variation(p).item() for s, p in zip(styles, paintings, strict=True)]
    return max(sum(each) / sum(style.weight for style in styles), _MIN_TV_SCALE)


def _initial_image(
    content: Tensor, styles: Sequence[StyleImage], settings: Settings, init: Tensor | None
) -> Tensor:
    """The image to begin from, at any size."""
    if init is not None:
        return init
    if settings.init == "noise":
        generator = torch.Generator().manual_seed(settings.seed)
        return torch.rand(content.shape, generator=generator)
    if settings.init == "style":
        return styles[0].image
    return content


# --- Memory -----------------------------------------------------------------------------------


def memory_needed(size: Sequence[int], settings: Settings, device: str = "cpu") -> int:
    """About the most bytes that stylizing an image of (height, width) takes, without the program's.

    The activations of one tile of the loss network, kept for the gradient, and full-size tensors:
    the image, its gradient, the optimizer's memory, the content's features.
    """
    height, width = size
    pixels = seen = height * width
    if settings.tile is not None and pixels > settings.tile**2 * 3 // 2:
        seen = (settings.tile + 2 * _TILE_MARGIN) ** 2
    values = 500 if settings.loss_network == "compact" else 850  # a pixel seen, with gradients
    bytes_per_value = dtype_of(settings.precision, device).itemsize
    copies = 13 if settings.optimizer in LEARNING_RATES else 14 + 2 * settings.history
    return seen * values * bytes_per_value + pixels * (copies * 12 + 32)
