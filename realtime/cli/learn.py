"""`impasto learn`: train a style from a painting."""

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from impasto.realtime.cli import options
from impasto.realtime.cli.app import command
from impasto.realtime.cli.terminal import print_error, print_line, progress_bar, show_json

if TYPE_CHECKING:
    from impasto.realtime.painting.learn import TrainingJob


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
            help="What to train on: a folder of pictures, such as COCO, or a video; may be "
            "repeated. Best are pictures like those to be stylized. Default: rendered scenes.",
        ),
    ] = None,
    network: Annotated[
        Literal["fast", "fine", "classic"] | None,
        typer.Option(
            help="fast, the default, suits live video; fine paints better; classic is that of "
            "Johnson et al. 2016, trained from random weights, for comparison."
        ),
    ] = None,
    preset: Annotated[
        Literal["ours", "johnson2016"] | None,
        typer.Option(
            help="All settings of the training. johnson2016: as published, on VGG-16; the default "
            "of --network classic, and of no other."
        ),
    ] = None,
    steps: Annotated[
        int | None,
        typer.Option(
            min=1,
            max=1_000_000,
            help="Training steps; more give a better style. Default: 1500; johnson2016: 40000.",
        ),
    ] = None,
    minutes: Annotated[
        float | None,
        typer.Option(min=0.1, help="Stop after so many minutes of training, if not before."),
    ] = None,
    batch: Annotated[
        int | None, typer.Option(min=1, max=64, help="Pictures a step. Default: 2; johnson2016: 4.")
    ] = None,
    size: Annotated[
        int | None,
        typer.Option(
            min=48,
            max=1024,
            metavar="PX",
            help="Side of the squares cut out of the pictures. Default: 224; johnson2016: 256.",
        ),
    ] = None,
    learning_rate: Annotated[
        float | None,
        typer.Option(min=1e-6, max=1, help="Of Adam. Default: 0.002; johnson2016: 0.001."),
    ] = None,
    style_weight: options.StyleWeight = None,
    content_weight: options.ContentWeight = None,
    tv_weight: options.TvWeight = None,
    style_layers: options.Layers = None,
    content_layers: options.Layers = None,
    loss_network: options.LossNetwork = None,
    before_relu: options.BeforeRelu = False,
    pooling: options.Pooling = None,
    start: Annotated[
        str,
        typer.Option(
            metavar="STYLE",
            help="A style to start from, predicted (from the painting), or random. Default: "
            "predicted; classic: random.",
        ),
    ] = "",
    seed: Annotated[
        int, typer.Option(min=0, help="Random seed, of weights and of the pictures' order.")
    ] = 1,
    sheet: Annotated[
        Path | None,
        typer.Option(
            metavar="OUT",
            help="Write some of the pictures as they are painted in the end. As it learns, they "
            "are in the folder beside the style, NAME.learning.",
        ),
    ] = None,
    csv: Annotated[
        Path | None, typer.Option(metavar="OUT", help="List the losses in a .csv file.")
    ] = None,
    device: options.TorchDevice = "auto",
    precision: options.FeaturePrecision = "auto",
    overwrite: options.Overwrite = False,
    json: options.Json = False,
    traceback: options.Traceback = False,
) -> None:
    """Train a style from a painting, in minutes; the classic network takes hours, or a GPU.

    Ctrl-C stops it; the same command continues from there.
    """
    from impasto.realtime.atomic import check_target
    from impasto.realtime.cli import advice
    from impasto.realtime.files.images import check_image_target

    # All of this before PyTorch is loaded.
    advice.check_suffix(target, ".safetensors", "a style")
    advice.check_paintings([painting])
    for path in photos or ():
        advice.check_exists(path)
    check_target(target, overwrite=overwrite)
    if sheet is not None:
        check_image_target(sheet, overwrite=overwrite)
    if csv is not None:
        check_target(csv, overwrite=overwrite)
    from impasto.models.architectures import CLASSIC
    from impasto.models.training.recipe import recipe_of
    from impasto.realtime.engines.torch_engine import resolve_device
    from impasto.realtime.painting.learn import TrainingJob, train_style

    preset = preset or ("johnson2016" if network == CLASSIC else "ours")
    if preset == "ours" and batch == 1:
        raise typer.BadParameter("--batch 1 needs --preset johnson2016.")
    given = {
        "form": network,
        "steps": steps,
        "batch": batch,
        "crop": size,
        "learning_rate": learning_rate,
        "style_weight": style_weight,
        "content_weight": content_weight,
        "tv_weight": tv_weight,
        "style_layers": style_layers,
        "content_layers": content_layers,
        "loss_network": loss_network,
        "before_relu": before_relu or None,
        "pooling": pooling,
        "seed": seed,
    }
    recipe = recipe_of(preset, given)
    job = TrainingJob(
        painting,
        photos or [],
        target,
        recipe,
        overwrite,
        resolve_device(device),
        precision,
        stand_in=loss_network is None,
        start=start,
        sheet=sheet,
        table=csv,
        minutes=minutes,
    )
    try:
        with progress_bar() as bar:
            result = train_style(job, bar.start_stage, _silent if json else print_line)
    except KeyboardInterrupt:
        print_error(_stopped(job))
        raise typer.Exit(130) from None
    if json:
        show_json(dataclasses.asdict(result))
        return
    print_line(
        f"{target}: {result.network} network, {result.steps} steps on {result.pictures} pictures "
        f"in {result.seconds:.0f} s, content {result.content:.3f}, style {result.style:.3f}; paint "
        f"with --style {target}"
    )


def _silent(line: str) -> None:
    """Standard output is for JSON, which has the notes too."""


def _stopped(job: "TrainingJob") -> str:
    """What is left of a job that was stopped, and how it goes on."""
    done = job.steps_done()
    if not done:
        return "stopped; there is no checkpoint yet"
    line = f"stopped after {done} steps; the same command continues from {job.folder}"
    if job.recipe.schedule == "constant":
        line += f"; with --steps {done} it writes the style as it is"
    return line
