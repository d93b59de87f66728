"""Frame rate and latency over the last seconds, for readouts and benchmarks."""

import math
from collections import deque
from collections.abc import Iterable


class Meter:
    """Measures the rate and the delays of frames. Times are seconds of a monotonic clock.

    window_seconds: the time that `fps` and `delay_ms` cover.
    """

    def __init__(self, window_seconds: float = 2.0) -> None:
        self.count = 0  # of all frames
        self._window = window_seconds
        self._frames: deque[tuple[float, float]] = deque()  # time, delay

    def tick(self, now: float, delay_seconds: float = 0.0) -> None:
        """Count a frame at `now`, `delay_seconds` after it was captured."""
        self.count += 1
        self._frames.append((now, delay_seconds))
        while self._frames[0][0] < now - self._window:
            self._frames.popleft()

    @property
    def fps(self) -> float:
        """Frames per second from the first to the last of the window; 0 before there are two."""
        if len(self._frames) < 2:
            return 0.0
        spread = self._frames[-1][0] - self._frames[0][0]
        return (len(self._frames) - 1) / spread if spread > 0 else 0.0

    def delay_ms(self, share: float) -> float:
        """The quantile of the delays at `share`: 0.5 is the median. 0 without frames."""
        return 1e3 * quantile((delay for _, delay in self._frames), share)


def quantile(values: Iterable[float], share: float) -> float:
    """The smallest of `values` that at least `share` (0 to 1) of them do not exceed; 0 if empty."""
    ordered = sorted(values)
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)] if ordered else 0.0
