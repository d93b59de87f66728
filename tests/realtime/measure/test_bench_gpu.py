"""The benchmark of the network alone on a GPU, run on a CPU: its rows, and what it refuses."""

import json

import pytest
import torch

from impasto.models.errors import EngineError
from impasto.models.transform_net import TransformNet
from impasto.realtime.engines.onnx_gpu import OnnxGpuEngine
from impasto.realtime.engines.torch_engine import TorchEngine
from impasto.realtime.engines.torch_gpu import TorchGpuEngine
from impasto.realtime.frame import ColorTags
from impasto.realtime.measure import bench_gpu
from tests.realtime.engines.tape import tape

BT709 = ColorTags(1, 1, 1)


def test_a_row_for_each_engine_and_batch(monkeypatch) -> None:
    monkeypatch.setattr(bench_gpu, "_SECONDS", 0.01)
    torch.manual_seed(0)
    network = TransformNet("fast").eval()
    engines = [
        TorchGpuEngine(network, device="cpu", precision="fp32", capture=tape).for_yuv420(BT709),
        OnnxGpuEngine(network, provider="cpu", precision="fp32", color=BT709),
    ]
    rows = bench_gpu.time_on_device(engines, (48, 64), batches=(1, 2), rounds=2)
    assert [(row["engine"], row["batch"]) for row in rows] == [
        ("torch", 1),
        ("onnxruntime", 1),
        ("torch", 2),
        ("onnxruntime", 2),
    ]
    for row in rows:
        assert row["fps"] > 0 and row["ms_min"] <= row["ms"] <= row["ms_max"]
    assert json.loads(json.dumps(rows)) == rows


def test_an_engine_without_a_gpu_has_no_row() -> None:
    engine = TorchEngine(TransformNet("fast").eval())
    assert bench_gpu.time_on_device([engine.for_yuv420(BT709)], (48, 64), batches=(1,)) == []
    with pytest.raises(EngineError, match="on the host"):
        engine.on_device(None, None)
