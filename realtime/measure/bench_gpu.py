"""How fast our network alone is on a GPU: frames that are there already, at several batch sizes."""

from collections.abc import Callable, Sequence
from contextlib import suppress
from statistics import median
from time import perf_counter
from typing import Any

import numpy as np

from impasto.models.errors import EngineError
from impasto.realtime.engines.base import Engine
from impasto.realtime.engines.select import open_engine
from impasto.realtime.frame import ColorTags

BATCHES = (1, 4, 16)
ENGINES = ("torch", "onnxruntime")
_SECONDS = 0.2  # of work for each figure
_BT709 = ColorTags(1, 1, 1)


def gpu_engines(network: Any) -> list[Engine]:
    """Those that work here, each in its fastest precision, giving yuv420p."""
    found = []
    for name in ENGINES:
        with suppress(EngineError):
            engine = open_engine(network, engine=name, device="cuda")
            found.append(engine.for_yuv420(_BT709))
    return found


def time_on_device(
    engines: Sequence[Engine],
    size: tuple[int, int],
    *,
    batches: Sequence[int] = BATCHES,
    rounds: int = 5,
) -> list[dict[str, Any]]:
    """A row an engine and batch, in turns; frames of (height, width), frozen statistics.

    Nothing is copied from or to the host, and nothing measured anew. A batch that the GPU has no
    memory for has no row. Rows are plain data, ready for JSON.
    """
    height, width = size
    rows: list[dict[str, Any]] = []
    works: list[Callable[[], None]] = []
    for batch in batches:
        random = np.random.default_rng(0)
        frames = random.integers(0, 256, (batch, height, width, 3), np.uint8)
        for engine in engines:
            with suppress(EngineError):
                _, statistics = engine.update(frames[:1], None, 1.0)
                works.append(engine.on_device(frames, statistics))
                named = {"engine": engine.name, "precision": engine.precision}
                rows.append(named | {"width": width, "height": height, "batch": batch})
    times: list[list[float]] = [[] for _ in works]
    repeats = [_repeats(work) for work in works]
    for _ in range(rounds):
        for work, count, seconds, row in zip(works, repeats, times, rows, strict=True):
            began = perf_counter()
            for _ in range(count):
                work()
            seconds.append((perf_counter() - began) / (count * row["batch"]))
    for row, seconds in zip(rows, times, strict=True):
        row |= rates(seconds)
    return rows


def rates(seconds: Sequence[float]) -> dict[str, float]:
    """Frames a second, and milliseconds a frame, from the seconds that one took in each round."""
    return {
        "fps": 1 / median(seconds),
        "ms": 1e3 * median(seconds),
        "ms_min": 1e3 * min(seconds),
        "ms_max": 1e3 * max(seconds),
    }


def _repeats(work: Callable[[], None]) -> int:
    """How often it is to run for one figure; after it has been captured."""
    for _ in range(4):
        began = perf_counter()
        work()
    return max(1, round(_SECONDS / (perf_counter() - began)))
