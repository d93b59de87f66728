"""ONNX Runtime for GPUs: graphs, sessions and bindings on a CPU; the rest where there is a GPU."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import torch

from impasto.models.classic import ClassicNet
from impasto.models.errors import EngineError
from impasto.models.styles import load_style, load_weights
from impasto.models.transform_net import TransformNet
from impasto.realtime.engines import onnx_gpu
from impasto.realtime.engines.onnx_engine import OnnxEngine
from impasto.realtime.engines.onnx_gpu import OnnxGpuEngine, require_provider
from impasto.realtime.engines.torch_engine import TorchEngine
from impasto.realtime.frame import ColorTags
from impasto.realtime.stylizer import UPDATE_INTERVAL, Stylizer
from tests.pictures import make_pictures
from tests.realtime.engines.test_yuv420 import frames_of

BT709 = ColorTags(1, 1, 1)
HERE = torch.cuda.is_available()
without_gpu = pytest.mark.skipif(HERE, reason="this machine has a CUDA device")


@pytest.fixture(scope="module")
def network() -> TransformNet:
    return load_style("great_wave")


@pytest.fixture(scope="module")
def engine(network) -> OnnxGpuEngine:
    return OnnxGpuEngine(network, provider="cpu", precision="fp32")


@pytest.fixture(scope="module")
def reference(network) -> OnnxEngine:
    return OnnxEngine(network)


def off(ours: np.ndarray, theirs: np.ndarray) -> int:
    assert ours.shape == theirs.shape and ours.dtype == np.uint8
    return int(np.abs(ours.astype(int) - theirs).max())


def test_it_stylizes_as_on_a_cpu(engine, reference):
    frames = make_pictures(3, 45, 62)
    assert off(engine(frames), reference(frames)) <= 1
    first, statistics = engine.update(frames[:1], None, 1.0)
    expected, others = reference.update(frames[:1], None, 1.0)
    assert off(first, expected) <= 1
    assert np.allclose(statistics.mean, others.mean, atol=1e-4)
    assert off(engine.stylize(frames, statistics), reference.stylize(frames, others)) <= 1


def test_bound_tensors_are_given_out_as_copies(engine):
    one, other = make_pictures(1, 48, 56), 255 - make_pictures(1, 48, 56)
    stylized, statistics = engine.update(one, None, 1.0)
    kept, mean = stylized.copy(), statistics.mean.copy()
    engine.update(other, statistics, 0.3)
    assert np.array_equal(stylized, kept) and np.array_equal(statistics.mean, mean)
    frozen = engine.stylize(one, statistics)
    kept = frozen.copy()
    engine.stylize(other, statistics)
    assert np.array_equal(frozen, kept)


def test_statistics_are_copied_in_when_they_change(engine, reference):
    frames = make_pictures(1, 48, 56)
    for frame in (frames, 255 - frames, frames):
        _, statistics = reference.update(frame, None, 1.0)
        assert off(engine.stylize(frames, statistics), reference.stylize(frames, statistics)) <= 1


def test_a_rest_goes_through_the_session_of_a_full_batch(network, reference):
    engine = OnnxGpuEngine(network, provider="cpu", precision="fp32")
    frames = make_pictures(4, 40, 48)
    _, statistics = reference.update(frames[:1], None, 1.0)
    expected = reference.stylize(frames, statistics)
    for count in (4, 3, 1, 2):
        stylized = engine.stylize(frames[:count], statistics)
        assert off(stylized, expected[:count]) <= 1
    batches = sorted(shape[0] for _, shape in engine._bound)
    assert batches == [1, 2, 4]  # three were four


def test_only_so_many_shapes_are_kept(network):
    engine = OnnxGpuEngine(network, provider="cpu", precision="fp32")
    for width in range(32, 32 + 8 * (onnx_gpu._MAX_SHAPES + 2), 8):
        engine.update(make_pictures(1, 32, width), None, 1.0)
    assert len(engine._bound) == onnx_gpu._MAX_SHAPES


def test_all_sizes_of_a_session_are_fixed(engine, tmp_path):
    model = onnx_gpu.open_session(
        engine._graph("frozen"),
        [("CPUExecutionProvider", {})],
        {"n": 2, "height": 48, "width": 64},
    )
    frames, *_ = model.get_inputs()
    assert frames.shape == [2, 48, 64, 3]


@pytest.mark.parametrize("precision", onnx_gpu.PRECISIONS)
def test_yuv420p_through_the_stylizer(network, precision):
    """From the first frame of a video to the last, short batches and all."""
    engine = OnnxGpuEngine(network, provider="cpu", precision=precision)
    frames = frames_of(make_pictures(UPDATE_INTERVAL + 4, 96, 128))
    batches = [frames[:4], frames[4:7], frames[7:]]
    stylized, expected = (
        np.stack([frame.image for frame in Stylizer(e, ahead=False)(batches, yuv420=BT709)])
        for e in (engine, TorchEngine(network))
    )
    assert stylized.shape == (len(frames), 144, 128)
    error = stylized.astype(float) - expected
    assert 10 * np.log10(255**2 / np.square(error).mean()) > 40


def test_a_replaced_network_is_used(network, reference):
    engine = OnnxGpuEngine(load_style("udnie"), provider="cpu", precision="fp32")
    frames = make_pictures(2, 48, 56)
    engine.update(frames[:1], None, 1.0)
    engine.replace(network)
    stylized, _ = engine.update(frames[:1], None, 1.0)
    assert off(stylized, reference.update(frames[:1], None, 1.0)[0]) <= 1


def test_other_networks_run_too():
    torch.manual_seed(0)
    network = ClassicNet().eval()
    engine = OnnxGpuEngine(network, provider="cpu", precision="fp32")
    assert not engine.has_running_statistics and engine.output_formats == {"rgb24"}
    frames = make_pictures(1, 20, 47)
    assert off(engine(frames), TorchEngine(network)(frames)) <= 1


def test_out_of_memory_means_smaller_batches(network, reference, monkeypatch):
    engine = OnnxGpuEngine(network, provider="cpu", precision="fp32")
    frames = make_pictures(8, 40, 40)
    _, statistics = reference.update(frames[:1], None, 1.0)
    opened = onnx_gpu.open_session

    def small(model, providers, sides):
        if sides["n"] > 3:
            raise RuntimeError("Failed to allocate memory for requested buffer")
        return opened(model, providers, sides)

    monkeypatch.setattr(onnx_gpu, "open_session", small)
    assert off(engine.stylize(frames, statistics), reference.stylize(frames, statistics)) <= 1
    assert [note.partition(":")[0] for note in engine.notes] == ["cpu ran out of memory"] * 2
    monkeypatch.setattr(onnx_gpu, "open_session", lambda *_: small(*_[:2], {"n": 9}))
    engine.replace(network)
    with pytest.raises(EngineError, match="smaller --size"):
        engine.stylize(frames, statistics)


def test_a_graph_that_is_not_captured_is_noted(network, monkeypatch):
    engine = OnnxGpuEngine(network, provider="cpu", precision="fp32")
    monkeypatch.setattr(engine, "provider", "cuda")
    opened, asked = onnx_gpu.open_session, []

    def without_graphs(model, providers, sides):
        asked.append(providers[0][1]["enable_cuda_graph"])
        if asked[-1] == "1":
            raise RuntimeError("this session cannot use the graph capture feature\nfile.cc:1")
        return opened(model, [("CPUExecutionProvider", {})], sides)

    monkeypatch.setattr(onnx_gpu, "open_session", without_graphs)
    engine.update(make_pictures(1, 40, 48), None, 1.0)
    assert asked == ["1", "0"]
    assert engine.notes == [
        "no CUDA graphs in onnxruntime: this session cannot use the graph capture feature"
    ]


def test_tensorrt_keeps_an_engine_for_each_style_and_shape(network, monkeypatch):
    """And each shape: ONNX Runtime looks at the names in a graph, which are the same for all."""
    folders = []
    other_style, shape = load_style("udnie"), (1, 48, 56, 3)
    for style, sides in ((network, shape), (other_style, shape), (network, (2, *shape[1:]))):
        engine = OnnxGpuEngine(style, provider="cpu")
        monkeypatch.setattr(engine, "provider", "tensorrt")
        (name, options), (other, _) = engine._provider_options(engine._graph("frozen"), sides)
        assert (name, other) == ("TensorrtExecutionProvider", "CUDAExecutionProvider")
        folders.append(options["trt_engine_cache_path"])
        assert Path(folders[-1]).is_dir()
    assert len(set(folders)) == 3


@without_gpu
@pytest.mark.parametrize("provider", ["cuda", "tensorrt"])
def test_a_provider_that_does_not_load_is_an_error_with_its_reason(network, provider, capfd):
    with pytest.raises(EngineError) as caught:
        OnnxGpuEngine(network, provider=provider)
    (line,) = str(caught.value).splitlines()
    assert f"impasto[{provider}]" in line and "ExecutionProvider (" in line
    assert capfd.readouterr() == ("", "")  # ONNX Runtime would have printed half a page


def test_it_stylizes_without_pytorch(tmp_path):
    np.save(tmp_path / "frames.npy", make_pictures(2, 48, 56))
    program = f"""
import sys
import numpy as np
from impasto.models.styles import load_weights
from impasto.realtime.engines.onnx_gpu import OnnxGpuEngine
engine = OnnxGpuEngine(load_weights("great_wave"), provider="cpu")
frames = np.load(r"{tmp_path / "frames.npy"}")
_, statistics = engine.update(frames[:1], None, 1.0)
assert engine.stylize(frames, statistics).shape == frames.shape
assert not {{"torch", "cv2"}} & set(sys.modules), "loaded for nothing"
"""
    subprocess.run([sys.executable, "-c", program], check=True)


@pytest.mark.gpu
@pytest.mark.parametrize("precision", onnx_gpu.PRECISIONS)
def test_cuda_agrees_with_the_cpu(precision):
    weights = load_weights("great_wave")
    engine, reference = OnnxGpuEngine(weights, precision=precision), OnnxEngine(weights)
    assert engine.device == "cuda"
    frames = make_pictures(9, 61, 83)
    _, statistics = engine.update(frames[:1], None, 0.5)
    expected, others = reference.update(frames[:1], None, 0.5)
    scale = np.abs(others.mean).max()
    assert np.abs(statistics.mean - others.mean).max() <= 0.02 * scale
    for _ in range(3):  # run, captured, replayed: none may differ, and none be of an old frame
        for count in (1, 4, 9):
            part = frames[-count:]
            difference = np.abs(
                engine.stylize(part, others).astype(int) - reference.stylize(part, others)
            )
            # As an exported file: two levels at 99.9 % of the pixels (TF32 and fp16: eleven bits).
            assert (difference.max(axis=3) <= 2).mean() > 0.999
    assert engine.notes == []  # the graphs were captured
    for bound in engine._bound.values():
        assert bound._session.get_providers()[0] == "CUDAExecutionProvider"


@pytest.mark.gpu
def test_new_statistics_reach_a_captured_graph():
    weights = load_weights("great_wave")
    engine, reference = OnnxGpuEngine(weights), OnnxEngine(weights)
    frame = make_pictures(1, 64, 96)
    for picture in (frame, 255 - frame, frame // 2):
        _, statistics = reference.update(picture, None, 1.0)
        ours, theirs = (e.stylize(frame, statistics).astype(int) for e in (engine, reference))
        assert (np.abs(ours - theirs).max(axis=3) <= 2).mean() > 0.999


@pytest.mark.gpu
def test_yuv420p_on_a_gpu():
    engine = OnnxGpuEngine(load_weights("great_wave"))
    batches = [[frame] for frame in frames_of(make_pictures(2 * UPDATE_INTERVAL, 96, 128))]
    stylized, expected = (
        np.stack([f.image for f in Stylizer(e, ahead=False)(batches, yuv420=BT709)])
        for e in (engine, OnnxGpuEngine(load_weights("great_wave"), provider="cpu"))
    )
    assert (np.abs(stylized.astype(int) - expected) <= 2).mean() > 0.99


@pytest.mark.gpu
def test_tensorrt_agrees_with_the_cpu():
    try:
        require_provider("tensorrt")
    except EngineError as error:
        pytest.skip(str(error))
    weights = load_weights("great_wave")
    engine, reference = OnnxGpuEngine(weights, provider="tensorrt"), OnnxEngine(weights)
    frames = make_pictures(2, 64, 96)
    _, statistics = reference.update(frames[:1], None, 1.0)
    ours, theirs = (e.stylize(frames, statistics).astype(int) for e in (engine, reference))
    assert (np.abs(ours - theirs).max(axis=3) <= 2).mean() > 0.99
    assert "TensorrtExecutionProvider" in onnxruntime.get_available_providers()
