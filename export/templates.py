"""Graphs of our network without its weights, so that it can run where PyTorch is not loaded.

    python -m export.templates

writes them anew into graphs/, from export.onnx_graph; a test says when that is due.
"""

from pathlib import Path
from typing import Literal

import numpy as np
import onnx

from models.forms import FORMS
from models.styles import Weights

GRAPHS = Path(__file__).parent / "graphs"
Statistics = Literal["own", "carried", "renewed"]  # see export.onnx_graph.NormStatistics


def filled(weights: Weights, statistics: Statistics) -> bytes:
    """The graph of a network with these weights: what `build_model` makes of the network itself."""
    model = onnx.load(_path(weights.form, statistics))
    for tensor in model.graph.initializer:
        if tensor.name in weights.arrays:
            array = np.ascontiguousarray(weights.arrays[tensor.name], np.float32)
            tensor.raw_data = array.tobytes()
    return model.SerializeToString()


def template(form: str, statistics: Statistics) -> onnx.ModelProto:
    """The graph of a form, its weights left out."""
    from export.onnx_graph import build_model
    from models.transform_net import TransformNet

    network = TransformNet(form).eval()
    model = build_model(network, statistics)
    names = set(network.state_dict())
    for tensor in model.graph.initializer:
        if tensor.name in names:
            tensor.ClearField("raw_data")
    return model


def write() -> None:
    """Write all of them."""
    GRAPHS.mkdir(exist_ok=True)
    for form in FORMS:
        for statistics in ("own", "carried", "renewed"):
            _path(form, statistics).write_bytes(template(form, statistics).SerializeToString())


def _path(form: str, statistics: str) -> Path:
    return GRAPHS / f"{form}.{statistics}.onnx"


if __name__ == "__main__":
    write()
