"""A live engine: OpenVINO, and ONNX Runtime while one style turns into another."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from time import monotonic
from typing import Literal, NamedTuple

import numpy as np

from impasto.models.architectures import ARCHITECTURES
from impasto.models.fast.norm_statistics import NormStatistics
from impasto.models.styles import StyleWeights, weights_of
from impasto.realtime.engines.base import Engine
from impasto.realtime.engines.cuda import cuda_devices
from impasto.realtime.engines.devices import EXPERIMENTAL
from impasto.realtime.engines.int8_trial import Int8Trial, TrialResult
from impasto.realtime.engines.onnx_engine import OnnxEngine
from impasto.realtime.engines.select import open_engine, open_known_engine

_STABLE_FRAMES = 8  # more than are shown between two mixtures of a transition
_MAX_SIZES = 3  # that an OpenVINO engine is compiled for; it keeps one more
_SETTLING_SECONDS = 2.0
_PATIENCE_SECONDS = 10.0  # with others that leave nothing of the cores
Work = Literal["open", "size"]
Size = tuple[int, int]  # height, width


def open_hybrid_engine(
    weights: StyleWeights, *, device: str = "auto", precision: str = "auto", size: Size
) -> Engine:
    """Open the engine for a network whose weights and frame size may change at any frame.

    A `HybridEngine`; without OpenVINO, on a GPU, and for the classic network, of which no two
    styles mix, the fastest engine of `open_engine`, which has the same arguments and errors.
    """
    mixes = weights.architecture in ARCHITECTURES
    if device in EXPERIMENTAL:
        opened = open_engine(weights, device=device, precision=precision, size=size)
        if opened.device != device:  # it is left out
            hybrid = open_hybrid_engine(weights, device="cpu", precision=precision, size=size)
            hybrid.notes += opened.notes
            return hybrid
        if not mixes or opened.name == "torch":  # which loads other weights within a frame
            return opened
        return HybridEngine(weights, precision=opened.precision, engine=opened)
    on_cpu = device == "cpu" or (device == "auto" and not cuda_devices())
    if mixes and on_cpu and precision != "fp16":
        with suppress(ImportError):
            return HybridEngine(weights, precision=precision)
    engine = "torch" if mixes else "auto"
    return open_engine(weights, engine=engine, device=device, precision=precision, size=size)


class _Prepared(NamedTuple):
    """An OpenVINO engine, and what it is ready for."""

    engine: Engine
    weights: StyleWeights
    sizes: tuple[Size, ...]  # the newest last

    def with_size(self, size: Size) -> _Prepared:
        """The same, compiled for one more size."""
        self.engine.warm_up(*size)
        return self._replace(sizes=(*self.sizes, size)[-_MAX_SIZES:])


class HybridEngine(Engine):
    """OpenVINO, and ONNX Runtime from when the weights change until OpenVINO has caught up.

    OpenVINO is the faster one, but compiles for half a second for each network and frame size. ONNX
    Runtime takes other weights in 25 ms, at any size, and half as long again for a frame. (PyTorch
    takes them within a frame; but it loads for two seconds, in which nothing is painted in time.)
    So while a style turns, ONNX Runtime paints, and a thread opens OpenVINO for the new one.

    Whether int8 paints as float does, and is faster, is found out once on a machine for each style
    by another process (see `Int8Trial`): until then OpenVINO paints in float. Another size is
    compiled in a thread, too, and frames go on being painted at the old one until `prepare` returns
    True. Running statistics are handed on from one to the other.

    engine: of an experimental device, with these weights and this precision, in place of OpenVINO.
    Raises EngineError, and ImportError where OpenVINO is not installed.
    """

    has_running_statistics = True

    def __init__(
        self, weights: StyleWeights, *, precision: str = "auto", engine: Engine | None = None
    ) -> None:
        openvino, self._is_chosen = (engine, True) if engine else _open_openvino(weights, precision)
        self.name, self.device = openvino.name, openvino.device
        super().__init__(openvino.min_size)
        self._asked = precision
        self._weights = weights
        self._size = (0, 0)  # last asked for
        self._initial_statistics = openvino._initial_statistics
        self._prepared = _Prepared(openvino, weights, ())
        self._take_notes(openvino)
        self._trial: Int8Trial | None = None
        self._onnx: OnnxEngine | None = None
        self._stable_frames = 0  # since anything changed
        # Work in threads, by its kind: what to do with its result, and when it began.
        self._pending: dict[Work, tuple[Future[Callable[[], None]], float]] = {}

    @property
    def precision(self) -> str:  # type: ignore[override]
        """That of OpenVINO."""
        return self._prepared.engine.precision

    @property
    def settled(self) -> bool:
        """Work of some seconds slows frames for that time only; longer, on a busy machine, it is
        how fast they are."""
        now = monotonic()
        waits = any(now - began < _SETTLING_SECONDS for _, began in self._pending.values())
        return not waits and not self.turning

    @property
    def turning(self) -> bool:
        """Whether OpenVINO has other weights than those to paint with."""
        return self._prepared.weights is not self._weights

    def replace(self, network: object) -> None:
        weights = network if isinstance(network, StyleWeights) else weights_of(network)  # type: ignore[arg-type]
        if self._onnx is None:
            self._onnx = OnnxEngine(weights)
        else:
            self._onnx.replace(weights)
        self._weights, self._stable_frames = weights, 0

    def warm_up(self, height: int, width: int, *, first_frame: bool = False) -> None:
        size = max(height, self.min_size), max(width, self.min_size)
        self._prepared.engine.warm_up(*size, first_frame=first_frame)

    def prepare(self, height: int, width: int) -> bool:
        self._collect()
        self._size = size = max(height, self.min_size), max(width, self.min_size)
        sizes = self._prepared.sizes
        if self.turning or not sizes or size in sizes:
            return True
        self._stable_frames = 0
        if "size" not in self._pending:
            self._begin("size", self._compile, self._prepared, size)
        return False

    def _stylize_instance(self, frames: np.ndarray) -> np.ndarray:
        return self._engine_for(frames)(frames)

    def _stylize_frozen(self, frames: np.ndarray, statistics: NormStatistics) -> np.ndarray:
        return self._engine_for(frames).stylize(frames, statistics)

    def _stylize_running(
        self, frame: np.ndarray, statistics: NormStatistics, momentum: float
    ) -> tuple[np.ndarray, NormStatistics]:
        return self._engine_for(frame).update(frame, statistics, momentum)

    def _engine_for(self, frames: np.ndarray) -> Engine:
        """The engine for the next frames; begins to prepare what will be needed."""
        size = frames.shape[1], frames.shape[2]
        self._stable_frames += 1
        if self.turning:
            if self._stable_frames > _STABLE_FRAMES and "open" not in self._pending:
                self._begin("open", self._open, self._weights, self._asked, self._size)
            assert self._onnx is not None
            return self._onnx
        if not self._prepared.sizes:  # it needs but one graph
            self._prepared = self._prepared._replace(sizes=(size,))
            self._size = size
        elif size not in self._prepared.sizes:
            self._prepared = self._prepared.with_size(size)
        elif not self._is_chosen and self._trial is None:
            self._trial = Int8Trial(self._weights, engine=self.name)
        return self._prepared.engine

    def _begin(
        self, kind: Work, work: Callable[..., Callable[[], None]], *arguments: object
    ) -> None:
        """Do `work` in a thread, and what it returns on this one, before the next frame."""
        executor = ThreadPoolExecutor(1, "prepare")  # a new one: OpenVINO keeps memory for each
        self._pending[kind] = executor.submit(work, *arguments), monotonic()
        executor.shutdown(wait=False)  # its thread ends with this work

    def _collect(self) -> None:
        for kind, (work, _) in [*self._pending.items()]:
            if work.done():
                del self._pending[kind]
                work.result()()
        trial = self._trial
        if trial is None:
            return
        if trial.done:
            self._trial = None
            if trial.weights is self._weights and not self._is_chosen:
                self._go_on_as(trial.read_result())
        elif not trial.hurries and monotonic() > trial.began + _PATIENCE_SECONDS:
            self._trial = Int8Trial(trial.weights, engine=self.name, hurries=True)

    def _go_on_as(self, result: TrialResult | None) -> None:
        """Open OpenVINO in the precision that was found to be the best."""
        self._is_chosen = True
        if result is not None:
            self.notes += result.notes
            if result.precision != self.precision:
                self._begin("open", self._open, self._weights, result.precision, self._size)

    def _compile(self, prepared: _Prepared, size: Size) -> Callable[[], None]:
        """Compile an engine for one more size."""
        prepared = prepared.with_size(size)

        def use() -> None:
            if prepared.engine is self._prepared.engine:  # else it is no longer of use
                self._prepared = prepared

        return use

    def _open(self, weights: StyleWeights, precision: str, size: Size) -> Callable[[], None]:
        """Open OpenVINO with these weights."""
        if self.device == "cpu":
            engine, is_chosen = _open_openvino(weights, precision)
        else:
            options = {"engine": self.name, "device": self.device, "precision": precision}
            engine, is_chosen = open_engine(weights, **options), True  # type: ignore[arg-type]
        return self._compiled_for_use(_Prepared(engine, weights, ()), is_chosen, size)

    def _compiled_for_use(
        self, prepared: _Prepared, is_chosen: bool, size: Size
    ) -> Callable[[], None]:
        prepared = prepared.with_size(size)

        def use() -> None:
            if prepared.weights is not self._weights:
                return
            if self._size in prepared.sizes:
                self._prepared, self._is_chosen = prepared, is_chosen
                self._take_notes(prepared.engine)
            else:  # it has changed meanwhile
                self._begin("open", self._compiled_for_use, prepared, is_chosen, self._size)

        return use

    def _take_notes(self, engine: Engine) -> None:
        self.notes += engine.notes
        engine.notes.clear()


def _open_openvino(weights: StyleWeights, precision: str) -> tuple[Engine, bool]:
    """OpenVINO on the CPU, and whether it is in the precision to go on with.

    "auto" is what is known to be the fastest here, or else float, while int8 may be faster.
    """
    from impasto.realtime.engines.openvino_engine import OpenVinoEngine

    if precision != "auto":
        return OpenVinoEngine(weights, precision=precision), True
    known = open_known_engine(weights, engine="openvino")
    return known or OpenVinoEngine(weights), known is not None
