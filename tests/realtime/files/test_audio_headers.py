"""Frame headers of sound, by frames that FFmpeg's encoders wrote."""

import io
from fractions import Fraction

import av
import numpy as np
import pytest

from impasto.realtime.files.audio_headers import header_format


def first_frame(encoder: str, rate: int, layout: str, muxer: str) -> bytes:
    """The first encoded frame, as an elementary stream stores it."""
    file = io.BytesIO()
    with av.open(file, "w", format=muxer) as out:
        stream = out.add_stream(encoder, rate=rate, layout=layout)
        count = 4096 * av.AudioLayout(layout).nb_channels
        frame = av.AudioFrame.from_ndarray(np.zeros((1, count), np.float32), "flt", layout)
        frame.sample_rate, frame.pts, frame.time_base = rate, 0, Fraction(1, rate)
        out.mux([*stream.encode(frame), *stream.encode(None)])
    return file.getvalue()[:16]


@pytest.mark.parametrize(
    ("encoder", "codec", "muxer", "rate", "layout"),
    [
        ("mp2", "mp2", "mp2", 48000, "stereo"),
        ("mp2", "mp2", "mp2", 22050, "mono"),
        ("libmp3lame", "mp3", "data", 44100, "mono"),
        ("libmp3lame", "mp3", "data", 32000, "stereo"),
        ("libmp3lame", "mp3", "data", 11025, "stereo"),
        ("ac3", "ac3", "ac3", 48000, "mono"),
        ("ac3", "ac3", "ac3", 44100, "stereo"),
        ("ac3", "ac3", "ac3", 32000, "3.0"),
        ("ac3", "ac3", "ac3", 48000, "quad"),
        ("ac3", "ac3", "ac3", 48000, "5.0"),
        ("ac3", "ac3", "ac3", 48000, "5.1"),
        ("eac3", "eac3", "eac3", 48000, "stereo"),
        ("eac3", "eac3", "eac3", 44100, "5.1"),
        ("aac", "aac", "adts", 48000, "mono"),
        ("aac", "aac", "adts", 22050, "5.1"),
    ],
)
def test_a_header_says_rate_and_channels(
    encoder: str, codec: str, muxer: str, rate: int, layout: str
) -> None:
    found = header_format(codec, first_frame(encoder, rate, layout, muxer))
    assert found == (rate, av.AudioLayout(layout).nb_channels)


@pytest.mark.parametrize("codec", ["mp2", "mp3", "ac3", "eac3", "aac", "opus"])
@pytest.mark.parametrize(
    "data", [b"", b"\xff\xfb", bytes(16), b"\xff" * 16, b"\x0b\x77" + b"\xff" * 9]
)
def test_what_is_no_header_says_nothing(codec: str, data: bytes) -> None:
    if codec == "eac3" and data.startswith(b"\x0b\x77"):
        return  # any bits may follow, but for the rates
    assert header_format(codec, data) is None
