"""The hybrid engine: OpenVINO, ONNX Runtime while a style turns; with the same pictures."""

import os
import sys
from itertools import count

import numpy as np
import pytest

from impasto.models.errors import EngineError
from impasto.models.styles import load_weights
from impasto.realtime import cpu
from impasto.realtime.engines import autotune_cache, hybrid_engine, int8_trial
from impasto.realtime.engines.autotune_cache import AutotuneResult
from impasto.realtime.engines.base import Engine
from impasto.realtime.engines.hybrid_engine import HybridEngine, open_hybrid_engine
from impasto.realtime.engines.int8_trial import Int8Trial, TrialResult
from impasto.realtime.engines.select import open_engine
from tests.pictures import make_pictures

pytest.importorskip("openvino")


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    """What is found out on the machine is for one test, and need not wait until others pause."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(int8_trial, "run_when_idle", lambda process: None)


@pytest.fixture(scope="module")
def networks():
    return load_weights("great_wave", network="fast"), load_weights("udnie", network="fast")


def stylize_all(engine: Engine, frames: np.ndarray, statistics=None):
    """Frames stylized with these statistics, or those of the first; and the statistics."""
    stylized = []
    for frame in frames:
        if statistics is None:
            picture, statistics = engine.update(frame[None], None, 1.0)
        else:
            picture = engine.stylize(frame[None], statistics)
        stylized.append(picture[0].astype(float))
    return stylized, statistics


def wait_until(reached, engine: HybridEngine, frames: np.ndarray) -> None:
    """Stylize until `reached()`; the work elsewhere is waited for."""
    statistics = None
    for _ in range(200):
        if reached():
            return
        engine.prepare(*frames.shape[1:3])
        _, statistics = stylize_all(engine, frames[:1], statistics)
        finish(engine)
    raise AssertionError("it never was")


def finish(engine: HybridEngine) -> None:
    """Wait for the work in threads and in another process."""
    for work, _ in engine._pending.values():
        work.exception()
    if engine._trial is not None:
        engine._trial._process.wait()
    engine._collect()


def psnr(a: np.ndarray, b: np.ndarray) -> float:
    return 10 * np.log10(255**2 / max(np.square(a - b).mean(), 1e-6))


def int8_is_fastest(network: str = "fast") -> None:
    """As where that was measured, on whatever processor the test runs."""
    known = AutotuneResult("openvino", "int8", "for the test")
    autotune_cache.store(network, "cpu", "openvino:auto openvino:int8", result=known)


def test_it_begins_in_float_and_goes_on_in_int8_once_that_is_compared(networks):
    int8_is_fastest()
    engine, alone = HybridEngine(networks[0]), open_engine(networks[0], engine="torch")
    frames = make_pictures(2, 48, 64)
    (first, _), _ = stylize_all(engine, frames)
    (expected, _), _ = stylize_all(alone, frames)
    assert engine.precision != "int8" and psnr(first, expected) > 35
    wait_until(lambda: engine.precision == "int8" and engine.settled, engine, frames)
    (after,), _ = stylize_all(engine, frames[:1])
    assert psnr(after, expected) > 34
    assert HybridEngine(networks[0]).precision == "int8"  # from the first frame on


def test_what_is_faster_is_measured_in_another_process(networks):
    trial = Int8Trial(networks[0], engine="openvino")
    trial._process.wait()
    assert trial.done and (result := trial.read_result()) is not None
    assert result.precision in ("int8", HybridEngine(networks[0], precision="fp32").precision)


@pytest.mark.skipif(sys.platform != "linux", reason="SCHED_IDLE is Linux's")
def test_a_trial_takes_what_the_cores_have_left(networks, monkeypatch):
    monkeypatch.setattr(int8_trial, "run_when_idle", cpu.run_when_idle)
    trial = Int8Trial(networks[0], engine="openvino")
    assert os.sched_getscheduler(trial._process.pid) == os.SCHED_IDLE


def test_where_nothing_is_left_of_the_cores_the_trial_hurries_in_the_end(networks, monkeypatch):
    monkeypatch.setattr(hybrid_engine, "_PATIENCE_SECONDS", 0)
    engine, frames = HybridEngine(networks[0]), make_pictures(1, 48, 64)
    for _ in range(2):
        stylize_all(engine, frames)
    patient = engine._trial
    assert patient is not None and not patient.hurries
    engine.prepare(48, 64)
    assert engine._trial is not patient and engine._trial.hurries


def test_a_trial_ends_with_its_engine(networks):
    trial = Int8Trial(networks[0], engine="openvino")
    process = trial._process
    del trial
    assert process.returncode is not None


def test_a_trial_that_fails_leaves_float(networks, monkeypatch):
    monkeypatch.setattr(sys, "executable", "false")
    engine, frames = HybridEngine(networks[0]), make_pictures(1, 48, 64)
    wait_until(lambda: engine._is_chosen, engine, frames)
    assert engine.precision != "int8"


def test_int8_that_is_found_wanting_is_not_used_and_said(networks, monkeypatch):
    found = TrialResult("fp32", ["int8 differs too much from float"])
    monkeypatch.setattr(Int8Trial, "read_result", lambda trial: found)
    monkeypatch.setattr(sys, "executable", "true")
    engine, frames = HybridEngine(networks[0]), make_pictures(1, 48, 64)
    wait_until(lambda: engine._is_chosen, engine, frames)
    assert engine.precision != "int8" and engine.notes == found.notes


def test_another_style_is_there_at_once_and_then_by_openvino(networks):
    engine = HybridEngine(networks[0], precision="fp32")
    frames = make_pictures(2, 40, 56)
    stylize_all(engine, frames)
    engine.replace(networks[1])
    assert engine.turning and not engine.settled
    alone = open_engine(networks[1], engine="onnxruntime")
    (picture,), statistics = stylize_all(engine, frames[:1])
    (expected,), _ = stylize_all(alone, frames[:1])
    assert np.array_equal(picture, expected)
    wait_until(lambda: not engine.turning, engine, frames)
    (after,), _ = stylize_all(engine, frames[:1], statistics)
    assert psnr(picture, after) > 40
    picture, updated = engine.update(frames[1:], statistics, 0.3)
    expected, theirs = alone.update(frames[1:], statistics, 0.3)
    assert psnr(picture.astype(float), expected.astype(float)) > 35
    scale = np.sqrt(np.asarray(theirs.variance))
    assert np.abs((updated.mean - theirs.mean) / scale).max() < 0.05


def test_another_style_is_compiled_for_the_size_that_is_wanted_not_for_that_it_turns_at(networks):
    engine = HybridEngine(networks[0], precision="fp32")
    large, small = make_pictures(1, 80, 112), make_pictures(1, 40, 56)
    stylize_all(engine, large)
    engine.replace(networks[1])
    for _ in count():
        assert engine.prepare(80, 112)
        if not engine.turning:
            break
        assert engine(small).shape == small.shape
        finish(engine)
    assert engine._prepared.sizes == ((80, 112),)


def test_the_style_before_is_there_at_once_by_openvino(networks):
    engine = HybridEngine(networks[0], precision="fp32")
    frames = make_pictures(1, 40, 56)
    stylize_all(engine, frames)
    engine.replace(networks[1])
    engine.replace(networks[0])
    assert engine.settled


def test_another_size_is_compiled_while_the_last_one_goes_on(networks):
    engine = HybridEngine(networks[0], precision="fp32")
    small, large = make_pictures(1, 40, 56), make_pictures(1, 48, 64)
    assert engine.prepare(40, 56)  # for the first frame there is no other size
    stylize_all(engine, small)
    assert not engine.prepare(48, 64) and not engine.settled
    (picture,), _ = stylize_all(engine, small)  # not waiting
    assert picture.shape == small[0].shape
    finish(engine)
    assert engine.prepare(48, 64) and engine.prepare(40, 56)
    (picture,), _ = stylize_all(engine, large)
    (expected,), _ = stylize_all(
        open_engine(networks[0], engine="openvino", precision="fp32"), large
    )
    assert np.array_equal(picture, expected)


def test_a_size_that_was_not_prepared_is_painted_all_the_same(networks, monkeypatch):
    monkeypatch.setattr(hybrid_engine, "_MAX_SIZES", 1)
    engine = HybridEngine(networks[0], precision="fp32")
    for side in (40, 48, 40):
        (frame,) = make_pictures(1, side, 56)
        assert engine(frame[None]).shape == (1, side, 56, 3)


def test_a_graph_of_an_earlier_network_is_not_used(networks):
    engine = HybridEngine(networks[0], precision="fp32")
    frames = make_pictures(1, 40, 56)
    stylize_all(engine, frames)
    engine.prepare(48, 64)
    engine.replace(networks[1])
    finish(engine)
    (picture,), _ = stylize_all(engine, frames)
    (expected,), _ = stylize_all(open_engine(networks[1], engine="onnxruntime"), frames)
    assert np.array_equal(picture, expected) and not engine.settled


def test_a_size_that_changes_while_int8_compiles_is_compiled_before_it_takes_over(networks):
    int8_is_fastest()
    engine = HybridEngine(networks[0])
    small, large = make_pictures(1, 40, 56), make_pictures(1, 48, 64)
    stylize_all(engine, small)
    stylize_all(engine, small)  # from here on they are compared
    engine._trial._process.wait()
    engine.prepare(40, 56)  # int8 begins to compile
    engine._pending["open"][0].result()
    engine._size = 48, 64  # as asked for just before it is used
    finish(engine)
    assert engine.precision != "int8"
    wait_until(lambda: engine.precision == "int8", engine, large)
    assert (48, 64) in engine._prepared.sizes


def test_without_openvino_pytorch_alone(networks, monkeypatch):
    monkeypatch.setitem(sys.modules, "impasto.realtime.engines.openvino_engine", None)
    assert open_hybrid_engine(networks[0], device="cpu", size=(40, 56)).name == "torch"


def test_a_precision_that_it_does_not_have_is_refused(networks):
    with pytest.raises(EngineError, match="fp8"):
        open_hybrid_engine(networks[0], device="cpu", precision="fp8", size=(40, 56))


def test_in_float32_as_asked(networks):
    engine = open_hybrid_engine(networks[0], device="cpu", precision="fp32", size=(40, 56))
    assert (engine.name, engine.precision, engine.settled) == ("openvino", "fp32", True)
    assert isinstance(engine, hybrid_engine.HybridEngine)
