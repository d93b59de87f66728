"""Random fields that tile: the grain of every surface in the pictures of this folder."""

from functools import cache

import numpy as np


@cache
def _radius(height: int, width: int) -> np.ndarray:
    """Spatial frequency of each Fourier bin, in cycles per pixel: (H, W // 2 + 1) float64."""
    return np.hypot(np.fft.fftfreq(height)[:, None], np.fft.rfftfreq(width)[None, :])


def band(height: int, width: int, period: float, seed: int, *, stretch: float = 1.0) -> np.ndarray:
    """Noise of one size of detail: (H, W) float32, mean 0, standard deviation 1, tiling.

    period: typical distance between two bright spots, in pixels; `stretch` times that along x.
    """
    white = np.random.default_rng(seed).standard_normal((height, width))
    fy = np.fft.fftfreq(height)[:, None]
    fx = np.fft.rfftfreq(width)[None, :] * stretch
    octave = np.log2(np.maximum(np.hypot(fx, fy), 1e-9) * period)
    field = np.fft.irfft2(np.fft.rfft2(white) * np.exp(-(octave**2) / 0.5), (height, width))
    return (field / field.std()).astype(np.float32)


def fractal(
    height: int, width: int, seed: int, *, roughness: float = 1.0, coarsest: float = 0.5
) -> np.ndarray:
    """Noise at every size of detail at once: (H, W) float32, mean 0, standard deviation 1, tiling.

    roughness: the amplitude falls as frequency ** -(2 - roughness / 2): 0 is smooth, 2 is grain.
    coarsest: the largest detail, as a fraction of the longer side.
    """
    white = np.random.default_rng(seed).standard_normal((height, width))
    radius = np.maximum(_radius(height, width), 1e-9)
    lowest = 1.0 / (coarsest * max(height, width))
    gain = radius ** -(2.0 - roughness / 2) * (radius > lowest)
    field = np.fft.irfft2(np.fft.rfft2(white) * gain, (height, width))
    return (field / field.std()).astype(np.float32)


def ramp(x: np.ndarray, low: float | np.ndarray, high: float | np.ndarray) -> np.ndarray:
    """Smooth step: 0 below `low`, 1 above `high` (or the other way round if low > high)."""
    s = np.clip((x - low) / (high - low), 0.0, 1.0)
    return s * s * (3.0 - 2.0 * s)
