"""Live sources by name: cameras, addresses, files; what is opened, and what is refused."""

import os
import subprocess
import sys
from contextlib import closing
from fractions import Fraction
from itertools import islice
from pathlib import Path

import pytest

from impasto.models.errors import SourceError
from impasto.realtime.live import cameras
from impasto.realtime.live.cameras import Camera, list_cameras, open_device, open_live, option_sets
from impasto.realtime.live.live_source import Timing
from impasto.realtime.threads import Latest
from tests.media import text_file
from tests.realtime.live.conftest import Log
from tests.realtime.live.sources import NO_PAUSES, assert_increasing
from tests.senders import free_port

pytestmark = pytest.mark.usefixtures("no_thread_hangs")


@pytest.fixture
def a_camera(monkeypatch: pytest.MonkeyPatch) -> None:
    """A camera of this machine, as far as a machine without one can have one."""
    graph = "testsrc2=size=64x48:rate=50,realtime"  # comes in its own time, as a device does
    found = [Camera(0, "Front Camera", graph), Camera(4, "Desk", graph), Camera(5, "Desk", graph)]
    monkeypatch.setattr(cameras, "list_cameras", lambda: found)
    monkeypatch.setattr(cameras, "capture_format", lambda: "lavfi")


@pytest.mark.parametrize("name", ["0", "Front Camera", "front"])
def test_a_camera_by_number_or_name(name: str, a_camera: None, log: Log) -> None:
    with open_live(name, size=(48, 64), frame_rate=Fraction(50), log=log) as source:
        assert len(list(islice(source, 5))) == 5
    assert log.lines == ["camera 0 (Front Camera): 64x48 at 50 fps"]


def test_another_mode_than_requested_is_reported(a_camera: None, log: Log) -> None:
    with open_live("0", size=(720, 1280), frame_rate=Fraction(60), log=log) as source:
        assert source.size == (48, 64)
    (line,) = log.lines
    assert line.endswith("requested 1280x720 at 60 fps, got 64x48 at 50 fps")


def test_frames_of_a_device_are_stamped_when_they_come(a_camera: None) -> None:
    with open_live("0") as source:
        frames = list(islice(source, 20))
    assert_increasing(frames)
    # The first few are those that opening looked at; the others come every 20 ms.
    assert frames[-1].pts - frames[0].pts > 10 * 20_000


def test_a_camera_plugged_in_again_is_found_at_its_new_device(
    log: Log, monkeypatch: pytest.MonkeyPatch
) -> None:
    devices = ["testsrc2=size=64x48:rate=50:duration=0.2", "testsrc2=size=64x48:rate=25,realtime"]
    found = [Camera(0, "Front Camera", devices[0])]
    monkeypatch.setattr(cameras, "list_cameras", lambda: found)
    monkeypatch.setattr(cameras, "capture_format", lambda: "lavfi")
    asked = {"size": (48, 64), "frame_rate": Fraction(50)}
    with open_live("0", **asked, timing=NO_PAUSES, log=log) as source:
        found[:] = [Camera(1, "Front Camera", devices[1]), Camera(2, "Desk", devices[0])]
        assert len(list(islice(source, 15))) == 15  # ten of the first
    assert log.matching("stream ended; trying again") and log.matching("back, .* at 25 fps")


def test_another_camera_in_its_place_is_not_taken_for_it(
    log: Log, monkeypatch: pytest.MonkeyPatch
) -> None:
    device = "testsrc2=size=64x48:rate=50:duration=0.2"
    found = [Camera(0, "Front Camera", device)]
    monkeypatch.setattr(cameras, "list_cameras", lambda: found)
    monkeypatch.setattr(cameras, "capture_format", lambda: "lavfi")
    source = open_live("0", timing=Timing(pauses=(0.0, 3600.0)), log=log)
    found[:] = [Camera(0, "Desk", device)]
    with Latest(source):
        log.wait_for(r"it is not plugged in; cameras: 0 \(Desk\); trying again in 3600 s")


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("7", r"no camera 7; cameras: 0 \(Front Camera\), 4 \(Desk\), 5 \(Desk\)"),
        ("desk", r"'desk' is ambiguous; .*give a number"),
        ("rear", r"'rear' is not a camera, address or file; cameras: 0 \(Front"),
    ],
)
def test_an_unknown_name_lists_the_cameras(name: str, message: str, a_camera: None) -> None:
    with pytest.raises(SourceError, match=message):
        open_live(name)


def test_the_next_set_of_options_is_tried() -> None:
    sets = [{"probesize": "a lot"}, {}]
    with closing(open_device("testsrc2=size=64x48", "lavfi", sets, "camera")) as container:
        assert container.streams.video[0].width == 64


def test_every_refusal_is_reported() -> None:
    sets = [{"probesize": "a lot"}, {"probesize": "-1"}]
    with pytest.raises(SourceError, match=r"^camera: .*; is it a camera\? try another size"):
        open_device("testsrc2=size=64x48", "lavfi", sets, "camera")


def test_a_missing_camera_is_reported_at_once() -> None:
    with pytest.raises(SourceError, match="camera 9: it is not plugged in"):
        open_device("/dev/video-none", cameras.capture_format(), [{}, {}], "camera 9")


@pytest.mark.parametrize(
    ("size", "rate", "first"), [((720, 1280), 30, "mjpeg"), ((480, 640), 30, None)]
)
def test_jpeg_is_asked_for_where_raw_does_not_fit(
    size: tuple[int, int], rate: int, first: str | None
) -> None:
    sets = option_sets("v4l2", size, Fraction(rate))
    assert sets[0].get("input_format") == first
    assert {options.get("input_format") for options in sets[:2]} == {"mjpeg", None}
    assert sets[-1] == {}
    assert sets[0]["video_size"] == f"{size[1]}x{size[0]}" and sets[0]["framerate"] == "30"


def test_every_system_ends_by_asking_for_nothing() -> None:
    for format in ("v4l2", "avfoundation", "dshow"):
        sets = option_sets(format, (720, 1280), Fraction(30000, 1001))
        assert sets[0]["framerate"] == "30000/1001"
        assert not set(sets[-1]) & {"video_size", "framerate", "input_format", "pixel_format"}


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_who_holds_a_device_is_found(tmp_path: Path) -> None:
    device = tmp_path / "video0"
    device.touch()
    with device.open() as held:
        holder = subprocess.Popen(
            [sys.executable, "-c", "input()"], stdin=subprocess.PIPE, pass_fds=[held.fileno()]
        )
    try:
        assert any(f"({holder.pid})" in user for user in cameras._users_of(str(device)))
    finally:
        holder.communicate(b"\n")


def test_the_list_of_cameras_is_a_list_anywhere() -> None:
    found = list_cameras()
    assert all(isinstance(camera, Camera) for camera in found)
    if sys.platform == "linux" and not any(Path("/dev").glob("video*")):
        assert found == []


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("rstp://camera/1", "did you mean .*rtsp://"),
        ("quux://camera/1", "supported: rtsp, "),
        ("file:///etc/hosts", "cannot read from file:// addresses"),
        ("missing.mp4", "missing.mp4 does not exist; check the name"),
        ("", "got an empty name"),
        ("no such camera", "'no such camera' is not a camera, address or file"),
        ("lavfi:no_such_filter", "Filter not found"),
        ("lavfi:testsrc2; rm -rf /", "expected a filter graph"),
    ],
)
def test_unknown_names(name: str, message: str) -> None:
    with pytest.raises(SourceError, match=message) as raised:
        open_live(name)
    assert "\n" not in str(raised.value)


def test_a_password_is_not_shown() -> None:
    with pytest.raises(SourceError, match="connection refused") as raised:
        open_live(f"http://me:secret@127.0.0.1:{free_port()}/live?key=secret")
    assert "secret" not in str(raised.value) and "me" not in str(raised.value).split("/")[2]


def test_a_file_that_is_no_video(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="not a media file"):
        open_live(str(text_file(tmp_path / "letter.mp4")), loop=True)


def test_an_address_that_sends_nothing() -> None:
    with pytest.raises(SourceError, match="no data within 0.2 s; is it on, and sending?"):
        open_live(f"udp://127.0.0.1:{free_port()}", timing=Timing(open=0.2))


def test_what_is_no_size_is_refused() -> None:
    with pytest.raises(SourceError, match="expected a size and a rate"):
        open_live("test", size=(0, 640))
    with pytest.raises(SourceError, match="expected a size and a rate"):
        open_live("test", frame_rate=Fraction(0))


@pytest.mark.skipif(not os.environ.get("IMPASTO_CAMERA"), reason="IMPASTO_CAMERA names no camera")
def test_a_real_camera(log: Log) -> None:
    with open_live(os.environ["IMPASTO_CAMERA"], log=log) as source:
        frames = list(islice(source, 60))
    assert_increasing(frames)
    assert source.measured_fps
