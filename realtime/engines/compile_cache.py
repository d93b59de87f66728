"""The folder of OpenVINO's compiled graphs, kept from run to run.

OpenVINO finds a graph there by its weights, shape and hints; one of another version or processor,
or a damaged one, it compiles anew. It never removes any.
"""

import os
from contextlib import suppress
from functools import cache
from pathlib import Path

from platformdirs import user_cache_path

_MAX_BYTES = 500_000_000  # some 250 graphs, of 1 to 2 MB: of a style, frame size and norm mode


@cache
def folder() -> Path | None:
    """The folder, made and tidied; None where it cannot be written."""
    with suppress(OSError, RuntimeError):  # RuntimeError: the user has no home folder
        path = user_cache_path("impasto") / "openvino"
        path.mkdir(parents=True, exist_ok=True)
        _remove_oldest(path)
        if os.access(path, os.W_OK):
            return path
    return None


def _remove_oldest(path: Path) -> None:
    """Keep the newest graphs, up to _MAX_BYTES."""
    graphs = [(file, file.stat()) for file in path.glob("*.blob")]
    total = 0
    for file, status in sorted(graphs, key=lambda graph: -graph[1].st_mtime):
        total += status.st_size
        if total > _MAX_BYTES:
            file.unlink(missing_ok=True)
