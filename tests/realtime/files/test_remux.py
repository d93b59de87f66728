"""Audio, subtitles, chapters, covers, attachments and tags are copied, or a note says why not."""

from fractions import Fraction
from pathlib import Path

import av
import pytest

from impasto.realtime import stylize_video
from tests.media import make_clip
from tests.realtime.files.conversion import (
    full_clip,
    identity,
    languages,
    numbers,
    packets,
    payloads,
    times,
)

pytestmark = pytest.mark.usefixtures("nothing_is_left_running")


@pytest.mark.parametrize(
    ("source", "target"),
    [
        (".mp4", ".mp4"),
        (".mp4", ".mkv"),
        (".mp4", ".mov"),
        (".mkv", ".mp4"),
        (".mkv", ".mkv"),
        (".mov", ".mp4"),
        (".webm", ".webm"),
        (".webm", ".mkv"),
        (".webm", ".mp4"),
        (".ts", ".mp4"),
        (".ts", ".mkv"),
        (".ts", ".ts"),
        (".avi", ".mp4"),
    ],
)
def test_audio_is_copied_byte_for_byte(source: str, target: str, tmp_path: Path) -> None:
    clip, out = full_clip(tmp_path / f"in{source}"), tmp_path / f"out{target}"
    report = stylize_video(clip, out, identity)
    assert report.frames == 25
    assert numbers(out) == list(range(25))
    for index in range(2):
        before, after = payloads(clip, "audio", index), payloads(out, "audio", index)
        if source == ".ts" and target != ".ts":  # ADTS headers of MPEG-TS are dropped
            assert len(after) == len(before)
        else:
            assert after == before
    assert not [note for note in report.notes if "audio" in note]
    if source != ".avi":  # which stores no languages
        assert languages(out, "audio") == ["eng", "fra"]
    # Audio and video keep their offset.
    offset = packets(out, "audio")[0][0] - times(out)[0]
    original = packets(clip, "audio")[0][0] - times(clip)[0]
    assert abs(offset - original) <= Fraction(1, 1000)


@pytest.mark.parametrize("target", [".mp4", ".mov", ".mkv", ".webm"])
@pytest.mark.parametrize("source", [".mp4", ".mkv"])
def test_chapters_tags_and_subtitles(source: str, target: str, tmp_path: Path) -> None:
    clip, out = full_clip(tmp_path / f"in{source}"), tmp_path / f"out{target}"
    stylize_video(clip, out, identity)
    with av.open(str(out)) as container:
        tags = {key.lower(): value for key, value in container.metadata.items()}
        chapters = container.chapters()
    assert tags["title"] == "The Harbor" and tags["comment"] == "Test"
    assert [chapter["metadata"]["title"] for chapter in chapters] == ["One", "Two"]
    edges = [chapter["end"] * (chapter["time_base"] or 0) for chapter in chapters]
    assert edges == [Fraction(1, 2), 1]
    assert languages(out, "subtitle")[0] == "fra"
    lines = payloads(out, "subtitle")
    assert any(b"text in fra" in line for line in lines)
    assert packets(out, "subtitle")[0][0] == 0


@pytest.mark.parametrize(("source", "target"), [(".mp4", ".mkv"), (".mp4", ".mp4")])
def test_cover(source: str, target: str, tmp_path: Path) -> None:
    clip = make_clip(tmp_path / f"in{source}", cover=True, audio=("eng",))
    out, again = tmp_path / f"out{target}", tmp_path / "again.mp4"
    stylize_video(clip, out, identity)
    stylize_video(out, again, identity)
    for path in (out, again):
        with av.open(str(path)) as container:
            covers = [s for s in container.streams.video if s.disposition & 0x400]
            assert len(covers) == 1 and covers[0].codec_context.name == "mjpeg"
            found = [bytes(p) for p in container.demux(covers[0]) if p.size]
        assert found == payloads(clip, "video", 1)


def test_fonts_stay_attached(tmp_path: Path) -> None:
    clip, with_font = make_clip(tmp_path / "a.mkv"), tmp_path / "in.mkv"
    with av.open(str(clip)) as before, av.open(str(with_font), "w") as after:
        stream = after.add_stream_from_template(before.streams.video[0], opaque=True)
        after.add_attachment("brush.ttf", "application/x-truetype-font", b"font" * 50)
        for packet in before.demux(video=0):
            if packet.dts is not None:
                packet.stream = stream
                after.mux(packet)
    stylize_video(with_font, tmp_path / "out.mkv", identity)
    with av.open(str(tmp_path / "out.mkv")) as container:
        (font,) = [s for s in container.streams if s.type == "attachment"]
        assert font.name == "brush.ttf" and font.data == b"font" * 50
    report = stylize_video(with_font, tmp_path / "out.mp4", identity)
    assert any("attachment" in note and "left out" in note for note in report.notes)


def test_custom_tags_are_kept_in_mp4(tmp_path: Path) -> None:
    clip = make_clip(tmp_path / "in.mkv", metadata={"title": "T", "CAMERA": "X100"})
    stylize_video(clip, tmp_path / "out.mp4", identity)
    with av.open(str(tmp_path / "out.mp4")) as container:
        assert container.metadata["CAMERA"] == "X100" and container.metadata["title"] == "T"


def test_audio_longer_and_shorter_than_the_video(tmp_path: Path) -> None:
    for seconds in (0.2, 3.0):
        clip = make_clip(tmp_path / "in.mp4", audio=("eng",), audio_seconds=seconds)
        stylize_video(clip, tmp_path / "out.mp4", identity, overwrite=True)
        assert payloads(tmp_path / "out.mp4", "audio") == payloads(clip, "audio")


@pytest.mark.parametrize("clocks", [(500, 500), (9000, 500), (500, 9000)])
def test_recordings_joined_end_to_end(clocks: tuple[int, int], tmp_path: Path) -> None:
    """Their timestamps start again, jump back or ahead; audio stays with the video."""
    clip, out = tmp_path / "in.ts", tmp_path / "out.ts"
    parts = [
        make_clip(
            tmp_path / f"part{number}.ts",
            frames=50,
            audio=("eng",),
            container_options={"output_ts_offset": str(clock)},
        )
        for number, clock in enumerate(clocks)
    ]
    clip.write_bytes(b"".join(part.read_bytes() for part in parts))
    report = stylize_video(clip, out, identity)
    assert report.missing_frames == 0 and any("joined" in note for note in report.notes)
    assert numbers(out) == [*range(50), *range(50)]
    assert payloads(out, "audio") == [*payloads(parts[0], "audio"), *payloads(parts[1], "audio")]
    for kind, step in (("video", 1 / 25), ("audio", 1024 / 48000)):
        found = times(out, kind)
        steps = [float(b - a) for a, b in zip(found, found[1:], strict=False)]
        assert steps == pytest.approx([step] * len(steps), abs=0.03), kind
        assert found[-1] - found[0] == pytest.approx(4, abs=0.1), kind


def test_audio_and_video_are_interleaved(tmp_path: Path) -> None:
    """Read in the order of the file, no stream runs more than half a second ahead."""
    clip = make_clip(tmp_path / "in.mp4", audio=("eng",), frames=150)
    stylize_video(clip, tmp_path / "out.mkv", identity)
    reached = {"video": Fraction(0), "audio": Fraction(0)}
    with av.open(str(tmp_path / "out.mkv")) as container:
        for packet in container.demux():
            if packet.pts is not None:
                reached[packet.stream.type] = packet.pts * packet.time_base
                assert abs(reached["video"] - reached["audio"]) < Fraction(1, 2)
    assert min(reached.values()) > 5


@pytest.mark.parametrize("target", [".gif", ".avi", ".ts"])
def test_streams_left_out_are_noted(target: str, tmp_path: Path) -> None:
    clip = full_clip(tmp_path / "in.mkv")
    report = stylize_video(clip, tmp_path / f"out{target}", identity)
    said = " / ".join(report.notes)
    assert "2 chapters were left out" in said
    assert "subtitle stream 3 (subrip, fra) was left out" in said
    assert ("audio stream 1 (aac, eng) was left out" in said) == (target == ".gif")
