"""Input hold: noise is removed from still regions, and changes are followed exactly."""

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from impasto.realtime.temporal.hold import PixelHold, noise_level
from tests.pictures import low_contrast, noisy, rms, texture

HEIGHT, WIDTH = 120, 160


class TestNoiseLevel:
    @settings(max_examples=25, deadline=None)
    @given(sigma=st.floats(0.4, 15), seed=st.integers(0, 1000))
    def test_estimates_gaussian_noise(self, sigma: float, seed: int) -> None:
        picture = low_contrast(seed=seed % 5)
        level = noise_level(noisy(picture, sigma, seed), noisy(picture, sigma, seed + 1))
        # Some 3,000 differences give the level to 2 %; rounding adds 1/12 to each frame's variance.
        assert level == pytest.approx(np.hypot(sigma, 12**-0.5), rel=0.15, abs=0.15)

    def test_is_zero_for_equal_frames(self) -> None:
        picture = texture()
        assert noise_level(picture, picture) == 0
        assert noise_level(picture[:15], noisy(picture, 5, 0)[:15]) == 0  # too small to tell

    def test_motion_does_not_count_as_noise(self) -> None:
        wide = low_contrast(HEIGHT, WIDTH + 8)
        before, after = noisy(wide[:, :-8], 2, 0), noisy(wide[:, 8:], 2, 1)
        assert rms(before - after.astype(float)) > 20
        assert 1 < noise_level(before, after) < 4


class TestPixelHold:
    @pytest.mark.parametrize("sigma", [0.5, 1, 2, 5, 10])
    def test_noise_on_a_still_scene_is_removed(self, sigma: float) -> None:
        hold, picture = PixelHold(), low_contrast()
        held = [hold(noisy(picture, sigma, seed)) for seed in range(8)]
        changed = [np.any(a != b, axis=2).mean() for a, b in zip(held[:-1], held[1:], strict=True)]
        assert max(changed) < 0.005  # all but a few spots
        assert hold.noise == pytest.approx(np.hypot(sigma, 12**-0.5), rel=0.15, abs=0.1)

    def test_a_moving_object_leaves_no_trail(self) -> None:
        hold, ground = PixelHold(), noisy(low_contrast(), 0, 0)
        for number in range(10):
            clean = ground.copy()
            clean[40:60, 10 * number : 10 * number + 20] = (220, 40, 30)
            image = noisy(clean, 2, number)
            held = hold(image)
            # No region differs from the clean picture by more than the noise.
            error = cv2.blur(held.astype(np.float32) - clean, (5, 5))
            assert np.abs(error).max() < 3.5 * 2
            changed = slice(40, 60), slice(10 * number, 10 * number + 20)
            if number:
                fresh = held[changed] == image[changed]
                assert fresh[:, 10:].all()  # the newly covered half: exact, and at once

    def test_a_slow_fade_is_followed(self) -> None:
        hold, picture = PixelHold(), low_contrast()
        for step in range(40):
            faded = picture + 0.5 * step
            held = hold(noisy(faded, 1, step))
            assert abs((held - faded).mean()) < 3  # levels, of 20 in all
        assert np.abs(cv2.blur(held - faded, (9, 9))).max() < 5

    def test_another_scene_or_size_replaces_every_pixel(self) -> None:
        hold = PixelHold()
        for image in (texture(0), texture(1), texture(2, height=50, width=70), texture(3)):
            held = hold(image)
            assert held.shape == image.shape and rms(held.astype(float) - image) < 1

    def test_reset(self) -> None:
        hold, picture = PixelHold(), low_contrast()
        for seed in range(3):
            hold(noisy(picture, 3, seed))
        image = noisy(picture, 3, 9)
        assert (hold(image) != image).any()
        hold.reset()
        assert (hold(image) == image).all()

    def test_inputs_and_earlier_outputs_are_not_modified(self) -> None:
        hold, images = PixelHold(), [noisy(low_contrast(), 3, seed) for seed in range(4)]
        copies = [image.copy() for image in images]
        held = [hold(image) for image in images]
        first = held[0].copy()
        hold(texture())
        assert (held[0] == first).all()
        assert all((a == b).all() for a, b in zip(images, copies, strict=True))

    @pytest.mark.parametrize("size", [(2, 2), (9, 200), (301, 333), (720, 1280)])
    def test_any_size(self, size: tuple[int, int]) -> None:
        image = np.random.default_rng(0).integers(0, 256, (*size, 3), np.uint8)
        hold = PixelHold()
        assert all(hold(image).shape == image.shape for _ in range(2))
