"""Colors of image files: profiles, code points and gamma, converted to sRGB."""

import io
import struct
from collections.abc import Mapping, Sequence
from typing import Any

import av
import numpy as np
from PIL import Image, ImageCms

from impasto.realtime.frame import ColorTags
from impasto.realtime.tone_mapping import (
    BT709_PRIMARIES,
    HDR_NAMES,
    SdrConverter,
    adaptation_to_d65,
    rgb_to_xyz,
    sdr_note,
    srgb_coded,
    srgb_light,
)

_MODE_OF_SPACE = {"RGB": "RGB", "GRAY": "L", "CMYK": "CMYK", "Lab": "LAB"}  # ICC's names, Pillow's
_LINEAR = 8  # a transfer function of ITU-T H.273
_SRGB_GAMMA = 1 / 2.2  # what PNG files of sRGB say in gAMA
_NAME_LENGTH = 60  # characters of a profile's name that are shown


def to_srgb(
    image: Image.Image, source: Image.Image, data: bytes
) -> tuple[Image.Image, list[str], bool]:
    """An 8-bit image in sRGB, what was changed, and whether the file says what its colors are.

    image: of any mode of 8 bits. source: as Pillow opened it, with what its `info` says of colors.
    data: the file.
    By precedence: CICP code points (HEIF, AVIF, and the third edition of PNG), an ICC profile, the
    gAMA and cHRM of PNG; without any, colors are sRGB. Returns mode RGB, or RGBA if the image has
    transparency. A profile that cannot be used is left out with a note.
    """
    profile = source.info.get("icc_profile")
    cicp = _cicp(source, data)
    if cicp is not None and (cicp[1] in HDR_NAMES or not profile):
        return *_from_cicp(_rgb(image), *cicp), True
    if profile:
        converted, notes = _from_profile(image, profile)
        return converted or _rgb(image), notes, converted is not None
    if image.mode == "CMYK":
        return _rgb(image), ["CMYK without a color profile: its colors are approximate"], False
    if "srgb" in source.info:
        return _rgb(image), [], True
    if source.format == "PNG":
        return *_from_gamma(_rgb(image), source.info), False
    return _rgb(image), [], False


def srgb_profile() -> bytes:
    """An ICC profile of sRGB (IEC 61966-2-1)."""
    return ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()


def _rgb(image: Image.Image) -> Image.Image:
    """The image as RGB, or RGBA if it has transparency."""
    if image.mode == "LAB":
        lab = ImageCms.createProfile("LAB")
        return _transformed(image, ImageCms.ImageCmsProfile(lab), "LAB", "RGB")
    return image.convert("RGBA" if image.has_transparency_data else "RGB")


# --- ICC profiles -----------------------------------------------------------------------------


def _from_profile(image: Image.Image, data: bytes) -> tuple[Image.Image | None, list[str]]:
    """The image converted from its profile to sRGB, or None with the reason why not."""
    try:
        profile = ImageCms.ImageCmsProfile(io.BytesIO(data))
        space = profile.profile.xcolor_space.strip()
        name = _name(profile)
    except Exception:  # LittleCMS and Pillow raise many kinds of errors for damaged profiles
        return None, ["its color profile is damaged: read as sRGB"]
    source = _in_mode(image, space)
    if source is None:
        return None, [f"its color profile{name} is for {space}: read as sRGB"]
    target = "RGBA" if source.mode == "RGBA" else "RGB"
    try:
        if source.mode in ("RGB", "RGBA") and _is_srgb(profile):
            return source, []
        converted = _transformed(source, profile, source.mode, target)
        if target == "RGB" and image.has_transparency_data:
            converted.putalpha(_rgb(image).getchannel("A"))
    except Exception:
        return None, [f"its color profile{name} cannot be used: read as sRGB"]
    return converted, [f"color profile{name}: converted to sRGB"]


def _in_mode(image: Image.Image, space: str) -> Image.Image | None:
    """The image in the mode that a profile of this color space describes; None if it has none."""
    mode = _MODE_OF_SPACE.get(space)
    if mode == "RGB" and image.mode not in ("CMYK", "LAB"):
        return _rgb(image)
    if mode == "L" and image.mode in ("1", "L", "LA"):
        return image.convert("L")
    return image if image.mode == mode else None


def _transformed(
    image: Image.Image, profile: ImageCms.ImageCmsProfile, source: str, target: str
) -> Image.Image:
    """The image by the profile's own rendering intent, as browsers do it; white stays white."""
    intent = profile.profile.rendering_intent
    if intent not in (ImageCms.Intent.PERCEPTUAL, ImageCms.Intent.SATURATION):
        intent = ImageCms.Intent.RELATIVE_COLORIMETRIC
    srgb = ImageCms.createProfile("sRGB")
    transform = ImageCms.buildTransform(profile, srgb, source, target, ImageCms.Intent(intent))
    converted = ImageCms.applyTransform(image, transform)
    assert converted is not None  # it is, where the image is changed in place
    return converted


def _is_srgb(profile: ImageCms.ImageCmsProfile) -> bool:
    """Whether converting from this profile changes no color by more than 2 levels.

    Tried on 729 colors. Most photos have such a profile, and 12 megapixels take 0.25 s to convert.
    """
    steps = np.linspace(0, 255, 9).round().astype(np.uint8)
    colors = np.stack(np.meshgrid(steps, steps, steps), axis=-1).reshape(27, 27, 3)
    converted = _transformed(Image.fromarray(colors), profile, "RGB", "RGB")
    return int(np.abs(np.asarray(converted).astype(int) - colors).max()) <= 2


def _name(profile: ImageCms.ImageCmsProfile) -> str:
    """The name of a profile, to be shown: " 'Display P3'"; "" if it has none."""
    name = "".join(c for c in ImageCms.getProfileDescription(profile) if c.isprintable()).strip()
    return f" {name[:_NAME_LENGTH]!r}" if name else ""


# --- Code points and gamma --------------------------------------------------------------------


def _cicp(source: Image.Image, data: bytes) -> tuple[int, int] | None:
    """Color primaries and transfer function by ITU-T H.273, if the file has these; else None."""
    if source.format == "PNG":
        at = data.find(b"cICP", 0, max(0, data.find(b"IDAT")))
        return (data[at + 4], data[at + 5]) if at > 0 else None
    if source.format == "HEIF" and (found := source.info.get("nclx_profile")):
        return found["color_primaries"], found["transfer_characteristics"]
    if source.format == "AVIF":
        at = data.find(b"colrnclx")  # among the properties of the items, before the pictures
        if at > 0 and at + 12 <= len(data):
            return struct.unpack_from(">HH", data, at + 8)
    return None


def _from_cicp(image: Image.Image, primaries: int, transfer: int) -> tuple[Image.Image, list[str]]:
    if transfer == _LINEAR:
        return _converted(image, BT709_PRIMARIES, gamma=1), ["linear light: converted to sRGB"]
    color = ColorTags(primaries=primaries, transfer=transfer)
    note = sdr_note(color)
    if note is None:
        return image, []
    name = "rgba" if image.mode == "RGBA" else "rgb24"
    frame = av.VideoFrame.from_ndarray(np.array(image), format=name)
    return Image.fromarray(SdrConverter(color)(frame, background=None)), [note]


def _from_gamma(image: Image.Image, info: Mapping[Any, Any]) -> tuple[Image.Image, list[str]]:
    """By the chunks gAMA and cHRM of PNG, where they differ visibly from those of sRGB."""
    gamma, values = info.get("gamma"), info.get("chromaticity")
    chromaticities = BT709_PRIMARIES
    if values is not None and len(values) == 8:
        white, red, green, blue = (tuple(values[k : k + 2]) for k in range(0, 8, 2))
        chromaticities = (red, green, blue, white)
    same_primaries = np.abs(np.subtract(chromaticities, BT709_PRIMARIES)).max() < 0.005
    same_gamma = not gamma or abs(gamma / _SRGB_GAMMA - 1) < 0.05
    if same_primaries and same_gamma:
        return image, []
    exponent = None if not gamma or same_gamma else 1 / gamma
    try:
        image = _converted(image, chromaticities, exponent)
    except (ValueError, TypeError, ArithmeticError, np.linalg.LinAlgError):
        return image, ["its chromaticities are damaged: read as sRGB"]
    return image, ["gamma and chromaticities: converted to sRGB"]


def _converted(
    image: Image.Image, chromaticities: Sequence[tuple[float, float]], gamma: float | None
) -> Image.Image:
    """An RGB or RGBA image of other primaries, converted to sRGB; out of range, it is clipped.

    chromaticities: of red, green, blue and white. gamma: the exponent from samples to linear
    light; None: the function of sRGB. Raises errors of arithmetic for what are no primaries.
    """
    samples = np.asarray(image)
    levels = np.arange(256) / 255
    linear = levels**gamma if gamma else srgb_light(levels)
    to_xyz = adaptation_to_d65(chromaticities[3]) @ rgb_to_xyz(chromaticities)
    to_srgb = np.linalg.inv(rgb_to_xyz(BT709_PRIMARIES)) @ to_xyz
    if not np.isfinite(to_srgb).all():
        raise ValueError(f"{chromaticities} are not those of three colors")
    light = linear.astype(np.float32)[samples[..., :3]] @ to_srgb.T.astype(np.float32)
    # A table over the square root of light is fine enough where it is dark, too.
    table = np.rint(255 * srgb_coded((np.arange(4096) / 4095) ** 2)).astype(np.uint8)
    rgb = table[(np.sqrt(light.clip(0, 1)) * 4095 + 0.5).astype(np.uint16)]
    return Image.fromarray(np.concatenate([rgb, samples[..., 3:]], axis=2))
