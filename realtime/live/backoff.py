"""Growing pauses between attempts to reach a camera or a receiver that was lost."""

from collections.abc import Callable, Sequence
from math import inf
from time import monotonic


class Backoff:
    """How long to wait before each new attempt.

    pauses: seconds, in turn; the last one repeats. After a connection that held for
    `steady_seconds` they start over. clock: seconds, never set back.
    """

    def __init__(
        self,
        pauses: Sequence[float],
        *,
        steady_seconds: float,
        clock: Callable[[], float] = monotonic,
    ) -> None:
        self._pauses, self._steady_seconds, self._clock = pauses, steady_seconds, clock
        self._failures = 0  # in a row
        self._connected_at = inf  # inf: not connected

    def connected(self) -> None:
        """Call when a connection begins."""
        self._connected_at = self._clock()

    def next_pause(self) -> float:
        """Call when a connection is lost, or an attempt at one failed; returns seconds to wait."""
        if self._clock() - self._connected_at >= self._steady_seconds:
            self._failures = 0
        self._connected_at = inf
        pause = self._pauses[min(self._failures, len(self._pauses) - 1)]
        self._failures += 1
        return pause
