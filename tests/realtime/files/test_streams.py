"""Streams of a file that belong together: where players begin, and programs of a broadcast."""

from pathlib import Path

import pytest

from impasto.models.errors import SourceError
from impasto.realtime import stylize_video
from tests.media import read_video
from tests.realtime.files.conversion import identity, numbers
from tests.realtime.files.sounds import (
    Sound,
    beep_time,
    heard,
    loudest_tone,
    make_film,
    picture_time,
    streams,
)

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


def crc32_mpeg(data: bytes) -> int:
    """The checksum of ISO/IEC 13818-1, annex A."""
    crc = 0xFFFFFFFF
    for byte in data:
        crc ^= byte << 24
        for _ in range(8):
            crc = (crc << 1 ^ (0x04C11DB7 if crc & 0x80000000 else 0)) & 0xFFFFFFFF
    return crc


def program_association(programs: dict[int, int]) -> bytes:
    """A packet of MPEG-TS that lists programs and the PIDs of their maps (13818-1, 2.4.4.3)."""
    entries = b"".join(
        n.to_bytes(2, "big") + (0xE000 | pid).to_bytes(2, "big") for n, pid in programs.items()
    )
    head = b"\x00" + (0xB000 | 9 + len(entries)).to_bytes(2, "big") + b"\x00\x01\xc1\x00\x00"
    section = head + entries
    section += crc32_mpeg(section).to_bytes(4, "big")
    return (b"\x47\x40\x00\x10\x00" + section).ljust(188, b"\xff")


def broadcast(path: Path, *channels: Path) -> Path:
    """One MPEG-TS of several, each of one program: its packets in turn, under one list."""
    packets = [
        [data[k : k + 188] for k in range(0, len(data), 188)]
        for data in (c.read_bytes() for c in channels)
    ]
    programs = {k + 1: 0x1000 + 0x100 * k for k in range(len(channels))}
    joined = [program_association(programs)]
    for turn in zip(*packets, strict=False):
        joined += [packet for packet in turn if packet[1] & 0x1F or packet[2]]  # not its own list
    path.write_bytes(b"".join(joined))
    return path


@pytest.mark.parametrize("target", [".mp4", ".ts"])
def test_only_the_program_of_the_picture_is_taken(target: str, tmp_path: Path) -> None:
    """Two channels and a radio station in one broadcast; the larger picture has the 440 Hz."""
    channels = [
        make_film(
            tmp_path / f"{k}.ts",
            Sound("mp2", "stereo", tone=tone),
            frames=25 if k < 2 else 0,
            size=size,
            options={
                "mpegts_start_pid": str(0x100 + 0x10 * k),
                "mpegts_pmt_start_pid": str(0x1000 + 0x100 * k),
                "mpegts_service_id": str(k + 1),
            },
        )
        for k, (tone, size) in enumerate([(880, (48, 64)), (440, (64, 96)), (660, (48, 64))])
    ]
    clip, out = broadcast(tmp_path / "in.ts", *channels), tmp_path / f"out{target}"
    assert [kind for kind, _ in streams(clip)].count("audio") == 3
    report = stylize_video(clip, out, identity)
    assert [kind for kind, _ in streams(out)] == ["video", "audio"]
    samples, rate, _ = heard(out)
    assert loudest_tone(samples, rate) == pytest.approx(440, abs=4)
    assert [note for note in report.notes if "belong to another program" in note]
