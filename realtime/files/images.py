"""Image files, read and written: one picture, or all of a folder."""

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

_WHITE = 255  # transparent pictures are laid on paper
_MAX_BYTES = 1 << 30
# EXIF orientations 1 to 8.
_ORIENTATIONS: tuple[DisplayMatrix, ...] = (
    *(NO_ROTATION, (-1, 0, 0, 1), (-1, 0, 0, -1), (1, 0, 0, -1)),
    *((0, 1, 1, 0), (0, 1, -1, 0), (0, -1, -1, 0), (0, -1, 1, 0)),
)

_JPEG = ColorTags(matrix=BT601, full_range=True)  # as JFIF defines it
_JPEG_OPTIONS = {"flags": "+qscale", "global_quality": str(2 * 118)}  # what others call 95
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
    """A PNG, JPEG, WebP, BMP or TIFF file as (H, W, 3) uint8 RGB, upright.

    EXIF orientation is applied, transparency laid over white, 16 bits are rounded to 8. The kind
    is told by the content, not the name. size: see `pixels.fitted_size`.
    alpha: a picture with transparency comes as (H, W, 4), straight alpha, instead; the colour of
    pixels that cannot be seen at all is white. Raises SourceError.
    """
    path = Path(path)
    data = _bytes_of(path)
    try:
        with av.open(io.BytesIO(data), "r") as container:
            stream = container.streams.video[0]
            check_image_size(stream.height, stream.width, f"{path} is")
            frame = next(container.decode(stream))
            matrix = _exif_matrix(data) or display_matrix(frame)
            image = to_rgb(frame, background=None if alpha else _WHITE)
            image = apply_display_matrix(image, matrix)
            if image.shape[2] == 4:
                image = _with_paper(image)
            if size is None:
                return image
            channels = "rgb24" if image.shape[2] == 3 else "rgba"
            upright = av.VideoFrame.from_numpy_buffer(image, format=channels)
            fitted = fitted_size(image.shape[0], image.shape[1], size)
            check_image_size(*fitted, f"{path} would become")
            return to_rgb(upright, size=fitted, background=None)
    except (av.FFmpegError, IndexError, StopIteration) as error:
        raise SourceError(f"cannot read {path}: it is not a picture, or it is damaged") from error


def images_in(folder: Path) -> list[Path]:
    """The pictures in a folder, "frame10" after "frame9". Raises SourceError if there are none."""
    try:
        found = [p for p in folder.iterdir() if p.suffix.lower() in IMAGE_SUFFIXES]
    except OSError as error:
        raise SourceError(f"cannot read {folder}: {error.strerror}") from error
    if not found:
        raise SourceError(f"no pictures in {folder}; expected {' '.join(IMAGE_SUFFIXES)}")
    return sorted(found, key=_with_numbers)


def image_files(paths: Iterable[Path]) -> list[Path]:
    """The files that are named, and all those in the folders that are. Raises SourceError."""
    return [file for path in paths for file in (images_in(path) if path.is_dir() else [path])]


def read_same_size(paths: Iterable[Path], *, size: int | None = None) -> Iterator[np.ndarray]:
    """Pictures of one size, as `read_image` reads them.

    size: the short side of the first, whose size all others are brought to; None: they have it
    already. Raises SourceError, at the picture that cannot be read or is of another size.
    """
    shape: tuple[int, int] | None = None
    for path in paths:
        image = read_image(path, size=size if shape is None or size is None else shape)
        shape = shape or (image.shape[0], image.shape[1])
        if image.shape[:2] != shape:
            raise SourceError(
                f"expected pictures of {shape[1]}x{shape[0]} like the first, {path} is "
                f"{image.shape[1]}x{image.shape[0]}; ask for one size"
            )
        yield image


def _with_paper(rgba: np.ndarray) -> np.ndarray:
    """White where nothing is to be seen, whatever is stored there; (H, W, 3) if all is opaque."""
    if rgba[..., 3].min() == 255:
        return np.ascontiguousarray(rgba[..., :3])
    return np.where(rgba[..., 3:] == 0, np.array((_WHITE, _WHITE, _WHITE, 0), np.uint8), rgba)


def _bytes_of(path: Path) -> bytes:
    try:
        if path.is_file() and path.stat().st_size > _MAX_BYTES:
            raise SourceError(f"{path} is too large for a picture: over 1 GiB")
        return path.read_bytes()
    except OSError as error:
        raise SourceError(f"cannot read {path}: {error.strerror}") from error


def _with_numbers(path: Path) -> list[str | int]:
    """Text and numbers by turns."""
    parts = re.split(r"([0-9]+)", path.name)
    return [int(part) if k % 2 else part for k, part in enumerate(parts)]


def _exif_matrix(jpeg: bytes) -> DisplayMatrix | None:
    """The orientation in a JPEG's EXIF block (JEITA CP-3451), which PyAV does not tell in full."""
    found = jpeg.find(b"Exif\0\0", 0, 1 << 16)
    if found < 0 or not jpeg.startswith(b"\xff\xd8"):
        return None
    block = jpeg[found + 6 : found + (1 << 16)]

    def number(at: int, size: int) -> int:
        return int.from_bytes(block[at : at + size], "little" if block[:2] == b"II" else "big")

    table = number(4, 4)
    for entry in range(number(table, 2)):
        at = table + 2 + 12 * entry
        if number(at, 2) == 0x0112 and 1 <= number(at + 8, 2) <= 8:
            return _ORIENTATIONS[number(at + 8, 2) - 1]
    return None


def supports_alpha(path: Path) -> bool:
    """Whether a picture of this name may have transparency."""
    return path.suffix.lower() in _WITH_ALPHA


def encode_image(image: np.ndarray, extension: str) -> bytes:
    """A picture as the bytes of a .png, .jpg, .webp, .tif or .bmp file.

    image: (H, W, 3) uint8 RGB, or (H, W, 4) with straight alpha where the kind `supports_alpha`.
    Raises SinkError for another extension.
    """
    try:
        encoder, pixel_format, options = _ENCODERS[extension.lower()]
    except KeyError:
        raise SinkError(
            f"cannot write pictures as {extension!r}: use {', '.join(_ENCODERS)}"
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
    """Write a picture to a file that appears only when complete.

    image: as for `encode_image`; the extension chooses the kind. Raises SinkError.
    """
    path = Path(path)
    write_file(path, encode_image(image, path.suffix), overwrite=overwrite)
