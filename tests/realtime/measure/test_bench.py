"""What the benchmark reports, never how fast."""

import json
from importlib.util import find_spec

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from impasto.models.architectures import ARCHITECTURES
from impasto.models.classic import ClassicNet
from impasto.models.errors import SourceError
from impasto.models.transform_net import TransformNet
from impasto.realtime.engines.torch_engine import precisions
from impasto.realtime.measure import bench
from impasto.realtime.measure.timing import in_turns
from tests.media import make_clip


@pytest.fixture(scope="module")
def figures(tmp_path_factory) -> dict:
    folder = tmp_path_factory.mktemp("bench")
    form = next(iter(ARCHITECTURES))
    style = folder / "untrained.safetensors"
    save_file(TransformNet(form).state_dict(), style, metadata={"form": form})
    clip = make_clip(folder / "clip.mp4", frames=7)
    logged: list[str] = []
    figures = bench.bench(str(style), clip=clip, sizes=((48, 64),), rounds=1, log=logged.append)
    assert logged == ["limit", "networks at 64x48", "conversion of clip.mp4"]
    return figures


# bf16 where PyTorch has it too; int8 for our own network.
EXTRA = [("openvino", precisions("cpu")[0]), ("openvino", "int8")] if find_spec("openvino") else []


def test_every_network_on_every_engine(figures):
    rows = figures["networks"]
    native = precisions("cpu")
    for form in ARCHITECTURES:
        found = {(r["engine"], r["precision"], r["folded"]) for r in rows if r["network"] == form}
        kinds = [("torch", precision) for precision in native] + [
            ("onnxruntime", "fp32"),
            *EXTRA,
        ]
        assert found == {(*kind, folded) for kind in kinds for folded in (True, False)}
    classic = [r for r in rows if r["network"] == "classic"]
    assert len(classic) == len(native) + 1 + bool(EXTRA) and not any(r["folded"] for r in classic)
    for row in rows:
        assert (row["width"], row["height"]) == (64, 48)
        assert row["fps"] > 0 and row["ms_min"] <= row["ms"] <= row["ms_max"]


def test_limit_conversion_and_machine(figures):
    assert set(figures["limit"]) == set(precisions("cpu"))
    assert all(row["gflops"] > 0 for row in figures["limit"].values())
    whole = figures["end_to_end"]
    assert (whole["clip"], whole["frames"], whole["width"], whole["height"]) == (
        "clip.mp4",
        7,
        64,
        48,
    )
    for name in (
        "fps",
        "steady_fps",
        "network_fps",
        "first_frame_s",
        "decode_ms",
        "stylize_ms",
        "encode_ms",
        "processor_ms",
    ):
        assert whole[name] > 0
    assert whole["network"] == "fast"
    summary = figures["summary"]
    assert summary["live"]["network"] == summary["video"]["network"] == "fast"
    assert summary["video"]["files_included"] and summary["timed_at"] == ["64x48"]
    assert figures["machine"]["torch"] == torch.__version__
    assert json.loads(json.dumps(figures)) == figures


def test_multiply_adds_counted_by_hand():
    network = nn.Sequential(
        nn.Conv2d(3, 5, 3, stride=2, padding=1), nn.ConvTranspose2d(5, 2, 2, stride=2)
    )
    # 4x6 positions of 5 * 27 products, then 4x6 positions of 5 * 8.
    assert bench.multiply_adds(network, (8, 12)) == 24 * 135 + 24 * 40


def test_classic_has_the_multiply_adds_of_the_paper():
    """On a large picture, where the padding adds little; layer by layer, at their scales."""
    ends, strides = 2 * 3 * 32 * 81, (3 * 3 * 32 * 64 / 4 + 3 * 3 * 64 * 128 / 16)
    blocks, up = 10 * 9 * 128 * 128 / 16, (128 * 64 * 9 / 16 + 64 * 32 * 9 / 4)
    side = 8000
    macs = bench.multiply_adds(ClassicNet(), (side, side)) / side**2
    assert macs == pytest.approx(ends + strides + blocks + up, rel=0.02)


def test_turns_are_taken():
    order: list[str] = []
    cases = [lambda: order.append("a") or 1, lambda: order.append("b") or 2]
    seconds = in_turns(cases, 2)
    assert order == ["a", "b"] * 3
    assert [len(times) for times in seconds] == [2, 2]


def test_a_missing_clip_is_reported_first(tmp_path):
    with pytest.raises(SourceError, match="no clip"):
        bench.bench("great_wave", clip=tmp_path / "none.mp4")
