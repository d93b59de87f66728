"""The options of a command that choose a style network and the engine that runs it."""

from dataclasses import dataclass

from impasto.models.styles import choose_network, mixture_of
from impasto.realtime.engines.cuda import cuda_devices


@dataclass(frozen=True)
class EngineOptions:
    """A style, and what to run it with: see `models.styles.load_style` and `select.open_engine`."""

    style: str
    strength: float = 1.0
    engine: str = "auto"
    device: str = "auto"
    precision: str = "auto"
    network: str = "auto"  # the architecture

    @property
    def architecture(self) -> str:
        """The architecture that `network` comes to. Raises WeightsError."""
        return choose_network(self.style, self.network, strength=self.strength)

    def check(self) -> None:
        """Raise WeightsError for an unknown style or strength, before anything heavy is loaded."""
        mixture_of(self.style, strength=self.strength, network=self.network)


def live_network(style: str, network: str, device: str) -> str:
    """The architecture for a live session that begins with `style`: "auto" goes by the device.

    Strength changes while it runs, so the identity network is needed. Raises WeightsError.
    """
    on_cpu = device == "cpu" or not cuda_devices()
    return choose_network(style, network, strength=0.0, fastest=on_cpu)
