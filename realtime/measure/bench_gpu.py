"""Speed of the network alone on a GPU, at several batch sizes, on frames that are there already."""

from collections.abc import Callable, Sequence
from contextlib import suppress
from time import perf_counter
from typing import Any

import numpy as np

from impasto.models.errors import EngineError
from impasto.realtime.engines.base import Engine
from impasto.realtime.engines.select import open_engine
from impasto.realtime.frame import ColorTags
from impasto.realtime.measure.timing import Figures, in_turns, rates

BATCHES = (1, 4, 16)
ENGINES = ("torch", "onnxruntime")
_SECONDS = 0.2  # of work for each figure
_BT709 = ColorTags(1, 1, 1)


def gpu_engines(network: Any) -> list[Engine]:
    """The engines that run on this machine's GPU, each in its fastest precision, giving yuv420p."""
    engines = []
    for name in ENGINES:
        with suppress(EngineError):
            engine = open_engine(network, engine=name, device="cuda")
            engines.append(engine.for_yuv420(_BT709))
    return engines


def time_on_device(
    engines: Sequence[Engine],
    size: tuple[int, int],
    *,
    batches: Sequence[int] = BATCHES,
    rounds: int = 5,
) -> list[Figures]:
    """Time each engine at each batch size, in turns; a row of plain data for each.

    size: (height, width) of RGB frames; the results are yuv420p. Norm statistics are computed once,
    before; nothing is copied from or to the host. A batch that does not fit into the GPU's memory
    has no row.
    """
    height, width = size
    rows: list[Figures] = []
    cases: list[Callable[[], int]] = []
    for batch in batches:
        random = np.random.default_rng(0)
        frames = random.integers(0, 256, (batch, height, width, 3), np.uint8)
        for engine in engines:
            with suppress(EngineError):
                _, statistics = engine.update(frames[:1], None, 1.0)
                cases.append(_repeated(engine.on_device(frames, statistics), batch))
                named = {"engine": engine.name, "precision": engine.precision}
                rows.append(named | {"width": width, "height": height, "batch": batch})
    for row, seconds in zip(rows, in_turns(cases, rounds), strict=True):
        row |= rates(seconds)
    return rows


def _repeated(work: Callable[[], None], batch: int) -> Callable[[], int]:
    """`work` repeated for about `_SECONDS`; returns how many frames that were."""
    for _ in range(4):  # the first calls compile and capture
        began = perf_counter()
        work()
    count = max(1, round(_SECONDS / (perf_counter() - began)))

    def repeat() -> int:
        for _ in range(count):
            work()
        return count * batch

    return repeat
