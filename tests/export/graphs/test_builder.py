"""Operators, shapes and precisions of the graphs of exported files."""

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, numpy_helper
from torch import nn

from impasto.export.graphs.builder import Mixture
from impasto.export.graphs.portable import build_portable_model
from impasto.export.parity import check_parity, open_session
from impasto.export.quantize import quantize
from impasto.export.spec import NEWEST_OPSET, OLDEST_OPSET
from impasto.models import load_style
from impasto.models.architectures import ARCHITECTURES
from impasto.models.fast.uint8_io import Uint8Wrapper
from impasto.models.layers import UpsampleConv
from impasto.models.styles import identity_file, load_network, mix
from impasto.models.transform_net import TransformNet
from tests.pictures import make_pictures

# Each of these runs on ONNX Runtime's CUDA, TensorRT and OpenVINO providers. CoreML has no Pad; but
# the pads come first, right after the uint8 input that it does not take either, so with a fixed
# shape all that follows is one piece. A graph of any size has a little arithmetic on the shape too.
PICTURE = {
    *("Cast", "Transpose", "Mul", "Add", "Sub", "Pad", "ReduceMean", "Sqrt"),
    *("Conv", "InstanceNormalization", "Relu", "DepthToSpace", "Slice", "Clip"),
}
SIZES = {"Shape", "Slice", "Max", "Sub", "Add", "Mod", "Concat"}
MIXING = {"ReduceSum", "Max", "Div", "Sub", "Concat", "MatMul", "Split", "Reshape"}
DECODER = {"Concat", "Reshape"}
EIGHT_BIT = {"QuantizeLinear", "DequantizeLinear"}


@pytest.fixture(scope="module")
def network():
    return load_style("great_wave", network="fast")


def operators(model: onnx.ModelProto) -> set[str]:
    assert {opset.domain for opset in model.opset_import} <= {"", "ai.onnx"}
    return {node.op_type for node in model.graph.node}


def test_operators(network):
    assert operators(build_portable_model(network)) == PICTURE | DECODER | SIZES
    assert operators(build_portable_model(network, half=True)) == PICTURE | DECODER | SIZES
    assert operators(build_portable_model(network, static=(1, 64, 96))) == PICTURE | DECODER
    mixture = Mixture([network], network)
    assert operators(build_portable_model(mixture, static=(1, 64, 96))) == PICTURE | MIXING
    bare = build_portable_model(network, static=(1, 64, 96), layout="nchw-float")
    assert operators(bare) == (PICTURE | DECODER) - {"Cast", "Transpose", "Clip"}


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_every_architecture_agrees_with_pytorch(architecture):
    """Also mixed at run time, in float16, and as the network alone; check_parity raises if not."""
    torch.manual_seed(0)
    first, second = (TransformNet(architecture).eval() for _ in range(2))
    for options in ({}, {"half": True}, {"layout": "nchw-float", "static": (1, 40, 48)}):
        data = build_portable_model(first, **options).SerializeToString()
        precision = "fp16" if "half" in options else "fp32"
        shapes = [options["static"]] if "static" in options else [(1, 40, 48), (3, 17, 25)]
        layout = options.get("layout", "nhwc-uint8")
        assert list(check_parity(first, data, precision=precision, layout=layout, shapes=shapes))
    data = build_portable_model(Mixture([first], second)).SerializeToString()
    mixed = mix({"a": first, "b": second}, {"a": 0.25, "b": 0.75})
    weights = np.array([0.25], np.float32)
    assert list(check_parity(mixed, data, shapes=[(1, 40, 48)], weights=weights))


def test_eight_bit_operators(network):
    plain = build_portable_model(network, static=(1, 32, 48))
    model = quantize(plain, [make_pictures(1, 32, 48)], symmetric=True)
    assert {n.op_type for n in model.graph.node} == PICTURE | DECODER | EIGHT_BIT
    kinds = {w.name: w.data_type for w in model.graph.initializer}
    convolutions = [n for n in model.graph.node if n.op_type == "Conv"]
    made_by = {name: node for node in model.graph.node for name in node.output}
    in_int8 = [c for c in convolutions if c.input[1] in made_by]
    assert len(in_int8) == len(convolutions) - 4  # all but the first three and the last
    for convolution in in_int8:
        weight = made_by[convolution.input[1]]
        assert weight.op_type == "DequantizeLinear"
        assert kinds[weight.input[0]] == TensorProto.INT8
    zeros = [numpy_helper.to_array(w) for w in model.graph.initializer if "zero_point" in w.name]
    assert zeros and not any(np.any(zero) for zero in zeros)  # TensorRT takes no others


@pytest.mark.parametrize("static", [None, (1, 64, 96), (2, 16, 20)])
def test_nothing_is_left_to_fold(network, static):
    graph = build_portable_model(network, static=static).graph
    constants = {weight.name for weight in graph.initializer} | {""}
    for node in graph.node:
        assert not set(node.input) <= constants, f"{node.name} is of constants alone"
    written = [(n.op_type, *n.input, *map(str, n.attribute)) for n in graph.node]
    assert len(set(written)) == len(written), "something is computed twice"
    used = {name for node in graph.node for name in node.input}
    assert constants - {""} <= used


def test_a_fixed_shape_needs_no_padding_to_the_smallest_size(network):
    def pads(static):
        nodes = build_portable_model(network, static=static).graph.node
        return [node for node in nodes if node.op_type == "Pad"]

    assert len(pads((1, 32, 32))) == 1 and len(pads((1, 31, 32))) == 2


@pytest.mark.parametrize("static", [(1, 40, 72), (3, 17, 33)])
@pytest.mark.parametrize("layout", ["nhwc-uint8", "nchw-float"])
def test_a_fixed_shape_agrees(network, static, layout):
    model = build_portable_model(network, static=static, layout=layout)
    shape = [d.dim_value for d in model.graph.output[0].type.tensor_type.shape.dim]
    n, height, width = static
    assert shape == ([n, height, width, 3] if layout == "nhwc-uint8" else [n, 3, height, width])
    data = model.SerializeToString()
    for found in check_parity(network, data, layout=layout, shapes=[static]):
        assert found.max <= 1


@pytest.mark.parametrize("opset", [OLDEST_OPSET, 18, NEWEST_OPSET])
def test_opsets(network, opset):
    model = build_portable_model(network, opset=opset)
    assert model.opset_import[0].version == opset
    assert list(check_parity(network, model.SerializeToString(), shapes=[(1, 32, 40)]))


def test_half_precision_is_half(network):
    model = build_portable_model(network, half=True)
    kinds = {w.name: w.data_type for w in model.graph.initializer}
    inside = [i for n in model.graph.node if n.op_type == "Conv" for i in n.input[1:]]
    assert inside and {kinds[name] for name in inside} == {TensorProto.FLOAT16}
    assert model.graph.input[0].type.tensor_type.elem_type == TensorProto.UINT8
    data = model.SerializeToString()
    assert list(check_parity(network, data, precision="fp16", shapes=[(1, 40, 40)]))
    inferred = onnx.shape_inference.infer_shapes(model, strict_mode=True)
    kinds = {v.name: v.type.tensor_type.elem_type for v in inferred.graph.value_info}
    means = [n.output[0] for n in model.graph.node if n.op_type == "ReduceMean"]
    assert {kinds[name] for name in means} == {TensorProto.FLOAT}  # of a million pixels


@torch.no_grad()
def test_an_upsampling_may_be_followed_by_any_layer():
    """Norms and ReLU work on subpixels; convolutions that were not rewritten read pixels."""
    network = TransformNet("fast").eval()
    network.body.out = nn.Sequential(UpsampleConv(16, 8), nn.Conv2d(8, 3, 3, padding=1))
    data = build_portable_model(network).SerializeToString()
    for found in check_parity(network, data, shapes=[(2, 40, 56)]):
        assert found.max <= 1


@pytest.mark.parametrize("level", [0, 127, 255])
def test_even_pictures_have_no_variance_to_lose(network, level):
    """As a mean of squares it comes out a little below zero for some, and NaN becomes black.

    Loose, for a style paints an even picture out of the rounding errors, which its norms enlarge.
    """
    data = build_portable_model(network).SerializeToString()
    frames = np.full((1, 700, 900, 3), level, np.uint8)
    with torch.inference_mode():
        expected = Uint8Wrapper(network)(torch.from_numpy(frames)).numpy().astype(int)
    got = open_session(data).run(None, {"frames": frames})[0]
    assert np.abs(got.mean(axis=(1, 2)) - expected.mean(axis=(1, 2))).max() < 5


def test_weights_are_shares(network):
    """More than 1 in all is scaled to 1; the rest up to 1 is the identity network's."""
    other, identity = load_style("udnie", network="fast"), load_network(identity_file("fast"))
    mixture = Mixture([network, other], identity)
    mixing = open_session(build_portable_model(mixture).SerializeToString())
    frames = make_pictures(1, 40, 40)

    def mixed(*weights: float) -> np.ndarray:
        given = {"frames": frames, "weights": np.array(weights, np.float32)}
        return mixing.run(["stylized"], given)[0].astype(int)

    def alone(style: str, strength: float = 1.0) -> np.ndarray:
        network = load_style(style, strength=strength, network="fast")
        model = build_portable_model(network).SerializeToString()
        return open_session(model).run(None, {"frames": frames})[0].astype(int)

    for got, expected in (
        (mixed(1, 0), alone("great_wave")),
        (mixed(0.5, 0.5), alone("great_wave+udnie")),
        (mixed(3, 1), alone("great_wave:3+udnie:1")),
        (mixed(0, 0.25), alone("udnie", 0.25)),
        (mixed(0, 0), alone("udnie", 0)),
    ):
        assert np.abs(got - expected).max() <= 1  # rounding
