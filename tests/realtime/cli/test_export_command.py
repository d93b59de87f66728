"""`impasto export`: what it writes and shows, and what it refuses."""

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import onnxruntime
import pytest

from impasto.realtime.files.images import write_image
from tests.pictures import make_pictures
from tests.realtime.conftest import Impasto

TINY = ("--static", "1x24x32")


def test_writes_what_it_has_checked(tmp_path: Path, library: Path, impasto: Impasto) -> None:
    out = tmp_path / "dawn.onnx"
    ran = impasto("export", "dawn", out, *TINY)
    assert (ran.code, ran.err) == (0, "")
    assert "32x24" in ran.out and "dB" in ran.out and f"{out}: " in ran.out
    session = onnxruntime.InferenceSession(str(out), providers=["CPUExecutionProvider"])
    frames = make_pictures(1, 24, 32)
    assert session.run(["stylized"], {"frames": frames})[0].shape == frames.shape
    shown = impasto("export", "--show", out)
    assert shown.code == 0 and "The dawn" in shown.out and "uint8 1 x 24 x 32 x 3" in shown.out
    again = impasto("export", "dawn", out, *TINY)
    assert again.code == 1 and "exists" in again.error_line
    assert impasto("export", "dusk", out, *TINY, "--overwrite").code == 0
    about = json.loads(impasto("export", "--show", out, "--json").out)
    assert about["metadata"]["style"] == "dusk"
    assert [path.name for path in tmp_path.iterdir()] == ["dawn.onnx"]


def test_any_size_is_the_default(tmp_path: Path, library: Path, impasto: Impasto) -> None:
    ran = impasto("export", "dawn:0.6+dusk:0.4", tmp_path / "a.onnx", "--strength", 0.5, "--json")
    assert (ran.code, ran.err) == (0, "")
    checks = json.loads(ran.out)["checks"]
    assert {tuple(check["shape"][1:]) for check in checks} == {(360, 640), (61, 83), (16, 16)}
    assert {check["shape"][0] for check in checks} == {1, 3}
    assert {check["frames"] for check in checks} == {"rendered", "random"}
    assert max(check["max"] for check in checks) <= 1


def test_eight_bits_from_pictures_given(tmp_path: Path, impasto: Impasto) -> None:
    photos = tmp_path / "photos"
    photos.mkdir()
    for number, picture in enumerate(make_pictures(3, 30, 40)):
        write_image(photos / f"{number}.png", picture)
    out = tmp_path / "small.onnx"
    ran = impasto("export", "udnie", out, "--int8", "--calibrate", photos, *TINY)
    assert (ran.code, ran.err) == (0, "")
    assert out.stat().st_size < 700_000


def test_weights_as_an_input(tmp_path: Path, library: Path, impasto: Impasto) -> None:
    out = tmp_path / "two.onnx"
    assert impasto("export", "dawn+dusk", out, "--interactive", "--fp16", *TINY).code == 0
    session = onnxruntime.InferenceSession(str(out), providers=["CPUExecutionProvider"])
    given = {"frames": make_pictures(1, 24, 32), "weights": np.array([0.2, 0.7], np.float32)}
    assert session.run(["stylized"], given)[0].dtype == np.uint8


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    """A folder in which a failed export must leave nothing."""
    folder = tmp_path / "out"
    folder.mkdir()
    (folder / "taken.onnx").write_bytes(b"precious")
    yield folder
    assert [path.name for path in folder.iterdir()] == ["taken.onnx"]
    assert (folder / "taken.onnx").read_bytes() == b"precious"


# arguments ("OUT/" stands for the folder), exit code, a part of the message
BAD: dict[str, tuple[str, int, str]] = {
    "unknown style": ("dwan OUT/a.onnx", 1, "did you mean dawn?"),
    "unknown in a blend": ("dawn+night OUT/a.onnx --interactive", 1, "no style 'night'"),
    "existing file": ("dawn OUT/taken.onnx", 1, "exists"),
    "no such folder": ("dawn OUT/gone/a.onnx", 1, "there is no folder"),
    "a folder": ("dawn OUT", 1, "is a folder"),
    "size without a batch": ("dawn OUT/a.onnx --static 720x1280", 2, "1x720x1280"),
    "size of nothing": ("dawn OUT/a.onnx --static 1x0x1280", 2, "1x720x1280"),
    "size too small": ("dawn OUT/a.onnx --static 1x8x8", 2, "from 16"),
    "size too large": ("dawn OUT/a.onnx --static 9x9000x9000", 2, "megapixels"),
    "opset too old": ("dawn OUT/a.onnx --opset 12", 2, "--opset"),
    "opset to come": ("dawn OUT/a.onnx --opset 99", 2, "--opset"),
    "two precisions": ("dawn OUT/a.onnx --fp16 --int8", 2, "--fp16 or --int8"),
    "weights in 8 bits": ("dawn OUT/a.onnx --interactive --int8", 2, "--interactive"),
    "nothing to calibrate": ("dawn OUT/a.onnx --calibrate OUT", 2, "--int8"),
    "calibration without pictures": ("dawn OUT/a.onnx --int8 --calibrate OUT", 1, "no images"),
    "layout": ("dawn OUT/a.onnx --layout nhwc", 2, "--layout"),
    "strength": ("dawn OUT/a.onnx --strength 2", 2, "--strength"),
    "no target": ("dawn", 2, "--show FILE"),
    "nothing": ("", 2, "--show FILE"),
    "showing what is not there": ("--show OUT/gone.onnx", 1, "gone.onnx cannot be read"),
    "showing what is none": ("--show OUT/taken.onnx", 1, "is not an ONNX file"),
}


@pytest.mark.parametrize("arguments, code, message", BAD.values(), ids=BAD)
def test_bad_input(
    arguments: str, code: int, message: str, folder: Path, library: Path, impasto: Impasto
) -> None:
    ran = impasto("export", *arguments.replace("OUT", str(folder)).split())
    assert ran.code == code
    assert message in ran.error_line


def test_help_has_an_example(impasto: Impasto) -> None:
    ran = impasto("export", "--help")
    assert ran.code == 0 and "Example: impasto export" in ran.out
