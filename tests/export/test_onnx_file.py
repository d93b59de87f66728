"""Exported files: metadata, options, and that only checked graphs are written."""

import json

import numpy as np
import onnx
import pytest

from impasto.export import check_parity, export_onnx, onnx_file
from impasto.export.graphs.portable import build_portable_model
from impasto.export.metadata import read_metadata
from impasto.export.spec import parse_static
from impasto.models import load_style
from impasto.models.errors import ParityError, SinkError, SourceError, WeightsError
from impasto.models.transform_net import TransformNet
from tests.pictures import make_pictures

SMALL = ((1, 40, 48), (3, 17, 25))


def test_a_style_with_all_that_is_known_of_it(tmp_path):
    seen = []
    path = export_onnx(
        "great_wave", tmp_path / "wave.onnx", strength=0.7, shapes=SMALL, on_difference=seen.append
    )
    assert [found.shape for found in seen] == [s for s in SMALL for _ in range(2)]
    about = read_metadata(path)
    assert about["inputs"] == {"frames": "uint8 n x height x width x 3"}
    assert about["outputs"] == {"stylized": "uint8 n x height x width x 3"}
    metadata = about["metadata"]
    assert metadata["style"] == "great_wave" and metadata["strength"] == "0.7"
    assert metadata["painting"] == "The Great Wave off Kanagawa"
    assert metadata["artist"] == "Katsushika Hokusai" and metadata["year"] == "1831"
    assert metadata["licence"] == "public domain" and "CC BY 4.0" in metadata["credits"]
    assert metadata["input"] == "frames: (N, H, W, 3) uint8 RGB, 0 to 255"
    assert metadata["output"].startswith("stylized: (N, H, W, 3) uint8 RGB")
    assert json.loads(metadata["recipe"])["great_wave"]["steps"] > 0
    model = onnx.load(path)
    assert model.producer_name == "impasto" and model.producer_version == metadata["impasto"]
    assert [p.name for p in tmp_path.iterdir()] == ["wave.onnx"]  # self-contained


def test_files_with_the_output_of_earlier_versions_are_read(tmp_path):
    """It was spelled `stylised`."""
    path = export_onnx("udnie", tmp_path / "old.onnx", shapes=SMALL[:1])
    model = onnx.load(path)
    model.graph.node[-1].output[0] = model.graph.output[0].name = "stylised"
    onnx.save(model, path)
    assert read_metadata(path)["outputs"] == {"stylised": "uint8 n x height x width x 3"}
    assert list(check_parity(load_style("udnie"), path.read_bytes(), shapes=SMALL[:1]))


def test_a_custom_network(tmp_path):
    network = TransformNet("fast").eval()
    path = export_onnx(network, tmp_path / "own.onnx", shapes=SMALL)
    assert "style" not in read_metadata(path)["metadata"]


def test_interactive(tmp_path):
    seen = []
    path = export_onnx(
        "great_wave:3+udnie",
        tmp_path / "two.onnx",
        interactive=True,
        strength=0.9,
        shapes=SMALL[:1],
        on_difference=seen.append,
    )
    assert len(seen) == 6  # the blend, one style alone, half of the blend
    about = read_metadata(path)
    assert about["inputs"]["weights"] == "float32 2"
    assert json.loads(about["metadata"]["styles"]) == ["great_wave", "udnie"]
    assert about["metadata"]["artist"] == "Katsushika Hokusai + Francis Picabia"


def test_eight_bits_hold_30_db(tmp_path):
    seen = []
    given = list(make_pictures(4, 48, 64)[:, None])
    path = export_onnx(
        "udnie",
        tmp_path / "small.onnx",
        precision="int8",
        calibration=given,
        shapes=SMALL,
        on_difference=seen.append,
    )
    assert 30 <= min(found.psnr for found in seen) < 60  # above 60 nothing was quantized
    assert path.stat().st_size < 700_000  # a quarter of float32, and what stays so


def test_eight_bits_of_a_fixed_shape_and_floats(tmp_path):
    path = export_onnx(
        "udnie",
        tmp_path / "small.onnx",
        precision="int8",
        static=(2, 32, 40),
        layout="nchw-float",
        opset=13,
    )
    assert read_metadata(path)["inputs"] == {"frames": "float32 2 x 3 x 32 x 40"}


def test_half_precision_of_floats(tmp_path):
    path = export_onnx(
        "udnie", tmp_path / "half.onnx", precision="fp16", layout="nchw-float", shapes=SMALL
    )
    about = read_metadata(path)
    assert about["outputs"] == {"stylized": "float32 n x 3 x height x width"}
    assert about["metadata"]["precision"] == "fp16"


@pytest.mark.parametrize("existing", [None, b"precious"])
def test_what_is_wrong_is_not_written(existing, tmp_path, monkeypatch):
    path = tmp_path / "wrong.onnx"
    if existing:
        path.write_bytes(existing)
    other = load_style("udnie")
    monkeypatch.setattr(
        onnx_file, "build_portable_model", lambda _, **o: build_portable_model(other, **o)
    )
    with pytest.raises(ParityError):
        export_onnx("great_wave", path, shapes=SMALL)
    assert path.read_bytes() == existing if existing else not path.exists()


@pytest.mark.parametrize(
    "options",
    [
        {"opset": 12},
        {"opset": 99},
        {"static": (1, 8, 8)},
        {"static": (0, 64, 64)},
        {"interactive": True, "precision": "int8"},
    ],
)
def test_options_that_cannot_be(options, tmp_path):
    with pytest.raises(ValueError):
        export_onnx("great_wave", tmp_path / "no.onnx", **options)
    assert not list(tmp_path.iterdir())


def test_an_unknown_style(tmp_path):
    with pytest.raises(WeightsError, match="great_wave"):
        export_onnx("grate_wave", tmp_path / "no.onnx")


def test_an_unwritable_path(tmp_path):
    with pytest.raises(SinkError, match="gone"):
        export_onnx(TransformNet("fast").eval(), tmp_path / "gone" / "a.onnx", shapes=SMALL[:1])


@pytest.mark.parametrize("text", ["720x1280", "1x8x8", "0x64x64", "1x-5x64", "1x16384x16384", ""])
def test_impossible_shapes(text):
    with pytest.raises(ValueError, match="1x720x1280"):
        parse_static(text)


def test_a_shape():
    assert parse_static("1x720x1280") == (1, 720, 1280)


@pytest.mark.parametrize("content", [b"", b"plain text", None, bytes(range(256)) * 9])
def test_only_our_files_are_shown(content, tmp_path):
    path = tmp_path / "what.onnx"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(SourceError, match="what.onnx"):
        read_metadata(path)


def test_files_of_others_are_not_shown(tmp_path):
    path = tmp_path / "other.onnx"
    value = onnx.helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, [1])
    node = onnx.helper.make_node("Identity", ["x"], ["y"])
    graph = onnx.helper.make_graph([node], "g", [value], [value])
    onnx.save(onnx.helper.make_model(graph), path)
    with pytest.raises(SourceError, match="not written by impasto export"):
        read_metadata(path)


def test_rendered_frames_are_pictures():
    from impasto.export.scenes import render

    one, again = render(2, 30, 50, seed=1), render(2, 30, 50, seed=1)
    assert one.shape == (2, 30, 50, 3) and one.dtype == np.uint8
    assert np.array_equal(one, again) and not np.array_equal(one[0], one[1])
    assert one.std() > 20  # not a single gray
