"""Turns a style network into a file that other programs can run."""

import os
from importlib import import_module
from typing import Any

os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")  # ONNX Runtime would report to Microsoft

_WHERE = {
    "export_onnx": "impasto.export.onnx_file",
    "check_parity": "impasto.export.parity",
}


def __getattr__(name: str) -> Any:
    # Found when first asked for (PEP 562): importing the package loads neither torch nor onnx.
    if name in _WHERE:
        return getattr(import_module(_WHERE[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
