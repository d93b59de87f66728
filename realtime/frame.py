"""A picture and its time, and what is known of the stream it belongs to."""

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

import numpy as np


@dataclass(frozen=True, slots=True)
class ColorTags:
    """How a file's YUV numbers mean colours: code points of ITU-T H.273; 2 is unspecified."""

    primaries: int = 2
    transfer: int = 2
    matrix: int = 2
    full_range: bool = False


@dataclass(frozen=True, slots=True)
class Frame:
    """One picture, and when to show it.

    The picture is RGB, or, where `color` says what its numbers mean, the planes of a codec: Y'CbCr
    4:2:0, luma above and both planes of chroma, one after the other, below (see fast.yuv420).
    Planes may lie on a GPU, as a torch.Tensor, for who has asked for that; see `on_host`.
    """

    image: np.ndarray  # (H, W, 3) uint8, RGB; or (3 H / 2, W) uint8, planes
    pts: int  # presentation time, in time_base units
    time_base: Fraction  # seconds per unit
    color: ColorTags | None = None  # of planes; the matrix is always a known one

    @property
    def size(self) -> tuple[int, int]:
        """Height and width in pixels."""
        rows, width = self.image.shape[:2]
        return (rows if self.color is None else rows * 2 // 3), width


def on_host(image: np.ndarray) -> np.ndarray:
    """A picture as an array; one that lies on a GPU is copied."""
    return image if isinstance(image, np.ndarray) else image.cpu().numpy()


def stacked(images: Sequence[np.ndarray]) -> np.ndarray:
    """Pictures of one shape as one batch, to be read only; on the GPU if all of them are there."""
    if any(isinstance(image, np.ndarray) for image in images):
        first, *others = (on_host(image) for image in images)
        return np.stack([first, *others]) if others else first[None]  # one is not copied
    import torch

    return torch.stack(list(images))  # type: ignore[arg-type,return-value]


@dataclass(frozen=True, slots=True)
class StreamInfo:
    """What a source knows of its frames before the first one."""

    height: int  # of the frames it yields: upright, after any resizing
    width: int
    time_base: Fraction  # seconds per unit of Frame.pts
    frame_rate: Fraction | None = None  # declared; None for a stream that declares none
    frame_count: int | None = None  # expected, for progress; None when unknown
    duration: Fraction | None = None  # seconds
    sample_aspect_ratio: Fraction = Fraction(1)  # width of a pixel over its height, upright
    color: ColorTags = ColorTags()
    bit_depth: int = 8  # of the source
