"""`impasto learn`: a painting of one's own as a style."""

import dataclasses
from pathlib import Path
from typing import Annotated

import typer

from impasto.realtime.cli import options
from impasto.realtime.cli.app import command
from impasto.realtime.cli.terminal import complain, progress_bar, say, show_json


@command(example="impasto learn painting.jpg mine.safetensors --photos holidays/")
def learn(
    painting: Annotated[Path, typer.Argument(metavar="PAINTING", help="A picture.")],
    target: Annotated[
        Path, typer.Argument(metavar="OUT", help="The style: a .safetensors file for --style.")
    ],
    photos: Annotated[
        list[Path] | None,
        typer.Option(
            metavar="PICTURES",
            help="What to learn on: a folder of pictures, or a film; may be repeated. The more "
            "like what will be painted, the better; without, on scenes that are rendered.",
        ),
    ] = None,
    steps: Annotated[int, typer.Option(min=1, max=100_000, help="More steps paint better.")] = 1500,
    style_weight: Annotated[
        float, typer.Option(min=0, help="More of the painting, less of the picture.")
    ] = 5.0,
    device: options.Device = "auto",
    overwrite: options.Overwrite = False,
    json: options.Json = False,
    traceback: options.Traceback = False,
) -> None:
    """Train a network to paint like a painting of yours: minutes, once; then it is a style.

    Ctrl-C stops it; the same command goes on from there.
    """
    from impasto.models.training.train import Recipe
    from impasto.realtime.engines.torch_engine import resolve_device
    from impasto.realtime.painting.learn import Lesson
    from impasto.realtime.painting.learn import learn as learn_it

    recipe = Recipe(steps=steps, style_weight=style_weight)
    lesson = Lesson(painting, photos or [], target, recipe, overwrite, resolve_device(device))
    try:
        with progress_bar() as bar:
            learnt = learn_it(lesson, bar.stage)
    except KeyboardInterrupt:
        kept = f"the same command goes on from {lesson.folder}"
        complain(f"stopped; {kept if lesson.folder.exists() else 'nothing was learnt yet'}")
        raise typer.Exit(130) from None
    if json:
        show_json(dataclasses.asdict(learnt))
        return
    for note in learnt.notes:
        say(note)
    say(
        f"{target}: {steps} steps on {learnt.pictures} pictures in {learnt.seconds:.0f} s, content "
        f"{learnt.content:.3f}, style {learnt.style:.3f}; paint with --style {target}"
    )
