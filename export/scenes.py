"""Renders random scenes, for parity checks and as the default pictures for calibration."""

import numpy as np


def render(count: int, height: int, width: int, *, seed: int = 0) -> np.ndarray:
    """(count, height, width, 3) uint8 RGB: light from above, shapes with edges, texture, noise.

    They have what photographs have and waves or noise alone do not: large even areas beside fine
    detail, and colors that go together. Each picture shows a different scene.
    """
    random = np.random.default_rng(seed)
    return np.stack([_scene(random, height, width) for _ in range(count)])


def _scene(random: np.random.Generator, height: int, width: int) -> np.ndarray:
    y, x = np.mgrid[0:height, 0:width].astype(np.float32) / min(height, width)
    top, bottom = random.uniform(0.1, 0.95, (2, 3))
    picture = top + (bottom - top) * (y / y.max())[..., None]
    for _ in range(random.integers(8, 16)):
        inside = _shape(random, x, y)[..., None]
        color = random.uniform(0, 1, 3) * random.uniform(0.3, 1)
        picture = np.where(inside, color + 0.15 * _texture(random, x, y)[..., None], picture)
    picture = picture * random.uniform(0.5, 1.1) + random.normal(0, 0.01, picture.shape)
    return (picture.clip(0, 1) * 255).round().astype(np.uint8)


def _shape(random: np.random.Generator, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """The mask of a disc, or of a bar at some angle."""
    across, down = random.uniform(0, x.max() + 0.01), random.uniform(0, y.max() + 0.01)
    size, angle = random.uniform(0.03, 0.35), random.uniform(0, np.pi)
    if random.integers(2):
        return (x - across) ** 2 + (y - down) ** 2 < size**2
    u = (x - across) * np.cos(angle) + (y - down) * np.sin(angle)
    v = (y - down) * np.cos(angle) - (x - across) * np.sin(angle)
    return (abs(u) < size / 4) & (abs(v) < 2 * size)


def _texture(random: np.random.Generator, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Waves of random length and direction, -1 to 1."""
    angle, length = random.uniform(0, np.pi), random.uniform(0.01, 0.2)
    return np.sin((x * np.cos(angle) + y * np.sin(angle)) * 2 * np.pi / length)
