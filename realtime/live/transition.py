"""The network on its way from one style to another: weights mixed, not pictures."""

from pathlib import Path
from typing import TYPE_CHECKING

from impasto.models.styles import load_network, mix, mixture_of

if TYPE_CHECKING:
    from impasto.models.transform_net import TransformNet

_STEP_SECONDS = 0.1  # between two mixtures: each costs the next frame new norm statistics


class Transition:
    """Goes to the style it is aimed at, over `seconds`. Times are seconds of any one clock.

    Mixtures of networks with a common parent are networks that paint something in between (deep
    network interpolation, Wang et al. 2019): see docs/research/log.md.
    """

    def __init__(self, *, seconds: float = 1.0) -> None:
        self._seconds = seconds
        self._networks: dict[Path, TransformNet] = {}
        self._aim: tuple[str, float] | None = None
        self._from: dict[Path, float] = {}
        self._to: dict[Path, float] = {}
        self._now: dict[Path, float] = {}
        self._began = self._mixed = float("-inf")

    def aim(self, style: str, strength: float, now: float) -> None:
        """Where to go from here on: as for `models.styles.load_style`. Raises WeightsError."""
        if (style, strength) == self._aim:
            return
        to = mixture_of(style, strength=strength)
        for path in to:
            if path not in self._networks:
                self._networks[path] = load_network(path)
        first = self._aim is None
        self._aim, self._to = (style, strength), to
        self._from = dict(to if first else self._now)
        self._began = float("-inf") if first else now

    def network(self, now: float) -> "TransformNet | None":
        """What to paint with from now on; None: the same as before."""
        if self._now == self._to:
            return None
        share = min(1.0, (now - self._began) / self._seconds)
        if share < 1.0 and now - self._mixed < _STEP_SECONDS:
            return None
        self._mixed = now
        self._now = self._to if share == 1.0 else _between(self._from, self._to, share)
        return mix(self._networks, self._now)


def _between(
    first: dict[Path, float], second: dict[Path, float], share: float
) -> dict[Path, float]:
    """`first` moved towards `second` by `share` (0 to 1)."""
    mixture = {
        path: first.get(path, 0.0) * (1 - share) + second.get(path, 0.0) * share
        for path in {**first, **second}
    }
    return {path: part for path, part in mixture.items() if part > 0}
