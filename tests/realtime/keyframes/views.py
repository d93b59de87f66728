"""Frames made of smooth colored noise, which optical flow can follow everywhere."""

from fractions import Fraction

import cv2
import numpy as np

from impasto.realtime.frame import Frame


def texture(height: int, width: int, seed: int = 0) -> np.ndarray:
    """Smooth colored noise, (height, width, 3) uint8."""
    noise = np.random.default_rng(seed).uniform(0, 255, (height, width, 3)).astype(np.float32)
    smooth = cv2.GaussianBlur(noise, (0, 0), 3)
    low, high = smooth.min(), smooth.max()
    return ((smooth - low) * (255 / (high - low))).astype(np.uint8)


def panned(count: int, step: int = 2, size: tuple[int, int] = (96, 128)) -> list[np.ndarray]:
    """A view that moves to the right over a wide texture by `step` px a frame."""
    height, width = size
    wide = texture(height, width + step * count)
    return [wide[:, step * k : step * k + width].copy() for k in range(count)]


def frames_of(images: list[np.ndarray], rate: int = 25) -> list[Frame]:
    return [Frame(image, k, Fraction(1, rate)) for k, image in enumerate(images)]
