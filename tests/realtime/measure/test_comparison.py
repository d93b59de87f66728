"""`impasto eval` on finished pictures and films, on ONNX files, and on several at once."""

import csv
import json
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from impasto.models.errors import EngineError, SourceError
from impasto.models.judge import StyleMetrics
from impasto.realtime.files.images import read_image, write_image
from impasto.realtime.measure.onnx_model import OnnxModelEngine
from impasto.realtime.measure.originals import is_film
from tests.media import make_clip
from tests.pictures import make_pictures, texture
from tests.realtime.conftest import Impasto

HEIGHT, WIDTH = 48, 64


@pytest.fixture(autouse=True)
def compared_at_small_sizes(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("side", "painting_side"):
        monkeypatch.setitem(StyleMetrics.__init__.__kwdefaults__, name, 64)
    monkeypatch.setattr("impasto.realtime.measure.originals.PICTURE_SIDE", 64)
    monkeypatch.setattr("impasto.realtime.measure.against_gatys.EVALUATED_SIDE", 48)


def folder(path: Path, images: dict[str, np.ndarray]) -> Path:
    path.mkdir()
    for name, image in images.items():
        write_image(path / name, image)
    return path


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Pictures that have nothing to do with each other."""
    images = {"boat.png": texture(1), "tree.png": 255 - texture(2) // 3, "sky.png": texture(3) // 4}
    return folder(tmp_path / "photos", images)


@pytest.fixture
def frames(tmp_path: Path) -> Path:
    """A film as pictures."""
    pictures = make_pictures(13, HEIGHT, WIDTH)
    return folder(tmp_path / "frames", {f"{k:03}.png": image for k, image in enumerate(pictures)})


def inverting(path: Path, kind: str, shape: list[int | str], white: float) -> Path:
    """An ONNX file that gives `white - picture`."""
    element = {"uint8": TensorProto.UINT8, "float": TensorProto.FLOAT}[kind]
    level = helper.make_tensor("white", element, [], [white])
    ends = [helper.make_tensor_value_info(name, element, shape) for name in ("x", "y")]
    node = helper.make_node("Sub", ["white", "x"], ["y"])
    graph = helper.make_graph([node], "inverting", ends[:1], ends[1:], [level])
    opset = helper.make_opsetid("", 17)
    onnx.save(helper.make_model(graph, opset_imports=[opset], ir_version=8), path)
    return path


class TestOnnxModel:
    @pytest.mark.parametrize(
        ("kind", "shape", "white"),
        [
            ("uint8", ["n", "h", "w", 3], 255),
            ("float", ["n", 3, "h", "w"], 1.0),
            ("float", [1, 3, 50, 70], 255.0),
            ("float", ["n", "h", "w", 3], 0.0),  # -x: from -1 to 1
        ],
    )
    def test_any_layout_range_and_size(self, tmp_path: Path, kind, shape, white) -> None:
        engine = OnnxModelEngine(inverting(tmp_path / "x.onnx", kind, shape, white))
        images = make_pictures(2, HEIGHT, WIDTH)
        result = engine(images)
        assert result.shape == images.shape and result.dtype == np.uint8
        exact = 50 not in shape  # else scaled there and back
        limit = 1 if exact else 12
        assert np.abs(result.astype(int) - (255 - images.astype(int))).max() <= limit
        assert kind in engine.description

    def test_other_files_and_graphs_are_refused(self, tmp_path: Path) -> None:
        with pytest.raises(SourceError, match="no ONNX file"):
            OnnxModelEngine(tmp_path / "missing.onnx")
        text = tmp_path / "text.onnx"
        text.write_text("not a graph")
        with pytest.raises(SourceError, match="no ONNX file"):
            OnnxModelEngine(text)
        with pytest.raises(EngineError, match="expected one batch of pictures"):
            OnnxModelEngine(inverting(tmp_path / "flat.onnx", "float", ["n", 10], 1))
        with pytest.raises(EngineError, match="three channels"):
            OnnxModelEngine(inverting(tmp_path / "gray.onnx", "float", [1, 1, 64, 64], 1))


def test_a_film_is_told_from_pictures(photos: Path, frames: Path, tmp_path: Path) -> None:
    assert is_film(frames) and is_film(tmp_path / "a.mp4")
    assert not is_film(photos) and not is_film(photos / "boat.png")


class TestPainted:
    def test_the_originals_themselves_have_no_content_loss(self, photos, impasto: Impasto) -> None:
        ran = impasto("eval", "--painted", photos, "--original", photos, "--json")
        assert (ran.code, ran.err) == (0, "")
        found = json.loads(ran.out)
        (one,) = found["candidates"]
        assert one["name"] == "photos" and one["painted"] == str(photos)
        assert len(one["pictures"]) == 3 and one["mean"]["content"] == 0
        assert one["mean"]["sharpness"] == pytest.approx(1)
        assert any("LPIPS: left out" in line for line in found["notes"])

    def test_pairs_are_found_by_name(self, photos, tmp_path, impasto: Impasto) -> None:
        own = {path.stem: read_image(path) for path in photos.iterdir()}
        painted = folder(
            tmp_path / "painted",
            {"x_boat-wave.png": own["boat"], "tree.jpg": own["tree"], "z sky.png": own["sky"]},
        )
        ran = impasto("eval", "--painted", painted, "--original", photos, "--json")
        (one,) = json.loads(ran.out)["candidates"]
        assert [Path(row["picture"]).stem for row in one["pictures"]] == ["boat", "sky", "tree"]
        assert all(row["content"] < 0.05 for row in one["pictures"])

    @pytest.mark.parametrize("original_is_film", [True, False])
    def test_frames_and_films_are_compared(
        self, frames, tmp_path, original_is_film, impasto: Impasto
    ) -> None:
        """The same film as pictures and as a file, in another size: only compression differs."""
        film = make_clip(tmp_path / "film.mkv", frames=13, size=(HEIGHT * 2, WIDTH * 2))
        ways = (film, frames) if original_is_film else (frames, film)
        given = ("--painted", ways[1], "--original", ways[0], "--side", 64)
        ran = impasto("eval", *given, "--json")
        assert (ran.code, ran.err) == (0, "")
        (row,) = json.loads(ran.out)["candidates"][0]["clips"]
        assert row["steadiness"] == "off" and row["frames"] == 13
        assert row["e_warp"] > 0 and row["e_warp_long"] > 0 and row["input_e_warp_long"] > 0
        assert row["detail"] is None and row["fps"] is None

    def test_what_does_not_fit_is_refused(self, photos, tmp_path, impasto: Impasto) -> None:
        wide = folder(tmp_path / "wide", {"boat.png": texture(1, width=300)})
        ran = impasto("eval", "--painted", wide, "--original", photos / "boat.png")
        assert ran.code == 1 and "cropped" in ran.error_line
        ran = impasto("eval", "--painted", wide, "--original", photos)
        assert ran.code == 1 and "no painted sky" in ran.error_line


def test_several_at_once(photos, style, tmp_path: Path, impasto: Impasto) -> None:
    """A style, an ONNX file and finished pictures: columns of one table, a CSV, a sheet."""
    graph = inverting(tmp_path / "graph.onnx", "float", [1, 3, "h", "w"], 1)
    table, sheet = tmp_path / "out.csv", tmp_path / "out.png"
    given = ("--style", style, "--onnx", graph, "--painted", photos, "--original", photos)
    given = ("eval", *given, "--painting", photos / "tree.png", "--engine", "torch")
    ran = impasto(*given, "--csv", table, "--sheet", sheet, "--gatys", 2)
    assert (ran.code, ran.err) == (0, "")
    header = next(line for line in ran.out.splitlines() if "mean of 3 pictures" in line)
    assert all(name in header for name in (style.name, "graph.onnx", "photos"))
    measures = ("content", "style", "total variation", "relu3_1", "sharpness", "pictures a second")
    assert all(measure in ran.out for measure in measures)
    assert "1,060" in ran.out and "2 steps: s" in ran.out
    with table.open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 9 and {row["candidate"] for row in rows} == {
        style.name,
        "graph.onnx",
        "photos",
    }
    assert all(float(row["style_relu4_1"]) > 0 and float(row["total"]) > 0 for row in rows)
    assert {float(row["content"]) for row in rows if row["candidate"] == "photos"} == {0}
    height, width = read_image(sheet).shape[:2]
    assert height > 3 * 64 and width > 4 * 64
    refused = impasto(*given, "--csv", table)
    assert refused.code == 1 and "out.csv" in refused.error_line


def test_of_several_films_each_has_a_column(frames, tmp_path: Path, impasto: Impasto) -> None:
    graph = inverting(tmp_path / "graph.onnx", "uint8", [1, "h", "w", 3], 255)
    given = ("--onnx", graph, "--painted", frames, "--original", frames, "--side", 64)
    ran = impasto("eval", *given, "--sheet", tmp_path / "sheet.png")
    assert (ran.code, ran.err) == (0, "")
    header = next(line for line in ran.out.splitlines() if "input" in line)
    assert all(name in header for name in ("graph.onnx auto", "graph.onnx flow"))
    assert all(name in ran.out for name in ("E_warp, 10 frames", "detail left", "fps"))
