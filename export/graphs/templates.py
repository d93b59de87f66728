"""Prebuilt graphs of style networks without their weights, for engines that do not load PyTorch.

    python -m impasto.export.graphs.templates

writes them to prebuilt/, by export.graphs.cpu and export.graphs.gpu; a test fails if that is due.
"""

from collections.abc import Mapping
from itertools import product
from pathlib import Path
from typing import NamedTuple

import numpy as np
import onnx

from impasto.export.spec import NormMode
from impasto.models.architectures import ARCHITECTURES
from impasto.models.styles import StyleWeights

GRAPHS = Path(__file__).parent / "prebuilt"


class GraphVariant(NamedTuple):
    """One of the prebuilt graphs."""

    architecture: str
    norm_mode: NormMode
    yuv420: bool = False  # as output
    gpu: str = ""  # "fp32" or "fp16": for GPUs


_NORM_MODES: tuple[NormMode, ...] = ("instance", "frozen", "running")
VARIANTS = tuple(
    GraphVariant(architecture, mode, yuv420, gpu)
    for architecture, mode, yuv420, gpu in product(
        ARCHITECTURES, _NORM_MODES, (False, True), ("", "fp32", "fp16")
    )
    if not gpu or mode != "instance"
)


def fill_template(
    weights: StyleWeights,
    norm_mode: NormMode,
    *,
    yuv420: dict[str, np.ndarray] | None = None,
    gpu: str = "",
) -> bytes:
    """The serialized graph of a network with these weights, as `build_cpu_model` builds it.

    yuv420: `rgb_to_yuv.yuv420_weights` of a color space, for yuv420p output; None: RGB. gpu: "fp32"
    or "fp16" for the graph of `build_gpu_model`.
    """
    model = onnx.load(
        template_path(GraphVariant(weights.architecture, norm_mode, yuv420 is not None, gpu))
    )
    return set_weights(model, weights.arrays | (yuv420 or {}))


def set_weights(model: onnx.ModelProto, arrays: Mapping[str, np.ndarray]) -> bytes:
    """Set the initializers that are among `arrays`, by name; returns the serialized graph."""
    for tensor in model.graph.initializer:
        if tensor.name in arrays:
            tensor.raw_data = np.ascontiguousarray(arrays[tensor.name], np.float32).tobytes()
    return model.SerializeToString()


def build_template(variant: GraphVariant) -> onnx.ModelProto:
    """The graph of an architecture without the weights."""
    from impasto.export.graphs.cpu import build_cpu_model
    from impasto.export.graphs.gpu import build_gpu_model
    from impasto.models.transform_net import TransformNet

    network, half = TransformNet(variant.architecture).eval(), variant.gpu == "fp16"
    if variant.gpu:
        model = build_gpu_model(network, variant.norm_mode, yuv420=variant.yuv420, half=half)
    else:
        model = build_cpu_model(network, variant.norm_mode, yuv420=variant.yuv420)
    names = set(network.state_dict())
    for tensor in model.graph.initializer:
        if tensor.name in names:
            tensor.ClearField("raw_data")
    return model


def template_path(variant: GraphVariant) -> Path:
    """The file of a template."""
    output = "yuv420" if variant.yuv420 else ""
    parts = [variant.architecture, variant.norm_mode, output, variant.gpu, "onnx"]
    return GRAPHS / ".".join(part for part in parts if part)


def write_templates() -> None:
    """Write all prebuilt graphs."""
    GRAPHS.mkdir(exist_ok=True)
    for variant in VARIANTS:
        template_path(variant).write_bytes(build_template(variant).SerializeToString())


if __name__ == "__main__":
    write_templates()
