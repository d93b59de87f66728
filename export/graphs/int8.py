"""The graph of a style network for CPU engines, with int8 convolutions.

Convolutions multiply 8-bit numbers and accumulate in 32 bits (VNNI, AMX). Norms and residual sums
stay in float between them, so all norm modes work as in float. So does the first convolution: it
reads pictures standardized by their own mean and deviation, and no single range would fit them all.
The inputs of the others come from norms, or sums of them, so their ranges hardly depend on the
picture: they are measured on a few rendered ones when a style is first opened. Outputs stay in
float: 8 bits would cost 5 dB, and time.

The next two convolutions stay in float as well, a twelfth of the work: what they lose, all others
repeat. It gains 1 to 5 dB on photographs, 10 to 12 on smooth gradients without noise (from 26 to 38
in `fast`, from 29 to 32 in `fine`, which four more would not mend). Ranges without outliers (99.99
or 99.9 % of the values), and ranges of more pictures (noise, text), lose 1 to 8 dB.
"""

from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from impasto.export.graphs.quantization import ActivationRange, quantize_weights
from impasto.export.scenes import render
from impasto.export.spec import FRAMES

_PICTURES, _SIZE = 6, (240, 320)  # for measuring ranges; (height, width)
_FLOAT = 3  # convolutions that stay in float, from the first


def measure_ranges(model: onnx.ModelProto) -> dict[str, ActivationRange]:
    """The input ranges of all convolutions but the first, by the names of their weights.

    model: a graph of `build_cpu_model` with norm mode "instance" and RGB output.
    """
    read = {node.input[1]: node.input[0] for node in _convolutions(model.graph)[1:]}
    probe = onnx.ModelProto()
    probe.CopyFrom(model)
    for name in dict.fromkeys(read.values()):
        probe.graph.output.append(helper.make_tensor_value_info(name, TensorProto.FLOAT, None))
    session = _session(probe.SerializeToString())
    pictures = (render(1, *_SIZE, seed=seed) for seed in range(_PICTURES))
    values = [session.run(list(read.values()), {FRAMES: picture}) for picture in pictures]
    return {
        weight: ActivationRange(
            min(0.0, *(float(x.min()) for x in seen)), max(0.0, *(float(x.max()) for x in seen))
        )
        for weight, seen in zip(read, zip(*values, strict=True), strict=True)
    }


def quantize_convolutions(graph: bytes, ranges: dict[str, ActivationRange]) -> bytes:
    """A serialized graph of `build_cpu_model` in QDQ form.

    Weights have a scale for each output channel, and biases stay in float.
    """
    model = onnx.load_from_string(graph)
    weights = {weight.name: weight for weight in model.graph.initializer}
    nodes: dict[str, onnx.NodeProto] = {}  # by the name of their output, so that none is repeated

    def add(kind: str, x: str, scale: np.ndarray, zero: np.ndarray, result: str) -> str:
        if result not in nodes:
            parts = {f"{result}.scale": scale, f"{result}.zero": zero}
            model.graph.initializer.extend(numpy_helper.from_array(v, k) for k, v in parts.items())
            nodes[result] = helper.make_node(kind, [x, *parts], [result], result, axis=0)
        return result

    eight_bit = {node.name for node in _convolutions(model.graph)[_FLOAT:]}
    for node in model.graph.node:
        if node.name in eight_bit:
            x, name = node.input[:2]
            scale, zero = ranges[name].scale, ranges[name].zero
            bytes_read = add("QuantizeLinear", x, scale, zero, f"{x}.bytes")
            node.input[0] = add("DequantizeLinear", bytes_read, scale, zero, f"{x}.read")
            values, scales = quantize_weights(numpy_helper.to_array(weights[name]))
            weights[name].CopyFrom(numpy_helper.from_array(values, name))
            zeros = np.zeros(len(scales), np.int8)
            node.input[1] = add("DequantizeLinear", name, scales, zeros, f"{name}.float")
        nodes[node.output[0]] = node
    ordered = [onnx.NodeProto.FromString(node.SerializeToString()) for node in nodes.values()]
    del model.graph.node[:]
    model.graph.node.extend(ordered)
    onnx.checker.check_model(model, full_check=True)
    return model.SerializeToString()


def _convolutions(graph: onnx.GraphProto) -> list[onnx.NodeProto]:
    """The network's convolutions; not those that convert to yuv420."""
    convolutions = [node for node in graph.node if node.op_type == "Conv"]
    return [node for node in convolutions if node.input[1].startswith("body.")]


def _session(model: bytes) -> Any:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
