"""PyTorch as an engine on an NVIDIA GPU: CUDA graphs, and copies beside computation."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from threading import Condition, Lock

import numpy as np
import torch
from torch import Tensor, nn

from impasto.models.fast.norm_folding import FoldedNetwork, RunningNormNetwork
from impasto.models.fast.norm_statistics import NormStatistics
from impasto.models.fast.running_statistics import statistics_to_tensors
from impasto.models.fast.yuv420 import RgbToYuv420
from impasto.models.styles import StyleWeights
from impasto.realtime.engines.base import Engine
from impasto.realtime.engines.batches import DeviceMemoryError
from impasto.realtime.engines.cuda_graphs import Capture, GraphedFunction, Tensors, cuda_graph
from impasto.realtime.engines.torch_engine import DTYPES, TorchEngine
from impasto.realtime.frame import ColorTags

_WORKERS = 2  # at once: one copies frames while the other computes

_capturing = Lock()  # one at a time in a process


class TorchGpuEngine(TorchEngine):
    """PyTorch on a GPU, in float16, bfloat16 or float32, channels last.

    Several threads may call it at once. Each has its own stream, on which its frames are
    copied to the GPU, stylized and copied back, through pinned memory and without waiting in
    between; so the copies of one run beside the computation of another.

    device: "cpu" is for tests. capture: how kernels are recorded.
    """

    def __init__(
        self,
        network: nn.Module | StyleWeights,
        *,
        device: str = "cuda",
        precision: str = "fp16",
        yuv420: RgbToYuv420 | None = None,
        capture: Capture = cuda_graph,
    ) -> None:
        self._workers: list[_Worker] = []
        super().__init__(network, device=device, precision=precision, yuv420=yuv420)
        self.capture = capture
        if device == "cuda":
            # Seek the fastest way to convolve: a frame's shape stays.
            torch.backends.cudnn.benchmark = True
        if self.has_running_statistics:
            self.concurrency = _WORKERS + 1  # and one that updates statistics, on its own stream
            self.input_devices = frozenset({"cpu", "cuda"})
            own, dtype = self._running.network, DTYPES[precision]
            self._folded = [FoldedNetwork(own, dtype, yuv420) for _ in range(_WORKERS)]
            self._workers = [_Worker(folded, self._context()) for folded in self._folded]
            self._free = list(self._workers)
            self._changed = Condition()
            self._updater = _UpdateWorker(self._running, self._context())
        self._synchronize()

    def replace(self, network: nn.Module | StyleWeights) -> None:
        super().replace(network)
        if self._workers:
            for worker in self._workers:
                worker.reset()
            self._updater.run.reset()
        self._synchronize()

    def _for_yuv420(self, color: ColorTags) -> Engine:
        return TorchGpuEngine(
            self._running.network,
            device=self.device,
            precision=self.precision,
            yuv420=RgbToYuv420.for_color_space(color.matrix, color.full_range).to(self.device),
            capture=self.capture,
        )

    def limit_threads(self) -> None:
        """Nothing to do: the GPU computes."""

    def on_device(self, frames: np.ndarray, statistics: NormStatistics) -> Callable[[], None]:
        worker = self._workers[0]
        with torch.inference_mode():
            on_gpu = torch.from_numpy(frames).to(self.device)
            worker.stylize(frames, statistics)

        @torch.inference_mode()
        def run() -> None:
            with worker.context.entered():
                worker.run(on_gpu)
                worker.context.synchronize()

        return run

    @torch.inference_mode()
    def _stylize_frozen(self, frames: np.ndarray, statistics: NormStatistics) -> np.ndarray:
        with self._worker_with(statistics) as worker:
            return self._split(frames, lambda batch: worker.stylize(batch, statistics))

    @torch.inference_mode()
    def _stylize_running(
        self, frame: np.ndarray, statistics: NormStatistics, momentum: float
    ) -> tuple[np.ndarray, NormStatistics]:
        new: list[NormStatistics] = []

        def run(frame: np.ndarray) -> np.ndarray:
            stylized, updated = self._updater(frame, statistics, momentum)
            new.append(updated)
            return stylized

        with self._updating:
            return self._split(frame, run), new[0]

    @contextmanager
    def _worker_with(self, statistics: NormStatistics) -> Iterator[_Worker]:
        """A worker not in use; one with these statistics, if there is any."""
        with self._changed:
            self._changed.wait_for(lambda: self._free)
            worker = min(self._free, key=lambda worker: worker.statistics is not statistics)
            self._free.remove(worker)
        try:
            yield worker
        finally:
            with self._changed:
                self._free.append(worker)
                self._changed.notify()

    def _context(self) -> _StreamContext:
        return _StreamContext(self.device, self.capture, self._note)

    def _note(self, line: str) -> None:
        if line not in self.notes:
            self.notes.append(line)

    def _synchronize(self) -> None:
        """Wait for the set-up on the default stream, since the other streams do not."""
        if self.device == "cuda":
            torch.cuda.synchronize()


class _StreamContext:
    """A CUDA stream, the functions that run on it, and the copies from and to the host.

    On a CPU there is no stream, and all of it works without.
    """

    def __init__(self, device: str, capture: Capture, log: Callable[[str], None]) -> None:
        self.device, self._capture, self._log = device, capture, log
        self._stream = torch.cuda.Stream() if device == "cuda" else None
        self._functions: list[GraphedFunction] = []

    def graphed(self, function: Callable[..., Tensors]) -> GraphedFunction:
        """`function`, captured as a CUDA graph, one at a time in the process."""

        def capture(run: Callable[[], Tensors]) -> tuple[Callable[[], object], Tensors]:
            with _capturing:
                return self._capture(run)

        self._functions.append(GraphedFunction(function, self.device, capture, self._log))
        return self._functions[-1]

    @contextmanager
    def entered(self) -> Iterator[None]:
        """Make its stream the current one.

        Raises DeviceMemoryError, after freeing the memory of the graphs.
        """
        current: AbstractContextManager = nullcontext()
        if self._stream is not None:
            self._stream.wait_stream(torch.cuda.current_stream())  # where frames may come from
            current = torch.cuda.stream(self._stream)
        try:
            with current:
                yield
        except torch.cuda.OutOfMemoryError:
            for function in self._functions:
                function.reset()
            torch.cuda.empty_cache()
            raise DeviceMemoryError from None

    def synchronize(self) -> None:
        """Wait until all work on the stream is done."""
        if self._stream is not None:
            self._stream.synchronize()

    def pinned(self, frames: np.ndarray | Tensor) -> Tensor:
        """Frames in pinned memory, copied from without blocking; those on a GPU as they are."""
        if isinstance(frames, Tensor):
            return frames
        tensor = torch.from_numpy(frames)
        return tensor if self._stream is None else tensor.pin_memory()

    def to_host(self, *tensors: Tensor) -> list[np.ndarray]:
        """Copies on the host, after waiting for all work on the stream."""
        pinned = self._stream is not None
        copies = [torch.empty(x.shape, dtype=x.dtype, pin_memory=pinned) for x in tensors]
        for copy, x in zip(copies, tensors, strict=True):
            copy.copy_(x, non_blocking=True)
        self.synchronize()
        return [copy.numpy() for copy in copies]


class _Worker:
    """A network with folded statistics, and the stream it runs on for one thread at a time."""

    def __init__(self, network: FoldedNetwork, context: _StreamContext) -> None:
        self.network, self.context = network, context
        self.statistics: NormStatistics | None = None
        self._fold, self._run = context.graphed(self._folded), context.graphed(self._stylized)

    def reset(self) -> None:
        """After the network got other weights: fold them, in place, before the next frame."""
        self.statistics = None
        self._fold.reset()

    def stylize(self, frames: np.ndarray, statistics: NormStatistics) -> np.ndarray:
        with self.context.entered():
            if statistics is not self.statistics:
                self._fold(*statistics_to_tensors(statistics))
                self.statistics = statistics
            (stylized,) = self.context.to_host(self.run(self.context.pinned(frames)))
            return stylized

    def run(self, frames: Tensor) -> Tensor:
        return self._run(frames)[0]

    def _folded(self, mean: Tensor, variance: Tensor) -> Tensors:
        self.network.statistics = None
        self.network.fold(NormStatistics(mean, variance))
        return ()

    def _stylized(self, frames: Tensor) -> Tensors:
        return (self.network(frames),)


class _UpdateWorker:
    """The network that updates running statistics, and the stream it runs on."""

    def __init__(self, network: RunningNormNetwork, context: _StreamContext) -> None:
        self._network, self._context = network, context
        self.run = context.graphed(self._updated)

    def __call__(
        self, frame: np.ndarray, statistics: NormStatistics, momentum: float
    ) -> tuple[np.ndarray, NormStatistics]:
        with self._context.entered():
            old = statistics_to_tensors(statistics)
            outputs = self.run(self._context.pinned(frame), *old, torch.tensor(momentum))
            stylized, mean, variance = self._context.to_host(*outputs)
            return stylized, NormStatistics(mean, variance)

    def _updated(self, frame: Tensor, mean: Tensor, variance: Tensor, momentum: Tensor) -> Tensors:
        stylized, updated = self._network(frame, NormStatistics(mean, variance), momentum)
        return stylized, *updated
