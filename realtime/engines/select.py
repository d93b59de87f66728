"""Opens an engine by name, or the fastest one on this machine."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from time import perf_counter
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from impasto.models.errors import EngineError, first_line
from impasto.models.styles import StyleWeights
from impasto.realtime.engines import autotune_cache, devices
from impasto.realtime.engines.base import Engine
from impasto.realtime.engines.cuda import cuda_name

if TYPE_CHECKING:
    from torch import nn


class EngineChoice(NamedTuple):
    """An engine's name, the precision asked of it, and a device: "" for the CPU, or a CUDA one."""

    engine: str
    precision: str
    device: str = ""

    def __str__(self) -> str:
        parts = (self.device, self.engine, self.precision) if self.device else self[:2]
        return ":".join(parts)


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
    that are installed (but TensorRT) at `size` (height, width), on a CPU at 320x180 at most, once
    on a machine; `.reason` has their speeds. device: one of `devices.NAMES`. The experimental ones,
    and those of them that "auto" finds without a CUDA device, are used where they paint the sample
    picture as the CPU does in float32, and are faster; else the CPU is, and `.notes` has the
    reason. precision: "fp32",
    "bf16", "fp16", "int8" (OpenVINO only) or "auto". int8 is used where it paints `frames`,
    (H, W, 3) uint8 RGB of what is to be stylized, and the sample picture as float does (see
    `fidelity`); else float is, and says why.
    Raises EngineError for what this machine does not have. Where device is "auto" and the CUDA
    device cannot be used, the engine runs on the CPU, and `.notes` has the reason.
    """
    devices.require(device)
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
    candidates = _candidates(engine, device, precision)
    if device == "cpu" and asked != "cpu":
        candidates += _on_experimental_devices(asked, engine, precision)
    opened = _fastest(network, device, candidates, size, retry=asked in devices.EXPERIMENTAL)
    if opened.device in devices.EXPERIMENTAL:
        from impasto.realtime.engines.fidelity import device_problem

        if problem := device_problem(opened, network):  # with these weights, if not with others
            name = f"{opened.device} {opened.precision}"
            opened = open_engine(network, device="cpu", **options)
            opened.notes.append(f"{name} is left out: {problem}")
            return opened
    if opened.precision != "int8":
        return opened
    return _in_int8_if_alike(opened, network, device, candidates, size, frames)


def open_known_engine(weights: StyleWeights, *, engine: str) -> Engine | None:
    """As `open_engine` on the CPU, where nothing has to be timed or compared; else None."""
    from impasto.realtime.engines.fidelity import is_compared

    stored = autotune_cache.load(*_case(weights, "cpu", _candidates(engine, "cpu", "auto")))
    if stored is None or (stored.precision == "int8" and not is_compared(weights)):
        return None
    return open_engine(weights, engine=engine, device="cpu")


def _candidates(engine: str, device: str, precision: str) -> list[EngineChoice]:
    """What may be the fastest on "cpu" or "cuda"."""
    names = list(_OPENERS) if engine == "auto" else [engine]
    candidates = [EngineChoice(name, precision) for name in names]
    if precision == "auto" and device == "cpu" and "openvino" in names:
        candidates.append(EngineChoice("openvino", "int8"))
    return candidates


def _on_experimental_devices(asked: str, engine: str, precision: str) -> list[EngineChoice]:
    """The candidates on the device asked for; for "auto" on all that this machine may have.

    Raises EngineError for an engine or a precision that the device asked for does not have.
    """
    found = []
    for device in devices.EXPERIMENTAL.values():
        precisions = [p for p in device.precisions if precision in ("auto", p)]
        if asked == device.name and engine not in ("auto", device.engine):
            raise EngineError(f"{asked} is used by {device.engine}: use --engine auto")
        if asked == device.name and not precisions:
            has = " or ".join(device.precisions)
            raise EngineError(f"{asked} computes in {has}, not {precision}")
        if asked == device.name or (
            asked == "auto" and engine in ("auto", device.engine) and device.likely()
        ):
            found += [EngineChoice(device.engine, p, device.name) for p in precisions]
    return found


def _in_int8_if_alike(
    int8: Any,
    network: nn.Module | StyleWeights,
    device: str,
    candidates: Sequence[EngineChoice],
    size: tuple[int, int],
    frames: Sequence[np.ndarray],
) -> Engine:
    """The engine `int8`, or if it paints another picture, the fastest of the float candidates."""
    from impasto.realtime.engines.fidelity import int8_problem

    problem = int8_problem(int8, frames)
    if problem is None:
        int8.release()  # up to 100 MB; a film's graphs are compiled for its own size
        return int8
    exact = [candidate for candidate in candidates if candidate.precision != "int8"]
    opened: Engine = _fastest(network, device, exact, size) if exact else int8.exact
    opened.notes.append(problem)
    return opened


def _torch_engine(network: nn.Module | StyleWeights, device: str, precision: str) -> Engine:
    from impasto.realtime.engines.torch_engine import TorchEngine, resolve_precision

    precision = resolve_precision(precision, device)
    if device == "mps":
        return TorchEngine(network, device=device, precision=precision)
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
    if device != "cpu":
        from impasto.realtime.engines.onnx_device import OnnxDeviceEngine

        return OnnxDeviceEngine(network, device=device)
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
    if device == "cuda":
        raise EngineError("OpenVINO does not use CUDA; use --device cpu, or --engine torch")
    try:
        from impasto.realtime.engines.openvino_engine import OpenVinoEngine
    except ImportError:
        raise EngineError("OpenVINO is not installed: pip install 'impasto[openvino]'") from None
    return OpenVinoEngine(network, device=device, precision=precision)


_OPENERS: dict[str, Callable[[nn.Module | StyleWeights, str, str], Engine]] = {
    "torch": _torch_engine,
    "onnxruntime": _onnx_engine,
    "openvino": _openvino_engine,
}
_ON_REQUEST = {"tensorrt": _tensorrt_engine}  # it builds for minutes before it can be timed
_CRAWLS = 2  # times as long as the CPU: a device's frame is not timed again
_ROUNDS = 3  # of timing all engines, once on a machine
_TIMED_AREA = 320 * 180  # px: on a CPU the order is that of larger frames, which would take long


def _fastest(
    network: nn.Module | StyleWeights,
    device: str,
    candidates: Sequence[EngineChoice],
    size: tuple[int, int],
    *,
    retry: bool = False,
) -> Engine:
    """The candidate that is stored as the fastest on this machine; if none is, all are timed.

    device: "cpu" or "cuda", of the candidates that name none. retry: time all of them, too, if the
    fastest is none of those that name a device.
    """
    if len(candidates) == 1:
        return _open(network, candidates[0], device)
    case = _case(network, device, candidates)
    stored = autotune_cache.load(*case)
    if stored is not None and (stored.device or not retry):
        with suppress(EngineError, ImportError, KeyError):  # no longer installed, or broken
            return _open_stored(network, stored, device, size)
    named = [candidate for candidate in candidates if candidate.device]
    unnamed = [candidate for candidate in candidates if not candidate.device]
    known = stored if retry and stored is not None and not stored.device else None
    if known is not None:  # only the devices are tried again
        unnamed = [EngineChoice(known.engine, known.precision)]
    if device == "cpu":
        size = _reduced(size)
    engines, refused = _open_all(network, unnamed, device, size)
    left_out = _try_devices(network, named, engines, size, retry=retry)
    if not engines:
        raise EngineError(f"no engine works here. {'. '.join([*refused, *left_out])}")
    if len(engines) > 1:
        fastest, slower = _time_engines(engines, size)
        left_out += slower
    else:
        (fastest,) = engines
        fastest.reason = f"the only one that works here ({'. '.join(refused)})"
        if known is not None and fastest.device == device:
            fastest.reason = known.reason
        elif all(candidate.precision != "auto" for candidate in candidates):
            fastest.reason = f"the only one that computes in {fastest.precision} here"
    if left_out:
        fastest.notes.append("; ".join(left_out))
    if len(engines) > 1 or named:
        on_device = fastest.device if fastest.device in devices.EXPERIMENTAL else ""
        found = fastest.name, fastest.precision, fastest.reason, on_device, "; ".join(left_out)
        autotune_cache.store(*case, result=autotune_cache.AutotuneResult(*found))
    return fastest


def _reduced(size: tuple[int, int]) -> tuple[int, int]:
    """(height, width) of the same shape, of at most `_TIMED_AREA`."""
    factor = min(1.0, (_TIMED_AREA / (size[0] * size[1])) ** 0.5)
    return round(factor * size[0]), round(factor * size[1])


def _case(
    network: nn.Module | StyleWeights, device: str, candidates: Sequence[EngineChoice]
) -> tuple[str, str, str]:
    """What the fastest candidate is stored under."""
    kind = getattr(network, "architecture", type(network).__name__)
    processor = cuda_name() if device == "cuda" else device
    return kind, processor, " ".join(map(str, candidates))


def _open_stored(
    network: nn.Module | StyleWeights,
    stored: autotune_cache.AutotuneResult,
    device: str,
    size: tuple[int, int],
) -> Engine:
    """Open the engine that was the fastest. Raises EngineError for a device that fails now."""
    candidate = EngineChoice(stored.engine, stored.precision, stored.device)
    if not stored.device:
        engine = _open(network, candidate, device)
    elif devices.ended_the_program(stored.device):
        raise EngineError(f"the driver of {stored.device} ended the program the last time")
    else:
        try:
            with devices.guarded(stored.device):
                engine = _open(network, candidate, device)
                seconds_per_frame(engine, size, repeats=0)  # it may fail at this size
        except Exception as error:  # of a driver: whatever it raises
            raise EngineError(first_line(error)) from error
    engine.reason = f"{stored.reason}, when last measured"
    if stored.left_out:
        engine.notes.append(stored.left_out)
    return engine


def _open_all(
    network: nn.Module | StyleWeights,
    candidates: Sequence[EngineChoice],
    device: str,
    size: tuple[int, int],
) -> tuple[list[Engine], list[str]]:
    """The candidates that stylize a frame of this size on `device`, and why others do not."""
    engines: list[Engine] = []
    refused: dict[str, str] = {}  # a reason for each engine, in whatever precision
    for candidate in candidates:
        try:
            engine = _open(network, candidate, device)
            seconds_per_frame(engine, size, repeats=0)  # some open, and fail at the first frame
        except (EngineError, ImportError, RuntimeError) as error:
            refused.setdefault(candidate.engine, first_line(error))
        else:
            engines.append(engine)
    return engines, [f"{name}: {reason}" for name, reason in refused.items()]


def _open(network: nn.Module | StyleWeights, candidate: EngineChoice, device: str) -> Engine:
    """Open a candidate; on `device`, if it names none."""
    name, precision, named = candidate
    return (_OPENERS | _ON_REQUEST)[name](network, named or device, precision)


def _try_devices(
    network: nn.Module | StyleWeights,
    candidates: Sequence[EngineChoice],
    engines: list[Engine],
    size: tuple[int, int],
    *,
    retry: bool,
) -> list[str]:
    """Append to `engines` those of the candidates that paint right and do not crawl.

    engines: on the CPU, warm. retry: try those, too, that ended the program the last time. Returns
    a line for each of the others; but nothing about devices that are not there.
    """
    there = {name for name in {c.device for c in candidates} if not devices.problem_with(name)}
    tried = [candidate for candidate in candidates if candidate.device in there]
    cpu = [min(seconds_per_frame(engine, size, repeats=2)) for engine in engines if tried]
    left_out: list[str] = []
    for candidate in tried:
        name, device = f"{candidate.device} {candidate.precision}", candidate.device
        if devices.ended_the_program(device) and not retry:
            problem = "its driver ended the program the last time, or did not answer"
            left_out.append(f"{name} is left out: {problem}; --device {device} tries again")
            continue
        try:
            with devices.guarded(device):
                engine = _open(network, candidate, device)
                engines.append(_checked(engine, network, size, min(cpu, default=None)))
        except Exception as error:  # of a driver: whatever it raises
            left_out.append(f"{name} is left out: {first_line(error)}")
    return left_out


def _checked(
    engine: Engine,
    network: nn.Module | StyleWeights,
    size: tuple[int, int],
    cpu_seconds: float | None,
) -> Engine:
    """`engine`, of a device. Raises EngineError if it crawls, or paints another picture.

    cpu_seconds: what the CPU takes for a frame of `size`.
    """
    from impasto.realtime.engines.fidelity import device_problem

    (seconds,) = seconds_per_frame(engine, size, repeats=1)
    if cpu_seconds is not None and seconds > _CRAWLS * cpu_seconds:
        raise EngineError(_slower(seconds, cpu_seconds))
    if problem := device_problem(engine, network):
        raise EngineError(problem)
    return engine


def _time_engines(engines: list[Engine], size: tuple[int, int]) -> tuple[Engine, list[str]]:
    """The fastest engine at (height, width); its `reason` gets the speeds of all.

    Also a line for each device that is slower than the CPU.
    """
    seconds: dict[Engine, list[float]] = {engine: [] for engine in engines}
    for _ in range(_ROUNDS):  # in turns, so that other load on the machine slows all of them alike
        for engine, times in seconds.items():
            times += seconds_per_frame(engine, size, repeats=2)
    fps = {engine: 1 / min(times) for engine, times in seconds.items()}
    fastest, *others = sorted(engines, key=lambda engine: -fps[engine])
    height, width = size
    fastest.reason = f"{fps[fastest]:.0f} fps at {width}x{height}; " + "; ".join(
        f"{_named(other)} {fps[other]:.0f}" for other in others
    )
    slower = [other for other in others if other.device in devices.EXPERIMENTAL]
    if fastest.device in devices.EXPERIMENTAL:
        slower = []
    return fastest, [
        f"{other.device} {other.precision} is left out: {_slower(1 / fps[other], 1 / fps[fastest])}"
        for other in slower
    ]


def _slower(seconds: float, cpu_seconds: float) -> str:
    return f"{1 / seconds:.1f} fps, where the CPU has {1 / cpu_seconds:.1f}"


def _named(engine: Engine) -> str:
    """The engine and its precision; its device, if it is an experimental one."""
    device = f" on {engine.device}" if engine.device in devices.EXPERIMENTAL else ""
    return f"{engine.name} {engine.precision}{device}"


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
    """ "cpu" or "cuda": what the engines that need no trial run on, for any of `devices.NAMES`."""
    return "cuda" if device == "cuda" or (device == "auto" and devices.cuda_devices()) else "cpu"
