"""`impasto export`: a style as an ONNX file."""

from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from impasto.export import spec
from impasto.realtime.cli import options
from impasto.realtime.cli.app import command
from impasto.realtime.cli.terminal import (
    print_line,
    progress_bar,
    show_json,
    show_nested,
    show_table,
)

MAX_CALIBRATION_IMAGES = 64  # of a folder: more change the measured ranges little


@command(example="impasto export great_wave great_wave.onnx --fp16")
def export(
    style: Annotated[
        str | None,
        typer.Argument(metavar="STYLE", help="A name, a picture, a .safetensors file, or a blend."),
    ] = None,
    target: Annotated[
        Path | None, typer.Argument(metavar="OUT", help="The .onnx file to write.")
    ] = None,
    strength: options.Strength = 1.0,
    network: options.Network = "auto",
    stroke: options.Stroke = 1.0,
    interactive: Annotated[
        bool,
        typer.Option(
            "--interactive", help="Make the weights of a blend's styles an input of the model."
        ),
    ] = False,
    layout: Annotated[
        Literal["nhwc-uint8", "nchw-float"],
        typer.Option(help="nchw-float: the network alone, (N, 3, H, W) from 0 to 1."),
    ] = "nhwc-uint8",
    static: Annotated[
        Any,
        typer.Option(
            parser=options.parsed(spec.parse_static),
            metavar="NxHxW",
            help="A fixed shape, such as 1x720x1280, for TensorRT and phones; default: any.",
        ),
    ] = None,
    opset: Annotated[
        int,
        typer.Option(
            min=spec.OLDEST_OPSET,
            max=spec.NEWEST_OPSET,
            help="ONNX operator set; older ones load in older programs.",
        ),
    ] = spec.OPSET,
    fp16: Annotated[
        bool, typer.Option("--fp16", help="float16 inside, for GPUs; the same inputs and outputs.")
    ] = False,
    int8: Annotated[bool, typer.Option("--int8", help="8-bit convolutions.")] = False,
    calibrate: Annotated[
        Path | None,
        typer.Option(
            metavar="FOLDER", help="Pictures to calibrate --int8 with; default: rendered ones."
        ),
    ] = None,
    show: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Describe an exported file, and exit.")
    ] = None,
    overwrite: options.Overwrite = False,
    json: options.Json = False,
    traceback: options.Traceback = False,
) -> None:
    """Write a style as ONNX, for other programs; checked against PyTorch before it is written."""
    if show is not None:
        from impasto.export.metadata import read_metadata

        about = read_metadata(show)
        if json:
            show_json(about)
        else:
            for name, value in about.items():
                show_nested(name, value)
        return
    if style is None or target is None:
        raise typer.BadParameter("Give a STYLE and an OUT file, or --show FILE.")
    options.only_one(fp16=fp16, int8=int8)
    if interactive and int8:
        raise typer.BadParameter("--interactive cannot be combined with --int8.")
    if calibrate is not None and not int8:
        raise typer.BadParameter("--calibrate needs --int8.")
    from impasto.models.styles import choose_network, mixture_of
    from impasto.realtime.atomic import atomic_write
    from impasto.realtime.cli.advice import check_suffix
    from impasto.realtime.painting_styles import with_predicted_styles

    check_suffix(target, ".onnx", "an ONNX file")
    style = with_predicted_styles(style, print_line)
    # Both raise for what cannot be, before PyTorch is loaded.
    lowest = 0.0 if interactive else strength  # as their weights may all be zero
    network = choose_network(style, network, strength=lowest)
    mixture_of(style, strength=lowest, network=network)
    differences: list[Any] = []

    def on_difference(difference: Any) -> None:
        differences.append(difference)
        bar.update(len(differences), None, "compared with PyTorch")

    with (
        progress_bar() as bar,
        bar.file(target.name),
        atomic_write(target, overwrite=overwrite) as partial,
    ):
        size = 360 if static is None else static[1:]
        pictures = None if calibrate is None else read_pictures(calibrate, size=size)
        from impasto.export import export_onnx
        from impasto.export.parity import difference_table

        export_onnx(
            style,
            partial,
            strength=strength,
            network=network,
            interactive=interactive,
            layout=layout,
            static=static,
            opset=opset,
            stroke=stroke,
            precision="fp16" if fp16 else "int8" if int8 else "fp32",
            calibration=pictures,
            on_difference=on_difference,
        )
    if json:
        checks = [difference.figures() for difference in differences]
        show_json({"file": target, "network": network, "checks": checks})
        return
    show_table(*difference_table(differences))
    size_mb = f"{target.stat().st_size / 1e6:.1f} MB"
    print_line(f"{target}: {network} network, {size_mb}, agrees with PyTorch as above")


def read_pictures(folder: Path, *, size: int | tuple[int, int]) -> list[Any]:
    """The first pictures of a folder, each (1, H, W, 3) uint8 RGB, to calibrate with."""
    from impasto.realtime.files.images import images_in, read_image

    files = images_in(folder)[:MAX_CALIBRATION_IMAGES]
    return [read_image(path, size=size)[None] for path in files]
