"""The command in a separate process: standard streams, exit codes and signals."""

import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from tests.media import frame_count, make_clip

ROOT = Path(__file__).parents[3]


def start(*arguments: object) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "impasto.realtime", *map(str, arguments)],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_converts(clip: Path, style: Path) -> None:
    out = clip.with_name("out.mp4")
    with start("video", clip, out, "--style", style) as process:
        printed, errors = process.communicate()
    assert (process.returncode, errors) == (0, "")
    assert f"{out}: 10 frames" in printed


def test_no_bar_without_a_terminal_and_no_output_of_encoders(clip: Path, style: Path) -> None:
    jobs = [
        ["video", str(clip), str(clip.with_name(f"{codec}.mkv")), "--style", str(style)]
        + ["--codec", codec]
        for codec in ("av1", "hevc")
    ]
    code = f"from impasto.realtime.cli.main import main; print([main(job) for job in {jobs}])"
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT)
    assert (ran.returncode, ran.stderr) == (0, "")
    assert ran.stdout.endswith("[0, 0]\n")


def test_goes_on_when_nobody_reads_its_output(clip: Path, style: Path) -> None:
    out = clip.with_name("out.mp4")
    with start("video", clip, out, "--style", style) as process:
        assert process.stdout is not None
        process.stdout.close()
        process.stdout = None
        _, errors = process.communicate()
    assert (process.returncode, errors, frame_count(out)) == (0, "", 10)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no full device here")
def test_standard_output_that_is_closed_or_full(clip: Path, style: Path) -> None:
    out = clip.with_name("out.mp4")
    command = [sys.executable, "-m", "impasto.realtime", "video", clip, out, "--style", style]
    for where, code, said in (
        ("/dev/full", 1, "impasto: cannot write to standard output: No space left on device\n"),
        ("&-", 0, ""),
    ):
        shell = ["sh", "-c", f'exec "$@" >{where}', "sh", *map(str, command)]
        ran = subprocess.run(shell, capture_output=True, text=True, cwd=ROOT)
        assert (ran.returncode, ran.stderr) == (code, said)
        assert out.exists() == (code == 0) and not list(clip.parent.glob("*.partial.*"))


def test_error(tmp_path: Path, style: Path) -> None:
    missing = tmp_path / "missing.mp4"
    with start("video", missing, tmp_path / "out.mp4", "--style", style) as process:
        printed, errors = process.communicate()
    assert (process.returncode, printed) == (1, "")
    assert errors == f"impasto: {missing} does not exist; check the name\n"


@pytest.fixture(scope="module")
def long_clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A clip of 400 frames that hardly compress."""
    noise = np.random.default_rng(0).integers(0, 256, (20, 96, 128, 3), np.uint8)
    path = tmp_path_factory.mktemp("long") / "in.mp4"
    return make_clip(path, frames=400, size=(96, 128), picture=lambda n, _: noise[n % 20])


@pytest.mark.skipif(sys.platform == "win32", reason="SIGINT is sent in another way there")
@pytest.mark.parametrize("name", ["SIGINT", "SIGHUP"])
def test_ctrl_c_keeps_what_is_done(name: str, long_clip: Path, tmp_path: Path, style: Path) -> None:
    out, partial = tmp_path / "out.mp4", tmp_path / "out.partial.mp4"
    number = getattr(signal, name)
    # A child inherits what is ignored: SIGINT in the background of a shell, SIGHUP under nohup.
    before = signal.signal(number, signal.default_int_handler)
    try:
        process = start("video", long_clip, out, "--style", style)
    finally:
        signal.signal(number, before)
    with process:
        while not partial.exists() or partial.stat().st_size < 100_000:
            try:
                process.wait(0.02)
            except subprocess.TimeoutExpired:
                continue
            pytest.fail(f"it ended before the signal: {process.communicate()}")
        process.send_signal(number)
        _, errors = process.communicate()
    assert process.returncode == 130
    assert errors == f"impasto: stopped; the video so far is {partial}\n"
    assert not out.exists() and 0 < frame_count(partial) < 400
