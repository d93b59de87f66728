"""Several jobs: what is done is left out, one that fails stops no other, and all are counted."""

from pathlib import Path
from typing import Any

import pytest
import typer

from impasto.models.errors import SourceError
from impasto.realtime.atomic import Target, partial_path, write_file
from impasto.realtime.cli.jobs import FileJob
from impasto.realtime.cli.work import finish, run_jobs
from impasto.realtime.progress import OnProgress


def jobs_in(folder: Path, *names: str) -> list[FileJob]:
    for name in names:
        (folder / name).write_text(name)
    return [FileJob(folder / name, folder / "out" / name) for name in names]


def copy(job: FileJob, on_progress: OnProgress) -> tuple[str, dict[str, Any]]:
    """A job that copies its file, and fails for an empty one."""
    data = job.source.read_bytes()
    if not data:
        raise SourceError(f"{job.source} is empty")
    write_file(job.target, data)
    return f"{job.target}: copied", {}


def ran(jobs: list[FileJob], *, skip_existing: bool = True) -> list[tuple[bool, bool]]:
    """Whether each job was skipped and has failed; then the summary is printed."""
    rows = run_jobs(jobs, copy, count=lambda job: 1, skip_existing=skip_existing, quiet=False)
    finish(rows, as_json=None)
    return [(row["skipped"] is not None, row["error"] is not None) for row in rows]


@pytest.fixture
def jobs(tmp_path: Path) -> list[FileJob]:
    (tmp_path / "out").mkdir()
    return jobs_in(tmp_path, "1", "2", "3")


def test_a_second_run_does_what_is_missing(
    jobs: list[FileJob], capsys: pytest.CaptureFixture[str]
) -> None:
    ran(jobs)
    assert capsys.readouterr().out.endswith("3 of 3 files are done\n")
    jobs[2].target.unlink()
    partial_path(jobs[2].target).write_text("half")  # left by an interrupted run
    before = jobs[0].target.stat().st_mtime_ns
    assert ran(jobs) == [(True, False), (True, False), (False, False)]
    printed = capsys.readouterr().out
    assert f"{jobs[0].target} was there already" in printed
    assert printed.endswith("1 of 3 files are done, 2 were there already (skipped)\n")
    assert jobs[0].target.stat().st_mtime_ns == before
    assert len(list(jobs[0].target.parent.iterdir())) == 3


def test_without_skipping_what_is_there_is_an_error(
    jobs: list[FileJob], capsys: pytest.CaptureFixture[str]
) -> None:
    ran(jobs[:1])
    with pytest.raises(typer.Exit):
        ran(jobs, skip_existing=False)
    assert capsys.readouterr().err.endswith("2 of 3 files are done, 1 failed\n")


def test_an_empty_target_and_the_source_itself_do_not_count_as_done(
    jobs: list[FileJob], capsys: pytest.CaptureFixture[str]
) -> None:
    jobs[0].target.touch()
    jobs[1] = FileJob(jobs[1].source, jobs[1].source)
    with pytest.raises(typer.Exit):
        ran(jobs)
    assert capsys.readouterr().err.endswith("1 of 3 files are done, 2 failed\n")


def test_what_another_process_writes_is_left_out(
    jobs: list[FileJob], capsys: pytest.CaptureFixture[str]
) -> None:
    other = Target(jobs[1].target)
    assert ran(jobs) == [(False, False), (True, False), (False, False)]
    printed = capsys.readouterr()
    assert "is writing" in printed.err
    assert printed.out.endswith("2 of 3 files are done, 1 written by another process (skipped)\n")
    other.discard()


def test_what_another_process_has_just_written_is_left_out(jobs: list[FileJob]) -> None:
    def late(job: FileJob, on_progress: OnProgress) -> tuple[str, dict[str, Any]]:
        write_file(job.target, b"theirs")
        return copy(job, on_progress)

    rows = run_jobs(jobs, late, count=lambda job: 1, skip_existing=True, quiet=True)
    assert all(row["skipped"] and row["error"] is None for row in rows)


def test_done_skipped_and_failed_are_counted(
    jobs: list[FileJob], capsys: pytest.CaptureFixture[str]
) -> None:
    jobs[0].target.write_text("there")
    jobs[1].source.write_text("")
    with pytest.raises(typer.Exit):
        ran(jobs)
    assert capsys.readouterr().err.endswith(
        "1 of 3 files are done, 1 was there already (skipped), 1 failed\n"
    )
