"""The script that reports on a GPU: what it makes of figures and failures, without a GPU."""

import os
import subprocess
import sys
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path

import pytest

from impasto.realtime.files.video_reader import VideoReader

SCRIPT = Path(__file__).parents[1] / ".ci" / "gpu_report.py"
spec = spec_from_file_location("gpu_report", SCRIPT)
assert spec is not None and spec.loader is not None
gpu_report = module_from_spec(spec)
spec.loader.exec_module(gpu_report)


def test_every_part_has_its_place_in_the_report() -> None:
    timed = {"engine": "torch", "precision": "fp16", "batch": 4, "fps": 1234.5, "ms": 0.81}
    figures = {
        "tests": {"passed": True, "line": "12 passed in 3 s"},
        "network": {"rows": [timed], "notes": ["torch: a note"]},
        "conversion": {"rows": [timed, {"engine": "torch", "error": "no | encoder"}]},
        "gatys": {"rows": [{"settings": "plain", "seconds": 3.21, "steps_per_second": 93.4}]},
        "bench": {"error": "not done within 8 minutes; see bench.log"},
    }
    lines = gpu_report.markdown(figures).splitlines()
    for line in (
        "- tests: 12 passed in 3 s",
        "- network: torch: a note",
        "- bench: not done within 8 minutes; see bench.log",
        "| torch | fp16 | 4 | 1234.5 | 0.8 |",
        "| torch |  |  |  |  |  |  |  |  |  |  | no / encoder |",
        "| plain | 3.2 | 93.4 |",
    ):
        assert line in lines
    for table in "\n".join(lines).split("###")[1:]:
        assert len({line.count("|") for line in table.splitlines() if line.startswith("|")}) == 1
    assert gpu_report.markdown({}) == "## An NVIDIA GPU\n"


def test_a_part_that_takes_too_long_is_ended(tmp_path: Path) -> None:
    part = gpu_report.Part("bench", 1e-4, gpu_report.bench)
    found = gpu_report.in_new_process(part, tmp_path, "cpu")
    assert found["error"].startswith("not done within 0.0001 minutes")


def test_a_part_that_fails_gives_the_reason(tmp_path: Path) -> None:
    part = gpu_report.Part("bench", 5, gpu_report.bench)
    found = gpu_report.in_new_process(part, tmp_path, "tpu")
    assert found["error"].endswith("(see bench.log)") and found["seconds"] > 0
    assert (tmp_path / "bench.log").read_text()


def test_the_clip_is_made_of_the_sample(tmp_path: Path) -> None:
    with VideoReader(gpu_report.full_hd_clip(tmp_path, size=(36, 64), rate=60)) as clip:
        assert (clip.info.height, clip.info.width) == (36, 64)
        assert sum(1 for _ in clip) == 420


@pytest.mark.parametrize("arguments", [[], ["--part", "network"]])
def test_without_a_cuda_device(arguments: list[str], tmp_path: Path) -> None:
    command = [sys.executable, SCRIPT, "--out", tmp_path / "out", *arguments]
    environment = {**os.environ, "CUDA_VISIBLE_DEVICES": "-1"}
    ran = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    assert ran.returncode == 1 and ran.stdout == ""
    assert ran.stderr == "no CUDA device found: check that nvidia-smi shows one\n"
    assert not (tmp_path / "out").exists()
