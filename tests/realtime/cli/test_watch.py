"""A watched folder: what is taken, when, and what is said at the end."""

import shutil
import subprocess
import sys
from pathlib import Path

from impasto.realtime.cli.watch import Settling
from tests.media import make_clip
from tests.realtime.cli.test_standard_streams import IDENTITY, STYLE
from tests.realtime.conftest import Impasto


def test_what_is_the_same_in_two_looks_has_settled() -> None:
    settling = Settling()
    assert settling.look({"a": 1, "b": 5}) == []
    assert settling.look({"a": 2, "b": 5}) == ["b"]  # a is still growing
    assert settling.look({"a": 2, "b": 5, "c": 9}) == ["a"]  # b was taken
    assert settling.look({"a": 2, "c": 9}) == ["c"]
    assert settling.look({"a": 7, "c": 9}) == []  # a is written anew
    assert settling.look({"a": 7, "c": 9}) == ["a"]


def test_files_are_done_as_they_come(tmp_path: Path) -> None:
    """Those that are there, one that comes, one that is no film; then Ctrl-C."""
    clips, painted = tmp_path / "clips", tmp_path / "painted"
    clips.mkdir()
    make_clip(clips / "first.mp4", frames=3)
    later = make_clip(tmp_path / "later.mkv", frames=4)
    words = [*IDENTITY, str(clips), str(painted), "--watch", *STYLE]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    with subprocess.Popen(words, **pipes) as process:  # type: ignore[call-overload]
        assert process.stdout.readline() == f"watching {clips}; Ctrl-C ends\n"
        said = []
        for line in process.stdout:
            said.append(line)
            if "3 frames" in line:
                (clips / "a.mp4").write_text("no film")
                shutil.copy(later, clips / "later.mkv")
            if "4 frames" in line:
                break
        process.terminate()  # treated as Ctrl-C
        rest, err = process.communicate()
    assert process.returncode == 1
    assert "impasto: a.mp4: cannot read" in err and "2 of 3 files are done, 1 failed" in err
    assert sorted(path.name for path in painted.iterdir()) == ["first.mp4", "later.mkv"]


def test_what_cannot_be_watched(tmp_path: Path, clip: Path, style: Path, impasto: Impasto) -> None:
    out = tmp_path / "out.mp4"
    ran = impasto("video", clip, out, "--style", style, "--watch")
    assert ran.code == 1 and "--watch is for a folder" in ran.error_line
    ran = impasto("video", tmp_path, tmp_path, "--style", style, "--watch")
    assert ran.code == 1 and "is the folder that is watched" in ran.error_line
    ran = impasto("image", tmp_path / "none", tmp_path, "--style", style, "--watch")
    assert ran.code == 1 and "--watch is for a folder" in ran.error_line
    assert sys.stdout is not None
