"""What curves of losses say: when a run had converged, which runs succeeded, where a knee is."""

from collections.abc import Sequence
from math import log


def converged_step(steps: Sequence[int], totals: Sequence[float], *, within: float = 0.01) -> int:
    """The first step from which on the total stays within a share of its last value.

    steps, totals: of one run, at least one of each.
    """
    end = totals[-1]
    converged = steps[-1]
    for step, total in zip(reversed(steps), reversed(totals), strict=True):
        if abs(total - end) > within * abs(end):
            break
        converged = step
    return converged


def succeeded(totals: Sequence[float], *, within: float = 0.1) -> list[bool]:
    """Of the final totals of several runs, which are within a share of the best."""
    best = min(totals, default=0.0)
    return [total <= best + within * abs(best) for total in totals]


def spread(values: Sequence[float]) -> float:
    """Greatest minus least, as a share of the mean."""
    mean = sum(values) / len(values)
    return (max(values) - min(values)) / mean if mean else 0.0


def knee(x: Sequence[float], y: Sequence[float]) -> int | None:
    """The index of the knee of a curve on logarithmic axes, each scaled to the range 0 to 1.

    It is the point farthest from the straight line through both ends (Satopaa et al. 2011). x, y:
    above zero, in the order of the curve. None for fewer than three points, or where no point is
    farther from the line than 0.05.
    """
    points = [(log(a), log(b)) for a, b in zip(x, y, strict=True) if a > 0 and b > 0]
    if len(points) < 3 or len(points) < len(x):
        return None
    (left, first), (right, last) = points[0], points[-1]
    if left == right or first == last:
        return None
    scaled = [((a - left) / (right - left), (b - first) / (last - first)) for a, b in points]
    distances = [abs(a - b) / 2**0.5 for a, b in scaled]
    farthest = max(range(len(distances)), key=distances.__getitem__)
    return farthest if distances[farthest] > 0.05 else None
