"""Moves frames: from video files and cameras, through a style network, to files and windows."""

from importlib import import_module
from typing import Any

_WHERE = {"stylize_video": "realtime.files.convert", "Report": "realtime.files.convert"}


def __getattr__(name: str) -> Any:
    # Found when first asked for (PEP 562), so that importing the package loads no codec.
    if name in _WHERE:
        return getattr(import_module(_WHERE[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
