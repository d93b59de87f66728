"""`impasto live`: a camera, a stream or a file in a window."""

from pathlib import Path
from typing import Annotated, Any

import typer

from impasto.realtime.cli import arguments, options
from impasto.realtime.cli.app import command
from impasto.realtime.cli.terminal import plural, print_line, show_table


@command(example="impasto live --style great_wave")
def live(
    style: Annotated[
        str | None,
        typer.Option(
            metavar="STYLE",
            help="The first style, as for impasto video, or a folder of pictures; keys change it.",
        ),
    ] = None,
    camera: Annotated[
        str,
        typer.Option(
            metavar="SOURCE",
            help="A number or a name (--list-cameras), test, a video file, or a URL: rtsp://, "
            "http://, udp://, srt://.",
        ),
    ] = "0",
    list_cameras: Annotated[
        bool, typer.Option("--list-cameras", help="List the cameras, and exit.")
    ] = False,
    capture: options.CameraSize = None,
    size: Annotated[
        Any,
        typer.Option(
            parser=options.parsed(arguments.parse_size),
            metavar="SIZE",
            help="Stylize at this size: 720 or 1280x720 pixels. Default: what holds --fps.",
        ),
    ] = None,
    fps: Annotated[
        Any,
        typer.Option(
            parser=options.parsed(arguments.parse_rate),
            metavar="RATE",
            help="Frames a second to hold, such as 30 or 30000/1001.",
        ),
    ] = "30",
    strength: options.Strength = 1.0,
    network: options.Network = "auto",
    stroke: options.Stroke = 1.0,
    keep_color: options.KeepColor = False,
    steadiness: options.Steadiness = None,
    mask: options.MaskFilm = None,
    mirror: Annotated[
        bool, typer.Option("--mirror/--no-mirror", help="Mirror the picture in the window.")
    ] = True,
    loop: Annotated[bool, typer.Option("--loop", help="Repeat a video file.")] = False,
    window: Annotated[
        bool, typer.Option("--window/--no-window", help="Show a window, or none, as on a server.")
    ] = True,
    record: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help="Record to this video file from the start (key r: later)."
        ),
    ] = None,
    audio: Annotated[
        bool, typer.Option("--audio", help="Record and stream the microphone too.")
    ] = False,
    virtual_camera: Annotated[
        bool, typer.Option("--virtual-camera", help="Provide a virtual camera for other programs.")
    ] = False,
    stream: Annotated[
        str | None, typer.Option(metavar="URL", help="Stream to udp://, srt:// or rtmp://.")
    ] = None,
    snapshots: Annotated[
        Path, typer.Option(metavar="FOLDER", help="The folder for pictures saved with key s.")
    ] = Path(),
    seconds: Annotated[
        float | None,
        typer.Option(min=0.1, help="Stop after so many seconds; default: with q or Ctrl-C."),
    ] = None,
    device: options.Device = "auto",
    engine: options.Engine = "auto",
    precision: options.Precision = "auto",
    overwrite: options.Overwrite = False,
    traceback: options.Traceback = False,
) -> None:
    """Stylize a camera, a stream or a file live, in a window. Key h lists the keys."""
    if list_cameras:
        show_cameras()
        return
    if window:
        import impasto.realtime.live.window  # noqa: F401  # before anything loads PyAV: see there

    from impasto.models.styles import known_styles, mixture_of
    from impasto.realtime.engines.options import live_network
    from impasto.realtime.files.images import images_in
    from impasto.realtime.painting_styles import is_folder_of_paintings
    from impasto.realtime.stylizer import default_steadiness

    folder = Path(style) if style is not None and is_folder_of_paintings(style) else None
    paintings = [] if folder is None else [str(path) for path in images_in(folder)]
    first = options.style_or_first(paintings[0] if paintings else style, network, print_line)
    network = live_network(first, network, device)
    # Raises for an unknown style, before anything is opened.
    mixture_of(first, strength=strength, network=network)
    styles = paintings or [first, *(name for name in known_styles(network) if name != first)]
    if folder is None and (left_out := [name for name in known_styles() if name not in styles]):
        print_line(f"left out, as they have no {network} network: {', '.join(left_out)}")
    from impasto.realtime.live.controls import Controls
    from impasto.realtime.live.session import SessionConfig, run_session

    config = SessionConfig(
        styles=styles,
        paintings=folder,
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
        mask=mask,
        seconds=seconds,
        overwrite=overwrite,
        engine=engine,
        device=device,
        precision=precision,
        network=network,
    )
    controls = Controls(
        strength=strength,
        stroke=stroke,
        keep_color=keep_color,
        steadiness=steadiness or default_steadiness(network, device),
        mirror=mirror,
        recording=record is not None,
    )
    readouts = run_session(config, controls, print_line)
    overall = readouts.overall
    print_line(
        f"{plural(overall.count, 'frame')} at {overall.fps:.1f} fps, {readouts.dropped} dropped, "
        f"95% shown within {overall.delay_ms(0.95):.0f} ms of capture"
    )


def show_cameras() -> None:
    """Print a table of the cameras of this machine."""
    from impasto.realtime.live.cameras import list_cameras

    cameras = list_cameras()
    if not cameras:
        print_line("no camera found; --camera test needs none")
        return
    show_table(("number", "name", "device"), [(str(c.number), c.name, c.device) for c in cameras])
