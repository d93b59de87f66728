"""One picture to a file."""

from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np

from models.errors import SinkError
from realtime.atomic import write_file
from realtime.frame import ColorTags
from realtime.pixels import BT601, to_video_frame

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
PICTURE_EXTENSIONS = tuple(_ENCODERS)


def holds_alpha(path: Path) -> bool:
    """Whether a picture of this name may have transparency."""
    return path.suffix.lower() in _WITH_ALPHA


def encoded_picture(image: np.ndarray, extension: str) -> bytes:
    """A picture as the bytes of a .png, .jpg, .webp, .tif or .bmp file.

    image: (H, W, 3) uint8 RGB, or (H, W, 4) with straight alpha where the kind `holds_alpha`.
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


def write_picture(path: str | Path, image: np.ndarray, *, overwrite: bool = False) -> None:
    """Write a picture to a file that appears only when complete.

    image: as for `encoded_picture`; the extension chooses the kind. Raises SinkError.
    """
    path = Path(path)
    write_file(path, encoded_picture(image, path.suffix), overwrite=overwrite)
