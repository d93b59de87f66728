"""Feeds: files, filter graphs, addresses and the sample clip, each in its own time."""

import threading
from fractions import Fraction
from functools import partial
from itertools import islice, pairwise
from pathlib import Path

import av
import pytest

from impasto.models.errors import SourceError
from impasto.realtime.live.cameras import open_live, sample_graph
from impasto.realtime.live.feeds import MediaClock
from tests.media import make_clip, number_of
from tests.realtime.live.conftest import Log
from tests.realtime.live.sources import assert_increasing, times

pytestmark = pytest.mark.usefixtures("no_thread_hangs")


def test_a_filter_graph_runs_at_its_frame_rate(log: Log) -> None:
    with open_live("lavfi:testsrc2=size=320x240:rate=30", log=log) as source:
        frames = list(islice(source, 10))
    assert source.size == (240, 320) and source.frame_rate == 30
    assert all(frame.image.shape == (240, 320, 3) for frame in frames)
    assert all(frame.time_base == Fraction(1, 1_000_000) for frame in frames)
    assert source.measured_fps == pytest.approx(30, rel=1e-3)  # stamps are due times, not arrivals
    assert log.lines == ["lavfi:testsrc2=size=320x240:rate=30: 320x240 at 30 fps"]


@pytest.mark.parametrize("size", [(120, 160), (33, 47), (2, 2)])
def test_the_sample_clip_has_the_size_and_rate_requested(size: tuple[int, int]) -> None:
    with open_live("test", size=size, frame_rate=Fraction(90)) as source:
        frames = list(islice(source, 9))
    assert source.size == size and source.frame_rate == 90
    first = times(frames)[0]
    for frame, time in zip(frames, times(frames), strict=True):
        index = (time - first) * 90
        # Of each frame the time is a whole number of ticks from the first, to a microsecond.
        assert abs(index - round(index)) < Fraction(90, 500_000)
        assert frame.image.shape == (*size, 3)
    assert_increasing(frames)


@pytest.mark.parametrize("folder", [None, "d:e'f,[g];h\\i %03d"])
def test_the_sample_clip_repeats_without_a_gap(
    folder: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    count = 210
    if folder is not None:
        path, count = tmp_path / folder / "clip.mp4", 5
        path.parent.mkdir()
        monkeypatch.setattr("impasto.realtime.live.cameras.SAMPLE_VIDEO", path)
        make_clip(path, frames=count, rate=30)
    graph = sample_graph((48, 64), Fraction(30))
    with av.open(graph, format="lavfi") as container:
        frames = list(islice(container.decode(video=0), 2 * count + 1))
    assert [frame.pts for frame in frames] == list(range(2 * count + 1))
    images = [frame.to_ndarray() for frame in frames]
    assert all((a == b).all() for a, b in zip(images, images[count:], strict=False))
    assert all((a != b).any() for a, b in pairwise(images))


def test_a_file_is_played_by_its_timestamps(tmp_path: Path, log: Log) -> None:
    stamps = [0, 10, 25, 30, 60, 61]  # ms
    clip = make_clip(tmp_path / "c.mkv", frames=6, pts=stamps, time_base=Fraction(1, 1000))
    with open_live(str(clip), log=log) as source:
        frames = list(source)
    assert [number_of(frame.image) for frame in frames] == [0, 1, 2, 3, 4, 5]
    came = [round(1000 * (time - times(frames)[0])) for time in times(frames)]
    assert came == stamps
    assert len(log.lines) == 1  # what it is; its end is no loss


def test_a_file_repeats_and_time_goes_on(tmp_path: Path) -> None:
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
    clock.restart()
    assert clock.due(5.0) == pytest.approx(101.2)


def test_a_recording_behind_an_address_plays_at_its_pace_and_ends(tmp_path: Path, log: Log) -> None:
    """Also over HTTP, where it could be read faster; a file's end there is its end."""
    make_clip(tmp_path / "clip.mp4", frames=12, rate=50)
    with file_server(tmp_path) as address, open_live(f"{address}/clip.mp4", log=log) as source:
        frames = list(source)
    assert [number_of(frame.image) for frame in frames] == list(range(12))
    assert source.measured_fps == pytest.approx(50, rel=1e-3)
    assert len(log.lines) == 1


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
