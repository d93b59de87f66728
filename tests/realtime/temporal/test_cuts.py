"""Where scenes begin: not where the camera moves or the light changes."""

from fractions import Fraction

import numpy as np
import pytest

from impasto.realtime.frame import Frame
from impasto.realtime.temporal.cuts import CutDetector
from tests.pictures import make_pictures


def beginnings(pictures) -> list[int]:
    begins_scene = CutDetector()
    return [i for i, p in enumerate(pictures) if begins_scene(Frame(p, i, Fraction(1)))]


@pytest.mark.parametrize("size", [(90, 120), (360, 640), (37, 51), (16, 700)])
def test_motion_is_no_cut_and_a_new_scene_is(size):
    scenes = [make_pictures(5, *size), make_pictures(1, *size, seed=5) // 2]
    scenes.append(255 - make_pictures(3, *size, seed=8) // 2)
    assert beginnings(np.concatenate(scenes)) == [0, 5, 6]


def test_a_change_of_light_is_no_cut():
    """A camera that sets its exposure moves the whole histogram at once."""
    pictures = make_pictures(8, 180, 320).astype(float)
    gain = np.array([1, 1, 1.06, 1.12, 1.12, 0.9, 0.8, 0.8])
    lit = np.clip(pictures * gain[:, None, None, None], 0, 255).astype(np.uint8)
    assert beginnings(lit) == [0]


def test_noise_is_no_cut():
    pictures = np.repeat(make_pictures(1, 180, 320), 6, axis=0)
    noise = np.random.default_rng(0).normal(0, 8, pictures.shape)
    assert beginnings(np.clip(pictures + noise, 0, 255).astype(np.uint8)) == [0]


def test_a_black_video_is_one_scene():
    assert beginnings(np.zeros((4, 90, 120, 3), np.uint8)) == [0]
