"""A live session: opens the source, the window and the outputs, runs the live loop, closes all."""

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import datetime
from fractions import Fraction
from pathlib import Path

from impasto.models.errors import SinkError
from impasto.realtime.frame import Frame
from impasto.realtime.live.cameras import DEFAULT_SIZE, open_live
from impasto.realtime.live.controls import Controls
from impasto.realtime.live.live_source import LiveSource
from impasto.realtime.live.loop import (
    LiveStylizer,
    NoWindow,
    Outputs,
    Readouts,
    Screen,
    run_live,
)
from impasto.realtime.live.microphone import Microphone
from impasto.realtime.live.rate_control import AdaptiveScale
from impasto.realtime.live.recorder import Recorder
from impasto.realtime.live.snapshots import Snapshots
from impasto.realtime.live.stream_out import StreamOut
from impasto.realtime.live.style_folder import StyleFolder
from impasto.realtime.live.virtual_camera import VirtualCamera
from impasto.realtime.pixels import fitted_size
from impasto.realtime.threads import ClosableSink, DroppingSink

Log = Callable[[str], None]


@dataclass(frozen=True)
class SessionConfig:
    """Settings of a live session that do not change while it runs."""

    styles: Sequence[str]  # to step through, from the first
    paintings: Path | None = None  # a folder: its new pictures become further styles
    camera: str = "0"
    capture: tuple[int, int] | None = None  # height and width requested from the camera
    size: int | tuple[int, int] | None = None  # to stylize at, whatever it costs
    fps: Fraction = Fraction(30)
    loop: bool = False
    window: bool = True
    record: Path | None = None
    audio: bool = False
    virtual_camera: bool = False
    stream: str | None = None
    snapshots: Path = Path()
    seconds: float | None = None
    mask: Path | None = None
    overwrite: bool = False
    engine: str = "auto"
    device: str = "auto"
    precision: str = "auto"
    network: str = "auto"


def run_session(config: SessionConfig, controls: Controls, log: Log) -> Readouts:
    """Run a live session until the user quits, the source ends, or its time is over.

    log: gets a line for each thing a user should know, from any thread; the window shows it too.
    Raises SourceError, SinkError, WeightsError and EngineError.
    """
    with ExitStack() as opened:
        styles = list(config.styles)
        screen, log = _open_screen(config, styles, log, opened)
        stylize = LiveStylizer(
            styles,
            controls,
            AdaptiveScale(float(config.fps)),
            engine=config.engine,
            device=config.device,
            precision=config.precision,
            network=config.network,
            log=log,
        )
        expected = config.capture or DEFAULT_SIZE
        stylize.size = None if config.size is None else fitted_size(*expected, config.size)
        stylize.open_ahead(expected)
        source = opened.enter_context(
            open_live(
                config.camera,
                size=config.capture,
                frame_rate=config.fps,
                loop=config.loop,
                log=log,
            )
        )
        if config.size is not None:
            stylize.size = fitted_size(*source.size, config.size)
        if config.mask is not None:
            from impasto.realtime.files.masks import open_mask  # OpenCV loads for nothing else here

            stylize.mask = opened.enter_context(open_mask(config.mask, rate=config.fps, loop=True))
        outputs = _open_outputs(config, source, log, opened)
        return run_live(
            source, screen, stylize, fps=float(config.fps), outputs=outputs, seconds=config.seconds
        )


def _open_screen(
    config: SessionConfig, styles: list[str], log: Log, opened: ExitStack
) -> tuple[Screen, Log]:
    """The screen, and a log that shows its lines there too: there may be no terminal to see.

    styles: gets more while the session runs, where they are those of a folder.
    """
    screen, log = _open_window(styles, log, opened) if config.window else (NoWindow(), log)
    if config.paintings is not None:
        screen = StyleFolder(screen, config.paintings, styles)
    return screen, log


def _open_window(styles: Sequence[str], log: Log, opened: ExitStack) -> tuple[Screen, Log]:
    from impasto.realtime.live.window import PreviewWindow

    window = opened.enter_context(PreviewWindow("Impasto", styles=styles))

    def log_and_show(line: str) -> None:
        log(line)
        window.show_message(line)

    return window, log_and_show


def _open_outputs(
    config: SessionConfig, source: LiveSource, log: Log, opened: ExitStack
) -> Outputs:
    """Open every output at once, so that what cannot work is reported before the first frame."""
    rate = config.fps

    def in_background(sink: ClosableSink[Frame], name: str) -> DroppingSink[Frame]:
        return opened.enter_context(DroppingSink(sink, name, log, depth=8, close_seconds=60.0))

    microphone = opened.enter_context(Microphone(log=log)) if config.audio else None
    always = []
    if config.stream is not None:
        stream = StreamOut(
            config.stream, frame_rate=rate, microphone=microphone, epoch=source.epoch, log=log
        )
        always.append(in_background(stream, stream.name))
    if config.virtual_camera:
        camera = VirtualCamera(size=source.size, frame_rate=rate)
        always.append(in_background(camera, "virtual camera"))
    recorder = Recorder(
        config.record or Path(f"impasto-{datetime.now():%Y%m%d-%H%M%S}.mp4"),
        frame_rate=rate,
        microphone=microphone,
        epoch=source.epoch,
        overwrite=config.overwrite,
        log=log,
    )
    if not config.snapshots.is_dir():
        raise SinkError(f"there is no folder {config.snapshots} for snapshots: create it first")
    return Outputs(
        always,
        recorder=in_background(recorder, "recording"),
        snapshots=in_background(Snapshots(config.snapshots, log=log), "snapshot"),
    )
