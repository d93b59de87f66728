"""The losses of one training step: of the identity network, of a style, and of a student."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from impasto.models.architectures import ARCHITECTURES, CLASSIC, MARGIN
from impasto.models.classic import ClassicNet
from impasto.models.loss_network import LossNetwork
from impasto.models.losses import (
    color_loss,
    content_loss,
    gram_matrix,
    grid_loss,
    relative_error,
    style_loss,
    temporal_loss,
    total_variation,
    total_variation_root,
    vigor_loss,
)
from impasto.models.training.checkpoint import StateDict
from impasto.models.training.dataset import resize_long_side
from impasto.models.training.motion import random_motion
from impasto.models.training.recipe import Recipe
from impasto.models.transform_net import TransformNet

LossTerms = dict[str, Tensor]  # scalars of one step by name, weighted


def identity_losses(network: nn.Module, photos: Tensor) -> LossTerms:
    """Losses of the identity network: error of pixels, and of edges, which suffer first by blur."""
    output = network(photos).float()
    error = output - photos
    edges = (error[..., 1:] - error[..., :-1]).abs().mean() + error.diff(dim=-2).abs().mean()
    return {"pixels": error.abs().mean(), "edges": edges}


@dataclass(frozen=True)
class StyleTargets:
    """The painting as training needs it, and the loss network that measured it.

    features_of: gives features of images by layer, as `LossNetwork.forward` does.
    """

    features_of: Callable[[Tensor, Iterable[str]], dict[str, Tensor]]
    small: StateDict  # Gram matrices by layer, at long side `painting_side`
    large: StateDict  # at 3/2 of it; none for the objective of Johnson et al.
    picture: Tensor  # (1, 3, H, W) in [0, 1], at long side `painting_side`


def style_targets(
    painting: Tensor, loss_network: LossNetwork, recipe: Recipe, device: str
) -> StyleTargets:
    """The style targets of training. painting: (3, H, W) in [0, 1].

    recipe: with the loss network's own names of layers. Raises WeightsError for one it has not.
    """
    layers = {*recipe.content_weights, *recipe.style_weights}
    for layer in sorted(layers):
        loss_network.layer(layer)
    painting, side = painting.to(device), recipe.painting_side
    published = recipe.objective == "johnson2016"
    # Of the compact network the features before its heads, as not every layer has a head.
    without_heads = published or not layers <= set(getattr(loss_network, "heads", layers))
    features_of = loss_network.backbone if without_heads else loss_network

    @torch.no_grad()
    def grams(picture: Tensor) -> dict[str, Tensor]:
        features = features_of(picture, recipe.style_weights)
        return {layer: gram_matrix(features[layer]) for layer in recipe.style_weights}

    small, large = (resize_long_side(painting, size)[None] for size in (side, side * 3 // 2))
    return StyleTargets(features_of, grams(small), {} if published else grams(large), small)


def losses_of_step(
    network: nn.Module,
    photos: Tensor,
    targets: StyleTargets,
    recipe: Recipe,
    generator: torch.Generator,
) -> LossTerms:
    """The losses of a style network on one batch, by the recipe's objective."""
    if recipe.objective == "johnson2016":
        return johnson_losses(network, photos, targets, recipe)
    return style_losses(network, photos, targets, recipe, generator)


_LEAST_VARIATION = 1e-3  # for a painting of one color, whose total variation is 0


def johnson_losses(
    network: nn.Module, photos: Tensor, targets: StyleTargets, recipe: Recipe
) -> LossTerms:
    """The losses of Johnson et al. 2016, section 3.2, on one batch, (N, 3, H, W) in [0, 1].

    In the units of `models.gatys`: each is relative.
    """
    features_of, weights = targets.features_of, recipe.content_weights
    with torch.no_grad():
        content = features_of(_channels_last(photos), weights)
    images = network(photos).float()
    features = features_of(_channels_last(images), {*weights, *recipe.style_weights})
    apart = [w * content_loss(features[k], content[k]).mean() for k, w in weights.items()]
    grams = {layer: gram_matrix(features[layer]) for layer in recipe.style_weights}
    style = style_loss(grams, targets.small, recipe.style_weights).mean()
    variation = total_variation_root(targets.picture).clamp_min(_LEAST_VARIATION)
    return {
        "content": recipe.content_weight * torch.stack(apart).sum() / sum(weights.values()),
        "style": recipe.style_weight * style,
        "tv": recipe.tv_weight * (total_variation_root(images) / variation).mean(),
    }


def style_losses(
    network: Callable[[Tensor], Tensor],
    photos: Tensor,
    targets: StyleTargets,
    recipe: Recipe,
    generator: torch.Generator,
) -> LossTerms:
    """Losses of a style network on one batch, (N, 3, H, W) in [0, 1], N at least 2.

    Half of the batch is stylized at 3/2 of its size and compared after reducing it, which forms the
    image as a viewer sees it; the other half is compared at full size with the painting at 3/2 of
    its size, which forms the grain. Strokes have the same size in both.
    """
    half, stride = len(photos) // 2, stride_of(recipe.form)
    several = len(targets.picture) > 1
    paintings = targets.picture.split(half) if several else (targets.picture, targets.picture)
    contents, styles = recipe.content_weights, recipe.style_weights
    with torch.no_grad():
        content = targets.features_of(_channels_last(photos), contents)

    enlarged = F.interpolate(photos[:half], scale_factor=1.5, mode="bilinear")
    images = network(enlarged).float(), network(photos[half:]).float()
    reduced = F.interpolate(images[0], size=photos.shape[-2:], mode="bilinear", antialias=True)
    compared = torch.cat([reduced, images[1]])

    features = targets.features_of(_channels_last(compared), {*contents, *styles})
    apart = [w * content_loss(features[k], content[k]).mean() for k, w in contents.items()]
    grams = {layer: gram_matrix(features[layer]) for layer in styles}
    target_grams = {
        layer: torch.cat(
            [
                targets.small[layer].expand(half, -1, -1),
                targets.large[layer].expand(len(photos) - half, -1, -1),
            ]
        )
        for layer in styles
    }

    def of_both(loss: Callable[[Tensor, Tensor], Tensor]) -> Tensor:
        return torch.cat([loss(*pair) for pair in zip(images, paintings, strict=True)]).mean()

    def outside(image: Tensor, painting: Tensor) -> Tensor:
        return (image - image.clamp(0, 1)).square().mean((1, 2, 3))

    losses = {
        "content": recipe.content_weight * torch.stack(apart).sum() / sum(contents.values()),
        "style": recipe.style_weight
        * gram_distance(grams, target_grams, tuple(styles.values()), limited=several),
        "color": recipe.color_weight
        * of_both(lambda x, painting: color_loss(x.clamp(0, 1), painting)),
        "vigor": recipe.vigor_weight * of_both(vigor_loss),
        "tv": recipe.tv_weight * of_both(lambda x, painting: total_variation(x)),
        "grid": recipe.grid_weight * of_both(lambda x, painting: grid_loss(x, stride)),
        "border": recipe.border_weight * border_loss(network, photos[half:], images[1]).mean(),
        "range": recipe.range_weight * of_both(outside),
    }
    if recipe.temporal_weight:
        moved = random_motion(photos[half:], images[1], generator)
        next_stylized = network(moved.photos).float()
        temporal = temporal_loss(next_stylized, moved.stylized, moved.mask).mean()
        losses["temporal"] = recipe.temporal_weight * temporal
    return losses


def stride_of(form: str) -> int:
    """Pixels between two positions of the residual blocks of a network of NETWORKS."""
    return ClassicNet.STRIDE if form == CLASSIC else ARCHITECTURES[form].stride


def student_losses(network: TransformNet, photos: Tensor, teacher: nn.Module) -> LossTerms:
    """Losses of a small network that learns to paint as `teacher` does.

    photos: (N, 3, H, W) in [0, 1]. Gram matrices allow many pictures, and a small network does not
    find a good one by itself; this asks for one picture, pixel by pixel. No loss network is needed,
    so a step costs a third.
    """
    with torch.no_grad():
        target = teacher(photos).float().clamp(0, 1)
    output = network(photos).float()
    error = output - target
    grid = grid_loss(output, ARCHITECTURES[network.architecture].stride)
    return {
        "pixels": error.abs().mean(),
        "edges": error.diff(dim=-1).abs().mean() + error.diff(dim=-2).abs().mean(),
        "coarse": 0.5 * F.avg_pool2d(error, 4).abs().mean(),
        "vigor": 0.5 * vigor_loss(output.clamp(0, 1), target).mean(),
        "grid": 300 * grid.mean(),
    }


def gram_distance(
    grams: Mapping[str, Tensor],
    targets: Mapping[str, Tensor],
    layer_weights: tuple[float, ...],
    *,
    limited: bool = False,
) -> Tensor:
    """The weighted mean over layers of ||G - A|| / ||A||, mean over the batch.

    grams, targets: layer -> (N, C, C); layer_weights: in the order of `targets`. Without the square
    of Gatys et al. 2016, eq. 4: a layer that is nearly right, as those of the strokes are long
    before relu5_1, keeps its pull. limited: the logarithm of 1 + it, so that one painting that is
    nearly flat, whose distance is large, does not outweigh all others of a batch.
    """
    errors = torch.stack([relative_error(grams[k], targets[k]) for k in targets])  # (layers, N)
    distances = (errors + 1e-4).sqrt()
    distances = (distances.log1p() if limited else distances).mean(1)
    weights = distances.new_tensor(layer_weights)
    return (weights * distances).sum() / weights.sum()


def _channels_last(images: Tensor) -> Tensor:
    return images.contiguous(memory_format=torch.channels_last)


def border_loss(network: Callable[[Tensor], Tensor], photos: Tensor, stylized: Tensor) -> Tensor:
    """Mean squared change of the pixels near the border when the input has a larger margin.

    photos, stylized: (N, 3, H, W). Returns (N,). Convolutions pad with zeros; the margin keeps most
    of the zeros' effect out of the image, and this loss reduces the rest.
    """
    with torch.no_grad():
        wide = network(F.pad(photos, 4 * [MARGIN], mode="reflect")).float()
    wide = wide[..., MARGIN:-MARGIN, MARGIN:-MARGIN]
    border = torch.ones(photos.shape[-2:], device=photos.device)
    border[MARGIN:-MARGIN, MARGIN:-MARGIN] = 0
    return ((stylized - wide).square() * border).sum((1, 2, 3)) / (3 * border.sum())
