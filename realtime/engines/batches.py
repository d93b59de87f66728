"""Frames in batches that a device has memory for."""

from collections.abc import Callable

import numpy as np

from impasto.models.errors import EngineError
from impasto.realtime.engines.base import Engine

_MOST = 64


class RanOut(Exception):
    """A device has no memory left for so many frames at once."""


class Batches:
    """Hands frames on in batches, smaller ones after the device ran out of memory.

    Batches are for GPUs: on the CPU a frame of four takes about as long as one alone (640x360: 6.0
    against 6.2 ms).
    """

    def __init__(self, engine: Engine) -> None:
        self._engine, self._most = engine, _MOST

    def __call__(self, frames: np.ndarray, paint: Callable[[np.ndarray], np.ndarray]) -> np.ndarray:
        """All of `frames` through `paint`, which may raise RanOut. Raises EngineError."""
        painted: list[np.ndarray] = []
        while (done := sum(map(len, painted))) < len(frames):
            part = frames[done : done + self._most]
            try:
                painted.append(paint(part))
            except RanOut:
                self._use_less(len(part))
        return painted[0] if len(painted) == 1 else np.concatenate(painted)

    def _use_less(self, batch: int) -> None:
        device = self._engine.device
        if batch == 1:
            raise EngineError(
                f"one frame does not fit into the memory of {device}; "
                "use a smaller --size, or --device cpu"
            ) from None
        self._most = batch // 2
        self._engine.notes.append(
            f"{device} ran out of memory: batches of {self._most} from here on"
        )
