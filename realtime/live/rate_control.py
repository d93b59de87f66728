"""Holds a frame rate: skips frames that come too fast, and stylizes at a smaller scale."""

from collections import deque
from statistics import median

SCALES = (1.0, 0.875, 0.75, 0.625, 0.5, 0.375, 0.25)  # of the frame's height and width
_LOWER_ABOVE = 0.95  # share of the frame period spent stylizing: one scale down
_RAISE_BELOW = 0.8  # share that the next larger scale would need: one scale up
_LOWER_AFTER = 0.5  # seconds of evidence
_RAISE_AFTER = 3.0


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

    Down quickly, up slowly: one step down after half a second over the frame period; one step up
    after three seconds in which the next larger scale would have fitted with room to spare. If a
    step up turns out wrong, the next try waits twice as long, so that the scale does not
    oscillate. The cost at another scale is predicted from the area.
    """

    def __init__(self, fps: float) -> None:
        self._period = 1 / fps
        self._step = 0
        self._recent: deque[tuple[float, float]] = deque()  # time, seconds spent
        self._since = 0.0  # time of the last change
        self._patience = _RAISE_AFTER
        self._raised = False  # the last change was a step up

    @property
    def value(self) -> float:
        """One of SCALES."""
        return SCALES[self._step]

    def update(self, now: float, seconds: float) -> None:
        """Account for a frame stylized at the present scale: done at `now`, in `seconds`."""
        self._recent.append((now, seconds))
        if not self._since:
            self._since = now
        while self._recent[0][0] < now - 1.0 and len(self._recent) > 3:
            self._recent.popleft()
        spent, waited = median(s for _, s in self._recent), now - self._since
        if spent > _LOWER_ABOVE * self._period:
            if waited >= _LOWER_AFTER and self._step < len(SCALES) - 1:
                if self._raised:
                    self._patience *= 2
                self._change(self._step + 1, now, raised=False)
        elif self._step and waited >= self._patience:
            growth = (SCALES[self._step - 1] / self.value) ** 2
            if spent * growth < _RAISE_BELOW * self._period:
                self._change(self._step - 1, now, raised=True)

    def _change(self, step: int, now: float, *, raised: bool) -> None:
        self._step, self._since, self._raised = step, now, raised
        self._recent.clear()
