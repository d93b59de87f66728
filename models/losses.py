"""The losses of style transfer: content, Gram style, total variation, temporal. Pure functions."""

from collections.abc import Mapping

import torch
import torch.nn.functional as F
from torch import Tensor

Features = Mapping[str, Tensor]  # layer name -> (N, C, H, W)

STYLE_LAYERS = ("relu1_1", "relu2_1", "relu3_1", "relu4_1", "relu5_1")
CONTENT_LAYER = "relu4_2"
LUMA = (0.299, 0.587, 0.114)  # of red, green and blue (ITU-R BT.601)


def gram_matrix(features: Tensor) -> Tensor:
    """Channel correlations of a feature map (Gatys et al. 2016, eq. 3).

    G[n, i, j] = sum_k F[n, i, k] F[n, j, k] / (H W)

    features: (N, C, H, W), floating. Returns (N, C, C) float32.
    The paper does not divide; dividing by the number of positions makes images of different sizes
    comparable.
    """
    f = features.permute(0, 2, 3, 1).flatten(1, 2)  # (N, H*W, C), no copy when channels last
    # The product keeps the features' precision: bfloat16 sums in float32 and rounds once.
    return (f.transpose(1, 2) @ f).float() / f.shape[1]


def relative_error(values: Tensor, target: Tensor) -> Tensor:
    """||values - target||^2 / ||target||^2 for each of N items: 0 is equal, 1 is as bad as zeros.

    Both (N, ...), or target (1, ...). Returns (N,) float32.
    """
    axes = tuple(range(1, values.ndim))
    difference = (values.float() - target.float()).square().sum(axes)
    return difference / target.float().square().sum(axes).clamp_min(1e-12)


def content_loss(features: Tensor, target: Tensor) -> Tensor:
    """Feature reconstruction (Gatys et al. 2016, eq. 1), relative to the target's own energy.

    features, target: (N, C, H, W). Returns (N,) float32. The division makes one content weight
    hold for every picture, layer and loss network; the papers have none.
    """
    return relative_error(features, target)


def style_loss(
    grams: Mapping[str, Tensor],
    targets: Mapping[str, Tensor],
    layer_weights: Mapping[str, float] | None = None,
) -> Tensor:
    """Gram error averaged over the layers of `targets`, each relative to its target's energy.

    grams: layer -> (N, C, C); targets: layer -> (1, C, C). Returns (N,) float32.
    Weighted like Gatys et al. 2016, eq. 5; equal weights unless `layer_weights` says otherwise.
    """
    weights = layer_weights or dict.fromkeys(targets, 1.0)
    errors = torch.stack(
        [weights[layer] * relative_error(grams[layer], targets[layer]) for layer in targets]
    )
    return errors.sum(0) / sum(weights[layer] for layer in targets)


def total_variation(image: Tensor) -> Tensor:
    """Mean squared difference of neighboring pixels, down and across. (N, C, H, W) -> (N,)."""
    down, across = image[..., 1:, :] - image[..., :-1, :], image[..., 1:] - image[..., :-1]
    return down.square().mean((1, 2, 3)) + across.square().mean((1, 2, 3))


def total_variation_root(image: Tensor) -> Tensor:
    """Mean length of the color gradient: the form of Johnson et al. 2016, from Mahendran and
    Vedaldi 2015 with beta = 1. (N, C, H, W) -> (N,)."""
    down = image[..., 1:, :-1] - image[..., :-1, :-1]
    across = image[..., :-1, 1:] - image[..., :-1, :-1]
    return (down.square() + across.square() + 1e-8).sqrt().mean((1, 2, 3))


def gradient_magnitude(image: Tensor) -> Tensor:
    """The length of the gradient of the luma, per pixel: Sobel's operator over 8.

    image: (N, 3, H, W), at least 3 px a side. Returns (N, H - 2, W - 2), in the image's own unit.
    """
    luma = (image * image.new_tensor(LUMA).view(1, 3, 1, 1)).sum(1, keepdim=True)
    sobel = image.new_tensor([[1.0, 0.0, -1.0], [2.0, 0.0, -2.0], [1.0, 0.0, -1.0]]) / 8
    both = F.conv2d(luma, torch.stack([sobel, sobel.T])[:, None])
    return (both.square().sum(1) + 1e-10).sqrt()  # a root of 0 has no derivative


_QUANTILES = (0.5, 0.8, 0.95, 0.99)
_LEAST_GRADIENT = 1 / 255  # of a painting with flat parts: what is less cannot be seen


def vigor_loss(images: Tensor, painting: Tensor) -> Tensor:
    """How far the gradients are from being distributed as the painting's: 0 is equal.

    images: (N, 3, H, W), at least 24 px a side; painting: (1 or N, 3, h, w). Returns (N,). The mean
    squared relative error of _QUANTILES of the gradient's length (above 1 linear: Huber's), at the
    full size, 1/2, 1/4 and 1/8 (area averages). A Gram matrix lets sharpness go first.
    """
    errors = []
    for size in range(4):
        if size:
            images, painting = F.avg_pool2d(images, 2), F.avg_pool2d(painting, 2)
        own, target = (
            torch.stack([_around_quantile(gradient, q) for q in _QUANTILES], 1)
            for gradient in (
                gradient_magnitude(image).flatten(1).sort(dim=1).values
                for image in (images, painting)
            )
        )
        relative = own / target.clamp_min(_LEAST_GRADIENT)
        one = torch.ones_like(relative)
        errors.append(2 * F.huber_loss(relative, one, reduction="none").mean(1))
    return torch.stack(errors).mean(0)


def _around_quantile(ascending: Tensor, quantile: float) -> Tensor:
    """The mean of 1 % of the values around a quantile, so that gradients reach many pixels.

    ascending: (N, M), sorted. Returns (N,).
    """
    count = ascending.shape[1]
    middle, half = int(quantile * (count - 1)), max(1, count // 200)
    return ascending[:, max(0, middle - half) : middle + half + 1].mean(1)


_COLORS = 256  # of each picture, of equal rank, are compared


def color_loss(images: Tensor, painting: Tensor, directions: int = 8) -> Tensor:
    """How far the colors are from being distributed as the painting's: 0 is equal.

    images: (N, 3, H, W); painting: (1, 3, h, w). Returns (N,), in the images' own unit. The sliced
    2-Wasserstein distance (Rabin et al. 2011; Heitz et al. 2021, of features) along random
    `directions` in RGB. A Gram matrix hardly feels the few bright colors of a grey painting.
    """
    random = F.normalize(torch.randn(directions, 3, device=images.device), dim=1)

    def ranked(pictures: Tensor) -> Tensor:
        ascending = (random @ pictures.flatten(2)).sort(dim=2).values  # (N, directions, H W)
        count = ascending.shape[2]
        middles = (torch.arange(_COLORS, device=images.device) + 0.5) / _COLORS * count
        return ascending[:, :, middles.long()]

    return ((ranked(images) - ranked(painting)).square().mean((1, 2)) + 1e-6).sqrt()


_REPEATS = 8  # of a pattern, across and down: what is regular over so many is an artifact


def grid_loss(image: Tensor, period: int) -> Tensor:
    """Mean variance of patterns that repeat every `period` px (checkerboard artifacts, Odena et al.
    2016; dots and dashes stamped at the stride of a network). (N, C, H, W) -> (N,).

    period: even; its divisors are found as well. The image, without its blur over one period, is
    averaged over 8x8 periods: a painting's grain averages out, a regular pattern stays. A constant
    and a ramp have none, and an image with fewer than 9 periods a side.
    """
    blurred = F.avg_pool2d(image, period, 1)
    height, width = (side // (_REPEATS * period) * _REPEATS * period for side in blurred.shape[-2:])
    if not height or not width:
        return image.new_zeros(len(image))
    half = period // 2
    rest = image[..., half : half + height, half : half + width] - blurred[..., :height, :width]
    phases = F.avg_pool2d(F.pixel_unshuffle(rest, period), _REPEATS)
    return phases.unflatten(1, (image.shape[1], -1)).var(2, correction=0).mean((1, 2, 3))


def temporal_loss(stylized: Tensor, previous_warped: Tensor, mask: Tensor) -> Tensor:
    """Masked mean squared change along the motion (Ruder et al. 2016, eq. 7). Returns (N,).

    stylized, previous_warped: (N, 3, H, W); mask: (N, 1, H, W), 1 where the flow is reliable.
    """
    change = (stylized - previous_warped).square() * mask
    return change.sum((1, 2, 3)) / (stylized.shape[1] * mask.sum((1, 2, 3))).clamp_min(1.0)
