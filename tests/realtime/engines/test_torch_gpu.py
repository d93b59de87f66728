"""The engine for GPUs: all but the GPU's own part on a CPU, where tapes stand for CUDA graphs."""

from collections.abc import Callable, Iterator
from threading import Thread

import numpy as np
import pytest
import torch

from impasto.models.classic import ClassicNet
from impasto.models.errors import EngineError
from impasto.models.styles import load_style
from impasto.models.transform_net import TransformNet
from impasto.realtime.engines import cuda_graphs
from impasto.realtime.engines.cuda_graphs import GraphedFunction
from impasto.realtime.engines.torch_engine import TorchEngine
from impasto.realtime.engines.torch_gpu import TorchGpuEngine
from impasto.realtime.frame import ColorTags, Frame
from impasto.realtime.stylizer import UPDATE_INTERVAL, Stylizer
from tests.pictures import make_pictures, noisy
from tests.realtime.engines.tape import tape, test_a_tape_repeats_what_was_done_where_it_was_done
from tests.realtime.engines.test_yuv420 import frames_of

__all__ = ["test_a_tape_repeats_what_was_done_where_it_was_done"]

BT709 = ColorTags(1, 1, 1)


@pytest.fixture(scope="module")
def network() -> TransformNet:
    return load_style("great_wave", network="fast")


@pytest.fixture(scope="module")
def reference(network) -> TorchEngine:
    return TorchEngine(network)


@pytest.fixture
def engine(network, monkeypatch) -> TorchGpuEngine:
    """An engine on the CPU without oneDNN's operators, which a GPU does not have."""
    monkeypatch.setattr(torch.backends.mkldnn, "is_available", lambda: False)
    return TorchGpuEngine(network, device="cpu", precision="fp32", capture=tape)


def scenes(count: int, *size: int) -> np.ndarray:
    """Frames, no two alike."""
    light = np.linspace(1, 0.4, count)[:, None, None, None]
    return (make_pictures(count, *size) * light).astype(np.uint8)


def stylize_all(
    engine, frames: list[Frame], *, ahead: bool, yuv420: ColorTags | None
) -> np.ndarray:
    stylizer = Stylizer(engine, ahead=ahead)
    batches = [[frame] for frame in frames]
    return np.stack([frame.image for frame in stylizer(batches, yuv420=yuv420)])


# Functions, captured.


def doubled(x: torch.Tensor) -> tuple[torch.Tensor, ...]:
    return (2 * x,)


@pytest.fixture
def notes() -> list[str]:
    return []


def test_the_third_of_a_shape_is_captured(notes):
    runs = 0

    def counted(x: torch.Tensor) -> tuple[torch.Tensor, ...]:
        nonlocal runs
        runs += 1
        return doubled(x)

    double = GraphedFunction(counted, "cpu", tape, notes.append)
    for n in range(6):
        (result,) = double(torch.full((2,), float(n)))
        assert result.tolist() == [2 * n, 2 * n]
    assert runs == 4  # twice eagerly, once to warm up, once to be captured
    double(torch.zeros(3))
    assert runs == 5 and not notes
    double.reset()
    double(torch.zeros(2))
    assert runs == 6


def test_only_so_many_shapes_are_kept(notes):
    double = GraphedFunction(doubled, "cpu", tape, notes.append)
    for size in range(1, cuda_graphs._MAX_SHAPES + 3):
        for n in range(4):
            assert double(torch.full((size,), float(n)))[0].tolist() == [2 * n] * size
    assert len(double._graphs) == cuda_graphs._MAX_SHAPES
    assert double(torch.ones(1))[0].tolist() == [2]


def test_what_cannot_be_captured_runs_eagerly_with_a_note(notes):
    def waits(x: torch.Tensor) -> tuple[torch.Tensor, ...]:
        return (x * x.max().item(),)

    square = GraphedFunction(waits, "cpu", tape, notes.append)
    for n in range(1, 6):
        assert square(torch.full((2,), float(n)))[0].tolist() == [n * n, n * n]
    (note,) = notes
    assert note.startswith("no CUDA graphs in PyTorch: _local_scalar_dense")


def test_a_lack_of_memory_during_capture_is_reported_as_such(notes):
    def full(run: Callable) -> None:
        raise torch.cuda.OutOfMemoryError("CUDA out of memory")

    double = GraphedFunction(doubled, "cpu", full, notes.append)
    with pytest.raises(torch.cuda.OutOfMemoryError):
        for _ in range(3):
            double(torch.zeros(2))


# The engine, with what a GPU captures.


@pytest.mark.parametrize("ahead", [False, True])
@pytest.mark.parametrize("yuv420", [None, BT709])
def test_a_video_as_on_a_cpu(engine, reference, yuv420, ahead):
    """Long enough that folding, stylizing and updating are all captured, and replayed."""
    frames = frames_of(scenes(5 * UPDATE_INTERVAL + 2, 48, 64))
    ours = stylize_all(engine, frames, ahead=ahead, yuv420=yuv420)
    expected = stylize_all(reference, frames, ahead=False, yuv420=yuv420)
    assert np.abs(ours.astype(int) - expected).max() <= 1
    assert engine.notes == []
    if yuv420 is None:
        assert all(worker._run._graphs for worker in engine._workers[: 1 + ahead])
        assert engine._updater.run._graphs


def test_batches_of_every_length(engine, reference):
    frames = scenes(4, 40, 48)
    _, statistics = reference.update(frames[:1], None, 1.0)
    for count in (4, 1, 3, 4, 4, 1, 1, 2, 4, 1):
        ours = engine.stylize(frames[:count], statistics)
        assert np.abs(ours.astype(int) - reference.stylize(frames[:count], statistics)).max() <= 1


def test_new_statistics_reach_what_was_captured(engine, reference):
    frames = scenes(6, 40, 48)
    for frame in np.concatenate([frames, frames]):
        _, statistics = reference.update(frame[None], None, 1.0)
        for _ in range(2):
            ours = engine.stylize(frames[:1], statistics)
            expected = reference.stylize(frames[:1], statistics)
            assert np.abs(ours.astype(int) - expected).max() <= 1
    assert any(worker._fold._graphs for worker in engine._workers)


def test_a_replaced_network_reaches_what_was_captured(network, engine, reference):
    frames = scenes(1, 40, 48)
    other = load_style("udnie", network="fast")
    for style, fresh in ((other, TorchEngine(other)), (network, reference)):
        engine.replace(style)
        for _ in range(4):
            ours, statistics = engine.update(frames, None, 1.0)
            expected, others = fresh.update(frames, None, 1.0)
            assert np.abs(ours.astype(int) - expected).max() <= 1
            frozen = engine.stylize(frames, statistics).astype(int)
            assert np.abs(frozen - fresh.stylize(frames, others)).max() <= 1


def test_what_was_given_out_stays(engine):
    frames = scenes(2, 40, 48)
    for _ in range(4):  # the last of them replayed
        first, statistics = engine.update(frames[:1], None, 1.0)
    kept = first.copy(), statistics.mean.copy()
    frozen = [engine.stylize(frames[:1], statistics) for _ in range(4)][-1]
    before = frozen.copy()
    engine.update(frames[1:], None, 1.0)
    engine.stylize(frames[1:], statistics)
    assert np.array_equal(first, kept[0]) and np.array_equal(statistics.mean, kept[1])
    assert np.array_equal(frozen, before)


def test_threads_do_not_share_a_worker(engine, reference):
    frames = scenes(6, 40, 48)
    statistics = [reference.update(frame[None], None, 1.0)[1] for frame in frames]
    expected = [
        reference.stylize(frame[None], of_it)
        for frame, of_it in zip(frames, statistics, strict=True)
    ]
    wrong: list[int] = []

    def paint(which: int) -> None:
        for _ in range(5):
            ours = engine.stylize(frames[which][None], statistics[which])
            if np.abs(ours.astype(int) - expected[which]).max() > 1:
                wrong.append(which)

    threads = [Thread(target=paint, args=(which,)) for which in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == [] and len(engine._free) == len(engine._workers)


def test_out_of_memory_means_smaller_batches(engine, reference, monkeypatch):
    frames = scenes(8, 40, 40)
    _, statistics = reference.update(frames[:1], None, 1.0)
    expected = reference.stylize(frames, statistics)
    room = 3

    def crowded(network) -> Callable:
        def paint(frames: torch.Tensor) -> torch.Tensor:
            if len(frames) > room:
                raise torch.cuda.OutOfMemoryError("CUDA out of memory")
            return type(network).forward(network, frames)

        return paint

    for worker in engine._workers:
        monkeypatch.setattr(worker.network, "forward", crowded(worker.network))
    assert np.abs(engine.stylize(frames, statistics).astype(int) - expected).max() <= 1
    assert [note.partition(":")[0] for note in engine.notes] == ["cpu ran out of memory"] * 2
    room = 0
    with pytest.raises(EngineError, match="smaller --size"):
        engine.stylize(frames[:, :32], statistics)


def test_other_networks_run_too(monkeypatch):
    torch.manual_seed(0)
    network = ClassicNet().eval()
    engine = TorchGpuEngine(network, device="cpu", precision="fp32", capture=tape)
    assert not engine.has_running_statistics
    frames = make_pictures(2, 20, 47)
    assert np.array_equal(engine(frames), TorchEngine(network)(frames))


def test_half_precision_keeps_to_its_range(network, monkeypatch):
    """Nothing on the way overflows, in any of the shipped styles' widths of numbers."""
    monkeypatch.setattr(torch.backends.mkldnn, "is_available", lambda: False)
    engine = TorchGpuEngine(network, device="cpu", precision="fp16", capture=tape)
    expected = TorchEngine(network)
    white = noisy(np.full((48, 64, 3), 255, np.uint8), 1.0, seed=1)[None]  # as cameras see it
    for frame in (scenes(1, 48, 64), white):
        ours, statistics = engine.update(frame, None, 1.0)
        assert np.isfinite(statistics).all()
        theirs, _ = expected.update(frame, None, 1.0)
        frozen = engine.stylize(frame, statistics)
        for picture in (ours, frozen):
            off = np.abs(picture.astype(int) - theirs)
            assert (off <= 2).mean() > 0.98


# And on a GPU.


@pytest.fixture
def on_gpu(network) -> Iterator[TorchGpuEngine]:
    engine = TorchGpuEngine(network)
    yield engine
    assert engine.notes == []  # everything was captured


@pytest.mark.gpu
@pytest.mark.parametrize("yuv420", [None, BT709])
@pytest.mark.parametrize("ahead", [False, True])
def test_a_video_on_a_gpu_as_on_a_cpu(on_gpu, reference, yuv420, ahead):
    frames = frames_of(scenes(5 * UPDATE_INTERVAL + 2, 96, 128))
    ours = stylize_all(on_gpu, frames, ahead=ahead, yuv420=yuv420).astype(int)
    expected = stylize_all(reference, frames, ahead=False, yuv420=yuv420)
    off = np.abs(ours - expected)
    # fp16 through fifteen layers, eleven bits each.
    assert (off <= 2).mean() > 0.99 and off.max() <= 24
    assert yuv420 or on_gpu._updater.run._graphs


@pytest.mark.gpu
@pytest.mark.parametrize("precision", ["fp16", "bf16", "fp32"])
def test_precisions_on_a_gpu(network, reference, precision):
    engine = TorchGpuEngine(network, precision=precision)
    frames = scenes(3, 61, 83)
    _, statistics = engine.update(frames[:1], None, 1.0)
    _, others = reference.update(frames[:1], None, 1.0)
    expected = reference.stylize(frames, others)
    levels, share = {"fp16": (2, 0.99), "bf16": (8, 0.98), "fp32": (2, 0.99)}[precision]  # TF32
    for _ in range(5):  # eagerly, then captured, then replayed
        off = np.abs(engine.stylize(frames, statistics).astype(int) - expected)
        assert (off <= levels).mean() > share
    assert engine.notes == []


@pytest.mark.gpu
def test_a_replaced_network_on_a_gpu(network, on_gpu):
    frames, other = scenes(1, 64, 96), load_style("udnie", network="fast")
    for style in (network, other, network):
        on_gpu.replace(style)
        fresh = TorchEngine(style)
        for _ in range(4):
            _, statistics = on_gpu.update(frames, None, 1.0)
            _, others = fresh.update(frames, None, 1.0)
            off = np.abs(
                on_gpu.stylize(frames, statistics).astype(int) - fresh.stylize(frames, others)
            )
            assert (off <= 2).mean() > 0.99


@pytest.mark.gpu
def test_memory_of_a_gpu_that_runs_out(network, reference):
    engine = TorchGpuEngine(network)
    frames = np.repeat(scenes(1, 360, 640), 64, axis=0)
    _, statistics = engine.update(frames[:1], None, 1.0)
    free, total = torch.cuda.mem_get_info()
    few = 2**30  # bytes: too few for 64 frames, enough for some
    torch.cuda.set_per_process_memory_fraction(
        (torch.cuda.memory_reserved() + few) / total, torch.cuda.current_device()
    )
    try:
        painted_frames = engine.stylize(frames, statistics)
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0)
    assert painted_frames.shape == frames.shape
    assert all("ran out of memory" in note for note in engine.notes)
