"""One picture to a file."""

from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np

from models.errors import SinkError
from realtime.atomic import Target
from realtime.frame import ColorTags
from realtime.pixels import BT601, to_video_frame

_JPEG = ColorTags(matrix=BT601, full_range=True)  # as JFIF defines it
# Encoder, pixel format, options: JPEG at about the quality that others call 95.
_ENCODERS = {
    ".png": ("png", "rgb24", {}),
    ".jpg": ("mjpeg", "yuvj444p", {"flags": "+qscale", "global_quality": str(2 * 118)}),
    ".jpeg": ("mjpeg", "yuvj444p", {"flags": "+qscale", "global_quality": str(2 * 118)}),
    ".webp": ("libwebp", "yuv420p", {"quality": "95"}),
}
PICTURE_EXTENSIONS = tuple(_ENCODERS)


def encoded_picture(image: np.ndarray, extension: str) -> bytes:
    """A picture as the bytes of a .png, .jpg or .webp file.

    image: (H, W, 3) uint8 RGB. Raises SinkError for another extension.
    """
    try:
        encoder, pixel_format, options = _ENCODERS[extension.lower()]
    except KeyError:
        raise SinkError(
            f"cannot write pictures as {extension!r}: use {', '.join(_ENCODERS)}"
        ) from None
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


def write_picture(path: str | Path, image: np.ndarray, *, overwrite: bool = False) -> None:
    """Write a picture to a file that appears only when complete.

    image: (H, W, 3) uint8 RGB; the extension chooses the kind. Raises SinkError.
    """
    path = Path(path)
    data = encoded_picture(image, path.suffix)
    target = Target(path, overwrite=overwrite)
    try:
        target.partial.write_bytes(data)
    except OSError as error:
        target.discard()
        raise SinkError(f"cannot write {path}: {error.strerror}") from error
    target.commit()
