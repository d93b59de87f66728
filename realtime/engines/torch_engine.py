"""PyTorch as an engine on the CPU or an Apple GPU; `torch_gpu` builds on it."""

import copy
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import Lock
from typing import Literal

import numpy as np
import torch
from torch import Tensor, nn

from impasto.models.errors import EngineError
from impasto.models.fast.norm_folding import FoldedNetwork, RunningNormNetwork
from impasto.models.fast.norm_statistics import NormStatistics, initial_statistics
from impasto.models.fast.running_statistics import statistics_to_tensors
from impasto.models.fast.uint8_io import Uint8Wrapper
from impasto.models.fast.yuv420 import RgbToYuv420
from impasto.models.networks import StyleNetwork
from impasto.models.styles import StyleWeights, build_network
from impasto.models.transform_net import TransformNet
from impasto.realtime.engines.base import Engine, choose_precision
from impasto.realtime.engines.batches import DeviceMemoryError, SplitBatches
from impasto.realtime.frame import ColorTags

DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}


class TorchEngine(Engine):
    """PyTorch on the CPU, or on an Apple GPU ("mps")."""

    name = "torch"

    def __init__(
        self,
        network: nn.Module | StyleWeights,
        *,
        device: str = "cpu",
        precision: str = "fp32",
        yuv420: RgbToYuv420 | None = None,
    ) -> None:
        network = build_network(network) if isinstance(network, StyleWeights) else network
        assert isinstance(network, StyleNetwork)
        super().__init__(min_size=network.MARGIN + network.STRIDE)  # for the reflection padding
        self.device, self.precision = device, precision
        network = self._copied(network)
        self.has_running_statistics = isinstance(network, TransformNet)
        if isinstance(network, TransformNet):
            self._threads = torch.get_num_threads()
            self.concurrency = 2 if device == "cpu" and self._threads > 1 else 1
            self.output_formats = frozenset({"rgb24", "yuv420p"})
            dtype = DTYPES[precision]
            self._running = RunningNormNetwork(network, dtype, yuv420)
            # One for each thread: they may use statistics of different age at the same time.
            self._folded = [FoldedNetwork(network, dtype, yuv420) for _ in range(self.concurrency)]
            self._users = [0] * self.concurrency
            self._folding, self._updating = Lock(), Lock()
            self._initial_statistics = initial_statistics(sum(self._running.channels))
        else:
            self.replace(network)
        self._split = SplitBatches(self)

    def replace(self, network: nn.Module | StyleWeights) -> None:
        network = self._copied(
            build_network(network) if isinstance(network, StyleWeights) else network
        )
        if isinstance(network, TransformNet):
            for fused in (self._running, *self._folded):
                fused.load_weights(network)
        else:
            network = network.to(DTYPES[self.precision]).to(memory_format=torch.channels_last)
            self._instance = Uint8Wrapper(network)

    def _for_yuv420(self, color: ColorTags) -> Engine:
        return TorchEngine(
            self._running.network,
            device=self.device,
            precision=self.precision,
            yuv420=RgbToYuv420.for_color_space(color.matrix, color.full_range).to(self.device),
        )

    def _copied(self, network: nn.Module) -> nn.Module:
        return copy.deepcopy(network).eval().requires_grad_(False).to(self.device)

    def limit_threads(self) -> None:
        # For this thread; and the default for threads that first use PyTorch after this.
        torch.set_num_threads(self._threads // 2)

    @contextmanager
    def _folded_with(self, statistics: NormStatistics) -> Iterator[FoldedNetwork]:
        """A network with these folded in: one that has them already, or else one not in use."""
        with self._folding:
            chosen = min(
                range(len(self._folded)),
                key=lambda i: (self._folded[i].statistics is not statistics, self._users[i]),
            )
            self._folded[chosen].fold(statistics)
            self._users[chosen] += 1
        try:
            yield self._folded[chosen]
        finally:
            with self._folding:
                self._users[chosen] -= 1

    @torch.inference_mode()
    def _stylize_instance(self, frames: np.ndarray) -> np.ndarray:
        if not self.has_running_statistics:
            return self._in_batches(frames, self._instance)
        return super()._stylize_instance(frames)

    @torch.inference_mode()
    def _stylize_frozen(self, frames: np.ndarray, statistics: NormStatistics) -> np.ndarray:
        with self._folded_with(statistics) as folded:
            return self._in_batches(frames, folded)

    @torch.inference_mode()
    def _stylize_running(
        self, frame: np.ndarray, statistics: NormStatistics, momentum: float
    ) -> tuple[np.ndarray, NormStatistics]:
        new: list[NormStatistics] = []

        def run(frames: Tensor) -> Tensor:
            old = statistics_to_tensors(statistics, self.device)
            stylized, updated = self._running(frames, old, momentum)
            new.append(NormStatistics(*(x.cpu().numpy() for x in updated)))
            return stylized

        with self._updating:
            return self._in_batches(frame, run), new[0]

    def _in_batches(self, frames: np.ndarray, network: Callable[[Tensor], Tensor]) -> np.ndarray:
        def run(batch: np.ndarray) -> np.ndarray:
            try:
                return network(torch.from_numpy(batch).to(self.device)).cpu().numpy()
            except torch.cuda.OutOfMemoryError:
                torch.cuda.empty_cache()
                raise DeviceMemoryError from None
            except RuntimeError as error:  # PyTorch has no class of its own for it on a Mac
                if self.device != "mps" or "out of memory" not in str(error):
                    raise
                torch.mps.empty_cache()
                raise DeviceMemoryError from None

        return self._split(frames, run)


def resolve_device(device: str) -> Literal["cpu", "cuda"]:
    """The device that "cpu", "cuda" or "auto" stands for: "auto" is the GPU if PyTorch has one.

    Raises EngineError for "cuda" if PyTorch has none.
    """
    has_cuda = torch.cuda.is_available()
    if device == "cuda" and not has_cuda:
        raise EngineError("PyTorch found no CUDA device: use --device cpu")
    return "cuda" if has_cuda and device in ("cuda", "auto") else "cpu"


def precisions(device: str) -> list[str]:
    """What PyTorch computes in natively on "cpu", "cuda" or "mps", fastest first."""
    if device == "mps":
        return ["fp16", "fp32"]
    if device == "cuda":
        return ["fp16", *(["bf16"] if torch.cuda.is_bf16_supported() else []), "fp32"]
    # The processor is asked, since oneDNN emulates bf16 on older ones, slowly.
    if torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported():
        return ["bf16", "fp32"]
    return ["fp32"]


def resolve_precision(precision: str, device: str) -> str:
    """`precision`, or for "auto" the fastest of `device`. Raises EngineError if it has no such."""
    if device == "cuda" and not torch.cuda.is_available():
        raise EngineError(
            f"PyTorch {torch.__version__} found no CUDA device: install a CUDA build of it, use "
            "--engine onnxruntime, or --device cpu"
        )
    native = precisions(device)
    return choose_precision(precision, native, engine="PyTorch", device=device)
