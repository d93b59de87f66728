"""Sound of one layout and rate without gaps, and which encoder it gets."""

from fractions import Fraction

import av
import numpy as np
import pytest

from impasto.realtime.files.audio import SteadyAudio, encodings_for


def frame(value: int, start: int, samples: int, *, rate: int = 8000, layout: str = "mono"):
    """A frame of one constant value, at `start` samples of its own rate."""
    count = samples * av.AudioLayout(layout).nb_channels
    made = av.AudioFrame.from_ndarray(np.full((1, count), value, np.int16), "s16", layout)
    made.sample_rate, made.pts, made.time_base = rate, start, Fraction(1, rate)
    return made


def steady(*frames: av.AudioFrame, layout: str = "mono", rate: int = 8000) -> np.ndarray:
    """All samples that come out, after checking that their times are consecutive."""
    audio = SteadyAudio(av.AudioFormat("s16p"), layout, rate)
    out = [made for given in (*frames, None) for made in audio.send(given)]
    starts = np.cumsum([0, *(made.samples for made in out)])
    assert [made.pts for made in out] == list(starts[:-1])
    assert {(made.layout.name, made.sample_rate) for made in out} == {(layout, rate)}
    return np.concatenate([made.to_ndarray()[0] for made in out])


def test_late_sound_has_silence_before_it() -> None:
    samples = steady(frame(5, 20000, 100))
    assert len(samples) == 20100 and not samples[:20000].any() and (samples[20000:] == 5).all()


def test_sound_before_zero_is_dropped() -> None:
    samples = steady(frame(1, -300, 200), frame(2, -100, 400))
    assert len(samples) == 300 and (samples == 2).all()


def test_a_gap_is_silent_and_an_overlap_is_dropped() -> None:
    samples = steady(frame(1, 0, 1000), frame(2, 3000, 1000), frame(3, 3000, 2000))
    assert len(samples) == 5000
    assert [int(samples[k]) for k in (999, 1000, 2999, 3000, 3999, 4000)] == [1, 0, 0, 2, 2, 3]


def test_jitter_of_milliseconds_moves_nothing() -> None:
    """Matroska rounds to milliseconds: 8 samples at 8 kHz."""
    parts = [frame(7, start + shift, 256) for start, shift in ((0, 0), (256, 8), (512, -8))]
    assert (steady(*parts) == 7).all()


def test_a_damaged_timestamp_makes_no_endless_silence() -> None:
    assert len(steady(frame(1, 0, 100), frame(1, 10**12, 100))) == 200


def test_layout_and_rate_may_change() -> None:
    parts = [frame(100, 0, 8000), frame(100, 44100, 44100, rate=44100, layout="stereo")]
    samples = steady(*parts, layout="stereo", rate=8000)
    assert len(samples) == pytest.approx(2 * 2 * 8000, abs=40)
    assert abs(np.median(samples[-4000:]) - 100) <= 1


def context(codec: str, layout: str, rate: int) -> av.AudioCodecContext:
    made = av.CodecContext.create(codec, "r")
    made.layout, made.sample_rate = layout, rate
    return made


@pytest.mark.parametrize(
    ("muxer", "layout", "rate", "expected"),
    [
        ("mp4", "mono", 44100, ("aac", "mono", 44100, 96_000)),
        ("mp4", "5.0(side)", 48000, ("aac", "5.0", 48000, 480_000)),
        ("mp4", "quad", 192000, ("aac", "quad", 96000, 384_000)),
        ("mov", "6.1", 11000, ("aac", "7.1", 11025, 768_000)),
        ("webm", "4.0", 44100, ("libopus", "5.1", 48000, 384_000)),
        ("avi", "5.1", 96000, ("libmp3lame", "stereo", 48000, 192_000)),
    ],
)
def test_encoding_loses_as_little_as_the_encoder_can(
    muxer: str, layout: str, rate: int, expected: tuple[str, str, int, int]
) -> None:
    best = next(encodings_for(muxer, context("flac", layout, rate)))
    assert (best.encoder, best.layout, best.rate, best.bit_rate) == expected


@pytest.mark.parametrize("muxer", ["mov", "matroska", "avi"])
def test_pcm_stays_pcm_where_the_container_has_it(muxer: str) -> None:
    best = next(encodings_for(muxer, context("pcm_bluray", "5.1", 96000)))
    assert best.encoder.startswith("pcm_s") and (best.layout, best.rate) == ("5.1", 96000)


def test_a_container_without_sound_has_no_encoding() -> None:
    assert not list(encodings_for("gif", context("flac", "stereo", 44100)))
