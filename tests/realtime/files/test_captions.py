"""Closed captions inside the picture are on the stylized frames too, or a note says that they
were left out."""

import re
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from impasto.realtime.files.codecs import EncoderOptions
from impasto.realtime.files.convert import stylize_video
from impasto.realtime.files.side_data import side_data_of
from tests.media import make_clip, number_of, read_video
from tests.realtime.files.conversion import identity

LEFT_OUT = "closed captions in the picture were left out"


def caption(number: int) -> bytes:
    """Two bytes of CEA-608 in the first field, valid, with the number in both."""
    return bytes([0xFC, 0x20 + number, 0x40 + number])


def captioned_clip(
    path: Path, *, frames: int = 12, only: range | None = None, **options: Any
) -> Path:
    """H.264 with the captions of `caption` before each frame: SEI messages by ATSC A/53 part 4."""
    raw = make_clip(
        path.with_suffix(".h264"),
        frames=frames,
        **{"options": {"bf": "0", "x264-params": "slices=1:threads=1:sliced-threads=0"}, **options},
    )
    stream, number = b"", 0
    for unit in re.split(b"\0\0\0\1|\0\0\1", raw.read_bytes())[1:]:
        if unit[0] & 31 in (1, 5):  # a slice: of a frame, as each has one
            if only is None or number in only:
                user_data = b"\xb5\x00\x31GA94\x03\x41\xff" + caption(number) + b"\xff"
                stream += b"\0\0\0\1\x06\x04" + bytes([len(user_data)]) + user_data + b"\x80"
            number += 1
        stream += b"\0\0\0\1" + unit
    assert number == frames
    raw.write_bytes(stream)
    with av.open(str(raw)) as container, av.open(str(path), "w") as out:
        target = out.add_stream_from_template(container.streams.video[0])
        for index, packet in enumerate(p for p in container.demux(video=0) if p.size):
            packet.stream, packet.time_base = target, Fraction(1, 25)
            packet.pts = packet.dts = index
            packet.duration = 1
            out.mux(packet)
    return path


def captions_in(path: Path) -> list[bytes]:
    """The captions of each frame, empty for a frame without."""
    with av.open(str(path)) as container:
        return [
            bytes(data) if (data := side_data_of(frame).get("A53_CC")) is not None else b""
            for frame in container.decode(video=0)
        ]


@pytest.mark.parametrize(
    ("name", "codec", "options"),
    [
        ("out.mp4", "h264", {}),
        ("out.mkv", "h264", {"preset": "medium"}),  # with B-frames
        ("out.ts", "h264", {"bit_depth": 10}),
        ("out.mov", "hevc", {}),
    ],
)
def test_each_frame_has_its_own(tmp_path, name, codec, options):
    clip, out = captioned_clip(tmp_path / "in.mp4"), tmp_path / name
    assert captions_in(clip) == [caption(n) for n in range(12)]
    report = stylize_video(clip, out, identity, encoder=EncoderOptions(codec=codec, **options))
    assert captions_in(out) == captions_in(clip) and report.notes == ()
    frames, _ = read_video(out)
    assert [number_of(frame.image) for frame in frames] == list(range(12))
    original, _ = read_video(clip)
    difference = np.abs(frames[3].image.astype(int) - original[3].image)
    assert difference.mean() < 4  # the loss of a second codec


def test_a_part_a_new_size_and_frames_without(tmp_path):
    clip, out = captioned_clip(tmp_path / "in.mp4", only=range(5, 9)), tmp_path / "out.mp4"
    report = stylize_video(clip, out, identity, size=96, start=Fraction(6, 25))
    assert captions_in(out) == [caption(6), caption(7), caption(8), b"", b"", b""]
    assert report.notes == ()
    frames, _ = read_video(out)
    assert [number_of(frame.image) for frame in frames] == list(range(6, 12))


def test_interlaced(tmp_path):
    options = {"x264-params": "tff=1:slices=1:threads=1:sliced-threads=0"}
    clip = captioned_clip(tmp_path / "in.mp4", options={"bf": "0", **options})
    report = stylize_video(clip, tmp_path / "out.mp4", identity)
    assert any("deinterlaced" in note for note in report.notes)
    assert captions_in(tmp_path / "out.mp4") == [caption(n) for n in range(12)]


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("out.webm", {}),
        ("out.avi", {}),
        ("out.gif", {}),
        ("out.mp4", {"encoder": EncoderOptions(codec="av1")}),
        ("out.mp4", {"frame_rate": 10}),
    ],
)
def test_what_cannot_be_kept_is_noted(tmp_path, name, options):
    clip = captioned_clip(tmp_path / "in.mp4")
    report = stylize_video(clip, tmp_path / name, identity, **options)
    assert report.notes.count(LEFT_OUT) == 1 and not any(captions_in(tmp_path / name))
