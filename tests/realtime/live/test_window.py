"""The real window on its own display: real keys, a real mouse, and the screen read back."""

import faulthandler
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from impasto.models.errors import SinkError
from impasto.realtime.live.controls import KEYS, Controls, press
from impasto.realtime.live.overlay import compose
from impasto.realtime.live.window import PreviewWindow
from tests.display import PATIENCE, SCREEN, Display, until

ROOT = Path(__file__).parents[3]
TITLE = "Impasto test"
STYLES = ("dawn", "noon", "dusk")
SIZE = HEIGHT, WIDTH = 240, 320
# What xdotool and cv2.pollKey call the keys that are no letters.
SYMBOLS = {
    "←": ("Left", 65361),
    "↑": ("Up", 65362),
    "→": ("Right", 65363),
    "↓": ("Down", 65364),
    "space": ("space", 32),
    "esc": ("Escape", 27),
    "+": ("plus", ord("+")),
    "-": ("minus", ord("-")),
    "[": ("bracketleft", ord("[")),
    "]": ("bracketright", ord("]")),
    ",": ("comma", ord(",")),
    ".": ("period", ord(".")),
}


def noise(seed: int, size: tuple[int, int] = SIZE) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (*size, 3), np.uint8)


ORIGINAL, STYLIZED = noise(0), noise(1)


@pytest.fixture(autouse=True)
def _in_time() -> Iterator[None]:
    """A window that hangs ends the run, with a traceback, since nothing else could."""
    faulthandler.dump_traceback_later(4 * PATIENCE, exit=True)
    yield
    faulthandler.cancel_dump_traceback_later()


class Viewer:
    """A user of a window, which is shown again and again while they press keys and drag."""

    def __init__(self, display: Display) -> None:
        self.display, self.now = display, 0.0
        self.window = PreviewWindow(TITLE, styles=STYLES, clock=lambda: self.now)
        self.controls = Controls(mirror=False, readouts=False)
        self.original, self.stylized = ORIGINAL, STYLIZED
        self.style_name = ""

    def look(self) -> None:
        self.window.show(
            self.original,
            self.stylized,
            self.controls,
            style_name=self.style_name,
            lines=["30.0 fps"],
        )
        self.controls = self.window.read_input(self.controls)

    def screen(self) -> np.ndarray:
        """What the screen shows where the window is."""
        left, top, width, height = cv2.getWindowImageRect(TITLE)
        return self.display.picture()[top : top + height, left : left + width]

    def until_shown(self, expected: np.ndarray, seconds: float = PATIENCE) -> None:
        self.display.xdotool("mousemove", *SCREEN[::-1])  # the pointer would be in the picture
        until(lambda: np.array_equal(self.screen(), expected), doing=self.look, seconds=seconds)

    def until_resized(self, size: tuple[int, int]) -> None:
        until(lambda: cv2.getWindowImageRect(TITLE)[2:] == size[::-1], doing=self.look)

    def mouse(self, x: int, y: int) -> None:
        left, top, _, _ = cv2.getWindowImageRect(TITLE)
        self.display.xdotool("mousemove", left + x, top + y)

    def press(self, symbol: str) -> None:
        """Press a key, once the window has the keyboard.

        The X server sends keys to whatever has the focus, and the window manager may give that
        away again after it has shown a window.
        """
        until(self.has_focus, doing=self.take_focus)
        self.display.xdotool("key", symbol)

    def take_focus(self) -> None:
        self.display.xdotool("search", "--name", TITLE, "windowfocus")
        self.look()

    def has_focus(self) -> bool:
        focused = self.display.xdotool("getwindowfocus")
        return focused in self.display.xdotool("search", "--name", TITLE).split()


@pytest.fixture
def viewer(display: Display, monkeypatch: pytest.MonkeyPatch) -> Iterator[Viewer]:
    """Before a window that is open.

    On a busy machine a window may stay black however often it is shown (4 of 1,300): Qt does not
    paint it. Another one is opened in its place.
    """
    monkeypatch.setenv("DISPLAY", display.name)
    viewer = Viewer(display)
    try:
        viewer.until_shown(STYLIZED, seconds=5)
    except AssertionError:
        viewer.window.close()
        viewer = Viewer(display)
        viewer.until_shown(STYLIZED)
    with viewer.window:
        yield viewer


def test_the_screen_shows_the_picture_and_what_is_drawn_over_it(viewer: Viewer) -> None:
    viewer.stylized = noise(2)
    viewer.until_shown(viewer.stylized)
    viewer.controls = Controls(help=True, recording=True)
    viewer.until_shown(compose(ORIGINAL, viewer.stylized, viewer.controls, lines=["30.0 fps"]))


@pytest.mark.parametrize("name", [name for key in KEYS for name in key.keys])
def test_a_real_key_does_what_the_help_says(viewer: Viewer, name: str) -> None:
    symbol, code = SYMBOLS.get(name) or (name, ord(name))
    before = viewer.controls = Controls(mirror=False, readouts=False, strength=0.5)
    after = press(code, before, STYLES)
    assert after != before
    viewer.press(symbol)
    until(lambda: viewer.controls != before, doing=viewer.look)
    assert viewer.controls == after


def test_the_bar_is_dragged_with_the_mouse(viewer: Viewer) -> None:
    viewer.controls = replace(viewer.controls, compare=0.5)
    viewer.look()
    viewer.mouse(WIDTH // 2, HEIGHT // 2)
    viewer.display.xdotool("mousedown", 1)
    viewer.mouse(250, 100)
    until(lambda: viewer.controls.compare == pytest.approx(250 / (WIDTH - 1)), doing=viewer.look)
    viewer.display.xdotool("mouseup", 1)
    viewer.mouse(100, 100)  # with no button down, this moves nothing
    viewer.until_shown(compose(ORIGINAL, STYLIZED, viewer.controls))
    assert viewer.controls.compare == pytest.approx(250 / (WIDTH - 1))
    np.testing.assert_array_equal(viewer.screen()[:, :220], ORIGINAL[:, :220])


def test_the_mouse_does_nothing_where_nothing_is_compared(viewer: Viewer) -> None:
    viewer.mouse(WIDTH // 2, HEIGHT // 2)
    viewer.display.xdotool("click", 1)
    viewer.press("k")  # comes after the click
    until(lambda: viewer.controls.keep_color, doing=viewer.look)
    assert viewer.controls.compare is None


def test_a_resized_window_has_the_picture_in_its_middle(viewer: Viewer) -> None:
    viewer.display.xdotool("search", "--name", TITLE, "windowsize", 500, 300)
    viewer.until_resized((300, 500))
    viewer.until_shown(compose(ORIGINAL, STYLIZED, viewer.controls, size=(300, 500)))
    screen = viewer.screen()
    assert not screen[:, :50].any() and not screen[:, -50:].any()  # (500 - 300 * 4/3) / 2 = 50
    # The bar is where the mouse is in the picture, not in the window.
    viewer.controls = replace(viewer.controls, compare=0.9)
    viewer.mouse(250, 150)
    viewer.display.xdotool("click", 1)
    until(lambda: viewer.controls.compare == pytest.approx(0.5, abs=1 / 400), doing=viewer.look)


def test_a_large_picture_opens_in_a_window_that_fits_a_screen(
    display: Display, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DISPLAY", display.name)
    viewer = Viewer(display)
    viewer.stylized = noise(3, (1440, 1920))
    with viewer.window:
        viewer.until_resized((720, 960))


def test_full_screen_and_back(viewer: Viewer) -> None:
    if not viewer.display.managed:
        pytest.skip("full screen needs a window manager: apt-get install openbox")
    viewer.press("f")
    until(lambda: viewer.controls.full_screen, doing=viewer.look)
    viewer.until_resized(SCREEN)
    # Without the last columns, since the pointer has nowhere else to be. They are black.
    expected = compose(ORIGINAL, STYLIZED, viewer.controls, size=SCREEN)[:, :-32]
    until(lambda: np.array_equal(viewer.screen()[:, :-32], expected), doing=viewer.look)
    viewer.press("Escape")
    viewer.until_resized(SIZE)
    assert not viewer.controls.full_screen and not viewer.controls.quit
    viewer.until_shown(STYLIZED)


def test_the_close_button_quits_and_the_window_stays_closed(viewer: Viewer) -> None:
    if not viewer.display.managed:
        pytest.skip("a close button needs a window manager: apt-get install openbox")
    left, top, width, _ = cv2.getWindowImageRect(TITLE)
    viewer.display.xdotool("mousemove", left + width - 8, top - 10, "click", 1)
    until(lambda: viewer.controls.quit, doing=viewer.look)
    viewer.controls = replace(viewer.controls, quit=False)
    viewer.look()
    assert viewer.controls.quit
    until(lambda: not viewer.display.xdotool("search", "--onlyvisible", "--name", TITLE))


def test_a_new_style_is_named_for_a_moment(viewer: Viewer) -> None:
    viewer.style_name, viewer.now = "Udnie", 100.0
    viewer.look()
    viewer.now += 0.5
    viewer.until_shown(compose(ORIGINAL, STYLIZED, viewer.controls, caption="Udnie"))
    viewer.now += 5
    viewer.until_shown(STYLIZED)


def test_a_changed_value_is_shown_for_a_moment(viewer: Viewer) -> None:
    viewer.now = 100.0
    viewer.press("minus")
    until(lambda: viewer.controls.strength == 0.9, doing=viewer.look)
    viewer.look()
    viewer.now += 0.5
    viewer.until_shown(compose(ORIGINAL, STYLIZED, viewer.controls, caption="strength 90%"))
    viewer.now += 5
    viewer.window.show_message("saved")
    viewer.now += 0.5
    viewer.until_shown(compose(ORIGINAL, STYLIZED, viewer.controls, caption="saved"))


def test_closing_twice_does_nothing(viewer: Viewer) -> None:
    viewer.window.close()
    viewer.window.close()
    viewer.look()
    assert viewer.controls.quit


def run_with(env: dict[str, str]) -> subprocess.CompletedProcess[str]:
    """A process that shows a picture once."""
    code = (
        "import numpy as np; from impasto.realtime.live.controls import Controls;"
        "from impasto.realtime.live.window import PreviewWindow;"
        "image = np.zeros((90, 160, 3), np.uint8); window = PreviewWindow('x');"
        "window.show(image, image, Controls(), style_name='dawn');"
        "window.read_input(Controls()); window.close(); print('shown')"
    )
    hidden = ("DISPLAY", "WAYLAND_DISPLAY", "QT_QPA_PLATFORM", "QT_QPA_FONTDIR")
    env = {**{k: v for k, v in os.environ.items() if k not in hidden}, **env}
    return subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, env=env, timeout=60
    )


def test_it_writes_nothing_to_the_terminal_whatever_the_desktop_asks_of_qt(
    display: Display,
) -> None:
    desktop = {"XDG_SESSION_TYPE": "wayland", "WAYLAND_DISPLAY": "wayland-0"}
    ran = run_with({"DISPLAY": display.name, "QT_QPA_PLATFORM": "wayland", **desktop})
    assert (ran.returncode, ran.stdout, ran.stderr) == (0, "shown\n", "")


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="elsewhere a display is there")
@pytest.mark.parametrize(
    "env", [{}, {"DISPLAY": ":9999"}, {"DISPLAY": "nonsense"}, {"WAYLAND_DISPLAY": "wayland-0"}]
)
def test_without_a_display_it_says_what_to_do(env: dict[str, str]) -> None:
    ran = run_with(env)
    assert ran.returncode == 1  # and not a signal, as Qt would end it
    error = ran.stderr.splitlines()[-1]
    assert error.startswith("impasto.models.errors.SinkError: ") and "--no-window" in error
    assert "qt.qpa" not in ran.stderr


def test_opencv_without_windows_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cv2, "currentUIFramework", lambda: "")
    with pytest.raises(SinkError, match="install opencv-python in its place, or use --no-window"):
        PreviewWindow(TITLE)
