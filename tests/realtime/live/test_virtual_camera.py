"""The virtual camera: sizes, failures, and what is missing; with a stand-in for the driver."""

import sys
from types import SimpleNamespace

import numpy as np
import pytest

from impasto.models.errors import SinkError
from impasto.realtime.live.virtual_camera import VirtualCamera
from tests.realtime.live.outputs import frame_at


class Driver:
    """What pyvirtualcam offers: cameras that keep what they are sent."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.cameras: list[SimpleNamespace] = []
        self.error: Exception | None = None
        monkeypatch.setitem(sys.modules, "pyvirtualcam", SimpleNamespace(Camera=self.open))

    def open(self, *, width: int, height: int, fps: float, device: str | None) -> SimpleNamespace:
        if self.error is not None:
            raise self.error
        camera = SimpleNamespace(size=(height, width), fps=fps, device=device or "/dev/video9")
        camera.sent, camera.closed = [], False

        def send(image: np.ndarray) -> None:
            if self.error is not None:
                raise self.error
            camera.sent.append(image)

        camera.send = send
        camera.close = lambda: setattr(camera, "closed", True)
        self.cameras.append(camera)
        return camera


@pytest.fixture
def driver(monkeypatch: pytest.MonkeyPatch) -> Driver:
    return Driver(monkeypatch)


def test_frames_are_sent_at_an_even_size(driver: Driver) -> None:
    with VirtualCamera(size=(49, 67), frame_rate=25) as camera:
        (opened,) = driver.cameras
        assert (opened.size, opened.fps, camera.device) == ((48, 66), 25, "/dev/video9")
        frame = frame_at(0, 1, (49, 67))
        camera.write(frame)
    assert np.array_equal(opened.sent[0], frame.image[:48, :66])
    assert opened.sent[0].flags.c_contiguous and opened.closed


def test_another_size_opens_it_again(driver: Driver) -> None:
    with VirtualCamera() as camera:
        assert not driver.cameras  # the first frame opens it
        for size in ((48, 64), (48, 64), (64, 96)):
            camera.write(frame_at(0, 1, size))
        first, second = driver.cameras
        assert first.closed and not second.closed
    assert [len(first.sent), len(second.sent)] == [2, 1]
    assert second.size == (64, 96) and second.closed


def test_a_lost_camera_is_an_error(driver: Driver) -> None:
    with VirtualCamera(size=(48, 64)) as camera:
        driver.error = OSError("gone")
        with pytest.raises(SinkError, match="the virtual camera /dev/video9 failed: gone"):
            camera.write(frame_at(0))


@pytest.mark.parametrize(
    ("platform", "advice"),
    [("linux", "v4l2loopback"), ("darwin", "OBS Studio 30"), ("win32", "install OBS Studio")],
)
def test_a_missing_driver(
    platform: str, advice: str, driver: Driver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "platform", platform)
    driver.error = RuntimeError("no device\n   found.")
    with pytest.raises(SinkError, match=rf"no virtual camera \(no device found\): .*{advice}"):
        VirtualCamera(size=(48, 64))


def test_a_missing_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pyvirtualcam", None)
    with pytest.raises(SinkError, match=r"pip install 'impasto\[virtual-camera\]'"):
        VirtualCamera()


def test_a_real_driver_shows_frames() -> None:
    pytest.importorskip("pyvirtualcam", reason="the extra virtual-camera is not installed")
    try:
        camera = VirtualCamera(size=(480, 640))
    except SinkError as error:
        pytest.skip(str(error))
    with camera:
        camera.write(frame_at(0, 1, (480, 640)))
        camera.write(frame_at(0, 1, (481, 641)))
