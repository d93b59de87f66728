"""Live sources that are lost come back, and what is wrong with their pictures is reported."""

import threading
from collections.abc import Iterator
from contextlib import closing
from fractions import Fraction
from itertools import count, islice
from pathlib import Path

import numpy as np
import pytest

from impasto.models.errors import SourceError
from impasto.realtime.frame import ColorTags
from impasto.realtime.live.cameras import open_live
from impasto.realtime.live.feeds import MediaFeed
from impasto.realtime.live.live_source import LiveSource, RateWatch, Timing
from impasto.realtime.threads import Latest
from tests.media import make_clip, number_of
from tests.realtime.live.conftest import PATIENCE, Log
from tests.realtime.live.sources import NO_PAUSES, assert_increasing
from tests.senders import HttpCamera, RtspCamera, free_port, jpeg, numbered_jpegs, udp_sender

pytestmark = pytest.mark.usefixtures("no_thread_hangs")


def test_a_network_camera_that_disconnects_is_opened_again(log: Log) -> None:
    pictures = numbered_jpegs()
    with (
        HttpCamera(lambda _: iter(pictures)) as camera,
        open_live(camera.address, timing=NO_PAUSES, log=log) as source,
    ):
        frames = list(islice(source, 30))
        assert camera.connections >= 3
    assert source.frame_rate is None  # MJPEG has none; 25 is FFmpeg's guess
    assert_increasing(frames)
    numbers = [number_of(frame.image) for frame in frames]
    assert numbers[:5] == [0, 1, 2, 3, 4] and numbers.count(0) >= 3
    assert log.matching("connection was lost; trying again in 0 s") and log.matching(
        ": back, 64x48"
    )


def test_an_rtsp_camera_is_read_over_tcp_and_opened_again(log: Log) -> None:
    with (
        RtspCamera(frames=40) as camera,
        open_live(camera.address, timing=NO_PAUSES, log=log) as source,
    ):
        frames = list(islice(source, 45))
    assert source.frame_rate == 25
    assert_increasing(frames)
    assert [number_of(frame.image) for frame in frames] == [*range(40), *range(5)]
    assert all("TCP" in transport for transport in camera.transports)
    assert log.matching("trying again") and log.matching(": back, 64x48 at 25 fps")


def test_pauses_grow_and_closing_ends_them(log: Log) -> None:
    timing = Timing(pauses=(0.0, 0.001, 0.002, 3600.0))
    with HttpCamera(lambda _: iter(numbered_jpegs())) as camera:
        source = open_live(camera.address, timing=timing, log=log)
    with Latest(source) as frames:  # the camera is gone
        log.wait_for("again in 3600 s")
        assert frames.get() is not None
    pauses = [line.rpartition("again in ")[2] for line in log.matching("again")]
    assert pauses == ["0 s", "0.001 s", "0.002 s", "3600 s"]
    assert log.matching("connection refused")
    assert not log.matching("back")


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


def test_a_stream_that_stops_is_opened_again(log: Log) -> None:
    timing = Timing(stall=0.3, pauses=(0.0,))
    port = free_port()
    with udp_sender(port):
        source = open_live(f"udp://127.0.0.1:{port}", timing=timing, log=log)
    frames = iter(source)
    with closing(source), udp_sender_when(log, "again in", port):
        seen = [next(frames)]
        while not log.matching("back"):
            seen.append(next(frames))
    assert source.size == (48, 64) and source.frame_rate == 25
    assert_increasing(seen)
    assert log.matching("(no picture for 0.3 s|it sends no more data); trying again")


def udp_sender_when(log: Log, pattern: str, port: int) -> "closing[Deferred]":
    return closing(Deferred(log, pattern, port))


class Deferred:
    """A sender that begins once a line was logged."""

    def __init__(self, log: Log, pattern: str, port: int) -> None:
        self._ended = threading.Event()
        self._work = threading.Thread(target=self._send, args=(log, pattern, port))
        self._work.start()

    def _send(self, log: Log, pattern: str, port: int) -> None:
        log.wait_for(pattern)
        with udp_sender(port):
            self._ended.wait(PATIENCE)

    def close(self) -> None:
        self._ended.set()
        self._work.join()


def test_hdr_is_tone_mapped_with_one_line(tmp_path: Path, log: Log) -> None:
    clip = make_clip(
        tmp_path / "hlg.mp4",
        codec="libx265",
        pix_fmt="yuv420p10le",
        rate=100,
        color=ColorTags(9, 18, 9),
        picture=lambda _, size: np.full((*size, 3), 191, np.uint8),  # 75 %: reference white
    )
    with open_live(str(clip), log=log) as source:
        frames = list(source)
    assert len(frames) == 12 and all(frame.image.min() > 225 for frame in frames)
    assert len(log.matching("tone-mapped to SDR")) == 1


def test_black_pictures_are_reported_once_and_so_is_their_end(log: Log) -> None:
    light = "drawbox=color=white:t=fill:enable='gt(t,0.4)'"
    graph = f"lavfi:color=black:size=64x48:rate=50:duration=0.6,{light}"
    with open_live(graph, timing=Timing(black=0.1), log=log) as source:
        assert len(list(source)) == 30
    assert [line.rpartition(": ")[2] for line in log.lines[1:]] == [
        "is the lens covered, or a privacy switch on?",
        "the picture is back",
    ]


def test_a_rate_other_than_declared_is_reported_once(log: Log) -> None:
    timing = Timing(rate_window=0.2)
    port = free_port()
    with (
        udp_sender(port, declared=100, rate=30),
        open_live(f"udp://127.0.0.1:{port}", timing=timing, log=log) as source,
    ):
        frames = list(islice(source, 60))
    assert source.frame_rate == 100
    (line,) = log.matching("declares 100 fps and delivers")
    assert len(frames) == 60 and "slow down" in line


@pytest.mark.parametrize(("fps", "reported"), [(30, 0), (28, 0), (15, 1), (60, 1)])
def test_what_counts_as_another_rate(fps: int, reported: int) -> None:
    watch = RateWatch()
    burst = [watch(k / 1000, Fraction(30)) for k in range(20)]  # frames that were waiting
    lines = [watch(1 + k / fps, Fraction(30)) for k in range(10 * fps)]
    assert sum(line is not None for line in burst + lines) == reported
    assert watch.fps == pytest.approx(fps, rel=0.05)


def test_without_a_declared_rate_nothing_is_reported() -> None:
    watch = RateWatch()
    assert [line for k in range(300) if (line := watch(k / 30, None))] == []


def test_corrupt_pictures_are_skipped_and_reported_once(log: Log) -> None:
    noise = b"\xff\xd8" + np.random.default_rng(0).bytes(600)
    whole = numbered_jpegs()

    def send(_: int) -> Iterator[bytes]:
        for number in count():
            yield noise if number % 3 == 2 else whole[number % 8]

    with HttpCamera(send) as camera, open_live(camera.address, log=log) as source:
        numbers = [number_of(frame.image) for frame in islice(source, 16)]
    assert numbers == [k % 8 for k in range(24) if k % 3 != 2]
    assert len(log.matching("some pictures are corrupt")) == 1


def test_only_corrupt_pictures_count_as_a_loss(log: Log) -> None:
    timing = Timing(stall=0.2, pauses=(0.0,))
    noise = b"\xff\xd8" + np.random.default_rng(0).bytes(600)

    def send(number: int) -> Iterator[bytes]:
        yield from numbered_jpegs()
        while number == 0:
            yield noise

    with HttpCamera(send) as camera, open_live(camera.address, timing=timing, log=log) as source:
        frames = iter(source)
        while not log.matching("back"):
            next(frames)
    assert log.matching("no picture for 0.2 s")


def test_frames_keep_the_first_size(log: Log) -> None:
    other = jpeg(np.full((96, 128, 3), 200, np.uint8))

    def send(number: int) -> Iterator[bytes]:
        yield from numbered_jpegs()[:3] if number == 0 else [other] * 5

    with (
        HttpCamera(send) as camera,
        open_live(camera.address, timing=NO_PAUSES, log=log) as source,
    ):
        sizes = {frame.image.shape for frame in islice(source, 8)}
    assert sizes == {(48, 64, 3)}
    assert log.matching("back, 128x96")


def test_a_device_that_hangs_is_given_up(log: Log) -> None:
    def hanging() -> None:
        raise SystemExit if back.wait(PATIENCE) else AssertionError

    back = threading.Event()
    feed = MediaFeed("camera", hanging, paced=False, open_seconds=0.01)  # type: ignore[arg-type]
    try:
        with pytest.raises(SourceError, match="no picture within 0.01 s; check that it is on"):
            LiveSource(feed, log=log)
    finally:
        back.set()


def test_closing_twice_and_before_iterating() -> None:
    source = open_live("test", size=(48, 64))
    source.close()
    source.close()
    assert list(source) == []


def test_a_source_that_nobody_closed_leaves_no_thread() -> None:
    open_live("test", size=(48, 64))
