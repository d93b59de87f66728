"""Image files: reading as a person sees them, listing folders, and writing with metadata."""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import av
import numpy as np
from av.video.reformatter import Interpolation

from impasto.models.errors import SourceError
from impasto.realtime.atomic import check_target, write_file
from impasto.realtime.files.containers import check_image_size
from impasto.realtime.files.image_decoding import (
    at_8_bits,
    decode_image,
    is_known_image,
    remainder_of,
    with_remainder,
)
from impasto.realtime.files.image_encoding import (
    WRITABLE_SUFFIXES,
    check_is_writable,
    encode_image,
    supports_16_bits,
)
from impasto.realtime.files.image_metadata import PhotoMetadata, exif_block
from impasto.realtime.pixels import fitted_size, to_rgb

_MAX_BYTES = 1 << 30
_BICUBIC = Interpolation.BICUBIC | Interpolation.ACCURATE_RND
# Lower case. Files of these names are read in folders; a file that is named is read by its content.
PHOTO_SUFFIXES = (".heic", ".heif", ".hif", ".mpo")  # of cameras and phones; read only
IMAGE_SUFFIXES = (
    *(*WRITABLE_SUFFIXES, *PHOTO_SUFFIXES, ".jp2", ".jpx", ".j2k", ".dib"),
    *(".ppm", ".pgm", ".pbm", ".pnm"),
)


@dataclass(frozen=True, slots=True)
class Picture:
    """An image file as a person sees it: upright, in sRGB.

    image: (H, W, 3) uint8 RGB, or (H, W, 4) with straight alpha, white where fully transparent.
    remainder: of 16-bit files, (H, W, 3 or 4) int16: the samples are 257 * image + remainder.
    metadata: to be written with what is made of it. notes: a line each, for the user.
    """

    image: np.ndarray
    remainder: np.ndarray | None
    metadata: PhotoMetadata
    notes: tuple[str, ...] = ()

    def metadata_kept(self, all_of_it: bool) -> PhotoMetadata:
        """The metadata, or only that colors are sRGB."""
        return self.metadata if all_of_it else PhotoMetadata(says_srgb=self.metadata.says_srgb)

    def notes_for(self, target: Path) -> tuple[str, ...]:
        """The notes, with one on what a file of this name cannot keep."""
        if self.remainder is None or supports_16_bits(target):
            return self.notes
        return (*self.notes, f"16 bits: rounded to 8, all that {target.suffix} has")

    def painted_as(self, image: np.ndarray, path: Path) -> np.ndarray:
        """A painting of `image`, uint8 of its shape, at the bit depth to write to this path.

        uint16 if the source has 16 bits and the format of `path` supports them, else as it is.
        The network takes and gives 8 bits. What they leave out of the source is added to what
        comes out, at most half a level of 8 bits: smooth gradients stay smooth.
        """
        if self.remainder is None or not supports_16_bits(path):
            return image
        return with_remainder(image, self.remainder)


def read_picture(
    path: str | Path, *, size: int | tuple[int, int] | None = None, alpha: bool = False
) -> Picture:
    """Read an image file with its metadata.

    JPEG, PNG, WebP, TIFF, HEIC, AVIF, BMP, GIF, JPEG 2000 and PNM by Pillow, others by FFmpeg; the
    format is detected from the content, not the name. Orientation is applied, and colors are
    converted to sRGB. Transparency is composited over white. size: see `pixels.fitted_size`.
    alpha: return pictures with transparency as (H, W, 4) instead. Raises SourceError.
    """
    path = Path(path)
    decoded = decode_image(_read_bytes(path), str(path))
    samples = _without_alpha(decoded.samples) if not alpha else decoded.samples
    if size is not None:
        fitted = fitted_size(samples.shape[0], samples.shape[1], size)
        check_image_size(*fitted, f"{path} would become")
        samples = _resized(samples, fitted)
    if samples.shape[2] == 4:
        samples = _white_where_transparent(samples)
    exif = exif_block(decoded.exif, samples.shape[:2])
    metadata = PhotoMetadata(exif, decoded.xmp, decoded.dpi, decoded.says_srgb)
    notes = tuple(decoded.notes)
    if samples.dtype == np.uint8:
        return Picture(samples, None, metadata, notes)
    remainder = remainder_of(samples, samples.shape[2])
    return Picture(at_8_bits(samples), remainder, metadata, notes)


def read_image(
    path: str | Path, *, size: int | tuple[int, int] | None = None, alpha: bool = False
) -> np.ndarray:
    """Read an image file as (H, W, 3) uint8 RGB: the `image` of `read_picture`."""
    return read_picture(path, size=size, alpha=alpha).image


def check_is_image(path: Path) -> None:
    """Raise SourceError for a file that is no image, by its beginning where Pillow knows that."""
    data = _read_bytes(path)
    if not is_known_image(data):
        decode_image(data, str(path))


def images_in(folder: Path) -> list[Path]:
    """The image files in a folder, "frame10" after "frame9". Raises SourceError if it has none."""
    try:
        paths = [p for p in folder.iterdir() if p.suffix.lower() in IMAGE_SUFFIXES]
    except OSError as error:
        raise SourceError(f"cannot read {folder}: {error.strerror}") from error
    if not paths:
        raise SourceError(f"no images in {folder}; expected {' '.join(IMAGE_SUFFIXES)}")
    return in_natural_order(paths)


def in_natural_order(paths: Iterable[Path]) -> list[Path]:
    """Files by name, "frame10" after "frame9"."""
    return sorted(paths, key=_natural_order)


def image_files(paths: Iterable[Path]) -> list[Path]:
    """The given files, with each folder replaced by its image files. Raises SourceError."""
    return [file for path in paths for file in (images_in(path) if path.is_dir() else [path])]


def read_same_size(paths: Iterable[Path], *, size: int | None = None) -> Iterator[np.ndarray]:
    """Yield images of one size, (H, W, 3) uint8 RGB, as `read_image` reads them.

    size: the short side of the first, to whose size all others are scaled; None: all must have the
    size of the first. Raises SourceError at a file that cannot be read or has another size.
    """
    shape: tuple[int, int] | None = None
    for path in paths:
        image = read_image(path, size=size if shape is None or size is None else shape)
        shape = shape or (image.shape[0], image.shape[1])
        if image.shape[:2] != shape:
            raise SourceError(
                f"expected images of {shape[1]}x{shape[0]} like the first, {path} is "
                f"{image.shape[1]}x{image.shape[0]}; set a size to scale them to"
            )
        yield image


def _without_alpha(samples: np.ndarray) -> np.ndarray:
    """(H, W, 3 or 4) uint8 or uint16, composited over white: (H, W, 3)."""
    if samples.shape[2] == 3:
        return samples
    white = np.iinfo(samples.dtype).max
    wide = np.uint16 if samples.dtype == np.uint8 else np.uint32
    color, alpha = samples[..., :3], samples[..., 3:].astype(wide)
    if alpha.min() == white:
        return np.ascontiguousarray(color)
    over = color * alpha + white * (white - alpha) + white // 2
    return (over // white).astype(samples.dtype)


def _white_where_transparent(samples: np.ndarray) -> np.ndarray:
    """Make fully transparent pixels white; returns (H, W, 3) if all pixels are opaque."""
    white = np.iinfo(samples.dtype).max
    if samples[..., 3].min() == white:
        return np.ascontiguousarray(samples[..., :3])
    clear = np.array((white, white, white, 0), samples.dtype)
    return np.where(samples[..., 3:] == 0, clear, samples)


def _resized(samples: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """(H, W, 3 or 4) uint8 or uint16 at another (height, width), by swscale's bicubic filter."""
    name = "rgb" if samples.shape[2] == 3 else "rgba"
    if samples.dtype == np.uint8:
        name = "rgb24" if name == "rgb" else name
        frame = av.VideoFrame.from_numpy_buffer(np.ascontiguousarray(samples), format=name)
        return to_rgb(frame, size=size, background=None)
    name = "rgb48le" if name == "rgb" else "rgba64le"
    frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(samples), format=name)
    height, width = size
    return frame.reformat(width=width, height=height, interpolation=_BICUBIC).to_ndarray()


def _read_bytes(path: Path) -> bytes:
    try:
        if path.is_file() and path.stat().st_size > _MAX_BYTES:
            raise SourceError(f"{path} is too large for an image: over 1 GiB")
        return path.read_bytes()
    except OSError as error:
        raise SourceError(f"cannot read {path}: {error.strerror}") from error


def _natural_order(path: Path) -> list[str | int]:
    """A sort key by which numbers in a name are compared as numbers: text and numbers in turn."""
    parts = re.split(r"([0-9]+)", path.name)
    return [int(part) if k % 2 else part for k, part in enumerate(parts)]


def check_image_target(path: Path, *, overwrite: bool) -> None:
    """Raise SinkError now if `write_image` could not write later."""
    check_is_writable(path)
    check_target(path, overwrite=overwrite)


def write_image(
    path: str | Path,
    image: np.ndarray,
    *,
    metadata: PhotoMetadata | None = None,
    overwrite: bool = False,
) -> None:
    """Write an image to a file, which appears only when complete.

    image, metadata: as for `encode_image`; the extension chooses the format. Raises SinkError.
    """
    path = Path(path)
    write_file(path, encode_image(image, path.suffix, metadata), overwrite=overwrite)
