"""A folder of paintings as the styles of a live session: the keys step through them."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from time import monotonic
from typing import Any

from impasto.models.errors import SourceError
from impasto.realtime.files.images import images_in
from impasto.realtime.live.controls import Controls
from impasto.realtime.live.loop import Screen

_POLL_SECONDS = 0.5


class StyleFolder:
    """A screen that goes over to a painting as soon as it lies in a folder.

    screen: the one that shows the frames. styles: the session's, which gets the names of files. A
    file counts once it has stayed the same from one look to the next: before, it may still be
    written.
    """

    def __init__(
        self,
        screen: Screen,
        folder: Path,
        styles: list[str],
        *,
        clock: Callable[[], float] = monotonic,
    ) -> None:
        self._screen, self._folder, self._styles, self._clock = screen, folder, styles, clock
        self._looked = clock()
        self._appearing: dict[Path, tuple[int, float]] = {}  # with size and time of change

    def show(self, *pictures: Any, **texts: Any) -> None:
        """As the screen does."""
        self._screen.show(*pictures, **texts)

    def read_input(self, controls: Controls) -> Controls:
        """The controls, changed by the user, or by a painting that has come."""
        controls = self._screen.read_input(controls)
        if self._clock() - self._looked < _POLL_SECONDS:
            return controls
        self._looked = self._clock()
        complete = self._complete()
        self._styles += complete
        return replace(controls, style=len(self._styles) - 1) if complete else controls

    def _complete(self) -> list[str]:
        """The files that are new, and have not changed since the last look."""
        before, self._appearing = self._appearing, {}
        try:
            for path in images_in(self._folder):
                if str(path) not in self._styles:
                    status = path.stat()
                    self._appearing[path] = status.st_size, status.st_mtime
        except (OSError, SourceError):  # it was emptied, or a file has just gone
            return []
        return [str(path) for path, seen in self._appearing.items() if before.get(path) == seen]
