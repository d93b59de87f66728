"""Prebuilt graphs, filled with weights, are those that are built from the network."""

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
import torch.nn.functional as F

from impasto.export.graphs.cpu import build_cpu_model
from impasto.export.graphs.gpu import build_gpu_model
from impasto.export.graphs.portable import build_portable_model
from impasto.export.graphs.rgb_to_yuv import yuv420_weights
from impasto.export.graphs.templates import VARIANTS, build_template, fill_template, template_path
from impasto.models.architectures import ARCHITECTURES, state_dict_shapes
from impasto.models.colors import ycc_to_rgb
from impasto.models.styles import build_network, load_weights
from impasto.models.transform_net import TransformNet
from tests.pictures import make_pictures


def run(model: bytes, frames: np.ndarray) -> np.ndarray:
    session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
    return session.run(None, {"frames": frames})[0]


@pytest.mark.parametrize("variant", VARIANTS)
def test_the_files_are_as_the_builder_writes_them(variant):
    assert onnx.load(template_path(variant)) == build_template(variant), (
        "run python -m impasto.export.graphs.templates"
    )


@pytest.mark.parametrize("variant", VARIANTS)
def test_a_filled_template_is_the_built_graph(variant):
    _, norm_mode, yuv420, gpu = variant
    weights = load_weights("great_wave:0.5+starry_night:0.5", strength=0.8)
    colors = yuv420_weights(matrix=1, full_range=False) if yuv420 else None
    ours = onnx.load_from_string(fill_template(weights, norm_mode, yuv420=colors, gpu=gpu))
    network = build_network(weights)
    if gpu:
        built = build_gpu_model(network, norm_mode, yuv420=yuv420, half=gpu == "fp16")
    else:
        built = build_cpu_model(network, norm_mode, yuv420=yuv420)
    assert ours.graph.node == built.graph.node
    for mine, theirs in zip(ours.graph.initializer, built.graph.initializer, strict=True):
        assert mine.name == theirs.name
        assert np.array_equal(onnx.numpy_helper.to_array(mine), onnx.numpy_helper.to_array(theirs))


@pytest.mark.parametrize("size", [(40, 50), (61, 83), (16, 17), (90, 32)])
def test_moving_bytes_changes_nothing(size):
    """The graph for CPU engines returns what the exported one does, to the last bit."""
    weights, frames = load_weights("great_wave"), make_pictures(2, *size)
    exported = build_portable_model(build_network(weights)).SerializeToString()
    difference = run(fill_template(weights, "instance"), frames).astype(int) - run(exported, frames)
    assert np.abs(difference).max() <= 1 and (difference != 0).mean() < 1e-3


@pytest.mark.parametrize("full_range", [False, True])
@pytest.mark.parametrize("matrix", [1, 6, 9])
@pytest.mark.parametrize("size", [(40, 50), (90, 32)])
def test_yuv420_is_that_of_the_rgb_picture(matrix, full_range, size):
    weights, frames = load_weights("starry_night"), make_pictures(2, *size)
    planes = run(
        fill_template(weights, "instance", yuv420=yuv420_weights(matrix, full_range)), frames
    )
    height, width = size
    assert planes.shape == (2, height * 3 // 2, width)
    to_rgb, black = (torch.from_numpy(x) for x in ycc_to_rgb(matrix, full_range))
    with torch.inference_mode():
        pictures = torch.from_numpy(frames).permute(0, 3, 1, 2).float() / 255
        rgb = 255 * build_network(weights)(pictures)
        ycc = torch.einsum("yc,nchw->nyhw", torch.linalg.inv(to_rgb), rgb)
        ycc += black.view(1, 3, 1, 1)
        chroma = F.avg_pool2d(ycc[:, 1:], 2).reshape(2, -1, width)
        expected = torch.cat([ycc[:, 0], chroma], dim=1).clamp(0, 255).numpy()
    assert np.abs(planes - expected).max() < 0.51


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_the_shapes_of_a_style_file_are_those_of_the_network(architecture):
    state = TransformNet(architecture).state_dict()
    shapes = {name: tuple(value.shape) for name, value in state.items()}
    assert shapes == state_dict_shapes(architecture)
