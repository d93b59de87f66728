"""A video frame with its time, and the properties of the stream it belongs to."""

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

if TYPE_CHECKING:
    import av

PixelFormat = Literal["rgb24", "yuv420p"]  # by FFmpeg's names


@dataclass(frozen=True, slots=True)
class ColorTags:
    """The color space of a video's Y'CbCr: code points of ITU-T H.273; 2 is unspecified."""

    primaries: int = 2
    transfer: int = 2
    matrix: int = 2
    full_range: bool = False


@dataclass(frozen=True, slots=True)
class HdrMetadata:
    """What a file in HDR says of its light, as static metadata; None for what it does not say."""

    # Of the mastering display (SMPTE ST 2086): CIE 1931 x and y of red, green, blue and white, and
    # its darkest and brightest luminance, cd/m2.
    chromaticities: tuple[Fraction, ...] | None = None
    luminance: tuple[Fraction, Fraction] | None = None
    light_level: tuple[int, int] | None = None  # MaxCLL and MaxFALL, cd/m2: CTA-861.3

    @property
    def peak(self) -> float | None:
        """The brightest light in the pictures, cd/m2; None if it is not known."""
        if self.light_level is not None and self.light_level[0]:
            return self.light_level[0]
        return float(self.luminance[1]) or None if self.luminance is not None else None


@dataclass(frozen=True, slots=True)
class Frame:
    """One picture, and when to show it.

    image, by pixel_format: "rgb24" is (H, W, 3) uint8. "yuv420p" is (3 H / 2, W) uint8, H and W
    even: H rows of luma, then the planes Cb and Cr, each of (H / 2, W / 2) in H / 4 rows (I420);
    `color` has their matrix and range. On a GPU it is a torch.Tensor: see `on_host`.
    Raises ValueError for another shape.
    """

    image: np.ndarray
    pts: int  # presentation time, in time_base units
    time_base: Fraction  # seconds per unit
    pixel_format: PixelFormat = "rgb24"
    color: ColorTags | None = None  # of yuv420p; its matrix is never unspecified
    alpha: np.ndarray | None = None  # (H, W) uint8, straight: 0 is transparent; None: opaque
    captioned: "av.VideoFrame | None" = None  # the source's frame, if it has closed captions
    picture: Any = None  # a `files.images.Picture`, the source's, where pictures are written

    def __post_init__(self) -> None:
        shape = self.image.shape
        if self.pixel_format == "rgb24":
            fits = len(shape) == 3 and shape[2] == 3
        else:
            fits = len(shape) == 2 and shape[0] % 3 == shape[1] % 2 == 0 and self.color is not None
        if not fits:
            expected = "(H, W, 3)" if self.pixel_format == "rgb24" else "(3 H / 2, W) and color"
            raise ValueError(f"a frame of {self.pixel_format} is {expected}, got {tuple(shape)}")

    @property
    def size(self) -> tuple[int, int]:
        """Height and width in pixels."""
        rows, width = self.image.shape[:2]
        return (rows if self.pixel_format == "rgb24" else rows * 2 // 3), width


def on_host(image: np.ndarray) -> np.ndarray:
    """A picture as an array of NumPy; one on a GPU is copied."""
    return image if isinstance(image, np.ndarray) else image.cpu().numpy()


def stacked(images: Sequence[np.ndarray]) -> np.ndarray:
    """Pictures of one shape as one batch, read only; on the GPU if all of them are."""
    if any(isinstance(image, np.ndarray) for image in images):
        first, *others = (on_host(image) for image in images)
        return np.stack([first, *others]) if others else first[None]  # one is not copied
    import torch

    return torch.stack(list(images))  # type: ignore[arg-type,return-value]


_VISIBLE = Fraction(1, 100)  # the least deviation of a pixel's shape that can be seen


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
    hdr: HdrMetadata | None = None
    bit_depth: int = 8  # of the source
    has_alpha: bool = False  # frames have alpha
    plays: int | None = None  # of an animated picture: how often it is shown; 0: forever

    @property
    def looks_square(self) -> bool:
        """Whether pixels are so nearly square, as 1281/1280 is, that nobody sees a difference."""
        return abs(self.sample_aspect_ratio - 1) < _VISIBLE
