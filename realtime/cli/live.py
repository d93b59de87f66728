"""`impasto live`: a camera, a stream or a file in a window."""

from pathlib import Path
from typing import Annotated, Any

import typer

from impasto.models.errors import WeightsError
from impasto.realtime.cli import arguments, options
from impasto.realtime.cli.app import command
from impasto.realtime.cli.terminal import counted, say, show_table


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
    audio: Annotated[
        bool, typer.Option("--audio", help="Record, and stream, the microphone, too.")
    ] = False,
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
        import impasto.realtime.live.window  # noqa: F401  # before anything loads PyAV: see there

    from impasto.models.styles import known_styles, mixture_of

    styles = list(known_styles())
    if style is not None:
        mixture_of(style)  # an unknown style is told before anything is opened
        styles = [style, *(name for name in styles if name != style)]
    if not styles:
        raise WeightsError("no style is installed: install impasto again, or give --style FILE")
    from impasto.realtime.live.controls import Controls
    from impasto.realtime.live.session import SessionConfig, run_session

    config = SessionConfig(
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
    readouts = run_session(config, controls, say)
    overall = readouts.overall
    say(
        f"{counted(overall.count, 'frame')} at {overall.fps:.1f} fps, {readouts.dropped} dropped, "
        f"95% shown within {overall.delay_ms(0.95):.0f} ms of capture"
    )


def show_cameras() -> None:
    """The cameras of this machine, a row each."""
    from impasto.realtime.live.cameras import list_cameras

    cameras = list_cameras()
    if not cameras:
        say("no camera is to be found here; --camera test needs none")
        return
    show_table(("number", "name", "device"), [(str(c.number), c.name, c.device) for c in cameras])
