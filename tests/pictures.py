"""Synthetic pictures: smooth ones with large shapes, textures, and noise."""

import cv2
import numpy as np


def make_pictures(count: int, height: int, width: int, *, seed: int = 0) -> np.ndarray:
    """(count, height, width, 3) uint8: waves of color that drift from picture to picture."""
    random = np.random.default_rng(seed)
    phase, angle = random.uniform(0, 2 * np.pi, (2, 6))
    wavelength = random.uniform(8, 40, 6)
    color = random.uniform(-40, 40, (6, 3))
    t, y, x = np.ogrid[0:count, 0:height, 0:width]
    waves = [
        np.sin((x * np.cos(a) + y * np.sin(a) + 0.5 * t) * 2 * np.pi / w + p)[..., None] * c
        for p, a, w, c in zip(phase, angle, wavelength, color, strict=True)
    ]
    return np.clip(128 + sum(waves), 0, 255).round().astype(np.uint8)


def low_contrast(height: int = 120, width: int = 160, seed: int = 0) -> np.ndarray:
    """A smooth picture away from black and white, where noise would be clipped: (H, W, 3) uint8."""
    return (40 + 0.68 * make_pictures(1, height, width, seed=seed)[0]).astype(np.uint8)


def texture(seed: int = 0, *, height: int = 120, width: int = 160) -> np.ndarray:
    """Colored texture at the scale of a few pixels, as optical flow needs it: (H, W, 3) uint8."""
    grain = np.random.default_rng(seed).normal(0, 1, (height, width, 3)).astype(np.float32)
    smooth = cv2.GaussianBlur(grain, (0, 0), 2.0)
    return np.clip(128 + 45 * smooth / smooth.std(), 0, 255).astype(np.uint8)


def noisy(picture: np.ndarray, sigma: float, seed: int) -> np.ndarray:
    """A picture with Gaussian noise of `sigma` levels, rounded to uint8."""
    noise = np.random.default_rng(seed).normal(0, sigma, picture.shape)
    return np.clip(picture + noise, 0, 255).round().astype(np.uint8)


def rms(difference: np.ndarray) -> float:
    """Root mean square."""
    return float(np.sqrt(np.square(difference.astype(float)).mean()))
