"""`impasto paint`: one picture by optimisation."""

from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from impasto.realtime.cli import options
from impasto.realtime.cli.app import command
from impasto.realtime.cli.terminal import complain, progress_bar, say, show_json


@command(example="impasto paint holiday.jpg great_wave.jpg painted.png")
def paint(
    content: Annotated[
        Path, typer.Argument(metavar="CONTENT", help="The picture to paint. A folder: see --study.")
    ],
    style: options.Paintings,
    target: Annotated[
        Path, typer.Argument(metavar="OUT", help="A .png, .jpg, .webp, .tif or .bmp file.")
    ],
    preset: Annotated[
        Literal["default", "gatys2016", "johnson2016"],
        typer.Option(help="All settings at once; the options below change single ones."),
    ] = "default",
    size: options.Size = None,
    steps: Annotated[int | None, typer.Option(min=1, max=100_000, help="Over all levels.")] = None,
    style_weight: Annotated[
        float | None, typer.Option(min=0, help="More of the painting, less of the picture.")
    ] = None,
    content_weight: Annotated[float | None, typer.Option(min=0)] = None,
    tv_weight: Annotated[float | None, typer.Option(min=0, help="Smoothness.")] = None,
    tv_form: Annotated[Literal["squared", "root"] | None, typer.Option()] = None,
    style_scale: Annotated[
        float | None,
        typer.Option(min=0.05, max=20, help="Size of the strokes; 1: both as large."),
    ] = None,
    style_loss: Annotated[
        Literal["gram", "wasserstein", "mixed"] | None,
        typer.Option(help="How style is compared; mixed: the mean of both."),
    ] = None,
    style_layers: options.Layers = None,
    content_layers: options.Layers = None,
    loss_network: Annotated[
        Literal["compact", "vgg16", "vgg19"] | None,
        typer.Option(help="What compares; the others are downloaded at first use."),
    ] = None,
    teacher: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Use the Oxford VGG-19 in this .safetensors file."),
    ] = None,
    pooling: Annotated[Literal["max", "average"] | None, typer.Option()] = None,
    start: Annotated[
        str, typer.Option(metavar="START", help="content, noise, style, or a picture.")
    ] = "",
    seed: Annotated[int | None, typer.Option(min=0, help="Of --start noise.")] = None,
    optimizer: Annotated[
        Literal["multilevel", "lbfgs", "adam"] | None,
        typer.Option(help="multilevel: L-BFGS that knows each scale and place, in fewer steps."),
    ] = None,
    learning_rate: Annotated[float | None, typer.Option(min=1e-5, max=1, help="Of adam.")] = None,
    tolerance: Annotated[
        float | None,
        typer.Option(min=0, max=1, help="Leave a level when 10 steps gain less than this share."),
    ] = None,
    levels: Annotated[
        int | None,
        typer.Option(min=1, max=8, help="Sizes to go through at most, each twice the last."),
    ] = None,
    mask: Annotated[
        list[Path] | None,
        typer.Option(
            metavar="PICTURE",
            help="White where a painting goes; once for each, or once for two (black: the second).",
        ),
    ] = None,
    colors: Annotated[
        Literal["painting", "luminance", "recolored"],
        typer.Option(
            help="luminance: paint the brightness only. recolored: the painting takes on the "
            "picture's colours first."
        ),
    ] = "painting",
    every: Annotated[
        int, typer.Option(min=0, metavar="STEPS", help="Keep snapshots, OUT.0050.png ...")
    ] = 0,
    curves: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Draw the losses to this .png, and list them as .csv."),
    ] = None,
    preview: Annotated[bool, typer.Option("--preview", help="Look on in a window.")] = False,
    study: Annotated[
        Literal["content", "texture", "weight", "start", "grid"] | None,
        typer.Option(
            help="A sheet of pictures instead: by content layer, by style layers, by style "
            "weight, by start, or contents by styles (folders)."
        ),
    ] = None,
    device: options.Device = "auto",
    overwrite: options.Overwrite = False,
    json: options.Json = False,
    traceback: options.Traceback = False,
) -> None:
    """Paint one picture in the style of another by optimisation: slow, and the best there is.

    Ctrl-C keeps the picture so far.
    """
    if preview:
        import impasto.realtime.live.window  # noqa: F401  # before anything loads PyAV: see there
    if teacher is not None and loss_network is not None:
        raise typer.BadParameter("Give either --loss-network or --teacher.")
    if study is not None and (preview or every or curves or mask or colors != "painting"):
        raise typer.BadParameter("--study makes its own sheet and curves: leave such options.")
    if mask and len(mask) != len(style) and (len(mask), len(style)) != (1, 2):
        raise typer.BadParameter("Give a --mask for each painting, or one for two paintings.")
    from impasto.models.gatys.optimize import settings_of
    from impasto.realtime.engines.torch_engine import resolve_device
    from impasto.realtime.painting import paint as painting

    given = {
        "steps": steps,
        "style_weight": style_weight,
        "content_weight": content_weight,
        "tv_weight": tv_weight,
        "tv_form": tv_form,
        "style_scale": style_scale,
        "style_loss": style_loss,
        "style_layers": style_layers,
        "content_layers": content_layers,
        "loss_network": "oxford" if teacher else loss_network,
        "teacher": teacher,
        "pooling": pooling,
        "init": start if start in ("content", "noise", "style") else None,
        "seed": seed,
        "optimizer": optimizer,
        "learning_rate": learning_rate,
        "tolerance": tolerance,
        "levels": levels,
    }
    settings = settings_of(preset, given)
    where = resolve_device(device)
    tell: Callable[[str], None] = (lambda line: None) if json else say
    if study is not None:
        from impasto.realtime.painting.study import write_study

        with progress_bar() as bar, bar.file(target.name):
            rows = write_study(
                study,
                content,
                style,
                target,
                settings,
                size=size,
                device=where,
                overwrite=overwrite,
                say=tell,
                on_progress=lambda done, total: bar.tell(done, total, ""),
            )
        if json:
            show_json({"study": study, "target": target, "pictures": rows})
        else:
            tell(f"{target}: {len(rows)} pictures")
        return
    job = painting.Job(
        content=content,
        styles=style,
        target=target,
        settings=settings,
        masks=mask or [],
        size=size,
        colors=colors,
        start=Path(start) if start and given["init"] is None else None,
        every=every,
        curves=curves,
        overwrite=overwrite,
        device=where,
    )
    with progress_bar() as bar, bar.file(target.name), painting.watching(job, preview) as watcher:

        def show(now: Any) -> None:
            losses = f"content {now.content:.3f}, style {now.style:.4f}, total {now.total:.3f}"
            bar.tell(now.step, now.steps, losses)

        report = painting.paint_picture(job, say=tell, on_progress=show, watcher=watcher)
    if json:
        show_json(painting.figures(report))
    elif not report.stopped:
        say(
            f"{report.target}: {report.steps} steps in {report.seconds:.1f} s, content "
            f"{report.content:.3f}, style {report.style:.4f}"
        )
    if report.stopped:
        complain(f"stopped; the picture so far is kept as {report.target}")
        raise typer.Exit(130)
