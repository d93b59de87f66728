"""`impasto bench`, `impasto eval` and `impasto doctor`: figures of this machine and of styles."""

from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from impasto.models.errors import WeightsError
from impasto.realtime.cli import arguments, options
from impasto.realtime.cli.app import command
from impasto.realtime.cli.terminal import (
    say,
    show_findings,
    show_json,
    show_live,
    show_speeds,
    show_table,
)


@command(example="impasto bench --quick")
def bench(
    style: Annotated[
        str | None, typer.Option(help="What the clip is converted with; else the first installed.")
    ] = None,
    clip: Annotated[
        Path | None,
        typer.Option(metavar="VIDEO", help="What is converted; else the sample, where it is."),
    ] = None,
    device: options.Device = "auto",
    quick: Annotated[
        bool, typer.Option("--quick", help="640x360 and few rounds: under a minute.")
    ] = False,
    live: Annotated[
        bool, typer.Option("--live", help="The live path instead, from a generated camera.")
    ] = False,
    gatys: Annotated[
        bool, typer.Option("--gatys", help="Painting by optimisation instead: 512x512, 300 steps.")
    ] = False,
    size: Annotated[
        Any,
        typer.Option(
            parser=options.typed(arguments.parse_width_and_height),
            metavar="WxH",
            help="With --live: of the camera.",
        ),
    ] = "1280x720",
    fps: Annotated[
        int, typer.Option(min=1, max=240, help="With --live: of the camera, and to be shown.")
    ] = 30,
    seconds: Annotated[float, typer.Option(min=1, help="With --live: how long.")] = 60.0,
    json: options.Json = False,
    traceback: options.Traceback = False,
) -> None:
    """Measure the speed here: our network, the classic one, and the machine's own limit."""
    if live and gatys:
        raise typer.BadParameter("Give either --live or --gatys.")
    from impasto.models.styles import known_styles, mixture_of

    style = style or next(iter(known_styles()), None)
    if style is None:
        raise WeightsError("no style is installed: install impasto again, or give --style FILE")
    mixture_of(style)  # an unknown style is told before anything heavy is loaded
    from impasto.realtime.engines.torch_engine import resolve_device

    def measuring(part: str) -> None:
        if not json:
            say(f"measuring {part} ...")

    if live:
        from impasto.realtime.measure.bench_live import bench_live

        found = bench_live(style, size=size, fps=fps, seconds=seconds, device=device)
        show = show_live
    elif gatys:
        from impasto.realtime.measure.bench_gatys import bench_gatys

        found = bench_gatys(style, device=resolve_device(device), say=measuring)
        show = show_gatys
    else:
        from impasto.realtime.measure.bench import CLIP
        from impasto.realtime.measure.bench import bench as measure

        clip = CLIP if clip is None and CLIP.is_file() else clip
        device = resolve_device(device)
        found = measure(style, clip=clip, device=device, quick=quick, say=measuring)
        show = show_speeds
    if json:
        show_json(found)
    else:
        show(found)


def show_gatys(figures: dict[str, Any]) -> None:
    """What `realtime.measure.bench_gatys.bench_gatys` measured."""
    from impasto.realtime.measure.bench_gatys import tables

    for columns, rows in tables(figures):
        show_table(columns, rows)
    show_findings("limit", figures["limit"])
    show_findings("machine", figures["machine"])


@command(
    example="impasto eval --style great_wave --picture photos/ --clip walk.mp4 "
    "--painting great_wave.jpg"
)
def eval(
    style: options.Style,
    picture: Annotated[
        list[Path] | None,
        typer.Option(metavar="PICTURE", help="To paint and judge; may be repeated, or a folder."),
    ] = None,
    clip: Annotated[
        list[Path] | None,
        typer.Option(
            metavar="CLIP",
            help="A video, or a folder of its frames, for steadiness; may be repeated.",
        ),
    ] = None,
    painting: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="What the style comes from; else no style loss."),
    ] = None,
    strength: options.Strength = 1.0,
    side: Annotated[
        int, typer.Option(min=64, max=2160, help="Short side that clips are painted at, in pixels.")
    ] = 288,
    frames: Annotated[
        int, typer.Option(min=2, max=600, help="Of each clip, from its beginning.")
    ] = 30,
    loss_network: Annotated[
        Literal["compact", "vgg16", "vgg19"],
        typer.Option(help="What judges; the others are downloaded at first use."),
    ] = "compact",
    teacher: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Judge by the Oxford VGG-19 in this .safetensors file."),
    ] = None,
    gatys_steps: Annotated[
        bool,
        typer.Option(
            "--gatys-steps",
            help="How many steps of L-BFGS each --picture, painted in one pass, is worth (slow).",
        ),
    ] = False,
    carried: Annotated[
        bool,
        typer.Option(
            "--carried",
            help="Carry painted keyframes through each --clip, too, against frames painted one by "
            "one (slow).",
        ),
    ] = False,
    device: options.Device = "auto",
    engine: options.Engine = "auto",
    precision: options.Precision = "auto",
    json: options.Json = False,
    traceback: options.Traceback = False,
) -> None:
    """Judge a style: content and style loss, and the steadiness of clips, off, hold and flow."""
    pictures, clips = picture or [], clip or []
    if not pictures and not clips:
        raise typer.BadParameter("Give a --picture, a --clip, or both, to judge by.")
    if teacher is not None and loss_network != "compact":
        raise typer.BadParameter("Give either --loss-network or --teacher.")
    if gatys_steps and (painting is None or not pictures):
        raise typer.BadParameter("--gatys-steps needs a --painting and a --picture.")
    if carried and (painting is None or not clips):
        raise typer.BadParameter("--carried needs a --painting and a --clip.")
    from impasto.realtime.engines.options import EngineOptions

    options = EngineOptions(style, strength, engine, device, precision)
    options.check()
    from impasto.realtime.measure.evaluate import evaluate, tables

    figures = evaluate(
        options,
        pictures=pictures,
        clips=clips,
        painting=painting,
        side=side,
        frames=frames,
        loss_network="oxford" if teacher else loss_network,
        teacher=teacher,
        say=lambda line: None if json else say(line),
    )
    if gatys_steps and painting is not None:
        from impasto.realtime.measure.bench_gatys import steps_of_pictures

        network = "oxford" if teacher else loss_network
        worth = steps_of_pictures(options, pictures, painting, network, teacher)
        for row, steps in zip(figures["pictures"], worth, strict=True):
            row["gatys_steps"] = steps
            if not json:
                say(f"{row['picture'].name}: one pass is worth {steps or 'over 300'} L-BFGS steps")
    found = tables(figures)
    if carried and painting is not None:
        from impasto.realtime.measure import evaluate_keyframes

        figures["carried"] = evaluate_keyframes.evaluate_carried(
            options,
            clips,
            painting,
            side=side,
            frames=frames,
            loss_network="oxford" if teacher else loss_network,
            teacher=teacher,
            say=lambda line: None if json else say(line),
        )
        found += evaluate_keyframes.tables(figures["carried"])
    if json:
        show_json(figures)
    else:
        for columns, rows in found:
            show_table(columns, rows)


@command(example="impasto doctor --json")
def doctor(json: options.Json = False, traceback: options.Traceback = False) -> None:
    """Show what this machine has: devices, encoders, cameras, weights. Exit 1 if amiss."""
    from impasto.realtime.measure.doctor import examine

    found = examine()
    if json:
        show_json(found)
    else:
        for name, value in found.items():
            show_findings(name, value)
    if found["problems"]:
        raise typer.Exit(1)
