"""The automatic mode: what counts as a moving camera, and how one blend follows the other."""

import numpy as np
import pytest

from impasto.realtime.temporal.auto import AutoBlend, CameraMotion
from impasto.realtime.temporal.blend import FlowBlend, StillBlend
from tests.pictures import make_pictures, noisy, texture

HEIGHT, WIDTH = 96, 128


def seen_by(positions: list[int], *, noise: float = 2) -> list[np.ndarray]:
    """What a camera sees that pans over one scene; positions: of its left border, in pixels."""
    wide = make_pictures(1, HEIGHT, WIDTH + max(positions))[0]
    return [noisy(wide[:, x : x + WIDTH], noise, k) for k, x in enumerate(positions)]


def test_a_pan_is_noticed_at_once_and_ends_when_the_camera_stands() -> None:
    positions = [0] * 4 + [2, 4, 6, 8] + [8] * 8
    moves = list(map(CameraMotion(), seen_by(positions)))
    assert moves[:4] == [False] * 4
    assert moves[4:8] == [True] * 4
    assert moves[8] and not moves[-1]


@pytest.mark.parametrize("noise", [0, 2])
def test_a_person_in_the_picture_is_no_moving_camera(noise: float) -> None:
    camera_moves, person = CameraMotion(), texture(5, height=60, width=30)
    for number, image in enumerate(seen_by([0] * 8, noise=noise)):
        image[36:, 4 * number : 4 * number + 30] = person
        assert not camera_moves(image)


def test_a_change_of_light_is_no_moving_camera() -> None:
    camera_moves, image = CameraMotion(), seen_by([0])[0]
    for gain in (1, 1, 0.9, 0.8, 0.8, 0.9):
        assert not camera_moves((image * gain).astype(np.uint8))


def test_each_size_and_scene_begins_anew() -> None:
    camera_moves = CameraMotion()
    moves = list(map(camera_moves, seen_by([0, 3, 6])))
    assert moves[-1]
    assert not camera_moves(texture(height=40, width=50))
    camera_moves.reset()
    assert not camera_moves(texture(height=40, width=50))


def test_it_is_the_blend_in_place_before_a_camera_that_stands() -> None:
    images = seen_by([0] * 6)
    auto, still = AutoBlend(), StillBlend()
    for number, image in enumerate(images):
        stylized = noisy(255 - image, 20, number)
        assert (auto(image, stylized) == still(image, stylized)).all()


def test_each_blend_goes_on_from_the_last_frame_of_the_other() -> None:
    images = seen_by([0] * 4 + [3, 6, 9] + [9] * 7, noise=1)
    painted = [noisy(255 - image, 20, number) for number, image in enumerate(images)]
    auto = AutoBlend()
    shown = list(map(auto, images, painted))
    for first, blend in ((4, FlowBlend()), (7 + 4, StillBlend())):
        blend.resume(images[first - 1], shown[first - 1])
        assert (shown[first] == blend(images[first], painted[first])).all()
        assert (shown[first] != painted[first]).mean() > 0.5
