"""`impasto bench`, `impasto eval` and `impasto doctor`: speed, quality, and this machine."""

from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from impasto.realtime.cli import options
from impasto.realtime.cli.app import command
from impasto.realtime.cli.figures import show_bench, show_gatys, show_live
from impasto.realtime.cli.terminal import (
    print_line,
    show_json,
    show_nested,
    show_table,
)


@command(example="impasto bench --quick")
def bench(
    style: Annotated[
        str | None,
        typer.Option(
            metavar="STYLE", help="The style of the conversion; default: the first installed."
        ),
    ] = None,
    network: options.Network = "auto",
    clip: Annotated[
        Path | None,
        typer.Option(metavar="VIDEO", help="The video to convert; default: the sample clip."),
    ] = None,
    device: options.Device = "auto",
    quick: Annotated[
        bool, typer.Option("--quick", help="640x360 only and fewer rounds: under a minute.")
    ] = False,
    live: Annotated[
        bool, typer.Option("--live", help="Measure the live path instead, with the sample clip.")
    ] = False,
    gatys: Annotated[
        bool, typer.Option("--gatys", help="Measure painting by optimization: 512x512, 300 steps.")
    ] = False,
    size: options.CameraSize = "1280x720",
    fps: Annotated[int, typer.Option(min=1, max=240, help="With --live: frames a second.")] = 30,
    seconds: Annotated[float, typer.Option(min=1, help="With --live: duration in seconds.")] = 60.0,
    json: options.Json = False,
    traceback: options.Traceback = False,
) -> None:
    """Measure the speed of this machine: the networks, its limit, and a conversion."""
    options.only_one(live=live, gatys=gatys)
    from impasto.models.styles import mixture_of

    style = style or options.installed_styles(network)[0]
    mixture_of(style, network=network)  # raises for an unknown style, before anything is loaded
    from impasto.realtime.engines.torch_engine import resolve_device

    def log(part: str) -> None:
        if not json:
            print_line(f"measuring {part} ...")

    if live:
        from impasto.realtime.measure.bench_live import bench_live

        figures = bench_live(
            style, size=size, fps=fps, seconds=seconds, device=device, network=network
        )
        show = show_live
    elif gatys:
        from impasto.realtime.measure.bench_gatys import bench_gatys

        figures = bench_gatys(style, device=resolve_device(device), network=network, log=log)
        show = show_gatys
    else:
        from impasto.realtime.measure.bench import bench as measure
        from impasto.realtime.samples import SAMPLE_VIDEO

        clip = SAMPLE_VIDEO if clip is None and SAMPLE_VIDEO.is_file() else clip
        device = resolve_device(device)
        figures = measure(style, clip=clip, device=device, network=network, quick=quick, log=log)
        show = show_bench
    if json:
        show_json(figures)
    else:
        show(figures)


@command(
    example="impasto eval --style great_wave --picture photos/ --clip walk.mp4 "
    "--painting great_wave.jpg"
)
def eval(
    style: Annotated[
        list[str] | None,
        typer.Option(
            metavar="STYLE",
            help="A style: a name, a blend or a .safetensors file; may be repeated, a column each.",
        ),
    ] = None,
    onnx: Annotated[
        list[Path] | None,
        typer.Option(
            metavar="FILE", help="An ONNX file of any program, picture to picture; may be repeated."
        ),
    ] = None,
    painted: Annotated[
        list[Path] | None,
        typer.Option(
            metavar="PATH",
            help="What another program painted from --original: a picture, a folder of pictures or "
            "frames, or a video; may be repeated.",
        ),
    ] = None,
    original: Annotated[
        Path | None,
        typer.Option(
            metavar="PATH", help="The original: a picture, a folder of pictures or frames, a video."
        ),
    ] = None,
    picture: Annotated[
        list[Path] | None,
        typer.Option(metavar="PICTURE", help="A picture, or a folder of them; may be repeated."),
    ] = None,
    clip: Annotated[
        list[Path] | None,
        typer.Option(
            metavar="CLIP",
            help="A video, or a folder of frames, for E_warp; may be repeated.",
        ),
    ] = None,
    painting: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="The painting of the style; default: no style loss."),
    ] = None,
    strength: options.Strength = 1.0,
    network: options.Network = "auto",
    side: Annotated[
        int, typer.Option(min=64, max=2160, help="Short side of the clips, in pixels.")
    ] = 288,
    frames: Annotated[
        int, typer.Option(min=2, max=600, help="Frames of each clip, from its start.")
    ] = 30,
    loss_network: Annotated[
        Literal["compact", "vgg16", "vgg19"],
        typer.Option(help="Measures the losses; vgg16 and vgg19 are downloaded at first use."),
    ] = "compact",
    vgg19_weights: options.Vgg19Weights = None,
    gatys: Annotated[
        int | None,
        typer.Option(
            min=1,
            max=5000,
            metavar="STEPS",
            help="Also paint each picture by so many steps of L-BFGS, and compare losses and "
            "seconds with one pass (slow).",
        ),
    ] = None,
    gatys_steps: Annotated[
        bool,
        typer.Option(
            "--gatys-steps",
            help="Also find how many steps of L-BFGS reach the loss of each --picture (slow).",
        ),
    ] = False,
    propagated: Annotated[
        bool,
        typer.Option(
            "--propagated",
            help="Compare painted keyframes propagated through each --clip with frames painted one "
            "by one (slow).",
        ),
    ] = False,
    csv: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Write every figure to this file, a row per input."),
    ] = None,
    sheet: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Write a picture sheet: originals and what was painted."),
    ] = None,
    overwrite: options.Overwrite = False,
    device: options.Device = "auto",
    engine: options.Engine = "auto",
    precision: options.Precision = "auto",
    json: options.Json = False,
    traceback: options.Traceback = False,
) -> None:
    """Measure styles, ONNX files or finished pictures: nearness to the painting, and steadiness."""
    pictures, clips, styles = picture or [], clip or [], style or []
    networks = [*styles, *(onnx or [])]
    if not networks and not painted:
        raise typer.BadParameter("Give a --style, an --onnx file, or --painted with --original.")
    if painted and original is None:
        raise typer.BadParameter("--painted needs the --original that it was painted from.")
    if original is not None and (pictures or clips):
        raise typer.BadParameter("Give --original, or --picture and --clip.")
    if not pictures and not clips and original is None:
        raise typer.BadParameter("Give a --picture, a --clip, or both, or an --original.")
    if vgg19_weights is not None and loss_network != "compact":
        raise typer.BadParameter("Give one of --loss-network or --vgg19-weights.")
    if gatys and (painting is None or not networks or not (pictures or original)):
        raise typer.BadParameter("--gatys needs a --painting, a --picture and a --style or --onnx.")
    alone = len(styles) == len(networks) == 1 and not painted
    if gatys_steps and (painting is None or not pictures or not alone):
        raise typer.BadParameter("--gatys-steps needs a --painting, a --picture and one --style.")
    if propagated and (painting is None or not clips or not alone):
        raise typer.BadParameter("--propagated needs a --painting, a --clip and one --style.")
    from impasto.realtime.atomic import check_target, write_file
    from impasto.realtime.engines.options import EngineOptions

    all_options = [
        EngineOptions(name, strength, engine, device, precision, network) for name in styles
    ]
    for engine_options in all_options:
        engine_options.check()
    for file in filter(None, (csv, sheet)):
        check_target(file, overwrite=overwrite)
    from impasto.realtime.files.images import read_image
    from impasto.realtime.measure.candidates import (
        Candidate,
        FinishedCandidate,
        OnnxCandidate,
        StyleCandidate,
    )
    from impasto.realtime.measure.comparison import PictureSheet, as_csv, tables
    from impasto.realtime.measure.evaluate import evaluate
    from impasto.realtime.measure.originals import read_originals

    judge = "oxford" if vgg19_weights else loss_network
    notes: list[str] = []

    def log(line: str) -> None:
        if line not in notes:  # pictures and clips mostly get the same notes
            notes.append(line)
            if not json:
                print_line(line)

    target = None if painting is None else read_image(painting)
    originals = read_originals(pictures, clips, original=original, side=side, frames=frames)
    painters: list[Candidate] = [StyleCandidate(each, log) for each in all_options]
    painters += [OnnxCandidate(path, log) for path in onnx or []]
    finished = [FinishedCandidate(path, originals, log) for path in painted or []]
    pictured = None if sheet is None else PictureSheet(originals)
    figures = evaluate(
        [*painters, *finished],
        originals,
        painting=target,
        loss_network=judge,
        teacher=vgg19_weights,
        log=log,
        sheet=pictured,
    )
    figures["painting"] = painting
    if gatys_steps and painting is not None:
        from impasto.realtime.measure.bench_gatys import steps_of_pictures

        counts = steps_of_pictures(all_options[0], pictures, painting, judge, vgg19_weights)
        (one,) = figures["candidates"]
        for row, steps in zip(one["pictures"], counts, strict=True):
            row["gatys_steps"] = steps
        known = [steps or 300 for steps in counts]  # at least
        one["mean"]["gatys_steps"] = sum(known) / len(known)
    shown = tables(figures)
    if propagated and painting is not None:
        from impasto.realtime.measure import evaluate_keyframes

        figures["carried"] = evaluate_keyframes.evaluate_propagation(
            all_options[0],
            clips,
            painting,
            side=side,
            frames=frames,
            loss_network=judge,
            teacher=vgg19_weights,
            log=log,
        )
        shown += evaluate_keyframes.tables(figures["carried"])
    if gatys and painting is not None:
        from impasto.realtime.measure import against_gatys

        figures["against_gatys"] = against_gatys.against_gatys(
            painters,
            [path for path, _ in originals.pictures],
            painting,
            gatys,
            loss_network=judge,
            teacher=vgg19_weights,
        )
        shown += against_gatys.tables(figures["against_gatys"])
        log(against_gatys.PUBLISHED)
    if csv is not None:
        write_file(csv, as_csv(figures).encode(), overwrite=overwrite)
    if sheet is not None and pictured is not None:
        pictured.write(sheet, overwrite=overwrite)
    if json:
        show_json(_of_one_style(figures) | {"notes": notes})
    else:
        for columns, rows in shown:
            show_table(columns, rows)


def _of_one_style(figures: dict[str, Any]) -> dict[str, Any]:
    """The figures of a single style without the list of candidates; of others as they are."""
    first, *more = figures["candidates"]
    if more or "style" not in first:
        return figures
    rest = {name: value for name, value in figures.items() if name != "candidates"}
    return {name: value for name, value in first.items() if name != "name"} | rest


@command(example="impasto doctor --json")
def doctor(json: options.Json = False, traceback: options.Traceback = False) -> None:
    """Check this machine: devices, encoders, cameras, styles. Exit code 1 for a problem."""
    from impasto.realtime.measure.doctor import examine

    report = examine()
    if json:
        show_json(report)
    else:
        for name, value in report.items():
            show_nested(name, value)
    if report["problems"]:
        raise typer.Exit(1)
