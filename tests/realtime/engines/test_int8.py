"""int8: near the network in float, and used by itself only where it is fastest and paints alike."""

import re

import numpy as np
import pytest

from impasto.export.graphs.calibration import calibrate
from impasto.export.graphs.quantization import ActivationRange
from impasto.models.classic import ClassicNet
from impasto.models.errors import EngineError
from impasto.models.styles import load_weights
from impasto.realtime.engines import autotune_cache, fidelity, openvino_engine, select
from impasto.realtime.engines.select import open_engine
from impasto.realtime.frame import ColorTags
from tests.pictures import make_pictures

COLOR = ColorTags(1, 1, 1)


@pytest.fixture(scope="module")
def weights():
    return load_weights("great_wave", network="fast")


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


def paints(engine, frame):
    return engine(frame[None])[0].astype(float)


@pytest.mark.parametrize(
    "frame", [np.full((48, 64, 3), 128, np.uint8), make_pictures(1, 48, 64)[0]]
)
def test_flat_pictures_are_painted_in_float(weights, frame):
    """Norms divide by their deviation: at 128, int8 alone had 23 dB."""
    pytest.importorskip("openvino")
    int8 = open_engine(weights, engine="openvino", device="cpu", precision="int8")
    painted, exact = paints(int8, frame), paints(int8.exact, frame)
    assert np.array_equal(painted, exact) == (frame.std() == 0)
    assert 10 * np.log10(255**2 / max(np.square(painted - exact).mean(), 1e-3)) > 38


@pytest.fixture
def int8_is_fastest(monkeypatch, tmp_path):
    pytest.importorskip("openvino")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))  # nothing was compared before
    monkeypatch.setattr(autotune_cache, "load", lambda *case: None)
    monkeypatch.setattr(autotune_cache, "store", lambda *case, result: None)
    seconds = lambda engine, size, repeats: [1 + (engine.precision != "int8")]  # noqa: E731
    monkeypatch.setattr(select, "seconds_per_frame", seconds)


@pytest.mark.parametrize("engine", ["auto", "openvino"])
def test_auto_takes_it_where_it_is_fastest_and_paints_alike(weights, int8_is_fastest, engine):
    frames = make_pictures(2, 48, 64)
    opened = open_engine(weights, engine=engine, device="cpu", size=(48, 64), frames=frames)
    assert (opened.name, opened.precision, opened.notes) == ("openvino", "int8", [])


@pytest.mark.parametrize("engine", ["auto", "openvino"])
@pytest.mark.parametrize("precision", ["auto", "int8"])
def test_what_int8_paints_differently_is_painted_in_float(
    weights, int8_is_fastest, monkeypatch, engine, precision
):
    limits = dict.fromkeys(calibrate(weights), ActivationRange(0, 0.1))
    monkeypatch.setattr(openvino_engine, "calibrate", lambda weights: limits)
    opened = open_engine(weights, engine=engine, device="cpu", precision=precision, size=(48, 64))
    assert opened.precision in ("fp32", "bf16")
    (note,) = opened.notes
    assert re.fullmatch(r"int8 differs too much from .* \d+\.\d dB, at worst .* required", note)


def test_the_frames_of_a_film_count(weights, int8_is_fastest, monkeypatch):
    (film,) = make_pictures(1, 48, 64)
    psnr = lambda engine, frame: 20 if np.array_equal(frame, film) else 60  # noqa: E731
    monkeypatch.setattr(fidelity, "_psnr", psnr)
    assert open_engine(weights, device="cpu", size=(48, 64)).precision == "int8"
    opened = open_engine(weights, device="cpu", size=(48, 64), frames=[film])
    assert opened.precision != "int8"


def test_the_sample_picture_is_painted_once_on_a_machine(weights, int8_is_fastest, monkeypatch):
    painted = []
    known = autotune_cache.AutotuneResult("openvino", "int8", "it was faster")
    monkeypatch.setattr(autotune_cache, "load", lambda *case: known)
    monkeypatch.setattr(fidelity, "_psnr", lambda engine, frame: painted.append(frame) or 60.0)
    assert select.open_known_engine(weights, engine="openvino") is None
    for _ in range(2):
        assert open_engine(weights, engine="openvino", device="cpu").precision == "int8"
    opened = select.open_known_engine(weights, engine="openvino")
    assert opened is not None and opened.precision == "int8" and len(painted) == 1


def test_another_precision_is_exact(weights, int8_is_fastest):
    opened = open_engine(weights, device="cpu", precision="fp32", size=(48, 64))
    assert opened.precision == "fp32"


@pytest.mark.parametrize("engine", ["torch", "onnxruntime"])
def test_engines_without_it_say_so(weights, engine):
    with pytest.raises(EngineError, match="int8"):
        open_engine(weights, engine=engine, device="cpu", precision="int8")


def test_a_network_without_running_statistics_is_refused():
    pytest.importorskip("openvino")
    with pytest.raises(EngineError, match="the package's own networks"):
        open_engine(ClassicNet().eval(), engine="openvino", device="cpu", precision="int8")
