"""Graphs of our network without its weights, so that it can run where PyTorch is not loaded.

    python -m impasto.export.graphs.templates

writes them anew into graphs/, from export.graphs.cpu and gpu_graph; a test says when that is due.
"""

from collections.abc import Mapping
from itertools import product
from pathlib import Path
from typing import NamedTuple

import numpy as np
import onnx

from impasto.export.spec import NormMode
from impasto.models.architectures import FORMS
from impasto.models.styles import Weights

GRAPHS = Path(__file__).parent / "prebuilt"


class Kind(NamedTuple):
    """What tells one graph from another."""

    form: str
    norm_mode: NormMode
    yuv420: bool = False  # as output; on a GPU as input too
    gpu: str = ""  # "fp32" or "fp16": made for one


_NORM_MODES: tuple[NormMode, ...] = ("instance", "frozen", "running")
KINDS = tuple(
    Kind(form, mode, yuv420, gpu)
    for form, mode, yuv420, gpu in product(FORMS, _NORM_MODES, (False, True), ("", "fp32", "fp16"))
    if not gpu or mode != "instance"
)


def filled(
    weights: Weights,
    norm_mode: NormMode,
    *,
    yuv420: dict[str, np.ndarray] | None = None,
    gpu: str = "",
) -> bytes:
    """The graph of a network with these weights: what `build_byte_model` makes of the network.

    yuv420: for yuv420p output, the weights that `rgb_to_yuv.from_rgb` gives. gpu: "fp32" or "fp16"
    for the graph of `build_gpu_model`; yuv420 is then what `rgb_to_yuv.both_ways` gives.
    """
    model = onnx.load(path_of(Kind(weights.form, norm_mode, yuv420 is not None, gpu)))
    return fill(model, weights.arrays | (yuv420 or {}))


def fill(model: onnx.ModelProto, arrays: Mapping[str, np.ndarray]) -> bytes:
    """A graph with these for its weights of the same names."""
    for tensor in model.graph.initializer:
        if tensor.name in arrays:
            tensor.raw_data = np.ascontiguousarray(arrays[tensor.name], np.float32).tobytes()
    return model.SerializeToString()


def template(kind: Kind) -> onnx.ModelProto:
    """The graph of a form, its weights left out."""
    from impasto.export.graphs.cpu import build_byte_model
    from impasto.export.graphs.gpu import build_gpu_model
    from impasto.models.transform_net import TransformNet

    network, half = TransformNet(kind.form).eval(), kind.gpu == "fp16"
    if kind.gpu:
        model = build_gpu_model(network, kind.norm_mode, yuv420=kind.yuv420, half=half)
    else:
        model = build_byte_model(network, kind.norm_mode, yuv420=kind.yuv420)
    names = set(network.state_dict())
    for tensor in model.graph.initializer:
        if tensor.name in names:
            tensor.ClearField("raw_data")
    return model


def path_of(kind: Kind) -> Path:
    """Where a template is."""
    parts = [kind.form, kind.norm_mode, *["yuv420"] * kind.yuv420, *[kind.gpu] * bool(kind.gpu)]
    return GRAPHS / f"{'.'.join(parts)}.onnx"


def write() -> None:
    """Write all of them."""
    GRAPHS.mkdir(exist_ok=True)
    for kind in KINDS:
        path_of(kind).write_bytes(template(kind).SerializeToString())


if __name__ == "__main__":
    write()
