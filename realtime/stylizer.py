"""Stylizes a stream of frames: an engine, running statistics, scene cuts, color, and flicker."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future
from dataclasses import replace
from fractions import Fraction
from itertools import chain
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from impasto.models.fast.norm_statistics import NormStatistics
from impasto.realtime.engines.base import Engine
from impasto.realtime.engines.cuda import cuda_devices
from impasto.realtime.engines.options import EngineOptions
from impasto.realtime.frame import ColorTags, Frame, on_host, stacked
from impasto.realtime.pipeline import StylizerFormats
from impasto.realtime.pixels import with_color_of
from impasto.realtime.temporal.cuts import CutDetector
from impasto.realtime.temporal.modes import Steadiness
from impasto.realtime.threads import side_by_side

if TYPE_CHECKING:
    from impasto.realtime.temporal import hold
    from impasto.realtime.temporal.auto import AutoBlend
    from impasto.realtime.temporal.blend import FlowBlend, StillBlend

    Blend = StillBlend | FlowBlend | AutoBlend

# Running statistics are updated at every UPDATE_INTERVAL-th frame, by MOMENTUM. PSNR in dB against
# every frame's own statistics, on eight real clips (webcam to spinning dancer; in bf16, which alone
# gives 53), mean of all and of the worst clip (`python -m impasto.models.training.check_folding`):
#     every 3, by 0.3: 48.0, 41.7    every 5, by 0.3: 46.3, 39.3    every 10, by 0.3: 44.0, 34.2
#     every 3, by 0.5: 49.6, 44.8    every 5, by 0.5: 47.7, 41.6    never: 39.8, 26.2
# More momentum, or a longer interval, shows as a jump at every update where the light changes.
# Every fifth frame costs 15 to 25 % of the time at 640x360, 10 % at 1280x720.
UPDATE_INTERVAL = 5
MOMENTUM = 0.3
_DEPTH = UPDATE_INTERVAL + 1  # groups started before the result of the first is taken


class _Group(NamedTuple):
    """Frames that are stylized by one call of the engine."""

    frames: list[Frame]
    updates: bool = False  # a single frame, at which the running statistics are updated
    starts_scene: bool = False  # nothing remembered from before it is of use


_Result = tuple[np.ndarray, NormStatistics | None]  # (N, H, W, 3), and the statistics after it


class Stylizer:
    """Turns an iterator of batches into an iterator of frames: as many, in order, of their size.

    is_video: norm statistics are a running average over the frames, measured afresh at every scene
    cut, where the engine can do that. If False, each frame is normalized by its own statistics.
    keep_color: only the luminance is stylized; the chroma is that of the frame.
    steadiness: "hold" keeps inputs where only noise changed, and outputs where inputs stay alike;
    "flow" blends outputs along the motion, "raft" too, with RAFT for DIS (see temporal.blend);
    "auto" is "hold", and "flow" while the camera moves; all start over at a cut.
    ahead: batches may be taken from the iterator before the frames of earlier ones are consumed. A
    CPU then stylizes two frames in parallel, half of its cores each: they need less of the cores'
    time than two in turn with all of the cores, and no core waits for one that decodes or encodes
    meanwhile (a conversion on two cores: 89 fps, 71 in turn).

    The state lasts from call to call, so a clip in pieces gives what the clip as one gives. Use a
    new Stylizer for a new clip. Neither the batch size nor `ahead` changes a pixel by more than one
    level: frames are computed apart, but sums may run in another order.
    """

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
        self.has_running_statistics = is_video and engine.has_running_statistics
        self._hold: hold.PixelHold | None = None
        self._blend: Blend | None = None
        if steadiness in ("auto", "hold"):  # OpenCV loads for nothing else here
            from impasto.realtime.temporal.hold import PixelHold

            self._hold = PixelHold()
        if steadiness != "off":
            self._blend = _blend(steadiness, engine.device)
        has_state = self.has_running_statistics or steadiness != "off"
        self._starts_scene = CutDetector() if has_state else None
        gives_yuv420 = self.has_running_statistics and not keep_color and steadiness == "off"
        self.formats = StylizerFormats(
            output=engine.output_formats if gives_yuv420 else frozenset({"rgb24"}),
            input_devices=engine.input_devices if gives_yuv420 else frozenset({"cpu"}),
            lossy_chroma_ok=True,
            keeps_chroma=keep_color,
        )
        self._yuv420_engine: Engine | None = None
        self._run = self._run_in_turn
        if ahead and self.has_running_statistics and engine.concurrency > 1:
            self._run = self._run_in_parallel
        self._statistics: NormStatistics | None = None
        self._shape: tuple[int, ...] = ()
        self._age = 0  # frames stylized with the current statistics

    def __call__(
        self, batches: Iterable[list[Frame]], *, yuv420: ColorTags | None = None
    ) -> Iterator[Frame]:
        """Stylize batches of rgb24 frames.

        yuv420: give yuv420p frames of this color, where `formats` has them; frames smaller than the
        network's minimum stay rgb24.
        """
        self._set_output(yuv420)
        groups = (group for batch in batches for group in self._groups(batch))
        for group, images in self._run(groups):
            if self._blend and group.starts_scene:
                self._blend.reset()
            for frame, stylized in zip(group.frames, images, strict=True):
                if self._blend:
                    stylized = self._blend(frame.image, stylized)
                if self.keep_color:
                    stylized = with_color_of(stylized, frame.image)
                if stylized.ndim == 2:
                    yield replace(frame, image=stylized, pixel_format="yuv420p", color=yuv420)
                else:
                    yield replace(frame, image=stylized)

    def _set_output(self, yuv420: ColorTags | None) -> None:
        if yuv420 is None:
            self._yuv420_engine = None
        elif self._yuv420_engine is None or self._yuv420_engine.color != yuv420:
            self._yuv420_engine = self.engine.for_yuv420(yuv420)

    def _groups(self, batch: list[Frame]) -> Iterator[_Group]:
        """The batch in groups; a frame at which statistics are updated is its own group."""
        frames: list[Frame] = []
        starts_scene = False  # of `frames`
        for frame in map(self._on_readable_device, batch):
            is_cut = self._starts_scene is not None and self._starts_scene(frame)
            is_new = is_cut or frame.image.shape != self._shape
            updates = self.has_running_statistics and (is_new or self._age == UPDATE_INTERVAL)
            if frames and (is_new or updates):
                yield _Group(frames, starts_scene=starts_scene)
                frames = []
            starts_scene = is_new or (starts_scene and bool(frames))
            self._shape = frame.image.shape
            self._age = 1 if updates else self._age + 1
            if self._hold and is_new:
                self._hold.reset()
            if self._hold:
                frame = replace(frame, image=self._hold(frame.image))
            frames.append(frame)
            if updates:
                yield _Group(frames, updates, is_new)
                frames = []
        if frames:
            yield _Group(frames, starts_scene=starts_scene)

    def _on_readable_device(self, frame: Frame) -> Frame:
        is_small = min(frame.size) < self.engine.min_size  # it will be padded, on the host
        if "cuda" in self.formats.input_devices and not is_small:
            return frame
        return replace(frame, image=on_host(frame.image))

    def _run_in_turn(self, groups: Iterator[_Group]) -> Iterator[tuple[_Group, np.ndarray]]:
        for group in groups:
            images, self._statistics = self._stylize(group, self._statistics)
            yield group, images

    def _run_in_parallel(self, groups: Iterator[_Group]) -> Iterator[tuple[_Group, np.ndarray]]:
        """As `_run_in_turn`, on several threads.

        Statistics are computed from statistics, so the updates are a chain. Each is submitted
        before the groups between the last one and itself, which then keep the other threads busy:
        so no thread waits for an update that was not yet submitted.
        """
        updated: Future[_Result] = Future()
        updated.set_result((np.empty(0), self._statistics))
        started: deque[tuple[_Group, Future[_Result]]] = deque()
        between: list[_Group] = []

        engine = self.engine
        with side_by_side(engine.limit_threads, threads=engine.concurrency) as threads:

            def start(group: _Group, updated: Future[_Result]) -> Future[_Result]:
                return threads.submit(lambda: self._stylize(group, updated.result()[1]))

            for group in groups:
                if group.updates:
                    last, updated = updated, start(group, updated)
                    started.extend((other, start(other, last)) for other in between)
                    started.append((group, updated))
                    between.clear()
                else:
                    between.append(group)
                while started and (len(started) > _DEPTH or started[0][1].done()):
                    group, result = started.popleft()
                    yield group, result.result()[0]
            started.extend((group, start(group, updated)) for group in between)
            for group, result in started:
                yield group, result.result()[0]
        self._statistics = updated.result()[1]

    def _stylize(self, group: _Group, statistics: NormStatistics | None) -> _Result:
        images = stacked([frame.image for frame in group.frames])
        engine = self.engine
        is_large = min(images.shape[1:3]) >= engine.min_size
        if self._yuv420_engine and is_large:
            engine = self._yuv420_engine
        if group.updates:
            before = None if group.starts_scene else statistics
            return engine.update(images, before, MOMENTUM)
        if statistics is None:
            return engine(images), None
        return engine.stylize(images, statistics), statistics


def _blend(steadiness: Steadiness, device: str) -> "Blend":
    from impasto.realtime.temporal.auto import AutoBlend
    from impasto.realtime.temporal.blend import FlowBlend, StillBlend

    if steadiness == "auto":
        return AutoBlend()
    if steadiness == "hold":
        return StillBlend()
    if steadiness == "flow":
        return FlowBlend()
    from impasto.realtime.temporal.raft import Raft

    return FlowBlend(flows=Raft(device=device))


def default_steadiness(architecture: str, device: str) -> Steadiness:
    """ "auto" where it costs less than a fifth of the frame rate, else "off".

    Of the rate of a conversion at 640x360 on two cores it costs 10 to 13 % with the fine network,
    30 to 37 % with the fast one. It computes on the CPU, where a GPU would wait for it.
    """
    on_cpu = device == "cpu" or not cuda_devices()
    return "auto" if on_cpu and architecture != "fast" else "off"


class LazyStylizer:
    """A Stylizer whose engine is opened for the first frame, and kept for further clips.

    So a source that cannot be read, or a target that cannot be written, is reported before anything
    heavy is loaded. One call stylizes one clip, by its own `Stylizer`.

    log: called with one line for each automatic choice, with its reason.
    is_video, keep_color, steadiness: see `Stylizer`.
    """

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
    def formats(self) -> StylizerFormats:
        """What the engine is expected to take and give, before it is opened."""
        if not self.is_video or self.keep_color or self.steadiness != "off":
            return StylizerFormats(lossy_chroma_ok=True, keeps_chroma=self.keep_color)
        may_use_gpu = (
            self.options.engine in ("auto", "torch")
            and self.options.device != "cpu"
            and cuda_devices() > 0
        )
        return StylizerFormats(
            output=frozenset({"rgb24", "yuv420p"}),
            input_devices=frozenset({"cpu", "cuda"} if may_use_gpu else {"cpu"}),
            lossy_chroma_ok=True,
        )

    def __call__(
        self, batches: Iterator[list[Frame]], *, yuv420: ColorTags | None = None
    ) -> Iterator[Frame]:
        """Stylize one clip: see `Stylizer`. Raises WeightsError and EngineError."""
        first = next(batches, None)
        if first is None:
            return
        stylizer = Stylizer(
            self._engine_for(first),
            keep_color=self.keep_color,
            is_video=self.is_video,
            steadiness=self.steadiness,
        )
        if "yuv420p" not in stylizer.formats.output:
            yuv420 = None
        yield from stylizer(chain([first], batches), yuv420=yuv420)

    def notes(self) -> list[str]:
        """What the engine has to report since the last call, a line each."""
        if self._engine is None:
            return []
        notes = [*self._engine.notes]
        self._engine.notes.clear()  # in place: the engine for yuv420p has the same list
        return notes

    def stylize_image(self, image: np.ndarray) -> np.ndarray:
        """Stylize one picture, (H, W, 3) uint8 RGB. Raises WeightsError and EngineError."""
        (stylized,) = self(iter([[Frame(image, 0, Fraction(1))]]))
        return stylized.image

    def _engine_for(self, frames: list[Frame]) -> Engine:
        """The engine for frames like these; any engine will do for single pictures."""
        size = frames[0].size
        if self._engine is None or (self.is_video and self._size != size):
            self._engine = None  # only one at a time in memory
            self._engine, self._size = self._open(frames), size
        return self._engine

    def _open(self, frames: list[Frame]) -> Engine:
        from impasto.models.styles import load_weights
        from impasto.realtime.engines.select import open_engine

        options = self.options
        # To time the engines takes longer than to stylize one picture; so does loading PyTorch,
        # without which the classic network cannot be built.
        at_once = options.engine == options.precision == "auto" and not self.is_video
        at_once = at_once and options.device in ("auto", "cpu", "cuda")

        weights = load_weights(options.style, strength=options.strength, network=options.network)
        engine = open_engine(
            weights,
            engine="onnxruntime" if at_once else options.engine,
            device="cpu" if at_once and options.device == "auto" else options.device,
            precision=options.precision,
            size=frames[0].size,
            frames=[f.image for f in (frames[0], frames[-1]) if isinstance(f.image, np.ndarray)],
        )
        reason = "the quickest to load, for single pictures" if at_once else engine.reason
        self._log_once(
            f"engine: {engine.name} {engine.precision} on {engine.device}, "
            f"{weights.architecture} network ({reason})"
        )
        return engine

    def _log_once(self, line: str) -> None:
        """Log a line once: engines are opened again for other sizes, often for the same reason."""
        if line not in self._logged:
            self._logged.add(line)
            self._log(line)
