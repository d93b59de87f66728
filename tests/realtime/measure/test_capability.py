"""What measured rates come to: worked out by hand, and measured once."""

import json

import pytest

from impasto.realtime.engines import select
from impasto.realtime.measure import capability as module
from impasto.realtime.measure.capability import capability, quick_capability


def row(precision: str, fps: float, width: int, height: int, **others: object) -> dict:
    named = {"network": "fast", "engine": "openvino", "device": "cpu", "folded": True}
    return named | {"precision": precision, "fps": fps, "width": width, "height": height} | others


def test_the_size_that_live_video_holds():
    """37.5 fps of the network alone, so that a fifth of the time is left for the rest."""
    rows = [
        row("int8", 150, 640, 360),  # by the area: 37.5 at 1280x720
        row("int8", 20, 640, 360, engine="torch"),
        row("fp32", 37.4, 640, 360),  # 66 at 480x270
        row("bf16", 1, 640, 360),
        row("bf16", 999, 640, 360, network="fine"),
    ]
    found = capability(rows, live="fast", film={"network": "fast"}, file_seconds=0.0)
    assert found["live"]["sizes"] == {"int8": "1280x720", "fp32": "480x270", "bf16": None}
    assert found["lines"][0] == (
        "live video at 30 fps, painted in full: int8 1280x720, fp32 480x270, "
        "bf16 less than 320x180 (fast network)"
    )
    assert found["timed_at"] == ["640x360"]
    assert found["lines"][-1].startswith("timed at 640x360; the other sizes")


def test_the_nearest_size_that_was_timed_counts():
    rows = [row("int8", 150, 640, 360), row("int8", 30, 1280, 720), row("int8", 12, 1920, 1080)]
    found = capability(rows, live="fast", film={"network": "fast"}, file_seconds=0.0)
    assert found["live"]["sizes"] == {"int8": "1024x576"}  # 46.9 fps by 1280x720
    assert found["video"]["fps"] == {"640x360": 150, "1280x720": 30, "1920x1080": 12}
    assert len(found["lines"]) == 2  # all sizes of films were timed


def test_a_film_also_takes_time_for_its_files():
    rows = [
        row("int8", 100, 640, 360, network="fine"),
        row("fp32", 40, 640, 360, network="fine"),
        row("int8", 300, 640, 360),
    ]
    pixels = 640 * 360
    film = {"network": "fine", "engine": "openvino", "precision": "fp32", "fps": 30}
    found = capability(rows, live="fast", film=film, file_seconds=0.015 / pixels)
    assert found["video"]["fps"] == {"640x360": 25, "1280x720": 6.2, "1920x1080": 2.8}
    assert found["lines"][1] == (
        "impasto video: about 25 fps at 640x360, 6.2 fps at 1280x720, 2.8 fps at 1920x1080 "
        "(fine network, openvino fp32)"
    )
    found = capability(rows, live="fast", film={"network": "fine"}, file_seconds=None)
    assert (found["video"]["precision"], found["video"]["fps"]["640x360"]) == ("int8", 100)
    assert "without reading and writing the film" in found["lines"][1]


def test_a_device_is_named():
    rows = [row("fp16", 600, 640, 360, device="gpu"), row("fp32", 40, 640, 360)]
    found = capability(rows, live="fast", film={"network": "fast"}, file_seconds=None)
    assert found["live"]["sizes"] == {"fp16 on gpu": "2560x1440", "fp32": "640x360"}


@pytest.mark.parametrize("network", ["fast", "fine"])
def test_measured_quickly(monkeypatch, network):
    """The fast network with OpenVINO, in float and int8; both networks without it."""
    monkeypatch.setattr(module, "_TIMED", (48, 64))
    monkeypatch.setattr(module, "_FILM_SECONDS", 0.1)
    monkeypatch.setattr(module, "choose_network", lambda *_: network)
    if network == "fine":
        monkeypatch.setattr(module, "find_spec", lambda name: None)
        monkeypatch.delitem(select._OPENERS, "openvino")
    found = quick_capability("great_wave")
    assert found["live"]["network"] == "fast"
    precisions = {"fp32"} if network == "fine" else {"fp32", "bf16", "int8"}
    assert set(found["live"]["sizes"]) <= precisions  # on a busy machine none may hold the rate
    assert found["video"]["network"] == network and found["video"]["files_included"]
    assert found["video"]["fps"]["640x360"] > 0  # of larger films it may round to 0
    assert found["timed_at"] == ["64x48"] and len(found["lines"]) >= 3
    assert json.loads(json.dumps(found)) == found


@pytest.mark.parametrize("reason", ["gpu fp16 is left out: it crawls"])
def test_what_is_left_out_is_said_once(monkeypatch, reason):
    from impasto.realtime.engines.base import IdentityEngine

    monkeypatch.setattr(module, "_TIMED", (48, 64))
    monkeypatch.setattr(module, "_seconds_besides", lambda network: 0.0)
    monkeypatch.setattr(module, "_engines", lambda weights: ([IdentityEngine()], [reason]))
    assert quick_capability("great_wave")["lines"].count(reason) == 1
