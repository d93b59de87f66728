"""A live session from what was asked for: source, window and outputs, opened and closed again."""

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import datetime
from fractions import Fraction
from pathlib import Path

from impasto.models.errors import SinkError
from impasto.realtime.frame import Frame
from impasto.realtime.live.cameras import open_live
from impasto.realtime.live.controls import Controls
from impasto.realtime.live.live_source import LiveSource
from impasto.realtime.live.loop import NoWindow, Outputs, Painter, Readouts, Screen, run_live
from impasto.realtime.live.microphone import Microphone
from impasto.realtime.live.rate_control import Pace
from impasto.realtime.live.recorder import Recorder
from impasto.realtime.live.snapshots import Snapshots
from impasto.realtime.live.stream_out import StreamOut
from impasto.realtime.live.virtual_camera import VirtualCamera
from impasto.realtime.pixels import fitted_size
from impasto.realtime.threads import ClosableSink, DroppingSink

Say = Callable[[str], None]


@dataclass(frozen=True)
class Wanted:
    """What a live session is to be; the defaults are those of `impasto live`."""

    styles: Sequence[str]  # to go through; the first one to begin with
    camera: str = "0"
    capture: tuple[int, int] | None = None  # height and width asked of the camera
    size: int | tuple[int, int] | None = None  # to paint at, whatever it costs
    fps: Fraction = Fraction(30)
    loop: bool = False
    window: bool = True
    record: Path | None = None
    audio: bool = False
    virtual_camera: bool = False
    stream: str | None = None
    snapshots: Path = Path()
    seconds: float | None = None
    overwrite: bool = False
    engine: str = "auto"
    device: str = "auto"
    precision: str = "auto"


def preview(wanted: Wanted, controls: Controls, say: Say) -> Readouts:
    """Run it until the user quits, the source ends, or its time is over.

    say: gets a line for each thing a user should know, from whatever thread; the window shows it,
    too. Raises SourceError, SinkError, WeightsError and EngineError.
    """
    with ExitStack() as opened:
        screen = _screen(wanted, opened)
        tell = _teller(say, screen)
        source = opened.enter_context(
            open_live(
                wanted.camera,
                size=wanted.capture,
                frame_rate=wanted.fps,
                loop=wanted.loop,
                say=tell,
            )
        )
        outputs = _outputs(wanted, source, tell, opened)
        paint = Painter(
            wanted.styles,
            controls,
            Pace(float(wanted.fps)),
            size=None if wanted.size is None else fitted_size(*source.size, wanted.size),
            engine=wanted.engine,
            device=wanted.device,
            precision=wanted.precision,
            say=tell,
        )
        return run_live(
            source, screen, paint, fps=float(wanted.fps), outputs=outputs, seconds=wanted.seconds
        )


def _screen(wanted: Wanted, opened: ExitStack) -> Screen:
    if not wanted.window:
        return NoWindow()
    from impasto.realtime.live.window import Window

    return opened.enter_context(Window("Impasto", styles=wanted.styles))


def _teller(say: Say, screen: Screen) -> Say:
    """To the terminal, and into the window where there is one: it may have no terminal."""
    show: Say | None = getattr(screen, "tell", None)

    def tell(line: str) -> None:
        say(line)
        if show is not None:
            show(line)

    return tell


def _outputs(wanted: Wanted, source: LiveSource, tell: Say, opened: ExitStack) -> Outputs:
    """Each is opened here, so that what cannot work is told before anything is shown."""
    rate = wanted.fps

    def in_background(sink: ClosableSink[Frame], name: str) -> DroppingSink[Frame]:
        return opened.enter_context(DroppingSink(sink, name, tell, depth=8, close_seconds=60.0))

    microphone = opened.enter_context(Microphone(say=tell)) if wanted.audio else None
    always = []
    if wanted.stream is not None:
        stream = StreamOut(
            wanted.stream, frame_rate=rate, microphone=microphone, epoch=source.epoch, say=tell
        )
        always.append(in_background(stream, stream.name))
    if wanted.virtual_camera:
        camera = VirtualCamera(size=source.size, frame_rate=rate)
        always.append(in_background(camera, "virtual camera"))
    recorder = Recorder(
        wanted.record or Path(f"impasto-{datetime.now():%Y%m%d-%H%M%S}.mp4"),
        frame_rate=rate,
        microphone=microphone,
        epoch=source.epoch,
        overwrite=wanted.overwrite,
        say=tell,
    )
    if not wanted.snapshots.is_dir():
        raise SinkError(f"there is no folder {wanted.snapshots} for snapshots: make it first")
    return Outputs(
        always,
        recorder=in_background(recorder, "recording"),
        snapshots=in_background(Snapshots(wanted.snapshots, say=tell), "snapshot"),
    )
