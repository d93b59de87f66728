"""What Gatys optimisation minimises: the losses of one picture at one size, and their gradient.

Pictures that are too large to be seen at once are seen in tiles. The style loss is a function of
sums over places, so two rounds give the exact gradient: the first adds up the sums of all tiles,
the second sends the gradient at the sums back through each tile (the only thing kept of a tile is
its share of the sums). Tiles overlap by what the deepest layer sees.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from impasto.models.gatys.feature_statistics import (
    STYLE_LOSSES,
    Moments,
    Sums,
    feature_sums,
    mixed,
    moments,
    squared_error,
)
from impasto.models.loss_network import LossNetwork
from impasto.models.losses import temporal_loss, total_variation, total_variation_root

STRIDE = 16  # px: what all poolings up to relu5_1 leave nothing of; tiles begin at multiples
MARGIN = 80  # px: relu5_1 of VGG-19 sees 78 px to each side
_RANGE_WEIGHT = 10.0  # keeps the picture near [0, 1] before it is clamped


@dataclass(frozen=True)
class Weights:
    """What the losses count, by layer and by kind; all losses are relative, see `Objective`."""

    content_layers: Mapping[str, float]
    style_layers: Mapping[str, float]
    content: float
    style: float
    total_variation: float
    style_loss: str = "gram"
    total_variation_form: str = "squared"


class Losses(NamedTuple):
    """Scalars, detached; all but the total as they are before weighting."""

    content: Tensor
    style: Tensor
    total_variation: Tensor
    total: Tensor


@dataclass(frozen=True)
class Previous:
    """The last painting, carried along the motion: the temporal loss of Ruder et al. 2016, eq. 7.

    image: (1, 3, H, W) in [0, 1], to stay near where mask, (1, 1, H, W) in [0, 1], is 1.
    """

    image: Tensor
    mask: Tensor
    weight: float


@dataclass(frozen=True)
class Region:
    """A part of the picture, and the moments it shall have."""

    targets: Mapping[str, Moments]
    weight: float = 1.0
    mask: Tensor | None = None  # (1, 1, H, W) in [0, 1] at the picture's size; None: everywhere


class Window(NamedTuple):
    """A tile of a picture: what is seen, and the core of it that counts; px, ends excluded."""

    seen: tuple[int, int, int, int]  # top, bottom, left, right
    core: tuple[int, int, int, int]


@dataclass
class Objective:
    """content w_c + style w_s + total variation w_tv (+ temporal) of a picture.

    Content is mean over layers of ||F - P||^2 / ||P||^2, style the mean over regions and layers of
    ||G - A||^2 / ||A||^2 or what `weights.style_loss` names: 0 is equal, 1 is as bad as nothing.
    Dividing by the target's own energy frees the weights of the scale of features and of the number
    of places. Total variation is divided by `roughness`, the painting's own: docs/research/log.md
    has figures of the balance at several sizes.

    content: (1, 3, H, W) in [0, 1]. tile: px, the side of what is seen at once; None: all.
    roughness: above 0.
    """

    network: LossNetwork
    content: Tensor
    regions: Sequence[Region]
    weights: Weights
    previous: Previous | None = None
    tile: int | None = None
    roughness: float = 1.0
    _windows: list[Window] = field(init=False)

    def __post_init__(self) -> None:
        height, width = _padded(self.content).shape[-2:]
        self._windows = list(windows(height, width, self.tile))
        self._layers = {*self.weights.content_layers, *self.weights.style_layers}
        self.aim_at(self.content)
        make = STYLE_LOSSES[self.weights.style_loss]
        self._second_only = make.second_only
        self._style_losses = [
            {layer: make(region.targets[layer]) for layer in self.weights.style_layers}
            for region in self.regions
        ]
        self._masks = [self._masks_of(region.mask) for region in self.regions]

    @torch.no_grad()
    def aim_at(self, content: Tensor) -> None:
        """Take another content, (1, 3, H, W) in [0, 1], of the same size."""
        self.content, layers = content, self.weights.content_layers
        self._content_targets = [self._seen(content, window, layers) for window in self._windows]
        self._energies = {
            layer: torch.stack([t[layer].float().square().sum() for t in self._content_targets])
            .sum()
            .clamp_min(1e-12)
            for layer in layers
        }

    def __call__(self, image: Tensor) -> Losses:
        """The losses of `image`, a leaf (1, 3, H, W); their gradient is put into `image.grad`."""
        image.grad = None
        if len(self._windows) == 1:
            partial = self._measure(image, 0)
            losses, total = self._combine(image, partial)
            total.backward()
            return losses
        with torch.no_grad():
            shares = [self._measure(image, k) for k in range(len(self._windows))]
        whole = [torch.stack(parts).sum(0).requires_grad_() for parts in zip(*shares, strict=True)]
        losses, total = self._combine(image, whole)
        total.backward()
        gradients = [torch.zeros_like(p) if p.grad is None else p.grad for p in whole]
        for k in range(len(self._windows)):
            torch.autograd.backward(self._measure(image, k), gradients)
        return losses

    # --- One window ---------------------------------------------------------------------------

    def _seen(self, image: Tensor, window: Window, layers: Iterable[str]) -> dict[str, Tensor]:
        """The features of a window's core, in the network's precision.

        Of the compact network those before its heads, which are VGG-19's most telling channels.
        """
        top, bottom, left, right = window.seen
        if not layers:
            return {}
        whole = _padded(image)
        if len(self._windows) == 1:  # not sliced: a slice's gradient is not channels last
            return self.network.trunk(whole, layers)
        features = self.network.trunk(whole[..., top:bottom, left:right], layers)
        return {layer: f[self._core(window, stride_of(layer))] for layer, f in features.items()}

    @staticmethod
    def _core(window: Window, stride: int) -> Any:
        """Where the core lies in the features of what is seen, at a layer of this stride."""
        (top, _, left, _), (y0, y1, x0, x1) = window
        rows = slice((y0 - top) // stride, (y1 - top) // stride)
        return (..., rows, slice((x0 - left) // stride, (x1 - left) // stride))

    def _measure(self, image: Tensor, index: int) -> list[Tensor]:
        """The window's share: squared content errors, then the sums of each region and layer."""
        features = self._seen(image, self._windows[index], self._layers)
        targets = self._content_targets[index]
        parts = [
            squared_error(features[layer], targets[layer]) for layer in self.weights.content_layers
        ]
        for masks in self._masks:
            for layer in self.weights.style_layers:
                mask = masks[index].get(layer)
                parts += feature_sums(features[layer], mask, second_only=self._second_only)
        return parts

    def _combine(self, image: Tensor, parts: list[Tensor]) -> tuple[Losses, Tensor]:
        """The losses, and the total that is differentiated, from the shares of all windows."""
        weights, zero = self.weights, image.new_zeros(())
        remaining = iter(parts)
        content = zero
        for layer, weight in weights.content_layers.items():
            content = content + weight * next(remaining) / self._energies[layer]
        content = content / max(sum(weights.content_layers.values()), 1e-12)
        style = zero
        for region, losses, masks in zip(
            self.regions, self._style_losses, self._masks, strict=True
        ):
            for layer, weight in weights.style_layers.items():
                sums = Sums(next(remaining), next(remaining))
                found = moments(sums, self._places(layer, masks))
                style = style + region.weight * weight * losses[layer](found)
        share = sum(weights.style_layers.values()) * sum(region.weight for region in self.regions)
        style = style / max(share, 1e-12)
        variation = (
            total_variation if weights.total_variation_form == "squared" else total_variation_root
        )(image)[0] / self.roughness
        total = (
            weights.content * content + weights.style * style + weights.total_variation * variation
        )
        total = total + _RANGE_WEIGHT * (image - image.detach().clamp(0, 1)).square().mean()
        if (last := self.previous) is not None:
            total = total + last.weight * temporal_loss(image, last.image, last.mask)[0]
        return Losses(content.detach(), style.detach(), variation.detach(), total.detach()), total

    # --- Masks --------------------------------------------------------------------------------

    def _masks_of(self, mask: Tensor | None) -> list[dict[str, Tensor]]:
        """For each window, the mask of a region as large as each style layer's features."""
        if mask is None:
            return [{} for _ in self._windows]
        found, whole = [], _padded(mask)
        for window in self._windows:
            y0, y1, x0, x1 = window.core
            part = whole[..., y0:y1, x0:x1]
            by_layer = {
                layer: F.avg_pool2d(part, stride_of(layer)) for layer in self.weights.style_layers
            }
            found.append(by_layer)
        return found

    def _places(self, layer: str, masks: list[dict[str, Tensor]]) -> Tensor | float:
        """How many places of a layer a region has."""
        if masks[0]:
            return torch.stack([mask[layer].sum() for mask in masks]).sum().clamp_min(1e-6)
        stride = stride_of(layer)
        cores = [window.core for window in self._windows]
        return float(sum(((y1 - y0) // stride) * ((x1 - x0) // stride) for y0, y1, x0, x1 in cores))


def _padded(image: Tensor) -> Tensor:
    """A picture, mirrored at its ends until its sides are multiples of STRIDE.

    Pooling drops what is left over, and what the deep layers do not see grows coloured speckles.
    """
    down, right = (-side % STRIDE for side in image.shape[-2:])
    return F.pad(image, (0, right, 0, down), mode="reflect") if down or right else image


def stride_of(layer: str) -> int:
    """Pixels between two places of a layer, by its name: 4 for "relu3_1"."""
    return 2 ** (int(layer[4]) - 1)


def windows(height: int, width: int, tile: int | None) -> Iterator[Window]:
    """Tiles of about `tile` px a side whose cores cover the picture; one where it is small.

    Sides are multiples of STRIDE, all of them.
    """

    def cuts(side: int) -> list[tuple[int, int]]:
        count = 1 if tile is None else max(1, -(-side // tile))
        edges = [round(side * k / count / STRIDE) * STRIDE for k in range(count)] + [side]
        return list(zip(edges[:-1], edges[1:], strict=True))

    if tile is not None and height * width <= tile * tile * 3 // 2:
        tile = None
    for y0, y1 in cuts(height):
        for x0, x1 in cuts(width):
            seen = (
                max(0, y0 - MARGIN),
                min(height, y1 + MARGIN),
                max(0, x0 - MARGIN),
                min(width, x1 + MARGIN),
            )
            yield Window(seen, (y0, y1, x0, x1))


@torch.no_grad()
def painting_moments(
    network: LossNetwork, painting: Tensor, layers: Sequence[str], tile: int | None
) -> dict[str, Moments]:
    """The moments of a painting (1, 3, H, W) in [0, 1] at every layer."""
    plain = Weights({}, dict.fromkeys(layers, 1.0), 0.0, 0.0, 0.0)
    seer = Objective(network, painting, (), plain, tile=tile)
    totals: dict[str, Sums] = {}
    for window in seer._windows:
        for layer, features in seer._seen(painting, window, layers).items():
            sums = feature_sums(features)
            before = totals.get(layer)
            totals[layer] = sums if before is None else Sums(*map(torch.add, before, sums))
    return {layer: moments(totals[layer], seer._places(layer, [{}])) for layer in layers}


def regions_of(
    paintings: Sequence[tuple[dict[str, Moments], float, Tensor | None]],
) -> list[Region]:
    """(moments, weight, mask) of each painting as regions; those without a mask are one, mixed."""
    everywhere = [(targets, weight) for targets, weight, mask in paintings if mask is None]
    regions = [
        Region(targets, weight, mask) for targets, weight, mask in paintings if mask is not None
    ]
    if everywhere:
        weights = [weight for _, weight in everywhere]
        layers = everywhere[0][0]
        targets = {
            layer: mixed([targets[layer] for targets, _ in everywhere], weights) for layer in layers
        }
        regions.append(Region(targets, sum(weights)))
    return regions
