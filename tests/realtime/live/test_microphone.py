"""The microphone, and its audio in recordings and streams: in time with the pictures.

A generator that runs in real time stands for the device; all else is the same.
"""

import sys
import time
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from impasto.models.errors import SourceError
from impasto.realtime.live import microphone as microphones
from impasto.realtime.live.microphone import Microphone
from impasto.realtime.live.recorder import Recorder
from impasto.realtime.live.stream_out import StreamOut
from tests.realtime.live.outputs import (
    LIMIT,
    Receiver,
    decoded,
    decoded_audio,
    every,
    frame_at,
    wait_until,
)

pytestmark = pytest.mark.usefixtures("no_thread_is_left")


BEEPS = "aevalsrc='sin(2000*PI*t)*between(mod(t,0.5),0.2,0.3)':s=44100,arealtime"


def beeps(samples: np.ndarray, rate: int) -> np.ndarray:
    """When each beep begins, in seconds from the first sample."""
    loud = np.flatnonzero(np.abs(samples) > 0.3) / rate
    return loud[np.flatnonzero(np.diff(loud, prepend=-1) > 0.1)]


def record(microphone: Microphone, path: Path, seconds: float, zero: float) -> list[str]:
    log: list[str] = []
    with Recorder(path, microphone=microphone, epoch=zero - 3, log=log.append) as recorder:
        for pts in every(Fraction(1, 30), round(30 * seconds)):
            recorder.write(frame_at(3_000_000 + pts))
    return log


@pytest.mark.parametrize("ext", [".mp4", ".mkv", ".webm"])
def test_audio_is_as_long_as_the_video(ext: str, tmp_path: Path) -> None:
    path = tmp_path / f"out{ext}"
    with Microphone("sine=frequency=440,arealtime", format="lavfi") as microphone:
        record(microphone, path, 0.5, time.monotonic())
    samples, rate, first = decoded_audio(path)
    assert first == 0 and abs(len(samples) / rate - 0.5) < 0.05
    assert len(decoded(path)[0]) == 15
    assert np.abs(samples[rate // 20 : 9 * rate // 20]).max() > 0.05  # ffmpeg's sine is at 1/8


def test_audio_and_video_stay_together(tmp_path: Path) -> None:
    path = tmp_path / "out.mp4"
    with Microphone(BEEPS, format="lavfi") as microphone:
        assert microphone.wait_until(time.monotonic(), LIMIT)
        (first, *_), _ = microphone.chunks()
        # The video begins a tenth of a second after the first sample.
        record(microphone, path, 0.8, first.time + 0.1)
    samples, rate, zero = decoded_audio(path)
    assert zero == 0
    starts = beeps(samples, rate)
    # 0.05 s: the generator gives chunks of 23 ms, stamped by the earliest arrival of any of them,
    # and a busy machine delays those. Measured: 2 ms.
    assert np.abs(starts - [0.1, 0.6]).max() < 0.05
    assert abs(len(samples) / rate - 0.8) < 0.05


def test_several_recordings(tmp_path: Path) -> None:
    with (
        Microphone("sine,arealtime", format="lavfi") as microphone,
        Recorder(tmp_path / "out.mp4", microphone=microphone, epoch=time.monotonic()) as out,
    ):
        for begin in (0, 400_000):
            for pts in every(Fraction(1, 30), 6):
                out.write(frame_at(begin + pts))
            out.pause()
    for name in ("out.mp4", "out-2.mp4"):
        samples, rate, zero = decoded_audio(tmp_path / name)
        assert zero == 0 and abs(len(samples) / rate - 0.2) < 0.05


def test_a_stream_and_a_recording_hear_the_same(receiver: Receiver, tmp_path: Path) -> None:
    with Microphone(BEEPS, format="lavfi") as microphone:
        assert microphone.wait_until(time.monotonic(), LIMIT)
        (first, *_), _ = microphone.chunks()
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
    numbers, times = decoded(data, "mpegts")
    data.seek(0)
    samples, rate, zero = decoded_audio(data, "mpegts")
    assert len(numbers) == 24
    # As above: the video begins a tenth of a second after the first sample.
    starts = beeps(samples, rate) + float(zero - times[0])
    assert np.abs(starts - [0.1, 0.6]).max() < 0.05
    samples, rate, _ = decoded_audio(tmp_path / "out.mp4")
    assert np.abs(beeps(samples, rate) - [0.1, 0.6]).max() < 0.05


def test_a_new_stream_has_no_silence_before_it(receiver: Receiver) -> None:
    now = time.monotonic()
    with (
        Microphone("sine,arealtime", format="lavfi") as microphone,
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
    samples, rate, zero = decoded_audio(data, "mpegts")
    data.seek(0)
    _, times = decoded(data, "mpegts")
    # The silence would be a minute. The audio goes on until the stream is closed, which takes
    # seconds on a busy machine.
    assert len(samples) / rate < 30 and abs(zero - times[0]) < 0.1


def test_a_file_that_cannot_hold_audio(tmp_path: Path) -> None:
    with Microphone("sine,arealtime", format="lavfi") as microphone:
        log = record(microphone, tmp_path / "out.gif", 0.2, time.monotonic())
    assert any("cannot hold audio" in line for line in log)
    assert len(decoded(tmp_path / "out.gif")[0]) == 6


def test_a_microphone_that_is_lost(tmp_path: Path) -> None:
    log: list[str] = []
    sine = "sine=duration=0.1,arealtime"
    with Microphone(sine, format="lavfi", log=log.append) as microphone:
        zero = time.monotonic()
        wait_until(lambda: bool(log))
        record(microphone, tmp_path / "out.mp4", 0.5, zero)
    assert log == [f"the microphone {sine} was lost (it ended): continuing without audio"]
    assert len(decoded(tmp_path / "out.mp4")[0]) == 15


def test_no_microphone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("XDG_RUNTIME_DIR", raising=False)
    if sys.platform != "linux" or microphones._has_sound():
        pytest.skip("this machine may have a microphone")
    with pytest.raises(SourceError, match="no microphone .*no sound device.*connect one"):
        Microphone()


@pytest.mark.parametrize(
    ("name", "format"), [("nonsense", "lavfi"), ("testsrc", "lavfi"), ("x", "no_such_format")]
)
def test_not_a_microphone(name: str, format: str) -> None:
    with pytest.raises(SourceError, match=f"no microphone .{format} {name}: ") as caught:
        Microphone(name, format=format)
    assert "\n" not in str(caught.value)
