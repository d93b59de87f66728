"""Pixels tracked through frames whose motion is known."""

import numpy as np

from impasto.realtime.keyframes.tracking import PixelTracker, _distorted
from impasto.realtime.temporal.flow import resize_flow
from tests.realtime.keyframes.views import panned


def test_follows_a_pan() -> None:
    images = panned(16)
    track = PixelTracker(images[0])
    for image in images[1:]:
        track.follow(image)
    inside = track.to_key[16:-16, 16:-48]  # what was in view at first
    np.testing.assert_allclose(inside[..., 0], 30, atol=1)  # 15 frames of 2 px
    np.testing.assert_allclose(inside[..., 1], 0, atol=1)
    assert track.confidence[16:-16, 16:-48].mean() > 0.9
    assert track.confidence[:, -20:].mean() < 0.1  # came into view since


def test_what_looks_alike_is_similar_though_its_motion_is_unknown() -> None:
    dice = np.random.default_rng(0)
    sand = [dice.integers(100, 140, (96, 128, 3), np.uint8) for _ in range(5)]
    track = PixelTracker(sand[0])
    for image in sand[1:]:
        track.follow(image)
    inside = (slice(12, -12), slice(12, -12))
    assert track.confidence[inside].mean() < 0.5 < 0.8 < track.similarity[inside].mean()
    track.follow(np.full_like(sand[0], 255))
    assert track.similarity.max() == 0


def test_a_flow_that_stretches_too_much_is_distorted() -> None:
    flow = np.zeros((40, 60, 2), np.float32)
    flow[:, 20:40, 0] = -np.arange(20)  # all from one column
    torn = _distorted(flow)
    assert torn[:, 21:39].all() and not torn[:, :19].any()
    flow[:, 20:40, 0] = -0.5 * np.arange(20)  # twice as long
    assert not _distorted(flow)[:, 21:38].any()


def test_an_enlarged_flow_is_in_larger_pixels() -> None:
    flow = np.full((10, 20, 2), (1.0, 2.0), np.float32)
    np.testing.assert_allclose(resize_flow(flow, (30, 40)), np.full((30, 40, 2), (2.0, 6.0)))
