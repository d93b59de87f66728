"""Color transfer: the mean and covariance of one picture's colors, given to another."""

from __future__ import annotations

from typing import NamedTuple

import cv2
import numpy as np

_NOISE = 4.0  # squared levels, added to the diagonal: a gray picture's covariance has no inverse


class ColorTransfer(NamedTuple):
    """An affine map of RGB levels, x -> matrix x + offset."""

    matrix: np.ndarray  # (3, 3)
    offset: np.ndarray  # (3,)

    def __call__(self, image: np.ndarray) -> np.ndarray:
        """image: (H, W, 3) uint8. Returns the same."""
        return cv2.transform(image, np.column_stack([self.matrix, self.offset]))  # rounds, clamps

    def interpolated(self, other: ColorTransfer, share: float) -> ColorTransfer:
        """Between this map (share 0) and another (share 1)."""
        pairs = zip(self, other, strict=True)
        return ColorTransfer(*((1 - share) * a + share * b for a, b in pairs))


IDENTITY = ColorTransfer(np.eye(3), np.zeros(3))


def fit_color_transfer(image: np.ndarray, target: np.ndarray) -> ColorTransfer:
    """The map that gives `image` the mean and covariance of `target`, changing colors the least.

    image, target: (H, W, 3) uint8. It is the optimal transport between two normal distributions
    (Pitie and Kokaram 2007, "The linear Monge-Kantorovitch linear colour mapping"):
    A^(-1/2) (A^(1/2) B A^(1/2))^(1/2) A^(-1/2), with A and B the covariances.
    """
    (mean_a, a), (mean_b, b) = _mean_and_covariance(image), _mean_and_covariance(target)
    root = _power(a, 0.5)
    inverse = _power(a, -0.5)
    matrix = inverse @ _power(root @ b @ root, 0.5) @ inverse
    return ColorTransfer(matrix, mean_b - matrix @ mean_a)


def _mean_and_covariance(image: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    pixels = image.reshape(-1, 3).astype(np.float64)
    mean = pixels.mean(axis=0)
    centered = pixels - mean
    return mean, centered.T @ centered / len(pixels) + _NOISE * np.eye(3)


def _power(matrix: np.ndarray, exponent: float) -> np.ndarray:
    """A symmetric positive matrix to a power."""
    values, vectors = np.linalg.eigh(matrix)
    return (vectors * np.maximum(values, 1e-9) ** exponent) @ vectors.T
