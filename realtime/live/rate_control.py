"""Holds a frame rate: skips frames that come too fast, paints fewer of them, and smaller."""

from collections import deque
from collections.abc import Iterable, Sequence
from statistics import mean, median
from typing import NamedTuple

SCALES = (1.0, 0.875, 0.75, 0.625, 0.5, 0.375, 0.25)  # of the frame's height and width
_LOWER_ABOVE = 0.92  # share of the frame period spent on a frame, over which it goes down: camera,
# window and recording take the same cores
_RAISE_BELOW = 0.8  # share that a larger scale may be predicted to take
_LOWER_EVIDENCE, _RAISE_EVIDENCE = 1.0, 2.0  # seconds of which the mean counts
_LOWER_AFTER, _RAISE_AFTER = 0.5, 1.0  # seconds at one scale
_WARM_UP = 2  # frames at one scale that count for nothing: graphs take their memory
_HELD_AFTER = 3.0  # seconds after which a step is one to begin with the next time
_PROVED_AFTER = 30.0  # seconds after which a step up was right
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


class Step(NamedTuple):
    """How to paint: at `scale` of the height and width, every `every`-th frame."""

    scale: float
    every: int


class Cost(NamedTuple):
    """What a painted frame took."""

    time: float  # when it was done
    seconds: float  # in all
    constant: float  # of these, what every scale takes
    scaling: float  # of these, what every scale but the full one takes


# Largest cost first. Paint moved to the next two frames (see `moved_paint`) is nearer to paint of
# full size, and costs less, than paint of a smaller size for every second frame.
STEPS = (Step(1.0, 1), Step(1.0, 2), *(Step(scale, 3) for scale in SCALES))
_MOVING_SECONDS = 0.015  # assumed for a moved frame before one was measured, without scaling
_SCALING_SECONDS = 0.006  # likewise, for any frame where paint is not of full size


class AdaptiveScale:
    """How to paint, so that a frame takes no longer than 1 / `fps`: in full, or less (see STEPS).

    Less after half a second over the frame period, more after a second in which it would have
    fitted with room to spare; at once the most that fits. What a step takes is predicted: the
    network by the area, the rest as constant, but frames painted in full are not scaled. A step
    that turned out to be too much is tried again later and later, so that it does not oscillate.
    """

    def __init__(self, fps: float) -> None:
        self.fps, self._period = fps, 1 / fps
        self._recent: deque[Cost] = deque()
        self._scaling = _SCALING_SECONDS  # at the last scale that was not the full one
        self._moving: deque[float] = deque([_MOVING_SECONDS], maxlen=9)  # seconds a moved frame
        self._since: float | None = None  # time of the first frame at this step
        self._frames = 0  # painted at this step
        self.held = False  # the present step, for some seconds
        self._raised = False  # to this step, and not long ago
        self._too_much: dict[Step, tuple[float, float]] = {}  # until when; the wait, in seconds
        self.step = STEPS[0]

    @property
    def value(self) -> float:
        """The scale to stylize at: one of SCALES."""
        return self.step.scale

    def begin_at(self, step: Step) -> None:
        """Go on with a step that has held the rate before."""
        self._change(step, raised=False)

    def update_moved(self, seconds: float, scaling: float = 0.0) -> None:
        """Account for a frame to which paint was moved, in `seconds`. scaling: as for `update`."""
        self._moving.append(seconds - scaling)

    def update(
        self, now: float, seconds: float, constant: float = 0.0, scaling: float = 0.0
    ) -> None:
        """Account for a frame painted at the present step.

        now: when it was done. seconds: that it took in all; constant: of these, what every scale
        would take; scaling: of these, what every scale but the full one would take.
        """
        self._frames += 1
        if self._frames <= _WARM_UP:
            return
        self._recent.append(Cost(now, seconds, constant, scaling))
        if self.step.scale < 1:
            self._scaling = _mean(cost.scaling for cost in self._recent)
        self._since = now if self._since is None else self._since
        while self._recent[0].time < now - _RAISE_EVIDENCE and len(self._recent) > 3:
            self._recent.popleft()
        waited = now - self._since
        self.held = waited >= _HELD_AFTER
        if self._raised and waited > _PROVED_AFTER:
            self._raised = False
            self._too_much.pop(self.step, None)
        latest = [cost for cost in self._recent if cost.time >= now - _LOWER_EVIDENCE]
        if self._share(self.step, latest) > _LOWER_ABOVE:
            if waited >= _LOWER_AFTER and self.step is not STEPS[-1]:
                self._lower(now, latest)
        elif waited >= _RAISE_AFTER:
            self._raise(now)

    def _lower(self, now: float, costs: Sequence[Cost]) -> None:
        if self._raised:
            _, last = self._too_much.get(self.step, (0.0, _RAISE_AFTER))
            wait = min(2 * last, _MAX_WAIT)
            self._too_much[self.step] = now + wait, wait
        less = STEPS[STEPS.index(self.step) + 1 :]
        self._change(self._first(less, costs, _LOWER_ABOVE) or STEPS[-1], raised=False)

    def _raise(self, now: float) -> None:
        refused = [step for step, (until, _) in self._too_much.items() if now < until]
        first = max((STEPS.index(step) + 1 for step in refused), default=0)
        more = STEPS[first : STEPS.index(self.step)]
        if step := self._first(more, self._recent, _RAISE_BELOW):
            self._change(step, raised=True)

    def _share(self, step: Step, costs: Sequence[Cost]) -> float:
        """The share of the time between frames that a step is predicted to take."""
        spent = _mean(cost.seconds for cost in costs)
        constant = min(spent, _mean(cost.constant for cost in costs))
        scaling = min(spent - constant, _mean(cost.scaling for cost in costs))
        network = (spent - constant - scaling) * (step.scale / self.step.scale) ** 2
        if step is not self.step:
            scaling = self._scaling if step.scale < 1 else 0.0
        moved = (step.every - 1) * median(self._moving)
        seconds = constant + network + moved + step.every * scaling
        return seconds / (step.every * self._period)

    def _first(self, steps: Iterable[Step], costs: Sequence[Cost], share: float) -> Step | None:
        """The first of these steps that is predicted to take less than this share of the time."""
        return next((step for step in steps if self._share(step, costs) < share), None)

    def _change(self, step: Step, *, raised: bool) -> None:
        self.step, self._since, self._raised, self.held = step, None, raised, False
        self._frames = 0
        self._recent.clear()


def _mean(seconds: Iterable[float]) -> float:
    """The mean without the largest tenth, at least one.

    Not the median: every fifth frame updates the statistics, and takes half as long again.
    """
    ordered = sorted(seconds)
    return mean(ordered[: max(1, len(ordered) - max(1, len(ordered) // 10))])
