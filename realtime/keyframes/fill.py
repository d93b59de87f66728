"""Fill: what stylizes the parts of a frame that no keyframe can be traced to."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import chain

import numpy as np

from impasto.models.judge import StyleMetrics
from impasto.models.loss_network import load_loss_network
from impasto.models.styles import known_styles
from impasto.realtime.engines.options import EngineOptions
from impasto.realtime.frame import Frame
from impasto.realtime.keyframes.color_transfer import fit_color_transfer
from impasto.realtime.pipeline import Stylize
from impasto.realtime.pixels import as_tensor
from impasto.realtime.stylizer import LazyStylizer


def fill_with(style: str, network: str, device: str, log: Callable[[str], None]) -> Stylize:
    """The stylizer of a style or a style file, steady from frame to frame; or `unstylized`."""
    if style == "content":
        return unstylized
    return LazyStylizer(
        EngineOptions(style, device=device, network=network), log, steadiness="flow"
    )


def unstylized(batches: Iterator[list[Frame]]) -> Iterator[Frame]:
    """The frames themselves; `KeyframePropagation` matches their colors."""
    return chain.from_iterable(batches)


def nearest_fill(
    original: np.ndarray, painted: np.ndarray, painting: np.ndarray, network: str = "auto"
) -> tuple[str, float]:
    """The shipped style, or "content", that comes nearest to a painting, and its style loss.

    Each stylizes one keyframe and is given the colors of its painting, as when it fills in.
    original, painted: the keyframe, and painting: the style image; all (H, W, 3) uint8. network: an
    architecture, or "auto"; styles without it are left out.
    """
    metrics = StyleMetrics(load_loss_network("compact"), as_tensor(painting))
    losses: dict[str, float] = {}
    for style in ("content", *known_styles(network)):
        image = original
        if style != "content":
            options = EngineOptions(style, engine="torch", network=network)
            image = LazyStylizer(options, is_video=False).stylize_image(original)
        colored = fit_color_transfer(image, painted)(image)
        losses[style] = metrics(as_tensor(colored), as_tensor(original)).style or 0.0
    nearest = min(losses, key=lambda style: losses[style])
    return nearest, losses[nearest]
