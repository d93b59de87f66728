"""The arguments and options that several commands share, each defined once for typer."""

from collections.abc import Callable, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

import typer

from impasto.models.errors import EngineError, WeightsError
from impasto.models.gatys import choices as gatys
from impasto.models.loss_network_names import LOSS_NETWORKS
from impasto.realtime.cli import arguments
from impasto.realtime.engines import devices
from impasto.realtime.painting import choices
from impasto.realtime.temporal import modes

T = TypeVar("T")


def parsed(parse: Callable[[str], T]) -> Callable[[str], T]:
    """A parser of `arguments` with the kind of error that typer expects."""

    def parse_or_refuse(text: str) -> T:
        try:
            return parse(text)
        except ValueError as error:
            raise typer.BadParameter(f"{error}.") from None

    return parse_or_refuse


# `Any`, below: typer takes no such union; the type is in a comment.

# --- Files ------------------------------------------------------------------------------------

VideoIn = Annotated[
    str,
    typer.Argument(
        metavar="IN",
        help='A video, a folder, a quoted pattern ("*.mov"), pictures in sequence '
        "(frames/%05d.png), an http:// or https:// address, or - for standard input.",
    ),
]
VideoOut = Annotated[
    Path,
    typer.Argument(
        metavar="OUT",
        help="A video file, by its extension; a folder for several files; pictures in sequence "
        "(painted/%05d.png); - for standard output.",
    ),
]
ImageIn = Annotated[
    str, typer.Argument(metavar="IN", help='A picture, a folder, or a quoted pattern ("*.jpg").')
]
ImageOut = Annotated[
    Path,
    typer.Argument(
        metavar="OUT",
        help="A .png, .jpg, .webp, .avif, .tif or .bmp file; a folder for several files.",
    ),
]
NoMetadata = Annotated[
    bool,
    typer.Option("--no-metadata", help="Drop date, camera, place and author of the photo."),
]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="Replace an output that exists.")]
SkipExisting = Annotated[
    bool,
    typer.Option(
        "--skip-existing",
        help="Leave out what is done: an output that exists. For folders and patterns the default.",
    ),
]

# --- Style ------------------------------------------------------------------------------------

Style = Annotated[
    str,
    typer.Option(
        metavar="STYLE",
        help="A name (see impasto styles), a picture of a painting, a .safetensors file, or a "
        "blend such as great_wave:0.6+wave.jpg:0.4.",
    ),
]
StyleOrFirst = Annotated[
    str | None,
    typer.Option(
        metavar="STYLE",
        help="A name (see impasto styles), a picture of a painting, a .safetensors file, or a "
        "blend such as great_wave:0.6+wave.jpg:0.4; default: the first installed.",
    ),
]
Strength = Annotated[
    float, typer.Option(min=0, max=1, help="From 0, the picture itself, to 1, the full style.")
]
Network = Annotated[
    str,
    typer.Option(
        parser=parsed(arguments.parse_network),
        metavar=f"<{'|'.join(arguments.NETWORKS)}>",
        help="Size of the network: fine paints better, fast takes a quarter of the time; classic "
        "is that of Johnson et al. 2016, of style files that have it. auto: fast for live video "
        "on a CPU; else fine, if the style has it.",
    ),
]
Stroke = Annotated[
    float,
    typer.Option(
        parser=parsed(arguments.parse_stroke),
        metavar="FACTOR",
        help="How wide the strokes are, 0.5 to 4 times the style's own.",
    ),
]
KeepColor = Annotated[
    bool, typer.Option("--keep-color", help="Stylize the luminance only; keep the colors.")
]
Steadiness = Annotated[
    modes.Steadiness | None,
    typer.Option(
        help="Against flicker. Default: auto with the fine network on a CPU, else off. "
        "auto: hold, and flow while the camera moves; hold: keeps pixels that change by noise "
        "only, for a fixed camera; flow: blends along the optical flow, for a moving one; raft: "
        "the same with the RAFT network, for GPUs (downloaded at first use)."
    ),
]

# --- Painting by optimization -----------------------------------------------------------------

Layers = Annotated[
    Any,  # dict[str, float] | None
    typer.Option(
        parser=parsed(arguments.parse_layers),
        metavar="LAYERS",
        help="Layers with weights, such as relu3_1:0.5,relu4_1 (or conv3_1, block3_conv1, "
        "features.10); default: the preset's.",
    ),
]
GatysPreset = Annotated[
    gatys.Preset,
    typer.Option(help="All settings of the optimization: ours (default), or as published."),
]
LossNetwork = Annotated[
    str | None,
    typer.Option(
        parser=parsed(arguments.parse_loss_network),
        metavar="NAME|FILE",
        help=f"compact, {', '.join(LOSS_NETWORKS[1:])}, which are downloaded at first use; or "
        "their weights in a .pth or .safetensors file.",
    ),
]
BeforeRelu = Annotated[
    bool, typer.Option("--before-relu", help="Compare features before the ReLU of their layers.")
]
Pooling = Annotated[gatys.Pooling | None, typer.Option(help="Pooling of the loss network.")]
StyleWeight = Annotated[
    float | None,
    typer.Option(min=0, help="Weight of the style loss; more looks more like the painting."),
]
ContentWeight = Annotated[float | None, typer.Option(min=0, help="Weight of the content loss.")]
TvWeight = Annotated[
    float | None, typer.Option(min=0, help="Weight of the total variation: smoothness.")
]
StyleScale = Annotated[
    float | None,
    typer.Option(
        min=0.05, max=20, help="Size of the strokes; 1: the painting as large as the picture."
    ),
]
Study = Annotated[
    choices.Study | None,
    typer.Option(
        metavar="STUDY",
        help="Write a sheet that compares instead. content, texture: what each layer keeps of "
        "CONTENT or STYLE; only that picture is needed. grid: contents by styles, which may be "
        "folders. One setting is varied by noise, start, weight, layers, content-layers, pooling, "
        "optimizer, loss-network and size.",
    ),
]
Vgg19Weights = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE",
        help="Use the original VGG-19 weights (Oxford) in this .safetensors file as the loss "
        "network.",
    ),
]

# --- Size, rate and time ----------------------------------------------------------------------

Size = Annotated[
    Any,  # int | tuple[int, int] | None
    typer.Option(
        parser=parsed(arguments.parse_size),
        metavar="SIZE",
        help="Short side in pixels (720), or width and height (1280x720).",
    ),
]
CameraSize = Annotated[
    Any,  # tuple[int, int] | None
    typer.Option(
        parser=parsed(arguments.parse_width_and_height),
        metavar="WxH",
        help="Size of the camera's frames, in pixels; default: 1280x720.",
        show_default=False,
    ),
]
FrameRate = Annotated[
    Fraction | None,
    typer.Option(
        parser=parsed(arguments.parse_rate),
        metavar="RATE",
        help="Frames a second: 30, 29.97 or 30000/1001. Frames are dropped or repeated.",
    ),
]
Time = Annotated[
    Fraction | None,
    typer.Option(
        parser=parsed(arguments.parse_time),
        metavar="TIME",
        help="Seconds or mm:ss into the video.",
    ),
]

# --- Computing --------------------------------------------------------------------------------


def _parse_device(names: Sequence[str]) -> Callable[[str], str]:
    """A parser of those of `devices.NAMES` that a command takes, and this machine has."""

    def parse(text: str) -> str:
        if text not in names:
            raise ValueError(f"expected {', '.join(names[:-1])} or {names[-1]}; got {text!r}")
        try:
            devices.require(text)
        except EngineError as error:
            raise ValueError(str(error)) from None
        return text

    return parsed(parse)


Device = Annotated[
    str,
    typer.Option(
        parser=_parse_device(devices.NAMES),
        metavar=f"<{'|'.join(devices.NAMES)}>",
        help="Where to compute. cuda: NVIDIA; gpu, npu: Intel; mps, coreml: Apple; directml: "
        "Windows. All but cpu and cuda are experimental, and used only where they paint like the "
        "CPU, and faster.",
    ),
]
TorchDevice = Annotated[
    str,
    typer.Option(
        parser=_parse_device(devices.NAMES[:3]),
        metavar=f"<{'|'.join(devices.NAMES[:3])}>",
        help="Where to compute.",
    ),
]
Engine = Annotated[
    Literal["auto", "torch", "onnxruntime", "openvino", "tensorrt"],
    typer.Option(help="What runs the network. auto: the fastest here, tensorrt excepted."),
]
Precision = Annotated[
    Literal["auto", "fp32", "bf16", "fp16", "int8"],
    typer.Option(help="Arithmetic of the network. auto: the fastest; int8 where it paints alike."),
]
FeaturePrecision = Annotated[
    Literal["auto", "fp32", "bf16"],
    typer.Option(help="Arithmetic of the loss network. auto: the faster one, timed once here."),
]
Batch = Annotated[int, typer.Option(min=1, max=64, help="Frames computed together.")]
HwAccel = Annotated[
    str | None,
    typer.Option(
        metavar="DEVICE", help="Decode on a device: cuda, vaapi ... (see impasto doctor)."
    ),
]

# --- Encoder ----------------------------------------------------------------------------------

Codec = Annotated[
    str | None,
    typer.Option(
        metavar="CODEC",
        help="h264, hevc, av1, vp9, prores, gif, h264_nvenc ...; default: by the extension.",
    ),
]
Crf = Annotated[
    int | None, typer.Option(help="Quality on the codec's own scale; lower values are better.")
]
Preset = Annotated[
    str | None,
    typer.Option(metavar="NAME", help="The encoder's own name for a speed, such as medium."),
]
BitRate = Annotated[
    int | None,
    typer.Option(
        parser=parsed(arguments.parse_bitrate),
        metavar="RATE",
        help="Bits a second, such as 8M or 800k, instead of --crf.",
    ),
]
BitDepth = Annotated[
    int,
    typer.Option(
        parser=parsed(arguments.parse_bit_depth),
        metavar="BITS",
        help="Bits a channel: 8, for which HDR is tone-mapped to SDR, or 10, which keeps HDR.",
    ),
]

Alpha = Annotated[
    bool,
    typer.Option(
        "--alpha",
        help="Keep transparency, in ProRes and VP9. GIF, WebP and APNG keep it in any case.",
    ),
]
Watch = Annotated[
    bool,
    typer.Option("--watch", help="Stay, and do the files that come into the folder, until Ctrl-C."),
]
AsVideo = Annotated[
    bool,
    typer.Option(
        "--as-video", help="The pictures of a folder or a pattern are one film, of --fps (25)."
    ),
]
MaskFilm = Annotated[
    Path | None,
    typer.Option(
        "--mask",
        metavar="FILE",
        help="A picture, a video, or pictures in sequence: stylize where it is white, keep the "
        "film where it is black, mix in between.",
    ),
]
MaskPicture = Annotated[
    Path | None,
    typer.Option(
        "--mask",
        metavar="FILE",
        help="A picture: stylize where it is white, keep the original where it is black; or a "
        "folder with a mask of the same name for each picture.",
    ),
]
PipeFormat = Annotated[
    Literal["mkv", "webm", "ts", "y4m"],
    typer.Option("--pipe-format", help="The format of standard output; y4m has no sound."),
]

# --- Reports ----------------------------------------------------------------------------------

Json = Annotated[
    bool, typer.Option("--json", help="Report in JSON, and nothing else, on standard output.")
]
Traceback = Annotated[bool, typer.Option("--traceback", help="Show the traceback of an error.")]


# --- Styles -----------------------------------------------------------------------------------


def installed_styles(network: str) -> list[str]:
    """The names of the styles that have this network; for "auto" all. WeightsError if none has."""
    from impasto.models.styles import known_styles

    names = list(known_styles(network))
    if not names and network != "auto":
        raise WeightsError(f"no installed style has a {network} network: use --network auto")
    if not names:
        raise WeightsError("no style is installed: install impasto again, or give --style FILE")
    return names


def style_or_first(style: str | None, network: str, log: Callable[[str], None]) -> str:
    """The style, or where none is given the first that has this network, which `log` is told.

    Paintings in it are replaced by their styles. Raises SourceError and WeightsError.
    """
    if style is not None:
        from impasto.realtime.painting_styles import with_predicted_styles

        return with_predicted_styles(style, log)
    first, *others = installed_styles(network)
    log(f"style: {first}, as no --style is given; others: {', '.join(others) or 'none'}")
    return first


# --- Combinations -----------------------------------------------------------------------------


def only_one(**options: object) -> None:
    """Raise a usage error where more than one of these options is given (not None, not False)."""
    if sum(value is not None and value is not False for value in options.values()) > 1:
        *names, last = (f"--{name.replace('_', '-')}" for name in options)
        raise typer.BadParameter(f"Give one of {', '.join(names)} or {last}.")


def in_order(start: Fraction | None, end: Fraction | None) -> None:
    """Raise a usage error where `end` does not come after `start`."""
    if end is not None and (start or 0) >= end:
        raise typer.BadParameter("--start must come before --end.")
