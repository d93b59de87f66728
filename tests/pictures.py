"""Made-up pictures with large shapes in them, as real ones have."""

import numpy as np


def make_pictures(count: int, height: int, width: int, *, seed: int = 0) -> np.ndarray:
    """(count, height, width, 3) uint8: waves of colour that drift from picture to picture."""
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
