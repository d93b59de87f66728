"""OpenVINO's own graph in float32, on any processor: the same sums as the network it is made of."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from impasto.export.graphs import packing
from impasto.models.architectures import FORMS
from impasto.models.colors import ycc_to_rgb
from impasto.models.styles import weights_of
from impasto.models.transform_net import TransformNet
from impasto.realtime.engines.onnx_engine import OnnxEngine, graph_of
from impasto.realtime.frame import ColorTags
from tests.pictures import make_pictures

openvino = pytest.importorskip("openvino")

from impasto.export.graphs import openvino as graphs  # noqa: E402  (it needs OpenVINO)


def make_network() -> TransformNet:
    torch.manual_seed(0)
    network = TransformNet(next(iter(FORMS))).eval()
    with torch.no_grad():  # as after training: no bias is 0, no gain 1
        for parameter in network.parameters():
            parameter += 0.05 * torch.randn_like(parameter)
    return network


NETWORK = make_network()
WEIGHTS = weights_of(NETWORK)
NORMS = graphs.norms_of(WEIGHTS)


def run(picture: np.ndarray, color: ColorTags | None = None, **given) -> list[np.ndarray]:
    """With `weight` among the given: renewing."""
    frames = np.empty(packing.shape_of(*picture.shape[:2]), np.uint8)
    packing.pad(picture, frames)
    model = graphs.build(
        WEIGHTS, frames.shape, color and (color.matrix, color.full_range), renews="weight" in given
    )
    compiled = openvino.Core().compile_model(model, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    return list(compiled({"frames": frames, **given}).values())


def alone(picture: np.ndarray, color: ColorTags | None = None) -> list[np.ndarray]:
    """By the picture's own statistics: blocks, means, variances."""
    nothing = np.zeros(NORMS, np.float32)
    return run(picture, color, mean=nothing, variance=nothing + 1, weight=np.float32(1))


@torch.inference_mode()
def painted_by(network: torch.nn.Module, picture: np.ndarray) -> np.ndarray:
    """(H, W, 3) float, 0 to 255."""
    images = torch.from_numpy(picture).permute(2, 0, 1)[None].float() / 255
    return (network(images)[0].clamp(0, 1) * 255).permute(1, 2, 0).numpy()


@settings(max_examples=8, deadline=None)
@given(height=st.integers(32, 61), width=st.integers(32, 61))
def test_any_size_is_what_the_network_paints(height, width):
    (picture,) = make_pictures(1, height, width)
    blocks, *_ = alone(picture)
    painted = packing.pixels_of(blocks, height, width)
    assert painted.shape == picture.shape and painted.dtype == np.uint8
    assert np.abs(painted - painted_by(NETWORK, picture)).max() <= 0.51


def test_statistics_are_those_of_onnx_runtime_and_move_by_their_share():
    first, second = make_pictures(2, 48, 64)
    other = OnnxEngine(NETWORK)
    _, own = other.update(first[None], None, 1.0)
    (expected,), moved = other.update(second[None], own, 0.3)
    _, mean, variance = alone(first)
    assert np.allclose(mean, own.mean, atol=1e-4)
    assert np.allclose(variance, own.variance, rtol=1e-3)
    blocks, mean, variance = run(second, mean=mean, variance=variance, weight=np.float32(0.3))
    assert np.allclose(mean, moved.mean, atol=1e-4)
    assert np.allclose(variance, moved.variance, rtol=1e-3)
    (carried,) = run(second, mean=mean, variance=variance)
    for painted in (blocks, carried):
        assert np.abs(packing.pixels_of(painted, 48, 64).astype(int) - expected).max() <= 1


@pytest.mark.parametrize("size", [(48, 64), (46, 58)])
@pytest.mark.parametrize("color", [ColorTags(matrix=1), ColorTags(matrix=6, full_range=True)])
def test_planes_are_the_pixels_of_the_network(size, color):
    height, width = size
    (picture,) = make_pictures(1, height, width)
    planes = packing.planes_of(alone(picture, color)[0], height, width)
    to_rgb, black = ycc_to_rgb(color.matrix, color.full_range)
    with torch.inference_mode():
        images = torch.from_numpy(picture).permute(2, 0, 1)[None].float() / 255
        levels = 255 * NETWORK(images)[0].permute(1, 2, 0).numpy()  # not clipped before
    ycc = levels @ np.linalg.inv(to_rgb.astype(float)).T + black
    luma = ycc[..., 0]
    chroma = ycc[..., 1:].reshape(height // 2, 2, width // 2, 2, 2).mean((1, 3))
    assert planes.shape == (3 * height // 2, width)
    assert np.abs(planes[:height] - luma.clip(0, 255)).max() <= 0.51
    got = planes[height:].reshape(2, height // 2, width // 2)
    assert np.abs(got - chroma.transpose(2, 0, 1).clip(0, 255)).max() <= 0.51


@pytest.mark.parametrize("statistics", ["instance", "frozen", "running"])
def test_graphs_of_bytes_enlarge_without_an_enlarged_picture(statistics):
    model = openvino.Core().read_model(graph_of(WEIGHTS, statistics))
    frames = make_pictures(1, 40, 56)
    inputs = {node.get_any_name() for node in model.inputs}
    given = {"mean": np.zeros(NORMS), "variance": np.ones(NORMS), "weight": 0.5}
    given = {name: np.asarray(given[name], np.float32) for name in inputs - {"frames"}}

    def painted() -> np.ndarray:
        compiled = openvino.Core().compile_model(model, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
        return next(iter(compiled({"frames": frames, **given}).values()))

    expected = painted().astype(int)
    graphs.enlarge_by_transposed(model)
    kinds = [node.get_type_name() for node in model.get_ops()]
    assert "Interpolate" not in kinds and kinds.count("ConvolutionBackpropData") == 2
    assert np.abs(painted() - expected).max() <= 1


@given(height=st.integers(32, 60), width=st.integers(32, 60))
def test_pictures_are_mirrored_to_whole_strides(height, width):
    (picture,) = make_pictures(1, height, width)
    below, right = (24 + -(side + 48) % 8 for side in (height, width))
    expected = np.pad(picture, ((24, below), (24, right), (0, 0)), mode="reflect")
    frames = np.empty(packing.shape_of(height, width), np.uint8)
    packing.pad(picture, frames)
    assert np.array_equal(frames[0], expected.reshape(len(expected), -1))
