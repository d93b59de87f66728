"""Callbacks by which long work reports its progress."""

from collections.abc import Callable
from time import perf_counter

OnProgress = Callable[[int, int | None, float], None]  # done, in all (None: unknown), a second
StartStage = Callable[[str, str], OnProgress]  # the name of a stage, and the unit of its rate


def with_rate(on_progress: OnProgress) -> Callable[[int, int | None], None]:
    """A callback of (done, in all) that passes on the rate since now, too."""
    began = perf_counter()
    return lambda done, total: on_progress(done, total, done / max(perf_counter() - began, 1e-6))
