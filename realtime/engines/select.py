"""Opens engines by name, or the fastest one on this machine."""

from __future__ import annotations

from collections.abc import Callable
from time import perf_counter
from typing import TYPE_CHECKING

import numpy as np

from impasto.models.errors import EngineError, first_line
from impasto.models.styles import Weights
from impasto.realtime.engines import autotune_cache
from impasto.realtime.engines.base import Engine
from impasto.realtime.engines.cuda import cuda_devices, cuda_name

if TYPE_CHECKING:
    from torch import nn


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
    from impasto.realtime.engines.torch_engine import TorchEngine, native

    precision = native(precision, device)
    if device == "cuda":
        from impasto.realtime.engines.torch_gpu import TorchGpuEngine

        try:
            return TorchGpuEngine(network, precision=precision)
        except EngineError:
            raise
        except RuntimeError as error:  # of the driver, or as others have all of its memory
            raise EngineError(f"PyTorch cannot use the GPU: {first_line(error)}") from error
    return TorchEngine(network, precision=precision)


def _onnx_engine(network: nn.Module | Weights, device: str, precision: str) -> Engine:
    from impasto.realtime.engines.onnx_engine import OnnxEngine

    if device == "cuda":
        return _onnx_gpu_engine(network, "cuda", precision)
    if precision not in ("auto", "fp32"):
        other = "openvino" if precision == "int8" else "torch"
        raise EngineError(f"ONNX Runtime runs in fp32 here, not {precision}; use --engine {other}")
    return OnnxEngine(network)


def _onnx_gpu_engine(network: nn.Module | Weights, provider: str, precision: str) -> Engine:
    from impasto.realtime.engines.onnx_gpu import PRECISIONS, OnnxGpuEngine

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
        from impasto.realtime.engines.openvino_engine import OpenVinoEngine
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
    known = autotune_cache.recall(kind, where, precision)
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
    found = autotune_cache.Known(winner.name, winner.reason)
    autotune_cache.remember(kind, where, precision, found=found)
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
