"""A file gets its name when it is complete; an existing file is not replaced."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from impasto.models.errors import SinkError, TargetInUseError
from impasto.realtime import target_lock
from impasto.realtime.atomic import Target, atomic_write, check_target, partial_path, write_file


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


def test_what_an_interrupted_run_kept_stays_until_there_is_more(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"

    def interrupted(text: str) -> None:
        target = Target(path)
        target.partial.write_text(text)
        target.keep()

    interrupted("first")
    check_target(path)
    with pytest.raises(ValueError), atomic_write(path) as partial:
        partial.write_text("failed")
        raise ValueError
    assert partial_path(path).read_text() == "first" and len(list(tmp_path.iterdir())) == 1
    interrupted("second")
    assert partial_path(path).read_text() == "second" and len(list(tmp_path.iterdir())) == 1
    write_file(path, b"complete")
    assert path.read_text() == "complete" and list(tmp_path.iterdir()) == [path]


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


# What another process does that writes `a.txt`, until its standard input ends.
_HOLDER = """
import sys
from collections.abc import Iterator
from pathlib import Path
from impasto.realtime.atomic import Target
target = Target(Path(sys.argv[1]))
target.partial.write_text("theirs")
print("locked", flush=True)
sys.stdin.read()
target.commit()
"""


class TestTwoAtOneTarget:
    @pytest.fixture
    def other(self, tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
        """Another process that is writing `a.txt`."""
        command = [sys.executable, "-c", _HOLDER, str(tmp_path / "a.txt")]
        with subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        ) as process:
            assert process.stdout is not None and process.stdout.readline() == "locked\n"
            yield process
            process.kill()

    def test_the_later_one_is_told_who_writes(
        self, other: subprocess.Popen[str], tmp_path: Path
    ) -> None:
        path = tmp_path / "a.txt"
        for refused in (
            lambda: check_target(path),
            lambda: write_file(path, b"ours"),
            lambda: write_file(path, b"ours", overwrite=True),
        ):
            with pytest.raises(TargetInUseError, match=f"process {other.pid} on .* is writing"):
                refused()
        other.communicate()
        assert path.read_text() == "theirs" and list(tmp_path.iterdir()) == [path]
        with pytest.raises(SinkError, match="exists"):
            write_file(path, b"ours")
        write_file(path, b"ours", overwrite=True)
        assert path.read_text() == "ours" and list(tmp_path.iterdir()) == [path]

    @pytest.mark.skipif(sys.platform == "win32", reason="there is no SIGKILL there")
    def test_one_that_was_killed_blocks_nobody(
        self, other: subprocess.Popen[str], tmp_path: Path
    ) -> None:
        os.kill(other.pid, signal.SIGKILL)
        other.wait()
        assert len(list(tmp_path.iterdir())) == 2  # what it wrote, and its lock
        write_file(tmp_path / "a.txt", b"ours")
        assert (tmp_path / "a.txt").read_text() == "ours"
        assert [path.name for path in tmp_path.iterdir()] == ["a.txt"]

    def test_within_one_process(self, tmp_path: Path) -> None:
        path = tmp_path / "a.txt"
        with atomic_write(path) as partial:
            with pytest.raises(TargetInUseError, match=f"process {os.getpid()} on"):
                check_target(path)
            partial.write_text("first")
        assert path.read_text() == "first" and list(tmp_path.iterdir()) == [path]

    def test_without_locks_each_has_its_own_partial_name(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """The first to end gets the name, and nothing of the other is lost."""
        monkeypatch.setattr(target_lock, "_try_lock", lambda descriptor: None)
        path = tmp_path / "a.txt"
        first, second = Target(path), Target(path)
        assert first.partial != second.partial
        first.partial.write_text("first")
        second.partial.write_text("second")
        second.commit()
        with pytest.raises(SinkError, match="was created meanwhile"):
            first.commit()
        assert path.read_text() == "second" and partial_path(path).read_text() == "first"
        assert len(list(tmp_path.iterdir())) == 2

    def test_the_lock_of_another_computer_may_be_alive(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Some network file systems lock on each computer by itself."""
        path = tmp_path / "a.txt"
        (tmp_path / ".a.txt.lock").write_text(" process 1 on elsewhere\n")
        partial_path(path).write_text("theirs")
        write_file(path, b"ours")
        assert path.read_text() == "ours" and partial_path(path).read_text() == "theirs"

    def test_a_lock_file_that_is_removed_costs_one_of_them(self, tmp_path: Path) -> None:
        path = tmp_path / "a.txt"
        first = Target(path)
        (tmp_path / ".a.txt.lock").unlink()
        second = Target(path)
        second.partial.write_text("second")
        with pytest.raises(SinkError, match="was replaced while it was written"):
            first.commit()
        first.discard()
        second.commit()
        assert path.read_text() == "second" and list(tmp_path.iterdir()) == [path]

    def test_a_rename_that_fails_leaves_no_empty_file(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def refused(*names: object) -> None:
            raise PermissionError(13, "Permission denied")

        monkeypatch.setattr(os, "replace", refused)
        with pytest.raises(SinkError, match="cannot be renamed to: Permission denied"):
            write_file(tmp_path / "a.txt", b"ours")
        assert [path.name for path in tmp_path.iterdir()] == ["a.partial.txt"]

    def test_a_link_in_place_of_the_lock_is_not_followed(self, tmp_path: Path) -> None:
        (tmp_path / "mine").write_text("mine")
        (tmp_path / ".a.txt.lock").symlink_to("mine")
        with pytest.raises(SinkError, match="cannot write to"):
            check_target(tmp_path / "a.txt")
        assert (tmp_path / "mine").read_text() == "mine"
