"""All engines keep the same contract, and agree."""

import subprocess
import sys
from importlib.util import find_spec

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from impasto.models import machine_cache
from impasto.models.classic import ClassicNet
from impasto.models.errors import EngineError
from impasto.models.fast.norm_statistics import NormStatistics, initial_statistics
from impasto.models.styles import StyleWeights, load_weights, weights_of
from impasto.models.transform_net import TransformNet
from impasto.realtime.engines import autotune_cache, devices, torch_engine, torch_gpu
from impasto.realtime.engines import select as engines
from impasto.realtime.engines.base import Engine, IdentityEngine
from impasto.realtime.engines.onnx_engine import OnnxEngine
from impasto.realtime.engines.select import open_engine
from impasto.realtime.engines.torch_engine import TorchEngine, precisions
from impasto.realtime.frame import ColorTags
from tests.engines import NAMES, make_engine, make_network
from tests.media import make_clip
from tests.pictures import make_pictures

# Levels that two engines may differ by. float32: rounding on the other side. bf16: eight bits of
# mantissa through 15 layers, in single pixels.
LEVELS = {"fp32": 1, "bf16": 16, "uint8": 0}


@pytest.fixture(scope="session", params=NAMES)
def engine(request) -> Engine:
    return make_engine(request.param)


@pytest.fixture(scope="session")
def reference() -> Engine:
    return make_engine("torch-fp32")


@settings(max_examples=3, deadline=None)
@given(height=st.integers(1, 70), width=st.integers(1, 70), count=st.integers(1, 3))
def test_any_size_and_batch(engine, height, width, count):
    frames = make_pictures(count, height, width)
    stylized = engine(frames)
    assert stylized.shape == frames.shape and stylized.dtype == np.uint8
    if engine.has_running_statistics:
        first, statistics = engine.update(frames[:1], None, 0.5)
        assert first.shape == frames[:1].shape and first.dtype == np.uint8
        assert all(isinstance(x, np.ndarray) and np.isfinite(x).all() for x in statistics)
        stylized = engine.stylize(frames, statistics)
        assert stylized.shape == frames.shape and stylized.dtype == np.uint8


def test_what_goes_in_stays_as_it_was(engine):
    frames = make_pictures(1, 40, 50)
    before = frames.copy()
    stylized = engine(frames)
    stylized[:] = 0
    assert np.array_equal(frames, before)


@pytest.mark.parametrize("count", [2, 3])
def test_a_batch_is_its_frames_one_by_one(engine, count):
    frames = make_pictures(count, 45, 62)
    alone = np.concatenate([engine(frame[None]) for frame in frames])
    assert np.abs(engine(frames).astype(int) - alone).max() <= LEVELS[engine.precision]
    if engine.has_running_statistics:
        _, statistics = engine.update(frames[:1], None, 1.0)
        together = engine.stylize(frames, statistics)
        alone = np.concatenate([engine.stylize(frame[None], statistics) for frame in frames])
        assert np.abs(together.astype(int) - alone).max() <= 1  # sums in another order


@pytest.mark.parametrize("engine", [name for name in NAMES if name != "identity"], indirect=True)
def test_engines_agree_with_the_reference(engine, reference):
    frames = make_pictures(2, 61, 83)
    allowed = LEVELS[engine.precision]
    assert np.abs(engine(frames).astype(int) - reference(frames)).max() <= allowed
    _, statistics = engine.update(frames[:1], None, 0.3)
    stylized = engine.stylize(frames, statistics)
    expected = reference.stylize(frames, reference.update(frames[:1], None, 0.3)[1])
    assert np.abs(stylized.astype(int) - expected).max() <= allowed
    # With frozen statistics that are its own, a frame is as with instance norm.
    assert np.abs(stylized[0].astype(int) - reference(frames[:1])[0]).max() <= allowed


def test_identity_gives_every_picture_back():
    frames = make_pictures(2, 5, 7)
    assert np.array_equal(IdentityEngine()(frames), frames)
    with pytest.raises(EngineError, match="identity"):
        IdentityEngine().stylize(frames, initial_statistics(3))


def test_the_classic_network_has_no_running_statistics():
    torch.manual_seed(0)
    network = ClassicNet().eval()
    ours, other = TorchEngine(network), OnnxEngine(network)
    assert not ours.has_running_statistics and not other.has_running_statistics
    frames = make_pictures(1, 20, 47)
    assert np.abs(ours(frames).astype(int) - other(frames)).max() <= 1


CANDIDATES = "torch:auto onnxruntime:auto openvino:auto openvino:int8"


@pytest.fixture
def nothing_known(tmp_path, monkeypatch):
    monkeypatch.setattr(machine_cache, "user_cache_path", lambda name: tmp_path / name)


def test_auto_measures_once_and_says_why(nothing_known, monkeypatch):
    first = open_engine(make_network(), device="cpu", size=(48, 64))
    assert first.precision in (*precisions("cpu"), "int8")
    others = {"torch", "onnxruntime"} - {first.name}  # whichever were slower
    assert "fps at 64x48" in first.reason and all(name in first.reason for name in others)
    monkeypatch.setattr(engines, "seconds_per_frame", None)
    again = open_engine(make_network(), device="cpu", size=(720, 1280))
    assert (again.name, again.precision) == (first.name, first.precision)
    assert again.reason == f"{first.reason}, when last measured"


def test_each_architecture_is_measured_for_itself(nothing_known, monkeypatch):
    monkeypatch.delitem(engines._OPENERS, "openvino")  # it compiles for long
    known = autotune_cache.AutotuneResult("torch", "auto", "it was faster")
    autotune_cache.store("fine", "cpu", "torch:auto onnxruntime:auto", result=known)
    fine, fast = (TransformNet(name).eval() for name in ("fine", "fast"))
    for network in (fine, weights_of(fine)):  # as PyTorch has it, and without
        opened = open_engine(network, device="cpu", size=(48, 64))
        assert (opened.name, opened.reason) == ("torch", "it was faster, when last measured")
    assert "when last measured" not in open_engine(fast, device="cpu", size=(48, 64)).reason


def test_engines_are_timed_again_when_the_stored_one_is_gone(nothing_known, monkeypatch):
    def gone(*_: object) -> Engine:
        raise EngineError("it does not work here any more")

    known = autotune_cache.AutotuneResult("onnxruntime", "fp32", "it was faster")
    autotune_cache.store(make_network().architecture, "cpu", CANDIDATES, result=known)
    monkeypatch.setitem(engines._OPENERS, "onnxruntime", gone)
    engine = open_engine(make_network(), device="cpu", size=(48, 64))
    assert engine.name in ("torch", "openvino")


def test_an_engine_that_opens_but_cannot_run_does_not_count(nothing_known, monkeypatch):
    def update(*_: object) -> None:
        raise RuntimeError("the path needs the cpu support of something")

    monkeypatch.setattr(OnnxEngine, "update", update)
    monkeypatch.delitem(engines._OPENERS, "openvino")
    engine = open_engine(make_network(), device="cpu", size=(48, 64))
    assert engine.name == "torch" and "onnxruntime: the path needs" in engine.reason


def test_auto_takes_whichever_is_faster(monkeypatch):
    monkeypatch.setattr(autotune_cache, "load", lambda *case: None)
    for fastest in ("torch", "onnxruntime"):
        seconds = lambda engine, size, repeats, name=fastest: [1 + (engine.name != name)]  # noqa: E731
        monkeypatch.setattr(engines, "seconds_per_frame", seconds)
        assert open_engine(make_network(), device="cpu", size=(48, 64)).name == fastest


def test_an_engine_asked_for_is_the_engine():
    network = make_network()
    for name in ("torch", "onnxruntime"):
        engine = open_engine(network, engine=name, device="cpu", precision="fp32")
        assert (engine.name, engine.precision, engine.reason) == (name, "fp32", "as asked")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"engine": "tensorflow"}, "torch, onnxruntime, openvino, tensorrt or auto"),
        ({"device": "tpu"}, "cpu, cuda, gpu, .* or auto"),
        ({"device": "cpu", "engine": "torch", "precision": "fp16"}, "does not compute in fp16"),
        ({"device": "cpu", "engine": "onnxruntime", "precision": "bf16"}, "--engine torch"),
    ],
)
def test_what_is_missing_is_an_error_with_advice(options, message):
    with pytest.raises(EngineError, match=message):
        open_engine(make_network(), **options)


def test_weights_are_as_good_as_the_network():
    network = make_network()
    arrays = {name: value.numpy() for name, value in network.state_dict().items()}
    weights, frames = StyleWeights(network.architecture, arrays), make_pictures(1, 40, 50)
    for name in [key for key in engines._OPENERS if key != "openvino" or find_spec(key)]:
        ours, theirs = (
            open_engine(n, engine=name, device="cpu", precision="fp32") for n in (weights, network)
        )
        assert np.array_equal(ours(frames), theirs(frames))
        stylized, _ = ours.update(frames, None, 1.0)
        assert np.array_equal(stylized, theirs.update(frames, None, 1.0)[0])


@pytest.mark.parametrize("engine", ["onnxruntime", "openvino"])
def test_both_stylize_without_pytorch(tmp_path, engine):
    """PyTorch takes longer to load than all else until the first frame; OpenCV, which finds the
    cuts, comes next, and no first frame waits for it."""
    if engine == "openvino":
        pytest.importorskip("openvino")
    program = """
import sys
from impasto.realtime.cli.main import app
from impasto.realtime.engines import fidelity
fidelity._SIZE = 48, 64  # int8 is compared on small pictures
for frames, heavy in ((1, {"torch", "cv2"}), (5, {"torch"})):
    command = ["video", f"{frames}.mp4", f"{frames}.out.mp4", "--style", "great_wave"]
    # Steadying needs OpenCV at once; one of them in int8, where that is fastest, will do.
    options = ["--steadiness", "off", "--precision", "fp32"] if frames == 1 else []
    app([*command, *options, "--engine", sys.argv[1]], standalone_mode=False)
    assert not heavy & set(sys.modules), "loaded for nothing"
"""
    for frames in (1, 5):
        make_clip(tmp_path / f"{frames}.mp4", size=(48, 64), frames=frames)
    subprocess.run([sys.executable, "-c", program, engine], check=True, cwd=tmp_path)
    assert all((tmp_path / f"{frames}.out.mp4").stat().st_size > 0 for frames in (1, 5))


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has a CUDA device")
@pytest.mark.parametrize("engine", ["auto", "torch", "onnxruntime"])
def test_a_gpu_that_nothing_can_use_is_left_alone_unless_asked_for(engine, monkeypatch):
    monkeypatch.setattr(devices, "cuda_devices", lambda: 1)
    opened = open_engine(make_network(), engine=engine, size=(48, 64))
    assert opened.device == "cpu" and "the GPU is not used" in opened.notes[0]
    with pytest.raises(EngineError):
        open_engine(make_network(), engine=engine, device="cuda", size=(48, 64))


def test_a_gpu_that_others_have_filled_is_left_alone(monkeypatch):
    def full(*_, **__):
        raise torch.cuda.OutOfMemoryError("CUDA out of memory\nmore of it")

    monkeypatch.setattr(devices, "cuda_devices", lambda: 1)
    monkeypatch.setattr(torch_engine, "resolve_precision", lambda precision, device: "fp32")
    monkeypatch.setattr(torch_gpu, "TorchGpuEngine", full)
    opened = open_engine(make_network(), engine="torch", size=(48, 64))
    (note,) = opened.notes
    assert opened.device == "cpu" and note.endswith("cannot use the GPU: CUDA out of memory")


@pytest.mark.parametrize("kind", ["torch", "onnxruntime", "openvino"])
def test_the_engine_for_yuv420p_has_the_same_notes(kind):
    if kind == "openvino":
        pytest.importorskip("openvino")
    engine = open_engine(make_network(), engine=kind, device="cpu", precision="fp32")
    engine.for_yuv420(ColorTags(matrix=1)).notes.append("a note")
    assert engine.notes == ["a note"]


def test_when_no_engine_works_every_reason_is_reported():
    with pytest.raises(EngineError, match="no engine works.* torch: .* onnxruntime: .* openvino: "):
        open_engine(make_network(), device="cpu", precision="fp16")


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has a CUDA device")
def test_cuda_without_a_gpu():
    with pytest.raises(EngineError, match="--device cpu"):
        open_engine(make_network(), device="cuda")
    with pytest.raises(EngineError, match="--device cuda; use another"):
        open_engine(make_network(), engine="tensorrt", device="cpu")


class _Crowded(torch.nn.Module):
    """Stands for a folded network on a device with memory for so many frames."""

    def __init__(self, room: int) -> None:
        super().__init__()
        self.room = room
        self.statistics: NormStatistics | None = None

    def fold(self, statistics: NormStatistics) -> None:
        self.statistics = statistics

    def forward(self, frames: torch.Tensor) -> torch.Tensor:
        if len(frames) > self.room:
            raise torch.cuda.OutOfMemoryError("CUDA out of memory")
        return frames


@pytest.mark.parametrize("kind", ["torch", "onnxruntime", "openvino"])
@pytest.mark.parametrize("make", [make_network, ClassicNet])
def test_a_replaced_network_stylizes_as_in_a_new_engine(kind, make):
    frames = make_pictures(2, 48, 56)
    first, other = make().eval(), make().eval()
    with torch.no_grad():
        for parameter in other.parameters():
            parameter.mul_(0.8).add_(0.01)
    if kind == "openvino":
        pytest.importorskip("openvino")
    engine, fresh = (
        open_engine(network, engine=kind, device="cpu", precision="fp32")
        for network in (first, other)
    )
    engine(frames)
    engine.replace(other)
    assert np.array_equal(engine(frames), fresh(frames))
    if engine.has_running_statistics:
        stylized, statistics = engine.update(frames[:1], None, 1.0)
        assert np.array_equal(stylized, fresh.update(frames[:1], None, 1.0)[0])
        assert np.array_equal(engine.stylize(frames, statistics), fresh.stylize(frames, statistics))


def test_out_of_memory_means_smaller_batches():
    engine = TorchEngine(make_network())
    frames = make_pictures(8, 40, 40)
    _, statistics = engine.update(frames[:1], None, 1.0)
    engine.stylize(frames, statistics)
    engine._folded = [_Crowded(room=3)]
    assert np.array_equal(engine.stylize(frames, statistics), frames)
    assert [note.partition(":")[0] for note in engine.notes] == ["cpu ran out of memory"] * 2
    engine._folded = [_Crowded(room=0)]
    with pytest.raises(EngineError, match="smaller --size"):
        engine.stylize(frames, statistics)


@pytest.mark.gpu
@pytest.mark.parametrize("name", ["torch", "onnxruntime", "auto"])
def test_a_gpu_is_used(name, nothing_known):
    """onnxruntime: what it lacks beside PyTorch's own libraries is in the extra `cuda`."""
    try:
        engine = open_engine(load_weights("great_wave"), engine=name, size=(96, 128))
    except EngineError as error:
        pytest.skip(str(error))
    assert (engine.device, engine.precision) == ("cuda", "fp16"), engine.notes
    assert "yuv420p" in engine.output_formats
    assert engine(make_pictures(1, 96, 128)).shape == (1, 96, 128, 3)
