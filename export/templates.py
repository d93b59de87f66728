"""Graphs of our network without its weights, so that it can run where PyTorch is not loaded.

    python -m export.templates

writes them anew into graphs/, from export.byte_graph; a test says when that is due.
"""

from itertools import product
from pathlib import Path

import numpy as np
import onnx

from export.contract import NormStatistics
from models.forms import FORMS
from models.styles import Weights

GRAPHS = Path(__file__).parent / "graphs"
KINDS: tuple[tuple[str, NormStatistics, bool], ...] = tuple(
    product(FORMS, ("own", "carried", "renewed"), (False, True))
)


def filled(
    weights: Weights, statistics: NormStatistics, *, planes: dict[str, np.ndarray] | None = None
) -> bytes:
    """The graph of a network with these weights: what `build_byte_model` makes of the network.

    planes: the weights that `byte_graph.from_rgb` gives, where planes are to come out.
    """
    model = onnx.load(path_of(weights.form, statistics, planes is not None))
    arrays = weights.arrays | (planes or {})
    for tensor in model.graph.initializer:
        if tensor.name in arrays:
            tensor.raw_data = np.ascontiguousarray(arrays[tensor.name], np.float32).tobytes()
    return model.SerializeToString()


def template(form: str, statistics: NormStatistics, planes: bool) -> onnx.ModelProto:
    """The graph of a form, its weights left out."""
    from export.byte_graph import build_byte_model
    from models.transform_net import TransformNet

    network = TransformNet(form).eval()
    model = build_byte_model(network, statistics, planes=planes)
    names = set(network.state_dict())
    for tensor in model.graph.initializer:
        if tensor.name in names:
            tensor.ClearField("raw_data")
    return model


def path_of(form: str, statistics: NormStatistics, planes: bool) -> Path:
    """Where a template is."""
    return GRAPHS / f"{form}.{statistics}{'.planes' if planes else ''}.onnx"


def write() -> None:
    """Write all of them."""
    GRAPHS.mkdir(exist_ok=True)
    for kind in KINDS:
        path_of(*kind).write_bytes(template(*kind).SerializeToString())


if __name__ == "__main__":
    write()
