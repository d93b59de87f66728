"""`impasto bench`: the speed of this machine."""

from pathlib import Path
from typing import Annotated

import typer

from impasto.realtime.cli import options
from impasto.realtime.cli.app import command
from impasto.realtime.cli.figures import show_bench, show_gatys, show_live
from impasto.realtime.cli.terminal import print_line, show_json
from impasto.realtime.engines.devices import EXPERIMENTAL


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
        bool, typer.Option("--quick", help="640x360, fewer rounds, one second: under a minute.")
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
    from impasto.realtime.painting_styles import with_predicted_styles

    style = with_predicted_styles(style or options.installed_styles(network)[0])
    mixture_of(style, network=network)  # raises for an unknown style, before anything is loaded

    known = device not in EXPERIMENTAL
    if gatys and not known:
        raise typer.BadParameter(f"--gatys measures PyTorch, which does not use {device}")

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
        from impasto.realtime.engines.torch_engine import resolve_device
        from impasto.realtime.measure.bench_gatys import bench_gatys

        figures = bench_gatys(style, device=resolve_device(device), network=network, log=log)
        show = show_gatys
    else:
        from impasto.realtime.engines.torch_engine import resolve_device
        from impasto.realtime.measure.bench import bench as measure
        from impasto.realtime.samples import SAMPLE_VIDEO

        clip = SAMPLE_VIDEO if clip is None and SAMPLE_VIDEO.is_file() else clip
        device = resolve_device(device) if known else device
        figures = measure(style, clip=clip, device=device, network=network, quick=quick, log=log)
        show = show_bench
    if json:
        show_json(figures)
    else:
        show(figures)
