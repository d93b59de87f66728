"""Quality of stylized pictures, as `impasto eval` and training report it.

content: mean((F - P)^2) / mean(P^2) at relu4_2 of the loss network (of a ConvNet that is no VGG,
    at layers of its own);
layers: ||G - A||^2 / ||A||^2 of each style layer, G and A the Gram matrices of the picture and of
    the painting. Their mean is dominated by relu5_1, where every network is bad;
strokes: the geometric mean of the errors at relu3_1 and relu4_1, the layers of strokes and forms;
vigor: the picture's gradients over the painting's, at four sizes: below 1 is soft;
sharpness: the picture's gradients over the photo's, at the full size;
total variation: mean squared difference of neighboring pixels, in [0, 1], reduced as for content;
total: content + STYLE_WEIGHT style + TV_WEIGHT total variation over the painting's: what plain
    Gatys optimization minimizes;
grid: the amplitude, in levels of 255, of patterns that repeat every 8 px: a network's own stride.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import torch
import torch.nn.functional as F
from torch import Tensor

from impasto.models.loss_network import LossNetwork
from impasto.models.losses import (
    content_loss,
    gradient_magnitude,
    gram_matrix,
    grid_loss,
    relative_error,
    total_variation,
)
from impasto.models.training.dataset import resize_long_side, resize_short_side

STROKE_LAYERS = ("relu3_1", "relu4_1")
STYLE_WEIGHT, TV_WEIGHT = 20.0, 0.03  # of the total; content has 1
VIGOR_SIZES = 4  # each half the last
_GRID_PERIOD = 8  # px; finds 4 and 2 as well
_MIN_VARIATION = 1e-3  # of a painting of one color
_STEEP = 0.95  # the quantile of the gradient that vigor compares


@dataclass(frozen=True)
class StyleFigures:
    """Figures of one stylized picture, or the means of several. Style and vigor need a painting."""

    content: float
    grid: float = 0.0
    layers: Mapping[str, float] = field(default_factory=dict)  # style loss by layer
    vigor: Sequence[float] = ()  # at the full size, 1/2, 1/4 and 1/8
    total_variation: float = 0.0
    total: float | None = None
    sharpness: float = 1.0

    @property
    def style(self) -> float | None:
        """The mean over all style layers (Gatys et al. 2016, eq. 5, each layer relative)."""
        return sum(self.layers.values()) / len(self.layers) if self.layers else None

    @property
    def strokes(self) -> float | None:
        """The geometric mean over STROKE_LAYERS; None where the loss network has other layers."""
        if not all(layer in self.layers for layer in STROKE_LAYERS):
            return None
        return math.prod(self.layers[k] for k in STROKE_LAYERS) ** (1 / len(STROKE_LAYERS))


def mean_figures(figures: Sequence[StyleFigures]) -> StyleFigures:
    """The mean of every figure over pictures; strokes and style are those of the means."""
    count = len(figures)
    totals = [each.total for each in figures if each.total is not None]
    return StyleFigures(
        content=sum(each.content for each in figures) / count,
        grid=sum(each.grid for each in figures) / count,
        layers={k: sum(each.layers[k] for each in figures) / count for k in figures[0].layers},
        vigor=[sum(column) / count for column in zip(*(f.vigor for f in figures), strict=False)],
        total_variation=sum(each.total_variation for each in figures) / count,
        total=sum(totals) / count if len(totals) == count else None,
        sharpness=sum(each.sharpness for each in figures) / count,
    )


class StyleMetrics:
    """Measures stylized pictures against their photos and one painting.

    network: a frozen loss network, on any device. painting: (1, 3, H, W) in [0, 1], or None: then
    there is only content. side: px, the short side to which stylized picture and photo are reduced
    before the loss network compares them; painting_side: px, the long side of the painting. None:
    as they come.
    """

    def __init__(
        self,
        network: LossNetwork,
        painting: Tensor | None,
        *,
        side: int | None = 256,
        painting_side: int | None = 512,
    ) -> None:
        self._network, self._side = network, side
        self._device = next(network.parameters()).device
        self._targets: dict[str, Tensor] = {}
        self._steepness: list[float] = []
        self._variation = 1.0
        if painting is not None:
            if painting_side is not None:
                painting = resize_long_side(painting, painting_side)
            self._targets = self._grams(self._features(painting, network.style_layers))
            self._steepness = steepness(painting)
            self._variation = max(total_variation(painting).item(), _MIN_VARIATION)

    def __call__(self, stylized: Tensor, photo: Tensor) -> StyleFigures:
        """Figures of one picture; both (1, 3, H, W) in [0, 1], sizes may differ."""
        content = self._network.content_layer
        layers = (content, *self._targets)
        reduced = self._reduced(stylized)
        features = self._features(reduced, layers)
        target = self._features(self._reduced(photo), [content])[content]
        steep = steepness(stylized)
        plain = StyleFigures(
            content=content_loss(features[content], target).item(),
            grid=255 * grid_loss(stylized, _GRID_PERIOD).item() ** 0.5,
            total_variation=total_variation(reduced).item(),
            sharpness=steep[0] / max(steepness(photo)[0], 1e-6) if steep else 1.0,
        )
        if not self._targets:
            return plain
        grams = self._grams(features)
        errors = {k: relative_error(grams[k], self._targets[k]).item() for k in self._targets}
        variation = plain.total_variation / self._variation
        style = sum(errors.values()) / len(errors)
        return replace(
            plain,
            layers=errors,
            vigor=[own / other for own, other in zip(steep, self._steepness, strict=False)],
            total=plain.content + STYLE_WEIGHT * style + TV_WEIGHT * variation,
        )

    def mean(self, stylized: Iterable[Tensor], photos: Iterable[Tensor]) -> StyleFigures:
        """The mean figures of several pictures."""
        return mean_figures([self(*pair) for pair in zip(stylized, photos, strict=True)])

    def _reduced(self, image: Tensor) -> Tensor:
        return image if self._side is None else resize_short_side(image, self._side)

    @torch.inference_mode()
    def _features(self, image: Tensor, layers: Iterable[str]) -> dict[str, Tensor]:
        return self._network(image.to(self._device), layers)

    def _grams(self, features: dict[str, Tensor]) -> dict[str, Tensor]:
        return {layer: gram_matrix(features[layer]) for layer in self._network.style_layers}


def steepness(image: Tensor) -> list[float]:
    """The 95th percentile of the gradient at VIGOR_SIZES sizes, in levels of 255 a pixel.

    image: (1, 3, H, W) in [0, 1]. A size below 3 px has none: the list is then shorter.
    """
    found = []
    for size in range(VIGOR_SIZES):
        image = F.avg_pool2d(image, 2) if size else image
        if min(image.shape[-2:]) < 3:
            break
        gradient = 255 * gradient_magnitude(image).flatten()
        # torch.quantile refuses more than 16 million values
        found.append(gradient.kthvalue(math.ceil(_STEEP * gradient.numel())).values.item())
    return found
