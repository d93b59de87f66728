"""The hybrid engine: PyTorch while style or size change, then OpenVINO, with the same pictures."""

import numpy as np
import pytest

from impasto.models.styles import load_style
from impasto.realtime.engines import hybrid_engine
from impasto.realtime.engines.base import Engine
from impasto.realtime.engines.hybrid_engine import HybridEngine, open_hybrid_engine
from impasto.realtime.engines.select import open_engine
from impasto.realtime.engines.torch_engine import precisions
from tests.pictures import make_pictures

pytest.importorskip("openvino")
HAS_BF16 = precisions("cpu")[0] == "bf16"
needs_bf16 = pytest.mark.skipif(not HAS_BF16, reason="this processor has no bfloat16")


@pytest.fixture(scope="module")
def networks():
    return load_style("great_wave"), load_style("udnie")


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


def settle(engine: HybridEngine, frames: np.ndarray, statistics) -> None:
    while not engine.settled:
        stylize_all(engine, frames, statistics)
        if engine._pending is not None:  # else it may have ended between two frames
            engine._pending.result()


def psnr(a: np.ndarray, b: np.ndarray) -> float:
    return 10 * np.log10(255**2 / np.square(a - b).mean())


@needs_bf16
def test_the_faster_one_takes_over_where_the_other_leaves_off(networks):
    engine, alone = HybridEngine(networks[0]), open_engine(networks[0], engine="torch")
    frames = make_pictures(2, 48, 64)
    (first, _), statistics = stylize_all(engine, frames)
    (expected, _), _ = stylize_all(alone, frames)
    assert np.array_equal(first, expected) and not engine.settled  # PyTorch's
    settle(engine, frames, statistics)
    (after,), _ = stylize_all(engine, frames[:1], statistics)
    assert psnr(first, after) > 35
    assert not np.array_equal(first, after)  # OpenVINO's
    picture, updated = engine.update(frames[1:], statistics, 0.3)
    expected, theirs = alone.update(frames[1:], statistics, 0.3)
    assert psnr(picture.astype(float), expected.astype(float)) > 35
    scale = np.sqrt(np.asarray(theirs.variance))
    assert np.abs((updated.mean - theirs.mean) / scale).max() < 0.05


@needs_bf16
def test_another_style_is_there_at_once_and_settles_again(networks):
    engine = HybridEngine(networks[0])
    frames = make_pictures(1, 40, 56)
    settle(engine, frames, stylize_all(engine, frames)[1])
    engine.replace(networks[1])
    assert not engine.settled
    (picture,), statistics = stylize_all(engine, frames)
    (expected,), _ = stylize_all(open_engine(networks[1], engine="torch"), frames)
    assert np.array_equal(picture, expected)
    settle(engine, frames, statistics)
    (after,), _ = stylize_all(engine, frames, statistics)
    assert psnr(picture, after) > 35


@needs_bf16
def test_another_size_is_there_at_once_and_settles_again(networks):
    engine = HybridEngine(networks[0])
    small, large = make_pictures(1, 40, 56), make_pictures(1, 48, 64)
    settle(engine, small, stylize_all(engine, small)[1])
    (picture,), statistics = stylize_all(engine, large)
    assert picture.shape == large[0].shape and not engine.settled
    settle(engine, large, statistics)
    (picture,), _ = stylize_all(engine, small)  # it is not ready for two
    assert picture.shape == small[0].shape and not engine.settled


@needs_bf16
def test_a_graph_of_an_earlier_network_or_size_is_not_used(networks):
    engine = HybridEngine(networks[0])
    frames = make_pictures(1, 40, 56)
    _, statistics = stylize_all(engine, frames)
    while engine._pending is None:
        stylize_all(engine, frames, statistics)
    engine.replace(networks[1])
    engine._pending.result()
    (picture,), _ = stylize_all(engine, frames)
    (expected,), _ = stylize_all(open_engine(networks[1], engine="torch"), frames)
    assert np.array_equal(picture, expected) and not engine.settled


def test_pytorch_alone_where_it_gains_nothing(networks, monkeypatch):
    def none(network):
        raise hybrid_engine.EngineError("OpenVINO is not installed")

    monkeypatch.setattr(hybrid_engine, "_open_openvino", none)
    assert open_hybrid_engine(networks[0], size=(40, 56)).name == "torch"


def test_pytorch_alone_in_float32(networks):
    engine = open_hybrid_engine(networks[0], precision="fp32", size=(40, 56))
    assert (engine.name, engine.precision, engine.settled) == ("torch", "fp32", True)
