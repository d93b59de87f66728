"""The options of a command that choose a style network and the engine that runs it."""

from dataclasses import dataclass

from impasto.models.styles import mixture_of


@dataclass(frozen=True)
class EngineOptions:
    """A style, and what to run it with: see `models.styles.load_style` and `select.open_engine`."""

    style: str
    strength: float = 1.0
    engine: str = "auto"
    device: str = "auto"
    precision: str = "auto"

    def check(self) -> None:
        """Raise WeightsError for an unknown style or strength, before anything heavy is loaded."""
        mixture_of(self.style, strength=self.strength)
