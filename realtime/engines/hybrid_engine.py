"""A live engine: OpenVINO, and PyTorch while one style turns into another."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from time import monotonic
from typing import Literal, NamedTuple

import numpy as np

from impasto.models.architectures import ARCHITECTURES
from impasto.models.errors import EngineError
from impasto.models.fast.norm_statistics import NormStatistics
from impasto.models.styles import StyleWeights, weights_of
from impasto.realtime.engines.base import Engine
from impasto.realtime.engines.cuda import cuda_devices
from impasto.realtime.engines.devices import EXPERIMENTAL
from impasto.realtime.engines.select import open_engine

_STABLE_FRAMES = 8  # more than are shown between two mixtures of a transition
_MAX_SIZES = 3  # that an OpenVINO engine is compiled for; it keeps one more
_SETTLING_SECONDS = 2.0
Work = Literal["choose", "size", "torch"]
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
    """OpenVINO at once, and PyTorch from when the weights change until OpenVINO has caught up.

    OpenVINO is the faster one, and opens faster, but compiles for half a second for each network
    and frame size. PyTorch takes two seconds to load, and then other weights within a frame. So
    OpenVINO paints the first frame, in float; while it goes on, a thread compares int8 with float
    on such a frame (see `open_engine`), and loads PyTorch. Later on the thread compiles what comes
    next: another size goes on being painted at the old one until `prepare` returns True, and other
    weights by PyTorch. Running statistics are handed on from one to the other.

    engine: of an experimental device, with these weights and this precision, in place of OpenVINO.
    Raises EngineError, and ImportError where OpenVINO is not installed.
    """

    has_running_statistics = True

    def __init__(
        self, weights: StyleWeights, *, precision: str = "auto", engine: Engine | None = None
    ) -> None:
        openvino = _open_openvino(weights, precision) if engine is None else engine
        self.name, self.device = openvino.name, openvino.device
        super().__init__(openvino.min_size)
        self._asked = precision
        self._is_chosen = precision != "auto"  # else it is in float, and int8 may be faster
        self._weights = weights
        self._size = (0, 0)  # of the last frame
        self._initial_statistics = openvino._initial_statistics
        self._prepared = _Prepared(openvino, weights, ())
        self._torch: Engine | None = None
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
        return not waits and not self._is_turning

    @property
    def replaceable(self) -> bool:
        return self._torch is not None

    def replace(self, network: object) -> None:
        """As for every engine; it waits for PyTorch unless it is `replaceable`."""
        weights = network if isinstance(network, StyleWeights) else weights_of(network)  # type: ignore[arg-type]
        if self._torch is None:
            self._torch = open_torch(weights, self._prepared.engine)
        else:
            self._torch.replace(weights)
        self._weights, self._stable_frames = weights, 0

    def warm_up(self, height: int, width: int, *, first_frame: bool = False) -> None:
        size = max(height, self.min_size), max(width, self.min_size)
        self._prepared.engine.warm_up(*size, first_frame=first_frame)

    def prepare(self, height: int, width: int) -> bool:
        self._collect()
        size = max(height, self.min_size), max(width, self.min_size)
        sizes = self._prepared.sizes
        if self._is_turning or not sizes or size in sizes:
            return True
        self._stable_frames = 0
        if "size" not in self._pending:
            self._begin("size", self._compile, self._prepared, size)
        return False

    @property
    def _is_turning(self) -> bool:
        """Whether OpenVINO has other weights than those to paint with."""
        return self._prepared.weights is not self._weights

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
        self._collect()
        self._size = size = frames.shape[1], frames.shape[2]
        self._stable_frames += 1
        stable = self._stable_frames > _STABLE_FRAMES
        is_first = not self._prepared.sizes
        if not is_first and "choose" not in self._pending:
            if (self._is_turning and stable) or not (self._is_turning or self._is_chosen):
                self._begin("choose", self._choose, self._weights, size, frames[0].copy())
            elif stable and self._torch is None and not self._pending:
                self._begin("torch", self._load_torch)
        if self._is_turning:
            assert self._torch is not None
            return self._torch
        if is_first:  # it needs but one graph
            self._prepared = self._prepared._replace(sizes=(size,))
        elif size not in self._prepared.sizes:
            self._prepared = self._prepared.with_size(size)
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

    def _compile(self, prepared: _Prepared, size: Size) -> Callable[[], None]:
        """Compile an engine for one more size."""
        prepared = prepared.with_size(size)

        def use() -> None:
            if prepared.engine is self._prepared.engine:  # else it is no longer of use
                self._prepared = prepared

        return use

    def _choose(self, weights: StyleWeights, size: Size, frame: np.ndarray) -> Callable[[], None]:
        """Open OpenVINO in the precision to go on with."""
        engine = open_engine(
            weights,
            engine=self.name,
            device=self.device,
            precision=self._asked,
            size=size,
            frames=[frame],
        )
        now = self._prepared
        if weights is now.weights and engine.precision == now.engine.precision:
            return lambda: self._use(now, engine.notes)
        return self._compiled_for_use(_Prepared(engine, weights, ()), size)

    def _compiled_for_use(self, prepared: _Prepared, size: Size) -> Callable[[], None]:
        prepared = prepared.with_size(size)

        def use() -> None:
            if self._size in prepared.sizes:
                self._use(prepared, prepared.engine.notes)
            else:  # it has changed meanwhile
                self._begin("choose", self._compiled_for_use, prepared, self._size)

        return use

    def _use(self, prepared: _Prepared, notes: list[str]) -> None:
        self.notes += notes
        notes.clear()
        if prepared.engine is not self._prepared.engine:
            self._prepared = prepared
        self._is_chosen = True

    def _load_torch(self) -> Callable[[], None]:
        engine = open_torch(self._weights, self._prepared.engine)

        def use() -> None:
            self._torch = engine

        return use


def _open_openvino(weights: StyleWeights, precision: str) -> Engine:
    from impasto.realtime.engines.openvino_engine import OpenVinoEngine

    return OpenVinoEngine(weights, precision=precision)


def open_torch(weights: StyleWeights, other: Engine) -> Engine:
    """PyTorch on the CPU, in the precision of `other` where it has that. Raises EngineError."""
    with suppress(EngineError):
        return open_engine(weights, engine="torch", device="cpu", precision=other.precision)
    return open_engine(weights, engine="torch", device="cpu")
