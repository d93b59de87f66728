"""Static HDR metadata: read from decoded frames, written by the options of encoders."""

import struct
from collections.abc import Mapping
from fractions import Fraction
from typing import Any

from impasto.realtime.frame import HdrMetadata

_MASTERING = struct.Struct("=20i2i")  # AVMasteringDisplayMetadata: ten fractions, two flags
_LIGHT_LEVEL = struct.Struct("=2I")  # AVContentLightMetadata: MaxCLL and MaxFALL


def hdr_metadata_of(side_data: Mapping[str, Any]) -> HdrMetadata | None:
    """The mastering display and content light level among the side data of a frame.

    side_data: see `side_data.side_data_of`. None where it has neither.
    """
    mastering = side_data.get("MASTERING_DISPLAY_METADATA")
    light = side_data.get("CONTENT_LIGHT_LEVEL")
    chromaticities = luminance = light_level = None
    if mastering is not None:
        *numbers, has_primaries, has_luminance = _MASTERING.unpack_from(bytes(mastering))
        pairs = zip(numbers[::2], numbers[1::2], strict=True)
        values = [Fraction(number, unit) if unit else Fraction(0) for number, unit in pairs]
        chromaticities = tuple(values[:8]) if has_primaries else None
        luminance = (values[8], values[9]) if has_luminance else None
    if light is not None:
        light_level = _LIGHT_LEVEL.unpack_from(bytes(light))
    if chromaticities is luminance is light_level is None:
        return None
    return HdrMetadata(chromaticities, luminance, light_level)


def encoder_options(encoder: str, metadata: HdrMetadata) -> tuple[str, str] | None:
    """The option of an encoder that stores this metadata, by name and value.

    encoder: FFmpeg's name. None where it has no such option.
    """
    writers = {
        "libx265": ("x265-params", "master-display", "max-cll", 50_000, 10_000),
        "libx264": ("x264-params", "mastering-display", "cll", 50_000, 10_000),
        "libsvtav1": ("svtav1-params", "mastering-display", "content-light", None, None),
    }
    if encoder not in writers:
        return None
    option, display, light, per_unit, per_candela = writers[encoder]
    found = []
    if metadata.chromaticities is not None and metadata.luminance is not None:
        red, green, blue, white = (
            ",".join(_number(value, per_unit) for value in metadata.chromaticities[k : k + 2])
            for k in (0, 2, 4, 6)
        )
        darkest, brightest = (_number(value, per_candela) for value in metadata.luminance)
        found.append(f"{display}=G({green})B({blue})R({red})WP({white})L({brightest},{darkest})")
    if metadata.light_level is not None:
        found.append(f"{light}={metadata.light_level[0]},{metadata.light_level[1]}")
    return option, ":".join(found)


def _number(value: Fraction, per_unit: int | None) -> str:
    """In whole steps of 1 / per_unit, or as a decimal number."""
    return f"{float(value):.6f}" if per_unit is None else str(round(value * per_unit))
