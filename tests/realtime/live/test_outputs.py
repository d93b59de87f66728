"""Outputs beside the window: true times, names, sound, streams; and that none holds it up."""

import io
import shutil
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from impasto.models.errors import SinkError, SourceError
from impasto.realtime.frame import Frame
from impasto.realtime.live import microphone as microphones
from impasto.realtime.live.microphone import Microphone
from impasto.realtime.live.recorder import Recorder
from impasto.realtime.live.snapshots import Snapshots, save_snapshot
from impasto.realtime.live.stream_out import StreamOut
from impasto.realtime.live.virtual_camera import VirtualCamera
from impasto.realtime.threads import DroppingSink
from tests.media import SIZE, number_of, numbered_picture

MICROSECOND = Fraction(1, 1_000_000)
LIMIT = 30  # seconds: generous, for what is waited for
# As a camera at 30 fps gives them where frames are dropped and one comes late.
UNEVEN = [5_000_017, 5_033_351, 5_166_702, 5_200_000, 5_733_402, 5_766_600, 6_000_017]


def frame_at(pts: int, number: int = 0, size: tuple[int, int] = SIZE) -> Frame:
    return Frame(numbered_picture(number, size), pts, MICROSECOND)


def frames_at(times: list[int], size: tuple[int, int] = SIZE) -> list[Frame]:
    return [frame_at(pts, number, size) for number, pts in enumerate(times)]


def every(seconds: Fraction, count: int) -> list[int]:
    return [round(n * seconds / MICROSECOND) for n in range(count)]


def read(path: Path | io.BytesIO, form: str | None = None) -> tuple[list[int], list[Fraction]]:
    """The numbers of the pictures, and their times in seconds."""
    source = path if isinstance(path, io.BytesIO) else str(path)
    with av.open(source, format=form) as container:
        frames = list(container.decode(video=0))
        times = [(f.pts or 0) * (f.time_base or Fraction(1)) for f in frames]
    return [number_of(frame.to_ndarray(format="rgb24")) for frame in frames], times


def video_seconds(path: Path) -> Fraction:
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        assert stream.duration is not None and stream.time_base is not None
        return stream.duration * stream.time_base


def wait_until(condition: Callable[[], bool]) -> None:
    """Look again and again, for what tells nobody that it happened."""
    ends, tick = time.monotonic() + LIMIT, threading.Event()
    while not condition():
        assert time.monotonic() < ends, "waited in vain"
        tick.wait(0.005)


@pytest.fixture(autouse=True)
def no_thread_is_left() -> Iterator[None]:
    before = set(threading.enumerate())
    yield
    assert set(threading.enumerate()) <= before


@contextmanager
def small_disk(folder: Path, size: str) -> Iterator[Path]:
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(folder)]
    try:
        subprocess.run(mount, check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError) as error:
        pytest.skip(f"needs leave to mount a small file system: {error}")
    try:
        yield folder
    finally:
        subprocess.run(["umount", str(folder)], check=True)


def noise(count: int) -> Iterator[Frame]:
    """Frames that make large files."""
    random = np.random.default_rng(0)
    for n in range(count):
        yield Frame(random.integers(0, 256, (144, 192, 3), np.uint8), n * 33_333, MICROSECOND)


class TestRecorder:
    def test_plays_at_the_true_speed(self, tmp_path: Path) -> None:
        with Recorder(tmp_path / "out.mp4", frame_rate=Fraction(30)) as recorder:
            for frame in frames_at(UNEVEN):
                recorder.write(frame)
        numbers, times = read(tmp_path / "out.mp4")
        assert numbers == list(range(7))
        assert times == [(pts - UNEVEN[0]) * MICROSECOND for pts in UNEVEN]
        # One microsecond: the last frame's thirtieth of a second is rounded to them.
        assert abs(video_seconds(tmp_path / "out.mp4") - (1 + Fraction(1, 30))) <= MICROSECOND

    @pytest.mark.parametrize("ext", [".mkv", ".webm", ".mov"])
    def test_other_kinds_of_file(self, ext: str, tmp_path: Path) -> None:
        with Recorder(tmp_path / f"out{ext}") as recorder:
            for frame in frames_at(UNEVEN):
                recorder.write(frame)
        numbers, times = read(tmp_path / f"out{ext}")
        assert numbers == list(range(7))
        for got, pts in zip(times, UNEVEN, strict=True):  # Matroska counts milliseconds
            assert abs(got - (pts - UNEVEN[0]) * MICROSECOND) <= Fraction(1, 1000)

    def test_each_pause_ends_a_file(self, tmp_path: Path) -> None:
        said: list[str] = []
        (tmp_path / "out-3.mp4").write_text("mine")
        with Recorder(tmp_path / "out.mp4", say=said.append) as recorder:
            for first in (0, 3, 6):
                for n in range(first, first + 3):
                    recorder.write(frame_at(n * 40_000, n))
                recorder.pause()
                recorder.pause()
        names = ["out.mp4", "out-2.mp4", "out-4.mp4"]
        assert [path.name for path in recorder.paths] == names
        for first, name in zip((0, 3, 6), names, strict=True):
            numbers, times = read(tmp_path / name)
            assert numbers == [first, first + 1, first + 2]
            assert times == [0, Fraction(4, 100), Fraction(8, 100)]
        assert (tmp_path / "out-3.mp4").read_text() == "mine"
        assert said[:2] == [f"recording {tmp_path}/out.mp4", f"{tmp_path}/out.mp4: 0.1 s, 3 frames"]

    def test_another_size_begins_the_next_file(self, tmp_path: Path) -> None:
        said: list[str] = []
        with Recorder(tmp_path / "out.mp4", say=said.append) as recorder:
            recorder.write(frame_at(0, 1))
            recorder.write(frame_at(33_333, 2))
            recorder.write(frame_at(66_666, 3, (64, 96)))
        assert read(tmp_path / "out.mp4")[0] == [1, 2]
        assert read(tmp_path / "out-2.mp4")[0] == [3]
        assert "out.mp4 ends: the picture is now 96x64" in said

    def test_odd_sizes_are_kept(self, tmp_path: Path) -> None:
        said: list[str] = []
        with Recorder(tmp_path / "out.mp4", say=said.append) as recorder:
            recorder.write(frame_at(0, 9, (49, 67)))
        with av.open(str(tmp_path / "out.mp4")) as container:
            stream = container.streams.video[0]
            assert (stream.height, stream.width) == (49, 67)
        assert any("odd size" in line for line in said)

    def test_nothing_has_the_name_before_it_is_complete(self, tmp_path: Path) -> None:
        with Recorder(tmp_path / "out.mp4") as recorder:
            recorder.write(frame_at(0))
            recorder.write(frame_at(33_333))
            assert [path.name for path in tmp_path.iterdir()] == ["out.partial.mp4"]
        assert [path.name for path in tmp_path.iterdir()] == ["out.mp4"]

    @pytest.mark.parametrize("error", [KeyboardInterrupt, RuntimeError])
    def test_is_complete_whatever_ended_it(
        self, error: type[BaseException], tmp_path: Path
    ) -> None:
        with pytest.raises(error), Recorder(tmp_path / "out.mp4") as recorder:
            for frame in frames_at(UNEVEN):
                recorder.write(frame)
            raise error
        assert read(tmp_path / "out.mp4")[0] == list(range(7))
        assert len(list(tmp_path.iterdir())) == 1

    def test_without_a_frame_there_is_no_file(self, tmp_path: Path) -> None:
        with Recorder(tmp_path / "out.mp4") as recorder:
            recorder.pause()
        assert list(tmp_path.iterdir()) == []

    def test_existing_file_is_refused_at_once_unless_asked(self, tmp_path: Path) -> None:
        path = tmp_path / "out.mp4"
        path.write_text("mine")
        (tmp_path / "out-2.mp4").write_text("mine too")
        with pytest.raises(SinkError, match="exists"):
            Recorder(path)
        assert path.read_text() == "mine"
        with Recorder(path, overwrite=True) as recorder:
            recorder.write(frame_at(0, 5))
            recorder.pause()
            recorder.write(frame_at(1, 6))
        assert read(path)[0] == [5]
        assert (tmp_path / "out-2.mp4").read_text() == "mine too"
        assert read(tmp_path / "out-3.mp4")[0] == [6]

    @pytest.mark.parametrize("name", ["out.mp5", "not/out.mp4"])
    def test_what_cannot_be_written_is_said_at_once(self, name: str, tmp_path: Path) -> None:
        with pytest.raises(SinkError):
            Recorder(tmp_path / name)

    def test_is_complete_before_the_disk_is_full(self, tmp_path: Path) -> None:
        with (
            small_disk(tmp_path / "disk", "2m") as disk,
            Recorder(disk / "out.mp4", reserve_bytes=1 << 20) as recorder,
        ):
            count = 0
            with pytest.raises(SinkError, match=r"less than 1 MiB .* \(out.mp4 is complete\)"):
                for frame in noise(2000):
                    recorder.write(frame)
                    count += 1
            assert len(read(disk / "out.mp4")[0]) == count > 1


class Slow:
    """A sink that goes on only when it is let."""

    def __init__(self) -> None:
        self.frames: list[Frame] = []
        self.begun, self.go_on = threading.Event(), threading.Event()
        self.closed = False

    def write(self, frame: Frame) -> None:
        self.begun.set()
        assert self.go_on.wait(LIMIT)
        self.frames.append(frame)

    def close(self) -> None:
        self.closed = True


class Failing:
    """A sink that fails for as long as it is broken."""

    def __init__(self, error: Exception) -> None:
        self.error: Exception | None = error
        self.count = 0
        self.pauses = 0

    def write(self, frame: Frame) -> None:
        if self.error is not None:
            raise self.error
        self.count += 1

    def pause(self) -> None:
        self.pauses += 1

    def close(self) -> None:
        """Nothing to close."""


class TestBestEffort:
    def test_a_sink_that_blocks_drops_the_oldest_and_holds_nobody_up(self) -> None:
        slow, said, now = Slow(), [], [100.0]
        with DroppingSink(slow, "stream", said.append, clock=lambda: now[0]) as out:
            out.write(frame_at(0))
            assert slow.begun.wait(LIMIT)
            for pts in range(1, 101):
                out.write(frame_at(pts))  # that it returns at all is the test: the sink does not
            assert out.dropped == 98
            assert said == ["stream: too slow, 1 frame dropped (1 in all)"]
            now[0] += 2
            out.write(frame_at(101))
            assert said[1:] == ["stream: too slow, 98 frames dropped (99 in all)"]
            out.write(frame_at(102))
            slow.go_on.set()
        assert [frame.pts for frame in slow.frames] == [0, 101, 102]
        assert (out.written, out.dropped, slow.closed) == (3, 100, True)
        assert said[2:] == ["stream: too slow, 1 frame dropped (100 in all)"]

    def test_the_others_go_on(self, tmp_path: Path) -> None:
        slow, said = Slow(), []
        broken = Failing(SinkError("nobody listens"))
        with (
            DroppingSink(slow, "slow", said.append) as first,
            DroppingSink(broken, "broken", said.append) as second,
            DroppingSink(Recorder(tmp_path / "out.mp4"), "recording", said.append) as third,
        ):
            for n, frame in enumerate(frames_at(UNEVEN)):
                for out in (first, second, third):
                    out.write(frame)
                wait_until(lambda n=n: third.written == n + 1)  # type: ignore[misc]
            slow.go_on.set()
        assert read(tmp_path / "out.mp4")[0] == list(range(7))

    def test_closing_is_bounded(self) -> None:
        slow, said = Slow(), []
        out = DroppingSink(slow, "stream", said.append, close_seconds=0.01)
        out.write(frame_at(0))
        assert slow.begun.wait(LIMIT)
        out.close()
        out.close()
        out.write(frame_at(1))
        assert said == ["stream: did not end within 0.01 s, left unfinished"]
        slow.go_on.set()
        wait_until(lambda: slow.closed)
        assert len(slow.frames) == 1

    @pytest.mark.parametrize(
        ("error", "line"),
        [
            (SinkError("nobody listens"), "stream: nobody listens; going on without it"),
            (KeyError("x"), "stream: KeyError: 'x'; going on without it"),
        ],
    )
    def test_a_failure_is_said_once_and_a_pause_tries_again(
        self, error: Exception, line: str
    ) -> None:
        said: list[str] = []
        sink = Failing(error)
        with DroppingSink(sink, "stream", said.append) as out:
            out.write(frame_at(0))
            wait_until(lambda: out.error is not None)
            for pts in range(1, 20):
                out.write(frame_at(pts))
            assert (said, out.dropped, out.written) == ([line], 0, 0)
            sink.error = None
            out.pause()
            wait_until(lambda: out.error is None)
            out.write(frame_at(20))
        assert (sink.count, sink.pauses, out.written, said) == (1, 1, 1, [line])

    def test_recording_is_stopped_and_started(self, tmp_path: Path) -> None:
        said: list[str] = []
        with DroppingSink(Recorder(tmp_path / "out.mp4"), "recording", said.append) as out:
            for n in range(6):
                out.write(frame_at(n * 40_000, n))
                if n % 2:
                    out.pause()
                wait_until(lambda n=n: out.written == n + 1)  # type: ignore[misc]
        for number, name in enumerate(("out.mp4", "out-2.mp4", "out-3.mp4")):
            assert read(tmp_path / name)[0] == [2 * number, 2 * number + 1]
        assert said == []

    def test_a_full_disk_is_said_and_not_raised(self, tmp_path: Path) -> None:
        said: list[str] = []
        with small_disk(tmp_path / "disk", "64k") as disk:
            recorder = Recorder(disk / "out.mp4", reserve_bytes=0)
            with DroppingSink(recorder, "recording", said.append, depth=1000) as out:
                for frame in noise(100):
                    out.write(frame)
            (line,) = said
            assert "the disk is full" in line and list(disk.iterdir()) == []

    def test_a_lost_folder_is_said_and_not_raised(self, tmp_path: Path) -> None:
        said: list[str] = []
        folder = tmp_path / "stick"
        folder.mkdir()
        with DroppingSink(Recorder(folder / "out.mp4"), "recording", said.append) as out:
            out.write(frame_at(0))
            wait_until(lambda: out.written == 1)
            shutil.rmtree(folder)
            out.write(frame_at(33_333))
            wait_until(lambda: out.error is not None)
        assert said[0].startswith(f"recording: cannot write to {folder}: ")
        assert all(line.startswith("recording: ") for line in said)


class Receiver:
    """Takes one connection after another, and keeps what each of them sends."""

    def __init__(self) -> None:
        self._server = socket.create_server(("127.0.0.1", 0))
        self._connection: socket.socket | None = None
        self.received: list[io.BytesIO] = []
        self.url = f"tcp://127.0.0.1:{self._server.getsockname()[1]}"
        self._thread = threading.Thread(target=self._work)
        self._thread.start()

    def _work(self) -> None:
        with suppress(OSError):  # closed
            while True:
                self._connection, _ = self._server.accept()
                self.received.append(io.BytesIO())
                with self._connection, suppress(ConnectionResetError):  # when hanging up
                    while data := self._connection.recv(65536):
                        self.received[-1].write(data)

    def hang_up(self) -> None:
        wait_until(lambda: bool(self.received and self.received[-1].tell()))
        assert self._connection is not None
        with suppress(OSError):
            self._connection.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        # Closing alone does not wake a thread that accepts.
        with suppress(OSError):
            self._server.shutdown(socket.SHUT_RDWR)
        self._server.close()
        self._thread.join(LIMIT)


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    made = Receiver()
    yield made
    made.close()


def received(url: str, want: int, options: dict[str, str], send: Callable[[int], None]) -> None:
    """Have FFmpeg receive from `url` until it has `want` pictures, while `send` sends them."""
    numbers: list[int] = []
    errors: list[Exception] = []

    def receive() -> None:
        try:
            with av.open(url, options=options, timeout=LIMIT) as container:
                for frame in container.decode(video=0):
                    numbers.append(number_of(frame.to_ndarray(format="rgb24")))
                    if len(numbers) == want:
                        return
        except av.FFmpegError as error:
            errors.append(error)

    thread = threading.Thread(target=receive)
    thread.start()
    sent, tick, ends = 0, threading.Event(), time.monotonic() + LIMIT
    while thread.is_alive() and time.monotonic() < ends:
        send(sent)
        sent += 1
        tick.wait(0.005)
    thread.join(LIMIT)
    assert not errors and len(numbers) == want
    assert numbers == [(numbers[0] + n) % 256 for n in range(want)]


def free_port(kind: int) -> int:
    with socket.socket(socket.AF_INET, kind) as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class TestStreamOut:
    def test_udp_is_received(self) -> None:
        url = f"udp://127.0.0.1:{free_port(socket.SOCK_DGRAM)}"
        with StreamOut(url) as out:

            def send(n: int) -> None:
                out.write(frame_at(n * 100_000, n % 256))

            received(url, 20, {"probesize": "30000"}, send)

    def test_rtmp_is_received(self) -> None:
        url = f"rtmp://127.0.0.1:{free_port(socket.SOCK_STREAM)}/live/secret"
        # A clock that runs ahead, for the pauses until the receiver listens.
        with StreamOut(url, clock=lambda: 100 * time.monotonic()) as out:

            def send(n: int) -> None:
                out.write(frame_at(n * 33_333, n % 256))

            received(url, 10, {"listen": "1", "probesize": "30000"}, send)

    def test_times_order_and_key_frames(self, receiver: Receiver) -> None:
        # 8 fps, then 4: every other frame is dropped.
        times = every(Fraction(1, 8), 24) + [3_000_000 + t for t in every(Fraction(1, 4), 12)]
        said: list[str] = []
        with StreamOut(receiver.url, say=said.append) as out:
            for n, pts in enumerate(times):
                out.write(frame_at(pts, n))
        assert said == [f"streaming to {receiver.url}: 64x48, 0.0 Mbit/s"]
        receiver.close()
        (data,) = receiver.received
        data.seek(0)
        with av.open(data, format="mpegts") as container:
            packets = [p for p in container.demux(video=0) if p.size]
            zero = packets[0].pts or 0
            assert [p.pts for p in packets] == [p.dts for p in packets]  # no B-frames
            keys = [((p.pts or 0) - zero) / 90_000 for p in packets if p.is_keyframe]
        assert keys == [0, 2, 4]
        data.seek(0)
        numbers, got = read(data, "mpegts")
        assert numbers == list(range(36))
        for at, pts in zip(got, times, strict=True):  # MPEG-TS counts by 90 kHz
            assert abs(at - got[0] - pts * MICROSECOND) <= Fraction(1, 90_000)

    def test_each_frame_is_sent_when_it_comes(self, receiver: Receiver) -> None:
        with StreamOut(receiver.url) as out:
            sent = 0
            for n in range(5):
                out.write(frame_at(n * 33_333, n))
                wait_until(lambda sent=sent: sum(d.tell() for d in receiver.received) > sent)  # type: ignore[misc]
                sent = receiver.received[-1].tell()

    def test_odd_and_changing_sizes(self, receiver: Receiver) -> None:
        with StreamOut(receiver.url) as out:
            out.write(frame_at(0, 1, (49, 67)))
            out.write(frame_at(33_333, 2, (48, 66)))
            out.write(frame_at(66_666, 3, (64, 96)))
        wait_until(lambda: len(receiver.received) == 2)
        receiver.close()
        for data, numbers in zip(receiver.received, ([1, 2], [3]), strict=True):
            data.seek(0)
            assert read(data, "mpegts")[0] == numbers

    def test_a_receiver_that_was_lost_is_tried_again(self, receiver: Receiver) -> None:
        said: list[str] = []
        now = [0.0]
        with StreamOut(receiver.url, say=said.append, clock=lambda: now[0]) as out:
            sent = 0

            def send() -> int:
                nonlocal sent
                out.write(frame_at(sent * 33_333, sent % 256))
                sent += 1
                return len(said)

            send()
            receiver.hang_up()
            now[0] += 60
            wait_until(lambda: send() == 2)  # some packets are still taken
            assert said[1].startswith(f"{receiver.url} cannot be reached (")
            assert said[1].endswith("trying again in 1 s")
            for _ in range(10):
                assert send() == 2
            now[0] += 1
            assert send() == 3 and said[2] == said[0]
            wait_until(lambda: len(receiver.received) == 2)

    def test_pauses_grow(self) -> None:
        port = free_port(socket.SOCK_STREAM)
        said: list[str] = []
        now = [0.0]
        url = f"rtmp://me:word@127.0.0.1:{port}/live/secret"
        with StreamOut(url, say=said.append, clock=lambda: now[0]) as out:
            for sent, pause in enumerate((1, 2, 4, 8, 16, 30, 30)):

                def send(sent: int = sent) -> int:
                    out.write(frame_at(sent * 33_333 + len(said)))
                    return len(said)

                wait_until(lambda sent=sent, send=send: send() == 2 * sent + 2)  # type: ignore[misc]
                assert said[-1] == (
                    f"rtmp://127.0.0.1:{port} cannot be reached (Connection refused): "
                    f"trying again in {pause} s"
                )
                now[0] += pause - 0.5
                assert send() == 2 * sent + 2
                now[0] += 0.5

    def test_a_receiver_that_does_not_answer_stops_nobody(self) -> None:
        """The operating system takes the connection, and then nothing answers."""
        with socket.create_server(("127.0.0.1", 0)) as server:
            out = StreamOut(f"rtmp://127.0.0.1:{server.getsockname()[1]}/live/secret")
            out.write(frame_at(0))  # returns: the lock is not held while it connects
            connection, _ = server.accept()
            connection.close()
            out.close()

    @pytest.mark.parametrize("url", ["", "out.mp4", "http://a/b", "udp://", "udp://[::1"])
    def test_no_address(self, url: str) -> None:
        with pytest.raises(SinkError, match=r"expected one of udp://HOST"):
            StreamOut(url)

    def test_srt_is_there_or_said_to_be_missing(self) -> None:
        try:
            StreamOut("srt://127.0.0.1:9000")
        except SinkError as error:
            assert "libsrt" in str(error)


class TestVirtualCamera:
    def test_missing_package(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setitem(sys.modules, "pyvirtualcam", None)
        with pytest.raises(SinkError, match=r"pip install 'impasto\[virtual-camera\]'"):
            VirtualCamera()

    def test_shows_frames_or_says_what_is_missing(self) -> None:
        pytest.importorskip("pyvirtualcam", reason="the extra virtual-camera is not installed")
        try:
            camera = VirtualCamera(size=(480, 640))
        except SinkError as error:
            assert "no virtual camera (" in str(error) and "\n" not in str(error)
            assert ("v4l2loopback" in str(error)) == (sys.platform == "linux")
            return
        with camera:
            camera.write(frame_at(0, 1, (480, 640)))
            camera.write(frame_at(0, 1, (481, 641)))


def heard(path: Path | io.BytesIO, form: str | None = None) -> tuple[np.ndarray, int, Fraction]:
    """The sound of a file: samples in [-1, 1], their rate, the first one's time in seconds."""
    source = path if isinstance(path, io.BytesIO) else str(path)
    with av.open(source, format=form) as container:
        stream = container.streams.audio[0]
        pieces = list(container.decode(stream))
        first = (pieces[0].pts or 0) * (pieces[0].time_base or Fraction(1))
        resampler = av.AudioResampler(format="flt", layout="mono")
        samples = [r.to_ndarray()[0] for p in pieces for r in resampler.resample(p)]
        return np.concatenate(samples), stream.rate, first


def beeps(samples: np.ndarray, rate: int) -> np.ndarray:
    """When each begins, in seconds from the first sample."""
    loud = np.flatnonzero(np.abs(samples) > 0.3) / rate
    return loud[np.flatnonzero(np.diff(loud, prepend=-1) > 0.1)]


class TestMicrophone:
    """A generator that keeps to real time stands for the microphone; all else is the same."""

    BEEPS = "aevalsrc='sin(2000*PI*t)*between(mod(t,0.5),0.2,0.3)':s=44100,arealtime"

    def record(self, microphone: Microphone, path: Path, seconds: float, zero: float) -> list[str]:
        said: list[str] = []
        with Recorder(path, microphone=microphone, epoch=zero - 3, say=said.append) as recorder:
            for pts in every(Fraction(1, 30), round(30 * seconds)):
                recorder.write(frame_at(3_000_000 + pts))
        return said

    @pytest.mark.parametrize("ext", [".mp4", ".mkv", ".webm"])
    def test_sound_is_as_long_as_the_picture(self, ext: str, tmp_path: Path) -> None:
        path = tmp_path / f"out{ext}"
        with Microphone("sine=frequency=440,arealtime", form="lavfi") as microphone:
            self.record(microphone, path, 0.5, time.monotonic())
        samples, rate, first = heard(path)
        assert first == 0 and abs(len(samples) / rate - 0.5) < 0.05
        assert len(read(path)[0]) == 15
        assert np.abs(samples[rate // 20 : 9 * rate // 20]).max() > 0.05  # ffmpeg's sine is at 1/8

    def test_sound_and_picture_stay_together(self, tmp_path: Path) -> None:
        path = tmp_path / "out.mp4"
        with Microphone(self.BEEPS, form="lavfi") as microphone:
            assert microphone.wait_until(time.monotonic(), LIMIT)
            (first, *_), _ = microphone.heard()
            # The picture begins a tenth of a second after the first sample.
            self.record(microphone, path, 0.8, first.time + 0.1)
        samples, rate, zero = heard(path)
        assert zero == 0
        starts = beeps(samples, rate)
        # 0.05 s: the generator gives portions of 23 ms, stamped by when the promptest of them came,
        # and a busy machine delays those. Measured: 2 ms.
        assert np.abs(starts - [0.1, 0.6]).max() < 0.05
        assert abs(len(samples) / rate - 0.8) < 0.05

    def test_several_recordings(self, tmp_path: Path) -> None:
        with (
            Microphone("sine,arealtime", form="lavfi") as microphone,
            Recorder(tmp_path / "out.mp4", microphone=microphone, epoch=time.monotonic()) as out,
        ):
            for begin in (0, 400_000):
                for pts in every(Fraction(1, 30), 6):
                    out.write(frame_at(begin + pts))
                out.pause()
        for name in ("out.mp4", "out-2.mp4"):
            samples, rate, zero = heard(tmp_path / name)
            assert zero == 0 and abs(len(samples) / rate - 0.2) < 0.05

    def test_a_stream_and_a_recording_hear_the_same(
        self, receiver: Receiver, tmp_path: Path
    ) -> None:
        with Microphone(self.BEEPS, form="lavfi") as microphone:
            assert microphone.wait_until(time.monotonic(), LIMIT)
            (first, *_), _ = microphone.heard()
            options: Any = {"microphone": microphone, "epoch": first.time - 2.9}
            with (
                StreamOut(receiver.url, **options) as out,
                Recorder(tmp_path / "out.mp4", **options) as recorder,
            ):
                for pts in every(Fraction(1, 30), 24):
                    assert microphone.wait_until(first.time + 0.1 + pts / 1e6, LIMIT)
                    for sink in (out, recorder):
                        sink.write(frame_at(3_000_000 + pts))
        receiver.close()
        (data,) = receiver.received
        data.seek(0)
        numbers, times = read(data, "mpegts")
        data.seek(0)
        samples, rate, zero = heard(data, "mpegts")
        assert len(numbers) == 24
        # As above: the picture begins a tenth of a second after the first sample.
        starts = beeps(samples, rate) + float(zero - times[0])
        assert np.abs(starts - [0.1, 0.6]).max() < 0.05
        samples, rate, _ = heard(tmp_path / "out.mp4")
        assert np.abs(beeps(samples, rate) - [0.1, 0.6]).max() < 0.05

    def test_a_stream_that_begins_anew_has_no_silence_before_it(self, receiver: Receiver) -> None:
        now = time.monotonic()
        with (
            Microphone("sine,arealtime", form="lavfi") as microphone,
            StreamOut(receiver.url, microphone=microphone, epoch=now - 60) as out,
        ):
            assert microphone.wait_until(now, LIMIT)
            out.write(frame_at(0))
            for pts in every(Fraction(1, 30), 9):  # another size: a new stream, a minute later
                assert microphone.wait_until(now + pts / 1e6, LIMIT)
                out.write(frame_at(60_000_000 + pts, size=(64, 96)))
        wait_until(lambda: len(receiver.received) == 2)
        receiver.close()
        data = receiver.received[1]
        data.seek(0)
        samples, rate, zero = heard(data, "mpegts")
        data.seek(0)
        _, times = read(data, "mpegts")
        assert len(samples) / rate < 1 and abs(zero - times[0]) < 0.1

    def test_a_file_that_holds_no_sound(self, tmp_path: Path) -> None:
        with Microphone("sine,arealtime", form="lavfi") as microphone:
            said = self.record(microphone, tmp_path / "out.gif", 0.2, time.monotonic())
        assert any("no sound" in line for line in said)
        assert len(read(tmp_path / "out.gif")[0]) == 6

    def test_a_microphone_that_is_lost(self, tmp_path: Path) -> None:
        said: list[str] = []
        sine = "sine=duration=0.1,arealtime"
        with Microphone(sine, form="lavfi", say=said.append) as microphone:
            zero = time.monotonic()
            wait_until(lambda: bool(said))
            self.record(microphone, tmp_path / "out.mp4", 0.5, zero)
        assert said == [f"the microphone {sine} was lost (it ended): going on without sound"]
        assert len(read(tmp_path / "out.mp4")[0]) == 15

    def test_none_there(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.delenv("XDG_RUNTIME_DIR", raising=False)
        if sys.platform != "linux" or microphones._has_sound():
            pytest.skip("this machine may have a microphone")
        with pytest.raises(SourceError, match="no microphone .*no sound device.*connect one"):
            Microphone()

    @pytest.mark.parametrize(
        ("name", "form"), [("nonsense", "lavfi"), ("testsrc", "lavfi"), ("x", "no_such_format")]
    )
    def test_what_is_no_microphone(self, name: str, form: str) -> None:
        with pytest.raises(SourceError, match=f"no microphone .{form} {name}: ") as caught:
            Microphone(name, form=form)
        assert "\n" not in str(caught.value)


class TestSnapshots:
    def test_none_is_overwritten(self, tmp_path: Path) -> None:
        paths = [save_snapshot(numbered_picture(n), tmp_path) for n in range(3)]
        assert len(set(paths)) == 3
        for n, path in enumerate(paths):
            assert path.name.startswith("impasto-2") and path.suffix == ".png"
            with av.open(str(path)) as container:
                got = next(container.decode(video=0)).to_ndarray(format="rgb24")
            assert np.array_equal(got, numbered_picture(n))
        assert len(list(tmp_path.iterdir())) == 3

    def test_are_saved_beside_the_window(self, tmp_path: Path) -> None:
        said: list[str] = []
        snapshots: Any = Snapshots(tmp_path, say=said.append)
        with DroppingSink(snapshots, "snapshot", said.append) as out:
            out.write(frame_at(0))
        (path,) = tmp_path.iterdir()
        assert said == [f"saved {path}"]

    def test_a_folder_that_is_not_there(self, tmp_path: Path) -> None:
        with pytest.raises(SinkError, match="no folder"):
            save_snapshot(numbered_picture(0), tmp_path / "none")
