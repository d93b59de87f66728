"""What `impasto eval` measures: styles, ONNX files, and what other programs painted."""

from collections.abc import Callable, Sequence
from fractions import Fraction
from pathlib import Path
from time import perf_counter
from typing import Any, NamedTuple, Protocol

import numpy as np

from impasto.realtime.engines.base import Engine
from impasto.realtime.engines.options import EngineOptions
from impasto.realtime.frame import Frame
from impasto.realtime.measure.originals import Finished, Originals
from impasto.realtime.painting_styles import shown_name
from impasto.realtime.stylizer import LazyStylizer, Stylizer
from impasto.realtime.temporal.modes import STEADINESS, Steadiness

Log = Callable[[str], None]


class Painted(NamedTuple):
    """Stylized pictures or frames, (H, W, 3) uint8, and how long each took.

    seconds: None where that is not known.
    """

    images: Sequence[np.ndarray]
    seconds: float | None = None


class Candidate(Protocol):
    """One column of the comparison."""

    name: str
    modes: Sequence[Steadiness]  # of steadiness, in which its clips are measured

    def about(self) -> dict[str, Any]:
        """What it is, for the figures."""

    def pictures(self, originals: Originals) -> Painted:
        """All pictures, in order."""

    def clip(self, originals: Originals, index: int, mode: Steadiness) -> Painted:
        """One of the clips."""


class StyleCandidate:
    """A style of the package or in a file. Raises WeightsError and EngineError as it paints."""

    modes: Sequence[Steadiness] = STEADINESS

    def __init__(self, options: EngineOptions, log: Log) -> None:
        self.options, self.name = options, Path(shown_name(options.style)).name
        self._still = LazyStylizer(options, log, is_video=False)
        self._video = LazyStylizer(options, log)

    def about(self) -> dict[str, Any]:
        options = self.options
        return {
            "style": shown_name(options.style),
            "strength": options.strength,
            "network": options.architecture,
        }

    def pictures(self, originals: Originals) -> Painted:
        return timed(self._still.stylize_image, [image for _, image in originals.pictures])

    def clip(self, originals: Originals, index: int, mode: Steadiness) -> Painted:
        self._video.steadiness = mode
        return timed_film(self._video, originals.clips[index][1])


class OnnxCandidate:
    """An ONNX file. Raises SourceError and EngineError."""

    modes: Sequence[Steadiness] = STEADINESS

    def __init__(self, path: Path, log: Log) -> None:
        from impasto.realtime.measure.onnx_model import OnnxModelEngine

        self.path, self.name = path, path.name
        self._engine: Engine
        self._engine = engine = OnnxModelEngine(path)
        log(engine.description)

    def about(self) -> dict[str, Any]:
        return {"onnx": self.path}

    def pictures(self, originals: Originals) -> Painted:
        images = [image for _, image in originals.pictures]
        return timed(lambda image: self._engine(image[None])[0], images)

    def clip(self, originals: Originals, index: int, mode: Steadiness) -> Painted:
        return timed_film(Stylizer(self._engine, steadiness=mode), originals.clips[index][1])


class FinishedCandidate:
    """Pictures or a film of another program, as they are. Raises SourceError."""

    modes: Sequence[Steadiness] = ("off",)

    def __init__(self, path: Path, originals: Originals, log: Log) -> None:
        self.path, self.name = path, path.name
        self._finished = Finished(path, originals)
        for line in self._finished.notes:
            log(line)

    def about(self) -> dict[str, Any]:
        return {"painted": self.path}

    def pictures(self, originals: Originals) -> Painted:
        return Painted(self._finished.pictures)

    def clip(self, originals: Originals, index: int, mode: Steadiness) -> Painted:
        return Painted(self._finished.clips[index])


def timed(paint: Callable[[np.ndarray], np.ndarray], images: Sequence[np.ndarray]) -> Painted:
    """Every picture painted; the first twice, since loading is not counted."""
    if not images:
        return Painted([])
    paint(images[0])
    began = perf_counter()
    painted = [paint(image) for image in images]
    return Painted(painted, (perf_counter() - began) / len(images))


def timed_film(stylize: Any, images: Sequence[np.ndarray]) -> Painted:
    """A film painted; the time runs from its first frame, for which the engine is opened."""
    painted, times = [], []
    for frame in stylize([Frame(image, k, Fraction(1))] for k, image in enumerate(images)):
        painted.append(frame.image)
        times.append(perf_counter())
    return Painted(painted, (times[-1] - times[0]) / (len(times) - 1))
