"""The OpenVINO graph in float32 computes the same as the network it is built from."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from impasto.export.graphs import packing
from impasto.export.graphs.calibration import calibrate
from impasto.export.graphs.quantization import ActivationRange
from impasto.models.architectures import ARCHITECTURES, count_normed_channels
from impasto.models.colors import ycc_to_rgb
from impasto.models.styles import load_weights, weights_of
from impasto.models.transform_net import TransformNet
from impasto.realtime.engines.onnx_engine import OnnxEngine, graph_of
from impasto.realtime.frame import ColorTags
from tests.pictures import make_pictures

openvino = pytest.importorskip("openvino")

from impasto.export.graphs import openvino as graphs  # noqa: E402  (it needs OpenVINO)


@pytest.fixture(scope="module")
def network() -> TransformNet:
    torch.manual_seed(0)
    network = TransformNet(next(iter(ARCHITECTURES))).eval()
    with torch.no_grad():  # as after training: no bias is 0, no gain 1
        for parameter in network.parameters():
            parameter += 0.05 * torch.randn_like(parameter)
    return network


class Graphs:
    """The OpenVINO graphs of a network."""

    def __init__(self, network: TransformNet) -> None:
        self.weights = weights_of(network)
        self.channels = count_normed_channels(self.weights.architecture)

    def run(
        self, picture: np.ndarray, color: ColorTags | None = None, **given: np.ndarray
    ) -> list[np.ndarray]:
        """The outputs for a picture (H, W, 3); with `weight` among the inputs: running."""
        frames = np.empty(packing.padded_shape(*picture.shape[:2]), np.uint8)
        packing.reflect_pad(picture, frames)
        space = color and (color.matrix, color.full_range)
        mode = "running" if "weight" in given else "frozen"
        model = graphs.build_openvino_model(self.weights, frames.shape, space, mode)
        compiled = openvino.Core().compile_model(model, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
        return list(compiled({"frames": frames, **given}).values())

    def run_alone(self, picture: np.ndarray, color: ColorTags | None = None) -> list[np.ndarray]:
        """Blocks, means and variances, by the picture's own statistics."""
        zeros = np.zeros(self.channels, np.float32)
        return self.run(picture, color, mean=zeros, variance=zeros + 1, weight=np.float32(1))


@pytest.fixture(scope="module")
def packed(network) -> Graphs:
    return Graphs(network)


@torch.inference_mode()
def stylized_by(network: torch.nn.Module, picture: np.ndarray) -> np.ndarray:
    """(H, W, 3) float, 0 to 255."""
    images = torch.from_numpy(picture).permute(2, 0, 1)[None].float() / 255
    return (network(images)[0].clamp(0, 1) * 255).permute(1, 2, 0).numpy()


@settings(max_examples=3, deadline=None)  # each compiles a graph
@given(height=st.integers(32, 61), width=st.integers(32, 61))
def test_any_size_is_what_the_network_returns(network, packed, height, width):
    (picture,) = make_pictures(1, height, width)
    blocks, *_ = packed.run_alone(picture)
    stylized = packing.unpack_rgb(blocks, height, width)
    assert stylized.shape == picture.shape and stylized.dtype == np.uint8
    assert np.abs(stylized - stylized_by(network, picture)).max() <= 0.51


def test_statistics_are_those_of_onnx_runtime(network, packed):
    first, second = make_pictures(2, 48, 64)
    other = OnnxEngine(network)
    _, own = other.update(first[None], None, 1.0)
    (expected,), moved = other.update(second[None], own, 0.3)
    _, mean, variance = packed.run_alone(first)
    assert np.allclose(mean, own.mean, atol=1e-4)
    assert np.allclose(variance, own.variance, rtol=1e-3)
    blocks, mean, variance = packed.run(
        second, mean=mean, variance=variance, weight=np.float32(0.3)
    )
    assert np.allclose(mean, moved.mean, atol=1e-4)
    assert np.allclose(variance, moved.variance, rtol=1e-3)
    (frozen,) = packed.run(second, mean=mean, variance=variance)
    for stylized in (blocks, frozen):
        assert np.abs(packing.unpack_rgb(stylized, 48, 64).astype(int) - expected).max() <= 1


@pytest.mark.parametrize("size", [(48, 64), (46, 58)])
@pytest.mark.parametrize("color", [ColorTags(matrix=1), ColorTags(matrix=6, full_range=True)])
def test_yuv420_is_that_of_the_network(network, packed, size, color):
    height, width = size
    (picture,) = make_pictures(1, height, width)
    planes = packing.unpack_yuv420(packed.run_alone(picture, color)[0], height, width)
    to_rgb, black = ycc_to_rgb(color.matrix, color.full_range)
    with torch.inference_mode():
        images = torch.from_numpy(picture).permute(2, 0, 1)[None].float() / 255
        levels = 255 * network(images)[0].permute(1, 2, 0).numpy()  # not clipped before
    ycc = levels @ np.linalg.inv(to_rgb.astype(float)).T + black
    luma = ycc[..., 0]
    chroma = ycc[..., 1:].reshape(height // 2, 2, width // 2, 2, 2).mean((1, 3))
    assert planes.shape == (3 * height // 2, width)
    assert np.abs(planes[:height] - luma.clip(0, 255)).max() <= 0.51
    got = planes[height:].reshape(2, height // 2, width // 2)
    assert np.abs(got - chroma.transpose(2, 0, 1).clip(0, 255)).max() <= 0.51


def test_int8_is_nearly_the_same_and_multiplies_8_bits() -> None:
    weights = load_weights("great_wave", network="fast")
    (picture,) = make_pictures(1, 120, 160)
    frames = np.empty(packing.padded_shape(*picture.shape[:2]), np.uint8)
    packing.reflect_pad(picture, frames)
    channels = np.zeros(count_normed_channels("fast"), np.float32)
    given = {"frames": frames, "mean": channels, "variance": channels + 1, "weight": np.float32(1)}
    ranges = calibrate(weights)

    def painted(ranges: dict[str, ActivationRange] | None) -> np.ndarray:
        model = graphs.build_openvino_model(weights, frames.shape, None, "running", ranges)
        compiled = openvino.Core().compile_model(model, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
        return packing.unpack_rgb(compiled(given)[0], *picture.shape[:2])

    noise = np.square(painted(None).astype(float) - painted(ranges)).mean()
    assert 0 < noise < 255**2 / 10**4.4  # 44 dB
    model = graphs.build_openvino_model(weights, frames.shape, None, "frozen", ranges)
    constants = [op for op in model.get_ops() if op.get_type_name() == "Constant"]
    kernels = [op for op in constants if op.get_element_type() == openvino.Type.i8]
    assert len(kernels) == 12  # of 15 convolutions


def test_it_is_found_in_openvinos_cache_the_next_time(tmp_path) -> None:
    """It is looked up by all names of the graph, too."""
    weights, core = load_weights("great_wave", network="fast"), openvino.Core()
    shape, ranges = packing.padded_shape(40, 56), calibrate(weights)
    for _ in range(3):
        model = graphs.build_openvino_model(weights, shape, None, "running", ranges)
        core.compile_model(model, "CPU", {"CACHE_DIR": str(tmp_path)})
    assert len([*tmp_path.glob("*.blob")]) == 1


@pytest.mark.parametrize("norm_mode", ["instance", "frozen", "running"])
def test_upsampling_is_folded_into_transposed_convolutions(packed, norm_mode):
    model = openvino.Core().read_model(graph_of(packed.weights, norm_mode))
    frames = make_pictures(1, 40, 56)
    inputs = {node.get_any_name() for node in model.inputs}
    given = {"mean": np.zeros(packed.channels), "variance": np.ones(packed.channels), "weight": 0.5}
    given = {name: np.asarray(given[name], np.float32) for name in inputs - {"frames"}}

    def stylize() -> np.ndarray:
        compiled = openvino.Core().compile_model(model, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
        return next(iter(compiled({"frames": frames, **given}).values()))

    expected = stylize().astype(int)
    graphs.fold_upsampling(model)
    kinds = [node.get_type_name() for node in model.get_ops()]
    assert "Interpolate" not in kinds and kinds.count("ConvolutionBackpropData") == 2
    assert np.abs(stylize() - expected).max() <= 1


@given(height=st.integers(32, 60), width=st.integers(32, 60))
def test_pictures_are_padded_by_reflection(height, width):
    (picture,) = make_pictures(1, height, width)
    below, right = (24 + -(side + 48) % 8 for side in (height, width))
    expected = np.pad(picture, ((24, below), (24, right), (0, 0)), mode="reflect")
    frames = np.empty(packing.padded_shape(height, width), np.uint8)
    packing.reflect_pad(picture, frames)
    assert np.array_equal(frames[0], expected.reshape(len(expected), -1))
