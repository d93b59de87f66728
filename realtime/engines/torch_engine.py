"""PyTorch as an engine, on the CPU; torch_gpu builds on it."""

import copy
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import Lock
from typing import Literal

import numpy as np
import torch
from torch import Tensor, nn

from impasto.models.classic import ClassicNet
from impasto.models.errors import EngineError
from impasto.models.fast.norm_folding import FoldedNetwork, RenewingNetwork
from impasto.models.fast.norm_statistics import Moments, neutral
from impasto.models.fast.pixel_layouts import Layout, Planes
from impasto.models.fast.uint8_io import EightBit
from impasto.models.fast.yuv420 import Recoding
from impasto.models.styles import Weights, network_of
from impasto.models.transform_net import TransformNet
from impasto.realtime.engines.base import Engine
from impasto.realtime.engines.batches import Batches, RanOut
from impasto.realtime.frame import ColorTags

DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}


class TorchEngine(Engine):
    """PyTorch on the CPU."""

    name = "torch"

    def __init__(
        self,
        network: nn.Module | Weights,
        *,
        device: str = "cpu",
        precision: str = "fp32",
        layout: Layout | None = None,
    ) -> None:
        network = network_of(network) if isinstance(network, Weights) else network
        assert isinstance(network, TransformNet | ClassicNet)
        super().__init__(smallest=network.MARGIN + network.STRIDE)  # what reflection needs
        self.device, self.precision = device, precision
        network = self._own(network)
        self.carries = self.reads_planes = isinstance(network, TransformNet)
        if isinstance(network, TransformNet):
            self._threads = torch.get_num_threads()
            self.side_by_side = device == "cpu" and self._threads > 1
            dtype = DTYPES[precision]
            self._renewing = RenewingNetwork(network, dtype, layout)
            # Side by side, one thread may still paint with statistics that are old to the other.
            count = 2 if self.side_by_side else 1
            self._folded = [FoldedNetwork(network, dtype, layout) for _ in range(count)]
            self._users = [0] * count
            self._folding, self._refreshing = Lock(), Lock()
            self._start = neutral(sum(self._renewing.widths), device)
        else:
            self.replace(network)
        self._batches = Batches(self)

    def replace(self, network: nn.Module | Weights) -> None:
        network = self._own(network_of(network) if isinstance(network, Weights) else network)
        if isinstance(network, TransformNet):
            for fused in (self._renewing, *self._folded):
                fused.take(network)
        else:
            network = network.to(DTYPES[self.precision]).to(memory_format=torch.channels_last)
            self._plain = EightBit(network)

    def _for_planes(self, color: ColorTags) -> Engine:
        recoding = Recoding.of(color.matrix, color.full_range).to(self.device)
        return TorchEngine(
            self._renewing.network,
            device=self.device,
            precision=self.precision,
            layout=Planes(recoding),
        )

    def _own(self, network: nn.Module) -> nn.Module:
        return copy.deepcopy(network).eval().requires_grad_(False).to(self.device)

    def use_half_the_cores(self) -> None:
        # Of this thread; and the default of threads that first use PyTorch after this.
        torch.set_num_threads(self._threads // 2)

    @contextmanager
    def _folded_with(self, statistics: Moments) -> Iterator[FoldedNetwork]:
        """A network folded with these: one that is, or else one that nobody uses."""
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
    def _stylize(self, frames: np.ndarray) -> np.ndarray:
        if not self.carries:
            return self._in_batches(frames, self._plain)
        alone = [self._refresh(frame[None], self._start, 1.0)[0] for frame in frames]
        return np.concatenate(alone)

    @torch.inference_mode()
    def _carry(self, frames: np.ndarray, statistics: Moments) -> np.ndarray:
        with self._folded_with(statistics) as folded:
            return self._in_batches(frames, folded)

    @torch.inference_mode()
    def _refresh(
        self, frame: np.ndarray, statistics: Moments, weight: float
    ) -> tuple[np.ndarray, Moments]:
        renewed: list[Moments] = []

        def refresh(frames: Tensor) -> Tensor:
            stylized, moments = self._renewing(frames, statistics, weight)
            renewed.append(moments)
            return stylized

        with self._refreshing:
            return self._in_batches(frame, refresh), renewed[0]

    def _in_batches(self, frames: np.ndarray, stylize: Callable[[Tensor], Tensor]) -> np.ndarray:
        def paint(part: np.ndarray) -> np.ndarray:
            try:
                return stylize(torch.from_numpy(part).to(self.device)).cpu().numpy()
            except torch.cuda.OutOfMemoryError:
                torch.cuda.empty_cache()
                raise RanOut from None

        return self._batches(frames, paint)


def torch_device(wanted: str) -> Literal["cpu", "cuda"]:
    """ "cpu" or "cuda"; "auto" is the GPU where PyTorch has one. Raises EngineError for none."""
    there = torch.cuda.is_available()
    if wanted == "cuda" and not there:
        raise EngineError("no CUDA device is to be had here: use --device cpu")
    return "cuda" if wanted == "cuda" or (wanted == "auto" and there) else "cpu"


def precisions(device: str) -> list[str]:
    """What PyTorch computes in natively on "cpu" or "cuda", fastest first."""
    if device == "cuda":
        return ["fp16", *(["bf16"] if torch.cuda.is_bf16_supported() else []), "fp32"]
    # Asked of the processor, since oneDNN does bf16 on older ones too, by slow emulation.
    if torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported():
        return ["bf16", "fp32"]
    return ["fp32"]


def native(wanted: str, device: str) -> str:
    """`wanted`, or for "auto" the fastest. Raises EngineError for what is not native."""
    if device == "cuda" and not torch.cuda.is_available():
        raise EngineError(
            f"this PyTorch ({torch.__version__}) sees no CUDA device: install a CUDA build, use "
            "--engine onnxruntime, or --device cpu"
        )
    here = precisions(device)
    if wanted == "auto":
        return here[0]
    if wanted not in here:
        raise EngineError(
            f"this {device} does not compute in {wanted}; it does in {' and '.join(here)}"
        )
    return wanted
