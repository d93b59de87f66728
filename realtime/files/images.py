"""Image files: reading (with EXIF rotation and alpha), listing folders, encoding and writing."""

import io
import re
from collections.abc import Iterable, Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np

from impasto.models.errors import SinkError, SourceError
from impasto.realtime.atomic import write_file
from impasto.realtime.files.containers import check_image_size
from impasto.realtime.files.rotation import (
    NO_ROTATION,
    DisplayMatrix,
    apply_display_matrix,
    display_matrix,
)
from impasto.realtime.frame import ColorTags
from impasto.realtime.pixels import BT601, fitted_size, to_rgb, to_video_frame

_WHITE = 255  # the background of transparent pictures
_MAX_BYTES = 1 << 30
# EXIF orientations 1 to 8.
_ORIENTATIONS: tuple[DisplayMatrix, ...] = (
    *(NO_ROTATION, (-1, 0, 0, 1), (-1, 0, 0, -1), (1, 0, 0, -1)),
    *((0, 1, 1, 0), (0, 1, -1, 0), (0, -1, -1, 0), (0, -1, 1, 0)),
)

_JPEG = ColorTags(matrix=BT601, full_range=True)  # as JFIF defines it
_JPEG_OPTIONS = {"flags": "+qscale", "global_quality": str(2 * 118)}  # about libjpeg's 95
_LZW = {"compression_algo": "lzw"}
# Encoder, pixel format, options.
_ENCODERS = {
    ".png": ("png", "rgb24", {}),
    ".jpg": ("mjpeg", "yuvj444p", _JPEG_OPTIONS),
    ".jpeg": ("mjpeg", "yuvj444p", _JPEG_OPTIONS),
    ".webp": ("libwebp", "yuv420p", {"quality": "95"}),
    ".tif": ("tiff", "rgb24", _LZW),
    ".tiff": ("tiff", "rgb24", _LZW),
    ".bmp": ("bmp", "bgr24", {}),
}
_WITH_ALPHA = {".png": "rgba", ".webp": "bgra", ".tif": "rgba", ".tiff": "rgba"}
IMAGE_SUFFIXES = tuple(_ENCODERS)  # lower case; each can be read and written


def read_image(
    path: str | Path, *, size: int | tuple[int, int] | None = None, alpha: bool = False
) -> np.ndarray:
    """Read a PNG, JPEG, WebP, BMP or TIFF file as (H, W, 3) uint8 RGB, upright.

    The format is detected from the content, not the name. EXIF orientation is applied, transparency
    is composited over white, 16 bits are rounded to 8. size: see `pixels.fitted_size`.
    alpha: return pictures with transparency as (H, W, 4) instead, with straight alpha; fully
    transparent pixels are white. Raises SourceError.
    """
    path = Path(path)
    data = _read_bytes(path)
    try:
        with av.open(io.BytesIO(data), "r") as container:
            stream = container.streams.video[0]
            check_image_size(stream.height, stream.width, f"{path} is")
            frame = next(container.decode(stream))
            matrix = _exif_matrix(data) or display_matrix(frame)
            image = to_rgb(frame, background=None if alpha else _WHITE)
            image = apply_display_matrix(image, matrix)
            if image.shape[2] == 4:
                image = _white_where_transparent(image)
            if size is None:
                return image
            channels = "rgb24" if image.shape[2] == 3 else "rgba"
            upright = av.VideoFrame.from_numpy_buffer(image, format=channels)
            fitted = fitted_size(image.shape[0], image.shape[1], size)
            check_image_size(*fitted, f"{path} would become")
            return to_rgb(upright, size=fitted, background=None)
    except (av.FFmpegError, IndexError, StopIteration) as error:
        raise SourceError(f"cannot read {path}: it is not an image, or it is damaged") from error


def images_in(folder: Path) -> list[Path]:
    """The image files in a folder, "frame10" after "frame9". Raises SourceError if it has none."""
    try:
        paths = [p for p in folder.iterdir() if p.suffix.lower() in IMAGE_SUFFIXES]
    except OSError as error:
        raise SourceError(f"cannot read {folder}: {error.strerror}") from error
    if not paths:
        raise SourceError(f"no images in {folder}; expected {' '.join(IMAGE_SUFFIXES)}")
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


def _white_where_transparent(rgba: np.ndarray) -> np.ndarray:
    """Make fully transparent pixels white; returns (H, W, 3) if all pixels are opaque."""
    if rgba[..., 3].min() == 255:
        return np.ascontiguousarray(rgba[..., :3])
    return np.where(rgba[..., 3:] == 0, np.array((_WHITE, _WHITE, _WHITE, 0), np.uint8), rgba)


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


def _exif_matrix(jpeg: bytes) -> DisplayMatrix | None:
    """The orientation in a JPEG's EXIF block (JEITA CP-3451); PyAV reports only the rotation."""
    start = jpeg.find(b"Exif\0\0", 0, 1 << 16)
    if start < 0 or not jpeg.startswith(b"\xff\xd8"):
        return None
    block = jpeg[start + 6 : start + (1 << 16)]

    def number(at: int, size: int) -> int:
        return int.from_bytes(block[at : at + size], "little" if block[:2] == b"II" else "big")

    table = number(4, 4)
    for entry in range(number(table, 2)):
        at = table + 2 + 12 * entry
        if number(at, 2) == 0x0112 and 1 <= number(at + 8, 2) <= 8:
            return _ORIENTATIONS[number(at + 8, 2) - 1]
    return None


def supports_alpha(path: Path) -> bool:
    """Whether the image format of this file name supports transparency."""
    return path.suffix.lower() in _WITH_ALPHA


def encode_image(image: np.ndarray, extension: str) -> bytes:
    """Encode an image as the bytes of a .png, .jpg, .webp, .tif or .bmp file.

    image: (H, W, 3) uint8 RGB, or (H, W, 4) with straight alpha if the format `supports_alpha`.
    Raises SinkError for another extension, or a size the format does not support.
    """
    try:
        encoder, pixel_format, options = _ENCODERS[extension.lower()]
    except KeyError:
        raise SinkError(
            f"cannot write images as {extension!r}: use {', '.join(_ENCODERS)}"
        ) from None
    if image.shape[2] == 4:
        pixel_format = _WITH_ALPHA[extension.lower()]
        frame = av.VideoFrame.from_numpy_buffer(np.ascontiguousarray(image), format="rgba")
        frame = frame.reformat(format=pixel_format)
    else:
        frame = to_video_frame(image, pixel_format, _JPEG if encoder == "mjpeg" else None)
    context: Any = av.CodecContext.create(encoder, "w")
    context.height, context.width = image.shape[:2]
    context.pix_fmt, context.options = pixel_format, options
    context.time_base = Fraction(1)
    try:
        return b"".join(bytes(p) for f in (frame, None) for p in context.encode(f))
    except av.FFmpegError as error:
        raise SinkError(
            f"cannot write {image.shape[1]}x{image.shape[0]} as {extension}: {error.strerror}"
        ) from error


def write_image(path: str | Path, image: np.ndarray, *, overwrite: bool = False) -> None:
    """Write an image to a file, which appears only when complete.

    image: as for `encode_image`; the extension chooses the format. Raises SinkError.
    """
    path = Path(path)
    write_file(path, encode_image(image, path.suffix), overwrite=overwrite)
