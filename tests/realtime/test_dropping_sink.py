"""DroppingSink: it drops instead of waiting, and reports failures instead of raising them."""

import threading
from pathlib import Path

import pytest

from impasto.models.errors import SinkError
from impasto.realtime.frame import Frame
from impasto.realtime.live.recorder import Recorder
from impasto.realtime.threads import DroppingSink
from tests.realtime.live.outputs import LIMIT, UNEVEN, decoded, frame_at, frames_at, wait_until

pytestmark = pytest.mark.usefixtures("no_thread_is_left")


class Slow:
    """A sink that blocks until `go_on`."""

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


def test_a_sink_that_blocks_drops_the_oldest_and_holds_nobody_up() -> None:
    slow, log, now = Slow(), [], [100.0]
    with DroppingSink(slow, "stream", log.append, clock=lambda: now[0]) as out:
        out.write(frame_at(0))
        assert slow.begun.wait(LIMIT)
        for pts in range(1, 101):
            out.write(frame_at(pts))  # returns, though the sink blocks
        assert out.dropped == 98
        assert log == ["stream: too slow, 1 frame dropped (1 in all)"]
        now[0] += 2
        out.write(frame_at(101))
        assert log[1:] == ["stream: too slow, 98 frames dropped (99 in all)"]
        out.write(frame_at(102))
        slow.go_on.set()
    assert [frame.pts for frame in slow.frames] == [0, 101, 102]
    assert (out.written, out.dropped, slow.closed) == (3, 100, True)
    assert log[2:] == ["stream: too slow, 1 frame dropped (100 in all)"]


def test_one_sink_does_not_hold_up_the_others(tmp_path: Path) -> None:
    slow, log = Slow(), []
    broken = Failing(SinkError("nobody listens"))
    with (
        DroppingSink(slow, "slow", log.append) as first,
        DroppingSink(broken, "broken", log.append) as second,
        DroppingSink(Recorder(tmp_path / "out.mp4"), "recording", log.append) as third,
    ):
        for n, frame in enumerate(frames_at(UNEVEN)):
            for out in (first, second, third):
                out.write(frame)
            wait_until(lambda n=n: third.written == n + 1)  # type: ignore[misc]
        slow.go_on.set()
    assert decoded(tmp_path / "out.mp4")[0] == list(range(7))


def test_closing_is_bounded() -> None:
    slow, log = Slow(), []
    out = DroppingSink(slow, "stream", log.append, close_seconds=0.01)
    out.write(frame_at(0))
    assert slow.begun.wait(LIMIT)
    out.close()
    out.close()
    out.write(frame_at(1))
    assert log == ["stream: did not end within 0.01 s, left unfinished"]
    slow.go_on.set()
    wait_until(lambda: slow.closed)
    assert len(slow.frames) == 1


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (SinkError("nobody listens"), "stream: nobody listens; continuing without it"),
        (KeyError("x"), "stream: KeyError: 'x'; continuing without it"),
    ],
)
def test_a_failure_is_reported_once_and_a_pause_tries_again(error: Exception, line: str) -> None:
    log: list[str] = []
    sink = Failing(error)
    with DroppingSink(sink, "stream", log.append) as out:
        out.write(frame_at(0))
        wait_until(lambda: out.error is not None)
        for pts in range(1, 20):
            out.write(frame_at(pts))
        assert (log, out.dropped, out.written) == ([line], 0, 0)
        sink.error = None
        out.pause()
        wait_until(lambda: out.error is None)
        out.write(frame_at(20))
    assert (sink.count, sink.pauses, out.written, log) == (1, 1, 1, [line])
