"""The hybrid engine: OpenVINO, and PyTorch while a style turns, with the same pictures."""

import sys
import threading

import numpy as np
import pytest

from impasto.models.errors import EngineError
from impasto.models.styles import load_weights
from impasto.realtime.engines import fidelity, hybrid_engine
from impasto.realtime.engines.base import Engine
from impasto.realtime.engines.hybrid_engine import HybridEngine, open_hybrid_engine
from impasto.realtime.engines.select import open_engine
from tests.pictures import make_pictures

pytest.importorskip("openvino")


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
    """Stylize until `reached()`; the work in the thread is waited for."""
    statistics = None
    for _ in range(200):
        if reached():
            return
        _, statistics = stylize_all(engine, frames[:1], statistics)
        finish(engine)
    raise AssertionError("it never was")


def finish(engine: HybridEngine) -> None:
    """Wait for the work in threads."""
    for work, _ in engine._pending.values():
        work.exception()
    engine._collect()


def psnr(a: np.ndarray, b: np.ndarray) -> float:
    return 10 * np.log10(255**2 / max(np.square(a - b).mean(), 1e-6))


def test_the_first_frame_is_openvinos_in_float_and_pytorch_loads_after_it(networks, monkeypatch):
    in_int8(monkeypatch)
    engine, alone = HybridEngine(networks[0]), open_engine(networks[0], engine="torch")
    frames = make_pictures(2, 48, 64)
    (first, _), _ = stylize_all(engine, frames)
    (expected, _), _ = stylize_all(alone, frames)
    assert engine.precision != "int8" and not engine.replaceable
    assert psnr(first, expected) > 35
    wait_until(lambda: engine.replaceable and engine.settled, engine, frames)
    (after,), _ = stylize_all(engine, frames[:1])
    assert engine.precision == "int8" and psnr(after, expected) > 34


def test_another_style_is_there_at_once_by_pytorch_and_then_by_openvino(networks):
    engine = HybridEngine(networks[0], precision="fp32")
    frames = make_pictures(2, 40, 56)
    wait_until(lambda: engine.replaceable and engine.settled, engine, frames)
    engine.replace(networks[1])
    assert not engine.settled
    alone = open_engine(networks[1], engine="torch", precision="fp32")
    (picture,), statistics = stylize_all(engine, frames[:1])
    (expected,), _ = stylize_all(alone, frames[:1])
    assert np.array_equal(picture, expected)  # PyTorch's
    wait_until(lambda: engine.settled, engine, frames)
    (after,), _ = stylize_all(engine, frames[:1], statistics)
    assert psnr(picture, after) > 40 and not np.array_equal(picture, after)  # OpenVINO's
    picture, updated = engine.update(frames[1:], statistics, 0.3)
    expected, theirs = alone.update(frames[1:], statistics, 0.3)
    assert psnr(picture.astype(float), expected.astype(float)) > 35
    scale = np.sqrt(np.asarray(theirs.variance))
    assert np.abs((updated.mean - theirs.mean) / scale).max() < 0.05


def test_the_style_before_is_there_at_once_by_openvino(networks):
    engine = HybridEngine(networks[0], precision="fp32")
    frames = make_pictures(1, 40, 56)
    stylize_all(engine, frames)
    engine.replace(networks[1])
    engine.replace(networks[0])
    assert engine.settled


def test_replacing_before_pytorch_is_loaded_waits_for_it(networks):
    engine = HybridEngine(networks[0], precision="fp32")
    frames = make_pictures(1, 40, 56)
    assert not engine.replaceable
    engine.replace(networks[1])
    (picture,), _ = stylize_all(engine, frames)
    (expected,), _ = stylize_all(open_engine(networks[1], engine="torch"), frames)
    assert psnr(picture, expected) > 35


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
    wait_until(lambda: engine.replaceable, engine, frames)
    engine.prepare(48, 64)
    engine.replace(networks[1])
    finish(engine)
    (picture,), _ = stylize_all(engine, frames)
    (expected,), _ = stylize_all(open_engine(networks[1], engine="torch", precision="fp32"), frames)
    assert np.array_equal(picture, expected) and not engine.settled


def test_a_size_that_changes_while_int8_is_compared_is_compiled_before_it_takes_over(
    networks, monkeypatch
):
    in_int8(monkeypatch)
    may_open = threading.Event()

    def open_later(*arguments, **options):
        may_open.wait(60)
        return open_engine(*arguments, **options)

    monkeypatch.setattr(hybrid_engine, "open_engine", open_later)
    engine = HybridEngine(networks[0])
    small, large = make_pictures(1, 40, 56), make_pictures(1, 48, 64)
    stylize_all(engine, small)
    stylize_all(engine, small)  # from here on they are compared
    engine.prepare(48, 64)
    engine._pending["size"][0].result()
    assert engine.prepare(48, 64)  # in float
    stylize_all(engine, large)
    may_open.set()
    wait_until(lambda: engine.precision == "int8", engine, large)
    assert (48, 64) in engine._prepared.sizes


def in_int8(monkeypatch) -> None:
    """As where int8 is the fastest, on whatever processor the test runs."""
    from impasto.realtime.engines import select

    fastest = select._fastest
    monkeypatch.setattr(
        select,
        "_fastest",
        lambda network, device, candidates, *rest, **options: fastest(
            network, device, candidates[-1:], *rest, **options
        ),
    )


def test_int8_that_differs_too_much_is_not_used_and_said(networks, monkeypatch):
    monkeypatch.setattr(fidelity, "_LEAST_PSNR", 99)
    in_int8(monkeypatch)
    engine = HybridEngine(networks[0])
    frames = make_pictures(1, 48, 64)
    wait_until(lambda: engine._is_chosen, engine, frames)
    assert engine.precision != "int8"
    assert any("int8 differs too much" in note for note in engine.notes)


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
