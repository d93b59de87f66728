"""The report on a GPU: its parts where there is none, and what is made of what they find."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from impasto.models.errors import EngineError
from impasto.models.transform_net import TransformNet
from impasto.realtime.engines.onnx_gpu import OnnxGpuEngine
from impasto.realtime.engines.torch_engine import TorchEngine
from impasto.realtime.engines.torch_gpu import TorchGpuEngine
from impasto.realtime.files.video_reader import VideoReader
from impasto.realtime.frame import ColorTags
from impasto.realtime.measure import bench_gpu, gpu_report
from impasto.realtime.measure.gpu_report import Part, full_hd_clip, in_new_process, markdown
from tests.realtime.engines.tape import tape

BT709 = ColorTags(1, 1, 1)


@pytest.fixture
def rows(monkeypatch) -> list[dict]:
    monkeypatch.setattr(bench_gpu, "_SECONDS", 0.01)
    torch.manual_seed(0)
    network = TransformNet("fast").eval()
    engines = [
        TorchGpuEngine(network, device="cpu", precision="fp32", capture=tape).for_yuv420(BT709),
        OnnxGpuEngine(network, provider="cpu", precision="fp32", color=BT709),
    ]
    return bench_gpu.time_on_device(engines, (48, 64), batches=(1, 2), rounds=2)


def test_networks_alone_and_their_table(rows):
    assert [(row["engine"], row["batch"]) for row in rows] == [
        ("torch", 1),
        ("onnxruntime", 1),
        ("torch", 2),
        ("onnxruntime", 2),
    ]
    for row in rows:
        assert row["fps"] > 0 and row["ms_min"] <= row["ms"] <= row["ms_max"]
    assert json.loads(json.dumps(rows)) == rows
    text = markdown({"network": {"rows": rows, "notes": ["torch: a note"]}})
    assert "| batch | torch fp32 | onnxruntime fp32 | onnxruntime / torch |" in text
    share = rows[1]["fps"] / rows[0]["fps"]
    assert f"| {share:.0%} |" in text and "Said: torch: a note" in text


def test_engines_of_the_host_are_not_timed_so():
    engine = TorchEngine(TransformNet("fast").eval())
    assert bench_gpu.time_on_device([engine.for_yuv420(BT709)], (48, 64), batches=(1,)) == []
    with pytest.raises(EngineError, match="on the host"):
        engine.on_device(None, None)


def test_every_part_has_its_place():
    conversion = {"engine": "torch", "batch": 4, "codec": "h264", "hwaccel": None}
    conversion |= dict.fromkeys(("fps", "steady_fps", "network_fps", "first_frame_s"), 301.4)
    conversion |= dict.fromkeys(("decode_ms", "stylize_ms", "encode_ms"), 2.34)
    found = {
        "tests": {"passed": True, "line": "12 passed in 3 s"},
        "conversion": {"rows": [conversion, {"engine": "torch", "error": "no | encoder"}]},
        "gatys": {"plain": {"seconds": 3.21, "steps_per_second": 93.4}},
        "providers": {"rows": [{"options": "prefer_nhwc=1", "batch": 4, "fps": 1234.5}]},
        "bench": {"error": "not done within 8 minutes; see bench.log"},
    }
    text = markdown(found)
    for line in (
        "Tests marked `gpu`: 12 passed in 3 s",
        "| torch | 4 | CPU | h264 | 301 | 301 | 301 | 2.3, 2.3, 2.3 | 301.4 s |",
        "| torch | 1 | CPU | h264 | no / encoder |  |  |  |  |",
        "| plain | 3.2 | 93.4 |",
        "| prefer_nhwc=1 | 4 | 1234 |",
        "bench: not done within 8 minutes; see bench.log",
    ):
        assert line in text.splitlines()
    for table in text.split("###")[1:]:
        widths = {line.count("|") for line in table.splitlines() if line.startswith("|")}
        assert len(widths) == 1, table
    assert markdown({}) == "## An NVIDIA GPU\n"


def test_a_part_that_takes_too_long_is_ended(tmp_path):
    found = in_new_process(Part("bench", 1e-4, gpu_report.bench), tmp_path, "cpu")
    assert found["error"].startswith("not done within 0.0001 minutes")


def test_a_part_that_fails_says_why(tmp_path):
    found = in_new_process(Part("bench", 1, gpu_report.bench), tmp_path, "tpu")
    assert found["error"].endswith("(see bench.log)") and found["seconds"] > 0
    assert (tmp_path / "bench.log").read_text()


def test_the_clip_is_made_of_the_sample(tmp_path):
    with VideoReader(full_hd_clip(tmp_path, size=(36, 64), rate=60)) as clip:
        assert (clip.info.height, clip.info.width) == (36, 64)
        assert sum(1 for _ in clip) == 420


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has a CUDA device")
def test_without_a_gpu_it_says_so(tmp_path):
    command = [
        sys.executable,
        "-m",
        "impasto.realtime.measure.gpu_report",
        "--out",
        str(tmp_path / "out"),
    ]
    ran = subprocess.run(
        command, capture_output=True, text=True, cwd=Path(__file__).parents[3], check=False
    )
    assert ran.returncode == 1
    assert ran.stderr.splitlines() == [
        "no CUDA device is to be had here: check that nvidia-smi shows one"
    ]
    assert ran.stdout == "" and not (tmp_path / "out").exists()
