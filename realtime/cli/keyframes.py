"""`impasto keyframes`: keyframes painted by optimization, and propagated to the whole video."""

import dataclasses
from pathlib import Path
from typing import Annotated, Any

import typer

from impasto.models.errors import SourceError
from impasto.realtime.cli import arguments, options
from impasto.realtime.cli.app import command
from impasto.realtime.cli.terminal import (
    plural,
    print_error,
    print_line,
    progress_bar,
    show_json,
    show_table,
)


@command(example="impasto keyframes holiday.mp4 painting.jpg keyframes/ --video painted.mp4")
def keyframes(
    source: Annotated[Path, typer.Argument(metavar="IN", help="A video.")],
    painting: Annotated[
        Path | None, typer.Argument(metavar="PAINTING", help="The picture to paint like.")
    ] = None,
    folder: Annotated[
        Path | None, typer.Argument(metavar="OUT", help="The folder for the painted keyframes.")
    ] = None,
    video: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Propagate the keyframes to the whole video, too."),
    ] = None,
    every: Annotated[
        Any,
        typer.Option(
            parser=options.parsed(arguments.parse_interval),
            metavar="TIME",
            help="A keyframe every 2s (or 0.5, 1:30), and where shots begin. By default: where "
            "shots begin, and where the view has changed.",
        ),
    ] = None,
    at: Annotated[
        Any,
        typer.Option(
            parser=options.parsed(arguments.parse_times),
            metavar="TIMES",
            help="Keyframes at these times only, such as 0:03,0:07.5.",
        ),
    ] = None,
    intra: Annotated[
        bool, typer.Option("--intra", help="The codec's intra frames as keyframes.")
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="List the keyframes and paint nothing.")
    ] = False,
    sheet: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Write a contact sheet of the keyframes."),
    ] = None,
    size: options.Size = None,
    start: options.Time = None,
    end: options.Time = None,
    preset: options.GatysPreset = "ours",
    steps: Annotated[
        int | None,
        typer.Option(min=1, help="Steps of optimization a keyframe; default: the preset's."),
    ] = None,
    style_weight: options.StyleWeight = None,
    style_scale: options.StyleScale = None,
    loss_network: options.LossNetwork = None,
    fill: Annotated[
        str,
        typer.Option(
            metavar="STYLE",
            help="What stylizes where no keyframe reaches: a style, a .safetensors file, content "
            "(the video itself, recolored), or nearest (the installed style nearest to PAINTING).",
        ),
    ] = "nearest",
    network: options.Network = "auto",
    finetune: Annotated[
        bool,
        typer.Option("--finetune", help="Fine-tune the --fill style on the keyframes first."),
    ] = False,
    save_style: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Save the style of --finetune as .safetensors."),
    ] = None,
    style_only: Annotated[
        bool,
        typer.Option(
            "--style-only", help="With --finetune: stylize every frame by it; no propagation."
        ),
    ] = False,
    refine: Annotated[
        int,
        typer.Option(
            min=0,
            max=1000,
            help="Steps of optimization on each frame of --video; 0 is faster, and softer.",
        ),
    ] = 4,
    resume: Annotated[
        bool, typer.Option("--resume", help="Continue: use the keyframes that are in OUT already.")
    ] = False,
    device: options.TorchDevice = "auto",
    precision: options.FeaturePrecision = "auto",
    codec: options.Codec = None,
    crf: options.Crf = None,
    bitrate: options.BitRate = None,
    bit_depth: options.BitDepth = 8,
    overwrite: options.Overwrite = False,
    json: options.Json = False,
    traceback: options.Traceback = False,
) -> None:
    """Paint keyframes of a video as Gatys et al. do, and propagate them to every frame."""
    options.only_one(every=every, at=at, intra=intra)
    options.in_order(start, end)
    if not dry_run and (painting is None or folder is None):
        raise typer.BadParameter("Give a PAINTING and a folder OUT, or --dry-run.")
    if (style_only or save_style is not None) and not finetune:
        raise typer.BadParameter("--style-only and --save-style need --finetune.")
    if style_only and video is None:
        raise typer.BadParameter("--style-only needs --video.")
    options.only_one(crf=crf, bitrate=bitrate)
    from impasto.realtime.cli import advice

    if advice.is_picture(source):
        raise SourceError(f"{source} is a picture: use impasto paint")
    if painting is not None:
        advice.check_paintings([painting])
    if fill not in ("nearest", "content"):
        from impasto.models.styles import mixture_of
        from impasto.realtime.painting_styles import with_predicted_styles

        fill = with_predicted_styles(fill, print_line)
        mixture_of(fill, network=network)  # raises for an unknown style, before anything is loaded
    elif network != "auto":
        options.installed_styles(network)  # raises where there is none to choose from
    from impasto.realtime.files.codecs import EncoderOptions
    from impasto.realtime.keyframes import render
    from impasto.realtime.keyframes.job import Clip, KeyframeJob
    from impasto.realtime.keyframes.selection import Selection, SelectionRule

    job = KeyframeJob(
        clip=Clip(source, size, start, end),
        rule=SelectionRule(every, at or (), intra),
        painting=painting,
        folder=folder,
        video=video,
        sheet=sheet,
        fill=fill,
        network=network,
        finetune=finetune,
        save_style=save_style,
        style_only=style_only,
        refine=refine,
        resume=resume,
        overwrite=overwrite,
        device=device,
        encoder=EncoderOptions(codec=codec, crf=crf, bitrate=bitrate, bit_depth=bit_depth),
        preset=preset,
        changes={
            "steps": steps,
            "style_weight": style_weight,
            "style_scale": style_scale,
            "loss_network": loss_network,
            "precision": precision,
        },
    )
    job.check()
    selection = Selection()
    notes: list[str] = []
    figures: dict[str, Any] = {}
    try:
        with progress_bar() as bar:
            selection = render.select(job, bar.start_stage("selecting keyframes"))
            if not dry_run:
                log = notes.append if json else print_line
                figures = render.render(job, selection, log, bar.start_stage)
            elif sheet is not None:
                render.write_keyframe_sheet(job, selection)
    except KeyboardInterrupt:
        kept = "nothing was painted"
        if selection.frame_count and not dry_run:
            kept = f"the painted keyframes are in {folder}; continue with --resume"
        print_error(f"stopped; {kept}")
        raise typer.Exit(130) from None
    rows = [dataclasses.asdict(keyframe) for keyframe in selection.keyframes]
    if json:
        show_json({"frames": selection.frame_count, "keyframes": rows, "notes": notes, **figures})
    elif dry_run:
        columns = ("frame", "seconds", "shot", "chosen")
        show_table(
            columns,
            [(r["number"], f"{r['time']:.2f}", r["shot"], r["reason"]) for r in rows],
        )
        print_line(f"{plural(len(rows), 'keyframe')} of {plural(selection.frame_count, 'frame')}")
