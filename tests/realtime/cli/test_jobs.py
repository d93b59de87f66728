"""The files that a command reads, and where the results go."""

from pathlib import Path

import pytest

from impasto.models.errors import SinkError, SourceError
from impasto.realtime.cli.jobs import VIDEO_EXTENSIONS, FileJob, find_jobs


def jobs(source: object, target: Path) -> dict[str, str]:
    """Targets by source, both below the folder that the target is in."""
    found, _ = find_jobs(
        str(source),
        target,
        readable=VIDEO_EXTENSIONS,
        writable=(".mp4", ".mkv"),
        otherwise=".mp4",
    )
    assert all(isinstance(job, FileJob) for job in found)
    root = target.parent
    return {str(j.source.relative_to(root)): str(j.target.relative_to(root)) for j in found}


def touch(folder: Path, *names: str) -> Path:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()
    return folder


def test_a_file_to_a_file(tmp_path: Path) -> None:
    touch(tmp_path, "a.mov")
    assert jobs(tmp_path / "a.mov", tmp_path / "b.mkv") == {"a.mov": "b.mkv"}


def test_a_file_into_a_folder(tmp_path: Path) -> None:
    touch(tmp_path, "a.wmv")
    (tmp_path / "out").mkdir()
    assert jobs(tmp_path / "a.wmv", tmp_path / "out") == {"a.wmv": "out/a.mp4"}


def test_a_missing_source_is_reported_before_the_target(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="gone does not exist"):
        jobs(tmp_path / "gone", tmp_path / "out")


def test_a_folder(tmp_path: Path) -> None:
    touch(tmp_path / "in", "b.MP4", "a.flv", "notes.txt", "deep/c.mp4", "d.mp4/e.mp4")
    found = jobs(tmp_path / "in", tmp_path / "out")
    assert found == {"in/a.flv": "out/a.mp4", "in/b.MP4": "out/b.MP4"}
    assert (tmp_path / "out").is_dir()


def test_files_that_would_share_a_name_keep_the_old_extension(tmp_path: Path) -> None:
    touch(tmp_path / "in", "a.flv", "a.wmv", "b.wmv")
    assert list(jobs(tmp_path / "in", tmp_path / "out").values()) == [
        "out/a.flv.mp4",
        "out/a.wmv.mp4",
        "out/b.mp4",
    ]


def test_a_pattern_keeps_its_folders_apart(tmp_path: Path) -> None:
    touch(tmp_path / "in", "x/a.mp4", "y/a.mp4", "y/b.txt")
    found = jobs(tmp_path / "in" / "**" / "*.mp4", tmp_path / "out")
    assert found == {"in/x/a.mp4": "out/x/a.mp4", "in/y/a.mp4": "out/y/a.mp4"}
    assert (tmp_path / "out" / "y").is_dir()


def test_a_name_with_brackets_is_a_name(tmp_path: Path) -> None:
    touch(tmp_path, "a [1].mp4")
    assert jobs(tmp_path / "a [1].mp4", tmp_path / "b.mp4") == {"a [1].mp4": "b.mp4"}


def test_an_existing_folder_is_used(tmp_path: Path) -> None:
    touch(tmp_path, "in/a.mp4", "out.mp4/old.mp4")
    assert jobs(tmp_path / "in", tmp_path / "out.mp4") == {"in/a.mp4": "out.mp4/a.mp4"}


@pytest.mark.parametrize("source", ["in", "*.mov"])
def test_nothing_to_do(source: str, tmp_path: Path) -> None:
    touch(tmp_path / "in", "notes.txt")
    with pytest.raises(SourceError, match="no file"):
        jobs(tmp_path / source, tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    "target, message",
    [("out.mp4", "name a folder"), ("taken", "name a folder"), ("gone/out", "cannot create")],
)
def test_several_need_a_folder(target: str, message: str, tmp_path: Path) -> None:
    touch(tmp_path, "in/a.mp4", "taken")
    with pytest.raises(SinkError, match=message):
        jobs(tmp_path / "in", tmp_path / target)
