"""Whether int8, or a device, paints as float32 on the CPU does."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from hashlib import sha256
from math import log10
from typing import TYPE_CHECKING, Any

import numpy as np

from impasto.models import machine_cache
from impasto.models.errors import first_line
from impasto.models.styles import StyleWeights
from impasto.realtime.engines.onnx_engine import OnnxEngine
from impasto.realtime.frame import ColorTags
from impasto.realtime.samples import SAMPLE_IMAGE

if TYPE_CHECKING:
    from torch import nn

    from impasto.realtime.engines.base import Engine
    from impasto.realtime.engines.openvino_engine import OpenVinoEngine

_MEAN_PSNR, _LEAST_PSNR = 38, 34  # dB: of all frames, and of each
_SIZE = 360, 640  # of what is compared of a frame: its middle


def int8_problem(engine: OpenVinoEngine, frames: Sequence[np.ndarray] = ()) -> str | None:
    """Why the int8 `engine` is not to be used for frames like these; None: it may be.

    frames: (H, W, 3) uint8 RGB. Both engines paint each by its own norm statistics. The sample
    picture is painted once on a machine for each network.
    """
    case = _int8_case(engine.network)
    sample = machine_cache.load(*case)
    if not isinstance(sample, float):
        sample = _psnr(engine, _sample())
        machine_cache.store(*case, value=sample)
    measured = [sample, *(_psnr(engine, frame) for frame in frames)]
    return _difference(measured, "int8", "float")


def is_compared(network: StyleWeights) -> bool:
    """Whether `int8_problem` has painted the sample picture by this network here."""
    return isinstance(machine_cache.load(*_int8_case(network)), float)


def _int8_case(network: nn.Module | StyleWeights) -> tuple[str, str]:
    return "int8 PSNR", _digest(network)


def device_problem(engine: Engine, network: nn.Module | StyleWeights) -> str | None:
    """Why `engine`, of a device, is not to be used for this network of its; None: it may be.

    Compared once on a machine for each network, as a device may fail with some weights only.
    """
    case = ("paints alike", engine.device, engine.name, engine.precision, _digest(network))
    stored = machine_cache.load(*case)
    if isinstance(stored, dict) and "problem" in stored:
        problem: str | None = stored["problem"]
        return problem
    try:
        problem = _compare(engine, OnnxEngine(network))
    except Exception as error:  # of a driver: whatever it raises
        return first_line(error)
    machine_cache.store(*case, value={"problem": problem})
    return problem


def _compare(engine: Engine, exact: Engine) -> str | None:
    """`device_problem`, measured. exact: an engine in float32 on the CPU.

    Each of the graphs that a film needs paints the sample picture: by the picture's own norm
    statistics, by given ones, and as yuv420p.
    """
    frame = _middle(_sample())[None]
    if not engine.has_running_statistics:
        painted = [(engine(frame), exact(frame))]
    else:
        right, statistics = exact.update(frame, None, 1.0)
        frozen = exact.stylize(frame, statistics)
        painted = [
            (engine.update(frame, None, 1.0)[0], right),
            (engine.stylize(frame, statistics), frozen),
        ]
        if "yuv420p" in engine.output_formats:
            color = ColorTags(matrix=1)
            yuv420 = exact.for_yuv420(color).stylize(frame, statistics)
            painted.append((engine.for_yuv420(color).stylize(frame, statistics), yuv420))
    if any(got.shape != right.shape or got.dtype != right.dtype for got, right in painted):
        return "it gives frames of another size or type than the CPU"
    return _difference([_decibels(got, right) for got, right in painted], "it", "fp32 on the CPU")


def _digest(network: nn.Module | StyleWeights) -> str:
    """The SHA-256 of a network's weights."""
    if isinstance(network, StyleWeights):
        arrays: Mapping[str, Any] = network.arrays
    else:
        arrays = {name: tensor.numpy() for name, tensor in network.state_dict().items()}
    digest = sha256()
    for name, array in sorted(arrays.items()):
        digest.update(name.encode() + np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()


def _difference(measured: Sequence[float], what: str, exact: str) -> str | None:
    """A line, if these PSNR (dB) of `what` against `exact` are too low."""
    mean, least = sum(measured) / len(measured), min(measured)
    if mean >= _MEAN_PSNR and least >= _LEAST_PSNR:
        return None
    return (
        f"{what} differs too much from {exact}: {mean:.1f} dB, at worst {least:.1f}, where "
        f"{_MEAN_PSNR} and {_LEAST_PSNR} are required"
    )


def _psnr(engine: OpenVinoEngine, frame: np.ndarray) -> float:
    image = _middle(frame)[None]
    return _decibels(engine(image), engine.exact(image))


def _decibels(painted: np.ndarray, exact: np.ndarray) -> float:
    error = float(np.square(painted.astype(np.float32) - exact).mean())
    return 10 * log10(255**2 / max(error, 1e-3))


def _middle(frame: np.ndarray) -> np.ndarray:
    height, width = (min(side, most) for side, most in zip(frame.shape, _SIZE, strict=False))
    top, left = (frame.shape[0] - height) // 2, (frame.shape[1] - width) // 2
    return frame[top : top + height, left : left + width]


def _sample() -> np.ndarray:
    from PIL import Image

    with Image.open(SAMPLE_IMAGE) as picture:
        return np.asarray(picture.convert("RGB"))
