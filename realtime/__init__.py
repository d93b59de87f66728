"""Moves frames: from video files and cameras, through a style network, to files and windows."""

import os
import sys
from importlib import import_module
from typing import Any

# No telemetry: by default ONNX Runtime reports its use to Microsoft, and OpenVINO to Google, and
# both keep an identity in the user's home.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]  # its import fails

_WHERE = {
    "stylize_video": "impasto.realtime.files.convert",
    "ConversionReport": "impasto.realtime.files.convert",
    "EncoderOptions": "impasto.realtime.files.codecs",
    "InputPipe": "impasto.realtime.files.pipes",
    "OutputPipe": "impasto.realtime.files.pipes",
    "Stylizer": "impasto.realtime.stylizer",
    "with_predicted_styles": "impasto.realtime.painting_styles",
    "open_engine": "impasto.realtime.engines.select",
}


def __getattr__(name: str) -> Any:
    # Found when first asked for (PEP 562), so that importing the package loads no codec.
    if name in _WHERE:
        return getattr(import_module(_WHERE[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
