"""The interface of all engines: what runs a style network over a batch of frames.

An engine takes (N, H, W, 3) uint8 RGB, any N, H and W, and gives the same; one made by `for_yuv420`
gives yuv420p. Its network normalizes each channel by a mean and a variance; there are three ways to
have these:

- called as a function, an engine uses the statistics of each frame itself (instance norm);
- `stylize` uses frozen statistics, which are given: folded into the convolutions, they cost
  nothing, and a video flickers less (see models.fast.norm_folding);
- `update` moves running statistics toward those of one frame, and returns them.

Statistics go in and come out; an engine keeps nothing between frames but folded weights.

PyTorch, ONNX Runtime (one for CPUs, one for GPUs) and OpenVINO have their own modules, loaded
when first used: PyTorch alone takes longer to load than everything else until the first frame.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

from impasto.models.errors import EngineError
from impasto.models.fast.norm_statistics import NormStatistics
from impasto.models.styles import StyleWeights
from impasto.realtime.frame import ColorTags, PixelFormat

if TYPE_CHECKING:
    from torch import nn


class Engine(ABC):
    """What all engines have in common: their names, and frames smaller than the network's minimum.

    min_size: pixels a side that the network needs; smaller frames are padded, and cropped again.
    """

    name: str
    device: str
    precision: str
    reason: str = "as asked"  # why this engine was chosen, in a line
    has_running_statistics: bool = False  # whether `stylize` and `update` are available
    # How many threads gain by calling it at once. One more than it computes at once has the next
    # frame ready. 1: it must be called from one thread.
    concurrency: int = 1
    input_devices: frozenset[str] = frozenset({"cpu"})  # with "cuda", frames may be torch.Tensors
    output_formats: frozenset[PixelFormat] = frozenset({"rgb24"})  # yuv420p by `for_yuv420`
    color: ColorTags | None = None  # of the yuv420p frames that it gives; None for RGB

    def __init__(self, min_size: int) -> None:
        self.min_size = min_size
        self.notes: list[str] = []  # for the user, a line each; may grow

    @property
    def settled(self) -> bool:
        """Whether it is as fast as it will be for the current network and frame size."""
        return True

    @property
    def turning(self) -> bool:
        """Whether frames are slower for a while, as the network was replaced; of whatever size."""
        return False

    def prepare(self, height: int, width: int) -> bool:
        """Whether frames of this size can be stylized without waiting for a graph to compile.

        If not, it is compiled in a thread, and this is to be asked again with every frame.
        """
        return True

    def __call__(self, frames: np.ndarray) -> np.ndarray:
        """Stylize each frame with its own norm statistics."""
        return self._cropped(self._stylize_instance(self._padded(frames)), frames)

    def stylize(self, frames: np.ndarray, statistics: NormStatistics) -> np.ndarray:
        """Stylize every frame with these norm statistics."""
        return self._cropped(self._stylize_frozen(self._padded(frames), statistics), frames)

    def update(
        self, frame: np.ndarray, statistics: NormStatistics | None, momentum: float
    ) -> tuple[np.ndarray, NormStatistics]:
        """Stylize one frame, (1, H, W, 3), and bring the running statistics up to date with it.

        new = (1 - momentum) * statistics + momentum * (those of the frame), as in PyTorch's norms;
        the frame is normalized by the new ones. statistics: None, for the first frame of a scene,
        takes the frame's own. Returns the stylized frame and the new statistics.
        """
        if statistics is None:
            statistics, momentum = self._initial_statistics, 1.0
        stylized, new = self._stylize_running(self._padded(frame), statistics, momentum)
        return self._cropped(stylized, frame), new

    @abstractmethod
    def replace(self, network: nn.Module | StyleWeights) -> None:
        """Use `network`, of the same architecture and size, from the next frame on.

        Statistics of the last network do not fit it: the next call is `update` with None. Not
        while another thread is using the engine. PyTorch only copies the weights; ONNX Runtime
        and OpenVINO build new graphs.
        """

    def for_yuv420(self, color: ColorTags) -> Engine:
        """An engine of the same network that gives yuv420p frames, (N, 3 H / 2, W) uint8.

        color: their matrix, which must be a known one, and range. H and W of the frames are even
        and at least `min_size`. The last convolution gives Y'CbCr: no frame is converted (see
        models.fast.yuv420). Its `notes` are those of this engine. EngineError where "yuv420p" is
        not in `output_formats`.
        """
        engine = self._for_yuv420(color)
        engine.color = color
        engine.notes = self.notes
        return engine

    def on_device(self, frames: np.ndarray, statistics: NormStatistics) -> Callable[[], None]:
        """A function that stylizes these frames each time it is called, and waits for the result.

        Frames and result stay on the GPU: for benchmarks. EngineError for engines on the CPU.
        """
        raise EngineError(f"the {self.name} engine computes on the host")

    def warm_up(  # noqa: B027  (optional)
        self, height: int, width: int, *, first_frame: bool = False
    ) -> None:
        """Compile what video frames of this size would wait for. From any thread.

        first_frame: only what the first one would wait for.
        """

    def limit_threads(self) -> None:  # noqa: B027  (optional)
        """Use half of the cores for calls from this thread, as two threads call at once."""

    def _padded(self, frames: np.ndarray) -> np.ndarray:
        """Frames with the last row and column repeated up to `min_size`."""
        lack = [max(0, self.min_size - size) for size in frames.shape[1:3]]
        if not any(lack):
            return frames
        return np.pad(frames, ((0, 0), (0, lack[0]), (0, lack[1]), (0, 0)), mode="edge")

    def _cropped(self, stylized: np.ndarray, frames: np.ndarray) -> np.ndarray:
        """RGB without what `_padded` added to `frames`; yuv420p as it is."""
        height, width = frames.shape[1:3]
        return stylized[:, :height, :width] if self.color is None else stylized

    def _stylize_instance(self, frames: np.ndarray) -> np.ndarray:
        """By way of running statistics: with a momentum of 1 they are the frame's own."""
        alone = (
            self._stylize_running(frame[None], self._initial_statistics, 1.0) for frame in frames
        )
        return np.concatenate([stylized for stylized, _ in alone])

    def _for_yuv420(self, color: ColorTags) -> Engine:
        raise EngineError(f"the {self.name} engine outputs RGB only")

    _initial_statistics: NormStatistics  # mean 0, variance 1, of as many channels as are normed

    def _stylize_frozen(self, frames: np.ndarray, statistics: NormStatistics) -> np.ndarray:
        raise EngineError(f"the {self.name} engine has no running statistics for this network")

    def _stylize_running(
        self, frame: np.ndarray, statistics: NormStatistics, momentum: float
    ) -> tuple[np.ndarray, NormStatistics]:
        raise EngineError(f"the {self.name} engine has no running statistics for this network")


class IdentityEngine(Engine):
    """Returns every frame unchanged: for measuring the program without a network."""

    name, device, precision = "identity", "cpu", "uint8"

    def __init__(self) -> None:
        super().__init__(min_size=1)

    def replace(self, network: nn.Module | StyleWeights) -> None:
        pass

    def _cropped(self, stylized: np.ndarray, frames: np.ndarray) -> np.ndarray:
        """RGB without what `_padded` added to `frames`; yuv420p as it is."""
        height, width = frames.shape[1:3]
        return stylized[:, :height, :width] if self.color is None else stylized

    def _stylize_instance(self, frames: np.ndarray) -> np.ndarray:
        return frames.copy()


def choose_precision(precision: str, native: list[str], *, engine: str, device: str) -> str:
    """`precision`, or for "auto" the first of `native`, the fastest that is exact.

    native: the precisions that `engine` computes in on `device`, without emulation, fastest first.
    Raises EngineError for any other.
    """
    if precision == "auto":
        return native[0]
    if precision not in native:
        raise EngineError(
            f"{engine} does not compute in {precision} on this {device}; use {' or '.join(native)}"
        )
    return precision
