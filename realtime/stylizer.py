"""An engine with colour and a memory around it: batches of frames to stylised frames."""

from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future
from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from impasto.realtime.engines.base import Engine, Statistics
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

    carry: the frames are a video, so norm statistics go from frame to frame (where the engine can);
    they are measured anew at every scene cut. Without it each frame is a picture by itself.
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
        carry: bool = True,
        ahead: bool = True,
        steadiness: Steadiness = "off",
    ) -> None:
        self.engine, self.keep_color, self.steadiness = engine, keep_color, steadiness
        self.carry = carry and engine.carries
        self._hold: hold.Hold | None = None
        self._blend: blend.StillBlend | blend.FlowBlend | None = None
        if steadiness == "hold":  # OpenCV loads for nothing else here
            from impasto.realtime.temporal.blend import StillBlend
            from impasto.realtime.temporal.hold import Hold

            self._hold, self._blend = Hold(), StillBlend()
        elif steadiness != "off":
            self._blend = _flow_blend(steadiness, engine.device)
        remembers = self.carry or steadiness != "off"
        self._begins_scene = CutDetector() if remembers else None
        # Whether frames may come as planes; they go out as they came. Others are made RGB first.
        self.takes_planes = (
            self.carry and engine.reads_planes and not keep_color and steadiness == "off"
        )
        self.takes_gpu = self.takes_planes and engine.reads_gpu  # planes may come on the GPU
        self._planar: dict[ColorTags, Engine] = {}
        self._stylized = self._in_turn
        if ahead and self.carry and engine.side_by_side:
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
            refresh = self.carry and (anew or self._age == REFRESH_EVERY)
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
