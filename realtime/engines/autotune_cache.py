"""A cache of the fastest engine for each network, device and precision on this machine."""

import json
import os
import platform
from contextlib import suppress
from hashlib import sha256
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import NamedTuple

from platformdirs import user_cache_path

from impasto.realtime.cpu import computing_threads

_LIBRARIES = ("impasto", "torch", "onnxruntime", "onnxruntime-gpu", "openvino")


class AutotuneResult(NamedTuple):
    """The fastest engine, and its speed beside that of the others, in a line."""

    engine: str
    reason: str


def load(*case: str) -> AutotuneResult | None:
    """The result stored for a case (network, device, precision); None if there is none.

    The cache key is CPU model, core count and library versions too; if one changes, the engines are
    timed again.
    """
    try:
        return AutotuneResult(**json.loads(_path(case).read_text()))
    except (OSError, RuntimeError, ValueError, TypeError):
        return None  # a missing or broken file only means that the engines are timed again


def store(*case: str, result: AutotuneResult) -> None:
    """Store a result. Where the file cannot be written, the engines are timed the next time too."""
    with suppress(OSError, RuntimeError):
        path = _path(case)
        path.parent.mkdir(parents=True, exist_ok=True)
        partial = path.with_suffix(f".{os.getpid()}")
        partial.write_text(json.dumps(result._asdict()))
        partial.replace(path)


def _path(case: tuple[str, ...]) -> Path:
    """The file of a case. Raises RuntimeError where the user has no home folder."""
    machine = (platform.machine(), _processor(), str(computing_threads()), *case)
    versions = (_version(name) for name in _LIBRARIES)
    name = sha256("\n".join([*machine, *versions]).encode()).hexdigest()[:16]
    return user_cache_path("impasto") / "speeds" / f"{name}.json"


def _processor() -> str:
    with suppress(OSError):  # Linux; elsewhere the platform module is as good
        lines = Path("/proc/cpuinfo").read_text().partition("\n\n")[0].splitlines()
        return " ".join(x for x in lines if x.startswith(("model name", "flags", "Features")))
    return platform.processor()


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return ""
