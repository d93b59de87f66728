"""Whether int8 paints as float does, on the frames to stylize and on the sample picture."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from impasto.realtime.samples import SAMPLE_IMAGE

if TYPE_CHECKING:
    from impasto.realtime.engines.openvino_engine import OpenVinoEngine

_MEAN_PSNR, _LEAST_PSNR = 38, 34  # dB: of all frames, and of each
_SIZE = 360, 640  # of what is compared of a frame: its middle


def int8_problem(engine: OpenVinoEngine, frames: Sequence[np.ndarray] = ()) -> str | None:
    """Why the int8 `engine` is not to be used for frames like these; None: it may be.

    frames: (H, W, 3) uint8 RGB. Both engines paint each by its own norm statistics.
    """
    measured = [_psnr(engine, _middle(frame)) for frame in (_sample(), *frames)]
    mean, least = sum(measured) / len(measured), min(measured)
    if mean >= _MEAN_PSNR and least >= _LEAST_PSNR:
        return None
    return (
        f"int8 differs too much from {engine.exact.precision} here: {mean:.1f} dB, at worst "
        f"{least:.1f}, where {_MEAN_PSNR} and {_LEAST_PSNR} are required"
    )


def _psnr(engine: OpenVinoEngine, frame: np.ndarray) -> float:
    pixels = engine(frame[None]).astype(np.float32)
    error = float(np.square(pixels - engine.exact(frame[None])).mean())
    return 10 * np.log10(255**2 / max(error, 1e-3))


def _middle(frame: np.ndarray) -> np.ndarray:
    height, width = (min(side, most) for side, most in zip(frame.shape, _SIZE, strict=False))
    top, left = (frame.shape[0] - height) // 2, (frame.shape[1] - width) // 2
    return frame[top : top + height, left : left + width]


def _sample() -> np.ndarray:
    from PIL import Image

    with Image.open(SAMPLE_IMAGE) as picture:
        return np.asarray(picture.convert("RGB"))
