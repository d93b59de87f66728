"""SMPTE timecode: drop-frame labels keep to the clock, and follow --start and --fps."""

from fractions import Fraction
from pathlib import Path

import av
import pytest

from impasto.realtime import stylize_video
from impasto.realtime.files.timecode import shifted_timecode
from tests.media import make_clip
from tests.realtime.files.conversion import identity

pytestmark = pytest.mark.usefixtures("nothing_is_left_running")
NTSC, NTSC_60 = Fraction(30000, 1001), Fraction(60000, 1001)


@pytest.mark.parametrize(
    ("label", "frames", "rate", "new_rate", "expected"),
    [
        ("10:00:00;00", 60, NTSC, NTSC, "10:00:02;00"),
        ("00:00:59;29", 1, NTSC, NTSC, "00:01:00;02"),  # two numbers are skipped
        ("00:09:59;29", 1, NTSC, NTSC, "00:10:00;00"),  # but not in each tenth minute
        ("00:00:59;59", 1, NTSC_60, NTSC_60, "00:01:00;04"),
        ("00:00:59:29", 1, NTSC, NTSC, "00:01:00:00"),  # non-drop skips none
        ("23:59:59;29", 1, NTSC, NTSC, "00:00:00;00"),
        ("01:00:00:00", 25, Fraction(25), Fraction(25), "01:00:01:00"),
        ("10:00:00;00", 75, NTSC, Fraction(25), "10:00:02:12"),
        ("10:00:00;00", 0, NTSC, Fraction(15), "10:00:00:00"),
        ("01:00:00:12", 0, Fraction(25), Fraction(50), "01:00:00:24"),
        ("noon", 0, NTSC, NTSC, None),
    ],
)
def test_the_label_of_a_later_frame(
    label: str, frames: int, rate: Fraction, new_rate: Fraction, expected: str | None
) -> None:
    assert shifted_timecode(label, frames, rate, new_rate) == expected


def test_an_hour_of_drop_frame_is_an_hour_of_the_clock() -> None:
    """3600 s at 30000/1001 are 107,892 frames: the label is one hour, by ST 12-1."""
    assert shifted_timecode("00:00:00;00", 107892, NTSC, NTSC) == "01:00:00;00"


@pytest.mark.parametrize(
    ("target", "options", "expected"),
    [
        (".mov", {"start": 1}, "10:00:01;00"),
        (".mp4", {}, "10:00:00;00"),
        (".mp4", {"frame_rate": 15}, "10:00:00:00"),
        (".mov", {"frame_rate": 25, "start": 1}, "10:00:01:00"),
        (".mkv", {"start": 1}, "10:00:01;00"),
        (".avi", {}, None),
    ],
)
def test_a_cut_has_the_timecode_of_its_first_frame(
    target: str, options: dict[str, int], expected: str | None, tmp_path: Path
) -> None:
    clip = make_clip(
        tmp_path / "in.mov", rate=NTSC, frames=45, metadata={"timecode": "10:00:00;00"}
    )
    out = tmp_path / f"out{target}"
    report = stylize_video(clip, out, identity, **options)  # type: ignore[arg-type]
    with av.open(str(out)) as container:
        tags = {**container.metadata, **container.streams.video[0].metadata}
    found = {value for key, value in tags.items() if key.lower() == "timecode"}
    assert found == ({expected} if expected else set())
    noted = [note for note in report.notes if "timecode 10:00:00;00 was left out" in note]
    assert bool(noted) == (expected is None)
