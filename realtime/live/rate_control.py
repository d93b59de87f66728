"""Holds a frame rate: skips frames that come too fast, and stylizes at a smaller scale."""

from collections import deque
from collections.abc import Sequence
from statistics import median

SCALES = (1.0, 0.875, 0.75, 0.625, 0.5, 0.375, 0.25)  # of the frame's height and width
_LOWER_ABOVE = 0.95  # share of the frame period spent on a frame, over which the scale goes down
_RAISE_BELOW = 0.8  # share that a larger scale may be predicted to take
_EVIDENCE = 1.0  # seconds of which the median counts
_LOWER_AFTER, _RAISE_AFTER = 0.5, 1.0  # seconds at one scale
_PROVED_AFTER = 10.0  # seconds after which a step up was right
_MAX_WAIT = 120.0  # seconds


class Throttle:
    """Lets frames through at no more than `fps`, evenly, at whatever rate they come.

    A camera's clock jitters, so a frame may come early by 0.4 frame periods; the time it was due,
    not the time it came, sets when the next one is due.
    """

    def __init__(self, fps: float) -> None:
        self._period = 1 / fps
        self._due = float("-inf")

    def passes(self, now: float) -> bool:
        """Whether to show the frame of time `now` (seconds)."""
        if now < self._due - 0.4 * self._period:
            return False
        late = now - self._due >= self._period  # after a pause: start over
        self._due = (now if late else self._due) + self._period
        return True


class AdaptiveScale:
    """The scale to stylize at, chosen so that a frame takes no longer than 1 / `fps`.

    Down after half a second over the frame period, up after a second in which a larger scale would
    have fitted with room to spare; at once to the largest one that fits. What a frame takes at
    another scale is predicted: the network by the area, the rest as constant. A scale that turned
    out too large is tried again later and later, so that it does not oscillate.
    """

    def __init__(self, fps: float) -> None:
        self._period = 1 / fps
        self._recent: deque[tuple[float, float, float]] = deque()  # time, in all, constant part
        self._since: float | None = None  # time of the first frame at this scale
        self._raised = False  # to this scale, and not long ago
        self._too_large: dict[float, tuple[float, float]] = {}  # until when; the wait, in seconds
        self.value: float = SCALES[0]  # one of SCALES

    def update(self, now: float, seconds: float, constant: float = 0.0) -> None:
        """Account for a frame stylized at the present scale.

        now: when it was done. seconds: that it took in all; constant: of these, what every scale
        would take.
        """
        self._recent.append((now, seconds, constant))
        self._since = now if self._since is None else self._since
        while self._recent[0][0] < now - _EVIDENCE and len(self._recent) > 3:
            self._recent.popleft()
        waited = now - self._since
        spent = median(seconds for _, seconds, _ in self._recent)
        constant = min(spent, median(constant for _, _, constant in self._recent))
        if self._raised and waited > _PROVED_AFTER:
            self._raised = False
            self._too_large.pop(self.value, None)
        if spent > _LOWER_ABOVE * self._period:
            if waited >= _LOWER_AFTER and self.value > SCALES[-1]:
                if self._raised:
                    _, last = self._too_large.get(self.value, (0.0, _RAISE_AFTER))
                    wait = min(2 * last, _MAX_WAIT)
                    self._too_large[self.value] = now + wait, wait
                smaller = [scale for scale in SCALES if scale < self.value]
                self._change(self._largest(smaller, spent, constant, _LOWER_ABOVE), raised=False)
        elif waited >= _RAISE_AFTER:
            refused = [scale for scale, (until, _) in self._too_large.items() if now < until]
            larger = [scale for scale in SCALES if self.value < scale < min(refused, default=2)]
            scale = self._largest([*larger, self.value], spent, constant, _RAISE_BELOW)
            if scale > self.value:
                self._change(scale, raised=True)

    def _largest(
        self, scales: Sequence[float], spent: float, constant: float, share: float
    ) -> float:
        """The first of `scales`, largest first, predicted to take this share of the period."""
        for scale in scales:
            seconds = constant + (spent - constant) * (scale / self.value) ** 2
            if seconds < share * self._period:
                return scale
        return scales[-1]

    def _change(self, scale: float, *, raised: bool) -> None:
        self.value, self._since, self._raised = scale, None, raised
        self._recent.clear()
