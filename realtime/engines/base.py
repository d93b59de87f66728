"""What turns a batch of pictures into stylised ones: engines, all of them called alike.

An engine takes and gives (N, H, W, 3) uint8 RGB, any N, H and W. Called as a function it looks at
each picture alone. A video is stylised with `carry`: the norm statistics that one frame needs come
from the frames before it (see fast.norm_folding), which is faster and steadier. They go in and
come out; an engine keeps nothing between frames but weights already folded.

PyTorch, ONNX Runtime (one for CPUs, one for GPUs) and OpenVINO have modules of their own, loaded
when they are wanted: PyTorch alone takes longer to load than everything else until the first frame.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from impasto.models.errors import EngineError
from impasto.models.styles import Weights
from impasto.realtime.frame import ColorTags

if TYPE_CHECKING:
    from torch import nn

Statistics = Any  # of norms; what an engine gives, the same engine takes


class Engine(ABC):
    """What all engines have in common: their names, and sizes below what a network can take."""

    name: str
    device: str
    precision: str
    reason: str = "as asked"  # why this engine, in a line
    carries: bool = False  # whether `carry` and `refresh` are there
    side_by_side: bool = False  # whether two threads may call it at once, and gain by it
    callers: int = 2  # how many do; one more than it computes at once has the next frame ready
    reads_planes: bool = False  # whether `for_planes` is there
    reads_gpu: bool = False  # whether frames may lie on the GPU, as a torch.Tensor

    def __init__(self, smallest: int) -> None:
        self.smallest = smallest  # px a side that it takes as it is; less is enlarged
        self.notes: list[str] = []  # what a user should be told, a line each; may grow

    @property
    def settled(self) -> bool:
        """Whether it is as fast as it will be for the network and size of now."""
        return True

    def __call__(self, frames: np.ndarray) -> np.ndarray:
        """Stylise each picture by itself."""
        height, width = frames.shape[1:3]
        return self._stylize(self._enlarged(frames))[:, :height, :width]

    def carry(self, frames: np.ndarray, statistics: Statistics) -> np.ndarray:
        """Stylise every frame with these norm statistics."""
        height, width = frames.shape[1:3]
        return self._carry(self._enlarged(frames), statistics)[:, :height, :width]

    def refresh(
        self, frame: np.ndarray, statistics: Statistics | None, weight: float
    ) -> tuple[np.ndarray, Statistics]:
        """Stylise one frame, (1, H, W, 3), with `statistics` moved towards its own by `weight`.

        Returns these too. None: the frame's own alone, as for the first of a scene.
        """
        height, width = frame.shape[1:3]
        if statistics is None:
            statistics, weight = self._start, 1.0
        stylized, renewed = self._refresh(self._enlarged(frame), statistics, weight)
        return stylized[:, :height, :width], renewed

    @abstractmethod
    def replace(self, network: nn.Module | Weights) -> None:
        """Paint with `network`, of the same kind and form, from the next frame on.

        Statistics of the one before say nothing about it: the next call is `refresh` with None.
        Not while another thread is using the engine. PyTorch only takes over the weights; ONNX
        Runtime builds its sessions anew.
        """

    def for_planes(self, color: ColorTags) -> Engine:
        """An engine of the same network, for frames that are planes of these colours.

        It takes and gives (N, 3 H / 2, W) uint8 (see fast.yuv420), H and W even. What it gives is
        never RGB, and with PyTorch neither is what it reads: the weights of the last layer and the
        first convert. Chroma is read as it is stored, one sample for 2x2 pixels. What it has to
        tell goes into the `notes` of this one.
        """
        engine = self._for_planes(color)
        engine.notes = self.notes
        return engine

    def on_device(self, frames: np.ndarray, statistics: Statistics) -> Callable[[], None]:
        """What paints these frames again each time it is called, and waits until they are painted.

        They lie on the GPU and stay there, and so does what is painted: for measuring.
        """
        raise EngineError(f"the {self.name} engine computes on the host")

    def get_ready(self, height: int, width: int) -> None:  # noqa: B027  (nothing to do is an answer)
        """Do what the first frames of this size would wait for, in a video. From any thread."""

    def use_half_the_cores(self) -> None:  # noqa: B027  (nothing to do is an answer)
        """Called on each of two threads that are to work side by side."""

    def _enlarged(self, frames: np.ndarray) -> np.ndarray:
        """With the last row and column repeated up to the network's smallest size."""
        lack = [max(0, self.smallest - size) for size in frames.shape[1:3]]
        if not any(lack):
            return frames
        return np.pad(frames, ((0, 0), (0, lack[0]), (0, lack[1]), (0, 0)), mode="edge")

    @abstractmethod
    def _stylize(self, frames: np.ndarray) -> np.ndarray: ...

    def _for_planes(self, color: ColorTags) -> Engine:
        raise EngineError(f"the {self.name} engine reads RGB only")

    _start: Statistics

    def _carry(self, frames: np.ndarray, statistics: Statistics) -> np.ndarray:
        raise EngineError(f"the {self.name} engine carries no statistics for this network")

    def _refresh(
        self, frame: np.ndarray, statistics: Statistics, weight: float
    ) -> tuple[np.ndarray, Statistics]:
        raise EngineError(f"the {self.name} engine carries no statistics for this network")


class IdentityEngine(Engine):
    """Gives every picture back: what the rest of the program costs without a network."""

    name, device, precision = "identity", "cpu", "uint8"

    def __init__(self) -> None:
        super().__init__(smallest=1)

    def replace(self, network: nn.Module | Weights) -> None:
        pass

    def _stylize(self, frames: np.ndarray) -> np.ndarray:
        return frames.copy()
