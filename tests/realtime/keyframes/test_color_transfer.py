"""Color transfer: the result has the mean and covariance of the target."""

import numpy as np

from impasto.realtime.keyframes.color_transfer import fit_color_transfer
from tests.realtime.keyframes.views import texture


def test_the_result_has_the_mean_and_covariance_of_the_target() -> None:
    image, target = texture(64, 64, 1) // 2 + 40, texture(64, 64, 2) // 3 + 80
    target[..., 0] //= 2
    pixels = fit_color_transfer(image, target)(image).reshape(-1, 3).astype(float)
    wanted = target.reshape(-1, 3).astype(float)
    np.testing.assert_allclose(pixels.mean(0), wanted.mean(0), atol=0.5)  # levels are rounded
    np.testing.assert_allclose(np.cov(pixels.T), np.cov(wanted.T), atol=0.02 * np.var(wanted))


def test_an_image_as_its_own_target_is_unchanged() -> None:
    image = texture(32, 32)
    np.testing.assert_array_equal(fit_color_transfer(image, image)(image), image)


def test_a_gray_image_has_a_finite_transfer() -> None:
    gray = np.full((8, 8, 3), 100, np.uint8)
    assert np.isfinite(fit_color_transfer(gray, texture(8, 8)).matrix).all()
