"""Recordings: true times, names, sizes, full disks."""

import shutil
from fractions import Fraction
from pathlib import Path

import av
import pytest

from impasto.models.errors import SinkError
from impasto.realtime.live.recorder import Recorder
from impasto.realtime.threads import DroppingSink
from tests.realtime.live.outputs import (
    MICROSECOND,
    UNEVEN,
    decoded,
    frame_at,
    frames_at,
    noise,
    small_disk,
    wait_until,
)

pytestmark = pytest.mark.usefixtures("no_thread_is_left")


def video_seconds(path: Path) -> Fraction:
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        assert stream.duration is not None and stream.time_base is not None
        return stream.duration * stream.time_base


def test_plays_at_the_true_speed(tmp_path: Path) -> None:
    with Recorder(tmp_path / "out.mp4", frame_rate=Fraction(30)) as recorder:
        for frame in frames_at(UNEVEN):
            recorder.write(frame)
    numbers, times = decoded(tmp_path / "out.mp4")
    assert numbers == list(range(7))
    assert times == [(pts - UNEVEN[0]) * MICROSECOND for pts in UNEVEN]
    # One microsecond: the last frame's thirtieth of a second is rounded to them.
    assert abs(video_seconds(tmp_path / "out.mp4") - (1 + Fraction(1, 30))) <= MICROSECOND


@pytest.mark.parametrize("ext", [".mkv", ".webm", ".mov"])
def test_other_kinds_of_file(ext: str, tmp_path: Path) -> None:
    with Recorder(tmp_path / f"out{ext}") as recorder:
        for frame in frames_at(UNEVEN):
            recorder.write(frame)
    numbers, times = decoded(tmp_path / f"out{ext}")
    assert numbers == list(range(7))
    for got, pts in zip(times, UNEVEN, strict=True):  # Matroska counts milliseconds
        assert abs(got - (pts - UNEVEN[0]) * MICROSECOND) <= Fraction(1, 1000)


def test_each_pause_ends_a_file(tmp_path: Path) -> None:
    log: list[str] = []
    (tmp_path / "out-3.mp4").write_text("mine")
    with Recorder(tmp_path / "out.mp4", log=log.append) as recorder:
        for first in (0, 3, 6):
            for n in range(first, first + 3):
                recorder.write(frame_at(n * 40_000, n))
            recorder.pause()
            recorder.pause()
    names = ["out.mp4", "out-2.mp4", "out-4.mp4"]
    assert [path.name for path in recorder.paths] == names
    for first, name in zip((0, 3, 6), names, strict=True):
        numbers, times = decoded(tmp_path / name)
        assert numbers == [first, first + 1, first + 2]
        assert times == [0, Fraction(4, 100), Fraction(8, 100)]
    assert (tmp_path / "out-3.mp4").read_text() == "mine"
    assert log[:2] == [f"recording {tmp_path}/out.mp4", f"{tmp_path}/out.mp4: 0.1 s, 3 frames"]


def test_another_size_begins_the_next_file(tmp_path: Path) -> None:
    log: list[str] = []
    with Recorder(tmp_path / "out.mp4", log=log.append) as recorder:
        recorder.write(frame_at(0, 1))
        recorder.write(frame_at(33_333, 2))
        recorder.write(frame_at(66_666, 3, (64, 96)))
    assert decoded(tmp_path / "out.mp4")[0] == [1, 2]
    assert decoded(tmp_path / "out-2.mp4")[0] == [3]
    assert "out.mp4 ends: the picture is now 96x64" in log


def test_odd_sizes_are_kept(tmp_path: Path) -> None:
    log: list[str] = []
    with Recorder(tmp_path / "out.mp4", log=log.append) as recorder:
        recorder.write(frame_at(0, 9, (49, 67)))
    with av.open(str(tmp_path / "out.mp4")) as container:
        stream = container.streams.video[0]
        assert (stream.height, stream.width) == (49, 67)
    assert any("odd size" in line for line in log)


def test_nothing_has_the_name_before_it_is_complete(tmp_path: Path) -> None:
    with Recorder(tmp_path / "out.mp4") as recorder:
        recorder.write(frame_at(0))
        recorder.write(frame_at(33_333))
        assert [path.name for path in tmp_path.glob("out*")] == ["out.partial.mp4"]
    assert [path.name for path in tmp_path.iterdir()] == ["out.mp4"]


@pytest.mark.parametrize("error", [KeyboardInterrupt, RuntimeError])
def test_is_complete_whatever_ended_it(error: type[BaseException], tmp_path: Path) -> None:
    with pytest.raises(error), Recorder(tmp_path / "out.mp4") as recorder:
        for frame in frames_at(UNEVEN):
            recorder.write(frame)
        raise error
    assert decoded(tmp_path / "out.mp4")[0] == list(range(7))
    assert len(list(tmp_path.iterdir())) == 1


def test_without_a_frame_there_is_no_file(tmp_path: Path) -> None:
    with Recorder(tmp_path / "out.mp4") as recorder:
        recorder.pause()
    assert list(tmp_path.iterdir()) == []


def test_existing_file_is_refused_at_once_unless_asked(tmp_path: Path) -> None:
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
    assert decoded(path)[0] == [5]
    assert (tmp_path / "out-2.mp4").read_text() == "mine too"
    assert decoded(tmp_path / "out-3.mp4")[0] == [6]


@pytest.mark.parametrize("name", ["out.mp5", "not/out.mp4"])
def test_what_cannot_be_written_is_reported_at_once(name: str, tmp_path: Path) -> None:
    with pytest.raises(SinkError):
        Recorder(tmp_path / name)


def test_is_complete_before_the_disk_is_full(tmp_path: Path) -> None:
    with (
        small_disk(tmp_path / "disk", "2m") as disk,
        Recorder(disk / "out.mp4", reserve_bytes=1 << 20) as recorder,
    ):
        count = 0
        with pytest.raises(SinkError, match=r"less than 1 MiB free .* \(out.mp4 is complete\)"):
            for frame in noise(2000):
                recorder.write(frame)
                count += 1
        assert len(decoded(disk / "out.mp4")[0]) == count > 1


def test_recording_is_stopped_and_started(tmp_path: Path) -> None:
    log: list[str] = []
    with DroppingSink(Recorder(tmp_path / "out.mp4"), "recording", log.append) as out:
        for n in range(6):
            out.write(frame_at(n * 40_000, n))
            if n % 2:
                out.pause()
            wait_until(lambda n=n: out.written == n + 1)  # type: ignore[misc]
    for number, name in enumerate(("out.mp4", "out-2.mp4", "out-3.mp4")):
        assert decoded(tmp_path / name)[0] == [2 * number, 2 * number + 1]
    assert log == []


def test_a_full_disk_is_reported_and_not_raised(tmp_path: Path) -> None:
    log: list[str] = []
    with small_disk(tmp_path / "disk", "64k") as disk:
        recorder = Recorder(disk / "out.mp4", reserve_bytes=0)
        with DroppingSink(recorder, "recording", log.append, depth=1000) as out:
            for frame in noise(100):
                out.write(frame)
        (line,) = log
        assert "the disk is full" in line and list(disk.iterdir()) == []


def test_a_lost_folder_is_reported_and_not_raised(tmp_path: Path) -> None:
    log: list[str] = []
    folder = tmp_path / "stick"
    folder.mkdir()
    with DroppingSink(Recorder(folder / "out.mp4"), "recording", log.append) as out:
        out.write(frame_at(0))
        wait_until(lambda: out.written == 1)
        shutil.rmtree(folder)
        out.write(frame_at(33_333))
        wait_until(lambda: out.error is not None)
    assert log[0].startswith(f"recording: cannot write to {folder}: ")
    assert all(line.startswith("recording: ") for line in log)
