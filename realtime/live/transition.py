"""Fades from one style to another by interpolating the weights of their networks."""

from pathlib import Path

from impasto.models.styles import StyleWeights, mix_weights, mixture_of, read_weights

_STEP_SECONDS = 0.1  # between two mixtures: each one needs new norm statistics


class Transition:
    """Interpolates from the present style to the one last aimed at, over `seconds`.

    Mixtures of networks with a common ancestor paint a mixture of their styles (deep network
    interpolation, Wang et al. 2019). Times are seconds, all of one clock.
    """

    def __init__(self, *, network: str, seconds: float = 1.0) -> None:
        """network: the architecture of all styles."""
        self._seconds, self._network = seconds, network
        self._parts: dict[Path, StyleWeights] = {}
        self._aim: tuple[str, float] | None = None
        self._from: dict[Path, float] = {}
        self._to: dict[Path, float] = {}
        self._now: dict[Path, float] = {}
        self._began = self._mixed = float("-inf")

    def aim(self, style: str, strength: float, now: float) -> None:
        """Begin a transition; arguments as of `models.styles.load_style`. Raises WeightsError."""
        if (style, strength) == self._aim:
            return
        to = mixture_of(style, strength=strength, network=self._network)
        for path in to:
            if path not in self._parts:
                self._parts[path] = read_weights(path)
        first = self._aim is None
        self._aim, self._to = (style, strength), to
        self._from = dict(to if first else self._now)
        self._began = float("-inf") if first else now

    def weights(self, now: float) -> StyleWeights | None:
        """The weights to stylize with from now on; None: the same as before."""
        if self._now == self._to:
            return None
        share = min(1.0, (now - self._began) / self._seconds)
        if share < 1.0 and now - self._mixed < _STEP_SECONDS:
            return None
        self._mixed = now
        self._now = self._to if share == 1.0 else _between(self._from, self._to, share)
        return mix_weights(self._parts, self._now)


def _between(
    first: dict[Path, float], second: dict[Path, float], share: float
) -> dict[Path, float]:
    """The interpolation from mixture `first` to `second`, at `share` (0 to 1)."""
    mixture = {
        path: first.get(path, 0.0) * (1 - share) + second.get(path, 0.0) * share
        for path in {**first, **second}
    }
    return {path: part for path, part in mixture.items() if part > 0}
