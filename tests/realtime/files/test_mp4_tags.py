"""Tags of MP4 and MOV: title and artist where players look, and unusual ones too."""

from pathlib import Path

import av
import pytest

from impasto.realtime import stylize_video
from tests.media import make_clip, numbers_of, read_video
from tests.realtime.files.conversion import identity

pytestmark = pytest.mark.usefixtures("nothing_is_left_running")
USUAL = {"title": "Holiday", "artist": "Me"}
UNUSUAL = {"com.apple.quicktime.make": "Apple", "CAMERA": "X100", "location": "+48.2000+011.5000/"}


def children(data: bytes, start: int, end: int) -> dict[bytes, tuple[int, int]]:
    """Boxes of ISO/IEC 14496-12 by kind: where the content starts and ends."""
    found = {}
    while start < end:
        size = int.from_bytes(data[start : start + 4], "big")
        assert 8 <= size <= end - start
        found[data[start + 4 : start + 8]] = (start + 8, start + size)
        start += size
    assert start == end
    return found


@pytest.mark.parametrize("target", [".mp4", ".mov", ".m4v"])
@pytest.mark.parametrize("more", [{}, UNUSUAL])
def test_title_and_artist_are_where_players_look(
    target: str, more: dict[str, str], tmp_path: Path
) -> None:
    clip = make_clip(tmp_path / "in.mkv", metadata={**USUAL, **more}, chapters=("One", "Two"))
    out = tmp_path / f"out{target}"
    stylize_video(clip, out, identity)
    data = out.read_bytes()
    moov = children(data, *children(data, 0, len(data))[b"moov"])
    udta = children(data, *moov[b"udta"])
    if target == ".mov":
        names = udta
    else:
        start, end = udta[b"meta"]
        names = children(data, *children(data, start + 4, end)[b"ilst"])
    for kind, value in ((b"\xa9nam", b"Holiday"), (b"\xa9ART", b"Me")):
        assert value in data[slice(*names[kind])]
    with av.open(str(out)) as container:
        tags = container.metadata
        titles = [chapter["metadata"]["title"] for chapter in container.chapters()]
    assert {**USUAL, **more}.items() <= tags.items()
    assert not [key for key in tags if "impasto" in key] and titles == ["One", "Two"]
    assert numbers_of(read_video(out)[0]) == list(range(12))


def test_a_tag_that_ffmpeg_reads_twice_is_no_unusual_one(tmp_path: Path) -> None:
    """A place in MP4 is read as `location` and as `location-eng`."""
    clip = make_clip(tmp_path / "in.mp4", metadata={**USUAL, "location": "+48.2000+011.5000/"})
    stylize_video(clip, tmp_path / "out.mp4", identity)
    assert b"mdta" not in (tmp_path / "out.mp4").read_bytes()
    with av.open(str(tmp_path / "out.mp4")) as container:
        assert container.metadata["location"] == "+48.2000+011.5000/"
