"""Selection of keyframes: by cuts, by the view, and by the times asked for."""

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from impasto.models.errors import SourceError
from impasto.realtime.frame import Frame
from impasto.realtime.keyframes.selection import Selection, SelectionRule, select_keyframes
from tests.realtime.keyframes.views import frames_of, panned, texture


def select(frames: list[Frame], rule: SelectionRule, **more: object) -> Selection:
    return list(select_keyframes(frames, rule, **more))[-1]  # type: ignore[arg-type]


def test_a_still_video_has_one_keyframe() -> None:
    selection = select(frames_of([texture(96, 128)] * 60), SelectionRule())
    assert [(k.number, k.reason) for k in selection.keyframes] == [(0, "begins")]


def test_a_cut_begins_a_shot() -> None:
    images = [texture(96, 128)] * 9 + [255 - texture(96, 128) // 4] * 9
    selection = select(frames_of(images), SelectionRule())
    assert [(k.number, k.reason, k.shot) for k in selection.keyframes] == [
        (0, "begins", 0),
        (9, "cut", 1),
    ]
    assert selection.cuts == {0, 9} and selection.frame_count == 18


def test_a_pan_has_a_keyframe_where_the_view_has_changed() -> None:
    selection = select(frames_of(panned(60)), SelectionRule())
    numbers = [k.number for k in selection.keyframes]
    # 2 px a frame of 128: a third of the view is gone after some 22 frames.
    assert [k.reason for k in selection.keyframes[1:]] == ["view"] * (len(numbers) - 1)
    assert all(12 <= gap <= 30 for gap in np.diff(numbers)) and len(numbers) >= 3


def test_keyframes_at_an_interval_and_at_cuts() -> None:
    images = [texture(48, 64)] * 30 + [255 - texture(48, 64) // 4] * 30
    selection = select(frames_of(images), SelectionRule(every=Fraction(1, 2)))
    assert [k.number for k in selection.keyframes] == [0, 13, 26, 30, 43, 56]


@given(times=st.lists(st.fractions(0, Fraction(99, 100)), min_size=1, max_size=4))
def test_at_selects_the_frame_shown_at_that_time(times: list[Fraction]) -> None:
    frames = frames_of([np.zeros((16, 16, 3), np.uint8)] * 25)
    selection = select(frames, SelectionRule(at=tuple(times)), end=Fraction(1))
    assert [k.number for k in selection.keyframes] == sorted({int(t * 25) for t in times})


@pytest.mark.parametrize("time", [Fraction(1), Fraction(100)])
def test_a_time_outside_the_video_is_refused(time: Fraction) -> None:
    frames = frames_of([np.zeros((16, 16, 3), np.uint8)] * 25)
    with pytest.raises(SourceError, match="no frame at"):
        select(frames, SelectionRule(at=(time,)), end=Fraction(1))


def test_the_gap_between_keyframes_is_bounded() -> None:
    frames = frames_of([texture(48, 64)] * 50)
    selection = select(frames, SelectionRule(every=Fraction(10), max_gap=20))
    assert [(k.number, k.reason) for k in selection.keyframes][1:] == [
        (20, "memory"),
        (40, "memory"),
    ]
