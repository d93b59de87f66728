"""From what was asked for to an engine that paints, with the reasons for what was chosen."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from fractions import Fraction
from itertools import chain
from typing import TYPE_CHECKING

from impasto.models.styles import mixture_of
from impasto.realtime.engines.cuda import cuda_devices

if TYPE_CHECKING:
    import numpy as np

    from impasto.realtime.engines.base import Engine
    from impasto.realtime.frame import Frame
    from impasto.realtime.temporal.modes import Steadiness


@dataclass(frozen=True)
class Choice:
    """What the user asked for, as far as it decides how frames are painted."""

    style: str
    strength: float = 1.0
    engine: str = "auto"
    device: str = "auto"
    precision: str = "auto"

    def check(self) -> None:
        """Raise WeightsError for what is sure to fail, before anything heavy is loaded."""
        mixture_of(self.style, strength=self.strength)


@dataclass
class Painter:
    """Makes the stylizer of each clip; the engine is opened for the first frame, and kept.

    So a source that cannot be read, or a target that cannot be written, is told before anything
    heavy is loaded. `say` is given one line for each automatic choice, with its reason.
    """

    choice: Choice
    say: Callable[[str], None]
    keep_color: bool = False
    moving: bool = True  # a film: norm statistics go from frame to frame; False for single pictures
    steadiness: Steadiness = "off"  # of films, against flicker
    _engine: Engine | None = None
    _size: tuple[int, int] | None = None  # that `_engine` was opened for
    _said: set[str] = field(default_factory=set)

    paints = True  # see `stylizer.Stylizer`

    @property
    def takes_planes(self) -> bool:
        """Whether frames had better come as planes: see `stylizer.Stylizer`."""
        return self.moving and not self.keep_color and self.steadiness == "off"

    @property
    def takes_gpu(self) -> bool:
        """Whether planes had better stay on the GPU that decoded them."""
        able = self.choice.engine in ("auto", "torch") and self.choice.device != "cpu"
        return self.takes_planes and able and cuda_devices() > 0

    def __call__(self, batches: Iterator[list[Frame]]) -> Iterator[Frame]:
        """A stylizer, for `realtime.pipeline.run`. Raises WeightsError and EngineError."""
        first = next(batches, None)
        if first is None:
            return
        from impasto.realtime.stylizer import Stylizer

        engine = self._engine_for(first[0].size)
        stylizer = Stylizer(
            engine, keep_color=self.keep_color, carry=self.moving, steadiness=self.steadiness
        )
        yield from stylizer(chain([first], batches))

    def notes(self) -> list[str]:
        """What the engine has to tell since it was last asked, a line each."""
        if self._engine is None:
            return []
        notes = [*self._engine.notes]
        self._engine.notes.clear()  # in place: engines for planes have the same list
        return notes

    def paint(self, picture: np.ndarray) -> np.ndarray:
        """One picture, (H, W, 3) uint8 RGB."""
        from impasto.realtime.frame import Frame

        (painted,) = self(iter([[Frame(picture, 0, Fraction(1))]]))
        return painted.image

    def _engine_for(self, size: tuple[int, int]) -> Engine:
        """The engine for frames of (height, width); any engine will do for single pictures."""
        if self._engine is None or (self.moving and self._size != size):
            self._engine = None  # only one at a time in memory
            self._engine, self._size = self._open(size), size
        return self._engine

    def _open(self, size: tuple[int, int]) -> Engine:
        from impasto.models.styles import load_weights
        from impasto.realtime.engines.select import open_engine

        choice = self.choice
        # To time the engines takes longer than to paint one picture, and so does loading PyTorch.
        at_once = choice.engine == choice.precision == "auto" and not self.moving

        engine = open_engine(
            load_weights(choice.style, strength=choice.strength),
            engine="onnxruntime" if at_once else choice.engine,
            device="cpu" if at_once and choice.device == "auto" else choice.device,
            precision=choice.precision,
            size=size,
        )
        why = "ready the soonest, for single pictures" if at_once else engine.reason
        self._say_once(f"engine: {engine.name} {engine.precision} on {engine.device} ({why})")
        return engine

    def _say_once(self, line: str) -> None:
        """Each choice is made anew for clips of another size, mostly as before."""
        if line not in self._said:
            self._said.add(line)
            self.say(line)
