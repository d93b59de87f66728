"""The preview window: shows frames, and turns keys, mouse and the close button into controls.

It is OpenCV's, with its peculiarities: Qt ends the process if there is no display, so that is
checked first; Qt enlarges by repeating pixels, so pictures are scaled to the window's size here;
and showing a picture in a window that was closed would open it again.
"""

import ctypes
import os
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from time import monotonic
from typing import Self

import cv2
import numpy as np

from impasto.models.errors import SinkError
from impasto.realtime.live.controls import Controls, press, values
from impasto.realtime.live.overlay import caption_opacity, compose, letterbox

_LARGEST = (720, 1280)  # height, width of a window before anyone resizes it
_ADVICE = "use --no-window"


class PreviewWindow:
    """A resizable window, for the main thread. `styles`: the names that its keys step through.

        with PreviewWindow("Impasto", styles=names) as window:
            while not controls.quit:
                window.show(original, stylized, controls, style_name=name, lines=lines)
                controls = window.read_input(controls)

    It opens with the first picture, at its size up to 1280x720. clock: seconds, never set back.
    Raises SinkError if no window can be opened, and says what to do.
    """

    def __init__(
        self, title: str, *, styles: Sequence[str] = (), clock: Callable[[], float] = monotonic
    ) -> None:
        _check_display()
        self.title, self.styles, self._clock = title, styles, clock
        self.closed = False
        self._open = self._seen = False
        self._full_screen = False
        self._picture = (0, 1)  # left edge and width of the picture in the window, px
        self._dragged_to: int | None = None  # px from the window's left, since the last input
        self._style_name = ""
        self._values: dict[str, str] = {}
        self._message = ("", clock())  # the text of the caption, and when it was set

    def show(
        self,
        original: np.ndarray,
        stylized: np.ndarray,
        controls: Controls,
        *,
        style_name: str,
        lines: Sequence[str] = (),
    ) -> None:
        """Show a picture and its overlays; nothing if the window was closed.

        original, stylized: (H, W, 3) uint8 RGB; lines: the readouts. A new `style_name` fades in
        and out again. `read_input` draws it.
        """
        if self.closed:
            return
        if not self._open:
            self._open_window(stylized.shape)
        size = self._window_size(stylized.shape, controls)
        _, left, _, width = letterbox(stylized.shape, size)
        self._picture = left, width
        self._caption_changes(style_name, controls)
        caption, since = self._message
        picture = compose(
            original,
            stylized,
            controls,
            size=size,
            lines=lines,
            caption=caption,
            opacity=caption_opacity(self._clock() - since),
        )
        cv2.imshow(self.title, cv2.cvtColor(picture, cv2.COLOR_RGB2BGR))

    def read_input(self, controls: Controls) -> Controls:
        """Process the window's events; the controls after keys, mouse and close button."""
        if self.closed:
            return replace(controls, quit=True)
        # On Qt and GTK this sleeps for a millisecond: OpenCV has no other call that reads keys.
        controls = press(cv2.pollKey(), controls, self.styles)
        if self._dragged_to is not None and controls.compare is not None:
            left, width = self._picture
            position = (self._dragged_to - left) / max(1, width - 1)
            controls = replace(controls, compare=min(1.0, max(0.0, position)))
        self._dragged_to = None
        if self._was_closed():
            self.closed = True
            return replace(controls, quit=True)
        return controls

    def show_message(self, text: str) -> None:
        """Show a short text for a moment, where the style's name is shown. From any thread."""
        self._message = text, self._clock()

    def close(self) -> None:
        """Close the window. A second call does nothing."""
        self.closed = True
        if self._open:
            self._open = False
            with suppress(cv2.error):  # it was closed by its button
                cv2.destroyWindow(self.title)
                cv2.pollKey()  # else it would stay until the next window is opened

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _window_size(self, shape: tuple[int, ...], controls: Controls) -> tuple[int, int]:
        """Height and width in px, after entering or leaving full screen."""
        if controls.full_screen != self._full_screen:
            self._full_screen = controls.full_screen
            mode = cv2.WINDOW_FULLSCREEN if self._full_screen else cv2.WINDOW_NORMAL
            cv2.setWindowProperty(self.title, cv2.WND_PROP_FULLSCREEN, mode)
        _, _, width, height = cv2.getWindowImageRect(self.title)
        if height < 2 or width < 2:  # while minimized, on some systems
            return shape[0], shape[1]
        return height, width

    def _open_window(self, shape: tuple[int, ...]) -> None:
        flags = cv2.WINDOW_NORMAL | cv2.WINDOW_FREERATIO | cv2.WINDOW_GUI_NORMAL
        try:
            cv2.namedWindow(self.title, flags)
        except cv2.error as error:  # GTK without a display
            raise SinkError(f"cannot open a window ({error.err}); {_ADVICE}") from None
        self._open = True
        height, width = shape[:2]
        if height > _LARGEST[0] or width > _LARGEST[1]:
            _, _, height, width = letterbox(shape, _LARGEST)
        cv2.resizeWindow(self.title, width, height)
        cv2.setMouseCallback(self.title, self._on_mouse)

    def _on_mouse(self, event: int, x: int, y: int, flags: int, _: object) -> None:
        if event == cv2.EVENT_LBUTTONDOWN or (
            event == cv2.EVENT_MOUSEMOVE and flags & cv2.EVENT_FLAG_LBUTTON
        ):
            self._dragged_to = x

    def _caption_changes(self, style_name: str, controls: Controls) -> None:
        """Caption the picture with what has changed since the last one."""
        now = values(controls)
        changed = [
            f"{name} {now[name]}" for name in self._values if self._values[name] != now[name]
        ]
        self._values = now
        if style_name != self._style_name:
            self._style_name = style_name
            self.show_message(style_name)
        elif changed:
            self.show_message(changed[0])

    def _was_closed(self) -> bool:
        if not self._open:
            return False
        try:
            visible = cv2.getWindowProperty(self.title, cv2.WND_PROP_VISIBLE) > 0
        except cv2.error:  # Qt, once its last window is gone
            return True
        self._seen = self._seen or visible
        return self._seen and not visible  # on systems that cannot tell, it is never seen


def _check_display() -> None:
    """Raise SinkError if OpenCV has no windows, or there is no display for them."""
    framework = cv2.currentUIFramework()
    if not framework:
        raise SinkError(
            "this OpenCV was built without windows (opencv-python-headless?): "
            f"install opencv-python in its place, or {_ADVICE}"
        )
    if not sys.platform.startswith("linux"):
        return
    if not os.environ.get("DISPLAY") and not os.environ.get("WAYLAND_DISPLAY"):
        raise SinkError(f"no display (DISPLAY is not set): {_ADVICE}")
    if framework.startswith("QT"):
        _prepare_qt()


def _prepare_qt() -> None:
    """Silence Qt's harmless warnings; raise SinkError for what would make it end the process."""
    plugins = Path(cv2.__file__).parent / "qt" / "plugins" / "platforms"
    if not plugins.is_dir():  # not the wheel's Qt but the system's, which knows its own display
        return
    # The wheel's Qt supports X11 only, and warns or aborts if the desktop's settings name another.
    os.environ["QT_QPA_PLATFORM"] = "xcb"
    # It looks for fonts in a folder that the wheel lacks, and warns. Any folder will do: OpenCV
    # draws all text of this window with its own font.
    if not Path(os.environ.get("QT_QPA_FONTDIR", "")).is_dir():
        os.environ["QT_QPA_FONTDIR"] = str(plugins)
    if not os.environ.get("DISPLAY"):
        raise SinkError(f"OpenCV's window needs X11, as from Xwayland (set DISPLAY), or {_ADVICE}")
    try:
        ctypes.CDLL(str(plugins / "libqxcb.so"))  # as Qt will, with all its dependencies
    except OSError as error:
        raise SinkError(
            f"OpenCV's window needs a system library ({error}): install it, or {_ADVICE}"
        ) from None
    if _av_came_first():
        raise SinkError(
            "OpenCV's window would hang because PyAV was loaded before OpenCV: import cv2 (or "
            f"impasto.realtime.live.window) before av, or {_ADVICE}"
        )
    if not _x11_answers():
        raise SinkError(
            f"the display {os.environ['DISPLAY']} does not answer: set DISPLAY, or {_ADVICE}"
        )


def _av_came_first() -> bool:
    """Whether Qt uses PyAV's copy of libxcb-shm, which has the same name as its own.

    That copy is linked to another libxcb than the one Qt opens its connection with, and waits for
    an answer there forever. The copy loaded first is used.
    """
    maps = Path("/proc/self/maps")
    return maps.exists() and "av.libs/libxcb-shm" in maps.read_text()


def _x11_answers() -> bool:
    """Whether the X server named by DISPLAY accepts a connection, by the library that Qt uses."""
    xcb = ctypes.CDLL("libxcb.so.1")
    xcb.xcb_connect.restype = ctypes.c_void_p
    connection = ctypes.c_void_p(xcb.xcb_connect(None, None))
    failed = xcb.xcb_connection_has_error(connection)
    xcb.xcb_disconnect(connection)
    return not failed
