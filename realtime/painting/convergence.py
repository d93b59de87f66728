"""What curves of losses say: when a run had converged, which runs succeeded, where a knee is."""

from collections.abc import Sequence


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
    """The index of the knee of a trade-off, where y has fallen most for what x has grown.

    With each axis scaled to the range 0 to 1, it is the point farthest below the straight line
    through both ends (Satopaa et al. 2011). x, y: in the order of the curve. None for fewer than
    three points, or where no point is farther from the line than 0.05.
    """
    if len(x) < 3 or x[0] == x[-1] or y[0] == y[-1]:
        return None
    grown = [(value - x[0]) / (x[-1] - x[0]) for value in x]
    fallen = [(y[0] - value) / (y[0] - y[-1]) for value in y]
    below = [(b - a) / 2**0.5 for a, b in zip(grown, fallen, strict=True)]
    farthest = max(range(len(below)), key=below.__getitem__)
    return farthest if below[farthest] > 0.05 else None
