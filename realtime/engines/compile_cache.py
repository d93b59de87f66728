"""The folder of OpenVINO's compiled graphs, kept from run to run.

OpenVINO finds a graph there by its weights, shape and hints; one of another version or processor,
or a damaged one, it compiles anew. It never removes any.
"""

import locale
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path
from zlib import crc32

from filelock import FileLock
from platformdirs import user_cache_path

_LOCKS = 64  # files that are locked
_MAX_BYTES = 500_000_000  # some 250 graphs, of 1 to 2 MB: of a style, frame size and norm mode

_locale_lock = threading.Lock()
_locales: list[str] = []  # before each load that is under way


@contextmanager
def same_locale() -> Iterator[None]:
    """Keep the locale of the process while OpenVINO reads a graph, on any number of threads.

    It sets the locale "C" for that time; with two threads at once, the second one restores what the
    first one had set. Python would then read and write text files as ASCII.
    """
    with _locale_lock:
        _locales.append(_locales[0] if _locales else locale.setlocale(locale.LC_ALL))
    try:
        yield
    finally:
        with _locale_lock:
            locale.setlocale(locale.LC_ALL, _locales.pop())


def lock(folder: Path, *graph: object) -> FileLock:
    """A lock for the time in which a graph is compiled into the folder, or read from there.

    OpenVINO maps the files of graphs into memory, and writes them in place: two that compile the
    same graph at once, in one process or in two, end with a bus error. graph: what tells it from
    others, or from most of them. Entering it raises OSError or RuntimeError where files cannot be
    locked.
    """
    number = crc32(repr(graph).encode()) % _LOCKS
    # Nothing in place of a lock that ends with its process: it might stay for ever.
    return FileLock(folder / f"{number}.lock", poll_interval=0.01, fallback_to_soft=False)


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
