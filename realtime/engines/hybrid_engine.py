"""A live engine: PyTorch while style or size change, OpenVINO once they have not for a while."""

from __future__ import annotations

from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress

import numpy as np
from torch import nn

from impasto.models.errors import EngineError
from impasto.models.fast.norm_statistics import NormStatistics
from impasto.models.networks import StyleNetwork
from impasto.models.styles import StyleWeights
from impasto.models.transform_net import TransformNet
from impasto.realtime.engines.base import Engine
from impasto.realtime.engines.cuda import cuda_devices
from impasto.realtime.engines.select import open_engine

_STABLE_FRAMES = 10  # of one network and size, before OpenVINO is compiled for these


def open_hybrid_engine(
    network: StyleNetwork, *, device: str = "auto", precision: str = "auto", size: tuple[int, int]
) -> Engine:
    """Open the engine for a network that may change at any frame.

    A `HybridEngine`, or PyTorch alone where that gains nothing; for the classic network, of which
    no two styles mix, the fastest engine. Arguments and errors are those of `open_engine`.
    """
    if not isinstance(network, TransformNet):
        return open_engine(network, device=device, precision=precision, size=size)
    if device != "cuda" and not cuda_devices() and precision in ("auto", "bf16"):
        with suppress(EngineError):
            return HybridEngine(network)
    return open_engine(network, engine="torch", device=device, precision=precision, size=size)


class HybridEngine(Engine):
    """PyTorch at once, and OpenVINO as soon as it is compiled for the network and size.

    PyTorch loads the weights of another network within a frame. OpenVINO stylizes 1280x720 in 23 ms
    where PyTorch takes 33, but compiles for half a second for each network and size. So PyTorch
    stylizes while one style turns into another, or the size changes. After some frames without a
    change, OpenVINO is compiled in a thread, and goes on with the running statistics.

    network: TransformNet, which is copied. Raises EngineError where it would gain nothing: without
    OpenVINO, and where the processor has no bfloat16.
    """

    name, device, has_running_statistics = "torch, then openvino", "cpu", True

    def __init__(self, network: TransformNet) -> None:
        self._torch = open_engine(network, engine="torch", device="cpu")
        super().__init__(self._torch.min_size)
        self.precision = self._torch.precision
        if self.precision != "bf16":
            raise EngineError(f"OpenVINO is no faster than PyTorch in {self.precision}")
        self._openvino = _open_openvino(network)
        self._initial_statistics = self._torch._initial_statistics
        self._network: nn.Module = network
        self._openvino_network: nn.Module = network
        self._size, self._openvino_size = (0, 0), (0, 0)  # current; what OpenVINO is compiled for
        self._pending: Future[tuple[Engine, nn.Module, tuple[int, int]]] | None = None
        self._stable_frames = 0  # of the current network and size

    def replace(self, network: nn.Module | StyleWeights) -> None:
        self._torch.replace(network)
        assert isinstance(network, TransformNet)
        self._network, self._stable_frames = network, 0

    @property
    def settled(self) -> bool:
        return (self._openvino_network, self._openvino_size) == (self._network, self._size)

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
            self._size, self._stable_frames = size, 0
        if self._pending is not None and self._pending.done():
            self._openvino, self._openvino_network, self._openvino_size = self._pending.result()
            self._pending = None
        if self.settled:
            return self._openvino
        self._stable_frames += 1
        if self._stable_frames > _STABLE_FRAMES and self._pending is None:
            executor = ThreadPoolExecutor(1, "prepare")
            self._pending = executor.submit(self._compiled, self._network, size)
            executor.shutdown(wait=False)  # its thread ends with this work
        return self._torch

    def _compiled(
        self, network: nn.Module, size: tuple[int, int]
    ) -> tuple[Engine, nn.Module, tuple[int, int]]:
        engine = self._openvino if network is self._openvino_network else _open_openvino(network)
        engine.warm_up(*size)
        return engine, network, size


def _open_openvino(network: nn.Module) -> Engine:
    return open_engine(network, engine="openvino", device="cpu", precision="bf16")
