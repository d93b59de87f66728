"""Strokes of another width in the graph: as in PyTorch at every size, and as the command paints."""

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

from impasto.export import check_parity, export_onnx
from impasto.export.graphs.portable import build_portable_model
from impasto.export.metadata import read_metadata
from impasto.export.parity import Difference
from impasto.export.scenes import render
from impasto.export.stroke import StrokeNet, add_stroke, reduced
from impasto.models.stroke import painted_size
from impasto.models.styles import load_style, load_weights
from impasto.models.transform_net import TransformNet
from impasto.realtime.engines.onnx_engine import OnnxEngine
from impasto.realtime.stroke import StrokeStylizer
from impasto.realtime.stylizer import Stylizer

SHAPES = [(1, 61, 83), (3, 40, 44)]
STROKES = [0.5, 0.8, 1.5, 2.0, 3.0, 4.0]


@pytest.fixture(scope="module")
def network() -> Any:
    return load_style("great_wave")


@pytest.fixture(scope="module")
def graphs(network: TransformNet) -> dict[float, bytes]:
    inner = build_portable_model(network, layout="nchw-float")
    return {
        stroke: add_stroke(inner, stroke, layout="nhwc-uint8", static=None).SerializeToString()
        for stroke in STROKES
    }


@settings(max_examples=12, deadline=None)
@given(
    stroke=st.sampled_from(STROKES),
    batch=st.integers(1, 2),
    height=st.integers(16, 90),
    width=st.integers(16, 90),
)
def test_graphs_of_any_size_agree_with_pytorch(
    network: TransformNet,
    graphs: dict[float, bytes],
    stroke: float,
    batch: int,
    height: int,
    width: int,
) -> None:
    """`check_parity` raises if they do not."""
    net, shape = StrokeNet(network, stroke), (batch, height, width)
    found = list(check_parity(net, graphs[stroke], shapes=[shape]))
    assert [difference.shape for difference in found] == [shape, shape]


@pytest.mark.parametrize(
    ("stroke", "least"), [(0.5, 50), (1.5, 36), (2.0, 48), (3.0, 36), (4.0, 45)]
)
def test_a_graph_paints_as_the_command_does(
    graphs: dict[float, bytes], stroke: float, least: float
) -> None:
    """PSNR in dB; which pixels are averaged differs where sizes are no double or half."""
    frames = render(1, 240, 320)
    session = onnxruntime.InferenceSession(graphs[stroke], providers=["CPUExecutionProvider"])
    (found,) = session.run(None, {"frames": frames})
    stylizer = Stylizer(OnnxEngine(load_weights("great_wave")), is_video=False)
    expected = StrokeStylizer(stylizer, stroke).stylize_image(frames[0])
    error = np.square(found[0].astype(float) - expected).mean()
    assert 10 * np.log10(255**2 / error) >= least


def test_doubling_is_bicubic() -> None:
    """As PyTorch's, where no clamping changes it."""
    images = 0.4 + 0.2 * torch.rand(2, 3, 9, 14)
    expected = F.interpolate(images, size=(18, 28), mode="bicubic", align_corners=False)
    torch.testing.assert_close(reduced(images, 0.5), expected, atol=1e-5, rtol=0)


@pytest.mark.parametrize(
    "options",
    [
        {"precision": "fp16"},
        {"precision": "int8"},
        {"layout": "nchw-float"},
        {"interactive": True},
        {"opset": 13},
        {"opset": 23},
    ],
    ids=str,
)
def test_all_kinds_of_files_have_it(tmp_path: Path, options: dict[str, Any]) -> None:
    differences: list[Difference] = []
    path = export_onnx(
        "great_wave",
        tmp_path / "a.onnx",
        stroke=2.5,
        shapes=SHAPES,
        on_difference=differences.append,
        **options,
    )
    assert {difference.shape for difference in differences} == set(SHAPES)
    about = read_metadata(path)
    assert about["metadata"]["stroke"] == "2.5"
    assert list(about["outputs"].values()) == list(about["inputs"].values())[:1]


def test_a_fixed_shape_computes_no_shapes(tmp_path: Path) -> None:
    path = export_onnx("great_wave", tmp_path / "a.onnx", stroke=3, static=(2, 45, 61))
    kinds = {node.op_type for node in onnx.load(path).graph.node}
    assert "Resize" in kinds and "Shape" not in kinds


def test_a_stroke_of_one_adds_nothing(tmp_path: Path) -> None:
    plain = export_onnx("udnie", tmp_path / "a.onnx", shapes=[])
    same = export_onnx("udnie", tmp_path / "b.onnx", shapes=[], stroke=1.0)
    assert plain.read_bytes() == same.read_bytes()


@pytest.mark.parametrize("stroke", [0.4, 5, float("nan")])
def test_other_strokes_are_refused(tmp_path: Path, stroke: float) -> None:
    with pytest.raises(ValueError, match="from 0.5 to 4"):
        export_onnx("great_wave", tmp_path / "a.onnx", stroke=stroke)


def test_a_fixed_shape_that_is_painted_too_large_is_refused(tmp_path: Path) -> None:
    assert painted_size((4320, 8192), 0.5) == (8640, 16384)
    with pytest.raises(ValueError, match="too large a size"):
        export_onnx("great_wave", tmp_path / "a.onnx", stroke=0.5, static=(1, 4320, 8192))
