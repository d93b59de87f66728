"""Streams of a file that belong together: where players begin, and programs of a broadcast."""

from pathlib import Path

import pytest

from impasto.models.errors import SourceError
from impasto.realtime import stylize_video
from tests.media import read_video
from tests.realtime.files.conversion import identity, numbers
from tests.realtime.files.sounds import Sound, beep_time, make_film, picture_time

pytestmark = pytest.mark.usefixtures("nothing_is_left_running")


@pytest.mark.parametrize(("source", "target"), [(".mp4", ".mkv"), (".mkv", ".mp4"), (".ts", ".ts")])
def test_a_cut_counts_from_the_start_of_the_film(source: str, target: str, tmp_path: Path) -> None:
    """The picture begins 0.6 s after the sound: a cut from 0.2 to 1 s has 0.4 s of it."""
    clip = make_film(tmp_path / f"in{source}", Sound(seconds=2, beep=0.8), picture_start=0.6)
    out = tmp_path / f"out{target}"
    report = stylize_video(clip, out, identity, start=0.2, end=1)
    assert report.frames == 10 and numbers(out) == list(range(10))
    assert beep_time(out) - picture_time(out) == pytest.approx(0.2, abs=0.05)
    if target != ".ts":  # which has a clock of its own
        assert picture_time(out) == pytest.approx(0.4, abs=0.03)


def test_a_late_picture_keeps_its_time_without_a_cut(tmp_path: Path) -> None:
    clip = make_film(tmp_path / "in.mp4", Sound(seconds=2, beep=0.8), picture_start=0.6)
    frames, source = read_video(clip)
    assert len(frames) == 25 and source.info.duration == 1
    assert source.first_time - source.start_time == pytest.approx(0.6, abs=0.001)
    stylize_video(clip, tmp_path / "out.mp4", identity)
    assert picture_time(tmp_path / "out.mp4") == pytest.approx(0.6, abs=0.001)


def test_an_end_before_the_picture_says_when_it_begins(tmp_path: Path) -> None:
    clip = make_film(tmp_path / "in.mkv", Sound(), picture_start=0.6)
    with pytest.raises(SourceError, match=r"cannot end at 0.5 s: the picture of .* at 0.6"):
        read_video(clip, end=0.5)
