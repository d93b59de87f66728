"""Exports style networks to ONNX files, and builds the graphs that the engines run."""

import os
from importlib import import_module
from typing import Any

os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")  # ONNX Runtime would report to Microsoft

_MODULES = {
    "export_onnx": "impasto.export.onnx_file",
    "check_parity": "impasto.export.parity",
}


def __getattr__(name: str) -> Any:
    # Imported on first use (PEP 562): importing the package loads neither torch nor onnx.
    if name in _MODULES:
        return getattr(import_module(_MODULES[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
