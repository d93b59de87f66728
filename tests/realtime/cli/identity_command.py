"""The `impasto` command with a stylizer that returns its frames, to be run by `python -m`."""

import sys
from collections.abc import Iterator
from typing import Any

from impasto.realtime import stylizer
from impasto.realtime.cli import watch
from impasto.realtime.cli.main import main
from impasto.realtime.frame import Frame


class UnchangedStylizer:
    """In place of `LazyStylizer`; it logs a line, as that does."""

    def __init__(self, options: Any, log: Any, **_: Any) -> None:
        self._log = log

    def __call__(self, batches: Iterator[list[Frame]]) -> Iterator[Frame]:
        self._log("engine: none")
        for batch in batches:
            yield from batch

    def notes(self) -> list[str]:
        return []


if __name__ == "__main__":
    watch.POLL_SECONDS = 0.1
    stylizer.LazyStylizer = UnchangedStylizer  # type: ignore[assignment,misc]
    sys.exit(main())
