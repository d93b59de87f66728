"""Video codecs and containers: which codec each file extension takes, and its encoder's options."""

from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from types import MappingProxyType
from typing import NamedTuple

import av

from impasto.models.errors import SinkError
from impasto.realtime.cpu import codec_threads
from impasto.realtime.files.pipes import OutputPipe

_X26X_PRESETS = ("ultrafast", "superfast", "veryfast", "faster", "fast") + (
    ("medium", "slow", "slower", "veryslow", "placebo")
)


@dataclass(frozen=True, slots=True, kw_only=True)
class EncoderOptions:
    """Settings of a video encoder: codec, quality, speed and bit depth.

    codec: "h264", "hevc", "av1", "vp9", "prores", "gif", "h264_nvenc" ... (the keys of `CODECS`);
    None: the first that the file's container lists. crf: the codec's own quality scale, lower is
    better; None: the codec's default. bitrate: bits a second, instead of crf. preset: the
    encoder's own name for a speed; None: one that costs little beside the network.
    bit_depth: 8 or 10. alpha: keep transparency; GIF, WebP and APNG keep it in any case.
    """

    codec: str | None = None
    crf: int | None = None
    preset: str | None = None
    bitrate: int | None = None
    bit_depth: int = 8
    alpha: bool = False


DEFAULT_ENCODER = EncoderOptions()


class QualityScale(NamedTuple):
    """An encoder's quality option; lower values give better pictures and larger files."""

    option: str
    low: int
    high: int
    default: int


@dataclass(frozen=True)
class Codec:
    """A video codec: FFmpeg's encoder for it, and the options this project gives it."""

    encoder: str  # FFmpeg's name
    pixel_formats: dict[int, str]  # by bit depth
    odd_pixel_formats: dict[int, str] = field(default_factory=dict)  # for odd sizes, if different
    quality: QualityScale | None = None
    preset_option: str = "preset"
    presets: tuple[str, ...] = ()
    default_options: dict[str, str] = field(default_factory=dict)  # if no preset is given
    fixed_options: dict[str, str] = field(default_factory=dict)
    sample_aspect_ratio: bool = False  # its bitstream stores the shape of a pixel
    color_tags: bool = True  # it stores them; if not, decoders assume BT.601 or BT.709
    full_range: bool = True  # it can store that the range is full
    closed_captions: bool = False  # the encoder writes those on its frames
    hardware: str = ""  # that the encoder needs, for messages
    alpha_formats: tuple[str, str] | None = None  # with alpha: before it is added, and with it
    always_alpha: bool = False  # without being asked


def _nvenc(encoder: str, odd: bool) -> Codec:
    return Codec(
        encoder,
        {8: "yuv420p", 10: "p010le"},
        {8: "yuv444p"} if odd else {},
        QualityScale("cq", 0, 51, 23),
        presets=tuple(f"p{n}" for n in range(1, 8)),
        default_options={"preset": "p4"},
        fixed_options={"rc": "vbr"},
        sample_aspect_ratio=not encoder.startswith("av1"),
        closed_captions=not encoder.startswith("av1"),
        hardware="an NVIDIA GPU with an encoder, and its driver",
    )


_FOUR_TWO_ZERO = {8: "yuv420p", 10: "yuv420p10le"}
_FOUR_FOUR_FOUR = {8: "yuv444p", 10: "yuv444p10le"}

# The default options must cost little beside the network. Measured on a hard clip (running, strong
# colors) at 640x360, in CPU time a frame: h264 3.2 ms without B-frames (4.1 with, for a larger
# file at this preset; veryfast 6.8, medium 19), hevc 15, av1 10, vp9 6, prores 31. CAVLC instead of
# CABAC takes another third from h264, for 7 % more bytes (a stylized harbor), and plays on more
# devices; crf 21 instead of 20 makes up for the bytes.
CODECS = MappingProxyType(
    {
        "h264": Codec(
            "libx264",
            _FOUR_TWO_ZERO,
            _FOUR_FOUR_FOUR,
            QualityScale("crf", 0, 51, 21),
            presets=_X26X_PRESETS,
            default_options={"preset": "superfast", "bf": "0", "coder": "vlc"},
            sample_aspect_ratio=True,
            closed_captions=True,
        ),
        "hevc": Codec(
            "libx265",
            _FOUR_TWO_ZERO,
            _FOUR_FOUR_FOUR,
            QualityScale("crf", 0, 51, 22),
            presets=_X26X_PRESETS,
            default_options={"preset": "ultrafast", "bf": "0"},
            # "log-level": or it prints to the terminal; "a53cc" is on in the other encoders.
            fixed_options={"x265-params": "log-level=error", "a53cc": "1"},
            sample_aspect_ratio=True,
            closed_captions=True,
        ),
        "av1": Codec(
            "libsvtav1",
            _FOUR_TWO_ZERO,
            quality=QualityScale("crf", 1, 63, 30),
            presets=tuple(str(n) for n in range(14)),
            default_options={"preset": "10"},
        ),
        "vp9": Codec(
            "libvpx-vp9",
            _FOUR_TWO_ZERO,
            alpha_formats=("yuv420p", "yuva420p"),
            quality=QualityScale("crf", 0, 63, 30),
            preset_option="cpu-used",
            presets=tuple(str(n) for n in range(9)),
            default_options={"cpu-used": "8", "deadline": "realtime"},
            fixed_options={"row-mt": "1"},
        ),
        "prores": Codec(
            "prores_ks",
            {8: "yuv422p10le", 10: "yuv422p10le"},  # the encoder has no 8-bit format
            alpha_formats=("yuv444p10le", "yuva444p10le"),
            preset_option="profile",
            presets=("proxy", "lt", "standard", "hq"),
            default_options={"profile": "hq"},
            full_range=False,
        ),
        "mpeg4": Codec(
            "mpeg4",
            {8: "yuv420p"},
            quality=QualityScale("global_quality", 1, 31, 3),
            sample_aspect_ratio=True,
            color_tags=False,
            full_range=False,
        ),
        "gif": Codec(
            "gif", {8: "pal8"}, alpha_formats=("pal8", "pal8"), always_alpha=True, color_tags=False
        ),
        "webp": Codec(
            "libwebp_anim",
            {8: "bgra"},
            alpha_formats=("bgra", "bgra"),
            always_alpha=True,
            default_options={"quality": "90", "compression_level": "2"},
            color_tags=False,
        ),
        "apng": Codec(
            "apng",
            {8: "rgb24"},
            alpha_formats=("rgba", "rgba"),
            always_alpha=True,
            color_tags=False,
        ),
        "raw": Codec("wrapped_avframe", _FOUR_TWO_ZERO, color_tags=False),
        "h264_nvenc": _nvenc("h264_nvenc", odd=True),
        "hevc_nvenc": _nvenc("hevc_nvenc", odd=True),
        "av1_nvenc": _nvenc("av1_nvenc", odd=False),
    }
)


@dataclass(frozen=True)
class Container:
    """A container format: FFmpeg's muxer, and the codecs written to it."""

    muxer: str  # FFmpeg's name
    codecs: tuple[str, ...]  # the first is the default
    sample_aspect_ratio: bool = False  # PyAV can make the muxer store the shape of a pixel
    time_base: Fraction | None = None  # the only one it supports; None keeps the source's
    constant_rate: bool = False  # it stores no timestamps, only frames
    shortest_frame: Fraction = Fraction(0)  # seconds; what is shorter, browsers show for 1/10
    frames_only: bool = False  # not even gaps between them: each lasts 1 / frame rate
    streamable: bool = False  # it can be written to a pipe, without seeking


# AVI takes MPEG-4, not H.264: it stores no presentation times, and H.264 is read back from it one
# frame late.
_MP4 = Container(
    "mp4",
    ("h264", "hevc", "av1", "vp9", "h264_nvenc", "hevc_nvenc", "av1_nvenc"),
    sample_aspect_ratio=True,
)
CONTAINERS = MappingProxyType(
    {
        ".mp4": _MP4,
        ".m4v": _MP4,
        ".mov": Container(
            "mov",
            ("h264", "hevc", "prores", "h264_nvenc", "hevc_nvenc"),
            sample_aspect_ratio=True,
        ),
        ".mkv": Container("matroska", (*_MP4.codecs, "prores"), streamable=True),
        ".webm": Container("webm", ("vp9", "av1", "av1_nvenc"), streamable=True),
        ".avi": Container("avi", ("mpeg4",), constant_rate=True),
        ".ts": Container("mpegts", ("h264", "hevc", "h264_nvenc", "hevc_nvenc"), streamable=True),
        ".gif": Container(
            "gif", ("gif",), time_base=Fraction(1, 100), shortest_frame=Fraction(1, 50)
        ),
        ".webp": Container(
            "webp", ("webp",), time_base=Fraction(1, 1000), shortest_frame=Fraction(11, 1000)
        ),
        ".apng": Container(
            "apng", ("apng",), time_base=Fraction(1, 1000), shortest_frame=Fraction(11, 1000)
        ),
        ".y4m": Container("yuv4mpegpipe", ("raw",), frames_only=True, streamable=True),
    }
)


@dataclass(frozen=True)
class Encoding:
    """The encoder, container and options chosen for one output file."""

    codec: str  # a key of CODECS
    encoder: str  # FFmpeg's name
    container: Container
    pixel_format: str
    alpha_format: str | None  # the same with an alpha plane; None: without alpha
    options: dict[str, str]
    bit_rate: int  # bits a second; 0: by quality
    sample_aspect_ratio: bool  # the file can store the shape of a pixel
    notes: tuple[str, ...]  # for the user


def container_for(path: Path | OutputPipe) -> Container:
    """The container format of a file name. Raises SinkError, which lists the known extensions."""
    try:
        container = CONTAINERS[path.suffix.lower()]
    except KeyError:
        given = f"{path.suffix!r} is not supported" if path.suffix else f"{path.name!r} has none"
        raise SinkError(
            f"the extension chooses the container, and {given}: use {', '.join(CONTAINERS)}"
        ) from None
    if isinstance(path, OutputPipe) and not container.streamable:
        streamable = ", ".join(ext for ext, kind in CONTAINERS.items() if kind.streamable)
        raise SinkError(f"{path.suffix} cannot be written to {path}: use {streamable}")
    return container


def keeps_alpha(path: Path | OutputPipe, options: EncoderOptions = DEFAULT_ENCODER) -> bool:
    """Whether a file of this name keeps transparency: by request, or as GIF, WebP and APNG do."""
    container = CONTAINERS.get(path.suffix.lower())
    always = container is not None and CODECS[container.codecs[0]].always_alpha
    return options.alpha or always


def encoding_for(
    path: Path | OutputPipe,
    size: tuple[int, int],
    options: EncoderOptions = DEFAULT_ENCODER,
    *,
    has_alpha: bool = False,
) -> Encoding:
    """Choose encoder, pixel format and options for a file of this name and size (height, width).

    has_alpha: there is transparency to keep, if the file `keeps_alpha`.
    Raises SinkError for an unsupported combination, with the supported ones.
    """
    container = container_for(path)
    name = options.codec or container.codecs[0]
    if name not in CODECS:
        raise SinkError(f"unknown codec {name!r}: choose from {', '.join(CODECS)}")
    if name not in container.codecs:
        fitting = ", ".join(ext for ext, kind in CONTAINERS.items() if name in kind.codecs)
        raise SinkError(
            f"{path.suffix} does not support {name}: choose from {', '.join(container.codecs)}, "
            f"or one of these extensions: {fitting}"
        )
    codec, alpha_format = CODECS[name], None
    if options.alpha and codec.alpha_formats is None:
        fitting = ", ".join(kind for kind, other in CODECS.items() if other.alpha_formats)
        raise SinkError(f"{name} does not support transparency (alpha): choose from {fitting}")
    pixel_format, notes = _pixel_format(name, size, options.bit_depth, container)
    if has_alpha and codec.alpha_formats is not None and (options.alpha or codec.always_alpha):
        pixel_format, alpha_format = codec.alpha_formats
    return Encoding(
        name,
        codec.encoder,
        container,
        pixel_format,
        alpha_format,
        _encoder_options(name, size, options) | _alpha_options(name, alpha_format, options),
        options.bitrate or 0,
        codec.sample_aspect_ratio or container.sample_aspect_ratio,
        notes,
    )


def _alpha_options(name: str, alpha_format: str | None, options: EncoderOptions) -> dict[str, str]:
    """The options of an encoder that make it keep alpha. Raises SinkError."""
    if alpha_format is None:
        return {}
    if name == "prores":
        if options.preset is not None:
            raise SinkError(f"prores keeps alpha as 4444 only, got the preset {options.preset}")
        return {"profile": "4444"}
    return {"auto-alt-ref": "0"} if name == "vp9" else {}  # libvpx refuses both together


def _encoder_options(name: str, size: tuple[int, int], options: EncoderOptions) -> dict[str, str]:
    """FFmpeg's options for an encoder. Raises SinkError."""
    codec, chosen = CODECS[name], dict(CODECS[name].fixed_options)
    if name == "hevc" and options.bit_depth == 10 and size[1] < 64:
        # x265's vector code writes past its buffers there (seen from 34 to 48 wide), which ends
        # the process; its plain code is right, and so small a picture costs little.
        chosen["x265-params"] += ":no-asm=1"
    if options.preset is None:
        chosen |= codec.default_options
        if name == "h264" and codec_threads():
            chosen["threads"] = str(codec_threads())
    elif options.preset in codec.presets:
        chosen[codec.preset_option] = options.preset
    elif codec.presets:
        presets = ", ".join(codec.presets)
        raise SinkError(f"{name} has no preset {options.preset!r}: choose from {presets}")
    else:
        raise SinkError(f"{name} has no presets, got {options.preset!r}")
    if options.bitrate is None:
        return chosen | _quality(name, codec.quality, options.crf)
    if options.crf is not None:
        raise SinkError("give either a crf or a bitrate, not both")
    if options.bitrate < 1000:
        raise SinkError(f"expected a bitrate of 1000 bits a second or more, got {options.bitrate}")
    if codec.quality is None:
        raise SinkError(f"{name} does not support a bitrate")
    return chosen


def _quality(name: str, scale: QualityScale | None, crf: int | None) -> dict[str, str]:
    if scale is None:
        if crf is not None:
            raise SinkError(f"{name} does not support a crf")
        return {}
    value = scale.default if crf is None else crf
    if not scale.low <= value <= scale.high:
        raise SinkError(f"{name} takes a crf from {scale.low} to {scale.high}, got {crf}")
    if scale.option == "global_quality":  # MPEG-4's quantizer, in FFmpeg's 1/118 steps
        return {"flags": "+qscale", "global_quality": str(value * 118)}
    return {scale.option: str(value)}


def _pixel_format(
    name: str, size: tuple[int, int], bit_depth: int, container: Container
) -> tuple[str, tuple[str, ...]]:
    """FFmpeg's pixel format, and notes for the user. Raises SinkError for the bit depth."""
    height, width = size
    odd = bool(height % 2 or width % 2)
    formats = _pixel_formats(name, odd)
    if bit_depth not in formats:
        fitting = [c for c in container.codecs if bit_depth in _pixel_formats(c, odd)]
        raise SinkError(
            f"{name} does not support {bit_depth} bits at {width}x{height}: "
            + (f"choose from {', '.join(fitting)}" if fitting else "use 8 bits or an even size")
        )
    if odd and CODECS[name].odd_pixel_formats:
        return formats[bit_depth], (
            f"{width}x{height}: {name} supports odd sizes only with full chroma "
            f"({formats[bit_depth]}), which some players cannot show: choose an even size for them",
        )
    return formats[bit_depth], ()


def _pixel_formats(name: str, odd: bool) -> dict[int, str]:
    """Pixel formats by bit depth that this build of FFmpeg supports. SinkError: no such encoder."""
    codec = CODECS[name]
    try:
        supported = av.codec.Codec(codec.encoder, "w").video_formats
    except av.codec.codec.UnknownCodecError:
        raise SinkError(
            f"{name} needs FFmpeg's encoder {codec.encoder}, which this build of PyAV lacks"
        ) from None
    formats = codec.odd_pixel_formats if odd and codec.odd_pixel_formats else codec.pixel_formats
    if supported is None:  # the encoder takes all
        return formats
    names = {form.name for form in supported}
    return {depth: form for depth, form in formats.items() if form in names}
