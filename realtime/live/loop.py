"""The newest frame, painted and shown: a camera, a network and a window, each at its own pace.

    camera -> newest frame -> painter -> newest painting -> window, and the other outputs

Capturing and painting have a thread each; the main thread shows, since windows live nowhere else.
Between them stands one frame, the newest, and never a queue: so a picture is on the screen after
one frame's capture, painting and drawing, however slow any of them is.
"""

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from time import monotonic, perf_counter
from typing import TYPE_CHECKING, Protocol

import numpy as np

from impasto.realtime.frame import Frame
from impasto.realtime.live.controls import Controls
from impasto.realtime.live.rate_control import Pace, Throttle
from impasto.realtime.live.transition import Transition
from impasto.realtime.meter import Meter
from impasto.realtime.pixels import resized, with_color_of
from impasto.realtime.threads import DroppingSink, Latest

if TYPE_CHECKING:  # PyTorch takes seconds to load: a camera that is not there is told before
    from impasto.models.transform_net import TransformNet
    from impasto.realtime.engines.base import Engine
    from impasto.realtime.stylizer import Stylizer

_LOOK_SECONDS = 0.045  # between two looks at the keys while no frame comes
_SMALLEST = 64  # px, the short side that is still worth painting
_KEPT_SECONDS, _KEPT_FRAMES = 600.0, 36_000  # of figures: a preview may run for days
Size = tuple[int, int]  # height, width


class Source(Protocol):
    """A camera and the like: `realtime.live.cameras.LiveSource`."""

    epoch: float  # time.monotonic() at pts 0

    def __iter__(self) -> Iterator[Frame]: ...


class Screen(Protocol):
    """Where paintings are looked at: `realtime.live.window.Window`. It changes the controls."""

    def show(
        self,
        original: np.ndarray,
        stylized: np.ndarray,
        controls: Controls,
        *,
        style_name: str,
        lines: Sequence[str],
    ) -> None: ...


@dataclass(frozen=True, slots=True)
class Painted:
    """A frame, what became of it, and how."""

    frame: Frame
    image: np.ndarray  # (H, W, 3) uint8 RGB, as large as the frame
    scale: float  # it was painted at so much of its height and width


class Painter:
    """Paints single frames as the controls say, at the scale that holds the pace.

    styles: names, blends or files, as for `models.styles.load_style`. size: the height and width to
    paint at, whatever it costs; None leaves that to `pace`. The engine is opened for the first
    frame, and `say` is told which; "auto" is a `settling_engine`, as styles change at any moment.
    """

    def __init__(
        self,
        styles: Sequence[str],
        controls: Controls,
        pace: Pace,
        *,
        size: Size | None = None,
        engine: str = "auto",
        device: str = "auto",
        precision: str = "auto",
        say: Callable[[str], None] = lambda line: None,
    ) -> None:
        self.styles, self.controls, self.pace = styles, controls, pace
        self._say = say
        self.engine: Engine | None = None
        self._size = size
        self._asked = {"engine": engine, "device": device, "precision": precision}
        self._transition = Transition()
        self._stylizer: Stylizer | None = None

    def __call__(self, frame: Frame) -> Painted:
        full = frame.image.shape[0], frame.image.shape[1]
        size = self._working_size(full)
        stylizer = self._ready_stylizer(size)
        began = perf_counter()
        (painted,) = stylizer([[replace(frame, image=resized(frame.image, size))]])
        image = resized(painted.image, full)
        if self.controls.keep_color:
            image = with_color_of(image, frame.image)
        assert self.engine is not None
        if self.engine.settled:  # else it is slower for a moment only
            self.pace.tell(monotonic(), perf_counter() - began)
        return Painted(frame, image, size[0] / full[0])

    def _working_size(self, full: Size) -> Size:
        """The pace's scale, over the size of the strokes: these are as large as a network paints
        them, so on a smaller picture they are larger."""
        height, width = self._size or (round(side * self.pace.scale) for side in full)
        scale = max(1 / self.controls.stroke, _SMALLEST / min(height, width))
        return round(height * scale), round(width * scale)

    def _ready_stylizer(self, size: Size) -> "Stylizer":
        """With the network of the moment: another one knows nothing of the frames before."""
        from impasto.realtime.stylizer import Stylizer

        controls, now = self.controls, monotonic()
        self._transition.aim(self.styles[controls.style], controls.strength, now)
        network = self._transition.network(now)
        if self.engine is None:
            assert network is not None  # the first aim is reached at once
            self.engine = engine = _opened(network, size=size, **self._asked)
            self._say(f"engine: {engine.name} {engine.precision} on {engine.device}")
        elif network is not None:
            self.engine.replace(network)
        if (
            self._stylizer is None
            or network is not None
            or self._stylizer.steadiness != controls.steadiness
        ):
            self._stylizer = Stylizer(self.engine, ahead=False, steadiness=controls.steadiness)
        return self._stylizer


def _opened(
    network: "TransformNet", *, engine: str, device: str, precision: str, size: Size
) -> "Engine":
    from impasto.realtime.engines.hybrid_engine import open_hybrid_engine
    from impasto.realtime.engines.select import open_engine

    if engine == "auto":
        return open_hybrid_engine(network, device=device, precision=precision, size=size)
    return open_engine(network, engine=engine, device=device, precision=precision, size=size)


def paint_newest(frames: Iterable[Frame], paint: Painter, fps: float) -> Iterator[Painted]:
    """Each frame painted; but none while the picture is frozen, and no more than `fps`."""
    throttle = Throttle(fps)
    for frame in frames:
        if not paint.controls.frozen and throttle.passes(float(frame.pts * frame.time_base)):
            yield paint(frame)


@dataclass
class Readouts:
    """What came of it: in the last two seconds, and in the last ten minutes."""

    recent: Meter = field(default_factory=Meter)
    whole: Meter = field(default_factory=lambda: Meter(_KEPT_SECONDS))
    scales: deque[float] = field(default_factory=lambda: deque(maxlen=_KEPT_FRAMES))
    dropped: int = 0  # captured or painted, and stale before its turn came

    def tick(self, painted: Painted, epoch: float) -> None:
        """This one has just come to the screen."""
        now = monotonic()
        delay = now - epoch - float(painted.frame.pts * painted.frame.time_base)
        self.recent.tick(now, delay)
        self.whole.tick(now, delay)
        self.scales.append(painted.scale)

    def lines(self, painted: Painted) -> list[str]:
        """For the corner of the window."""
        height, width = painted.image.shape[:2]
        recent = self.recent
        return [
            f"{recent.fps:.0f} fps, {self.dropped} dropped",
            f"{recent.delay_ms(0.5):.0f} ms late, 95% within {recent.delay_ms(0.95):.0f} ms",
            f"{width}x{height}, painted at {painted.scale:.0%}",
            "h: keys",
        ]


class Outputs:
    """Where paintings go beside the window, as the controls say. None of these may block.

    always: a stream, a virtual camera. recorder: while the controls say so. snapshots: one, where
    one is asked for.
    """

    def __init__(
        self,
        always: Sequence[DroppingSink] = (),
        recorder: DroppingSink | None = None,
        snapshots: DroppingSink | None = None,
    ) -> None:
        self._always, self._recorder, self._snapshots = always, recorder, snapshots
        self._recording = False

    def send(self, painted: Painted, controls: Controls) -> None:
        """A painting that has just been shown."""
        frame = replace(painted.frame, image=painted.image)
        for output in self._always:
            output.write(frame)
        if self._recorder is not None:
            if controls.recording:
                self._recorder.write(frame)
            elif self._recording:
                self._recorder.pause()
        self._recording = controls.recording

    def take_snapshot(self, painted: Painted, controls: Controls) -> None:
        """Where one is asked for; of a frozen picture, too."""
        if controls.snapshot and self._snapshots is not None:
            self._snapshots.write(replace(painted.frame, image=painted.image))
        controls.snapshot = False


def run_live(
    source: Source,
    screen: Screen,
    paint: Painter,
    *,
    fps: float,
    outputs: Outputs | None = None,
    seconds: float | None = None,
) -> Readouts:
    """Show what `source` captures, painted, until the controls say quit, or it ends.

    fps: how many frames a second are wanted; more are not painted. seconds: of showing, then stop.
    Raises what the source and the painter raise.
    """
    controls, readouts, outputs = paint.controls, Readouts(), outputs or Outputs()
    ends_at = float("inf")
    shown: Painted | None = None
    waited_for = 0
    with (
        Latest(source) as captured,
        Latest(paint_newest(captured, paint, fps)) as painted,
        closing(captured),  # first of all, as the painting thread waits for it, frozen for ever
    ):
        while not controls.quit and monotonic() < ends_at:
            newest = painted.get(timeout_seconds=_LOOK_SECONDS)
            if newest is None and painted.ended:
                break
            if shown is None and newest is not None:
                # What came while the network was being loaded was never to be shown.
                waited_for = captured.dropped
                ends_at = ends_at if seconds is None else monotonic() + seconds
            shown = newest or shown
            if shown is None:
                continue
            readouts.dropped = captured.dropped - waited_for + painted.dropped
            screen.show(
                shown.frame.image,
                shown.image,
                controls,
                style_name=paint.styles[controls.style],
                lines=readouts.lines(shown) if controls.readouts else (),
            )
            outputs.take_snapshot(shown, controls)
            if newest is not None:
                readouts.tick(newest, source.epoch)
                outputs.send(newest, controls)
    return readouts


class NoWindow:
    """For servers and benchmarks: nobody looks."""

    def show(self, original: np.ndarray, stylized: np.ndarray, *_: object, **__: object) -> None:
        """Nothing to do."""
