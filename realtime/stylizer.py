"""An engine with colour and a memory around it: batches of frames to stylised frames."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future
from dataclasses import replace
from fractions import Fraction
from itertools import chain
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from impasto.realtime.engines.base import Engine, Statistics
from impasto.realtime.engines.cuda import cuda_devices
from impasto.realtime.engines.options import EngineOptions
from impasto.realtime.frame import ColorTags, Frame, on_host, stacked
from impasto.realtime.pixels import rgb_of, with_color_of
from impasto.realtime.temporal.cuts import CutDetector
from impasto.realtime.temporal.modes import Steadiness
from impasto.realtime.threads import side_by_side

if TYPE_CHECKING:
    from impasto.realtime.temporal import blend, hold

# How often the carried statistics are measured, and how far they then move. PSNR in dB against
# every frame's own statistics, on eight real clips (webcam to spinning dancer; in bf16, which alone
# gives 53), mean of all and of the worst clip (`python -m impasto.models.training.check_folding`):
#     every 3, by 0.3: 48.0, 41.7    every 5, by 0.3: 46.3, 39.3    every 10, by 0.3: 44.0, 34.2
#     every 3, by 0.5: 49.6, 44.8    every 5, by 0.5: 47.7, 41.6    never: 39.8, 26.2
# More weight, or a longer wait, shows as a jump at every refresh where the light changes. Every
# fifth frame costs 15 to 25 % of the time at 640x360, 10 % at 1280x720.
REFRESH_EVERY = 5
REFRESH_WEIGHT = 0.3
_DEPTH = 2 * REFRESH_EVERY  # runs under way before the first of them is taken


class Run(NamedTuple):
    """Frames that are computed together."""

    frames: list[Frame]
    refresh: bool = False  # a single frame, at which the statistics are measured
    anew: bool = False  # it begins a scene: what is remembered from before it is worth nothing


Painted = tuple[np.ndarray, Statistics | None]  # (N, H, W, 3), and the statistics it has


class Stylizer:
    """Turns an iterator of batches into an iterator of frames: as many, in order, of their size.

    is_video: norm statistics are a running average over the frames, measured afresh at every scene
    cut, where the engine can do that. If False, each frame is normalized by its own statistics.
    keep_color: paint the luminance only.
    steadiness: "hold" keeps inputs where only noise changed, and outputs where inputs stay alike;
    "flow" blends outputs along the motion, "raft" too, with RAFT for DIS (see temporal.blend); all
    begin anew at a cut.
    ahead: batches may be asked for before the frames of earlier ones have been taken. A CPU then
    paints two frames side by side, half of its cores each: they need less of the cores' time than
    two in turn with all of the cores, and no core waits for one that decodes or encodes meanwhile
    (a conversion on two cores: 89 fps, 71 in turn).

    The memory lasts from call to call, so a clip in pieces gives what the whole clip gives. Use a
    new Stylizer for a new clip. Neither the batch size nor `ahead` changes a pixel by more than one
    level: frames are computed apart, but sums may run in another order.
    """

    paints = True  # what comes out is a painting: details of the frames' colours are lost in it

    def __init__(
        self,
        engine: Engine,
        *,
        keep_color: bool = False,
        is_video: bool = True,
        ahead: bool = True,
        steadiness: Steadiness = "off",
    ) -> None:
        self.engine, self.keep_color, self.steadiness = engine, keep_color, steadiness
        self.carries = is_video and engine.carries
        self._hold: hold.Hold | None = None
        self._blend: blend.StillBlend | blend.FlowBlend | None = None
        if steadiness == "hold":  # OpenCV loads for nothing else here
            from impasto.realtime.temporal.blend import StillBlend
            from impasto.realtime.temporal.hold import Hold

            self._hold, self._blend = Hold(), StillBlend()
        elif steadiness != "off":
            self._blend = _flow_blend(steadiness, engine.device)
        remembers = self.carries or steadiness != "off"
        self._begins_scene = CutDetector() if remembers else None
        # Whether frames may come as planes; they go out as they came. Others are made RGB first.
        self.takes_planes = (
            self.carries and engine.reads_planes and not keep_color and steadiness == "off"
        )
        self.takes_gpu = self.takes_planes and engine.reads_gpu  # planes may come on the GPU
        self._planar: dict[ColorTags, Engine] = {}
        self._stylized = self._in_turn
        if ahead and self.carries and engine.side_by_side:
            self._stylized = self._side_by_side
        self._statistics: Statistics | None = None
        self._shape: tuple[int, ...] = ()
        self._age = 0  # frames that the statistics have served for

    def __call__(self, batches: Iterable[list[Frame]]) -> Iterator[Frame]:
        runs = (run for batch in batches for run in self._runs(batch))
        for run, images in self._stylized(runs):
            if self._blend and run.anew:
                self._blend.reset()
            for frame, stylized in zip(run.frames, images, strict=True):
                if self._blend:
                    stylized = self._blend(frame.image, stylized)
                if self.keep_color:
                    stylized = with_color_of(stylized, frame.image)
                yield replace(frame, image=stylized)

    def _runs(self, batch: list[Frame]) -> Iterator[Run]:
        """The batch in pieces; a frame where a refresh is due is one, whatever the batch size."""
        frames: list[Frame] = []
        begins = False  # `frames` a scene
        for frame in map(self._readable, batch):
            cut = self._begins_scene is not None and self._begins_scene(frame)
            anew = cut or frame.image.shape != self._shape
            refresh = self.carries and (anew or self._age == REFRESH_EVERY)
            if frames and (anew or refresh):
                yield Run(frames, anew=begins)
                frames = []
            begins = anew or (begins and bool(frames))
            self._shape = frame.image.shape
            self._age = 1 if refresh else self._age + 1
            if self._hold and anew:
                self._hold.reset()
            if self._hold:
                frame = replace(frame, image=self._hold(frame.image))
            frames.append(frame)
            if refresh:
                yield Run(frames, refresh, anew)
                frames = []
        if frames:
            yield Run(frames, anew=begins)

    def _readable(self, frame: Frame) -> Frame:
        """The frame itself, or as RGB where planes cannot be read."""
        if not self.takes_gpu or min(frame.size) < self.engine.smallest:
            frame = replace(frame, image=on_host(frame.image))
        if frame.color is None:
            return frame
        if not self.takes_planes or min(frame.size) < self.engine.smallest:
            return replace(frame, image=rgb_of(frame), color=None)
        if frame.color not in self._planar:  # here, where there are all of the cores
            self._planar[frame.color] = self.engine.for_planes(frame.color)
        return frame

    def _in_turn(self, runs: Iterator[Run]) -> Iterator[tuple[Run, np.ndarray]]:
        for run in runs:
            images, self._statistics = self._paint(run, self._statistics)
            yield run, images

    def _side_by_side(self, runs: Iterator[Run]) -> Iterator[tuple[Run, np.ndarray]]:
        """As `_in_turn`, on some threads.

        Statistics come from statistics, so the refreshes are a chain. Each is begun before the
        frames between the last one and itself, which then keep the other threads busy: so none
        waits for what nobody has begun.
        """
        refreshed: Future[Painted] = Future()
        refreshed.set_result((np.empty(0), self._statistics))
        started: deque[tuple[Run, Future[Painted]]] = deque()
        between: list[Run] = []

        engine = self.engine
        with side_by_side(engine.use_half_the_cores, threads=engine.callers) as threads:

            def start(run: Run, refreshed: Future[Painted]) -> Future[Painted]:
                return threads.submit(lambda: self._paint(run, refreshed.result()[1]))

            for run in runs:
                if run.refresh:
                    last, refreshed = refreshed, start(run, refreshed)
                    started.extend((other, start(other, last)) for other in between)
                    started.append((run, refreshed))
                    between.clear()
                else:
                    between.append(run)
                while started and (len(started) > _DEPTH or started[0][1].done()):
                    run, painted = started.popleft()
                    yield run, painted.result()[0]
            started.extend((run, start(run, refreshed)) for run in between)
            for run, painted in started:
                yield run, painted.result()[0]
        self._statistics = refreshed.result()[1]

    def _paint(self, run: Run, statistics: Statistics | None) -> Painted:
        images = stacked([frame.image for frame in run.frames])
        color = run.frames[0].color
        engine = self.engine if color is None else self._planar[color]
        if run.refresh:
            before = None if run.anew else statistics
            return engine.refresh(images, before, REFRESH_WEIGHT)
        if statistics is None:
            return engine(images), None
        return engine.carry(images, statistics), statistics


def _flow_blend(steadiness: Steadiness, device: str) -> "blend.FlowBlend":
    from impasto.realtime.temporal.blend import FlowBlend

    if steadiness == "flow":
        return FlowBlend()
    from impasto.realtime.temporal.raft import Raft

    return FlowBlend(flows=Raft(device=device))


class LazyStylizer:
    """A Stylizer whose engine is opened for the first frame, and kept for further clips.

    So a source that cannot be read, or a target that cannot be written, is reported before anything
    heavy is loaded. One call stylizes one clip, by a `Stylizer` of its own.

    log: called with one line for each automatic choice, with its reason.
    is_video, keep_color, steadiness: see `Stylizer`.
    """

    paints = True  # see `Stylizer`

    def __init__(
        self,
        options: EngineOptions,
        log: Callable[[str], None] = lambda line: None,
        *,
        keep_color: bool = False,
        is_video: bool = True,
        steadiness: Steadiness = "off",
    ) -> None:
        self.options, self.keep_color = options, keep_color
        self.is_video, self.steadiness = is_video, steadiness
        self._log = log
        self._logged: set[str] = set()
        self._engine: Engine | None = None
        self._size: tuple[int, int] | None = None  # that `_engine` was opened for

    @property
    def takes_planes(self) -> bool:
        """Whether frames had better come as planes: see `Stylizer`."""
        return self.is_video and not self.keep_color and self.steadiness == "off"

    @property
    def takes_gpu(self) -> bool:
        """Whether planes had better stay on the GPU that decoded them."""
        able = self.options.engine in ("auto", "torch") and self.options.device != "cpu"
        return self.takes_planes and able and cuda_devices() > 0

    def __call__(self, batches: Iterator[list[Frame]]) -> Iterator[Frame]:
        """Stylize one clip. Raises WeightsError and EngineError."""
        first = next(batches, None)
        if first is None:
            return
        stylizer = Stylizer(
            self._engine_for(first[0].size),
            keep_color=self.keep_color,
            is_video=self.is_video,
            steadiness=self.steadiness,
        )
        yield from stylizer(chain([first], batches))

    def notes(self) -> list[str]:
        """What the engine has to report since the last call, a line each."""
        if self._engine is None:
            return []
        notes = [*self._engine.notes]
        self._engine.notes.clear()  # in place: engines for planes have the same list
        return notes

    def stylize_image(self, image: np.ndarray) -> np.ndarray:
        """Stylize one picture, (H, W, 3) uint8 RGB. Raises WeightsError and EngineError."""
        (stylized,) = self(iter([[Frame(image, 0, Fraction(1))]]))
        return stylized.image

    def _engine_for(self, size: tuple[int, int]) -> Engine:
        """The engine for frames of (height, width); any engine will do for single pictures."""
        if self._engine is None or (self.is_video and self._size != size):
            self._engine = None  # only one at a time in memory
            self._engine, self._size = self._open(size), size
        return self._engine

    def _open(self, size: tuple[int, int]) -> Engine:
        from impasto.models.styles import load_weights
        from impasto.realtime.engines.select import open_engine

        options = self.options
        # To time the engines takes longer than to stylize one picture; so does loading PyTorch.
        at_once = options.engine == options.precision == "auto" and not self.is_video

        engine = open_engine(
            load_weights(options.style, strength=options.strength),
            engine="onnxruntime" if at_once else options.engine,
            device="cpu" if at_once and options.device == "auto" else options.device,
            precision=options.precision,
            size=size,
        )
        reason = "the quickest to load, for single pictures" if at_once else engine.reason
        self._log_once(f"engine: {engine.name} {engine.precision} on {engine.device} ({reason})")
        return engine

    def _log_once(self, line: str) -> None:
        """An engine is opened again for clips of another size, mostly with the same reason."""
        if line not in self._logged:
            self._logged.add(line)
            self._log(line)
