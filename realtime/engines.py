"""PyTorch, ONNX Runtime, identity: what turns a batch of pictures into stylised ones, called alike.

An engine takes and gives (N, H, W, 3) uint8 RGB, any N, H and W. Called as a function it looks at
each picture alone. A video is stylised with `carry`: the norm statistics that one frame needs come
from the frames before it (see models.folding), which is faster and steadier. They go in and come
out; an engine keeps nothing between frames but weights already folded.
"""

from __future__ import annotations

import copy
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import Lock
from time import perf_counter
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor, nn

from models.classic import ClassicNet
from models.eight_bit import EightBit
from models.errors import EngineError
from models.folding import FoldedNetwork, RenewingNetwork
from models.layouts import Layout, Planes
from models.moments import Moments, neutral
from models.planes import Recoding
from models.transform_net import TransformNet
from realtime.frame import ColorTags

if TYPE_CHECKING:
    from export.onnx_graph import NormStatistics

DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}


class Engine(ABC):
    """What all engines have in common: their names, and sizes below what a network can take."""

    name: str
    device: str
    precision: str
    reason: str = "as asked"  # why this engine, in a line
    carries: bool = False  # whether `carry` and `refresh` are there
    side_by_side: bool = False  # whether two threads may call it at once, and gain by it
    reads_planes: bool = False  # whether `for_planes` is there

    def __init__(self, smallest: int) -> None:
        self.smallest = smallest  # px a side that the network takes
        self.notes: list[str] = []  # what a user should be told, a line each; may grow

    def __call__(self, frames: np.ndarray) -> np.ndarray:
        """Stylise each picture by itself."""
        height, width = frames.shape[1:3]
        return self._stylize(self._enlarged(frames))[:, :height, :width]

    def carry(self, frames: np.ndarray, statistics: Moments) -> np.ndarray:
        """Stylise every frame with these norm statistics."""
        height, width = frames.shape[1:3]
        return self._carry(self._enlarged(frames), statistics)[:, :height, :width]

    def refresh(
        self, frame: np.ndarray, statistics: Moments | None, weight: float
    ) -> tuple[np.ndarray, Moments]:
        """Stylise one frame, (1, H, W, 3), with `statistics` moved towards its own by `weight`.

        Returns these too. None: the frame's own alone, as for the first of a scene.
        """
        height, width = frame.shape[1:3]
        if statistics is None:
            statistics, weight = self._start, 1.0
        stylized, renewed = self._refresh(self._enlarged(frame), statistics, weight)
        return stylized[:, :height, :width], renewed

    @abstractmethod
    def replace(self, network: nn.Module) -> None:
        """Paint with `network`, of the same kind and form, from the next frame on.

        Statistics of the one before say nothing about it: the next call is `refresh` with None.
        Not while another thread is using the engine. PyTorch only takes over the weights; ONNX
        Runtime builds its sessions anew.
        """

    def for_planes(self, color: ColorTags) -> Engine:
        """An engine of the same network, for frames that are planes of these colours.

        It takes and gives (N, 3 H / 2, W) uint8 (see models.planes), so that nothing converts from
        and to RGB: the weights of the first layer and the last do. Chroma is read as it is stored,
        one sample for 2x2 pixels.
        """
        raise EngineError(f"the {self.name} engine reads RGB only")

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

    _start: Moments

    def _carry(self, frames: np.ndarray, statistics: Moments) -> np.ndarray:
        raise EngineError(f"the {self.name} engine carries no statistics for this network")

    def _refresh(
        self, frame: np.ndarray, statistics: Moments, weight: float
    ) -> tuple[np.ndarray, Moments]:
        raise EngineError(f"the {self.name} engine carries no statistics for this network")


class IdentityEngine(Engine):
    """Gives every picture back: what the rest of the program costs without a network."""

    name, device, precision = "identity", "cpu", "uint8"

    def __init__(self) -> None:
        super().__init__(smallest=1)

    def replace(self, network: nn.Module) -> None:
        pass

    def _stylize(self, frames: np.ndarray) -> np.ndarray:
        return frames.copy()


class TorchEngine(Engine):
    """PyTorch on the CPU or a CUDA device."""

    name = "torch"

    def __init__(
        self,
        network: nn.Module,
        *,
        device: str = "cpu",
        precision: str = "fp32",
        layout: Layout | None = None,
    ) -> None:
        super().__init__(_smallest(network))
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
        self._batch = 64  # no more at once; less after running out of the device's memory

    def replace(self, network: nn.Module) -> None:
        network = self._own(network)
        if isinstance(network, TransformNet):
            for fused in (self._renewing, *self._folded):
                fused.take(network)
        else:
            network = network.to(DTYPES[self.precision]).to(memory_format=torch.channels_last)
            self._plain = EightBit(network)

    def for_planes(self, color: ColorTags) -> Engine:
        recoding = Recoding.of(color.matrix, color.full_range).to(self.device)
        engine = TorchEngine(
            self._renewing.network,
            device=self.device,
            precision=self.precision,
            layout=Planes(recoding),
        )
        engine.notes = self.notes
        return engine

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
        """Through `stylize` in batches the device has memory for.

        Batches are for GPUs: on the CPU a frame of four takes about as long as one alone (640x360:
        6.0 against 6.2 ms).
        """
        stylized: list[np.ndarray] = []
        while (done := sum(map(len, stylized))) < len(frames):
            part = torch.from_numpy(frames[done : done + self._batch])
            try:
                stylized.append(stylize(part.to(self.device)).cpu().numpy())
            except torch.cuda.OutOfMemoryError:
                self._use_less_memory(len(part))
        return stylized[0] if len(stylized) == 1 else np.concatenate(stylized)

    def _use_less_memory(self, batch: int) -> None:
        torch.cuda.empty_cache()
        if batch == 1:
            raise EngineError(
                f"one frame does not fit into the memory of {self.device}; "
                "use a smaller --size, or --device cpu"
            ) from None
        self._batch = batch // 2
        self.notes.append(f"{self.device} ran out of memory: batches of {self._batch} from here on")


class OnnxEngine(Engine):
    """ONNX Runtime on the CPU or a CUDA device, in float32.

    Carried statistics are inputs here, applied beside the convolutions: 18 ms at 640x360 where
    those of each frame take 21. Folded into the weights it would be 14, but then every refresh
    would need a new session (20 ms; seconds on a GPU).
    """

    name, precision = "onnxruntime", "fp32"

    def __init__(self, network: nn.Module, *, device: str = "cpu") -> None:
        super().__init__(_smallest(network))
        self.device = device
        self.carries = isinstance(network, TransformNet)
        self.replace(network)
        if self.carries:
            self._start = neutral(self._carried.get_inputs()[1].shape[0])

    def replace(self, network: nn.Module) -> None:
        self._own = _session(network, "own", self.device)
        if self.carries:
            self._carried = _session(network, "carried", self.device)
            self._renewed = _session(network, "renewed", self.device)

    def _stylize(self, frames: np.ndarray) -> np.ndarray:
        return _run(self._own, frames=frames)[0]

    def _carry(self, frames: np.ndarray, statistics: Moments) -> np.ndarray:
        mean, variance = (x.numpy() for x in statistics)
        return _run(self._carried, frames=frames, mean=mean, variance=variance)[0]

    def _refresh(
        self, frame: np.ndarray, statistics: Moments, weight: float
    ) -> tuple[np.ndarray, Moments]:
        mean, variance = (x.numpy() for x in statistics)
        stylized, *renewed = _run(
            self._renewed, frames=frame, mean=mean, variance=variance, weight=np.float32(weight)
        )
        return stylized, Moments(*(torch.from_numpy(x) for x in renewed))


def _run(session: Any, **inputs: Any) -> list[np.ndarray]:
    return session.run(None, {name: np.asarray(x, order="C") for name, x in inputs.items()})


def _session(network: nn.Module, statistics: NormStatistics, device: str) -> Any:
    """A session that runs where it was told to. ONNX Runtime itself would fall back in silence."""
    import onnxruntime

    from export.onnx_graph import build_model

    provider = {"cpu": "CPUExecutionProvider", "cuda": "CUDAExecutionProvider"}[device]
    options = onnxruntime.SessionOptions()
    # Said outright, since threads it counts itself it also pins to cores, where other stages run.
    options.intra_op_num_threads = torch.get_num_threads()
    # Nor may idle threads spin: what PyTorch, the decoder or the encoder does next would take up to
    # six times as long (measured with two cores), and ONNX Runtime itself gains nothing.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    onnxruntime.set_default_logger_severity(4)  # a provider that fails is told below, in one line
    if provider in onnxruntime.get_available_providers():
        model = build_model(network, statistics).SerializeToString()
        session = onnxruntime.InferenceSession(model, options, providers=[provider])
        if provider in session.get_providers():
            return session
    raise EngineError(
        f"ONNX Runtime has no working {provider} here; install onnxruntime-gpu with the CUDA and "
        "cuDNN that it names, or use --engine torch"
    )


def open_engine(
    network: nn.Module,
    *,
    engine: str = "auto",
    device: str = "auto",
    precision: str = "auto",
    size: tuple[int, int] = (360, 640),
) -> Engine:
    """An engine for `network`; "auto" is what is fastest on this machine.

    network: TransformNet or ClassicNet, float32, on the CPU; it is copied. engine: "torch",
    "onnxruntime" or "auto", which times both at `size` (height, width) and says so in `.reason`.
    device: "cpu" or "cuda". precision: "fp32", "bf16" or "fp16".
    Raises EngineError for what this machine does not have.
    """
    device = _device(device)
    if engine == "torch":
        return TorchEngine(network, device=device, precision=_precision(precision, device))
    if engine == "onnxruntime":
        if precision not in ("auto", "fp32"):
            raise EngineError(
                f"ONNX Runtime runs in fp32 here, not {precision}; use --engine torch"
            )
        return OnnxEngine(network, device=device)
    if engine != "auto":
        raise EngineError(f"no engine {engine!r}; there are torch, onnxruntime and auto")
    chosen: Engine = TorchEngine(network, device=device, precision=_precision(precision, device))
    if precision not in ("auto", "fp32"):
        chosen.reason = f"only torch runs in {precision}"
        return chosen
    return _faster(chosen, network, size)


def _faster(ours: Engine, network: nn.Module, size: tuple[int, int]) -> Engine:
    """`ours` or ONNX Runtime, whichever is faster at this size, with the reason."""
    try:
        other = OnnxEngine(network, device=ours.device)
    except (EngineError, ImportError) as error:
        ours.reason = f"the only one that works here ({error})"
        return ours
    speeds = {engine: 1 / min(seconds_a_frame(engine, size)) for engine in (ours, other)}
    winner, loser = sorted(speeds, key=lambda engine: -speeds[engine])
    height, width = size
    winner.reason = (
        f"{speeds[winner]:.0f} fps at {width}x{height}; "
        f"{loser.name} {loser.precision} {speeds[loser]:.0f}"
    )
    return winner


def seconds_a_frame(engine: Engine, size: tuple[int, int], *, repeats: int = 3) -> list[float]:
    """How long single frames of (height, width) take, as in a video, after a first one to warm up.

    A GPU has finished when the frame is back on the host, so there is nothing else to wait for.
    """
    height, width = size
    frame = np.random.default_rng(0).integers(0, 256, (1, height, width, 3), np.uint8)
    statistics = engine.refresh(frame, None, 1.0)[1] if engine.carries else None
    seconds = []
    for _ in range(1 + repeats):
        began = perf_counter()
        if statistics is None:
            engine(frame)
        else:
            engine.carry(frame, statistics)
        seconds.append(perf_counter() - began)
    return seconds[1:]


def precisions(device: str) -> list[str]:
    """What PyTorch computes in natively on "cpu" or "cuda", fastest first."""
    if device == "cuda":
        return ["fp16", *(["bf16"] if torch.cuda.is_bf16_supported() else []), "fp32"]
    # Asked of the processor, since oneDNN does bf16 on older ones too, by slow emulation.
    if torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported():
        return ["bf16", "fp32"]
    return ["fp32"]


def _device(wanted: str) -> str:
    if wanted == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    if wanted == "cuda" and not torch.cuda.is_available():
        raise EngineError(
            "no CUDA device is to be had here: check nvidia-smi and that this PyTorch is a CUDA "
            f"build (it is {torch.__version__}), or use --device cpu"
        )
    if wanted not in ("cpu", "cuda"):
        raise EngineError(f"no device {wanted!r}; there are cpu, cuda and auto")
    return wanted


def _precision(wanted: str, device: str) -> str:
    native = precisions(device)
    if wanted == "auto":
        return native[0]
    if wanted not in native:
        raise EngineError(
            f"this {device} does not compute in {wanted}; it does in {' and '.join(native)}"
        )
    return wanted


def _smallest(network: nn.Module) -> int:
    """Px a side that reflection by the network's margin needs."""
    assert isinstance(network, TransformNet | ClassicNet)
    return network.MARGIN + network.STRIDE
