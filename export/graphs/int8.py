"""The graph of our network for engines on a CPU, with convolutions in 8 bits.

Convolutions multiply bytes by bytes and add up in 32 bits (VNNI, AMX). Norms and residual sums stay
in float between them, so statistics are measured, carried and renewed as ever. So does the first
convolution: it reads pictures standardised by their own mean and deviation, and no one range would
fit them all. What the others read has been normed, or is a sum of what has been, so its range
hardly depends on the picture: it is measured on a few rendered ones when a style is opened. What
they give is left in float: as bytes it would cost 5 dB, and time.
"""

from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from impasto.export.scenes import render
from impasto.export.spec import FRAMES
from impasto.models.errors import EngineError

_PICTURES, _SIZE = 6, (240, 320)  # that ranges are measured on; (height, width)
_LEAST_PSNR = 30  # dB


class Range(NamedTuple):
    """The least and the largest that a convolution reads, with the 0 that it pads with between."""

    low: float
    high: float

    @property
    def scale(self) -> np.ndarray:
        """From one byte to the next, () float32."""
        return np.array(max(self.high - self.low, 1e-6) / 255, np.float32)

    @property
    def zero(self) -> np.ndarray:
        """The byte that stands for 0, () uint8."""
        return np.array(np.clip(np.round(-self.low / self.scale), 0, 255), np.uint8)


@lru_cache(maxsize=4)  # one style has several engines
def checked_ranges(own: bytes) -> dict[str, Range]:
    """Those of a byte graph of our network with statistics "instance", from RGB to RGB.

    Raises EngineError where 8 bits paint another picture: below 30 dB, as for exported files.
    """
    model = onnx.load_from_string(own)
    ranges = measure(model)
    picture = render(1, *_SIZE, seed=_PICTURES)  # not one of those measured
    expected, got = (
        _session(graph).run(None, {FRAMES: picture})[0].astype(np.float32)
        for graph in (own, in_eight_bits(own, ranges))
    )
    psnr = 10 * np.log10(255**2 / max(np.square(expected - got).mean(), 1e-9))
    if psnr < _LEAST_PSNR:
        raise EngineError(
            f"in int8 this style comes to {psnr:.1f} dB of itself, where {_LEAST_PSNR} are asked "
            "for; use --precision auto"
        )
    return ranges


def measure(model: onnx.ModelProto) -> dict[str, Range]:
    """What convolutions read that are to be in 8 bits, by the names of their weights.

    model: a byte graph of our network with statistics "instance", from RGB to RGB.
    """
    read = {node.input[1]: node.input[0] for node in _convolutions(model.graph)}
    telling = onnx.ModelProto()
    telling.CopyFrom(model)
    for name in dict.fromkeys(read.values()):
        telling.graph.output.append(helper.make_tensor_value_info(name, TensorProto.FLOAT, None))
    session = _session(telling.SerializeToString())
    pictures = (render(1, *_SIZE, seed=seed) for seed in range(_PICTURES))
    values = [session.run(list(read.values()), {FRAMES: picture}) for picture in pictures]
    return {
        weight: Range(min(0.0, *(x.min() for x in seen)), max(0.0, *(x.max() for x in seen)))
        for weight, seen in zip(read, zip(*values, strict=True), strict=True)
    }


def in_eight_bits(given: bytes, ranges: dict[str, Range]) -> bytes:
    """`given`, a byte graph of our network with any statistics, in QDQ form.

    Weights have a scale for each channel that they give, and biases stay as they are.
    """
    model = onnx.load_from_string(given)
    graph = model.graph
    weights = {weight.name: weight for weight in graph.initializer}
    nodes: dict[str, onnx.NodeProto] = {}  # by the name of what they give, so that none comes twice

    def add(kind: str, x: str, scale: np.ndarray, zero: np.ndarray, result: str) -> str:
        if result not in nodes:
            parts = {f"{result}.scale": scale, f"{result}.zero": zero}
            graph.initializer.extend(numpy_helper.from_array(v, k) for k, v in parts.items())
            nodes[result] = helper.make_node(kind, [x, *parts], [result], result, axis=0)
        return result

    eight_bit = {node.name for node in _convolutions(graph)}
    for node in graph.node:
        if node.name in eight_bit:
            x, name = node.input[:2]
            scale, zero = ranges[name].scale, ranges[name].zero
            bytes_read = add("QuantizeLinear", x, scale, zero, f"{x}.bytes")
            node.input[0] = add("DequantizeLinear", bytes_read, scale, zero, f"{x}.read")
            values, scales = _weights_in_bytes(numpy_helper.to_array(weights[name]))
            weights[name].CopyFrom(numpy_helper.from_array(values, name))
            zeros = np.zeros(len(scales), np.int8)
            node.input[1] = add("DequantizeLinear", name, scales, zeros, f"{name}.float")
        nodes[node.output[0]] = node
    ordered = [onnx.NodeProto.FromString(node.SerializeToString()) for node in nodes.values()]
    del graph.node[:]
    graph.node.extend(ordered)
    onnx.checker.check_model(model, full_check=True)
    return model.SerializeToString()


def _convolutions(graph: onnx.GraphProto) -> list[onnx.NodeProto]:
    """Those of the network but the first, and without those that make planes of its output."""
    found = [node for node in graph.node if node.op_type == "Conv"]
    return [node for node in found[1:] if node.input[1].startswith("body.")]


def _weights_in_bytes(weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(C, ...) float32 as int8, and the scale of each of the C channels."""
    rows = weights.reshape(len(weights), -1)
    scales = np.maximum(np.abs(rows).max(axis=1), 1e-12).astype(np.float32) / 127
    values = np.round(rows / scales[:, None]).astype(np.int8)
    return values.reshape(weights.shape), scales


def _session(model: bytes) -> Any:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
