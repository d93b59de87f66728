"""A style of the classic network, through every command that takes a style."""

import json
from pathlib import Path

import av
import numpy as np
import pytest
import torch

from impasto.export.metadata import read_metadata
from impasto.models.classic import ClassicNet
from impasto.models.styles import load_style
from impasto.models.training.results import save_network
from impasto.realtime.engines.torch_engine import TorchEngine
from impasto.realtime.files.images import read_image, write_image
from tests.media import make_clip, numbered_picture
from tests.realtime.conftest import Impasto


@pytest.fixture(scope="module")
def classic(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An untrained one: its pictures are noise, everything else works."""
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("classic") / "mine.safetensors"
    save_network(ClassicNet(), path, painting="wave.jpg", recipe='{"steps": 3}', content="0.5")
    return path


@pytest.fixture
def picture(tmp_path: Path) -> Path:
    path = tmp_path / "in.png"
    write_image(path, numbered_picture(3, (48, 64)))
    return path


def expected(classic: Path, picture: np.ndarray) -> np.ndarray:
    return TorchEngine(load_style(str(classic)))(picture[None])[0].astype(int)


def test_a_picture(classic: Path, picture: Path, impasto: Impasto) -> None:
    out = picture.with_name("out.png")
    ran = impasto("image", picture, out, "--style", classic, "--network", "classic", "--json")
    assert ran.code == 0 and json.loads(ran.out)["network"] == "classic"
    difference = read_image(out) - expected(classic, read_image(picture))
    assert np.abs(difference).max() <= 1


@pytest.mark.parametrize("engine", ["torch", "onnxruntime", "openvino"])
def test_a_video_in_every_engine(
    engine: str, classic: Path, tmp_path: Path, impasto: Impasto
) -> None:
    if engine == "openvino":
        pytest.importorskip("openvino")
    clip, out = make_clip(tmp_path / "in.mp4", frames=2), tmp_path / "%02d.png"
    options = ("--engine", engine, "--precision", "fp32")
    ran = impasto("video", clip, out, "--style", classic, *options)
    assert ran.code == 0 and f"{engine} fp32 on cpu, classic network" in ran.out
    with av.open(clip) as container:
        first = next(container.decode(video=0)).to_ndarray(format="rgb24")
    painted = read_image(min(tmp_path.glob("*.png")))
    assert np.abs(painted - expected(classic, first)).mean() < 2  # converted by another library


def test_live(classic: Path, impasto: Impasto) -> None:
    ran = impasto(
        *("live", "--camera", "test", "--capture", "64x48", "--no-window", "--seconds", "0.1"),
        *("--style", classic, "--device", "cpu"),
    )
    assert ran.code == 0 and "on cpu, classic network" in ran.out


def test_it_is_listed_and_drawn_with_the_others(
    classic: Path, picture: Path, library: Path, impasto: Impasto
) -> None:
    sheet = picture.with_name("sheet.png")
    ran = impasto("styles", classic, "--sheet", sheet, "--on", picture)
    assert ran.code == 0 and "sheet.png: 3 styles" in ran.out
    (line,) = [line for line in ran.out.splitlines() if "wave.jpg" in line]
    assert line.split()[-1] == "classic"
    (row,) = json.loads(impasto("styles", classic, "--network", "classic", "--json").out)
    assert row["name"] == str(classic) and row["weights"]["classic"]["recipe"] == {"steps": 3}
    assert "expected a .safetensors file" in impasto("styles", picture).error_line


@pytest.mark.parametrize("precision", [(), ("--fp16",)])
def test_an_export(
    precision: tuple[str, ...], classic: Path, tmp_path: Path, impasto: Impasto
) -> None:
    out = tmp_path / "mine.onnx"
    ran = impasto("export", classic, out, "--static", "1x48x64", *precision)
    assert ran.code == 0 and f"{out}: classic network" in ran.out
    metadata = read_metadata(out)["metadata"]
    assert metadata["network"] == "classic" and '"steps": 3' in metadata["recipe"]


def test_it_is_evaluated(classic: Path, picture: Path, impasto: Impasto) -> None:
    ran = impasto("eval", "--style", classic, "--picture", picture, "--json")
    figures = json.loads(ran.out)
    assert ran.code == 0 and (figures["style"], figures["network"]) == (str(classic), "classic")


REFUSED = {
    "half": ("image IN OUT --style CLASSIC --strength 0.5", "no strength but 1"),
    "blend": ("image IN OUT --style CLASSIC+great_wave", "cannot be mixed"),
    "other size": ("image IN OUT --style CLASSIC --network fast", "use --network classic"),
    "8 bits": (
        "image IN OUT --style CLASSIC --engine openvino --precision int8",
        "own networks; use --precision auto",
    ),
    "interactive": ("export CLASSIC OUT.onnx --interactive", "no strength but 1"),
}


@pytest.mark.parametrize("line, message", REFUSED.values(), ids=REFUSED)
def test_refused(line: str, message: str, classic: Path, picture: Path, impasto: Impasto) -> None:
    if "openvino" in line:
        pytest.importorskip("openvino")
    names = {"IN": picture, "OUT": picture.with_name("out.png"), "CLASSIC": classic}
    for name, path in names.items():
        line = line.replace(name, str(path))
    ran = impasto(*line.split())
    assert ran.code == 1 and message in ran.error_line
    assert [path.name for path in picture.parent.iterdir()] == ["in.png"]
