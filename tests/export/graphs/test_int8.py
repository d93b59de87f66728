"""int8 convolutions: what is in the graph, how much it differs, and when it is rejected."""

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, numpy_helper

from impasto.export.graphs import int8
from impasto.export.graphs.calibration import calibrate
from impasto.export.graphs.int8 import measure_ranges, quantize_convolutions
from impasto.export.graphs.quantization import ActivationRange
from impasto.export.graphs.rgb_to_yuv import yuv420_weights
from impasto.export.graphs.templates import fill_template
from impasto.models import machine_cache
from impasto.models.styles import load_weights
from tests.pictures import make_pictures


@pytest.fixture(scope="module")
def weights():
    return load_weights("great_wave")


@pytest.fixture(scope="module")
def ranges(weights):
    return calibrate(weights)


def run(model: bytes, **inputs: np.ndarray) -> list[np.ndarray]:
    session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
    return session.run(None, inputs)


def psnr(one: np.ndarray, other: np.ndarray) -> float:
    return 10 * np.log10(255**2 / np.square(one.astype(float) - other).mean())


@pytest.mark.parametrize(
    ("limits", "zero_point"),
    [((0, 2), 0), ((-1, 3), 64), ((-3, 0), 255), ((0, 0), 0)],
)
def test_the_zero_point_is_exact(limits, zero_point):
    """Convolutions pad with zeros."""
    values = ActivationRange(*limits)
    assert values.zero == zero_point and values.scale > 0
    largest = (255 - zero_point) * values.scale
    assert largest == pytest.approx(values.high, abs=0.01)


def test_every_convolution_but_the_first_three_is_int8(weights, ranges):
    for colors in (None, yuv420_weights(matrix=1, full_range=False)):
        graph = onnx.load_from_string(
            quantize_convolutions(fill_template(weights, "frozen", yuv420=colors), ranges)
        ).graph
        makers = {name: node for node in graph.node for name in node.output}
        kinds = {weight.name: weight for weight in graph.initializer}
        first, *others = (
            n for n in graph.node if n.op_type == "Conv" and not n.input[1].startswith("yuv420")
        )
        assert len(others) == 14
        in_float, others = others[:2], others[2:]
        assert all(node.input[1] in kinds for node in in_float)
        assert first.input[1] in kinds and makers[first.input[0]].op_type == "Div"
        for node in others:
            read, weight = (makers[name] for name in node.input[:2])
            assert {read.op_type, weight.op_type} == {"DequantizeLinear"}
            assert kinds[weight.input[0]].data_type == TensorProto.INT8
            values = numpy_helper.to_array(kinds[weight.input[0]])
            assert (np.abs(values).max(axis=(1, 2, 3)) == 127).all()  # each channel uses all bits
        used = {name for node in graph.node for name in node.input}
        assert set(kinds) <= used, "weights that nothing reads"


@pytest.mark.parametrize("size", [(61, 83), (16, 16)])
def test_the_picture_is_nearly_the_same(weights, ranges, size):
    """In every norm mode; the running statistics are nearly the same, too."""
    frames = make_pictures(1, *size)

    def both(kind: str, **inputs: np.ndarray) -> tuple[list[np.ndarray], list[np.ndarray]]:
        plain = fill_template(weights, kind)
        given = {"frames": frames, **inputs}
        found = run(plain, **given), run(quantize_convolutions(plain, ranges), **given)
        assert psnr(found[0][0], found[1][0]) > 35
        return found

    both("instance")
    model = onnx.load_from_string(fill_template(weights, "frozen"))
    start = np.zeros(model.graph.input[1].type.tensor_type.shape.dim[0].dim_value, np.float32)
    (_, mean, variance), (_, *updated) = both(
        "running", mean=start, variance=start + 1, weight=np.array(1, np.float32)
    )
    deviation = np.sqrt(variance)
    assert np.abs((updated[0] - mean) / deviation).max() < 0.2
    assert np.abs(np.sqrt(updated[1]) / deviation - 1).max() < 0.2
    both("frozen", mean=mean, variance=variance)


def test_measured_ranges_are_those_of_the_network(weights, ranges):
    assert ranges == measure_ranges(onnx.load_from_string(fill_template(weights, "instance")))
    assert len(ranges) == 14
    assert all(low <= 0 < high for low, high in ranges.values())
    assert ranges["body.out.conv.weight"].low == 0  # after ReLU
    assert ranges["body.blocks.2.conv1.weight"].low < 0  # a sum of residuals


def test_ranges_are_measured_once(weights, tmp_path, monkeypatch):
    monkeypatch.setattr(machine_cache, "user_cache_path", lambda name: tmp_path / name)
    measured = calibrate(weights)
    monkeypatch.setattr(int8, "measure_ranges", None)
    assert calibrate(weights) == measured


@pytest.mark.parametrize("content", ["", "[1]", '{"body.out.conv.weight": 3}'])
def test_stored_ranges_that_cannot_be_read_are_measured_again(
    weights, tmp_path, monkeypatch, content
):
    monkeypatch.setattr(machine_cache, "user_cache_path", lambda name: tmp_path / name)
    found = {"body.out.conv.weight": ActivationRange(0, 1)}
    monkeypatch.setattr(int8, "measure_ranges", lambda model: found)
    calibrate(weights)
    (file,) = tmp_path.rglob("*.json")
    file.write_text(content)
    assert calibrate(weights) == found
