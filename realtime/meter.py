"""How fast frames come, and how late: over the last seconds, for read-outs and for benchmarks."""

import math
from collections import deque
from collections.abc import Iterable


class Meter:
    """Times and delays of frames. Times are of one monotonic clock, in seconds, never descending.

    window_seconds: what `fps` and `delay_ms` look back on, and what is kept.
    """

    def __init__(self, window_seconds: float = 2.0) -> None:
        self.count = 0  # frames ever
        self._window = window_seconds
        self._frames: deque[tuple[float, float]] = deque()  # when, and how late

    def tick(self, now: float, delay_seconds: float = 0.0) -> None:
        """A frame at `now`, so long after it was captured."""
        self.count += 1
        self._frames.append((now, delay_seconds))
        while self._frames[0][0] < now - self._window:
            self._frames.popleft()

    @property
    def fps(self) -> float:
        """Frames a second between the first and the last of the window; 0 before there are two."""
        if len(self._frames) < 2:
            return 0.0
        spread = self._frames[-1][0] - self._frames[0][0]
        return (len(self._frames) - 1) / spread if spread > 0 else 0.0

    def delay_ms(self, share: float) -> float:
        """The delay that `share` of the frames do not exceed: 0.5 is the median. 0 without any."""
        return 1e3 * quantile((delay for _, delay in self._frames), share)


def quantile(values: Iterable[float], share: float) -> float:
    """The smallest of `values` that at least `share` (0 to 1) of them do not exceed; 0 of none."""
    ordered = sorted(values)
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)] if ordered else 0.0
