"""The look through a file before a conversion: first packets, changes and pauses of its sound."""

from pathlib import Path

import pytest

from impasto.realtime.files import survey as module
from impasto.realtime.files.audio_headers import AudioFormat
from impasto.realtime.files.survey import survey
from tests.realtime.files.sounds import Sound, make_film

STEREO, SURROUND = AudioFormat(48000, 2), AudioFormat(48000, 6)


@pytest.fixture(scope="module")
def broadcast(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two seconds of stereo, then two of 5.1, whose clock starts nine minutes later."""
    folder = tmp_path_factory.mktemp("broadcast")
    for name, layout, clock in (("a", "stereo", "0"), ("b", "5.1", "540")):
        make_film(
            folder / f"{name}.ts",
            Sound("ac3", layout, seconds=2),
            frames=50,
            options={"output_ts_offset": clock},
        )
    path = folder / "in.ts"
    path.write_bytes((folder / "a.ts").read_bytes() + (folder / "b.ts").read_bytes())
    return path


def test_a_change_is_found_with_its_time(broadcast: Path) -> None:
    """AC-3 has 1536 samples a frame: 62.5 frames are two seconds. The clock does not count."""
    found = survey(broadcast, [1])
    assert set(found.formats[1]) == {STEREO, SURROUND}
    assert found.formats[1].total() == pytest.approx(2 * 62.5, abs=3)
    assert float(found.changes[1]) == pytest.approx(2, abs=0.05)
    assert found.richest(1) == SURROUND and len(found.first_packets[1]) == 2


def test_a_large_file_is_looked_at_in_places(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_READ_BYTES", 0)
    monkeypatch.setattr(module, "_SEARCHED_PACKETS", 5)
    monkeypatch.setattr(module, "_PART_PACKETS", 3)
    parts = [
        make_film(
            tmp_path / f"{start}.ts",
            Sound("ac3", layout, seconds=4),
            frames=100,
            options={"output_ts_offset": start},
        )
        for layout, start in (("stereo", "0"), ("5.1", "4"))
    ]
    path = tmp_path / "in.ts"
    path.write_bytes(b"".join(part.read_bytes() for part in parts))
    found = survey(path, [1])
    assert found.richest(1) == SURROUND and not found.gaps
    assert float(found.changes[1]) == pytest.approx(4, abs=1)


def test_a_short_change_is_not_the_richest(tmp_path: Path) -> None:
    """Damage, or a jingle of a moment."""
    found = survey(make_film(tmp_path / "in.ts", Sound("ac3", "stereo", seconds=2)), [1])
    found.formats[1][SURROUND] = 2
    assert found.richest(1) == STEREO


def test_a_pause_is_found(tmp_path: Path) -> None:
    clip = make_film(tmp_path / "in.mkv", Sound(seconds=2, pause=(0.5, 1)), frames=50)
    assert float(survey(clip, [1], whole=True).gaps[1]) == pytest.approx(0.5, abs=0.05)
    assert not survey(clip, [1]).formats
