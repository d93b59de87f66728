"""Timing of several cases in turns, and a description of the machine they ran on."""

import os
import platform
from collections.abc import Callable, Sequence
from fractions import Fraction
from statistics import median
from time import perf_counter
from typing import Any

import numpy as np

from impasto.models.machine_cache import version_of
from impasto.realtime.engines.base import Engine
from impasto.realtime.frame import Frame
from impasto.realtime.stylizer import UPDATE_INTERVAL, Stylizer

Figures = dict[str, Any]  # plain data, ready for JSON
Table = tuple[Sequence[str], list[tuple[str, ...]]]  # columns, rows


def in_turns(cases: Sequence[Callable[[], int]], rounds: int) -> list[list[float]]:
    """Seconds for each unit of work of each case, round by round, after one round to warm up.

    A case does some work and returns how many units it did. Each round runs every case once, so
    that other load on the machine affects all of them alike.
    """
    seconds: list[list[float]] = [[] for _ in cases]
    for _ in range(1 + rounds):
        for case, times in zip(cases, seconds, strict=True):
            began = perf_counter()
            count = case()
            times.append((perf_counter() - began) / count)
    return [times[1:] for times in seconds]


def rates(seconds: Sequence[float]) -> dict[str, float]:
    """Frames a second and milliseconds a frame, from the seconds a frame took in each round."""
    return {
        "fps": 1 / median(seconds),
        "ms": 1e3 * median(seconds),
        "ms_min": 1e3 * min(seconds),
        "ms_max": 1e3 * max(seconds),
    }


def stylizing(engine: Engine, size: tuple[int, int], *, folded: bool) -> Callable[[], int]:
    """A case for `in_turns`: a video of one frame of (height, width), repeated.

    folded: with running norm statistics, for as many frames as lie between two updates, so that
    each call includes one; else one frame with its own statistics.
    """
    stylizer = Stylizer(engine, is_video=folded, ahead=False)
    image = np.random.default_rng(0).integers(0, 256, (*size, 3), np.uint8)
    frame = Frame(image, 0, Fraction(1))
    count = UPDATE_INTERVAL if folded else 1
    return lambda: len(list(stylizer([[frame]] * count)))


def machine(device: str) -> Figures:
    """Processor, threads, GPU and library versions that figures were measured with."""
    import av
    import onnxruntime
    import torch

    return {
        "platform": platform.platform(),
        "processor": platform.processor() or platform.machine(),
        "vector_units": torch.backends.cpu.get_cpu_capability(),
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "gpu": torch.cuda.get_device_name() if device == "cuda" else None,
        "python": platform.python_version(),
        "torch": torch.__version__,
        "onnxruntime": onnxruntime.__version__,
        "openvino": version_of("openvino"),
        "av": av.__version__,
        "numpy": np.__version__,
    }
