"""Films through pipes: the command in a process of its own, its bytes made and read by PyAV."""

import io
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any, NamedTuple

import av
import pytest

from tests.media import make_clip, number_of

IDENTITY = [sys.executable, "-m", "tests.realtime.cli.identity_command", "video"]
STYLE = ["--style", "great_wave"]


class Film(NamedTuple):
    """What a player reads from bytes that cannot be read twice."""

    format: str
    numbers: list[int]
    times: list[Fraction]
    kinds: list[str]
    audio_packets: int


class OneWay(io.RawIOBase):
    """Bytes that can be read once, without seeking."""

    def __init__(self, data: bytes) -> None:
        self._data = io.BytesIO(data)

    def read(self, size: int = -1) -> bytes:
        return self._data.read(size)


def film_in(data: bytes) -> Film:
    class Pipe:
        read = OneWay(data).read

    with av.open(Pipe(), "r") as container:
        numbers, times, audio = [], [], 0
        for packet in container.demux():
            audio += packet.stream.type == "audio" and packet.size > 0
            if packet.stream.type == "video":
                for frame in packet.decode():
                    assert isinstance(frame, av.VideoFrame) and frame.pts is not None
                    numbers.append(number_of(frame.to_ndarray(format="rgb24")))
                    times.append(frame.pts * (frame.time_base or Fraction(0)))
        kinds = [stream.type for stream in container.streams]
        return Film(container.format.name, numbers, times, kinds, audio)


def start(*arguments: object, **more: Any) -> subprocess.Popen[bytes]:
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    return subprocess.Popen([*IDENTITY, *map(str, arguments), *STYLE], **{**pipes, **more})


def run(arguments: Sequence[object], data: bytes = b"") -> tuple[int, bytes, str]:
    with start(*arguments) as process:
        out, err = process.communicate(data)
    return process.returncode, out, err.decode()


@pytest.fixture(scope="module")
def matroska(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    clip = make_clip(tmp_path_factory.mktemp("film") / "in.mkv", frames=25, audio=["eng", "fra"])
    return clip.read_bytes()


def test_matroska_in_and_out(matroska: bytes) -> None:
    code, out, err = run(["-", "-"], matroska)
    film = film_in(out)
    assert code == 0
    assert film.format == "matroska,webm" and film.kinds == ["video", "audio", "audio"]
    assert film.numbers == list(range(25))
    assert film.times == [Fraction(40 * n, 1000) for n in range(25)]
    assert film.audio_packets == film_in(matroska).audio_packets
    # Everything that is said goes to standard error: on standard output is the film alone.
    assert out.startswith(b"\x1a\x45\xdf\xa3")  # EBML, RFC 8794
    assert "engine: none" in err and "standard output: 25 frames" in err


def test_y4m_in_and_out(tmp_path: Path) -> None:
    with av.open(str(make_clip(tmp_path / "in.mp4", frames=5))) as clip:
        frames = [frame.to_ndarray(format="yuv420p").tobytes() for frame in clip.decode(video=0)]
    # The format as its description has it: a line for the film, one before each frame.
    y4m = b"YUV4MPEG2 W64 H48 F30000:1001 Ip A1:1 C420mpeg2\n"
    y4m += b"".join(b"FRAME\n" + frame for frame in frames)
    code, out, err = run(["-", "-", "--pipe-format", "y4m"], y4m)
    assert code == 0, err
    head, *bodies = out.split(b"FRAME\n")
    assert head.startswith(b"YUV4MPEG2 W64 H48 F30000:1001 Ip ") and b" C420" in head
    assert [len(body) for body in bodies] == [64 * 48 * 3 // 2] * 5
    assert film_in(out).numbers == [0, 1, 2, 3, 4]


def test_y4m_has_a_constant_rate_and_no_sound(tmp_path: Path) -> None:
    clip = make_clip(
        tmp_path / "in.mkv", frames=3, pts=[0, 40, 160], time_base=Fraction(1, 1000), audio=["eng"]
    )
    code, out, err = run([clip, "-", "--pipe-format", "y4m", "--fps", "25"])
    assert code == 0
    assert film_in(out).numbers[:5] == [0, 1, 1, 1, 2]
    assert "audio stream 1 (aac, eng) was left out: " in err


def test_a_part_of_a_film_on_standard_input(matroska: bytes, tmp_path: Path) -> None:
    out = tmp_path / "out.mp4"
    code, printed, err = run(["-", out, "--start", "0.4", "--end", "0.8"], matroska)
    assert (code, err) == (0, "")
    assert "10 frames" in printed.decode()
    with av.open(str(out)) as container:
        found = [number_of(f.to_ndarray(format="rgb24")) for f in container.decode(video=0)]
        sound = container.streams.audio[0]
        assert found == list(range(10, 20))
        assert abs((sound.duration or 0) * (sound.time_base or 0) - Fraction("0.4")) < Fraction(
            1, 20
        )


def test_an_index_at_the_end_cannot_be_read_from_a_pipe(tmp_path: Path) -> None:
    clip = make_clip(tmp_path / "in.mp4", frames=50, size=(240, 320))
    code, printed, err = run(["-", tmp_path / "out.mp4"], clip.read_bytes())
    assert (code, printed) == (1, b"")
    (line,) = err.splitlines()
    assert line.startswith("impasto: no frame of standard input can be decoded; MP4 with its index")
    assert [path.name for path in tmp_path.iterdir()] == ["in.mp4"]


def test_a_reader_that_leaves_ends_the_work(tmp_path: Path) -> None:
    clip = make_clip(tmp_path / "in.mkv", frames=250, size=(240, 320))
    with start(clip, "-", "--pipe-format", "y4m", "--json") as process:
        assert process.stdout is not None and process.stderr is not None
        assert process.stdout.read(100).startswith(b"YUV4MPEG2")
        process.stdout.close()
        err = process.stderr.read().decode()
    assert process.returncode == 0
    assert err == "impasto: stopped: the reader of standard output is gone\n"


@pytest.mark.skipif(sys.platform == "win32", reason="named pipes are those of POSIX")
def test_a_named_pipe(matroska: bytes, tmp_path: Path) -> None:
    """What a shell makes of <(a command), too."""
    pipe = tmp_path / "film.pipe"
    os.mkfifo(pipe)
    writer = threading.Thread(target=lambda: pipe.write_bytes(matroska))
    writer.start()
    code, printed, err = run([pipe, tmp_path / "out.mkv"])
    writer.join()
    assert (code, err) == (0, "") and b"25 frames" in printed


@pytest.mark.skipif(sys.platform == "win32", reason="there, a wait for a pipe cannot be left")
def test_ctrl_c_while_nothing_comes(matroska: bytes, tmp_path: Path) -> None:
    """The film so far is finished, although standard input stays open and silent."""
    with start("-", "-") as process:
        assert process.stdin is not None and process.stdout is not None
        assert process.stderr is not None
        process.stdin.write(matroska[: len(matroska) * 3 // 4])
        process.stdin.flush()
        begun = process.stdout.read(4)
        rest: list[bytes] = []
        reader = threading.Thread(target=lambda: rest.append(process.stdout.read()))  # type: ignore[union-attr]
        reader.start()
        process.send_signal(signal.SIGTERM)  # treated as Ctrl-C
        reader.join()
        err = process.stderr.read().decode()
    assert process.returncode == 130
    assert err.splitlines()[-1] == "impasto: stopped; the film ends here"
    numbers = film_in(begun + rest[0]).numbers
    assert numbers == list(range(len(numbers))) and 0 < len(numbers) < 25


def test_the_screen_is_no_film(tmp_path: Path) -> None:
    clip = make_clip(tmp_path / "in.mkv", frames=2)
    import pty

    reader, terminal = pty.openpty()
    try:
        with start(clip, "-", stdout=terminal) as process:
            _, err = process.communicate()
        with start("-", tmp_path / "out.mp4", stdin=terminal) as process:
            _, err2 = process.communicate()
    finally:
        os.close(reader)
        os.close(terminal)
    assert b"the screen cannot show a film" in err and b"no film on standard input" in err2
