"""`impasto keyframes`: a video's keyframes by optimisation, and the video after them."""

import dataclasses
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from impasto.realtime.cli import arguments, options
from impasto.realtime.cli.app import command
from impasto.realtime.cli.terminal import (
    complain,
    counted,
    progress_bar,
    say,
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
        Path | None, typer.Argument(metavar="OUT", help="The folder that keyframes are kept in.")
    ] = None,
    video: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Carry the paint through the whole video.")
    ] = None,
    every: Annotated[
        Any,
        typer.Option(
            parser=options.typed(arguments.parse_interval),
            metavar="TIME",
            help="Take one every 2s, and where scenes begin; else where the view has changed.",
        ),
    ] = None,
    at: Annotated[
        Any,
        typer.Option(
            parser=options.typed(arguments.parse_times),
            metavar="TIMES",
            help="Take these: 0:03,0:07.",
        ),
    ] = None,
    intra: Annotated[bool, typer.Option("--intra", help="Take the codec's intra frames.")] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="List the keyframes; paint nothing.")
    ] = False,
    sheet: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Also put the keyframes on one picture.")
    ] = None,
    size: options.Size = None,
    start: options.Time = None,
    end: options.Time = None,
    preset: Annotated[
        Literal["default", "gatys2016", "johnson2016"],
        typer.Option(help="How to paint: what looks best, or as published."),
    ] = "default",
    steps: Annotated[
        int | None, typer.Option(min=1, help="Of the optimisation; else the preset's.")
    ] = None,
    style_weight: Annotated[
        float | None, typer.Option(min=0, help="Against the content's; else the preset's.")
    ] = None,
    style_scale: Annotated[
        float | None, typer.Option(min=0.05, max=8, help="Size of the strokes; else the preset's.")
    ] = None,
    fill: Annotated[
        str,
        typer.Option(
            help="What paints where no keyframe reaches: a style, a .safetensors file, content "
            "(the video itself, recoloured), or nearest."
        ),
    ] = "nearest",
    teach: Annotated[
        bool, typer.Option("--teach", help="Teach a style the keyframes first; it then fills in.")
    ] = False,
    save_style: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Keep what --teach taught, as a style (.safetensors)."),
    ] = None,
    alone: Annotated[
        bool, typer.Option("--alone", help="With --teach: the style alone paints the video.")
    ] = False,
    retouch: Annotated[
        int,
        typer.Option(
            min=0,
            max=1000,
            help="Steps of painting on each frame of the video; 0 is quicker, and softer.",
        ),
    ] = 4,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on: use the keyframes that are in OUT.")
    ] = False,
    device: options.Device = "auto",
    codec: options.Codec = None,
    crf: options.Crf = None,
    bitrate: options.BitRate = None,
    bit_depth: options.BitDepth = 8,
    overwrite: options.Overwrite = False,
    json: options.Json = False,
    traceback: options.Traceback = False,
) -> None:
    """Paint a video's keyframes as Gatys et al. do, and carry the paint through the video."""
    if sum((every is not None, at is not None, intra)) > 1:
        raise typer.BadParameter("Give one of --every, --at and --intra.")
    if end is not None and (start or 0) >= end:
        raise typer.BadParameter("--start must come before --end.")
    if not dry_run and (painting is None or folder is None):
        raise typer.BadParameter("Give a PAINTING and a folder OUT, or --dry-run.")
    if (alone or save_style is not None) and not teach:
        raise typer.BadParameter("--alone and --save-style go with --teach.")
    if alone and video is None:
        raise typer.BadParameter("--alone says how a --video is painted: give both.")
    if crf is not None and bitrate is not None:
        raise typer.BadParameter("Give either --crf or --bitrate: the one decides the other.")
    if fill not in ("nearest", "content"):
        from impasto.models.styles import mixture_of

        mixture_of(fill)  # an unknown style is told before anything heavy is loaded
    from impasto.realtime.files.codecs import EncoderOptions
    from impasto.realtime.keyframes.render import Film, Order, Shots, choose, work, write_sheet
    from impasto.realtime.keyframes.selection import Rule

    film = Film(source, size, start, end)
    order = Order(
        film=film,
        painting=painting,
        folder=folder,
        video=video,
        sheet=sheet,
        fill=fill,
        teach=teach,
        save_style=save_style,
        alone=alone,
        retouch=retouch,
        resume=resume,
        overwrite=overwrite,
        device=device,
        encoder=EncoderOptions(codec=codec, crf=crf, bitrate=bitrate, bit_depth=bit_depth),
        preset=preset,
        changes={"steps": steps, "style_weight": style_weight, "style_scale": style_scale},
    )
    order.check()
    shots = Shots()
    notes: list[str] = []
    figures: dict[str, Any] = {}
    tell = notes.append if json else say
    try:
        with progress_bar() as bar:
            rule = Rule(every, at or (), intra)
            shots = choose(film, rule, bar.stage("looking for keyframes"))
            if not dry_run:
                figures = work(order, shots, tell, bar.stage)
            elif sheet is not None:
                write_sheet(sheet, film, shots, overwrite=overwrite)
    except KeyboardInterrupt:
        painting_began = shots.frames and not dry_run
        kept = f"what is painted is kept in {folder}: go on with --resume"
        complain(f"stopped; {kept if painting_began else 'nothing was painted yet'}")
        raise typer.Exit(130) from None
    rows = [dataclasses.asdict(keyframe) for keyframe in shots.keyframes]
    if json:
        show_json({"frames": shots.frames, "keyframes": rows, "notes": notes, **figures})
    elif dry_run:
        columns = ("frame", "seconds", "shot", "chosen")
        show_table(
            columns,
            [(r["number"], f"{r['time']:.2f}", r["shot"], r["reason"]) for r in rows],
        )
        say(f"{counted(len(rows), 'keyframe')} of {counted(shots.frames, 'frame')}")
