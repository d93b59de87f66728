"""A virtual display for tests: window manager, keys, mouse and screenshots."""

import os
import select
import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from time import monotonic
from typing import Any

import numpy as np
import pytest

SCREEN = (800, 1200)  # height, width, px
PATIENCE = 30  # s; with seven processes a core, a window took more than 10 to be drawn


class Display:
    """A running X server, controlled by xdotool."""

    def __init__(self, name: str, frame_buffer: Path, managed: bool) -> None:
        self.name = name  # as in DISPLAY
        self._frame_buffer = frame_buffer  # in the format of xwd
        self.managed = managed  # whether a window manager runs, for frames and full screen

    def xdotool(self, *arguments: object) -> str:
        """Run xdotool; returns its output, "" if it fails."""
        command = ["xdotool", *map(str, arguments)]
        env = {**os.environ, "DISPLAY": self.name}
        ran = subprocess.run(command, capture_output=True, text=True, env=env, timeout=PATIENCE)
        return ran.stdout.strip() if ran.returncode == 0 else ""

    def picture(self) -> np.ndarray:
        """A screenshot, (H, W, 3) uint8 RGB, with the mouse pointer."""
        data = self._frame_buffer.read_bytes()
        header = np.frombuffer(data, ">u4", 25)
        start = header[0] + 12 * header[19]  # after the header and the color map
        height, width = header[[5, 4]]
        pixels = np.frombuffer(data, np.uint8, height * header[12], start)  # rows of bytes
        return pixels.reshape(height, -1)[:, : 4 * width].reshape(height, width, 4)[..., 2::-1]


def until(
    happened: Callable[[], object],
    *,
    doing: Callable[[], object] = lambda: None,
    seconds: float = PATIENCE,
) -> None:
    """Repeat `doing` until `happened()`; fail after `seconds`."""
    give_up = monotonic() + seconds
    doing()
    while not happened():
        assert monotonic() < give_up, f"it did not happen within {seconds} s"
        doing()


@contextmanager
def virtual_display(folder: Path) -> Iterator[Display]:
    """An Xvfb on a free number, with openbox if installed. Skips the test if it cannot run."""
    for program in ("Xvfb", "xdotool"):
        if not shutil.which(program):
            pytest.skip(f"{program} is not installed: apt-get install xvfb xdotool openbox")
    with ExitStack() as stack:
        number = _start_xvfb(stack, folder)
        managed = bool(shutil.which("openbox"))
        display = Display(f":{number}", folder / "Xvfb_screen0", managed)
        if managed:
            _start(stack, ["openbox", "--sm-disable"], env={**os.environ, "DISPLAY": display.name})
            until(lambda: display.xdotool("get_num_desktops"))
        yield display


def _start_xvfb(stack: ExitStack, folder: Path) -> int:
    """Start Xvfb; returns the display's number. Its frame buffer is a file in the folder."""
    read, write = os.pipe()
    stack.callback(os.close, read)
    height, width = SCREEN
    command = [
        "Xvfb",
        "-displayfd",
        str(write),
        "-nolisten",
        "tcp",
        "-noreset",
        "-r",  # no key repeats, however late a busy machine lets it go
        "-fbdir",
        str(folder),
    ]
    command += ["-screen", "0", f"{width}x{height}x24"]
    _start(stack, command, pass_fds=(write,))
    os.close(write)
    digits = b""
    while not digits.endswith(b"\n"):
        ready, _, _ = select.select([read], [], [], PATIENCE)
        assert ready, f"Xvfb did not start within {PATIENCE} s"
        part = os.read(read, 16)
        assert part, "Xvfb ended instead of starting"
        digits += part
    return int(digits)


def _start(stack: ExitStack, command: list[str], **more: Any) -> None:
    """Run a process until the stack is left."""
    nowhere = subprocess.DEVNULL
    process = subprocess.Popen(command, stdout=nowhere, stderr=nowhere, **more)

    def stop() -> None:
        process.terminate()
        try:
            process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    stack.callback(stop)
