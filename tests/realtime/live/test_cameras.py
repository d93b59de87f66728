"""Live sources: filter graphs, files and network cameras through the path that cameras take."""

import os
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import closing
from fractions import Fraction
from functools import partial
from itertools import count, islice, pairwise
from pathlib import Path

import numpy as np
import pytest

from impasto.models.errors import SourceError
from impasto.realtime.frame import Frame
from impasto.realtime.live import cameras
from impasto.realtime.live.cameras import Camera, list_cameras, open_device, open_live, option_sets
from impasto.realtime.live.demo_camera import MovingPicture
from impasto.realtime.live.feeds import MediaClock, MediaFeed
from impasto.realtime.live.live_source import LiveSource, RateWatch, Timing
from impasto.realtime.threads import Latest
from tests.media import make_clip, number_of, text_file
from tests.senders import HttpCamera, RtspCamera, free_port, jpeg, numbered_jpegs, udp_sender

PATIENCE = 30  # seconds to wait for what should take none


class Said:
    """The lines that a source said; a test can wait for one."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self._changed = threading.Condition()

    def __call__(self, line: str) -> None:
        with self._changed:
            self.lines.append(line)
            self._changed.notify_all()

    def await_line(self, pattern: str, times: int = 1) -> None:
        with self._changed:
            came = self._changed.wait_for(lambda: len(self.matching(pattern)) >= times, PATIENCE)
        assert came, f"nothing like {pattern!r} in {self.lines}"

    def matching(self, pattern: str) -> list[str]:
        return [line for line in self.lines if re.search(pattern, line)]


@pytest.fixture(autouse=True)
def no_thread_is_left() -> Iterator[None]:
    """Those left behind in a read end when it does."""
    before = set(threading.enumerate())
    yield
    for thread in set(threading.enumerate()) - before:
        thread.join(PATIENCE)
        assert not thread.is_alive(), thread


@pytest.fixture
def said() -> Said:
    return Said()


NO_PAUSES = Timing(pauses=(0.0,))


def times(frames: list[Frame]) -> list[Fraction]:
    return [frame.pts * frame.time_base for frame in frames]


def assert_increasing(frames: list[Frame]) -> None:
    assert all(a.pts < b.pts for a, b in pairwise(frames))


def test_a_filter_graph_comes_at_its_pace(said: Said) -> None:
    with open_live("lavfi:testsrc2=size=320x240:rate=30", say=said) as source:
        frames = list(islice(source, 10))
    assert source.size == (240, 320) and source.frame_rate == 30
    assert all(frame.image.shape == (240, 320, 3) for frame in frames)
    assert all(frame.time_base == Fraction(1, 1_000_000) for frame in frames)
    assert source.measured_fps == pytest.approx(30, rel=1e-3)  # stamps are due times, not arrivals
    assert said.lines == ["lavfi:testsrc2=size=320x240:rate=30: 320x240 at 30 fps"]


@pytest.mark.parametrize("size", [(120, 160), (33, 47), (2, 2)])
def test_the_test_picture_has_the_size_and_rate_asked_for(size: tuple[int, int]) -> None:
    with open_live("test", size=size, frame_rate=Fraction(90)) as source:
        frames = list(islice(source, 9))
    assert source.size == size and source.frame_rate == 90
    first = times(frames)[0]
    for frame, time in zip(frames, times(frames), strict=True):
        index = (time - first) * 90
        # Of each frame the time is a whole number of ticks from the first, to a microsecond.
        assert abs(index - round(index)) < Fraction(90, 500_000)
        assert np.array_equal(frame.image, MovingPicture(size)(round(index) / 90))
    assert_increasing(frames)


def test_the_test_picture_moves_and_is_the_same_every_time() -> None:
    picture, again = MovingPicture((90, 160)), MovingPicture((90, 160))
    pictures = [picture(seconds / 10) for seconds in range(100)]
    assert all(np.array_equal(again(k / 10), image) for k, image in enumerate(pictures))
    assert all((a != b).any() for a, b in pairwise(pictures))
    assert all(image.std(axis=(0, 1)).min() > 20 for image in pictures)  # no channel is flat
    assert np.array_equal(picture(10), pictures[0])


def test_a_file_is_played_by_its_own_time_stamps(tmp_path: Path, said: Said) -> None:
    stamps = [0, 10, 25, 30, 60, 61]  # ms
    clip = make_clip(tmp_path / "c.mkv", frames=6, pts=stamps, time_base=Fraction(1, 1000))
    with open_live(str(clip), say=said) as source:
        frames = list(source)
    assert [number_of(frame.image) for frame in frames] == [0, 1, 2, 3, 4, 5]
    came = [round(1000 * (time - times(frames)[0])) for time in times(frames)]
    assert came == stamps
    assert len(said.lines) == 1  # what it is; its end is no loss


def test_a_file_goes_round_and_time_goes_on(tmp_path: Path) -> None:
    clip = make_clip(tmp_path / "c.mp4", frames=5, rate=100)
    with open_live(str(clip), loop=True) as source:
        frames = list(islice(source, 18))
    assert [number_of(frame.image) for frame in frames] == [k % 5 for k in range(18)]
    assert_increasing(frames)


def test_a_turned_file_is_upright(tmp_path: Path) -> None:
    clip = make_clip(tmp_path / "c.mp4", frames=2, rotation=90)
    with open_live(str(clip)) as source:
        (first, _) = source
    assert source.size == (64, 48) == first.image.shape[:2]


@pytest.mark.parametrize("name", ["udp:clip.mkv", "a:b:c.mkv", "-f lavfi.mkv", "%03d.mkv"])
def test_a_file_s_name_is_nothing_but_a_name(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_clip(tmp_path / "c.mkv", frames=3, rate=100).rename(tmp_path / name)
    monkeypatch.chdir(tmp_path)
    with open_live(name) as source:
        assert len(list(source)) == 3


def test_a_late_picture_moves_those_after_it(monkeypatch: pytest.MonkeyPatch) -> None:
    now = iter([100.0, 100.0, 101.0, 101.0, 101.0])
    monkeypatch.setattr("impasto.realtime.live.feeds.monotonic", lambda: next(now))
    clock = MediaClock()
    assert clock.due(5.0) == 100.0
    assert clock.due(5.5) == 100.5
    assert clock.due(5.6) == 101.0  # due at 100.6, and a quarter of a second has passed
    assert clock.due(5.7) == pytest.approx(101.1)
    clock.go_round()
    assert clock.due(5.0) == pytest.approx(101.2)


def test_a_network_camera_that_breaks_off_is_found_again(said: Said) -> None:
    pictures = numbered_jpegs()
    with (
        HttpCamera(lambda _: iter(pictures)) as camera,
        open_live(camera.address, timing=NO_PAUSES, say=said) as source,
    ):
        frames = list(islice(source, 30))
        assert camera.connections >= 3
    assert source.frame_rate is None  # MJPEG has none; 25 is FFmpeg's guess
    assert_increasing(frames)
    numbers = [number_of(frame.image) for frame in frames]
    assert numbers[:5] == [0, 1, 2, 3, 4] and numbers.count(0) >= 3
    assert said.matching("broke off; trying again in 0 s") and said.matching(": back, 64x48")


def test_an_rtsp_camera_is_read_over_tcp_and_found_again(said: Said) -> None:
    with (
        RtspCamera(frames=40) as camera,
        open_live(camera.address, timing=NO_PAUSES, say=said) as source,
    ):
        frames = list(islice(source, 45))
    assert source.frame_rate == 25
    assert_increasing(frames)
    assert [number_of(frame.image) for frame in frames] == [*range(40), *range(5)]
    assert all("TCP" in transport for transport in camera.transports)
    assert said.matching("trying again") and said.matching(": back, 64x48 at 25 fps")


def test_pauses_grow_and_closing_ends_them(said: Said) -> None:
    timing = Timing(pauses=(0.0, 0.001, 0.002, 3600.0))
    with HttpCamera(lambda _: iter(numbered_jpegs())) as camera:
        source = open_live(camera.address, timing=timing, say=said)
    with Latest(source) as frames:  # the camera is gone
        said.await_line("again in 3600 s")
        assert frames.get() is not None
    pauses = [line.rpartition("again in ")[2] for line in said.matching("again")]
    assert pauses == ["0 s", "0.001 s", "0.002 s", "3600 s"]
    assert said.matching("it refuses to connect")
    assert not said.matching("back")


def test_closing_ends_a_read_that_blocks() -> None:
    holding = threading.Event()

    def send(_: int) -> Iterator[bytes]:
        yield from numbered_jpegs()[:3]
        holding.set()
        assert camera.stopping.wait(PATIENCE), "the read was not left"

    with HttpCamera(send) as camera:
        with Latest(open_live(camera.address, timing=Timing(stall=3600.0))) as frames:
            assert holding.wait(PATIENCE)
            assert frames.get(PATIENCE) is not None
        assert list(frames) == []
        assert not camera.stopping.is_set()


def test_a_stream_that_stops_is_lost_and_found_again(said: Said) -> None:
    timing = Timing(stall=0.3, pauses=(0.0,))
    port = free_port()
    with udp_sender(port):
        source = open_live(f"udp://127.0.0.1:{port}", timing=timing, say=said)
    frames = iter(source)
    with closing(source), udp_sender_when(said, "again in", port):
        seen = [next(frames)]
        while not said.matching("back"):
            seen.append(next(frames))
    assert source.size == (48, 64) and source.frame_rate == 25
    assert_increasing(seen)
    assert said.matching("(no picture for 0.3 s|nothing comes any more); trying again")


def udp_sender_when(said: Said, pattern: str, port: int) -> "closing[Deferred]":
    return closing(Deferred(said, pattern, port))


class Deferred:
    """A sender that begins once a line was said."""

    def __init__(self, said: Said, pattern: str, port: int) -> None:
        self._ended = threading.Event()
        self._work = threading.Thread(target=self._send, args=(said, pattern, port))
        self._work.start()

    def _send(self, said: Said, pattern: str, port: int) -> None:
        said.await_line(pattern)
        with udp_sender(port):
            self._ended.wait(PATIENCE)

    def close(self) -> None:
        self._ended.set()
        self._work.join()


def test_a_recording_behind_an_address_plays_at_its_pace_and_ends(
    tmp_path: Path, said: Said
) -> None:
    """Also over HTTP, where it can be had faster; a file's end there is its end."""
    make_clip(tmp_path / "clip.mp4", frames=12, rate=50)
    with file_server(tmp_path) as address, open_live(f"{address}/clip.mp4", say=said) as source:
        frames = list(source)
    assert [number_of(frame.image) for frame in frames] == list(range(12))
    assert source.measured_fps == pytest.approx(50, rel=1e-3)
    assert len(said.lines) == 1


def test_hls_plays_at_its_pace_and_ends(tmp_path: Path) -> None:
    options = {"hls_time": "0.1", "hls_list_size": "0"}
    make_clip(tmp_path / "list.m3u8", frames=12, rate=50, gop=6, container_options=options)
    with file_server(tmp_path) as address, open_live(f"{address}/list.m3u8") as source:
        frames = list(source)
    assert [number_of(frame.image) for frame in frames] == list(range(12))
    assert source.measured_fps == pytest.approx(50, rel=1e-2)  # MPEG-TS has ticks of 11 us


class file_server:
    """The files of a folder over HTTP."""

    def __init__(self, folder: Path) -> None:
        from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer

        class Quiet(SimpleHTTPRequestHandler):
            def log_message(self, *_: object) -> None:
                """It stays quiet."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=folder))
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,))

    def __enter__(self) -> str:
        self._thread.start()
        return f"http://127.0.0.1:{self._server.server_port}"

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


def test_a_playlist_reaches_no_file_of_this_machine(tmp_path: Path) -> None:
    secret = make_clip(tmp_path / "secret.ts", frames=6)
    folder = tmp_path / "served"
    folder.mkdir()
    (folder / "list.m3u8").write_text(
        f"#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:0.2,\nfile://{secret}\n#EXT-X-ENDLIST\n"
    )
    with file_server(folder) as address, pytest.raises(SourceError):
        open_live(f"{address}/list.m3u8")


def test_black_pictures_are_said_once_and_so_is_their_end(said: Said) -> None:
    light = "drawbox=color=white:t=fill:enable='gt(t,0.4)'"
    graph = f"lavfi:color=black:size=64x48:rate=50:duration=0.6,{light}"
    with open_live(graph, timing=Timing(black=0.1), say=said) as source:
        assert len(list(source)) == 30
    assert [line.rpartition(": ")[2] for line in said.lines[1:]] == [
        "is the lens covered, or a privacy switch on?",
        "the picture is back",
    ]


def test_a_rate_other_than_declared_is_said_once(said: Said) -> None:
    timing = Timing(rate_window=0.2)
    port = free_port()
    with (
        udp_sender(port, declared=100, rate=30),
        open_live(f"udp://127.0.0.1:{port}", timing=timing, say=said) as source,
    ):
        frames = list(islice(source, 60))
    assert source.frame_rate == 100
    (line,) = said.matching("declares 100 fps and gives")
    assert len(frames) == 60 and "slow down" in line


@pytest.mark.parametrize(("fps", "is_said"), [(30, 0), (28, 0), (15, 1), (60, 1)])
def test_what_counts_as_another_rate(fps: int, is_said: int) -> None:
    watch = RateWatch()
    burst = [watch(k / 1000, Fraction(30)) for k in range(20)]  # frames that were waiting
    lines = [watch(1 + k / fps, Fraction(30)) for k in range(10 * fps)]
    assert sum(line is not None for line in burst + lines) == is_said
    assert watch.fps == pytest.approx(fps, rel=0.05)


def test_without_a_declared_rate_there_is_nothing_to_say() -> None:
    watch = RateWatch()
    assert [line for k in range(300) if (line := watch(k / 30, None))] == []


def test_broken_pictures_are_left_out_and_said_once(said: Said) -> None:
    noise = b"\xff\xd8" + np.random.default_rng(0).bytes(600)
    whole = numbered_jpegs()

    def send(_: int) -> Iterator[bytes]:
        for number in count():
            yield noise if number % 3 == 2 else whole[number % 8]

    with HttpCamera(send) as camera, open_live(camera.address, say=said) as source:
        numbers = [number_of(frame.image) for frame in islice(source, 16)]
    assert numbers == [k % 8 for k in range(24) if k % 3 != 2]
    assert len(said.matching("broken pictures")) == 1


def test_nothing_but_broken_pictures_counts_as_lost(said: Said) -> None:
    timing = Timing(stall=0.2, pauses=(0.0,))
    noise = b"\xff\xd8" + np.random.default_rng(0).bytes(600)

    def send(number: int) -> Iterator[bytes]:
        yield from numbered_jpegs()
        while number == 0:
            yield noise

    with HttpCamera(send) as camera, open_live(camera.address, timing=timing, say=said) as source:
        frames = iter(source)
        while not said.matching("back"):
            next(frames)
    assert said.matching("no picture for 0.2 s")


def test_frames_keep_the_first_size(said: Said) -> None:
    other = jpeg(np.full((96, 128, 3), 200, np.uint8))

    def send(number: int) -> Iterator[bytes]:
        yield from numbered_jpegs()[:3] if number == 0 else [other] * 5

    with (
        HttpCamera(send) as camera,
        open_live(camera.address, timing=NO_PAUSES, say=said) as source,
    ):
        sizes = {frame.image.shape for frame in islice(source, 8)}
    assert sizes == {(48, 64, 3)}
    assert said.matching("back, 128x96")


@pytest.fixture
def a_camera(monkeypatch: pytest.MonkeyPatch) -> None:
    """A camera of this machine, as far as a machine without one can have it."""
    graph = "testsrc2=size=64x48:rate=50,realtime"  # comes in its own time, as a device does
    found = [Camera(0, "Front Camera", graph), Camera(4, "Desk", graph), Camera(5, "Desk", graph)]
    monkeypatch.setattr(cameras, "list_cameras", lambda: found)
    monkeypatch.setattr(cameras, "capture_format", lambda: "lavfi")


@pytest.mark.parametrize("name", ["0", "Front Camera", "front"])
def test_a_camera_by_number_or_name(name: str, a_camera: None, said: Said) -> None:
    with open_live(name, size=(48, 64), frame_rate=Fraction(50), say=said) as source:
        assert len(list(islice(source, 5))) == 5
    assert said.lines == ["camera 0 (Front Camera): 64x48 at 50 fps"]


def test_what_the_camera_gave_instead_is_said(a_camera: None, said: Said) -> None:
    with open_live("0", size=(720, 1280), frame_rate=Fraction(60), say=said) as source:
        assert source.size == (48, 64)
    (line,) = said.lines
    assert line.endswith("asked for 1280x720 at 60 fps, it gives 64x48 at 50 fps")


def test_frames_of_a_device_are_stamped_when_they_come(a_camera: None) -> None:
    with open_live("0") as source:
        frames = list(islice(source, 20))
    assert_increasing(frames)
    # The first few are those that opening looked at; the others come every 20 ms.
    assert frames[-1].pts - frames[0].pts > 10 * 20_000


def test_a_camera_plugged_in_again_is_found_at_its_new_place(
    said: Said, monkeypatch: pytest.MonkeyPatch
) -> None:
    places = ["testsrc2=size=64x48:rate=50:duration=0.2", "testsrc2=size=64x48:rate=25,realtime"]
    found = [Camera(0, "Front Camera", places[0])]
    monkeypatch.setattr(cameras, "list_cameras", lambda: found)
    monkeypatch.setattr(cameras, "capture_format", lambda: "lavfi")
    asked = {"size": (48, 64), "frame_rate": Fraction(50)}
    with open_live("0", **asked, timing=NO_PAUSES, say=said) as source:
        found[:] = [Camera(1, "Front Camera", places[1]), Camera(2, "Desk", places[0])]
        assert len(list(islice(source, 15))) == 15  # ten of the first
    assert said.matching("stream ended; trying again") and said.matching("back, .* at 25 fps")


def test_another_camera_in_its_place_is_not_taken_for_it(
    said: Said, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = "testsrc2=size=64x48:rate=50:duration=0.2"
    found = [Camera(0, "Front Camera", place)]
    monkeypatch.setattr(cameras, "list_cameras", lambda: found)
    monkeypatch.setattr(cameras, "capture_format", lambda: "lavfi")
    source = open_live("0", timing=Timing(pauses=(0.0, 3600.0)), say=said)
    found[:] = [Camera(0, "Desk", place)]
    with Latest(source):
        said.await_line(r"it is not plugged in; cameras here: 0 \(Desk\); trying again in 3600 s")


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("7", r"no camera 7; cameras here: 0 \(Front Camera\), 4 \(Desk\), 5 \(Desk\)"),
        ("desk", r"'desk' may be any of: .*say which by its number"),
        ("rear", r"'rear' is no camera, address or file; cameras here: 0 \(Front"),
    ],
)
def test_the_cameras_there_are_are_listed(name: str, message: str, a_camera: None) -> None:
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


def test_a_camera_that_is_not_there_says_so_at_once() -> None:
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
        ("quux://camera/1", "known are rtsp, "),
        ("file:///etc/hosts", "not a kind of address"),
        ("missing.mp4", "missing.mp4 does not exist; check the name"),
        ("", "got no name"),
        ("no such camera", "'no such camera' is no camera, address or file"),
        ("lavfi:no_such_filter", "Filter not found"),
        ("lavfi:testsrc2; rm -rf /", "graph of filters"),
    ],
)
def test_names_that_are_nothing(name: str, message: str) -> None:
    with pytest.raises(SourceError, match=message) as raised:
        open_live(name)
    assert "\n" not in str(raised.value)


def test_a_password_is_not_shown() -> None:
    with pytest.raises(SourceError, match="refuses to connect") as raised:
        open_live(f"http://me:secret@127.0.0.1:{free_port()}/live?key=secret")
    assert "secret" not in str(raised.value) and "me" not in str(raised.value).split("/")[2]


def test_a_file_that_is_no_video(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="not a media file"):
        open_live(str(text_file(tmp_path / "letter.mp4")), loop=True)


def test_an_address_that_sends_nothing() -> None:
    with pytest.raises(SourceError, match="nothing came in 0.2 s; is it on, and sending?"):
        open_live(f"udp://127.0.0.1:{free_port()}", timing=Timing(open=0.2))


def test_a_device_that_hangs_is_given_up(said: Said) -> None:
    def hanging() -> None:
        raise SystemExit if back.wait(PATIENCE) else AssertionError

    back = threading.Event()
    feed = MediaFeed("camera", hanging, paced=False, open_seconds=0.01)  # type: ignore[arg-type]
    try:
        with pytest.raises(SourceError, match="no picture came in 0.01 s; check that it is on"):
            LiveSource(feed, say=said)
    finally:
        back.set()


def test_what_is_no_size_is_refused() -> None:
    with pytest.raises(SourceError, match="expected a size and a rate"):
        open_live("test", size=(0, 640))
    with pytest.raises(SourceError, match="expected a size and a rate"):
        open_live("test", frame_rate=Fraction(0))


def test_closing_twice_and_before_iterating() -> None:
    source = open_live("test", size=(48, 64))
    source.close()
    source.close()
    assert list(source) == []


def test_a_source_that_nobody_closed_leaves_no_thread() -> None:
    open_live("test", size=(48, 64))


@pytest.mark.skipif(not os.environ.get("IMPASTO_CAMERA"), reason="IMPASTO_CAMERA names no camera")
def test_a_real_camera(said: Said) -> None:
    with open_live(os.environ["IMPASTO_CAMERA"], say=said) as source:
        frames = list(islice(source, 60))
    assert_increasing(frames)
    assert source.measured_fps
