"""`impasto paint`: one picture painted by optimization."""

from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, get_args

import typer

from impasto.models.gatys import choices as gatys
from impasto.realtime.cli import options
from impasto.realtime.cli import study as study_command
from impasto.realtime.cli.app import command
from impasto.realtime.cli.terminal import print_error, print_line, progress_bar, show_json
from impasto.realtime.painting import choices

if TYPE_CHECKING:
    from impasto.realtime.painting.paint import PaintJob


@command(example="impasto paint holiday.jpg great_wave.jpg painted.png")
def paint(
    content: Annotated[
        Path, typer.Argument(metavar="CONTENT", help="The picture to paint; see also --study.")
    ],
    style: Annotated[
        str,
        typer.Argument(
            metavar="STYLE",
            help="A painting, or several with weights: wave.jpg:0.6+scream.jpg:0.4.",
        ),
    ],
    target: Annotated[
        Path | None,
        typer.Argument(metavar="OUT", help="A .png, .jpg, .webp, .tif or .bmp file."),
    ] = None,
    preset: options.GatysPreset = "ours",
    size: options.Size = None,
    steps: Annotated[
        int | None, typer.Option(min=1, max=100_000, help="Steps over all --levels.")
    ] = None,
    style_weight: options.StyleWeight = None,
    content_weight: options.ContentWeight = None,
    tv_weight: options.TvWeight = None,
    tv_form: Annotated[
        gatys.TvForm | None,
        typer.Option(help="Total variation as squares, or as a square root (Johnson et al.)."),
    ] = None,
    style_scale: options.StyleScale = None,
    style_loss: Annotated[
        gatys.StyleLoss | None,
        typer.Option(help="How style is compared; mixed: the mean of both."),
    ] = None,
    style_layers: options.Layers = None,
    content_layers: options.Layers = None,
    loss_network: options.LossNetwork = None,
    vgg19_weights: options.Vgg19Weights = None,
    before_relu: options.BeforeRelu = False,
    pooling: options.Pooling = None,
    start: Annotated[
        str,
        typer.Option(metavar="START", help="The first picture: content, noise, style, or a file."),
    ] = "",
    seed: Annotated[int | None, typer.Option(min=0, help="Random seed of --start noise.")] = None,
    optimizer: Annotated[
        gatys.Optimizer | None,
        typer.Option(help="multilevel: L-BFGS with a preconditioner, in fewer steps."),
    ] = None,
    learning_rate: Annotated[
        float | None,
        typer.Option(min=1e-5, max=1, help="Step size of adam and sgd, for pixels of 0 to 1."),
    ] = None,
    tolerance: Annotated[
        float | None,
        typer.Option(min=0, max=1, help="End a level when 10 steps gain less than this share."),
    ] = None,
    levels: Annotated[
        int | None,
        typer.Option(min=1, max=8, help="Sizes at most, coarse to fine, each twice the last."),
    ] = None,
    mask: Annotated[
        list[Path] | None,
        typer.Option(
            metavar="PICTURE",
            help="White where a painting goes; one for each, or one for two (black: the second).",
        ),
    ] = None,
    colors: Annotated[
        choices.ColorMode,
        typer.Option(
            help="painting: its colors. luminance: the colors of CONTENT are kept. recolored: "
            "STYLE takes on the colors of CONTENT first."
        ),
    ] = "painting",
    every: Annotated[
        int, typer.Option(min=0, metavar="STEPS", help="Save snapshots, OUT.0050.png ...")
    ] = 0,
    curves: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Draw the losses to this .png, and list them as .csv."),
    ] = None,
    curves_scale: Annotated[
        choices.Scale, typer.Option(help="The scale of the losses in --curves.")
    ] = "log",
    curves_layout: Annotated[
        choices.CurvesLayout,
        typer.Option(help="together: --curves in one plot. separate: a plot for each loss."),
    ] = "together",
    film: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Make a film of the snapshots, such as steps.mp4; without --every, of each step.",
        ),
    ] = None,
    preview: Annotated[
        bool, typer.Option("--preview", help="Show the picture in a window as it is painted.")
    ] = False,
    study: options.Study = None,
    values: Annotated[
        str | None,
        typer.Option(
            metavar="LIST",
            help="What --study compares: conv1_1,conv3_2; 1,10,100 or 1..100000; 128,256; "
            "relu1_1+relu2_1,relu3_1; max,average ...",
        ),
    ] = None,
    seeds: Annotated[
        int | None,
        typer.Option(min=1, max=100, help="How many starts from noise --study noise, start has."),
    ] = None,
    device: options.TorchDevice = "auto",
    precision: options.FeaturePrecision = "auto",
    no_metadata: options.NoMetadata = False,
    overwrite: options.Overwrite = False,
    json: options.Json = False,
    traceback: options.Traceback = False,
) -> None:
    """Paint one picture in the style of another by optimization: the slowest way, and the best.

    Ctrl-C keeps the picture so far.
    """
    if preview:
        import impasto.realtime.live.window  # noqa: F401  # before anything loads PyAV: see there
    options.only_one(loss_network=loss_network, vgg19_weights=vgg19_weights)
    if study is not None and (preview or every or film or curves or mask or colors != "painting"):
        raise typer.BadParameter(
            "--study cannot be combined with --preview, --every, --film, --curves, --mask or "
            "--colors."
        )
    if study is None and (values is not None or seeds is not None):
        raise typer.BadParameter("--values and --seeds are for --study.")
    source, paintings, target = study_command.files_of(study, content, style, target)
    listed = study_command.values_of(values)
    if mask and len(mask) != len(paintings) and (len(mask), len(paintings)) != (1, 2):
        raise typer.BadParameter("Give a --mask for each painting, or one for two paintings.")
    init = start if start in get_args(gatys.Init) else None
    first = Path(start) if start and init is None else None
    if study is not None and first is not None:
        raise typer.BadParameter("With --study, --start is content, noise or style.")
    others = [*(mask or ()), *([first] if first else [])]
    _check_files(source, paintings, others, study is not None)
    _check_targets(target, curves, film, overwrite)
    from impasto.models.gatys.optimize import LEARNING_RATES, settings_of
    from impasto.realtime.engines.torch_engine import resolve_device

    changes = {
        "steps": steps,
        "style_weight": style_weight,
        "content_weight": content_weight,
        "tv_weight": tv_weight,
        "tv_form": tv_form,
        "style_scale": style_scale,
        "style_loss": style_loss,
        "style_layers": style_layers,
        "content_layers": content_layers,
        "loss_network": "oxford" if vgg19_weights else loss_network,
        "teacher": vgg19_weights,
        "before_relu": before_relu or None,
        "pooling": pooling,
        "init": init,
        "seed": seed,
        "optimizer": optimizer,
        "learning_rate": learning_rate,
        "tolerance": tolerance,
        "levels": levels,
        "precision": precision,
    }
    settings = settings_of(preset, changes)
    if learning_rate is not None and settings.optimizer not in LEARNING_RATES and study is None:
        raise typer.BadParameter("--learning-rate is of --optimizer adam and sgd.")
    shared: dict[str, Any] = {
        "styles": paintings,
        "target": target,
        "settings": settings,
        "size": size,
        "curves_scale": curves_scale,
        "curves_layout": curves_layout,
        "overwrite": overwrite,
        "device": resolve_device(device),
    }
    if study is not None:
        from impasto.realtime.painting.study import StudyJob

        layers = {"content": content_layers, "texture": style_layers}.get(study)
        compared = listed or list(layers or ())
        study_job = StudyJob(study, source, values=compared, seeds=seeds, **shared)
        study_command.run_study(study_job, json=json)
        return
    from impasto.realtime.painting.paint import PaintJob

    job = PaintJob(
        content,
        masks=mask or [],
        colors=colors,
        start=first,
        snapshot_every=every,
        film=film,
        curves=curves,
        keep_metadata=not no_metadata,
        **shared,
    )
    _run(job, preview=preview, json=json)


def _check_files(
    content: Path | None, paintings: study_command.Styles, others: list[Path], folders: bool
) -> None:
    """Raise an error for a file that is no picture, before PyTorch is loaded."""
    from impasto.realtime.cli import advice

    advice.check_paintings((path for path, _ in paintings), folders=folders)
    if content is not None:
        advice.check_readable(content, folders=folders)
    for path in others:
        advice.check_readable(path)


def _check_targets(target: Path, curves: Path | None, film: Path | None, overwrite: bool) -> None:
    """Raise an error for a file that cannot be written, before PyTorch is loaded."""
    from impasto.realtime.files.images import check_image_target
    from impasto.realtime.painting.curves import check_curve_targets
    from impasto.realtime.painting.film import check_film_target

    check_image_target(target, overwrite=overwrite)
    if curves is not None:
        check_curve_targets(curves, overwrite=overwrite)
    if film is not None:
        check_film_target(film, overwrite=overwrite)


def _run(job: "PaintJob", *, preview: bool, json: bool) -> None:
    """Paint a picture, and report it."""
    from impasto.realtime.painting.paint import paint_image, preview_window

    log = (lambda line: None) if json else print_line
    window = preview_window(job) if preview else nullcontext()
    with progress_bar() as bar, bar.file(job.target.name), window as show:

        def on_progress(now: Any) -> None:
            losses = f"content {now.content:.3f}, style {now.style:.4f}, total {now.total:.3f}"
            bar.update(now.step, now.steps, losses)

        report = paint_image(job, log=log, on_progress=on_progress, preview=show)
    if json:
        show_json(report.figures())
    if report.stopped:
        print_error(f"stopped; the picture so far is {report.target}")
        raise typer.Exit(130)
    log(
        f"{report.target}: {report.steps} steps in {report.seconds:.1f} s, content "
        f"{report.content:.3f}, style {report.style:.4f}; within 1 % of the last total loss from "
        f"step {report.converged_step}"
    )
