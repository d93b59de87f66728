"""What the tests of files share."""

import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.media import open_files


@pytest.fixture
def nothing_is_left_running() -> Iterator[None]:
    """Fails a test that leaves a thread running, or a file named `in` or `out` open."""
    before = set(threading.enumerate())
    yield
    assert set(threading.enumerate()) <= before
    opened = Path("/proc/self/fd")
    if opened.exists():
        names = [str(fd.resolve()) for fd in opened.iterdir() if fd.is_symlink()]
        assert not [name for name in names if "/in." in name or "/out." in name]


@pytest.fixture
def no_file_is_left_open(tmp_path: Path) -> Iterator[None]:
    """Fails a test that leaves a file in its folder open."""
    yield
    if sys.platform.startswith("linux"):
        assert not open_files(tmp_path)
