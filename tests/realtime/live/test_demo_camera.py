"""The moving test picture."""

from itertools import pairwise

import numpy as np

from impasto.realtime.live.demo_camera import MovingPicture


def test_the_test_picture_moves_and_is_the_same_every_time() -> None:
    picture, again = MovingPicture((90, 160)), MovingPicture((90, 160))
    pictures = [picture(seconds / 10) for seconds in range(100)]
    assert all(np.array_equal(again(k / 10), image) for k, image in enumerate(pictures))
    assert all((a != b).any() for a, b in pairwise(pictures))
    assert all(image.std(axis=(0, 1)).min() > 20 for image in pictures)  # no channel is flat
    assert np.array_equal(picture(10), pictures[0])
