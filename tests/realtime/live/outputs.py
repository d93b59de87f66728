"""What the tests of the live outputs share: timed frames, files read back, a receiver."""

import io
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from impasto.realtime.frame import Frame
from tests.media import SIZE, number_of, numbered_picture

MICROSECOND = Fraction(1, 1_000_000)
LIMIT = 30  # seconds, for what should take none
# As a camera at 30 fps gives them where frames are dropped and one comes late.
UNEVEN = [5_000_017, 5_033_351, 5_166_702, 5_200_000, 5_733_402, 5_766_600, 6_000_017]


def frame_at(pts: int, number: int = 0, size: tuple[int, int] = SIZE) -> Frame:
    return Frame(numbered_picture(number, size), pts, MICROSECOND)


def frames_at(times: list[int], size: tuple[int, int] = SIZE) -> list[Frame]:
    return [frame_at(pts, number, size) for number, pts in enumerate(times)]


def every(seconds: Fraction, count: int) -> list[int]:
    return [round(n * seconds / MICROSECOND) for n in range(count)]


def decoded(path: Path | io.BytesIO, format: str | None = None) -> tuple[list[int], list[Fraction]]:
    """The numbers of the pictures, and their times in seconds."""
    source = path if isinstance(path, io.BytesIO) else str(path)
    with av.open(source, format=format) as container:
        frames = list(container.decode(video=0))
        times = [(f.pts or 0) * (f.time_base or Fraction(1)) for f in frames]
    return [number_of(frame.to_ndarray(format="rgb24")) for frame in frames], times


def wait_until(condition: Callable[[], bool]) -> None:
    """Check again and again a condition that sends no event."""
    ends, tick = time.monotonic() + LIMIT, threading.Event()
    while not condition():
        assert time.monotonic() < ends, "waited in vain"
        tick.wait(0.005)


@contextmanager
def small_disk(folder: Path, size: str) -> Iterator[Path]:
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(folder)]
    try:
        subprocess.run(mount, check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError) as error:
        pytest.skip(f"needs permission to mount a small file system: {error}")
    try:
        yield folder
    finally:
        subprocess.run(["umount", str(folder)], check=True)


def noise(count: int) -> Iterator[Frame]:
    """Frames that make large files."""
    random = np.random.default_rng(0)
    for n in range(count):
        yield Frame(random.integers(0, 256, (144, 192, 3), np.uint8), n * 33_333, MICROSECOND)


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


def decoded_audio(
    path: Path | io.BytesIO, format: str | None = None
) -> tuple[np.ndarray, int, Fraction]:
    """The audio of a file: samples in [-1, 1], their rate, the time of the first in seconds."""
    source = path if isinstance(path, io.BytesIO) else str(path)
    with av.open(source, format=format) as container:
        stream = container.streams.audio[0]
        pieces = list(container.decode(stream))
        first = (pieces[0].pts or 0) * (pieces[0].time_base or Fraction(1))
        resampler = av.AudioResampler(format="flt", layout="mono")
        samples = [r.to_ndarray()[0] for p in pieces for r in resampler.resample(p)]
        return np.concatenate(samples), stream.rate, first
