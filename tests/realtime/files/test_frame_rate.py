"""Frame rate conversion drops and repeats frames by their timestamps."""

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from impasto.realtime.files.frame_rate import at_frame_rate, info_at_frame_rate
from impasto.realtime.files.video_reader import VideoReader
from impasto.realtime.frame import Frame, StreamInfo
from tests.media import (
    UNEVEN_MS,
    make_clip,
)

ticks = st.lists(st.integers(1, 400), min_size=1, max_size=40)
rates = st.builds(Fraction, st.integers(1, 120), st.sampled_from([1, 1001])).map(
    lambda r: r * 1000 if r.denominator == 1001 else r
)


class TestAtFrameRate:
    @staticmethod
    def timed(pts, time_base=Fraction(1, 1000)):
        """Frames that carry their index instead of a picture."""
        return [Frame(np.full((1, 1, 3), k), p, time_base) for k, p in enumerate(pts)]

    @settings(deadline=None)
    @given(ticks, rates, st.integers(-5000, 5000))
    def test_constant_rate_and_the_same_duration(self, steps, rate, start):
        pts = [start + sum(steps[:k]) for k in range(len(steps))]
        duration = Fraction(sum(steps), 1000)
        out = list(at_frame_rate(self.timed(pts), rate, duration=duration))
        assert {f.time_base for f in out} == {1 / rate}
        assert [f.pts for f in out] == list(range(out[0].pts, out[0].pts + len(out)))
        # Each end is moved by half a tick at most; a clip is never less than one frame.
        first, end = Fraction(pts[0], 1000), Fraction(pts[0], 1000) + duration
        half = 1 / (2 * rate)
        assert abs(out[0].pts / rate - first) <= half
        assert abs((out[-1].pts + 1) / rate - end) <= half or len(out) == 1
        # Every tick shows the frame whose time, rounded to ticks, came last.
        for f in out:
            assert f.image[0, 0, 0] == max(
                k for k, p in enumerate(pts) if p * rate / 1000 < f.pts + Fraction(1, 2)
            )

    def test_the_same_rate_changes_nothing(self):
        frames = self.timed(range(20), Fraction(1001, 30000))
        out = list(at_frame_rate(frames, Fraction(30000, 1001)))
        assert [f.image[0, 0, 0] for f in out] == list(range(20))
        assert [f.pts * f.time_base for f in out] == [f.pts * f.time_base for f in frames]

    @pytest.mark.parametrize(
        ("rate", "expected"),
        [(50, [0, 0, 1, 1, 2, 2, 3, 3]), (Fraction(25, 2), [0, 2]), (1, [3])],
    )
    def test_repeats_and_drops(self, rate, expected):
        out = list(at_frame_rate(self.timed([0, 40, 80, 120]), rate))
        assert [f.image[0, 0, 0] for f in out] == expected

    def test_half_the_rate_is_every_second_frame(self):
        out = list(at_frame_rate(self.timed(range(40), Fraction(1, 60)), 30))
        assert [int(f.image[0, 0, 0]) for f in out] == list(range(0, 40, 2))

    def test_the_last_frame_is_repeated_to_the_end(self):
        out = list(at_frame_rate(self.timed([0, 500]), 4, duration=Fraction(3)))
        assert [f.image[0, 0, 0] for f in out] == [0, 0] + [1] * 10

    def test_no_frames(self):
        assert list(at_frame_rate([], 25)) == []

    def test_only_one_frame_is_held(self):
        """It reads one frame ahead, not the whole video."""
        taken = []
        source = (taken.append(f.pts) or f for f in self.timed(range(0, 4000, 40)))
        out = at_frame_rate(source, 25)
        next(out)
        assert len(taken) == 2

    def test_a_file_of_variable_rate(self, tmp_path):
        path = make_clip(
            tmp_path / "vfr.mp4", pts=UNEVEN_MS, frames=12, time_base=Fraction(1, 1000)
        )
        with VideoReader(path) as source:
            info = info_at_frame_rate(source.info, 30)
            out = list(at_frame_rate(source, 30, duration=source.info.duration))
        assert info.frame_rate == 30 and info.time_base == Fraction(1, 30)
        assert len(out) == info.frame_count == round(source.info.duration * 30)

    def test_info_of_unknown_duration(self):
        info = StreamInfo(height=48, width=64, time_base=Fraction(1, 1000))
        assert info_at_frame_rate(info, 24).frame_count is None
