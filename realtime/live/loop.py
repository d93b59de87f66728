"""The live loop: camera, stylizer and window, each at its own rate, joined by the newest frame.

    camera -> newest frame -> stylizer -> newest stylized frame -> window and the other outputs

Capturing and stylizing have a thread each; the main thread shows, since GUI toolkits allow windows
there only. Between two stages stands a single frame, the newest, and never a queue: the delay is
that of one capture, one stylization and one drawing, however slow any of them is. Only where paint
is moved from frame to frame may two wait for it.
"""

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass, field, replace
from fractions import Fraction
from statistics import median
from time import monotonic, perf_counter, sleep
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from impasto.models.errors import SourceError, WeightsError
from impasto.realtime.engines.cuda import cuda_devices
from impasto.realtime.engines.options import live_network
from impasto.realtime.frame import Frame
from impasto.realtime.live import step_cache
from impasto.realtime.live.controls import Controls
from impasto.realtime.live.predictions import Predictions
from impasto.realtime.live.rate_control import AdaptiveScale, Step, Throttle
from impasto.realtime.live.transition import Transition
from impasto.realtime.mask import MaskAt, masked
from impasto.realtime.meter import Meter
from impasto.realtime.painting_styles import shown_name
from impasto.realtime.pixels import quickly_resized, with_color_of
from impasto.realtime.stroke import at_size_of
from impasto.realtime.threads import DroppingSink, Latest

if TYPE_CHECKING:  # engines take a while to load: a missing camera is reported before that
    from impasto.models.styles import StyleWeights
    from impasto.realtime.engines.base import Engine
    from impasto.realtime.live.moved_paint import MovedPaint
    from impasto.realtime.stylizer import Stylizer

_POLL_SECONDS = 0.045  # between two looks at the keyboard while no frame comes
_STILL_SECONDS = 0.5  # a first frame of this age has waited for the network
_TURNING_SCALE = 0.5  # while a style turns, by an engine that takes three times as long
_SMALLEST = 64  # px, the smallest short side to stylize at
_KEPT_SECONDS, _KEPT_FRAMES = 600.0, 36_000  # of statistics: a session may run for days
Size = tuple[int, int]  # height, width


class FrameSource(Protocol):
    """Live frames, such as `realtime.live.live_source.LiveSource`."""

    epoch: float  # time.monotonic() at pts 0

    def __iter__(self) -> Iterator[Frame]: ...


class Screen(Protocol):
    """Shows stylized frames and reads the user's input, such as `PreviewWindow`."""

    def show(
        self,
        original: np.ndarray,
        stylized: np.ndarray,
        controls: Controls,
        *,
        style_name: str,
        lines: Sequence[str],
    ) -> None: ...

    def read_input(self, controls: Controls) -> Controls:
        """The controls, changed by what the user did since the last call."""
        ...


@dataclass(frozen=True, slots=True)
class StylizedFrame:
    """A frame and its stylized image."""

    frame: Frame
    image: np.ndarray  # (H, W, 3) uint8 RGB, of the frame's size
    scale: float  # it was stylized at this share of the frame's height
    moved: bool = False  # the paint is that of the last frame, moved along the optical flow


class LiveStylizer:
    """Stylizes single frames by the present controls, at a scale that holds the frame rate.

    controls: may be replaced at any time; each frame reads them once.
    styles: see `painting_styles.with_predicted_styles`; more may come. network: the architecture of
    all of them, as only networks of one can turn into each other; "auto" goes by the first style
    and the device. A style without it is reported when its turn comes, and the last one stays.
    size: the height and width to stylize at, whatever it costs; None: `scale` chooses it, and may
    have one or two frames after each show its paint, moved to where the picture is now. mask:
    where frames are stylized, by the time since the first one. The engine is opened for the first
    frame, and `log` gets a line about it; "auto" is a hybrid engine, as styles may change.
    Raises WeightsError where the first style cannot be had.
    """

    def __init__(
        self,
        styles: Sequence[str],
        controls: Controls,
        scale: AdaptiveScale,
        *,
        size: Size | None = None,
        engine: str = "auto",
        device: str = "auto",
        precision: str = "auto",
        network: str = "auto",
        transition_seconds: float = 1.0,
        mask: MaskAt | None = None,
        log: Callable[[str], None] = lambda line: None,
    ) -> None:
        self.styles, self.controls, self.scale = styles, controls, scale
        self.engine: Engine | None = None
        self._log = log
        self.size = size
        self._options: dict[str, Any] = {"engine": engine, "device": device, "precision": precision}
        self._predictions = Predictions(log)
        first = self._predictions(styles[0], wait=True)
        assert first is not None
        self.network = live_network(first, network, device)
        self._transition = Transition(seconds=transition_seconds, network=self.network)
        self._reported = ""  # the line about the engine
        self._refused: tuple[str, float] | None = None  # style and strength that cannot be had
        self._stylizer: Stylizer | None = None
        self._opening: Future[Engine] | None = None
        self._full: Size | None = None  # the size of the frames
        self._known_step: Step | None = None  # that held the rate before, for such frames
        self._painted: Size | None = None  # the size last stylized at
        self._moved_paint: MovedPaint | None = None
        self._moved_in_a_row = 0  # frames since the last that was painted
        self.mask = mask
        self._began: Fraction | None = None  # time of the first frame, in seconds

    def open_ahead(self, full: Size) -> None:
        """Open the engine in a thread, while a camera opens that may give frames of this size.

        On a GPU, and where an engine is asked for, it is opened with the first frame instead.
        Raises WeightsError.
        """
        device = self._options["device"]
        if self._options["engine"] != "auto" or (device != "cpu" and cuda_devices()):
            return
        self._begin_at_known_step(full)
        size = self._working_size(full, self.controls)
        weights = self._aimed_weights(self.controls)
        assert weights is not None  # the first aim is reached at once
        executor = ThreadPoolExecutor(1, "open")
        self._opening = executor.submit(lambda: _open_engine(weights, size=size, **self._options))
        for first_frame in (True, False):
            executor.submit(
                lambda opening, first: opening.result().warm_up(*size, first_frame=first),
                self._opening,
                first_frame,
            )
        executor.shutdown(wait=False)

    def __call__(self, frame: Frame) -> StylizedFrame:
        controls = self.controls
        full = frame.image.shape[0], frame.image.shape[1]
        self._begin_at_known_step(full)
        wanted = self._working_size(full, controls)
        stylizer = self._prepared_stylizer(wanted, frame, controls)
        assert self.engine is not None
        if self._painted is None or self.engine.prepare(*wanted):
            self._painted = wanted
        size = self._painted
        if self.engine.turning:
            size = self._working_size(full, controls, most=_TURNING_SCALE)
        began = perf_counter()
        small = replace(frame, image=quickly_resized(frame.image, size))
        scaling_seconds = perf_counter() - began
        paint = self._moved(small)
        moved = paint is not None
        network_seconds = 0.0
        if paint is None:
            network_began = perf_counter()
            (stylized,) = stylizer([[small]])
            network_seconds, paint = perf_counter() - network_began, stylized.image
            if self._moved_paint:
                self._moved_paint.keep(small, paint)
        self._moved_in_a_row = self._moved_in_a_row + 1 if moved else 0
        enlarging_began = perf_counter()
        image = at_size_of(paint, frame.image, small=small.image)
        scaling_seconds += perf_counter() - enlarging_began
        if controls.keep_color:
            image = with_color_of(image, frame.image)
        if self.mask is not None:
            image = masked(frame.image, image, self.mask(self._seconds(frame), full))
        seconds = perf_counter() - began
        if moved:
            self.scale.update_moved(seconds, scaling=scaling_seconds)
        elif self.engine.settled and size == wanted:  # else it is slower for a moment only
            constant = seconds - network_seconds - scaling_seconds
            self.scale.update(monotonic(), seconds, constant=constant, scaling=scaling_seconds)
            self._remember_step()
        return StylizedFrame(frame, image, size[0] / full[0], moved)

    def _begin_at_known_step(self, full: Size) -> None:
        """Begin with the step that held the rate the last time, for frames of this size."""
        if self.size is None and full != self._full:
            self._full = full
            self._known_step = step_cache.load(*self._case())
            if self._known_step is not None:
                self.scale.begin_at(self._known_step)

    def _remember_step(self) -> None:
        if self.size is None and self.scale.held and self.scale.step != self._known_step:
            self._known_step = self.scale.step
            step_cache.store(*self._case(), step=self._known_step)

    def _case(self) -> list[str]:
        """What the step that holds the rate depends on."""
        given = self._full, self.scale.fps, self.controls.stroke, self.network, self._options
        return [str(part) for part in given]

    @property
    def moves_paint(self) -> bool:
        """Whether some frames show paint that was moved to them."""
        return self.size is None and self.scale.step.every > 1

    def _moved(self, frame: Frame) -> np.ndarray | None:
        """The last paint, moved to a frame that is not to be painted; None: it is to be."""
        if not self.moves_paint or self._moved_in_a_row + 1 >= self.scale.step.every:
            return None
        if self._moved_paint is None:
            from impasto.realtime.live.moved_paint import MovedPaint

            self._moved_paint = MovedPaint()
        return self._moved_paint(frame)

    def _seconds(self, frame: Frame) -> Fraction:
        """The time since the first frame."""
        time = frame.pts * frame.time_base
        self._began = time if self._began is None else self._began
        return time - self._began

    def _working_size(self, full: Size, controls: Controls, most: float = 1.0) -> Size:
        """The size to stylize at, in inverse proportion to the stroke size.

        most: the largest share of the height and width.

        A network paints strokes of a fixed size in pixels: they look larger on a smaller image.
        """
        height, width = self.size or (round(side * min(self.scale.value, most)) for side in full)
        scale = max(1 / controls.stroke, _SMALLEST / min(height, width))
        return round(height * scale), round(width * scale)

    def _prepared_stylizer(self, size: Size, frame: Frame, controls: Controls) -> "Stylizer":
        """The stylizer of the present network and steadiness; a new one forgets the last frames."""
        from impasto.realtime.stylizer import Stylizer

        if self.engine is None and self._opening is not None:
            self.engine = self._opening.result()
        weights = self._aimed_weights(controls)
        if self.engine is None:
            assert weights is not None  # the first aim is reached at once
            self.engine = _open_engine(weights, size=size, frames=[frame.image], **self._options)
        elif weights is not None:
            self.engine.replace(weights)
        self._report_engine(self.engine)
        if (
            self._stylizer is None
            or weights is not None
            or self._stylizer.steadiness != controls.steadiness
        ):
            self._stylizer = Stylizer(self.engine, ahead=False, steadiness=controls.steadiness)
        return self._stylizer

    def _aimed_weights(self, controls: Controls) -> "StyleWeights | None":
        """The weights to stylize with from now on; None: the same as before."""
        now = monotonic()
        self._aim(self.styles[controls.style], controls.strength, now)
        return self._transition.weights(now)

    def _report_engine(self, engine: "Engine") -> None:
        """Log the engine, again when it goes on in another precision, and its notes."""
        line = (
            f"engine: {engine.name} {engine.precision} on {engine.device}, {self.network} network"
        )
        if line != self._reported:
            self._reported = line
            self._log(line)
        while engine.notes:
            self._log(engine.notes.pop(0))

    def _aim(self, style: str, strength: float, now: float) -> None:
        """Begin a transition. What cannot be had is reported, and ends no session that runs."""
        if (style, strength) == self._refused:
            return
        self._refused = None
        try:
            predicted = self._predictions(style, wait=self.engine is None)
            if predicted is not None:  # else the last style goes on meanwhile
                self._transition.aim(predicted, strength, now)
        except (SourceError, WeightsError) as error:
            if self.engine is None:
                raise
            self._refused = style, strength
            self._log(str(error))


def _open_engine(
    weights: "StyleWeights",
    *,
    engine: str,
    device: str,
    precision: str,
    size: Size,
    frames: Sequence[np.ndarray] = (),
) -> "Engine":
    from impasto.realtime.engines.hybrid_engine import open_hybrid_engine
    from impasto.realtime.engines.select import open_engine

    options: Any = {"device": device, "precision": precision, "size": size}
    if engine == "auto":
        return open_hybrid_engine(weights, **options)
    return open_engine(weights, engine=engine, frames=frames, **options)


def stylize_newest(
    frames: Iterable[Frame], stylize: LiveStylizer, fps: float
) -> Iterator[StylizedFrame]:
    """Stylize every frame, but none while the picture is frozen, and no more than `fps`."""
    throttle = Throttle(fps)
    for frame in frames:
        if not stylize.controls.frozen and throttle.passes(float(frame.pts * frame.time_base)):
            yield stylize(frame)


@dataclass
class Readouts:
    """Statistics of the frames shown: of the last two seconds and of the last ten minutes."""

    recent: Meter = field(default_factory=Meter)
    overall: Meter = field(default_factory=lambda: Meter(_KEPT_SECONDS))
    scales: deque[float] = field(default_factory=lambda: deque(maxlen=_KEPT_FRAMES))
    moved: int = 0  # shown with the paint of the frame before
    dropped: int = 0  # replaced by a newer frame before their turn came

    def tick(self, stylized: StylizedFrame, epoch: float) -> float:
        """Count a frame that has just been shown; its age in seconds. epoch: of pts 0."""
        now, delay = monotonic(), _age(stylized, epoch)
        self.recent.tick(now, delay)
        self.overall.tick(now, delay)
        self.scales.append(stylized.scale)
        self.moved += stylized.moved
        return delay

    def lines(self, stylized: StylizedFrame) -> list[str]:
        """Text for the corner of the window."""
        height, width = stylized.image.shape[:2]
        recent = self.recent
        return [
            f"{recent.fps:.0f} fps, {self.dropped} dropped",
            f"{recent.delay_ms(0.5):.0f} ms late, 95% within {recent.delay_ms(0.95):.0f} ms",
            f"{width}x{height}, stylized at {stylized.scale:.0%}",
            "h: keys",
        ]


def _age(stylized: StylizedFrame, epoch: float) -> float:
    """Seconds since the capture of a frame. epoch: of pts 0."""
    return monotonic() - epoch - float(stylized.frame.pts * stylized.frame.time_base)


class Outputs:
    """The outputs beside the window; none of them blocks.

    always: get every frame (a stream, a virtual camera). recorder: gets frames while
    `controls.recording`, and is paused after that. snapshots: gets single frames.
    """

    def __init__(
        self,
        always: Sequence[DroppingSink[Frame]] = (),
        recorder: DroppingSink[Frame] | None = None,
        snapshots: DroppingSink[Frame] | None = None,
    ) -> None:
        self._always, self._recorder, self._snapshots = always, recorder, snapshots
        self._recording = False

    def write(self, stylized: StylizedFrame, controls: Controls) -> None:
        """Send a frame that has just been shown."""
        frame = replace(stylized.frame, image=stylized.image)
        for output in self._always:
            output.write(frame)
        if self._recorder is not None:
            if controls.recording:
                self._recorder.write(frame)
            elif self._recording:
                self._recorder.pause()
        self._recording = controls.recording

    def take_snapshot(self, stylized: StylizedFrame) -> None:
        """Save a frame as a picture."""
        if self._snapshots is not None:
            self._snapshots.write(replace(stylized.frame, image=stylized.image))


def run_live(
    source: FrameSource,
    screen: Screen,
    stylize: LiveStylizer,
    *,
    fps: float,
    outputs: Outputs | None = None,
    seconds: float | None = None,
) -> Readouts:
    """Show the stylized frames of `source` until it ends, the user quits or the time is over.

    fps: the frame rate wanted; no more frames are stylized. seconds: to run, from the first frame
    shown to the second at least: after the first the network is compiled for those that follow, and
    there is no rate before two. Raises the errors of the source and of the stylizer.
    """
    readouts, outputs = Readouts(), outputs or Outputs()
    ends_at = float("inf")
    delays = deque([0.0], maxlen=5)  # seconds, of frames that were painted
    shown: StylizedFrame | None = None
    waited: StylizedFrame | None = None  # while the network was loaded
    dropped_at_start = 0
    with (
        Latest(source) as captured,
        Latest(stylize_newest(captured, stylize, fps)) as stylized,
        # Close the camera first: while the picture is frozen, the stylizing thread blocks on it
        # and could not be joined.
        closing(captured),
    ):
        while not stylize.controls.quit and (monotonic() < ends_at or readouts.overall.count < 2):
            newest = stylized.get(timeout_seconds=_POLL_SECONDS)
            if newest is None and stylized.ended:
                break
            # To paint a frame may take the time of two. Where paint is moved to both, these can
            # wait, and are caught up with.
            captured.depth = 2 if stylize.moves_paint else 1
            if newest is not None and newest.moved:
                # It is ready sooner than one that is painted, and shown as long after its capture.
                sleep(min(1 / fps, max(0.0, median(delays) - _age(newest, source.epoch))))
            if shown is None and newest is not None:
                # Frames that came while the network was loading do not count as dropped.
                dropped_at_start = captured.dropped
                ends_at = ends_at if seconds is None else monotonic() + seconds
            shown = newest or shown
            if shown is None:
                continue
            readouts.dropped = captured.dropped - dropped_at_start + stylized.dropped
            stylize.controls = controls = _show(shown, screen, stylize, readouts)
            if controls.snapshot:
                outputs.take_snapshot(shown)
                stylize.controls = replace(controls, snapshot=False)
            if newest is not None:
                age = readouts.tick(newest, source.epoch)
                if not newest.moved:
                    delays.append(age)
                if readouts.overall.count == 1 and age > _STILL_SECONDS:
                    waited = newest  # recorded, it would be a still
                else:
                    outputs.write(newest, controls)
                    waited = None
        if waited is not None:
            outputs.write(waited, stylize.controls)  # it is the only one
    return readouts


def _show(
    stylized: StylizedFrame, screen: Screen, stylize: LiveStylizer, readouts: Readouts
) -> Controls:
    """Show a frame; the controls after the user's input."""
    controls = stylize.controls
    screen.show(
        stylized.frame.image,
        stylized.image,
        controls,
        style_name=shown_name(stylize.styles[controls.style]),
        lines=readouts.lines(stylized) if controls.readouts else (),
    )
    return screen.read_input(controls)


class NoWindow:
    """A screen that shows nothing, for servers and benchmarks."""

    def show(self, original: np.ndarray, stylized: np.ndarray, *_: object, **__: object) -> None:
        """Show nothing."""

    def read_input(self, controls: Controls) -> Controls:
        """There is no user: the same controls."""
        return controls
