"""Paint that is moved along with the picture."""

from fractions import Fraction

import numpy as np

from impasto.realtime.frame import Frame
from impasto.realtime.live.moved_paint import MovedPaint
from tests.pictures import make_pictures


def frame(image: np.ndarray) -> Frame:
    return Frame(image, 0, Fraction(1, 30))


def view(picture: np.ndarray, left: int) -> np.ndarray:
    """What a camera sees that has panned by `left` px."""
    return np.ascontiguousarray(picture[10:250, left : left + 360])


def test_paint_follows_a_panning_camera():
    (scene,) = make_pictures(1, 260, 400)
    (paint,) = make_pictures(1, 260, 400, seed=1)
    moved_paint = MovedPaint()
    moved_paint.keep(frame(view(scene, 10)), view(paint, 10))
    moved = moved_paint(frame(view(scene, 16)))
    expected = view(paint, 16).astype(float)
    inside = slice(20, -20), slice(20, -20)
    error = np.abs(moved - expected)[inside].mean()
    assert error < 0.3 * np.abs(view(paint, 10) - expected)[inside].mean()
    edge = np.abs(np.diff(moved[:, -4:].astype(int), axis=1)).mean()
    assert edge > 0.2  # no drawn-out row


def test_paint_of_another_scene_or_size_is_not_moved():
    scene, other = make_pictures(2, 120, 160)
    moved_paint = MovedPaint()
    assert moved_paint(frame(scene)) is None
    moved_paint.keep(frame(scene), scene)
    assert np.abs(moved_paint(frame(scene)).astype(int) - scene).mean() < 1
    other = other // 4
    assert moved_paint(frame(other)) is None
    moved_paint.keep(frame(other), other)
    assert moved_paint(frame(np.ascontiguousarray(other[:100]))) is None
    assert moved_paint(frame(other)) is not None
