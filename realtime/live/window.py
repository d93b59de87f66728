"""The preview window: shows pictures, and takes keys, mouse and close button into the controls.

OpenCV's own, whose ways it has to know: Qt ends the process where it finds no display, so that is
asked first; Qt enlarges by repeating pixels, so pictures come to it at the window's size; and a
picture shown in a window that was closed would open it again.
"""

import ctypes
import os
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from time import monotonic
from typing import Self

import cv2
import numpy as np

from impasto.models.errors import SinkError
from impasto.realtime.live.controls import Controls, press, values
from impasto.realtime.live.overlay import composed, opacity_at, placed

_LARGEST = (720, 1280)  # height, width of a window that nobody has resized yet
_WITHOUT = "use --no-window"


class Window:
    """A window, resizable, for the main thread. `styles`: the names that its keys go through.

        with Window("Impasto", styles=names) as window:
            while not controls.quit:
                window.show(original, stylized, controls, style_name=name, lines=lines)

    It opens with the first picture, at its size up to 1280x720. clock: seconds, never set back.
    Raises SinkError where no window can be had, and says what to do.
    """

    def __init__(
        self, title: str, *, styles: Sequence[str] = (), clock: Callable[[], float] = monotonic
    ) -> None:
        _check_display()
        self.title, self.styles, self._clock = title, styles, clock
        self.closed = False
        self._open = self._seen = False
        self._full_screen = False
        self._dragged_to: int | None = None  # px from the window's left, since the last `show`
        self._style_name = ""
        self._values: dict[str, str] = {}
        self._caption, self._told_at = "", clock()

    def show(
        self,
        original: np.ndarray,
        stylized: np.ndarray,
        controls: Controls,
        *,
        style_name: str,
        lines: Sequence[str] = (),
    ) -> None:
        """Show a picture and what is drawn over it; then take what the user did into `controls`.

        original, stylized: (H, W, 3) uint8 RGB; lines: the read-outs. A new `style_name` fades in
        and out again. Returns when it is drawn; where the window was closed, at once.
        """
        if self.closed:
            controls.quit = True
            return
        size = self._window_size(stylized.shape, controls)
        self._note_changes(style_name, controls)
        picture = composed(
            original,
            stylized,
            controls,
            size=size,
            lines=lines,
            caption=self._caption,
            opacity=opacity_at(self._clock() - self._told_at),
        )
        cv2.imshow(self.title, cv2.cvtColor(picture, cv2.COLOR_RGB2BGR))
        # On Qt and GTK it sleeps for a millisecond, as all there is to ask for keys with.
        press(cv2.pollKey(), controls, self.styles)
        if self._dragged_to is not None and controls.compare is not None:
            _, left, _, width = placed(stylized.shape, size)
            controls.compare = min(1.0, max(0.0, (self._dragged_to - left) / max(1, width - 1)))
        self._dragged_to = None
        if self._was_closed():
            self.closed = controls.quit = True

    def tell(self, words: str) -> None:
        """Show a few words for a moment, where the style's name is shown."""
        self._caption, self._told_at = words, self._clock()

    def close(self) -> None:
        """Close the window. A second call does nothing."""
        self.closed = True
        if self._open:
            self._open = False
            with suppress(cv2.error):  # it was closed by its button
                cv2.destroyWindow(self.title)
                cv2.pollKey()  # or else it would stay until the next window is opened

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _window_size(self, shape: tuple[int, ...], controls: Controls) -> tuple[int, int]:
        """Height and width in px, of a window that is open and full screen or not, as asked."""
        if not self._open:
            self._open_window(shape)
        if controls.full_screen != self._full_screen:
            self._full_screen = controls.full_screen
            mode = cv2.WINDOW_FULLSCREEN if self._full_screen else cv2.WINDOW_NORMAL
            cv2.setWindowProperty(self.title, cv2.WND_PROP_FULLSCREEN, mode)
        _, _, width, height = cv2.getWindowImageRect(self.title)
        if height < 2 or width < 2:  # while it is an icon, on some systems
            return shape[0], shape[1]
        return height, width

    def _open_window(self, shape: tuple[int, ...]) -> None:
        flags = cv2.WINDOW_NORMAL | cv2.WINDOW_FREERATIO | cv2.WINDOW_GUI_NORMAL
        try:
            cv2.namedWindow(self.title, flags)
        except cv2.error as error:  # GTK, where it finds no display
            raise SinkError(f"no window can be opened here ({error.err}); {_WITHOUT}") from None
        self._open = True
        height, width = shape[:2]
        if height > _LARGEST[0] or width > _LARGEST[1]:
            _, _, height, width = placed(shape, _LARGEST)
        cv2.resizeWindow(self.title, width, height)
        cv2.setMouseCallback(self.title, self._on_mouse)

    def _on_mouse(self, event: int, x: int, y: int, flags: int, _: object) -> None:
        if event == cv2.EVENT_LBUTTONDOWN or (
            event == cv2.EVENT_MOUSEMOVE and flags & cv2.EVENT_FLAG_LBUTTON
        ):
            self._dragged_to = x

    def _note_changes(self, style_name: str, controls: Controls) -> None:
        """Make a change since the last picture the caption."""
        now = values(controls)
        changed = [
            f"{name} {now[name]}" for name in self._values if self._values[name] != now[name]
        ]
        self._values = now
        if style_name != self._style_name:
            self._style_name = style_name
            self.tell(style_name)
        elif changed:
            self.tell(changed[0])

    def _was_closed(self) -> bool:
        try:
            visible = cv2.getWindowProperty(self.title, cv2.WND_PROP_VISIBLE) > 0
        except cv2.error:  # Qt, when its last window is gone
            return True
        self._seen = self._seen or visible
        return self._seen and not visible  # it is never seen on systems that cannot tell


def _check_display() -> None:
    """Raise SinkError where OpenCV has no window, or would find no display for it."""
    framework = cv2.currentUIFramework()
    if not framework:
        raise SinkError(
            "this OpenCV was built without windows (opencv-python-headless?): "
            f"install opencv-python in its place, or {_WITHOUT}"
        )
    if not sys.platform.startswith("linux"):
        return
    if not os.environ.get("DISPLAY") and not os.environ.get("WAYLAND_DISPLAY"):
        raise SinkError(f"there is no display here (DISPLAY is not set): {_WITHOUT}")
    if framework.startswith("QT"):
        _prepare_qt()


def _prepare_qt() -> None:
    """Have Qt say nothing of what does not matter; raise SinkError for what would end it."""
    ours = Path(cv2.__file__).parent / "qt" / "plugins" / "platforms"
    if not ours.is_dir():  # not the wheel's Qt: that of the system, which knows its own display
        return
    # The wheel's Qt can do X11 only, and says so or dies where the desktop's settings name another.
    os.environ["QT_QPA_PLATFORM"] = "xcb"
    # It looks for fonts where the wheel has none, and complains; any folder will do, as all that is
    # written here OpenCV writes by itself.
    if not Path(os.environ.get("QT_QPA_FONTDIR", "")).is_dir():
        os.environ["QT_QPA_FONTDIR"] = str(ours)
    if not os.environ.get("DISPLAY"):
        raise SinkError(f"OpenCV's window needs X11, as from Xwayland (set DISPLAY), or {_WITHOUT}")
    try:
        ctypes.CDLL(str(ours / "libqxcb.so"))  # as Qt will, with all that this needs
    except OSError as error:
        raise SinkError(
            f"OpenCV's window lacks a library of the system ({error}): install it, or {_WITHOUT}"
        ) from None
    if _av_came_first():
        raise SinkError(
            "OpenCV's window would hang, as PyAV was loaded before OpenCV: import cv2 (or "
            f"impasto.realtime.live.window) before av, or {_WITHOUT}"
        )
    if not _x11_answers():
        raise SinkError(
            f"the display {os.environ['DISPLAY']} does not answer: set DISPLAY, or {_WITHOUT}"
        )


def _av_came_first() -> bool:
    """Whether Qt got PyAV's copy of libxcb-shm, which is of the same name as its own.

    That copy brings another libxcb with it than the one Qt opens its connection by, and waits for
    an answer there for ever. Whoever is loaded first decides.
    """
    maps = Path("/proc/self/maps")
    return maps.exists() and "av.libs/libxcb-shm" in maps.read_text()


def _x11_answers() -> bool:
    """Whether the X server that DISPLAY names lets us in, asked with the library Qt asks with."""
    xcb = ctypes.CDLL("libxcb.so.1")
    xcb.xcb_connect.restype = ctypes.c_void_p
    connection = ctypes.c_void_p(xcb.xcb_connect(None, None))
    failed = xcb.xcb_connection_has_error(connection)
    xcb.xcb_disconnect(connection)
    return not failed
