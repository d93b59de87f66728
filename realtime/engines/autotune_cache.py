"""A cache of the fastest engine and precision for each network and device on this machine."""

from typing import NamedTuple

from impasto.models import machine_cache
from impasto.realtime.cpu import computing_threads


class AutotuneResult(NamedTuple):
    """The fastest engine, its precision, and its speed beside that of the others, in a line.

    device: "" for the CPU or the CUDA device that was asked for. left_out: a line about devices
    that are not used, and why; "" if there are none.
    """

    engine: str
    precision: str
    reason: str
    device: str = ""
    left_out: str = ""


def load(*case: str) -> AutotuneResult | None:
    """The result stored for a case (network, device, candidates); None if there is none.

    Another number of cores, processor or library version is another case.
    """
    stored = machine_cache.load(str(computing_threads()), *case)
    try:
        return AutotuneResult(**stored)
    except TypeError:
        return None  # nothing, or something else


def store(*case: str, result: AutotuneResult) -> None:
    """Store a result. Where the file cannot be written, the engines are timed the next time too."""
    machine_cache.store(str(computing_threads()), *case, value=result._asdict())
