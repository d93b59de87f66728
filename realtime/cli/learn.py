"""`impasto learn`: train a style from a painting."""

import dataclasses
from pathlib import Path
from typing import Annotated, Literal

import typer

from impasto.realtime.cli import options
from impasto.realtime.cli.app import command
from impasto.realtime.cli.terminal import print_error, print_line, progress_bar, show_json


@command(example="impasto learn painting.jpg mine.safetensors --photos holidays/")
def learn(
    painting: Annotated[
        Path, typer.Argument(metavar="PAINTING", help="A picture of the painting.")
    ],
    target: Annotated[
        Path,
        typer.Argument(metavar="OUT", help="The style to write: a .safetensors file, for --style."),
    ],
    photos: Annotated[
        list[Path] | None,
        typer.Option(
            metavar="PICTURES",
            help="What to train on: a folder of pictures, or a video; may be repeated. Best are "
            "pictures like those to be stylized. Default: rendered scenes.",
        ),
    ] = None,
    steps: Annotated[
        int, typer.Option(min=1, max=100_000, help="Training steps; more give a better style.")
    ] = 1500,
    style_weight: Annotated[
        float, typer.Option(min=0, help="Weight of the style loss; more looks more like PAINTING.")
    ] = 3.5,
    network: Annotated[
        Literal["fast", "fine"],
        typer.Option(help="The size of the network: fine paints better, fast suits live video."),
    ] = "fast",
    device: options.Device = "auto",
    precision: options.FeaturePrecision = "auto",
    overwrite: options.Overwrite = False,
    json: options.Json = False,
    traceback: options.Traceback = False,
) -> None:
    """Train a style from a painting, in minutes.

    Ctrl-C stops it; the same command continues from there.
    """
    from impasto.models.training.recipe import Recipe
    from impasto.realtime.engines.torch_engine import resolve_device
    from impasto.realtime.painting.learn import TrainingJob, train_style

    recipe = Recipe(form=network, steps=steps, style_weight=style_weight)
    job = TrainingJob(
        painting, photos or [], target, recipe, overwrite, resolve_device(device), precision
    )
    try:
        with progress_bar() as bar:
            result = train_style(job, bar.start_stage)
    except KeyboardInterrupt:
        kept = f"the same command continues from {job.folder}"
        print_error(f"stopped; {kept if job.folder.exists() else 'there is no checkpoint yet'}")
        raise typer.Exit(130) from None
    if json:
        show_json(dataclasses.asdict(result))
        return
    for note in result.notes:
        print_line(note)
    print_line(
        f"{target}: {steps} steps on {result.pictures} pictures in {result.seconds:.0f} s, content "
        f"{result.content:.3f}, style {result.style:.3f}; paint with --style {target}"
    )
