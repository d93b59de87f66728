"""The arguments and options of the commands, each told to typer once."""

from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

import typer

from impasto.realtime.cli import arguments
from impasto.realtime.temporal import modes

T = TypeVar("T")


def typed(parse: Callable[[str], T]) -> Callable[[str], T]:
    """A parser of `arguments`, for typer, which wants its own kind of error."""

    def parsed(text: str) -> T:
        try:
            return parse(text)
        except ValueError as error:
            raise typer.BadParameter(f"{error}.") from None

    return parsed


VideoIn = Annotated[
    str, typer.Argument(metavar="IN", help='A video, a folder, or a quoted pattern ("*.mov").')
]
VideoOut = Annotated[
    Path,
    typer.Argument(
        metavar="OUT", help="A file, its kind chosen by the extension; a folder for several."
    ),
]
PictureIn = Annotated[
    str, typer.Argument(metavar="IN", help='A picture, a folder, or a quoted pattern ("*.jpg").')
]
PictureOut = Annotated[
    Path,
    typer.Argument(
        metavar="OUT", help="A .png, .jpg, .webp, .tif or .bmp file; a folder for several."
    ),
]
Style = Annotated[
    str,
    typer.Option(
        help="A name (impasto styles lists them), a blend such as great_wave:0.6+starry_night:0.4, "
        "or a .safetensors file."
    ),
]
Strength = Annotated[
    float, typer.Option(min=0, max=1, help="0 gives the picture back, 1 paints in full.")
]
Size = Annotated[
    Any,  # of int | tuple[int, int] | None; typer takes no such union
    typer.Option(
        parser=typed(arguments.parse_size),
        metavar="SIZE",
        help="Short side in pixels (720), or width and height (1280x720).",
    ),
]
Paintings = Annotated[
    Any,  # of list[tuple[Path, float]]
    typer.Argument(
        parser=typed(arguments.parse_paintings),
        metavar="STYLE",
        help="A painting, or several: wave.jpg:0.6+scream.jpg:0.4.",
    ),
]
Layers = Annotated[
    Any,  # of dict[str, float] | None
    typer.Option(
        parser=typed(arguments.parse_layers),
        metavar="LAYERS",
        help="With weights, such as relu3_1:0.5,relu4_1.",
    ),
]
KeepColor = Annotated[
    bool, typer.Option("--keep-color", help="Paint the luminance only; keep the colours.")
]
Steadiness = Annotated[
    modes.Steadiness,
    typer.Option(
        help="Against flicker. hold: where little but noise changes, for a camera that stands "
        "still; flow: blends along the motion, for one that moves; raft: the same with a network "
        "that finds the motion, for GPUs (downloaded at first use)."
    ),
]
Device = Annotated[Literal["auto", "cpu", "cuda"], typer.Option(help="Where to compute.")]
Engine = Annotated[
    Literal["auto", "torch", "onnxruntime", "openvino", "tensorrt"],
    typer.Option(help="auto: the fastest one here, but tensorrt."),
]
Precision = Annotated[
    Literal["auto", "fp32", "bf16", "fp16", "int8"],
    typer.Option(help="Of the network's arithmetic. auto: the best for speed, but int8."),
]
FrameRate = Annotated[
    Fraction | None,
    typer.Option(
        parser=typed(arguments.parse_rate),
        metavar="RATE",
        help="Frames a second, dropped or repeated by their time: 30, 29.97 or 30000/1001.",
    ),
]
Time = Annotated[
    Fraction | None,
    typer.Option(
        parser=typed(arguments.parse_time), metavar="TIME", help="Seconds or mm:ss into the video."
    ),
]
Batch = Annotated[int, typer.Option(min=1, max=64, help="Frames computed together.")]
Codec = Annotated[
    str | None,
    typer.Option(help="h264, hevc, av1, vp9, prores, gif, h264_nvenc ...; else by extension."),
]
Crf = Annotated[int | None, typer.Option(help="Quality on the codec's own scale; lower is better.")]
Preset = Annotated[
    str | None, typer.Option(help="The encoder's own name for a speed, such as medium.")
]
BitRate = Annotated[
    int | None,
    typer.Option(
        parser=typed(arguments.parse_bitrate),
        metavar="RATE",
        help="Bits a second, such as 8M or 800k, instead of --crf.",
    ),
]
BitDepth = Annotated[
    int,
    typer.Option(parser=typed(arguments.parse_bit_depth), metavar="BITS", help="8 or 10."),
]
HwAccel = Annotated[
    str | None, typer.Option(help="Decode on a device: cuda, vaapi ... (see impasto doctor).")
]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="Replace an output that exists.")]
Json = Annotated[
    bool, typer.Option("--json", help="Report in JSON on standard output, with nothing else there.")
]
Traceback = Annotated[bool, typer.Option("--traceback", help="Show everything about an error.")]
