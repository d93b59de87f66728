"""The `impasto` command: a thin layer, one function a command.

Exit codes: 0; 1 the work failed; 2 bad arguments; 130 stopped by Ctrl-C.
"""

import dataclasses
import functools
import sys
import traceback as tracebacks
from collections.abc import Callable, Sequence
from io import TextIOWrapper
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from export import contract
from models.errors import EngineError, ImpastoError, SourceError, WeightsError
from realtime.cli import arguments, options
from realtime.cli.jobs import VIDEO_EXTENSIONS, Job, find_jobs
from realtime.cli.terminal import (
    complain,
    counted,
    progress_bar,
    say,
    show_findings,
    show_json,
    show_table,
)
from realtime.cli.work import OnProgress, finish, work_through

app = typer.Typer(
    name="impasto",
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
# The class of every usage error; some versions of typer carry their own click, others import it.
UsageError: type[Exception] = typer.BadParameter.__mro__[1]
MOST_CALIBRATING = 64  # pictures of a folder: more change the measured ranges little, and take time


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command with these arguments (None: the process's own); return its exit code."""
    if isinstance(sys.stdout, TextIOWrapper):  # the name of a file may be what it cannot encode
        sys.stdout.reconfigure(errors="backslashreplace")
    try:
        return app(args=argv, prog_name="impasto", standalone_mode=False) or 0
    except UsageError as error:
        context = getattr(error, "ctx", None)
        shown_by = context.command_path if context else "impasto"
        complain(f"{error.format_message()} See {shown_by} --help.")  # type: ignore[attr-defined]
        return 2
    except (KeyboardInterrupt, typer.Abort):
        complain("stopped")
        return 130


def command(*, example: str) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Make a function a command that tells its errors in one line, and has an example."""

    def register(function: Callable[..., None]) -> Callable[..., None]:
        @functools.wraps(function)
        def told(**given: Any) -> None:
            try:
                function(**given)
            except (UsageError, typer.Exit, typer.Abort, BrokenPipeError):
                raise
            except Exception as error:
                if given["traceback"]:
                    tracebacks.print_exc()
                elif isinstance(error, ImpastoError):
                    complain(str(error))
                else:
                    complain(
                        f"a bug, or something nobody thought of: {type(error).__name__}: {error}. "
                        "Please report it, with what --traceback adds."
                    )
                raise typer.Exit(1) from None

        return app.command(epilog=f"Example: {example}")(told)

    return register


@app.callback(invoke_without_command=True)
def impasto(
    context: typer.Context,
    version: Annotated[bool, typer.Option("--version", help="Show the version.")] = False,
) -> None:
    """Turns video into painting. Each command shows an example with --help."""
    if version:
        from realtime.measure.doctor import version_of

        say(f"impasto {version_of('impasto') or '(not installed)'}")
    elif context.invoked_subcommand is None:
        print(context.get_help())
        raise typer.Exit(2)


@command(example="impasto video holiday.mp4 painted.mp4 --style great_wave")
def video(
    source: options.VideoIn,
    target: options.VideoOut,
    style: options.Style,
    strength: options.Strength = 1.0,
    quality: options.Quality = "auto",
    size: options.Size = None,
    fps: options.FrameRate = None,
    start: options.Time = None,
    end: options.Time = None,
    keep_color: options.KeepColor = False,
    steadiness: options.Steadiness = "off",
    batch: options.Batch = 1,
    device: options.Device = "auto",
    engine: options.Engine = "auto",
    precision: options.Precision = "auto",
    codec: options.Codec = None,
    crf: options.Crf = None,
    preset: options.Preset = None,
    bitrate: options.BitRate = None,
    bit_depth: options.BitDepth = 8,
    hwaccel: options.HwAccel = None,
    overwrite: options.Overwrite = False,
    json: options.Json = False,
    traceback: options.Traceback = False,
) -> None:
    """Convert a video; sound, times, subtitles and all else in it are kept."""
    if start is not None and end is not None and start >= end:
        raise typer.BadParameter("--start must come before --end.")
    if crf is not None and bitrate is not None:
        raise typer.BadParameter("Give either --crf or --bitrate: the one decides the other.")
    from realtime.atomic import partial_path
    from realtime.engines.choice import Choice, Painter
    from realtime.files.codecs import CONTAINERS
    from realtime.files.convert import stylize_video
    from realtime.files.sources import VideoFile

    choice = Choice(style, strength, quality, engine, device, precision)
    choice.check()
    jobs = find_jobs(
        source, target, readable=VIDEO_EXTENSIONS, writable=CONTAINERS, otherwise=".mp4"
    )
    reasons: list[str] = []
    painter = Painter(
        choice, reasons.append if json else say, keep_color=keep_color, steadiness=steadiness
    )

    def convert(job: Job, on_progress: OnProgress) -> tuple[str, dict[str, Any]]:
        try:
            report = stylize_video(
                job.source,
                job.target,
                painter,
                size=size,
                frame_rate=fps,
                start=start,
                end=end,
                batch_size=batch,
                codec=codec,
                crf=crf,
                preset=preset,
                bitrate=bitrate,
                bit_depth=bit_depth,
                overwrite=overwrite,
                hwaccel=hwaccel,
                on_progress=on_progress,
            )
        except KeyboardInterrupt:
            partial = partial_path(job.target)
            kept = f"what was done is kept as {partial}" if partial.exists() else "nothing is kept"
            complain(f"stopped; {kept}")
            raise typer.Exit(130) from None
        rate = report.frames / report.seconds
        frames = counted(report.frames, "frame")
        line = f"{job.target}: {frames} in {report.seconds:.1f} s, {rate:.1f} fps"
        figures = {name: getattr(report, name) for name in report.__slots__} | {"fps": rate}
        return line, figures | {"notes": [*report.notes, *painter.notes()]}

    def count(job: Job) -> int:
        with VideoFile(job.source, start=start, end=end) as file:
            return file.info.frame_count or 0

    rows = work_through(jobs, convert, count=count, quiet=json)
    finish(rows, as_json={"style": style, "chosen": reasons, "files": rows} if json else None)


@command(example="impasto live --style great_wave")
def live(
    style: Annotated[
        str | None, typer.Option(help="To begin with, as for video; the keys go through all.")
    ] = None,
    camera: Annotated[
        str,
        typer.Option(
            help="A number or a name (--list-cameras), test, a video file, or an address: "
            "rtsp://, http://, udp://, srt://."
        ),
    ] = "0",
    list_cameras: Annotated[
        bool, typer.Option("--list-cameras", help="Show the cameras there are, and stop.")
    ] = False,
    capture: Annotated[
        Any,
        typer.Option(
            parser=options.typed(arguments.parse_width_and_height),
            metavar="WxH",
            help="Asked of the camera; else 1280x720.",
        ),
    ] = None,
    size: Annotated[
        Any,
        typer.Option(
            parser=options.typed(arguments.parse_size),
            metavar="SIZE",
            help="Paint at this size, whatever it costs; else at what holds --fps.",
        ),
    ] = None,
    fps: Annotated[
        Any,
        typer.Option(
            parser=options.typed(arguments.parse_rate), metavar="RATE", help="To be held."
        ),
    ] = "30",
    strength: options.Strength = 1.0,
    keep_color: options.KeepColor = False,
    steadiness: options.Steadiness = "off",
    mirror: Annotated[
        bool, typer.Option("--mirror/--no-mirror", help="Show the picture as a mirror does.")
    ] = True,
    loop: Annotated[bool, typer.Option("--loop", help="Play a file again and again.")] = False,
    window: Annotated[bool, typer.Option("--window/--no-window", help="For servers: none.")] = True,
    record: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Record from the start (key r: later).")
    ] = None,
    audio: Annotated[bool, typer.Option("--audio", help="Record the microphone, too.")] = False,
    virtual_camera: Annotated[
        bool, typer.Option("--virtual-camera", help="Be a camera for other programs.")
    ] = False,
    stream: Annotated[
        str | None, typer.Option(metavar="URL", help="Send to udp://, srt:// or rtmp://.")
    ] = None,
    snapshots: Annotated[
        Path, typer.Option(metavar="FOLDER", help="Where key s saves pictures.")
    ] = Path(),
    seconds: Annotated[
        float | None, typer.Option(min=0.1, help="Stop after so long; else with q or Ctrl-C.")
    ] = None,
    device: options.Device = "auto",
    engine: options.Engine = "auto",
    precision: options.Precision = "auto",
    overwrite: options.Overwrite = False,
    traceback: options.Traceback = False,
) -> None:
    """Show a camera, a stream or a file painted, as it comes. Key h lists the keys."""
    if list_cameras:
        show_cameras()
        return
    if window:
        import realtime.live.window  # noqa: F401  # before anything loads PyAV: see there

    from models.styles import known_styles
    from realtime.engines.choice import qualities_of

    styles = list(known_styles())
    if style is not None:
        qualities_of(style)  # an unknown style is told before anything is opened
        styles = [style, *(name for name in styles if name != style)]
    if not styles:
        raise WeightsError("no style is installed: install impasto again, or give --style FILE")
    from realtime.live.controls import Controls
    from realtime.live.preview import Wanted, preview

    wanted = Wanted(
        styles=styles,
        camera=camera,
        capture=capture,
        size=size,
        fps=fps,
        loop=loop,
        window=window,
        record=record,
        audio=audio,
        virtual_camera=virtual_camera,
        stream=stream,
        snapshots=snapshots,
        seconds=seconds,
        overwrite=overwrite,
        engine=engine,
        device=device,
        precision=precision,
    )
    controls = Controls(
        strength=strength,
        keep_color=keep_color,
        steadiness=steadiness,
        mirror=mirror,
        recording=record is not None,
    )
    readouts = preview(wanted, controls, say)
    whole = readouts.whole
    say(
        f"{counted(whole.count, 'frame')} at {whole.fps:.1f} fps, {readouts.dropped} dropped, "
        f"95% shown within {whole.delay_ms(0.95):.0f} ms of capture"
    )


def show_cameras() -> None:
    """The cameras of this machine, a row each."""
    from realtime.live.cameras import list_cameras

    cameras = list_cameras()
    if not cameras:
        say("no camera is to be found here; --camera test needs none")
        return
    show_table(("number", "name", "device"), [(str(c.number), c.name, c.device) for c in cameras])


@command(example="impasto image holiday.jpg painted.png --style starry_night")
def image(
    source: options.PictureIn,
    target: options.PictureOut,
    style: options.Style,
    strength: options.Strength = 1.0,
    quality: options.Quality = "auto",
    size: options.Size = None,
    keep_color: options.KeepColor = False,
    device: options.Device = "auto",
    engine: options.Engine = "auto",
    precision: options.Precision = "auto",
    overwrite: options.Overwrite = False,
    json: options.Json = False,
    traceback: options.Traceback = False,
) -> None:
    """Paint one picture, or a folder of them. JPEG, PNG, WebP, BMP and TIFF; alpha is kept."""
    import numpy as np

    from realtime.atomic import Target
    from realtime.engines.choice import Choice, Painter
    from realtime.files.pictures import PICTURE_EXTENSIONS, holds_alpha, write_picture
    from realtime.files.stills import PICTURE_SUFFIXES, read_picture

    choice = Choice(style, strength, quality, engine, device, precision)
    choice.check()
    jobs = find_jobs(
        source, target, readable=PICTURE_SUFFIXES, writable=PICTURE_EXTENSIONS, otherwise=".png"
    )
    reasons: list[str] = []
    say_reason = reasons.append if json else say
    painter = Painter(choice, say_reason, keep_color=keep_color, moving=False)

    def paint(job: Job, on_progress: OnProgress) -> tuple[str, dict[str, Any]]:
        picture = read_picture(job.source, size=size, alpha=holds_alpha(job.target))
        Target(job.target, overwrite=overwrite).discard()  # told now, not when it is painted
        painted, alpha = painter.paint(picture[..., :3]), picture[..., 3:]
        write_picture(job.target, np.concatenate([painted, alpha], axis=2), overwrite=overwrite)
        height, width = painted.shape[:2]
        figures = {"width": width, "height": height, "notes": painter.notes()}
        return f"{job.target}: {width}x{height}", figures

    rows = work_through(jobs, paint, count=lambda job: 1, quiet=json)
    finish(rows, as_json={"style": style, "chosen": reasons, "files": rows} if json else None)


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
        Literal["gram", "wasserstein"] | None, typer.Option(help="How style is compared.")
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
    optimizer: Annotated[Literal["lbfgs", "adam"] | None, typer.Option()] = None,
    learning_rate: Annotated[float | None, typer.Option(min=1e-5, max=1, help="Of adam.")] = None,
    tolerance: Annotated[
        float | None,
        typer.Option(min=0, max=1, help="Leave a level when 10 steps gain less than this share."),
    ] = None,
    levels: Annotated[
        int | None, typer.Option(min=1, max=8, help="Sizes to go through, each twice the last.")
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
        import realtime.live.window  # noqa: F401  # before anything loads PyAV: see there
    if teacher is not None and loss_network is not None:
        raise typer.BadParameter("Give either --loss-network or --teacher.")
    if study is not None and (preview or every or curves or mask or colors != "painting"):
        raise typer.BadParameter("--study makes its own sheet and curves: leave such options.")
    if mask and len(mask) != len(style) and (len(mask), len(style)) != (1, 2):
        raise typer.BadParameter("Give a --mask for each painting, or one for two paintings.")
    from realtime.painting import paint as painting

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
        "start": start if start in ("content", "noise", "style") else None,
        "seed": seed,
        "optimizer": optimizer,
        "learning_rate": learning_rate,
        "tolerance": tolerance,
        "levels": levels,
    }
    settings = painting.settings_of(preset, given)
    where = painting.device_of(device)
    tell: Callable[[str], None] = (lambda line: None) if json else say
    if study is not None:
        from realtime.painting.study import write_study

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
        start=Path(start) if start and given["start"] is None else None,
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


@command(example="impasto styles --sheet styles.png --on holiday.jpg")
def styles(
    sheet: Annotated[
        Path | None,
        typer.Option(metavar="OUT", help="Also paint one picture in every style, side by side."),
    ] = None,
    on: Annotated[
        Path | None,
        typer.Option(metavar="PICTURE", help="What to paint on the sheet, instead of a seascape."),
    ] = None,
    overwrite: options.Overwrite = False,
    json: options.Json = False,
    traceback: options.Traceback = False,
) -> None:
    """List the styles that are installed, and make a contact sheet of them."""
    if on is not None and sheet is None:
        raise typer.BadParameter("--on says what is painted on a --sheet: give both.")
    from models.styles import known_styles

    known = known_styles()
    if not known:
        raise WeightsError("no style is installed: install impasto again")
    if json:
        show_json([vars(style) for style in known.values()])
    else:
        columns = ("style", "painting", "artist", "year", "licence", "quality")
        rows = [
            (s.name, s.painting, s.artist, s.year, s.licence, ", ".join(s.files))
            for s in known.values()
        ]
        show_table(columns, rows)
    if sheet is not None:
        from realtime.painting.sheet import write_sheet

        write_sheet(sheet, list(known), on=on, overwrite=overwrite)
        if not json:
            say(f"{sheet}: {len(known)} styles")


@command(example="impasto export great_wave great_wave.onnx --fp16")
def export(
    style: Annotated[
        str | None,
        typer.Argument(metavar="STYLE", help="A name, a blend, or a .safetensors file."),
    ] = None,
    target: Annotated[
        Path | None, typer.Argument(metavar="OUT", help="The .onnx file to write.")
    ] = None,
    strength: options.Strength = 1.0,
    interactive: Annotated[
        bool,
        typer.Option(
            "--interactive", help="Leave the styles of a blend apart, with their weights an input."
        ),
    ] = False,
    layout: Annotated[
        Literal["nhwc-uint8", "nchw-float"],
        typer.Option(help="nchw-float: the bare network, (N, 3, H, W) from 0 to 1."),
    ] = "nhwc-uint8",
    static: Annotated[
        Any,
        typer.Option(
            parser=options.typed(contract.parse_static),
            metavar="NxHxW",
            help="One fixed shape, such as 1x720x1280, for TensorRT and phones; else any.",
        ),
    ] = None,
    opset: Annotated[
        int,
        typer.Option(
            min=contract.OLDEST_OPSET,
            max=contract.NEWEST_OPSET,
            help="Of the ONNX operators; older ones load in older programs.",
        ),
    ] = contract.OPSET,
    fp16: Annotated[
        bool, typer.Option("--fp16", help="Half precision, for GPUs; in and out as before.")
    ] = False,
    int8: Annotated[bool, typer.Option("--int8", help="Convolutions in 8 bits.")] = False,
    calibrate: Annotated[
        Path | None,
        typer.Option(
            metavar="FOLDER", help="With --int8: pictures like those to come; else rendered ones."
        ),
    ] = None,
    show: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Show what an exported file is, and stop.")
    ] = None,
    overwrite: options.Overwrite = False,
    json: options.Json = False,
    traceback: options.Traceback = False,
) -> None:
    """Write a style as ONNX, for other programs; checked against PyTorch before it is there."""
    if show is not None:
        from export.about import read_about

        about = read_about(show)
        if json:
            show_json(about)
        else:
            for name, value in about.items():
                show_findings(name, value)
        return
    if style is None or target is None:
        raise typer.BadParameter("Give a STYLE and an OUT file, or --show FILE.")
    if fp16 and int8:
        raise typer.BadParameter("Give either --fp16 or --int8.")
    if interactive and int8:
        raise typer.BadParameter("--interactive goes with --fp16, not --int8: it mixes weights.")
    if calibrate is not None and not int8:
        raise typer.BadParameter("--calibrate is for --int8: give both.")
    from models.styles import mixture_of
    from realtime.atomic import Target

    mixture_of(style, strength=strength)  # an unknown style is told before anything heavy is loaded
    file = Target(target, overwrite=overwrite)
    try:
        size = 360 if static is None else static[1:]
        pictures = None if calibrate is None else read_pictures(calibrate, size=size)
        from export import export_onnx
        from export.parity import rows_of

        differences: list[Any] = []
        export_onnx(
            style,
            file.partial,
            strength=strength,
            interactive=interactive,
            layout=layout,
            static=static,
            opset=opset,
            precision="fp16" if fp16 else "int8" if int8 else "fp32",
            calibration=pictures,
            on_difference=differences.append,
        )
        file.commit()
    except BaseException:
        file.discard()
        raise
    if json:
        show_json({"file": target, "checks": [found.figures() for found in differences]})
        return
    columns, rows = rows_of(differences)
    show_table(columns, rows)
    say(f"{target}: {target.stat().st_size / 1e6:.1f} MB, agrees with PyTorch as above")


def read_pictures(folder: Path, *, size: int | tuple[int, int]) -> list[Any]:
    """The first pictures of a folder, each (1, H, W, 3) uint8 RGB, to calibrate with."""
    from realtime.files.stills import PICTURE_SUFFIXES, read_picture

    found = sorted(path for path in folder.glob("*") if path.suffix.lower() in PICTURE_SUFFIXES)
    if not found:
        raise SourceError(f"no pictures in {folder}; expected {' '.join(sorted(PICTURE_SUFFIXES))}")
    return [read_picture(path, size=size)[None] for path in found[:MOST_CALIBRATING]]


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
    if start is not None and end is not None and start >= end:
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
        from realtime.engines.choice import qualities_of

        qualities_of(fill)  # an unknown style is told before anything heavy is loaded
    from realtime.cli.terminal import progress_bar
    from realtime.keyframes.keyframing import Film, Order, Shots, choose, work
    from realtime.keyframes.shots import Rule

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
        resume=resume,
        overwrite=overwrite,
        device=device,
        encoding={"codec": codec, "crf": crf, "bitrate": bitrate, "bit_depth": bit_depth},
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
                order.write_sheet(shots)
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
    from models.styles import known_styles
    from realtime.cli.terminal import show_speeds
    from realtime.engines.choice import qualities_of

    style = style or next(iter(known_styles()), None)
    if style is None:
        raise WeightsError("no style is installed: install impasto again, or give --style FILE")
    qualities_of(style)  # an unknown style is told before anything heavy is loaded
    import torch

    from realtime.measure.bench import CLIP
    from realtime.measure.bench import bench as measure

    if live and gatys:
        raise typer.BadParameter("Give either --live or --gatys.")
    if live:
        from realtime.cli.terminal import show_live
        from realtime.measure.bench_live import bench_live

        found = bench_live(style, size=size, fps=fps, seconds=seconds, device=device)
        if json:
            show_json(found)
        else:
            show_live(found)
        return
    if device == "cuda" and not torch.cuda.is_available():
        raise EngineError("no CUDA device is to be had here: use --device cpu")
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    if gatys:
        from realtime.measure.bench_gatys import bench_gatys, tables

        found = bench_gatys(
            style, device=device, say=lambda part: None if json else say(f"measuring {part} ...")
        )
        if json:
            show_json(found)
            return
        for columns, rows in tables(found):
            show_table(columns, rows)
        show_findings("limit", found["limit"])
        show_findings("machine", found["machine"])
        return
    if clip is None and CLIP.is_file():
        clip = CLIP
    figures = measure(
        style,
        clip=clip,
        device=device,
        quick=quick,
        say=lambda part: None if json else say(f"measuring {part} ..."),
    )
    if json:
        show_json(figures)
    else:
        show_speeds(figures)


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
    quality: options.Quality = "auto",
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
    from realtime.engines.choice import Choice

    choice = Choice(style, strength, quality, engine, device, precision)
    choice.check()
    from realtime.measure.evaluate import evaluate, tables

    figures = evaluate(
        choice,
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
        from realtime.measure.bench_gatys import steps_of_pictures

        network = "oxford" if teacher else loss_network
        worth = steps_of_pictures(choice, pictures, painting, network, teacher)
        for row, steps in zip(figures["pictures"], worth, strict=True):
            row["gatys_steps"] = steps
            if not json:
                say(f"{row['picture'].name}: one pass is worth {steps or 'over 300'} L-BFGS steps")
    if json:
        show_json(figures)
    else:
        for columns, rows in tables(figures):
            show_table(columns, rows)


@command(example="impasto doctor --json")
def doctor(json: options.Json = False, traceback: options.Traceback = False) -> None:
    """Show what this machine has: devices, encoders, cameras, weights. Exit 1 if amiss."""
    from realtime.measure.doctor import examine

    found = examine()
    if json:
        show_json(found)
    else:
        for name, value in found.items():
            show_findings(name, value)
    if found["problems"]:
        raise typer.Exit(1)
