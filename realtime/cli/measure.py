"""`impasto bench`, `impasto eval` and `impasto doctor`: speed, quality, and this machine."""

from pathlib import Path
from typing import Annotated, Literal

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
    style: options.Style,
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
    device: options.Device = "auto",
    engine: options.Engine = "auto",
    precision: options.Precision = "auto",
    json: options.Json = False,
    traceback: options.Traceback = False,
) -> None:
    """Measure a style: how close pictures come to the painting, and how steady clips are."""
    pictures, clips = picture or [], clip or []
    if not pictures and not clips:
        raise typer.BadParameter("Give a --picture, a --clip, or both.")
    if vgg19_weights is not None and loss_network != "compact":
        raise typer.BadParameter("Give one of --loss-network or --vgg19-weights.")
    if gatys_steps and (painting is None or not pictures):
        raise typer.BadParameter("--gatys-steps needs a --painting and a --picture.")
    if propagated and (painting is None or not clips):
        raise typer.BadParameter("--propagated needs a --painting and a --clip.")
    from impasto.realtime.engines.options import EngineOptions

    engine_options = EngineOptions(style, strength, engine, device, precision, network)
    engine_options.check()
    from impasto.realtime.measure.evaluate import evaluate, tables

    judge = "oxford" if vgg19_weights else loss_network
    log = (lambda line: None) if json else print_line
    figures = evaluate(
        engine_options,
        pictures=pictures,
        clips=clips,
        painting=painting,
        side=side,
        frames=frames,
        loss_network=judge,
        teacher=vgg19_weights,
        log=log,
    )
    if gatys_steps and painting is not None:
        from impasto.realtime.measure.bench_gatys import steps_of_pictures

        counts = steps_of_pictures(engine_options, pictures, painting, judge, vgg19_weights)
        for row, steps in zip(figures["pictures"], counts, strict=True):
            row["gatys_steps"] = steps
        known = [steps or 300 for steps in counts]  # at least
        figures["mean"]["gatys_steps"] = sum(known) / len(known)
    shown = tables(figures)
    if propagated and painting is not None:
        from impasto.realtime.measure import evaluate_keyframes

        figures["carried"] = evaluate_keyframes.evaluate_propagation(
            engine_options,
            clips,
            painting,
            side=side,
            frames=frames,
            loss_network=judge,
            teacher=vgg19_weights,
            log=log,
        )
        shown += evaluate_keyframes.tables(figures["carried"])
    if json:
        show_json(figures)
    else:
        for columns, rows in shown:
            show_table(columns, rows)


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
