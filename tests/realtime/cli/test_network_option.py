"""`--network` on every command that has it: what is taken, what is said, what is refused."""

import json
from pathlib import Path

import numpy as np
import pytest

from impasto.export.metadata import read_metadata
from impasto.models.styles import load_weights
from impasto.realtime import stylizer
from impasto.realtime.engines import options as engine_options
from impasto.realtime.engines.onnx_engine import OnnxEngine
from impasto.realtime.files.images import read_image, write_image
from tests.media import make_clip, numbered_picture
from tests.realtime.conftest import Impasto

pytestmark = pytest.mark.usefixtures("two_sizes")


@pytest.fixture
def picture(tmp_path: Path) -> Path:
    path = tmp_path / "in.png"
    write_image(path, numbered_picture(3, (40, 56)))
    return path


@pytest.mark.parametrize(
    ("options", "network"),
    [
        (["--style", "dawn"], "fine"),
        (["--style", "dawn", "--network", "fast"], "fast"),
        (["--style", "dawn", "--network", "fine", "--strength", "0.5"], "fine"),
        (["--style", "dawn+noon"], "fast"),
        (["--style", "FOLDER/dawn.fast.safetensors+dusk"], "fast"),
    ],
)
def test_a_picture(
    options: list[str], network: str, picture: Path, two_sizes: Path, impasto: Impasto
) -> None:
    options = [option.replace("FOLDER", str(two_sizes)) for option in options]
    out = picture.with_name("out.png")
    ran = impasto("image", picture, out, *options, "--json")
    assert (ran.code, ran.err) == (0, "")
    report = json.loads(ran.out)
    assert report["network"] == network and f", {network} network (" in report["chosen"][0]
    strength = 0.5 if "--strength" in options else 1.0
    weights = load_weights(options[1], strength=strength, network=network)
    (expected,) = OnnxEngine(weights)(read_image(picture)[None])
    assert np.abs(read_image(out).astype(int) - expected).max() <= 1


def test_a_video(tmp_path: Path, impasto: Impasto) -> None:
    clip, out = make_clip(tmp_path / "in.mp4", frames=2), tmp_path / "out.mp4"
    ran = impasto("video", clip, out, "--style", "dawn", "--engine", "onnxruntime")
    assert ran.code == 0 and "on cpu, fine network (" in ran.out
    ran = impasto("video", clip, out, "--style", "dawn", "--network", "fast", "--overwrite")
    assert ran.code == 0 and "on cpu, fast network (" in ran.out


REFUSED: dict[str, tuple[str, int, str]] = {
    "no such size": ("image IN OUT --style noon --network fine", 1, "use --network fast"),
    "a file of the other size": (
        "video CLIP FRAMES.mp4 --style FOLDER/dawn.fine.safetensors --network fast",
        1,
        "has no fast network: use --network fine",
    ),
    "two sizes in a blend": (
        "image IN OUT --style FOLDER/dawn.fine.safetensors+noon",
        1,
        "cannot be mixed",
    ),
    "unknown": (
        "image IN OUT --style dawn --network big",
        2,
        "expected auto, fast, fine or classic",
    ),
    "live": ("live --style noon --network fine --camera test", 1, "use --network fast"),
    "export": ("export noon OUT.onnx --network fine", 1, "use --network fast"),
    "eval": ("eval --style noon --network fine --picture IN", 1, "use --network fast"),
    "keyframes": ("keyframes CLIP IN FRAMES --fill noon --network fine", 1, "use --network fast"),
    "bench": ("bench --quick --style noon --network fine", 1, "use --network fast"),
}


@pytest.mark.parametrize("line, code, message", REFUSED.values(), ids=REFUSED)
def test_refused(
    line: str, code: int, message: str, picture: Path, two_sizes: Path, impasto: Impasto
) -> None:
    names = {"IN": picture, "OUT.onnx": picture.with_name("out.onnx"), "FOLDER": two_sizes}
    names |= {"OUT": picture.with_name("out.png"), "FRAMES": picture.with_name("frames")}
    names["CLIP"] = make_clip(two_sizes / "clip.mp4", frames=2)
    for name, path in names.items():
        line = line.replace(name, str(path))
    ran = impasto(*line.split())
    assert ran.code == code and message in ran.error_line
    assert [path.name for path in picture.parent.iterdir()] == ["in.png"]


def test_styles_are_listed_with_their_networks(impasto: Impasto) -> None:
    lines = impasto("styles").out.splitlines()
    assert [line.split()[-1] for line in lines if "noon" in line] == ["fast"]
    assert [line.split("domain")[1].split() for line in lines if "dawn" in line] == [
        ["fast,", "fine"]
    ]
    rows = json.loads(impasto("styles", "--json").out)
    assert {row["name"]: list(row["weights"]) for row in rows} == {
        "dawn": ["fast", "fine"],
        "dusk": ["fast", "fine"],
        "noon": ["fast"],
    }
    rows = json.loads(impasto("styles", "--network", "fine", "--json").out)
    assert [row["name"] for row in rows] == ["dawn", "dusk"]


def test_sheets_of_two_sizes_differ(picture: Path, impasto: Impasto) -> None:
    sheets = {}
    for network in ("auto", "fast", "fine"):
        path = picture.with_name(f"{network}.png")
        ran = impasto("styles", "--sheet", path, "--on", picture, "--network", network)
        assert ran.code == 0 and f"{2 if network == 'fine' else 3} styles" in ran.out
        sheets[network] = read_image(path)[8:48, 8:64].astype(int)  # the first picture
    assert np.array_equal(sheets["auto"], sheets["fine"])
    assert np.abs(sheets["fast"] - sheets["fine"]).max() > 8


def test_an_export_names_its_network(tmp_path: Path, impasto: Impasto) -> None:
    static = ("--static", "1x24x32")
    out = tmp_path / "dawn.onnx"
    ran = impasto("export", "dawn", out, *static)
    assert ran.code == 0 and f"{out}: fine network" in ran.out
    assert read_metadata(out)["metadata"]["network"] == "fine"
    fast = tmp_path / "fast.onnx"
    ran = impasto("export", "dawn+noon", fast, "--interactive", *static, "--json")
    assert ran.code == 0 and json.loads(ran.out)["network"] == "fast"
    assert read_metadata(fast)["metadata"]["network"] == "fast"


def test_eval_names_the_network(picture: Path, impasto: Impasto) -> None:
    ran = impasto("eval", "--style", "dawn", "--picture", picture, "--json")
    assert ran.code == 0 and json.loads(ran.out)["network"] == "fine"


LIVE = (
    *("live", "--camera", "test", "--capture", "64x48", "--no-window"),
    *("--seconds", "0.1", "--engine", "onnxruntime"),
)


def test_live_is_fast_on_a_cpu(impasto: Impasto) -> None:
    ran = impasto(*LIVE, "--style", "dawn", "--device", "cpu")
    assert ran.code == 0 and "on cpu, fast network" in ran.out and "left out" not in ran.out


def test_live_leaves_out_what_cannot_turn_into_the_first_style(impasto: Impasto) -> None:
    ran = impasto(*LIVE, "--style", "dawn", "--network", "fine", "--device", "cpu")
    assert ran.code == 0 and "on cpu, fine network" in ran.out
    assert "left out, as they have no fine network: noon" in ran.out


def test_live_is_fine_on_a_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine_options, "cuda_devices", lambda: 1)
    assert engine_options.live_network("dawn", "auto", "auto") == "fine"
    assert engine_options.live_network("dawn", "auto", "cpu") == "fast"
    assert engine_options.live_network("dawn", "fast", "cuda") == "fast"
    assert engine_options.live_network("noon", "auto", "cuda") == "fast"


def test_steadying_is_the_default_where_it_costs_little(monkeypatch: pytest.MonkeyPatch) -> None:
    assert stylizer.default_steadiness("fine", "cpu") == "auto"
    assert stylizer.default_steadiness("fast", "cpu") == "off"
    monkeypatch.setattr(stylizer, "cuda_devices", lambda: 1)
    assert stylizer.default_steadiness("fine", "auto") == "off"
    assert stylizer.default_steadiness("fine", "cpu") == "auto"


def test_a_film_is_steadied_unless_it_is_to_be_fast(tmp_path: Path, impasto: Impasto) -> None:
    clip = make_clip(tmp_path / "in.mp4", frames=3)
    painted = {}
    for case in ("", "auto", "off"):
        out = tmp_path / f"out{case}.mkv"
        steadiness = ("--steadiness", case) if case else ()
        ran = impasto("video", clip, out, "--style", "dawn", "--device", "cpu", *steadiness)
        assert ran.code == 0
        painted[case] = out.read_bytes()
    assert len(painted[""]) == len(painted["auto"]) != len(painted["off"])
