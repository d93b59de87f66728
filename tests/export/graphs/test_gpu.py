"""The graph for GPUs computes the same as the graph for CPUs, compared on a CPU."""

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from onnx import TensorProto, shape_inference

from impasto.export.graphs.cpu import build_cpu_model
from impasto.export.graphs.gpu import build_gpu_model
from impasto.export.graphs.rgb_to_yuv import yuv420_weights
from impasto.models.styles import load_style
from impasto.models.transform_net import TransformNet
from impasto.realtime.engines.torch_engine import TorchEngine
from impasto.realtime.frame import ColorTags
from tests.pictures import make_pictures

SIZES = [(61, 83), (24, 40)]


@pytest.fixture(scope="module")
def network() -> TransformNet:
    return load_style("great_wave")


def run(model: onnx.ModelProto, **given: np.ndarray) -> list[np.ndarray]:
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    return session.run(None, given)


def start(model: onnx.ModelProto, weight: float = 1.0) -> dict[str, np.ndarray]:
    (channels,) = (d.dim_value for d in model.graph.input[1].type.tensor_type.shape.dim)
    mean, variance = np.zeros(channels, np.float32), np.ones(channels, np.float32)
    return {"mean": mean, "variance": variance, "weight": np.array(weight, np.float32)}


@pytest.fixture(scope="module")
def statistics(network) -> dict[str, np.ndarray]:
    """Of some picture."""
    model = build_cpu_model(network, "running")
    _, mean, variance = run(model, frames=make_pictures(1, 48, 64), **start(model))
    return {"mean": mean, "variance": variance}


@pytest.mark.parametrize("half", [False, True])
@pytest.mark.parametrize("fold", [False, True])
@pytest.mark.parametrize("size", SIZES)
def test_frozen_statistics_as_on_a_cpu(network, statistics, half, fold, size):
    frames = make_pictures(3, *size)
    (ours,) = run(
        build_gpu_model(network, "frozen", half=half, fold=fold), frames=frames, **statistics
    )
    (expected,) = run(build_cpu_model(network, "frozen"), frames=frames, **statistics)
    # Sums in another order; float16 keeps eleven bits.
    off = np.abs(ours.astype(int) - expected)
    assert (off <= 1).all() if not half else (off <= 2).mean() > 0.999


@pytest.mark.parametrize("half", [False, True])
@pytest.mark.parametrize("size", SIZES)
def test_running_statistics_as_on_a_cpu(network, statistics, half, size):
    frame = make_pictures(1, *size)
    ours = build_gpu_model(network, "running", half=half)
    given = start(ours, 0.3) | statistics
    stylized, *updated = run(ours, frames=frame, **given)
    expected, *others = run(build_cpu_model(network, "running"), frames=frame, **given)
    off = np.abs(stylized.astype(int) - expected)
    assert (off <= 1).all() if not half else (off <= 2).mean() > 0.999
    for new, other in zip(updated, others, strict=True):
        assert np.abs(new - other).max() <= (2e-2 if half else 1e-4) * np.abs(other).max()


@pytest.mark.parametrize("full_range", [False, True])
@pytest.mark.parametrize("matrix", [1, 6])
def test_yuv420_as_in_pytorch(network, matrix, full_range):
    frames = make_pictures(2, 96, 128)
    engine = TorchEngine(network).for_yuv420(ColorTags(matrix=matrix, full_range=full_range))
    expected, statistics = engine.update(frames[:1], None, 1.0)
    frozen = engine.stylize(frames, statistics)
    colors = yuv420_weights(matrix, full_range)
    models = {}
    for kind in ("frozen", "running"):
        models[kind] = build_gpu_model(network, kind, yuv420=True)
        for tensor in models[kind].graph.initializer:
            if tensor.name in colors:
                tensor.raw_data = colors[tensor.name].tobytes()
    stylized, mean, variance = run(models["running"], frames=frames[:1], **start(models["running"]))
    (ours,) = run(models["frozen"], frames=frames, mean=mean, variance=variance)
    assert ours.shape == (2, 144, 128) and stylized.shape == (1, 144, 128)
    assert np.abs(ours[:1].astype(int) - stylized).max() <= 1
    for mine, theirs in ((stylized, expected), (ours, frozen)):
        assert np.abs(mine.astype(int) - theirs).max() <= 1  # sums in another order


@pytest.mark.parametrize("yuv420", [False, True])
@pytest.mark.parametrize("kind", ["frozen", "running"])
def test_float16_graphs_have_no_node_that_would_run_on_the_cpu(network, kind, yuv420):
    """ONNX Runtime has BatchNormalization on CUDA in one type throughout, Pad in no bytes."""
    model = build_gpu_model(network, kind, yuv420=yuv420, half=True)
    model = shape_inference.infer_shapes(model, strict_mode=True, data_prop=True)
    types = {v.name: v.type.tensor_type.elem_type for v in model.graph.value_info}
    types |= {v.name: v.type.tensor_type.elem_type for v in model.graph.input}
    types |= {tensor.name: tensor.data_type for tensor in model.graph.initializer}
    bytes_are_for = {"Cast", "Shape", "Transpose"}
    for node in model.graph.node:
        kinds = {types[name] for name in node.input if name in types}
        if node.op_type in ("BatchNormalization", "Conv", "Mul", "Add", "Sub", "Div"):
            assert len(kinds) == 1, node
        assert TensorProto.UINT8 not in kinds or node.op_type in bytes_are_for, node
    halves = {n.op_type for n in model.graph.node if types.get(n.output[0]) == TensorProto.FLOAT16}
    assert {"Conv", "Relu", "Pad", "Resize", "DepthToSpace", "Clip", "Round"} <= halves
    with torch.no_grad():
        assert all(v.abs().max() < 65504 for v in network.state_dict().values())
