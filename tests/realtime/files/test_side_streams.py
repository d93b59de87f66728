"""Subtitles of every kind and phones' data tracks: copied, converted, or left out by name."""

from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import pytest

from impasto.realtime import stylize_video
from impasto.realtime.pixels import to_video_frame
from tests.media import make_clip, numbered_picture
from tests.realtime.files.conversion import identity, packets
from tests.realtime.files.sounds import streams

pytestmark = pytest.mark.usefixtures("nothing_is_left_running")

_HEADER = b"[Script Info]\nScriptType: v4.00+\n\n[Events]\nFormat: Layer, Start, End, Style, Text\n"
_TEXT = ("subrip", "ass", "webvtt", "mov_text")
_NO_END = 0xFFFFFFFF  # milliseconds: as FFmpeg writes a subtitle without an end
# A subpicture of a DVD: its size, where its control block is, one row, no more commands.
_SUBPICTURE = b"\x00\x0a\x00\x06\x00\x00" + b"\x00\x00\x00\x06"
_CONTENT = {
    "ass": b"0,0,Default,,0,0,0,,hello",
    "mov_text": b"\x00\x05hello",
    "dvdsub": _SUBPICTURE,
}


def film_with(path: Path, *codecs: str, duration: int = 250) -> Path:
    """A film with a stream of each codec, at 0.1 and 0.4 s, of `duration` milliseconds."""
    out: Any
    with av.open(str(path), "w") as out:
        video = out.add_stream("mpeg4", rate=10)
        video.height, video.width, video.pix_fmt = 48, 64, "yuv420p"
        added = [_added(out, codec) for codec in codecs]
        out.start_encoding()
        for at in (100, 400):
            for codec, stream in zip(codecs, added, strict=True):
                packet = av.Packet(_CONTENT.get(codec, b"hello"))
                packet.stream, packet.time_base = stream, Fraction(1, 1000)
                packet.pts = packet.dts = at
                packet.duration, packet.is_keyframe = duration, True
                out.mux(packet)
        for index in range(8):
            frame = to_video_frame(numbered_picture(index), "yuv420p")
            frame.pts, frame.time_base = index, Fraction(1, 10)
            out.mux(video.encode(frame))
        out.mux(video.encode(None))
    return path


def _added(out: Any, codec: str) -> Any:
    if codec in ("klv", "timed_id3", "bin_data"):
        stream = out.add_data_stream(codec)
    elif codec in (*_TEXT, "dvdsub"):
        stream = out.add_stream(codec)
        stream.codec_context.time_base = Fraction(1, 1000)
        if codec in _TEXT:
            stream.codec_context.subtitle_header = _HEADER
    else:
        stream = out.add_mux_stream(codec)
    stream.time_base = Fraction(1, 1000)
    return stream


@pytest.mark.parametrize(
    ("target", "expected"),
    [
        (".mp4", ["mov_text", "mov_text", "mov_text", "dvd_subtitle"]),
        (".mov", ["mov_text", "mov_text", "mov_text"]),
        (".mkv", ["subrip", "ass", "webvtt", "dvd_subtitle", "hdmv_pgs_subtitle", "dvb_subtitle"]),
        (".webm", ["webvtt", "webvtt", "webvtt"]),
        (".avi", []),
        (".ts", ["dvb_subtitle"]),
    ],
)
def test_every_subtitle_in_every_container(
    target: str, expected: list[str], tmp_path: Path
) -> None:
    kinds = ("subrip", "ass", "webvtt", "dvdsub", "hdmv_pgs_subtitle", "dvb_subtitle")
    clip, out = film_with(tmp_path / "in.mkv", *kinds), tmp_path / f"out{target}"
    report = stylize_video(clip, out, identity)
    assert [codec for kind, codec in streams(out) if kind == "subtitle"] == expected
    left_out = [note for note in report.notes if "was left out" in note]
    assert len(left_out) == len(kinds) - len(expected)


@pytest.mark.parametrize(
    ("source", "codecs", "target", "kept"),
    [
        (".ts", ("klv", "timed_id3"), ".ts", 2),
        (".ts", ("klv", "timed_id3"), ".mkv", 0),
        (".ts", ("klv", "dvb_teletext"), ".mp4", 0),
        (".mp4", ("bin_data",), ".mov", 1),
        (".mp4", ("bin_data",), ".avi", 0),
    ],
)
def test_data_that_a_container_cannot_describe_is_left_out_by_name(
    source: str, codecs: tuple[str, ...], target: str, kept: int, tmp_path: Path
) -> None:
    clip, out = film_with(tmp_path / f"in{source}", *codecs), tmp_path / f"out{target}"
    report = stylize_video(clip, out, identity)
    assert len(streams(out)) == 1 + kept
    named = [codec for codec in codecs if any(f"({codec}) was left" in n for n in report.notes)]
    assert len(named) == len(codecs) - kept


@pytest.mark.parametrize(("target", "ends"), [(".mp4", [0.4, 0.8]), (".mkv", [0, 0])])
def test_a_dvd_subtitle_without_an_end_lasts_until_the_next(
    target: str, ends: list[float], tmp_path: Path
) -> None:
    """In Matroska, no duration says so."""
    clip = film_with(tmp_path / "in.mkv", "dvdsub", duration=_NO_END)
    out = tmp_path / f"out{target}"
    report = stylize_video(clip, out, identity)
    assert not report.notes
    assert [round(float(at), 3) for at, data in packets(out, "subtitle") if data] == [0.1, 0.4]
    with av.open(str(out)) as container:
        shown = [
            (packet.pts + packet.duration if packet.duration else 0) * packet.time_base
            for packet in container.demux(container.streams.subtitles[0])
            if packet.size
        ]
        length = Fraction(container.duration or 0, av.time_base)
    assert shown == pytest.approx(ends, abs=0.01) and length == pytest.approx(0.8, abs=0.05)


def test_subtitles_that_overlap_keep_their_times(tmp_path: Path) -> None:
    """The first lasts far beyond the start of the second, which is no jump of the clock."""
    clip = film_with(tmp_path / "in.mkv", "ass", duration=5000)
    stylize_video(clip, tmp_path / "out.mkv", identity)
    assert [at for at, _ in packets(tmp_path / "out.mkv", "subtitle")] == [
        Fraction(1, 10),
        Fraction(2, 5),
    ]


def phone_film(path: Path) -> Path:
    """A film as of an iPhone: spatial sound (apac) and timed metadata (mebx), both unknown."""
    make_clip(path, audio=("eng", "fra"), subtitles=("eng", "fra"))
    data = bytearray(path.read_bytes())

    def rename(old: bytes, new: bytes, count: int) -> None:
        """Rename the last boxes of a kind in the index."""
        at = len(data)
        for _ in range(count):
            at = data.rindex(old, data.index(b"moov"), at)
            data[at : at + 4] = new

    rename(b"mp4a", b"apac", 1)
    rename(b"esds", b"free", 1)
    rename(b"tx3g", b"mebx", 2)
    rename(b"sbtl", b"meta", 2)
    path.write_bytes(data)
    return path


@pytest.mark.parametrize("target", [".mp4", ".mov", ".mkv", ".avi"])
def test_what_a_phone_adds_is_named_by_its_four_letters(target: str, tmp_path: Path) -> None:
    clip, out = phone_film(tmp_path / "in.mp4"), tmp_path / f"out{target}"
    report = stylize_video(clip, out, identity)
    assert [kind for kind, _ in streams(out)] == ["video", "audio"]
    said = " / ".join(report.notes)
    assert said.count("(apac") == 1 and said.count("(mebx") == 2 and "unknown" not in said
