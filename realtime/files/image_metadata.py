"""Metadata of photos: date, camera, place and author, from one image file to another."""

import math
import re
import warnings
from dataclasses import dataclass

from PIL import ExifTags, Image

_Tag, _Ifd = ExifTags.Base, ExifTags.IFD
# Tags of a photo's first directory (CIPA DC-008) that stay true of its painting. Others describe
# how samples are stored, which in TIFF files is in the same directory.
_KEPT = (
    *(_Tag.ImageDescription, _Tag.Make, _Tag.Model, _Tag.Software, _Tag.DateTime, _Tag.Artist),
    *(_Tag.HostComputer, _Tag.Copyright, _Tag.Rating, _Tag.RatingPercent),
    *(_Tag.XPTitle, _Tag.XPComment, _Tag.XPAuthor, _Tag.XPKeywords, _Tag.XPSubject),
)
# Tags of the Exif directory that do not. MakerNote has offsets in a form of each camera maker's,
# which break when it is moved.
_LEFT_OUT = (_Tag.MakerNote, _Tag.ExifInteroperabilityOffset, _Tag.Gamma, _Tag.CompositeImage)
_MAX_BYTES = 65_000  # of EXIF or XMP in a JPEG: one segment
# In XMP: gain maps, thumbnails, a movie or depth behind the photo, a part of it elsewhere.
_OF_OTHER_PICTURES = (b"hdrgm:", b"xmpGImg:", b"Container:Directory", b"GDepth:", b"HasExtendedXMP")
_MAX_DPI = 100_000


@dataclass(frozen=True, slots=True)
class PhotoMetadata:
    """What an image file says beside its pixels.

    exif: an EXIF block of date, camera, place and author, without a thumbnail, its orientation 1;
    empty if the file has none. xmp: title, keywords, rating and more (ISO 16684-1). dpi: pixels an
    inch, across and down. says_srgb: whether the file said what its colors are; they are sRGB now.
    """

    exif: bytes = b""
    xmp: bytes = b""
    dpi: tuple[float, float] | None = None
    says_srgb: bool = False


def orientation_of(source: Image.Image) -> int:
    """The orientation in EXIF or XMP, 1 to 8 (CIPA DC-008); 1 if there is no valid one."""
    try:
        orientation = int(source.getexif().get(_Tag.Orientation, 1))
    except Exception:  # Pillow raises many kinds of errors for damaged EXIF
        return 1
    return orientation if 1 <= orientation <= 8 else 1


def exif_of(source: Image.Image) -> tuple[Image.Exif, list[str]]:
    """The EXIF of an opened image file to keep, and a note if it cannot be read.

    To be called before its pixels are loaded, when Pillow closes a TIFF.
    """
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            exif = _kept(source.getexif())
        except (
            Exception
        ):  # Pillow raises many kinds of errors for damaged EXIF, and warns of others
            return Image.Exif(), ["its EXIF is damaged: date, camera and place are not kept"]
    if any("EXIF" in str(warning.message) for warning in caught):
        return exif, ["its EXIF is damaged: a part of date, camera and place may be lost"]
    return exif, []


def exif_block(exif: Image.Exif, size: tuple[int, int]) -> bytes:
    """EXIF as it is written with a picture of this (height, width); empty if there is none."""
    if not exif:
        return b""
    with warnings.catch_warnings():  # Pillow warns of odd values
        warnings.simplefilter("ignore")
        return _with_size(exif, size).tobytes()


def _with_size(exif: Image.Exif, size: tuple[int, int]) -> Image.Exif:
    shot = exif.get_ifd(_Ifd.Exif)
    tag: int
    for tag, value in (
        (_Tag.ExifImageHeight, size[0]),
        (_Tag.ExifImageWidth, size[1]),
        (_Tag.ColorSpace, 1),  # sRGB
    ):
        if tag in shot:
            shot[tag] = value
    return exif


def xmp_of(source: Image.Image) -> tuple[bytes, list[str]]:
    """The XMP of a loaded image file to keep, with orientation 1, and a note on what is left out.

    XMP that describes another picture in the file, such as a gain map, is left out whole.
    """
    xmp = source.info.get("xmp") or source.info.get("XML:com.adobe.xmp") or b""
    if isinstance(xmp, str):
        xmp = xmp.encode()
    aux = source.info.get("aux", ())  # of HEIC: the kinds of its auxiliary images
    has_gain_map = b"hdrgm:" in xmp or any("hdrgainmap" in str(kind) for kind in aux)
    notes = ["HDR gain map: left out, the SDR picture is read"] if has_gain_map else []
    if len(xmp) > _MAX_BYTES or any(part in xmp for part in _OF_OTHER_PICTURES):
        return b"", notes
    return re.sub(rb"(tiff:Orientation(?:=\"|=\'|>)\s*)\d", rb"\g<1>1", xmp), notes


def dpi_of(source: Image.Image) -> tuple[float, float] | None:
    """Pixels an inch, across and down, if the file has them."""
    try:
        x, y = (float(value) for value in source.info["dpi"])
    except (KeyError, TypeError, ValueError, ZeroDivisionError, OverflowError):
        return None
    return (x, y) if all(math.isfinite(v) and 1 <= v <= _MAX_DPI for v in (x, y)) else None


def _kept(exif: Image.Exif) -> Image.Exif:
    kept = Image.Exif()
    for name in (name for name in _KEPT if name in exif):
        kept[name] = exif[name]
    for ifd, left_out in ((_Ifd.Exif, _LEFT_OUT), (_Ifd.GPSInfo, ())):
        for tag, value in exif.get_ifd(ifd).items():
            if tag not in left_out:
                kept.get_ifd(ifd)[tag] = value
                kept[ifd] = 0  # the offset, which Pillow replaces
    if kept:
        kept[_Tag.Orientation] = 1
    block = kept.tobytes()  # fails here where it would fail later
    return kept if len(block) <= _MAX_BYTES else Image.Exif()
