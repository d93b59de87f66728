"""Streaming to real receivers: times, key frames, lost receivers, bad addresses."""

import socket
import threading
import time
from collections.abc import Callable
from fractions import Fraction

import av
import pytest

from impasto.models.errors import SinkError
from impasto.realtime.live.stream_out import StreamOut
from tests.media import number_of
from tests.realtime.live.outputs import (
    LIMIT,
    MICROSECOND,
    Receiver,
    decoded,
    every,
    frame_at,
    wait_until,
)

pytestmark = pytest.mark.usefixtures("no_thread_is_left")


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


def test_udp_is_received() -> None:
    url = f"udp://127.0.0.1:{free_port(socket.SOCK_DGRAM)}"
    with StreamOut(url) as out:

        def send(n: int) -> None:
            out.write(frame_at(n * 100_000, n % 256))

        received(url, 20, {"probesize": "30000"}, send)


def test_rtmp_is_received() -> None:
    url = f"rtmp://127.0.0.1:{free_port(socket.SOCK_STREAM)}/live/secret"
    # A clock that runs ahead, for the pauses until the receiver listens.
    with StreamOut(url, clock=lambda: 100 * time.monotonic()) as out:

        def send(n: int) -> None:
            out.write(frame_at(n * 33_333, n % 256))

        received(url, 10, {"listen": "1", "probesize": "30000"}, send)


def test_times_order_and_key_frames(receiver: Receiver) -> None:
    # 8 fps, then 4: every other frame is dropped.
    times = every(Fraction(1, 8), 24) + [3_000_000 + t for t in every(Fraction(1, 4), 12)]
    log: list[str] = []
    with StreamOut(receiver.url, log=log.append) as out:
        for n, pts in enumerate(times):
            out.write(frame_at(pts, n))
    assert log == [f"streaming to {receiver.url}: 64x48, 0.0 Mbit/s"]
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
    numbers, got = decoded(data, "mpegts")
    assert numbers == list(range(36))
    for at, pts in zip(got, times, strict=True):  # MPEG-TS counts by 90 kHz
        assert abs(at - got[0] - pts * MICROSECOND) <= Fraction(1, 90_000)


def test_each_frame_is_sent_when_it_comes(receiver: Receiver) -> None:
    with StreamOut(receiver.url) as out:
        sent = 0
        for n in range(5):
            out.write(frame_at(n * 33_333, n))
            wait_until(lambda sent=sent: sum(d.tell() for d in receiver.received) > sent)  # type: ignore[misc]
            sent = receiver.received[-1].tell()


def test_odd_and_changing_sizes(receiver: Receiver) -> None:
    with StreamOut(receiver.url) as out:
        out.write(frame_at(0, 1, (49, 67)))
        out.write(frame_at(33_333, 2, (48, 66)))
        out.write(frame_at(66_666, 3, (64, 96)))
    wait_until(lambda: len(receiver.received) == 2)
    receiver.close()
    for data, numbers in zip(receiver.received, ([1, 2], [3]), strict=True):
        data.seek(0)
        assert decoded(data, "mpegts")[0] == numbers


def test_a_receiver_that_was_lost_is_tried_again(receiver: Receiver) -> None:
    log: list[str] = []
    now = [0.0]
    with StreamOut(receiver.url, log=log.append, clock=lambda: now[0]) as out:
        sent = 0

        def send() -> int:
            nonlocal sent
            out.write(frame_at(sent * 33_333, sent % 256))
            sent += 1
            return len(log)

        send()
        receiver.hang_up()
        now[0] += 60
        wait_until(lambda: send() == 2)  # some packets are still taken
        assert log[1].startswith(f"{receiver.url} cannot be reached (")
        assert log[1].endswith("trying again in 1 s")
        for _ in range(10):
            assert send() == 2
        now[0] += 1
        assert send() == 3 and log[2] == log[0]
        wait_until(lambda: len(receiver.received) == 2)


def test_pauses_grow() -> None:
    port = free_port(socket.SOCK_STREAM)
    log: list[str] = []
    now = [0.0]
    url = f"rtmp://me:word@127.0.0.1:{port}/live/secret"
    with StreamOut(url, log=log.append, clock=lambda: now[0]) as out:
        for sent, pause in enumerate((1, 2, 4, 8, 16, 30, 30)):

            def send(sent: int = sent) -> int:
                out.write(frame_at(sent * 33_333 + len(log)))
                return len(log)

            wait_until(lambda sent=sent, send=send: send() == 2 * sent + 2)  # type: ignore[misc]
            assert log[-1] == (
                f"rtmp://127.0.0.1:{port} cannot be reached (Connection refused): "
                f"trying again in {pause} s"
            )
            now[0] += pause - 0.5
            assert send() == 2 * sent + 2
            now[0] += 0.5


def test_a_receiver_that_does_not_answer_stops_nobody() -> None:
    """The operating system accepts the connection, and then nothing answers."""
    log: list[str] = []
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(LIMIT)
        url = f"rtmp://127.0.0.1:{server.getsockname()[1]}/live/secret"
        with StreamOut(url, log=log.append) as out:
            out.write(frame_at(0))  # returns, although the handshake has not begun
            connection, _ = server.accept()
            # Waiting in `write` for an answer would have ended in "cannot be reached".
            assert len(log) == 1 and log[0].startswith("streaming to rtmp://")
            connection.close()


@pytest.mark.parametrize("url", ["", "out.mp4", "http://a/b", "udp://", "udp://[::1"])
def test_no_address(url: str) -> None:
    with pytest.raises(
        SinkError, match=r"cannot stream to this address: expected one of udp://HOST"
    ):
        StreamOut(url)


@pytest.mark.parametrize(
    ("error", "supported"),
    [
        (av.error.ProtocolNotFoundError(0, "Protocol not found"), False),
        (av.error.InvalidDataError(0, "no port"), True),  # as an FFmpeg with libsrt would say
    ],
)
def test_srt_needs_an_ffmpeg_with_libsrt(
    error: av.FFmpegError, supported: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    def opening(url: str, **_: object) -> None:
        assert url == "srt://"
        raise error

    monkeypatch.setattr(av, "open", opening)
    if supported:
        assert StreamOut("srt://127.0.0.1:9000").name == "srt://127.0.0.1:9000"
    else:
        with pytest.raises(SinkError, match="needs an FFmpeg with libsrt"):
            StreamOut("srt://127.0.0.1:9000")
