"""A cache of the step of STEPS that held the frame rate on this machine, to begin with."""

from impasto.models import machine_cache
from impasto.realtime.cpu import computing_threads
from impasto.realtime.live.rate_control import STEPS, Step


def load(*case: str) -> Step | None:
    """The step stored for a case (what is painted, by what, how fast); None if there is none.

    Another number of cores, processor or library version is another case.
    """
    stored = machine_cache.load("live step", str(computing_threads()), *case)
    return next((step for step in STEPS if [*step] == stored), None)


def store(*case: str, step: Step) -> None:
    """Store a step. Where the file cannot be written, it is found anew the next time."""
    machine_cache.store("live step", str(computing_threads()), *case, value=[*step])
