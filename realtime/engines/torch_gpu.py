"""PyTorch as an engine on an NVIDIA GPU: CUDA graphs, and copies beside computation."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from threading import Condition, Lock

import numpy as np
import torch
from torch import Tensor, nn

from impasto.models.fast.norm_folding import FoldedNetwork, RenewingNetwork
from impasto.models.fast.norm_statistics import Moments
from impasto.models.fast.pixel_layouts import Layout, Planes
from impasto.models.fast.yuv420 import Recoding
from impasto.models.styles import Weights
from impasto.realtime.engines.base import Engine
from impasto.realtime.engines.batches import RanOut
from impasto.realtime.engines.cuda_graphs import Capture, Captured, Tensors, cuda_graph
from impasto.realtime.engines.torch_engine import DTYPES, TorchEngine
from impasto.realtime.frame import ColorTags

_LANES = 2  # that paint at once: one copies while the other computes

_capturing = Lock()  # one at a time in a process


class TorchGpuEngine(TorchEngine):
    """PyTorch on a GPU, in float16, bfloat16 or float32, channels last.

    Several threads may call it at once. Each has a stream to itself, on which its frames are copied
    to the GPU, painted and copied back, through pinned memory and without waiting in between; so
    the copies of one run beside the sums of another.

    device: "cpu" is for tests. capture: how runs are recorded.
    """

    callers = _LANES + 1  # and one that measures, in a room of its own

    def __init__(
        self,
        network: nn.Module | Weights,
        *,
        device: str = "cuda",
        precision: str = "fp16",
        layout: Layout | None = None,
        capture: Capture = cuda_graph,
    ) -> None:
        self._lanes: list[_Lane] = []
        super().__init__(network, device=device, precision=precision, layout=layout)
        self.capture = capture
        if device == "cuda":
            # Seek the fastest way to convolve: a frame's shape stays.
            torch.backends.cudnn.benchmark = True
        if self.carries:
            self.side_by_side = self.reads_gpu = True
            ours, dtype = self._renewing.network, DTYPES[precision]
            self._folded = [FoldedNetwork(ours, dtype, layout) for _ in range(_LANES)]
            self._lanes = [_Lane(folded, self._room()) for folded in self._folded]
            self._free = list(self._lanes)
            self._changed = Condition()
            self._refresher = _Refresher(self._renewing, self._room())
        self._settle()

    def replace(self, network: nn.Module | Weights) -> None:
        super().replace(network)
        if self._lanes:
            for lane in self._lanes:
                lane.forget()
            self._refresher.renew.forget()
        self._settle()

    def _for_planes(self, color: ColorTags) -> Engine:
        return TorchGpuEngine(
            self._renewing.network,
            device=self.device,
            precision=self.precision,
            layout=Planes(Recoding.of(color.matrix, color.full_range).to(self.device)),
            capture=self.capture,
        )

    def use_half_the_cores(self) -> None:
        """They have enough to do."""

    def on_device(self, frames: np.ndarray, statistics: Moments) -> Callable[[], None]:
        lane = self._lanes[0]
        with torch.inference_mode():
            there = torch.from_numpy(frames).to(self.device)
            lane.carry(frames, statistics)

        @torch.inference_mode()
        def paint() -> None:
            with lane.room.entered():
                lane.paint(there)
                lane.room.wait()

        return paint

    @torch.inference_mode()
    def _carry(self, frames: np.ndarray, statistics: Moments) -> np.ndarray:
        with self._lane_with(statistics) as lane:
            return self._batches(frames, lambda part: lane.carry(part, statistics))

    @torch.inference_mode()
    def _refresh(
        self, frame: np.ndarray, statistics: Moments, weight: float
    ) -> tuple[np.ndarray, Moments]:
        renewed: list[Moments] = []

        def refresh(frame: np.ndarray) -> np.ndarray:
            painted, moments = self._refresher(frame, statistics, weight)
            renewed.append(moments)
            return painted

        with self._refreshing:
            return self._batches(frame, refresh), renewed[0]

    @contextmanager
    def _lane_with(self, statistics: Moments) -> Iterator[_Lane]:
        """One that nobody uses; with these statistics, if there is such a one."""
        with self._changed:
            self._changed.wait_for(lambda: self._free)
            lane = min(self._free, key=lambda lane: lane.statistics is not statistics)
            self._free.remove(lane)
        try:
            yield lane
        finally:
            with self._changed:
                self._free.append(lane)
                self._changed.notify()

    def _room(self) -> _Room:
        return _Room(self.device, self.capture, self._complain)

    def _complain(self, line: str) -> None:
        if line not in self.notes:
            self.notes.append(line)

    def _settle(self) -> None:
        """Wait for what was set up on the default stream, for which the others do not."""
        if self.device == "cuda":
            torch.cuda.synchronize()


class _Room:
    """A stream, and what is run and copied on it."""

    def __init__(self, device: str, capture: Capture, complain: Callable[[str], None]) -> None:
        self.device, self._capture, self._complain = device, capture, complain
        self._stream = torch.cuda.Stream() if device == "cuda" else None
        self._captured: list[Captured] = []

    def captured(self, function: Callable[..., Tensors]) -> Captured:
        def capture(run: Callable[[], Tensors]) -> tuple[Callable[[], object], Tensors]:
            with _capturing:
                return self._capture(run)

        self._captured.append(Captured(function, self.device, capture, self._complain))
        return self._captured[-1]

    @contextmanager
    def entered(self) -> Iterator[None]:
        """Its stream is the current one. Raises RanOut, and has then freed what it could."""
        current: AbstractContextManager = nullcontext()
        if self._stream is not None:
            self._stream.wait_stream(torch.cuda.current_stream())  # where frames may come from
            current = torch.cuda.stream(self._stream)
        try:
            with current:
                yield
        except torch.cuda.OutOfMemoryError:
            for captured in self._captured:
                captured.forget()
            torch.cuda.empty_cache()
            raise RanOut from None

    def wait(self) -> None:
        if self._stream is not None:
            self._stream.synchronize()

    def pinned(self, frames: np.ndarray | Tensor) -> Tensor:
        """Where the GPU fetches them from while this thread goes on; or, on a GPU, as they are."""
        if isinstance(frames, Tensor):
            return frames
        there = torch.from_numpy(frames)
        return there if self._stream is None else there.pin_memory()

    def fetched(self, frames: Tensor) -> np.ndarray:
        """All that was asked for on this stream is done, and these are here."""
        host = torch.empty(frames.shape, dtype=frames.dtype, pin_memory=self._stream is not None)
        host.copy_(frames, non_blocking=True)
        self.wait()
        return host.numpy()


class _Lane:
    """A folded network, and the room in which it paints for one thread at a time."""

    def __init__(self, network: FoldedNetwork, room: _Room) -> None:
        self.network, self.room = network, room
        self.statistics: Moments | None = None
        self._fold, self._paint = room.captured(self._folded), room.captured(self._painted)

    def forget(self) -> None:
        """The network has other weights now. Once folded, they take the place of the last ones."""
        self.statistics = None
        self._fold.forget()

    def carry(self, frames: np.ndarray, statistics: Moments) -> np.ndarray:
        with self.room.entered():
            if statistics is not self.statistics:
                self._fold(*statistics)
                self.statistics = statistics
            return self.room.fetched(self.paint(self.room.pinned(frames)))

    def paint(self, frames: Tensor) -> Tensor:
        return self._paint(frames)[0]

    def _folded(self, mean: Tensor, variance: Tensor) -> Tensors:
        self.network.statistics = None
        self.network.fold(Moments(mean, variance))
        return ()

    def _painted(self, frames: Tensor) -> Tensors:
        return (self.network(frames),)


class _Refresher:
    """The network that measures, and the room in which it does."""

    def __init__(self, network: RenewingNetwork, room: _Room) -> None:
        self._network, self._room = network, room
        self.renew = room.captured(self._renewed)

    def __call__(
        self, frame: np.ndarray, statistics: Moments, weight: float
    ) -> tuple[np.ndarray, Moments]:
        with self._room.entered():
            given = self._room.pinned(frame), *statistics, torch.tensor(weight)
            painted, mean, variance = self.renew(*given)
            moments = Moments(mean.clone(), variance.clone())
            return self._room.fetched(painted), moments

    def _renewed(self, frame: Tensor, mean: Tensor, variance: Tensor, weight: Tensor) -> Tensors:
        painted, moments = self._network(frame, Moments(mean, variance), weight)
        return painted, *moments
