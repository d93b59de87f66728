"""PyTorch while anything changes, OpenVINO once it rests: for a preview."""

from __future__ import annotations

from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress

import numpy as np
from torch import nn

from impasto.models.errors import EngineError
from impasto.models.fast.norm_statistics import NormStatistics
from impasto.models.styles import Weights
from impasto.models.transform_net import TransformNet
from impasto.realtime.engines.base import Engine
from impasto.realtime.engines.cuda import cuda_devices
from impasto.realtime.engines.select import open_engine

_RESTING = 10  # frames of one network and one size, after which it is worth while to get ready


def open_hybrid_engine(
    network: TransformNet, *, device: str = "auto", precision: str = "auto", size: tuple[int, int]
) -> Engine:
    """For a network that may change at any moment: a `SettlingEngine`, or else PyTorch alone.

    Arguments and errors as of `open_engine`.
    """
    if device != "cuda" and not cuda_devices() and precision in ("auto", "bf16"):
        with suppress(EngineError):
            return HybridEngine(network)
    return open_engine(network, engine="torch", device=device, precision=precision, size=size)


class HybridEngine(Engine):
    """Two engines as one: PyTorch at once, and a faster one as soon as that is ready.

    PyTorch takes over the weights of another network within a frame. OpenVINO paints 1280x720 in
    23 ms where PyTorch takes 33, but compiles half a second for a network and a size. So frames are
    PyTorch's while a style turns into another, or the size changes; when both have rested for some
    frames, OpenVINO gets ready in a thread, and takes over with the statistics of the last frame.

    network: TransformNet, which is copied. Raises EngineError where it would gain nothing: without
    OpenVINO, and where the processor has no bfloat16.
    """

    name, device, has_running_statistics = "torch, then openvino", "cpu", True

    def __init__(self, network: TransformNet) -> None:
        self._quick = open_engine(network, engine="torch", device="cpu")
        super().__init__(self._quick.min_size)
        self.precision = self._quick.precision
        if self.precision != "bf16":
            raise EngineError(f"OpenVINO is no faster than PyTorch in {self.precision}")
        self._fast = _fast_engine(network)
        self._initial_statistics = self._quick._initial_statistics
        self._network: nn.Module = network
        self._fast_network: nn.Module = network
        self._size, self._fast_size = (0, 0), (0, 0)  # of now; what the fast one is ready for
        self._pending: Future[tuple[Engine, nn.Module, tuple[int, int]]] | None = None
        self._rested = 0  # frames of this network and size

    def replace(self, network: nn.Module | Weights) -> None:
        self._quick.replace(network)
        assert isinstance(network, TransformNet)
        self._network, self._rested = network, 0

    @property
    def settled(self) -> bool:
        return (self._fast_network, self._fast_size) == (self._network, self._size)

    def _stylize_instance(self, frames: np.ndarray) -> np.ndarray:
        return self._engine_for(frames)(frames)

    def _stylize_frozen(self, frames: np.ndarray, statistics: NormStatistics) -> np.ndarray:
        return self._engine_for(frames).stylize(frames, statistics)

    def _stylize_running(
        self, frame: np.ndarray, statistics: NormStatistics, momentum: float
    ) -> tuple[np.ndarray, NormStatistics]:
        return self._engine_for(frame).update(frame, statistics, momentum)

    def _engine_for(self, frames: np.ndarray) -> Engine:
        size = frames.shape[1], frames.shape[2]
        if size != self._size:
            self._size, self._rested = size, 0
        if self._pending is not None and self._pending.done():
            self._fast, self._fast_network, self._fast_size = self._pending.result()
            self._pending = None
        if self.settled:
            return self._fast
        self._rested += 1
        if self._rested > _RESTING and self._pending is None:
            executor = ThreadPoolExecutor(1, "prepare")
            self._pending = executor.submit(self._prepared, self._network, size)
            executor.shutdown(wait=False)  # its thread ends with this work
        return self._quick

    def _prepared(
        self, network: nn.Module, size: tuple[int, int]
    ) -> tuple[Engine, nn.Module, tuple[int, int]]:
        engine = self._fast if network is self._fast_network else _fast_engine(network)
        engine.warm_up(*size)
        return engine, network, size


def _fast_engine(network: nn.Module) -> Engine:
    return open_engine(network, engine="openvino", device="cpu", precision="bf16")
