"""What Gatys optimization minimizes: the losses of an image at one size, and their gradient.

An image that is too large for one pass through the loss network is processed in tiles. The style
loss is a function of sums over positions, so two passes over the tiles give the exact gradient: the
first adds up the sums of all tiles, the second backpropagates the gradient of these sums through
each tile. Tiles overlap by the receptive field of the deepest layer.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from impasto.models.gatys.feature_statistics import (
    STYLE_LOSSES,
    FeatureStatistics,
    FeatureSums,
    feature_statistics,
    feature_sums,
    squared_error,
    weighted_mean,
)
from impasto.models.losses import temporal_loss, total_variation, total_variation_root
from impasto.models.vgg import LossNetwork, stride_of

TILE_STRIDE = 16  # px: relu5_1 is pooled by it; tiles begin at multiples
_RANGE_WEIGHT = 10.0  # keeps the image near [0, 1] before it is clamped


@dataclass(frozen=True)
class LossWeights:
    """Weights of the losses, by layer and by kind; all losses are relative, see `Objective`."""

    content_layers: Mapping[str, float]
    style_layers: Mapping[str, float]
    content: float
    style: float
    total_variation: float
    style_loss: str = "gram"
    total_variation_form: str = "squared"


class Losses(NamedTuple):
    """Scalars, detached; all but the total before weighting."""

    content: Tensor
    style: Tensor
    total_variation: Tensor
    total: Tensor
    style_layers: Tensor  # (L,): each layer alone, in the order of `LossWeights.style_layers`


@dataclass(frozen=True)
class Previous:
    """The previous stylized frame, warped along the motion: Ruder et al. 2016, eq. 7.

    image: (1, 3, H, W) in [0, 1], to stay near where mask, (1, 1, H, W) in [0, 1], is 1.
    """

    image: Tensor
    mask: Tensor
    weight: float


@dataclass(frozen=True)
class Region:
    """A region of the image, and the feature statistics of each layer that it is to have."""

    targets: Mapping[str, FeatureStatistics]
    weight: float = 1.0
    mask: Tensor | None = None  # (1, 1, H, W) in [0, 1] at the image's size; None: everywhere


class Tile(NamedTuple):
    """A tile of an image; px, as (top, bottom, left, right), ends excluded."""

    outer: tuple[int, int, int, int]  # the core with its margin: what the loss network gets
    core: tuple[int, int, int, int]  # what counts; the cores of all tiles make up the image


@dataclass
class Objective:
    """The weighted sum of content, style, total variation and temporal loss of an image.

    Content is the mean over layers of ||F - P||^2 / ||P||^2, style the mean over regions and layers
    of ||G - A||^2 / ||A||^2, or what `weights.style_loss` names: 0 is equal, 1 is as bad as zeros.
    Dividing by the target's own energy makes the weights independent of the scale of features and
    the number of positions. Total variation is divided by `tv_scale`, the painting's own:
    docs/research has figures of the balance at several sizes.

    content: (1, 3, H, W) in [0, 1]. tile_side: px, side of a tile's core; None: no tiles.
    tv_scale: above 0.
    """

    network: LossNetwork
    content: Tensor
    regions: Sequence[Region]
    weights: LossWeights
    previous: Previous | None = None
    tile_side: int | None = None
    tv_scale: float = 1.0
    _tiles: list[Tile] = field(init=False)

    def __post_init__(self) -> None:
        height, width = _padded(self.content).shape[-2:]
        self._layers = {*self.weights.content_layers, *self.weights.style_layers}
        margin = self.network.tile_margin(self._layers)
        side = None if margin is None else self.tile_side
        self._tiles = list(tiles(height, width, side, margin or 0))
        self.set_content(self.content)
        make_loss = STYLE_LOSSES[self.weights.style_loss]
        self._second_only = make_loss.second_only
        self._style_losses = [
            {layer: make_loss(region.targets[layer]) for layer in self.weights.style_layers}
            for region in self.regions
        ]
        self._masks = [self._masks_of(region.mask) for region in self.regions]

    @torch.no_grad()
    def set_content(self, content: Tensor) -> None:
        """Replace the content image by another, (1, 3, H, W) in [0, 1], of the same size."""
        self.content, layers = content, self.weights.content_layers
        self._content_targets = [self._features(content, tile, layers) for tile in self._tiles]
        self._energies = {
            layer: torch.stack([t[layer].float().square().sum() for t in self._content_targets])
            .sum()
            .clamp_min(1e-12)
            for layer in layers
        }

    def __call__(self, image: Tensor) -> Losses:
        """The losses of `image`, a leaf (1, 3, H, W); their gradient is put into `image.grad`."""
        image.grad = None
        if len(self._tiles) == 1:
            losses, total = self._combine(image, self._partial_sums(image, 0))
            total.backward()
            return losses
        with torch.no_grad():
            partial = [self._partial_sums(image, k) for k in range(len(self._tiles))]
        sums = [torch.stack(parts).sum(0).requires_grad_() for parts in zip(*partial, strict=True)]
        losses, total = self._combine(image, sums)
        total.backward()
        gradients = [torch.zeros_like(x) if x.grad is None else x.grad for x in sums]
        for k in range(len(self._tiles)):
            torch.autograd.backward(self._partial_sums(image, k), gradients)
        return losses

    @torch.no_grad()
    def losses(self, image: Tensor) -> Losses:
        """The losses of `image`, (1, 3, H, W), without a gradient: a third of the time."""
        partial = [self._partial_sums(image, k) for k in range(len(self._tiles))]
        losses, _ = self._combine(image, [sum(parts) for parts in zip(*partial, strict=True)])
        return losses

    # --- One tile -----------------------------------------------------------------------------

    def _features(self, image: Tensor, tile: Tile, layers: Iterable[str]) -> dict[str, Tensor]:
        """The features of a tile's core, in the network's precision.

        Of the compact network the features before its heads: VGG-19's most informative channels.
        """
        top, bottom, left, right = tile.outer
        if not layers:
            return {}
        padded = _padded(image)
        if len(self._tiles) == 1:  # not sliced: a slice's gradient is not channels last
            return self.network.backbone(padded, layers)
        features = self.network.backbone(padded[..., top:bottom, left:right], layers)
        return {layer: f[self._core(tile, stride_of(layer))] for layer, f in features.items()}

    @staticmethod
    def _core(tile: Tile, stride: int) -> Any:
        """The index of the core in the features of the outer tile, at a layer of this stride."""
        (top, _, left, _), (y0, y1, x0, x1) = tile
        rows = slice((y0 - top) // stride, (y1 - top) // stride)
        return (..., rows, slice((x0 - left) // stride, (x1 - left) // stride))

    def _partial_sums(self, image: Tensor, index: int) -> list[Tensor]:
        """Of one tile: squared content errors, then the feature sums of each region and layer."""
        features = self._features(image, self._tiles[index], self._layers)
        targets = self._content_targets[index]
        parts = [
            squared_error(features[layer], targets[layer]) for layer in self.weights.content_layers
        ]
        for masks in self._masks:
            for layer in self.weights.style_layers:
                mask = masks[index].get(layer)
                parts += feature_sums(features[layer], mask, second_only=self._second_only)
        return parts

    def _combine(self, image: Tensor, sums: list[Tensor]) -> tuple[Losses, Tensor]:
        """The losses, and the total that is differentiated, from the sums over all tiles."""
        weights, remaining = self.weights, iter(sums)
        content = self._content_loss(remaining, image)
        style_layers = self._style_layer_losses(remaining, image)
        style = self._weighted(style_layers)
        variation = (
            total_variation if weights.total_variation_form == "squared" else total_variation_root
        )(image)[0] / self.tv_scale
        total = (
            weights.content * content + weights.style * style + weights.total_variation * variation
        )
        total = total + _RANGE_WEIGHT * (image - image.detach().clamp(0, 1)).square().mean()
        if (last := self.previous) is not None:
            total = total + last.weight * temporal_loss(image, last.image, last.mask)[0]
        each = (content, style, variation, total, style_layers)
        return Losses(*(loss.detach() for loss in each)), total

    def _content_loss(self, sums: Iterator[Tensor], image: Tensor) -> Tensor:
        weights = self.weights.content_layers
        loss = image.new_zeros(())
        for layer, weight in weights.items():
            loss = loss + weight * next(sums) / self._energies[layer]
        return loss / max(sum(weights.values()), 1e-12)

    def _style_layer_losses(self, sums: Iterator[Tensor], image: Tensor) -> Tensor:
        """(L,): the loss of each style layer, its mean over the regions."""
        weights = self.weights.style_layers
        by_layer = [image.new_zeros(()) for _ in weights]
        for region, losses, masks in zip(
            self.regions, self._style_losses, self._masks, strict=True
        ):
            for index, layer in enumerate(weights):
                both = FeatureSums(next(sums), next(sums))
                statistics = feature_statistics(both, self._positions(layer, masks))
                by_layer[index] = by_layer[index] + region.weight * losses[layer](statistics)
        share = max(sum(region.weight for region in self.regions), 1e-12)
        return torch.stack(by_layer) / share if by_layer else image.new_zeros(0)

    def _weighted(self, style_layers: Tensor) -> Tensor:
        """The style loss: the mean of its layers by their weights."""
        weights = list(self.weights.style_layers.values())
        loss = style_layers.new_zeros(())
        for weight, of_layer in zip(weights, style_layers, strict=True):
            loss = loss + weight * of_layer
        return loss / max(sum(weights), 1e-12)

    # --- Masks --------------------------------------------------------------------------------

    def _masks_of(self, mask: Tensor | None) -> list[dict[str, Tensor]]:
        """For each tile, the mask of a region at the size of each style layer's features."""
        if mask is None:
            return [{} for _ in self._tiles]
        padded, result = _padded(mask), []
        for tile in self._tiles:
            y0, y1, x0, x1 = tile.core
            part = padded[..., y0:y1, x0:x1]
            by_layer = {
                layer: F.adaptive_avg_pool2d(part, self._size_at(layer, tile))
                for layer in self.weights.style_layers
            }
            result.append(by_layer)
        return result

    def _positions(self, layer: str, masks: list[dict[str, Tensor]]) -> Tensor | float:
        """The number of positions that a region has at a layer; the sum of its mask."""
        if masks[0]:
            return torch.stack([mask[layer].sum() for mask in masks]).sum().clamp_min(1e-6)
        sizes = [self._size_at(layer, tile) for tile in self._tiles]
        return float(sum(height * width for height, width in sizes))

    def _size_at(self, layer: str, tile: Tile) -> tuple[int, int]:
        """The size of the features of a tile's core."""
        top, bottom, left, right = tile.core
        return self.network.size_of(layer, bottom - top, right - left)


def _padded(image: Tensor) -> Tensor:
    """An image, reflected at the bottom and right until its sides are multiples of TILE_STRIDE.

    Pooling drops what is left over, and what the deep layers do not see grows colored speckles.
    """
    down, right = (-side % TILE_STRIDE for side in image.shape[-2:])
    return F.pad(image, (0, right, 0, down), mode="reflect") if down or right else image


def tiles(height: int, width: int, side: int | None, margin: int) -> Iterator[Tile]:
    """Tiles of about `side` px whose cores cover the image; one for a small image or None.

    margin: px around a core, where there is an image.

    All coordinates are multiples of TILE_STRIDE, where height and width are.
    """

    def cuts(length: int) -> list[tuple[int, int]]:
        count = 1 if side is None else max(1, -(-length // side))
        edges = [round(length * k / count / TILE_STRIDE) * TILE_STRIDE for k in range(count)]
        return list(zip(edges, [*edges[1:], length], strict=True))

    if side is not None and height * width <= side * side * 3 // 2:
        side = None
    for y0, y1 in cuts(height):
        for x0, x1 in cuts(width):
            outer = (
                max(0, y0 - margin),
                min(height, y1 + margin),
                max(0, x0 - margin),
                min(width, x1 + margin),
            )
            yield Tile(outer, (y0, y1, x0, x1))


@torch.no_grad()
def painting_statistics(
    network: LossNetwork, painting: Tensor, layers: Sequence[str], tile_side: int | None
) -> dict[str, FeatureStatistics]:
    """The feature statistics of a painting (1, 3, H, W) in [0, 1] at each layer."""
    no_losses = LossWeights({}, dict.fromkeys(layers, 1.0), 0.0, 0.0, 0.0)
    tiled = Objective(network, painting, (), no_losses, tile_side=tile_side)
    totals: dict[str, FeatureSums] = {}
    for tile in tiled._tiles:
        for layer, features in tiled._features(painting, tile, layers).items():
            sums = feature_sums(features)
            before = totals.get(layer)
            totals[layer] = sums if before is None else FeatureSums(*map(torch.add, before, sums))
    return {
        layer: feature_statistics(totals[layer], tiled._positions(layer, [{}])) for layer in layers
    }


def make_regions(
    paintings: Sequence[tuple[dict[str, FeatureStatistics], float, Tensor | None]],
) -> list[Region]:
    """(statistics, weight, mask) of each painting as regions; those without a mask become one."""
    everywhere = [(targets, weight) for targets, weight, mask in paintings if mask is None]
    regions = [
        Region(targets, weight, mask) for targets, weight, mask in paintings if mask is not None
    ]
    if everywhere:
        weights = [weight for _, weight in everywhere]
        layers = everywhere[0][0]
        mixed = {
            layer: weighted_mean([targets[layer] for targets, _ in everywhere], weights)
            for layer in layers
        }
        regions.append(Region(mixed, sum(weights)))
    return regions
