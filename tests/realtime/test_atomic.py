"""A file gets its name when it is complete; an existing file is not replaced."""

from pathlib import Path

import pytest

from impasto.models.errors import SinkError
from impasto.realtime.atomic import atomic_write, check_target, partial_path, write_file


def test_a_file_gets_its_name_at_the_end(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    with atomic_write(path) as partial:
        partial.write_text("complete")
        assert partial == tmp_path / "a.partial.txt" and not path.exists()
    assert path.read_text() == "complete" and not partial.exists()


def test_an_error_removes_the_partial_file(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt), atomic_write(tmp_path / "a.txt") as partial:
        partial.write_text("half")
        raise KeyboardInterrupt
    assert list(tmp_path.iterdir()) == []


def test_the_partial_file_is_kept_if_the_name_was_taken_meanwhile(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    with pytest.raises(SinkError, match="kept as"), atomic_write(path) as partial:
        partial.write_text("ours")
        path.write_text("theirs")
    assert (path.read_text(), partial_path(path).read_text()) == ("theirs", "ours")


def test_an_existing_name_is_refused_at_the_start(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    write_file(path, b"old")
    for refused in (
        lambda: check_target(path),
        lambda: write_file(path, b"new"),
        lambda: check_target(tmp_path),
        lambda: check_target(tmp_path / "no" / "a.txt"),
    ):
        with pytest.raises(SinkError):
            refused()
    assert path.read_bytes() == b"old" and list(tmp_path.iterdir()) == [path]
    check_target(path, overwrite=True)
    write_file(path, b"new", overwrite=True)
    assert path.read_bytes() == b"new" and list(tmp_path.iterdir()) == [path]
