"""What turns a batch of pictures into stylised ones: engines, all of them called alike.

An engine takes and gives (N, H, W, 3) uint8 RGB, any N, H and W. Called as a function it looks at
each picture alone. A video is stylised with `carry`: the norm statistics that one frame needs come
from the frames before it (see models.folding), which is faster and steadier. They go in and come
out; an engine keeps nothing between frames but weights already folded.

PyTorch, ONNX Runtime (one for CPUs, one for GPUs) and OpenVINO have modules of their own, loaded
when they are wanted: PyTorch alone takes longer to load than everything else until the first frame.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from time import perf_counter
from typing import TYPE_CHECKING, Any

import numpy as np

from models.errors import EngineError, first_line
from models.styles import Weights
from realtime.engines import known_speeds
from realtime.engines.cuda import cuda_devices, cuda_name
from realtime.frame import ColorTags

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

        It takes and gives (N, 3 H / 2, W) uint8 (see models.planes), H and W even. What it gives is
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


def open_engine(
    network: nn.Module | Weights,
    *,
    engine: str = "auto",
    device: str = "auto",
    precision: str = "auto",
    size: tuple[int, int] = (360, 640),
) -> Engine:
    """An engine for `network`; "auto" is what is fastest on this machine.

    network: TransformNet or ClassicNet, float32, on the CPU, which is copied; or the weights of
    one. engine: "torch", "onnxruntime", "openvino", "tensorrt" or "auto", which times all others
    that are installed at `size` (height, width), the first time on a machine, and says so in
    `.reason`. device: "cpu" or "cuda". precision: "fp32", "bf16", "fp16", or "int8" (OpenVINO),
    which "auto" never chooses.
    Raises EngineError for what this machine does not have. A GPU that nobody asked for and that
    does not work is told in `.notes`.
    """
    device, asked = _device(device), device
    if asked == "auto" and device == "cuda":
        try:
            return open_engine(
                network, engine=engine, device="cuda", precision=precision, size=size
            )
        except EngineError as error:
            chosen = open_engine(
                network, engine=engine, device="cpu", precision=precision, size=size
            )
            chosen.notes.append(f"the GPU is not used: {error}")
            return chosen
    if engine == "auto":
        return _fastest(network, device, precision, size)
    openers = _OPENERS | _ON_REQUEST
    if engine not in openers:
        raise EngineError(f"no engine {engine!r}; there are {', '.join(openers)} and auto")
    return openers[engine](network, device, precision)


def _torch_engine(network: nn.Module | Weights, device: str, precision: str) -> Engine:
    from realtime.engines.torch_engine import TorchEngine, native

    precision = native(precision, device)
    if device == "cuda":
        from realtime.engines.torch_gpu import TorchGpuEngine

        try:
            return TorchGpuEngine(network, precision=precision)
        except EngineError:
            raise
        except RuntimeError as error:  # of the driver, or as others have all of its memory
            raise EngineError(f"PyTorch cannot use the GPU: {first_line(error)}") from error
    return TorchEngine(network, precision=precision)


def _onnx_engine(network: nn.Module | Weights, device: str, precision: str) -> Engine:
    from realtime.engines.onnx_engine import OnnxEngine

    if device == "cuda":
        return _onnx_gpu_engine(network, "cuda", precision)
    if precision not in ("auto", "fp32"):
        other = "openvino" if precision == "int8" else "torch"
        raise EngineError(f"ONNX Runtime runs in fp32 here, not {precision}; use --engine {other}")
    return OnnxEngine(network)


def _onnx_gpu_engine(network: nn.Module | Weights, provider: str, precision: str) -> Engine:
    from realtime.engines.onnx_gpu import PRECISIONS, OnnxGpuEngine

    if precision not in ("auto", *PRECISIONS):
        raise EngineError(
            f"ONNX Runtime runs in {' and '.join(PRECISIONS)} on a GPU here, not {precision}"
        )
    precision = PRECISIONS[0] if precision == "auto" else precision
    return OnnxGpuEngine(network, provider=provider, precision=precision)


def _tensorrt_engine(network: nn.Module | Weights, device: str, precision: str) -> Engine:
    if device != "cuda":
        raise EngineError("TensorRT wants an NVIDIA GPU, and --device cuda; use another --engine")
    return _onnx_gpu_engine(network, "tensorrt", precision)


def _openvino_engine(network: nn.Module | Weights, device: str, precision: str) -> Engine:
    if device != "cpu":
        raise EngineError("OpenVINO runs on the CPU here; use --device cpu, or --engine torch")
    try:
        from realtime.engines.openvino_engine import OpenVinoEngine
    except ImportError:
        raise EngineError("OpenVINO is not installed: pip install 'impasto[openvino]'") from None
    return OpenVinoEngine(network, precision=precision)


_OPENERS: dict[str, Callable[[nn.Module | Weights, str, str], Engine]] = {
    "torch": _torch_engine,
    "onnxruntime": _onnx_engine,
    "openvino": _openvino_engine,
}
_ON_REQUEST = {"tensorrt": _tensorrt_engine}  # it builds for minutes before it can be timed
_ROUNDS = 3  # of timing all engines: less than two seconds in all, once on a machine


def _fastest(
    network: nn.Module | Weights, device: str, precision: str, size: tuple[int, int]
) -> Engine:
    """Whichever was the fastest on this machine; all are timed where that is not known."""
    kind = network.form if isinstance(network, Weights) else type(network).__name__
    where = cuda_name() if device == "cuda" else device
    known = known_speeds.recall(kind, where, precision)
    if known is not None:
        try:
            chosen = _OPENERS[known.engine](network, device, precision)
        except (EngineError, ImportError):
            pass  # it is gone: look again
        else:
            chosen.reason = f"{known.reason}, when last measured"
            return chosen
    engines: list[Engine] = []
    refused: list[str] = []
    for name, opener in _OPENERS.items():
        try:
            engine = opener(network, device, precision)
            seconds_a_frame(engine, size, repeats=0)  # one that cannot paint here is none
        except (EngineError, ImportError, RuntimeError) as error:
            refused.append(f"{name}: {first_line(error)}")
        else:
            engines.append(engine)
    if not engines:
        raise EngineError(f"no engine works here. {'. '.join(refused)}")
    if len(engines) == 1:
        (only,) = engines
        only.reason = f"the only one that works here ({'. '.join(refused)})"
        if precision != "auto":
            only.reason = f"the only one that computes in {precision} here"
        return only
    winner = _raced(engines, size)
    found = known_speeds.Known(winner.name, winner.reason)
    known_speeds.remember(kind, where, precision, found=found)
    return winner


def _raced(engines: list[Engine], size: tuple[int, int]) -> Engine:
    """The fastest at (height, width); its reason says how fast each is."""
    seconds: dict[Engine, list[float]] = {engine: [] for engine in engines}
    for _ in range(_ROUNDS):  # in turns: what else the machine does falls on all of them alike
        for engine, times in seconds.items():
            times += seconds_a_frame(engine, size, repeats=2)
    fps = {engine: 1 / min(times) for engine, times in seconds.items()}
    winner, *losers = sorted(engines, key=lambda engine: -fps[engine])
    height, width = size
    winner.reason = f"{fps[winner]:.0f} fps at {width}x{height}; " + "; ".join(
        f"{loser.name} {loser.precision} {fps[loser]:.0f}" for loser in losers
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


def _device(wanted: str) -> str:
    if wanted not in ("cpu", "cuda", "auto"):
        raise EngineError(f"no device {wanted!r}; there are cpu, cuda and auto")
    if wanted == "auto":
        return "cuda" if cuda_devices() else "cpu"
    if wanted == "cuda" and not cuda_devices():
        raise EngineError(
            "no CUDA device is to be had here: check that nvidia-smi shows one, or use --device cpu"
        )
    return wanted
