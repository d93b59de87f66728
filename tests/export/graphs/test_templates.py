"""A template filled with weights is the graph that is built from the network."""

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
import torch.nn.functional as F

from impasto.export.graphs.builder import build_model
from impasto.export.graphs.cpu import build_byte_model
from impasto.export.graphs.gpu import build_gpu_model
from impasto.export.graphs.rgb_to_yuv import both_ways, from_rgb
from impasto.export.graphs.templates import KINDS, filled, path_of, template
from impasto.models.architectures import FORMS, shapes
from impasto.models.fast.yuv420 import Recoding
from impasto.models.styles import load_weights, network_of
from impasto.models.transform_net import TransformNet
from tests.pictures import make_pictures


def run(model: bytes, frames: np.ndarray) -> np.ndarray:
    session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
    return session.run(None, {"frames": frames})[0]


@pytest.mark.parametrize("kind", KINDS)
def test_the_files_are_as_the_builder_writes_them(kind):
    assert onnx.load(path_of(kind)) == template(kind), (
        "run python -m impasto.export.graphs.templates"
    )


@pytest.mark.parametrize("kind", KINDS)
def test_filled_is_built(kind):
    form, statistics, planes, gpu = kind
    weights = load_weights("great_wave:0.5+starry_night:0.5", strength=0.8)
    color = {"matrix": 1, "full_range": False}
    colors = (both_ways(**color) if gpu else from_rgb(**color)) if planes else None
    ours = onnx.load_from_string(filled(weights, statistics, yuv420=colors, gpu=gpu))
    network = network_of(weights)
    if gpu:
        built = build_gpu_model(network, statistics, yuv420=planes, half=gpu == "fp16")
    else:
        built = build_byte_model(network, statistics, yuv420=planes)
    assert ours.graph.node == built.graph.node
    for mine, theirs in zip(ours.graph.initializer, built.graph.initializer, strict=True):
        assert mine.name == theirs.name
        assert np.array_equal(onnx.numpy_helper.to_array(mine), onnx.numpy_helper.to_array(theirs))


@pytest.mark.parametrize("size", [(40, 50), (61, 83), (16, 17), (90, 32)])
def test_bytes_are_moved_as_numbers_would_be(size):
    """The graph for engines gives to the last bit what the exported one does."""
    weights, frames = load_weights("great_wave"), make_pictures(2, *size)
    exported = build_model(network_of(weights)).SerializeToString()
    difference = run(filled(weights, "instance"), frames).astype(int) - run(exported, frames)
    assert np.abs(difference).max() <= 1 and (difference != 0).mean() < 1e-3


@pytest.mark.parametrize("full_range", [False, True])
@pytest.mark.parametrize("matrix", [1, 6, 9])
@pytest.mark.parametrize("size", [(40, 50), (90, 32)])
def test_planes_are_those_of_the_rgb_picture(matrix, full_range, size):
    weights, frames = load_weights("starry_night"), make_pictures(2, *size)
    planes = run(filled(weights, "instance", yuv420=from_rgb(matrix, full_range)), frames)
    height, width = size
    assert planes.shape == (2, height * 3 // 2, width)
    recoding = Recoding.of(matrix, full_range)
    with torch.inference_mode():
        pictures = torch.from_numpy(frames).permute(0, 3, 1, 2).float() / 255
        rgb = 255 * network_of(weights)(pictures)
        ycc = torch.einsum("yc,nchw->nyhw", torch.linalg.inv(recoding.to_rgb), rgb)
        ycc += recoding.zero.view(1, 3, 1, 1)
        chroma = F.avg_pool2d(ycc[:, 1:], 2).reshape(2, -1, width)
        expected = torch.cat([ycc[:, 0], chroma], dim=1).clamp(0, 255).numpy()
    assert np.abs(planes - expected).max() < 0.51


@pytest.mark.parametrize("form", FORMS)
def test_the_contract_of_a_style_file_is_the_network(form):
    state = TransformNet(form).state_dict()
    assert {name: tuple(value.shape) for name, value in state.items()} == shapes(form)
