"""What every sink of frames guarantees: video files, recordings, streams, cameras, snapshots."""

import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from impasto.models.errors import SinkError
from impasto.realtime.files.images import read_image
from impasto.realtime.files.video_writer import VideoWriter
from impasto.realtime.live.recorder import Recorder
from impasto.realtime.live.snapshots import Snapshots
from impasto.realtime.live.stream_out import StreamOut
from impasto.realtime.live.virtual_camera import VirtualCamera
from impasto.realtime.threads import Background
from tests.media import decoded, frames_of, info_of, number_of
from tests.realtime.live import outputs

COUNT = 8


class _Rig:
    """One sink, and where what it has written can be seen. The factories below make them."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.folder, self._monkeypatch = folder, monkeypatch
        self.sink: Any = None
        self.numbers: Callable[[], list[int]] = lambda: []
        self.close: Callable[[], None] = lambda: None

    def virtual_camera(self) -> None:
        """No driver can be loaded for a test: pyvirtualcam is replaced."""
        sent: list[np.ndarray] = []
        camera = SimpleNamespace(device="/dev/video9", send=sent.append, close=lambda: None)
        module = SimpleNamespace(Camera=lambda **_: camera)
        self._monkeypatch.setitem(sys.modules, "pyvirtualcam", module)
        self.sink, self.numbers = VirtualCamera(), lambda: [number_of(image) for image in sent]

    def video_file(self) -> None:
        self.sink = VideoWriter(self.folder / "out.mp4", info_of())
        self.numbers = lambda: [number_of(x) for x in decoded(self.folder / "out.mp4")[0]]

    def recorder(self) -> None:
        self.sink = Recorder(self.folder / "out.mp4")
        self.numbers = lambda: [number_of(x) for x in decoded(self.folder / "out.mp4")[0]]

    def stream(self) -> None:
        receiver = outputs.Receiver()
        self.sink, self.close = StreamOut(receiver.url), receiver.close

        def numbers() -> list[int]:
            receiver.close()
            (data,) = receiver.received
            data.seek(0)
            return outputs.decoded(data, "mpegts")[0]

        self.numbers = numbers

    def snapshots(self) -> None:
        lines: list[str] = []
        self.sink = Snapshots(self.folder, log=lines.append)
        self.numbers = lambda: [number_of(read_image(x.removeprefix("saved "))) for x in lines]


@dataclass(frozen=True)
class SinkCase:
    """A kind of sink: how to make it, and how it fails."""

    name: str
    make: Callable[[_Rig], None]
    refused: Callable[[Path], Any]  # raises SinkError, on opening or at the first frame
    keeps_files: bool = False  # that are complete, when an error follows


def _snapshot_in(folder: Path) -> None:
    Snapshots(folder / "missing").write(next(frames_of(1)))


def _without_pyvirtualcam(_: Path) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(sys.modules, "pyvirtualcam", None)
        VirtualCamera()


SINKS = [
    SinkCase(
        "video-file",
        _Rig.video_file,
        lambda folder: VideoWriter(folder / "missing" / "a.mp4", info_of()),
    ),
    SinkCase(
        "recorder", _Rig.recorder, lambda folder: Recorder(folder / "missing" / "a.mp4"), True
    ),
    SinkCase("stream", _Rig.stream, lambda _: StreamOut("gopher://127.0.0.1")),
    SinkCase("virtual-camera", _Rig.virtual_camera, _without_pyvirtualcam),
    SinkCase("snapshots", _Rig.snapshots, _snapshot_in, keeps_files=True),
]


@pytest.mark.parametrize("case", SINKS, ids=lambda case: case.name)
class TestSink:
    @pytest.fixture
    def rig(
        self, case: SinkCase, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> Iterator[_Rig]:
        rig = _Rig(tmp_path, monkeypatch)
        case.make(rig)
        yield rig
        rig.close()

    def test_writes_every_frame_in_order(self, rig: _Rig) -> None:
        for frame in frames_of(COUNT):
            rig.sink.write(frame)
        rig.sink.close()
        assert rig.numbers() == list(range(COUNT))

    def test_works_from_another_thread(self, rig: _Rig) -> None:
        with Background(rig.sink, 2) as sink:
            for frame in frames_of(COUNT):
                sink.write(frame)
        rig.sink.close()
        assert rig.numbers() == list(range(COUNT))

    def test_frames_are_not_modified(self, rig: _Rig) -> None:
        frames = list(frames_of(3))
        copies = [frame.image.copy() for frame in frames]
        for frame in frames:
            rig.sink.write(frame)
        rig.sink.close()
        assert all((a.image == b).all() for a, b in zip(frames, copies, strict=True))

    def test_closing_twice(self, rig: _Rig) -> None:
        for frame in frames_of(2):
            rig.sink.write(frame)
        rig.sink.close()
        rig.sink.close()
        assert rig.numbers() == [0, 1]

    def test_a_refusal_is_a_sink_error_of_one_line(self, case: SinkCase, tmp_path: Path) -> None:
        with pytest.raises(SinkError) as caught:
            case.refused(tmp_path)
        assert "\n" not in str(caught.value)
        assert list(tmp_path.iterdir()) == []

    def test_an_error_leaves_no_incomplete_file(self, case: SinkCase, rig: _Rig) -> None:
        if not hasattr(rig.sink, "__exit__"):
            pytest.skip("it is complete after each frame")
        with pytest.raises(ZeroDivisionError), rig.sink:
            for frame in frames_of(3):
                rig.sink.write(frame)
            raise ZeroDivisionError
        assert not [path for path in rig.folder.iterdir() if "partial" in path.name]
        assert any(rig.folder.iterdir()) == case.keeps_files
