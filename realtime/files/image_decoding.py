"""Decoding image files with Pillow, and what Pillow lacks with OpenCV and FFmpeg."""

import io
import logging
import os
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from functools import cache

import av
import numpy as np
from av.container import InputContainer
from PIL import Image, ImageFile, UnidentifiedImageError

from impasto.models.errors import SourceError
from impasto.realtime.files.containers import (
    MAX_PIXELS,
    MAX_SIDE,
    NOT_MEDIA,
    check_image_size,
)
from impasto.realtime.files.image_color import to_srgb
from impasto.realtime.files.image_metadata import dpi_of, exif_of, orientation_of, xmp_of
from impasto.realtime.files.rotation import (
    NO_ROTATION,
    DisplayMatrix,
    apply_display_matrix,
    display_matrix,
)
from impasto.realtime.pixels import to_rgb

# What Pillow may take a file for: formats that it recognizes by their first bytes. MPO is JPEG.
_FORMATS = ("JPEG", "PNG", "WEBP", "TIFF", "BMP", "GIF", "JPEG2000", "PPM")
_HEIF_FORMATS = ("HEIF", "AVIF")
_ANIMATED = ("GIF", "PNG", "WEBP", "AVIF")
_BITS_PER_SAMPLE, _PHOTOMETRIC, _PLANAR = 258, 262, 284  # tags of TIFF
_HEIF_BRANDS = (b"mif1", b"mif2", b"miaf", b"heic", b"heix", b"heim", b"avif")
_JPEG_XL = (b"\xff\x0a", b"\x00\x00\x00\x0cJXL ")
# EXIF orientations 1 to 8.
_ORIENTATIONS: tuple[DisplayMatrix, ...] = (
    *(NO_ROTATION, (-1, 0, 0, 1), (-1, 0, 0, -1), (1, 0, 0, -1)),
    *((0, 1, 1, 0), (0, 1, -1, 0), (0, -1, -1, 0), (0, -1, 1, 0)),
)
_reading_truncated, _discarding_stderr = threading.Lock(), threading.Lock()


@dataclass(frozen=True, slots=True)
class Decoded:
    """The pixels of an image file, upright and in sRGB, and what it says of them.

    samples: (H, W, 3) RGB, or (H, W, 4) with straight alpha; uint8, or uint16 of 16 bits.
    exif, xmp: what is kept of them. dpi: pixels an inch, across and down.
    """

    samples: np.ndarray
    exif: Image.Exif = field(default_factory=Image.Exif)
    xmp: bytes = b""
    dpi: tuple[float, float] | None = None
    says_srgb: bool = False  # whether the file says what its colors are
    notes: list[str] = field(default_factory=list)


def decode_image(data: bytes, name: str) -> Decoded:
    """Decode an image file; of an animation or several pages, the first.

    name: of the file, for messages. What is cut off is left gray or black, with a note.
    Raises SourceError for what is not an image, cannot be decoded, or is too large.
    """
    try:
        # Pillow warns of what is odd in a file; what matters to the user is in the notes.
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return _decode_with_pillow(data, name)
    except UnidentifiedImageError as error:
        if _is_heif(data):  # of which FFmpeg would give a tile
            raise _not_an_image(name) from error
        return _decode_with_ffmpeg(data, name)
    except Image.DecompressionBombError as error:
        raise SourceError(
            f"{name} has too many pixels; at most {MAX_SIDE} a side and "
            f"{MAX_PIXELS // 10**6} megapixels are supported"
        ) from error
    except SourceError:
        raise
    except Exception as error:  # a decoder of damaged data raises errors of any kind
        raise _not_an_image(name) from error


def _decode_with_pillow(data: bytes, name: str) -> Decoded:
    formats = _HEIF_FORMATS if data[4:8] == b"ftyp" else _FORMATS
    _load_plugins(formats)
    source: Image.Image = Image.open(io.BytesIO(data), formats=formats)
    check_image_size(source.height, source.width, f"{name} is")
    notes = _notes_on_frames(source)
    is_tiff = source.format == "TIFF"
    before = exif_of(source) if is_tiff else None  # Pillow closes a TIFF when it is loaded
    is_upright = False
    if _has_16_bits_a_color(source, data):
        deep: np.ndarray | None
        deep, is_upright = _decode_16_bits(source, data)
    else:
        source, cut_off = _loaded(source, data, formats)
        deep, scaling = _deep_gray(source)
        notes += cut_off + scaling
    # Of a TIFF that Pillow has loaded it is 1.
    orientation = 1 if is_upright else orientation_of(source)
    exif, exif_notes = before or exif_of(source)
    image = source if deep is None else _image_of(deep)
    image, color_notes, says_srgb = to_srgb(image, source, data)
    samples = np.array(image)  # a copy, which is writable
    if deep is not None:
        samples = with_remainder(samples, remainder_of(deep, samples.shape[2]))
    upright = apply_display_matrix(samples, _ORIENTATIONS[orientation - 1])
    xmp, xmp_notes = xmp_of(source)
    notes += [*exif_notes, *xmp_notes, *color_notes]
    return Decoded(upright, exif, xmp, dpi_of(source), says_srgb, notes)


def is_known_image(data: bytes) -> bool:
    """Whether Pillow knows the format of these bytes; what follows their beginning may be bad."""
    formats = _HEIF_FORMATS if data[4:8] == b"ftyp" else _FORMATS
    _load_plugins(formats)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            Image.open(io.BytesIO(data), formats=formats)
    except Exception:  # a decoder of damaged data raises errors of any kind
        return False
    return True


@cache
def _load_plugins(formats: tuple[str, ...]) -> None:
    """Register these formats with Pillow, rather than all of its 60; each takes a while to load."""
    # Pillow logs what it raises, too; without a handler, Python writes that to standard error.
    logging.getLogger("PIL").addHandler(logging.NullHandler())
    if formats == _HEIF_FORMATS:
        from PIL import AvifImagePlugin  # noqa: F401
        from pillow_heif import register_heif_opener

        register_heif_opener()
        return
    from PIL import (  # noqa: F401
        BmpImagePlugin,
        GifImagePlugin,
        Jpeg2KImagePlugin,
        JpegImagePlugin,
        PngImagePlugin,
        PpmImagePlugin,
        TiffImagePlugin,
        WebPImagePlugin,
    )


def _notes_on_frames(source: Image.Image) -> list[str]:
    count = getattr(source, "n_frames", 1)
    if count > 1 and source.format in _ANIMATED:
        return [f"animated, {count} frames: only the first is read; `impasto video` reads them all"]
    if count > 1 and source.format == "TIFF":
        return [f"{count} pages: only the first is read"]
    if count > 1 and source.format == "HEIF":
        return [f"{count} images: only the primary one is read"]
    return []


def _loaded(
    source: Image.Image, data: bytes, formats: tuple[str, ...]
) -> tuple[Image.Image, list[str]]:
    """The image with its pixels decoded; if the file is cut off, as many as there are."""
    quiet = _stderr_discarded if source.format == "TIFF" else nullcontext
    try:
        with quiet():
            source.load()
        return source, []
    except (OSError, SyntaxError):
        with _partial_decoding(), quiet():
            partial = Image.open(io.BytesIO(data), formats=formats)
            partial.load()
    if all(low == high for low, high in np.reshape(partial.getextrema(), (-1, 2))):
        raise OSError("no pixel is decoded")
    return partial, ["damaged or cut off: the part that is missing is left blank"]


@contextmanager
def _partial_decoding() -> Iterator[None]:
    """Let Pillow decode what is cut off; it has one switch for the whole process."""
    with _reading_truncated:
        before = ImageFile.LOAD_TRUNCATED_IMAGES
        ImageFile.LOAD_TRUNCATED_IMAGES = True
        try:
            yield
        finally:
            ImageFile.LOAD_TRUNCATED_IMAGES = before


@contextmanager
def _stderr_discarded() -> Iterator[None]:
    """Without standard error, to which libtiff and libpng write what they find damaged."""
    with _discarding_stderr:  # of the whole process: one thread at a time
        try:
            before = os.dup(2)
        except OSError:  # there is none
            yield
            return
        nothing = os.open(os.devnull, os.O_WRONLY)
        try:
            os.dup2(nothing, 2)
            yield
        finally:
            os.dup2(before, 2)
            os.close(before)
            os.close(nothing)


# --- More than 8 bits -------------------------------------------------------------------------


def remainder_of(deep: np.ndarray, channels: int) -> np.ndarray:
    """What 8 bits leave out of 16-bit samples, -128 to 128: (H, W, channels) int16.

    deep: (H, W, C) uint16 = 257 * (its 8 bits) + remainder. channels: 3 or 4; gray is repeated.
    """
    remainder = (deep - 257 * at_8_bits(deep).astype(np.int32)).astype(np.int16)
    if remainder.shape[2] >= channels:
        return remainder[..., :channels]
    color, alpha = remainder[..., :1], remainder[..., 1:]
    return np.concatenate([color, color, color, alpha], axis=2)[..., :channels]


def at_8_bits(deep: np.ndarray) -> np.ndarray:
    """16-bit samples rounded to 8."""
    return ((deep.astype(np.uint32) + 128) // 257).astype(np.uint8)


def with_remainder(samples: np.ndarray, remainder: np.ndarray) -> np.ndarray:
    """8-bit samples with a remainder, as uint16; see `remainder_of`."""
    return (257 * samples.astype(np.int32) + remainder).clip(0, 65535).astype(np.uint16)


def _has_16_bits_a_color(source: Image.Image, data: bytes) -> bool:
    """Whether it has 16 bits a sample and several channels, which Pillow reduces to 8 bits."""
    if source.format == "PNG":
        return data[24:25] == b"\x10" and source.mode in ("RGB", "RGBA", "LA")
    if source.format == "TIFF" and source.mode in ("RGB", "RGBA"):
        bits = source.tag_v2.get(_BITS_PER_SAMPLE, ())  # type: ignore[attr-defined]
        return len(bits) >= 3 and set(bits) == {16}
    return False


def _decode_16_bits(source: Image.Image, data: bytes) -> tuple[np.ndarray, bool]:
    """(H, W, C) uint16 RGB or RGBA of a PNG or TIFF, and whether its orientation is applied.

    Raises ValueError and av.FFmpegError.
    """
    is_tiff = source.format == "TIFF"
    if is_tiff and source.tag_v2.get(_PLANAR) == 2:  # type: ignore[attr-defined]
        with _opened_by_ffmpeg(data) as container:  # OpenCV reads these as black
            return next(container.decode(video=0)).to_ndarray(format="rgb48le"), False
    import cv2

    with _stderr_discarded():
        image = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    if image is None or image.dtype != np.uint16:
        raise ValueError("no image of 16 bits")
    if image.ndim == 2:
        return image[..., None], is_tiff
    return image[..., [2, 1, 0, 3][: image.shape[2]]], is_tiff


def _deep_gray(source: Image.Image) -> tuple[np.ndarray | None, list[str]]:
    """(H, W, 1) uint16 of an image with one channel of more than 8 bits; None for any other.

    Floating-point samples in [0, 1] and 32-bit integers are scaled to 16 bits; floating-point
    samples beyond that from their own minimum and maximum, with a note.
    """
    if source.mode.startswith("I;16"):
        deep = np.asarray(source).astype(np.uint16)[..., None]
        if source.format == "TIFF" and source.tag_v2.get(_PHOTOMETRIC) == 0:  # type: ignore[attr-defined]
            deep = 65535 - deep  # white is zero, which Pillow sees to for 8 bits only
        return deep, []
    if source.mode not in ("I", "F"):
        return None, []
    samples = np.nan_to_num(np.asarray(source).astype(np.float64)[..., None])
    low, high = samples.min(), samples.max()
    if source.mode == "I" and low >= 0 and high <= 65535:
        return samples.astype(np.uint16), []
    if source.mode == "F" and low >= 0 and high <= 1:
        return np.rint(samples * 65535).astype(np.uint16), []
    scaled = (samples - low) / max(high - low, np.finfo(np.float64).tiny)
    note = f"samples from {low:g} to {high:g}: scaled to black and white"
    return np.rint(scaled * 65535).astype(np.uint16), [note]


def _image_of(deep: np.ndarray) -> Image.Image:
    image = at_8_bits(deep)
    return Image.fromarray(image[..., 0] if image.shape[2] == 1 else image)


# --- FFmpeg -----------------------------------------------------------------------------------


def _decode_with_ffmpeg(data: bytes, name: str) -> Decoded:
    """A format that Pillow is not asked for: PSD, Radiance HDR, OpenEXR, QOI ..., or a film."""
    if data.startswith(_JPEG_XL):
        raise SourceError(f"{name} is JPEG XL, which is not read; convert it to PNG first")
    try:
        with _opened_by_ffmpeg(data) as container:
            stream = container.streams.video[0]
            check_image_size(stream.height, stream.width, f"{name} is")
            frames = container.decode(stream)
            frame = next(frames)
            image = to_rgb(frame, background=None)
            is_film = next(frames, None) is not None
    except SourceError:
        raise
    except Exception as error:  # as above
        raise _not_an_image(name) from error
    notes = ["a film: only the first frame is read; use `impasto video`"] if is_film else []
    return Decoded(apply_display_matrix(image, display_matrix(frame)), notes=notes)


def _opened_by_ffmpeg(data: bytes) -> InputContainer:
    formats = ",".join(sorted(av.formats_available - NOT_MEDIA))
    options = {"format_whitelist": formats}
    return av.open(io.BytesIO(data), "r", options=options, metadata_errors="replace")


def _is_heif(data: bytes) -> bool:
    """Whether a file is HEIC, AVIF or another still image by ISO/IEC 23008-12, by its brands."""
    brands = data[8 : min(int.from_bytes(data[:4], "big"), 256)]
    return data[4:8] == b"ftyp" and any(brand in brands for brand in _HEIF_BRANDS)


def _not_an_image(name: str) -> SourceError:
    return SourceError(f"cannot read {name}: it is not an image, or it is damaged")
