"""Holds a frame rate: by letting frames go by, and by painting them smaller."""

from collections import deque
from statistics import median

SCALES = (1.0, 0.875, 0.75, 0.625, 0.5, 0.375, 0.25)  # of the frame's height and width
_LOWER_ABOVE = 0.95  # of a frame's time, spent on painting it: a step smaller
_RAISE_BELOW = 0.8  # of it, that the next larger step would take: a step larger
_LOWER_AFTER = 0.5  # seconds of evidence
_RAISE_AFTER = 3.0


class Throttle:
    """Lets frames through at no more than `fps`, evenly, whatever rate they come at.

    A camera's clock trembles, so a frame may come early by four tenths of its time; the
    time it was due, not the one it came, sets when the next one is.
    """

    def __init__(self, fps: float) -> None:
        self._period = 1 / fps
        self._due = float("-inf")

    def passes(self, now: float) -> bool:
        """Whether the frame of this time (seconds) is one to show."""
        if now < self._due - 0.4 * self._period:
            return False
        late = now - self._due >= self._period  # after a pause, begin anew
        self._due = (now if late else self._due) + self._period
        return True


class Pace:
    """Chooses the scale to paint at, so that a frame takes no longer than 1 / `fps`.

    Down quickly, up slowly: after half a second over time one step down; after three seconds in
    which the next step up would have fitted, with room to spare, one step up. Where a step up
    turned out wrong, the next try waits twice as long, so that it does not swing. Work grows with
    the area, so the time at another scale is known well enough from this one's.
    """

    def __init__(self, fps: float) -> None:
        self._period = 1 / fps
        self._step = 0
        self._recent: deque[tuple[float, float]] = deque()  # when, and seconds it took
        self._since = 0.0  # when the scale last changed
        self._patience = _RAISE_AFTER
        self._raised = False  # the last change was a step up

    @property
    def scale(self) -> float:
        """One of SCALES."""
        return SCALES[self._step]

    def tell(self, now: float, seconds: float) -> None:
        """A frame was painted at the present scale by `now`, in so many seconds."""
        self._recent.append((now, seconds))
        if not self._since:
            self._since = now
        while self._recent[0][0] < now - 1.0 and len(self._recent) > 3:
            self._recent.popleft()
        took, waited = median(s for _, s in self._recent), now - self._since
        if took > _LOWER_ABOVE * self._period:
            if waited >= _LOWER_AFTER and self._step < len(SCALES) - 1:
                if self._raised:
                    self._patience *= 2
                self._go(self._step + 1, now, raised=False)
        elif self._step and waited >= self._patience:
            growth = (SCALES[self._step - 1] / self.scale) ** 2
            if took * growth < _RAISE_BELOW * self._period:
                self._go(self._step - 1, now, raised=True)

    def _go(self, step: int, now: float, *, raised: bool) -> None:
        self._step, self._since, self._raised = step, now, raised
        self._recent.clear()
