"""int8 on request: near the network, with frozen statistics, and never without a note."""

import numpy as np
import pytest

from impasto.models.classic import ClassicNet
from impasto.models.errors import EngineError
from impasto.models.styles import load_weights
from impasto.realtime.engines.select import open_engine
from impasto.realtime.frame import ColorTags
from tests.pictures import make_pictures

COLOR = ColorTags(1, 1, 1)


@pytest.fixture(scope="module")
def weights():
    return load_weights("great_wave")


@pytest.fixture(scope="module")
def by_precision(weights):
    """An OpenVINO engine in each precision."""
    pytest.importorskip("openvino")
    return {
        precision: open_engine(weights, engine="openvino", device="cpu", precision=precision)
        for precision in ("fp32", "int8")
    }


@pytest.mark.parametrize("yuv420", [False, True])
def test_a_video_in_int8_is_nearly_the_same(by_precision, yuv420):
    frames = make_pictures(4, 48, 64)
    films = []
    for precision, engine in by_precision.items():
        assert engine.precision == precision
        assert engine.has_running_statistics and engine.concurrency > 1
        if yuv420:
            engine = engine.for_yuv420(COLOR)
            assert engine.precision == precision
        first, statistics = engine.update(frames[:1], None, 1.0)
        second, statistics = engine.update(frames[1:2], statistics, 0.3)
        films.append(np.concatenate([first, second, engine.stylize(frames[2:], statistics)]))
    exact, near = np.array(films, float)
    assert 10 * np.log10(255**2 / np.square(exact - near).mean()) > 35
    assert near.std() > 20  # the picture is not flat


def test_auto_means_it_only_where_asked(weights):
    pytest.importorskip("openvino")
    engine = open_engine(weights, engine="openvino", device="cpu")
    assert engine.precision != "int8"
    engine = open_engine(weights, device="cpu", precision="int8", size=(48, 64))
    assert (engine.name, engine.precision) == ("openvino", "int8")


@pytest.mark.parametrize("engine", ["torch", "onnxruntime"])
def test_engines_without_it_say_so(weights, engine):
    with pytest.raises(EngineError, match="int8"):
        open_engine(weights, engine=engine, device="cpu", precision="int8")


def test_a_network_without_running_statistics_is_refused():
    pytest.importorskip("openvino")
    with pytest.raises(EngineError, match="the package's own networks"):
        open_engine(ClassicNet().eval(), engine="openvino", device="cpu", precision="int8")
