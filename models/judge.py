"""Content and style loss of stylized pictures, as `impasto eval` and training report them.

content: mean((F - P)^2) / mean(P^2) at relu4_2 of the loss network;
style: mean over relu1_1 ... relu5_1 of ||G - A||^2 / ||A||^2.
"""

from collections.abc import Iterable

import torch
from torch import Tensor

from impasto.models.loss_network import LossNetwork
from impasto.models.losses import CONTENT_LAYER, STYLE_LAYERS, content_loss, gram_matrix, style_loss
from impasto.models.training.dataset import resize_long_side, resize_short_side


class StyleMetrics:
    """Content loss against a photo, and style loss against one painting.

    network: a frozen loss network, on any device. painting: (1, 3, H, W) in [0, 1], or None: then
    there is no style loss. side: px, the short side to which stylized picture and photo are reduced
    before they are compared; painting_side: px, the long side of the painting. None: as they come.
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
        if painting is not None:
            if painting_side is not None:
                painting = resize_long_side(painting, painting_side)
            self._targets = self._grams(self._features(painting, STYLE_LAYERS))

    def losses(self, stylized: Tensor, photo: Tensor) -> tuple[float, float | None]:
        """Content and style loss of one picture; both (1, 3, H, W) in [0, 1], sizes may differ."""
        layers = (CONTENT_LAYER, *(STYLE_LAYERS if self._targets else ()))
        features = self._features(self._reduced(stylized), layers)
        target = self._features(self._reduced(photo), [CONTENT_LAYER])[CONTENT_LAYER]
        content = content_loss(features[CONTENT_LAYER], target).item()
        if not self._targets:
            return content, None
        return content, style_loss(self._grams(features), self._targets).item()

    def mean_losses(
        self, stylized: Iterable[Tensor], photos: Iterable[Tensor]
    ) -> tuple[float, float | None]:
        """Content and style loss of several pictures, each averaged over the pictures."""
        contents, styles = zip(*map(self.losses, stylized, photos), strict=True)
        style = sum(styles) / len(styles) if self._targets else None
        return sum(contents) / len(contents), style

    def _reduced(self, image: Tensor) -> Tensor:
        return image if self._side is None else resize_short_side(image, self._side)

    @torch.inference_mode()
    def _features(self, image: Tensor, layers: Iterable[str]) -> dict[str, Tensor]:
        return self._network(image.to(self._device), layers)

    @staticmethod
    def _grams(features: dict[str, Tensor]) -> dict[str, Tensor]:
        return {layer: gram_matrix(features[layer]) for layer in STYLE_LAYERS}
