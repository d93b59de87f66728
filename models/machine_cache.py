"""What was measured on this machine, kept from run to run: engines and precisions by speed."""

import json
import os
import platform
from contextlib import suppress
from hashlib import sha256
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from platformdirs import user_cache_path

_LIBRARIES = ("impasto", "torch", "onnxruntime", "onnxruntime-gpu", "openvino")


def load(*case: str) -> Any:
    """What was stored for a case; None if there is nothing.

    The key is the CPU model and the library versions too; if one changes, all is measured again.
    """
    try:
        return json.loads(_path(case).read_text())
    except (OSError, RuntimeError, ValueError):
        return None  # a missing or broken file only means that it is measured again


def store(*case: str, value: Any) -> None:
    """Store plain data. Where the file cannot be written, it is measured the next time too."""
    with suppress(OSError, RuntimeError):
        path = _path(case)
        path.parent.mkdir(parents=True, exist_ok=True)
        partial = path.with_suffix(f".{os.getpid()}")
        partial.write_text(json.dumps(value))
        partial.replace(path)


def _path(case: tuple[str, ...]) -> Path:
    """The file of a case. Raises RuntimeError where the user has no home folder."""
    machine = (platform.machine(), _processor(), *case)
    versions = (version_of(name) or "" for name in _LIBRARIES)
    name = sha256("\n".join([*machine, *versions]).encode()).hexdigest()[:16]
    return user_cache_path("impasto") / "speeds" / f"{name}.json"


def _processor() -> str:
    with suppress(OSError):  # Linux; elsewhere the platform module is as good
        lines = Path("/proc/cpuinfo").read_text().partition("\n\n")[0].splitlines()
        return " ".join(x for x in lines if x.startswith(("model name", "flags", "Features")))
    return platform.processor()


def version_of(package: str) -> str | None:
    """The version of an installed distribution; None where it is not installed."""
    try:
        return version(package)
    except PackageNotFoundError:
        return None
