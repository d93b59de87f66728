"""Opens an engine by name, or the fastest one on this machine."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from time import perf_counter
from typing import TYPE_CHECKING, Any

import numpy as np

from impasto.models.errors import EngineError, first_line
from impasto.models.styles import StyleWeights
from impasto.realtime.engines import autotune_cache
from impasto.realtime.engines.base import Engine
from impasto.realtime.engines.cuda import cuda_devices, cuda_name

if TYPE_CHECKING:
    from torch import nn

Candidate = tuple[str, str]  # an engine's name, and the precision asked of it


def open_engine(
    network: nn.Module | StyleWeights,
    *,
    engine: str = "auto",
    device: str = "auto",
    precision: str = "auto",
    size: tuple[int, int] = (360, 640),
    frames: Sequence[np.ndarray] = (),
) -> Engine:
    """Open an engine for `network`; "auto" is what is fastest on this machine.

    network: TransformNet or ClassicNet, float32, on the CPU, which is copied; or the weights of
    one. engine: "torch", "onnxruntime", "openvino", "tensorrt" or "auto", which times all of them
    that are installed (but TensorRT) at `size` (height, width), once on a machine; `.reason` has
    their speeds. device: "cpu", "cuda" or "auto". precision: "fp32", "bf16", "fp16", "int8"
    (OpenVINO only) or "auto". int8 is used where it paints `frames`, (H, W, 3) uint8 RGB of what is
    to be stylized, and the sample picture as float does (see `fidelity`); else float is, and says
    why.
    Raises EngineError for what this machine does not have. Where device is "auto" and the GPU
    cannot be used, the engine runs on the CPU, and `.notes` has the reason.
    """
    asked, device = device, _device(device)
    options: Any = {"engine": engine, "precision": precision, "size": size, "frames": frames}
    if asked == "auto" and device == "cuda":
        try:
            return open_engine(network, device="cuda", **options)
        except EngineError as error:
            opened = open_engine(network, device="cpu", **options)
            opened.notes.append(f"the GPU is not used: {error}")
            return opened
    openers = _OPENERS | _ON_REQUEST
    if engine not in (*openers, "auto"):
        raise EngineError(f"unknown engine {engine!r}; use {', '.join(openers)} or auto")
    names = list(_OPENERS) if engine == "auto" else [engine]
    candidates = [(name, precision) for name in names]
    if precision == "auto" and device == "cpu" and "openvino" in names:
        candidates.append(("openvino", "int8"))
    opened = _fastest(network, device, candidates, size)
    if opened.precision != "int8":
        return opened
    return _in_int8_if_alike(opened, network, device, candidates, size, frames)


def _in_int8_if_alike(
    int8: Any,
    network: nn.Module | StyleWeights,
    device: str,
    candidates: list[Candidate],
    size: tuple[int, int],
    frames: Sequence[np.ndarray],
) -> Engine:
    """The engine `int8`, or if it paints another picture, the fastest of the float candidates."""
    from impasto.realtime.engines.fidelity import int8_problem

    problem = int8_problem(int8, frames)
    if problem is None:
        return int8
    exact = [candidate for candidate in candidates if candidate[1] != "int8"]
    opened: Engine = _fastest(network, device, exact, size) if exact else int8.exact
    opened.notes.append(problem)
    return opened


def _torch_engine(network: nn.Module | StyleWeights, device: str, precision: str) -> Engine:
    from impasto.realtime.engines.torch_engine import TorchEngine, resolve_precision

    precision = resolve_precision(precision, device)
    if device == "cuda":
        from impasto.realtime.engines.torch_gpu import TorchGpuEngine

        try:
            return TorchGpuEngine(network, precision=precision)
        except EngineError:
            raise
        except RuntimeError as error:  # of the driver, or as others have all of its memory
            raise EngineError(f"PyTorch cannot use the GPU: {first_line(error)}") from error
    return TorchEngine(network, precision=precision)


def _onnx_engine(network: nn.Module | StyleWeights, device: str, precision: str) -> Engine:
    from impasto.realtime.engines.onnx_engine import OnnxEngine

    if device == "cuda":
        return _onnx_gpu_engine(network, "cuda", precision)
    if precision not in ("auto", "fp32"):
        other = "openvino" if precision == "int8" else "torch"
        raise EngineError(
            f"ONNX Runtime runs in fp32 on a CPU, not {precision}: use --engine {other}"
        )
    return OnnxEngine(network)


def _onnx_gpu_engine(network: nn.Module | StyleWeights, provider: str, precision: str) -> Engine:
    from impasto.realtime.engines.onnx_gpu import PRECISIONS, OnnxGpuEngine

    if precision not in ("auto", *PRECISIONS):
        raise EngineError(
            f"ONNX Runtime runs in {' and '.join(PRECISIONS)} on a GPU, not {precision}"
        )
    precision = PRECISIONS[0] if precision == "auto" else precision
    return OnnxGpuEngine(network, provider=provider, precision=precision)


def _tensorrt_engine(network: nn.Module | StyleWeights, device: str, precision: str) -> Engine:
    if device != "cuda":
        raise EngineError("TensorRT needs an NVIDIA GPU and --device cuda; use another --engine")
    return _onnx_gpu_engine(network, "tensorrt", precision)


def _openvino_engine(network: nn.Module | StyleWeights, device: str, precision: str) -> Engine:
    if device != "cpu":
        raise EngineError("OpenVINO runs on the CPU only; use --device cpu, or --engine torch")
    try:
        from impasto.realtime.engines.openvino_engine import OpenVinoEngine
    except ImportError:
        raise EngineError("OpenVINO is not installed: pip install 'impasto[openvino]'") from None
    return OpenVinoEngine(network, precision=precision)


_OPENERS: dict[str, Callable[[nn.Module | StyleWeights, str, str], Engine]] = {
    "torch": _torch_engine,
    "onnxruntime": _onnx_engine,
    "openvino": _openvino_engine,
}
_ON_REQUEST = {"tensorrt": _tensorrt_engine}  # it builds for minutes before it can be timed
_ROUNDS = 3  # of timing all engines: less than two seconds in all, once on a machine


def _fastest(
    network: nn.Module | StyleWeights,
    device: str,
    candidates: list[Candidate],
    size: tuple[int, int],
) -> Engine:
    """The candidate that is stored as the fastest on this machine; if none is, all are timed."""
    openers = _OPENERS | _ON_REQUEST
    if len(candidates) == 1:
        ((name, precision),) = candidates
        return openers[name](network, device, precision)
    kind = getattr(network, "architecture", type(network).__name__)
    processor = cuda_name() if device == "cuda" else device
    case = kind, processor, " ".join(f"{name}:{precision}" for name, precision in candidates)
    stored = autotune_cache.load(*case)
    if stored is not None:
        try:
            fastest = openers[stored.engine](network, device, stored.precision)
        except (EngineError, ImportError, KeyError):
            pass  # no longer installed, or broken: time the others
        else:
            fastest.reason = f"{stored.reason}, when last measured"
            return fastest
    engines: list[Engine] = []
    refused: dict[str, str] = {}
    for name, precision in candidates:
        try:
            engine = openers[name](network, device, precision)
            seconds_per_frame(engine, size, repeats=0)  # some open, and fail at the first frame
        except (EngineError, ImportError, RuntimeError) as error:
            refused.setdefault(name, first_line(error))
        else:
            engines.append(engine)
    reasons = ". ".join(f"{name}: {reason}" for name, reason in refused.items())
    if not engines:
        raise EngineError(f"no engine works here. {reasons}")
    if len(engines) == 1:
        (only,) = engines
        only.reason = f"the only one that works here ({reasons})"
        if all(precision != "auto" for _, precision in candidates):
            only.reason = f"the only one that computes in {only.precision} here"
        return only
    fastest = _time_engines(engines, size)
    result = autotune_cache.AutotuneResult(fastest.name, fastest.precision, fastest.reason)
    autotune_cache.store(*case, result=result)
    return fastest


def _time_engines(engines: list[Engine], size: tuple[int, int]) -> Engine:
    """The fastest engine at (height, width); its `reason` gets the speeds of all."""
    seconds: dict[Engine, list[float]] = {engine: [] for engine in engines}
    for _ in range(_ROUNDS):  # in turns, so that other load on the machine slows all of them alike
        for engine, times in seconds.items():
            times += seconds_per_frame(engine, size, repeats=2)
    fps = {engine: 1 / min(times) for engine, times in seconds.items()}
    fastest, *others = sorted(engines, key=lambda engine: -fps[engine])
    height, width = size
    fastest.reason = f"{fps[fastest]:.0f} fps at {width}x{height}; " + "; ".join(
        f"{other.name} {other.precision} {fps[other]:.0f}" for other in others
    )
    return fastest


def seconds_per_frame(engine: Engine, size: tuple[int, int], *, repeats: int = 3) -> list[float]:
    """Time `repeats` single frames of (height, width), as in a video, after one to warm up.

    A GPU has finished when the frame is back on the host, so nothing else has to be waited for.
    """
    height, width = size
    frame = np.random.default_rng(0).integers(0, 256, (1, height, width, 3), np.uint8)
    statistics = engine.update(frame, None, 1.0)[1] if engine.has_running_statistics else None
    seconds = []
    for _ in range(1 + repeats):
        began = perf_counter()
        if statistics is None:
            engine(frame)
        else:
            engine.stylize(frame, statistics)
        seconds.append(perf_counter() - began)
    return seconds[1:]


def _device(device: str) -> str:
    if device not in ("cpu", "cuda", "auto"):
        raise EngineError(f"unknown device {device!r}; use cpu, cuda or auto")
    if device == "auto":
        return "cuda" if cuda_devices() else "cpu"
    if device == "cuda" and not cuda_devices():
        raise EngineError(
            "no CUDA device found: check that nvidia-smi shows one, or use --device cpu"
        )
    return device
