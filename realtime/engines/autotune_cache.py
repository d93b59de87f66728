"""Which engine is the fastest on this machine: measured once, and remembered."""

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

_ENGINES = ("torch", "onnxruntime", "onnxruntime-gpu", "openvino")


class Known(NamedTuple):
    """What was found."""

    engine: str
    reason: str


def recall(*case: str) -> Known | None:
    """What was remembered for a case (network, device, precision) on this machine, if anything.

    A machine is its processor, how many cores of it, and the versions that do the work: another
    of any of them is measured anew.
    """
    try:
        return Known(**json.loads(_path(case).read_text()))
    except (OSError, ValueError, TypeError):
        return None  # nothing yet, or nothing legible: it is only a memory


def remember(*case: str, found: Known) -> None:
    """Keep it. Where nothing can be written, it is measured again the next time."""
    path = _path(case)
    with suppress(OSError):
        path.parent.mkdir(parents=True, exist_ok=True)
        partial = path.with_suffix(f".{os.getpid()}")
        partial.write_text(json.dumps(found._asdict()))
        partial.replace(path)


def _path(case: tuple[str, ...]) -> Path:
    machine = (platform.machine(), _processor(), str(computing_threads()), *case)
    versions = (_version(name) for name in ("impasto", *_ENGINES))
    name = sha256("\n".join([*machine, *versions]).encode()).hexdigest()[:16]
    return user_cache_path("impasto") / "speeds" / f"{name}.json"


def _processor() -> str:
    with suppress(OSError):  # Linux; elsewhere the platform module knows as much
        lines = Path("/proc/cpuinfo").read_text().partition("\n\n")[0].splitlines()
        return " ".join(x for x in lines if x.startswith(("model name", "flags", "Features")))
    return platform.processor()


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return ""
