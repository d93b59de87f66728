"""Encoding image files, with their metadata, at 8 or 16 bits."""

import io
import struct
import warnings
import zlib
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, PngImagePlugin, TiffImagePlugin, TiffTags
from PIL.ExifTags import IFD

from impasto.models.errors import SinkError
from impasto.realtime.files.image_color import srgb_profile
from impasto.realtime.files.image_metadata import PhotoMetadata

_JPEG = ("JPEG", {"quality": 93, "subsampling": 0})
# By extension: Pillow's name of the format, and its options.
_FORMATS: dict[str, tuple[str, dict[str, Any]]] = {
    ".png": ("PNG", {"compress_level": 2}),
    ".jpg": _JPEG,
    ".jpeg": _JPEG,
    ".jpe": _JPEG,
    ".jfif": _JPEG,
    ".webp": ("WEBP", {"quality": 95}),
    ".avif": ("AVIF", {"quality": 90, "speed": 8}),
    ".tif": ("TIFF", {}),
    ".tiff": ("TIFF", {}),
    ".bmp": ("BMP", {}),
}
WRITABLE_SUFFIXES = tuple(_FORMATS)  # lower case
_WITH_ALPHA = (".png", ".webp", ".avif", ".tif", ".tiff")
_PNG_HEADER = 33  # bytes of signature and IHDR
_WITH_16_BITS = (".png", ".tif", ".tiff")


def supports_alpha(path: Path) -> bool:
    """Whether the image format of this file name supports transparency."""
    return path.suffix.lower() in _WITH_ALPHA


def supports_16_bits(path: Path) -> bool:
    """Whether the image format of this file name supports 16 bits a channel."""
    return path.suffix.lower() in _WITH_16_BITS


def check_is_writable(path: Path) -> None:
    """Raise SinkError where the extension is that of no image format that can be written."""
    if path.suffix.lower() not in WRITABLE_SUFFIXES:
        raise SinkError(
            f"cannot write pictures as {path.suffix or path.name!r}: use "
            f"{', '.join(WRITABLE_SUFFIXES)}"
        )


def encode_image(image: np.ndarray, extension: str, metadata: PhotoMetadata | None = None) -> bytes:
    """Encode an image as the bytes of a .png, .jpg, .webp, .avif, .tif or .bmp file.

    image: (H, W, 3) RGB, or (H, W, 4) with straight alpha if the format `supports_alpha`; uint8,
    or uint16 if it `supports_16_bits`. metadata: None for a file with pixels alone.
    Raises SinkError for another extension, or a size the format does not support.
    """
    check_is_writable(Path(f"picture{extension}"))
    name, options = _FORMATS[extension.lower()]
    metadata = metadata or PhotoMetadata()
    try:
        with warnings.catch_warnings():  # Pillow warns of odd values in EXIF
            warnings.simplefilter("ignore")
            return _encode(image, name, options, metadata)
    except (OSError, ValueError, RuntimeError, MemoryError, SystemError) as error:
        raise SinkError(
            f"cannot write {image.shape[1]}x{image.shape[0]} as {extension}: {error}"
        ) from error


def _encode(
    image: np.ndarray, name: str, options: dict[str, Any], metadata: PhotoMetadata
) -> bytes:
    if name == "TIFF":
        return _encode_tiff(image, metadata)
    if image.dtype == np.uint16:
        return _encode_png16(image, metadata)
    file = io.BytesIO()
    options = options | _options_for(name, metadata)
    Image.fromarray(np.ascontiguousarray(image)).save(file, name, **options)
    return file.getvalue()


def _options_for(name: str, metadata: PhotoMetadata) -> dict[str, Any]:
    """The options of Pillow's encoder that write metadata."""
    options: dict[str, Any] = {}
    if metadata.exif and name != "BMP":
        options["exif"] = metadata.exif
    if metadata.xmp and name == "PNG":
        options["pnginfo"] = PngImagePlugin.PngInfo()
        options["pnginfo"].add_itxt("XML:com.adobe.xmp", metadata.xmp.decode("utf-8", "replace"))
    elif metadata.xmp and name != "BMP":
        options["xmp"] = metadata.xmp
    if metadata.says_srgb and name != "BMP":
        options["icc_profile"] = srgb_profile()
    if metadata.dpi and name not in ("WEBP", "AVIF"):
        options["dpi"] = metadata.dpi
    return options


def _encode_png16(image: np.ndarray, metadata: PhotoMetadata) -> bytes:
    """A PNG of 16 bits, by OpenCV; Pillow writes 8 bits only."""
    import cv2

    done, encoded = cv2.imencode(".png", image[..., [2, 1, 0, 3][: image.shape[2]]])
    if not done:
        raise OSError("the encoder failed")
    data, chunks = encoded.tobytes(), io.BytesIO()
    putchunk = PngImagePlugin.putchunk
    if metadata.says_srgb:
        putchunk(chunks, b"iCCP", b"sRGB\0\0" + zlib.compress(srgb_profile()))
    if metadata.dpi:
        per_meter = (round(dpi / 0.0254) for dpi in metadata.dpi)
        putchunk(chunks, b"pHYs", struct.pack(">IIB", *per_meter, 1))
    if metadata.exif:
        putchunk(chunks, b"eXIf", metadata.exif.removeprefix(b"Exif\0\0"))
    if metadata.xmp:
        putchunk(chunks, b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0" + metadata.xmp)
    return data[:_PNG_HEADER] + chunks.getvalue() + data[_PNG_HEADER:]


def _encode_tiff(image: np.ndarray, metadata: PhotoMetadata) -> bytes:
    """A little-endian TIFF 6.0 of one strip, compressed by Deflate, of 8 or 16 bits.

    Pillow writes TIFF of 8 bits, and compresses none that has EXIF.
    """
    height, width, channels = image.shape
    samples = image.astype(image.dtype.newbyteorder("<"))
    samples[:, 1:] -= image[:, :-1]  # the predictor: horizontal differencing
    strip = zlib.compress(samples.tobytes(), level=1)
    exif = Image.Exif()
    exif.load(metadata.exif)
    directory = TiffImagePlugin.ImageFileDirectory_v2(prefix=b"II")
    for tag, value in exif.items():
        directory[tag] = exif.get_ifd(tag) if tag in (IFD.Exif, IFD.GPSInfo) else value
    fields: dict[int, Any] = {
        256: width,
        257: height,
        258: (8 * image.itemsize,) * channels,
        259: 8,  # Deflate
        262: 2,  # RGB
        277: channels,
        278: height,  # rows of a strip
        279: len(strip),
        284: 1,  # the samples of a pixel side by side
        317: 2,  # the predictor
        273: 0,  # the strip comes after all of this: Pillow adds the offset
    }
    if channels == 4:
        fields[338] = 2  # straight alpha
    if metadata.dpi:
        fields |= {282: metadata.dpi[0], 283: metadata.dpi[1], 296: 2}
    if metadata.xmp:
        directory.tagtype[700] = TiffTags.BYTE
        fields[700] = metadata.xmp
    if metadata.says_srgb:
        fields[34675] = srgb_profile()
    for tag, value in fields.items():
        directory[tag] = value
    file = io.BytesIO()
    directory.save(file)
    file.write(strip)
    return file.getvalue()
