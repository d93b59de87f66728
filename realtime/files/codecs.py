"""Which codec goes into which file, and how its encoder is set up."""

from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from types import MappingProxyType
from typing import NamedTuple

import av

from impasto.models.errors import SinkError
from impasto.realtime.cpu import codec_threads

_X26X_PRESETS = ("ultrafast", "superfast", "veryfast", "faster", "fast") + (
    ("medium", "slow", "slower", "veryslow", "placebo")
)


class Range(NamedTuple):
    """An encoder's quality option: lower is better and larger."""

    option: str
    low: int
    high: int
    default: int


@dataclass(frozen=True)
class Codec:
    """An encoder, and what it is to be told."""

    encoder: str  # FFmpeg's name
    pixel_formats: dict[int, str]  # by bit depth
    odd_pixel_formats: dict[int, str] = field(default_factory=dict)  # where odd sizes need another
    quality: Range | None = None
    preset_option: str = "preset"
    presets: tuple[str, ...] = ()
    fast: dict[str, str] = field(default_factory=dict)  # where no preset is asked for
    always: dict[str, str] = field(default_factory=dict)
    pixel_shape: bool = False  # its bitstream says how wide a pixel is
    color_tags: bool = True  # it says what its numbers mean; without, decoders assume BT.601 or 709
    full_range: bool = True  # it can say that they are of full range
    needs: str = ""  # hardware


def _nvenc(encoder: str, odd: bool) -> Codec:
    return Codec(
        encoder,
        {8: "yuv420p", 10: "p010le"},
        {8: "yuv444p"} if odd else {},
        Range("cq", 0, 51, 23),
        presets=tuple(f"p{n}" for n in range(1, 8)),
        fast={"preset": "p4"},
        always={"rc": "vbr"},
        pixel_shape=not encoder.startswith("av1"),
        needs="an NVIDIA GPU with an encoder, and its driver",
    )


_FOUR_TWO_ZERO = {8: "yuv420p", 10: "yuv420p10le"}
_FOUR_FOUR_FOUR = {8: "yuv444p", 10: "yuv444p10le"}

# The fast settings must cost little beside the network. Measured on a hard clip (running, strong
# colours) at 640x360, in CPU time a frame: h264 3.2 ms without B-frames (4.1 with, for a larger
# file at this preset; veryfast 6.8, medium 19), hevc 15, av1 10, vp9 6, prores 31. Codes of
# variable length in place of arithmetic ones take another third from h264, for 7 % more bytes
# (a painted harbour), and play on more devices; crf 21 in place of 20 makes up for these.
CODECS = MappingProxyType(
    {
        "h264": Codec(
            "libx264",
            _FOUR_TWO_ZERO,
            _FOUR_FOUR_FOUR,
            Range("crf", 0, 51, 21),
            presets=_X26X_PRESETS,
            fast={"preset": "superfast", "bf": "0", "coder": "vlc"},
            pixel_shape=True,
        ),
        "hevc": Codec(
            "libx265",
            _FOUR_TWO_ZERO,
            _FOUR_FOUR_FOUR,
            Range("crf", 0, 51, 22),
            presets=_X26X_PRESETS,
            fast={"preset": "ultrafast", "bf": "0"},
            always={"x265-params": "log-level=error"},  # it prints to the terminal by itself
            pixel_shape=True,
        ),
        "av1": Codec(
            "libsvtav1",
            _FOUR_TWO_ZERO,
            quality=Range("crf", 1, 63, 30),
            presets=tuple(str(n) for n in range(14)),
            fast={"preset": "10"},
        ),
        "vp9": Codec(
            "libvpx-vp9",
            _FOUR_TWO_ZERO,
            quality=Range("crf", 0, 63, 30),
            preset_option="cpu-used",
            presets=tuple(str(n) for n in range(9)),
            fast={"cpu-used": "8", "deadline": "realtime"},
            always={"row-mt": "1"},
        ),
        "prores": Codec(
            "prores_ks",
            {8: "yuv422p10le", 10: "yuv422p10le"},  # it has no 8-bit form
            preset_option="profile",
            presets=("proxy", "lt", "standard", "hq"),
            fast={"profile": "hq"},
            full_range=False,
        ),
        "mpeg4": Codec(
            "mpeg4",
            {8: "yuv420p"},
            quality=Range("global_quality", 1, 31, 3),
            pixel_shape=True,
            color_tags=False,
            full_range=False,
        ),
        "gif": Codec("gif", {8: "pal8"}, color_tags=False),
        "h264_nvenc": _nvenc("h264_nvenc", odd=True),
        "hevc_nvenc": _nvenc("hevc_nvenc", odd=True),
        "av1_nvenc": _nvenc("av1_nvenc", odd=False),
    }
)


@dataclass(frozen=True)
class Container:
    """A kind of file."""

    muxer: str  # FFmpeg's name
    codecs: tuple[str, ...]  # the first is the default
    pixel_shape: bool = False  # PyAV can have it say how wide a pixel is
    time_base: Fraction | None = None  # the only one it has; None keeps the source's
    constant_rate: bool = False  # times are counted in frames


# AVI takes MPEG-4, not H.264: it stores no presentation times, and H.264 is read back from it one
# frame late.
_MP4 = Container(
    "mp4", ("h264", "hevc", "av1", "vp9", "h264_nvenc", "hevc_nvenc", "av1_nvenc"), pixel_shape=True
)
CONTAINERS = MappingProxyType(
    {
        ".mp4": _MP4,
        ".m4v": _MP4,
        ".mov": Container(
            "mov", ("h264", "hevc", "prores", "h264_nvenc", "hevc_nvenc"), pixel_shape=True
        ),
        ".mkv": Container("matroska", (*_MP4.codecs, "prores")),
        ".webm": Container("webm", ("vp9", "av1", "av1_nvenc")),
        ".avi": Container("avi", ("mpeg4",), constant_rate=True),
        ".ts": Container("mpegts", ("h264", "hevc", "h264_nvenc", "hevc_nvenc")),
        ".gif": Container("gif", ("gif",), time_base=Fraction(1, 100)),
    }
)


@dataclass(frozen=True)
class Encoding:
    """All that is decided before the first frame comes."""

    codec: str  # our name
    encoder: str  # FFmpeg's
    container: Container
    pixel_format: str
    options: dict[str, str]
    bit_rate: int
    pixel_shape: bool  # the file will say how wide a pixel is
    notes: tuple[str, ...]


def container_for(path: Path) -> Container:
    """The kind of file an extension asks for. SinkError lists those there are."""
    try:
        return CONTAINERS[path.suffix.lower()]
    except KeyError:
        given = f"{path.suffix!r} is none of them" if path.suffix else f"{path.name!r} has none"
        raise SinkError(
            f"the extension chooses the kind of video, and {given}: use {', '.join(CONTAINERS)}"
        ) from None


def encoding_for(
    path: Path,
    size: tuple[int, int],
    *,
    codec: str | None = None,
    crf: int | None = None,
    preset: str | None = None,
    bitrate: int | None = None,
    bit_depth: int = 8,
) -> Encoding:
    """Choose encoder, pixel format and options for a file of this name and size (height, width).

    bitrate: bits a second, instead of crf. bit_depth: 8 or 10.
    Raises SinkError for what cannot be had, and says what can.
    """
    container = container_for(path)
    name = codec or container.codecs[0]
    if name not in CODECS:
        raise SinkError(f"there is no codec {name!r}: choose from {', '.join(CODECS)}")
    if name not in container.codecs:
        fitting = ", ".join(ext for ext, kind in CONTAINERS.items() if name in kind.codecs)
        raise SinkError(
            f"{path.suffix} does not hold {name}: choose from {', '.join(container.codecs)}, "
            f"or an extension that does: {fitting}"
        )
    chosen = CODECS[name]
    pixel_format, notes = _pixel_format(name, size, bit_depth, container)
    options = dict(chosen.always)
    if name == "hevc" and bit_depth == 10 and size[1] < 64:
        # x265's vector code writes past its buffers there (seen from 34 to 48 wide), which ends
        # the process; its plain code is right, and so small a picture costs little.
        options["x265-params"] += ":no-asm=1"
    if preset is None:
        options |= chosen.fast
        if name == "h264" and codec_threads():
            options["threads"] = str(codec_threads())
    elif preset in chosen.presets:
        options[chosen.preset_option] = preset
    else:
        raise SinkError(
            f"{name} has no preset {preset!r}: "
            + (f"choose from {', '.join(chosen.presets)}" if chosen.presets else "it has none")
        )
    if crf is not None and bitrate is not None:
        raise SinkError("give either a crf or a bitrate: the one decides the other")
    if bitrate is not None:
        if bitrate < 1000:
            raise SinkError(f"expected a bitrate of 1000 bits a second or more, got {bitrate}")
        if chosen.quality is None:
            raise SinkError(f"{name} takes no bitrate")
    else:
        options |= _quality(name, chosen.quality, crf)
    return Encoding(
        name,
        chosen.encoder,
        container,
        pixel_format,
        options,
        bitrate or 0,
        chosen.pixel_shape or container.pixel_shape,
        notes,
    )


def _quality(name: str, quality: Range | None, crf: int | None) -> dict[str, str]:
    if quality is None:
        if crf is not None:
            raise SinkError(f"{name} takes no crf")
        return {}
    value = quality.default if crf is None else crf
    if not quality.low <= value <= quality.high:
        raise SinkError(f"{name} takes a crf from {quality.low} to {quality.high}, got {crf}")
    if quality.option == "global_quality":  # MPEG-4's quantizer, in FFmpeg's 1/118 steps
        return {"flags": "+qscale", "global_quality": str(value * 118)}
    return {quality.option: str(value)}


def _pixel_format(
    name: str, size: tuple[int, int], bit_depth: int, container: Container
) -> tuple[str, tuple[str, ...]]:
    height, width = size
    odd = bool(height % 2 or width % 2)
    found = _formats_of(name, odd)
    if bit_depth not in found:
        fitting = [c for c in container.codecs if bit_depth in _formats_of(c, odd)]
        raise SinkError(
            f"{name} is not to be had in {bit_depth} bits at {width}x{height} here: "
            + (f"choose from {', '.join(fitting)}" if fitting else "use 8 bits or an even size")
        )
    if odd and CODECS[name].odd_pixel_formats:
        return found[bit_depth], (
            f"{width}x{height}: {name} holds an odd size only with full chroma ({found[bit_depth]})"
            "; some players cannot show that: choose an even size for those",
        )
    return found[bit_depth], ()


def _formats_of(name: str, odd: bool) -> dict[int, str]:
    """Pixel formats by bit depth, as far as this build of FFmpeg has them."""
    codec = CODECS[name]
    try:
        built = {form.name for form in av.codec.Codec(codec.encoder, "w").video_formats or ()}
    except av.codec.codec.UnknownCodecError:
        raise SinkError(
            f"{name} needs FFmpeg's encoder {codec.encoder}, which this build of PyAV lacks"
        ) from None
    formats = codec.odd_pixel_formats if odd and codec.odd_pixel_formats else codec.pixel_formats
    return {depth: form for depth, form in formats.items() if form in built}
