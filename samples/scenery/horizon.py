"""What lies far off: the sky with its clouds, and hills."""

from collections.abc import Iterator

import numpy as np

from scenery.canvas import Canvas
from scenery.noise import band, fractal, ramp

SUN = (0.62, 0.20)  # azimuth and height above the horizon, in radians and as a slope
HAZE = np.array((0.80, 0.68, 0.56), np.float32)  # linear light
SKY_SPAN = (-1.15, 1.15, -0.06, 1.02)  # azimuth from, to; slope from, to


def linear(display: np.ndarray) -> np.ndarray:
    """Display values to linear light."""
    return np.asarray(display, np.float32) ** 2.2


def _clouds(
    azimuth: np.ndarray, slope: np.ndarray, seed: int
) -> Iterator[tuple[tuple[slice, slice], np.ndarray, np.ndarray]]:
    """Heaped clouds, farthest (lowest) first: a window of the sky, cover and light in [0, 1].

    A cloud is a heap of balls on a flat base: their thickness towards us, roughened by noise, is a
    relief, and its slope towards the sun is the light.
    """
    height, width = slope.size, azimuth.size
    rng = np.random.default_rng(seed)
    billow = 1 - np.abs(band(height, width, 44, seed + 1, stretch=1.2))
    puffs = 1 - np.abs(band(height, width, 17, seed + 2, stretch=1.2))
    wisps = band(height, width, 6, seed + 3)
    drift_x = 0.016 * band(height, width, 90, seed + 4) + 0.006 * band(height, width, 30, seed + 5)
    drift_y = 0.010 * band(height, width, 70, seed + 6) + 0.005 * band(height, width, 25, seed + 7)
    all_x, all_y = azimuth + drift_x, slope + drift_y
    places = [
        (-0.72, 0.07, 0.20),
        (-0.18, 0.065, 0.16),
        (0.28, 0.06, 0.15),
        (0.92, 0.08, 0.22),
        (-0.95, 0.15, 0.30),
        (-0.42, 0.14, 0.22),
        (0.14, 0.15, 0.24),
        (0.56, 0.115, 0.15),
        (-0.62, 0.26, 0.36),
        (0.02, 0.30, 0.30),
        (0.44, 0.27, 0.34),
        (0.98, 0.24, 0.30),
        (-0.30, 0.46, 0.42),
        (0.33, 0.52, 0.44),
        (-0.92, 0.55, 0.45),
        (0.9, 0.56, 0.4),
        (0.0, 0.78, 0.5),
        (-0.6, 0.82, 0.4),
        (0.62, 0.85, 0.45),
    ]
    for middle, base, size in places:
        columns = np.searchsorted(azimuth[0], (middle - 1.1 * size, middle + 1.1 * size))
        rows = np.searchsorted(-slope[:, 0], (-base - 0.8 * size, -base + 0.2 * size))
        window = slice(*rows), slice(*columns)
        x, y = all_x[window], all_y[window]
        relief = np.full(x.shape, -1.0, np.float32)
        for _ in range(34):
            off = rng.normal(0, 0.30)
            radius = size * 0.17 * np.exp(-((off / 0.5) ** 2)) * rng.uniform(0.55, 1.25)
            lift = size * 0.42 * np.exp(-((off / 0.34) ** 2)) * rng.uniform(0.0, 1.0) ** 1.2
            cx, cy = middle + off * size, base + lift * 0.75 + radius * 0.35
            ball = 1 - ((x - cx) / (radius * 1.25)) ** 2 - ((y - cy) / radius) ** 2
            relief = np.maximum(relief, ball * radius / (0.17 * size))
        body = relief + 0.16 * (billow[window] - 0.4) + 0.10 * (puffs[window] - 0.4)
        body += 0.03 * wisps[window]
        body = body - ramp(y, base + 0.02 * size, base - 0.05 * size) * 1.5
        cover = ramp(body, 0.0, 0.20)
        depth = np.sqrt(np.clip(body, 0, None))
        step = 5
        towards = np.roll(depth, (step, -2 * step), (0, 1))  # up and to the right is the sun
        light = 0.52 + 1.15 * (depth - towards) + 0.30 * ramp(y, base, base + 0.34 * size)
        light = light - 0.22 * ramp(y, base + 0.12 * size, base)
        yield window, cover.astype(np.float32), np.clip(light, 0, 1).astype(np.float32)


def sky(seed: int) -> np.ndarray:
    """The dome of the sky, unrolled over SKY_SPAN: (1024, 2048, 4) float32 linear light."""
    height, width = 1024, 2048
    left, right, low, high = SKY_SPAN
    azimuth = np.linspace(left, right, width, dtype=np.float32)[None, :]
    slope = np.linspace(high, low, height, dtype=np.float32)[:, None]
    up = np.clip(slope, 0, 1)
    near_sun = np.hypot((azimuth - SUN[0]) * 0.9, slope - SUN[1])

    zenith, middle = linear(np.array((0.16, 0.36, 0.66))), linear(np.array((0.46, 0.66, 0.84)))
    horizon = linear(np.array((0.97, 0.80, 0.62)))
    a, b = ramp(up, 0.0, 0.26)[..., None], ramp(up, 0.12, 0.75)[..., None]
    dome = (horizon * (1 - a) + middle * a) * (1 - b) + zenith * b
    glow = np.exp(-near_sun / 0.30)[..., None]
    dome = dome * (1 - 0.55 * glow) + linear(np.array((1.0, 0.83, 0.55))) * 0.75 * glow

    cover = np.zeros((height, width), np.float32)
    picture = dome.copy()
    bright = linear(np.array((1.0, 0.93, 0.82))) * 1.15
    dark = linear(np.array((0.55, 0.54, 0.67)))
    warmth = np.array((0.50, 0.25, 0.08)) * np.exp(-near_sun / 0.25)[..., None]
    fade = (ramp(slope, 0.02, 0.34) * 0.5 + 0.45)[..., None]  # haze before the low ones
    for window, dense, light in _clouds(azimuth, slope, seed):
        cloud = dark + (bright - dark) * light[..., None] + warmth[window]
        haze = fade[window[0]]
        cloud = cloud * haze + dome[window] * (1 - haze)
        picture[window] += (cloud - picture[window]) * dense[..., None]
        cover[window] = np.maximum(cover[window], dense)

    veil = 1 - 0.75 * cover[..., None]
    picture = picture + np.array((9.0, 6.6, 3.6)) * ramp(near_sun, 0.034, 0.026)[..., None] * veil
    picture = picture + np.array((1.5, 0.85, 0.35)) * np.exp(-near_sun / 0.05)[..., None]
    picture = picture + np.array((0.34, 0.20, 0.08)) * np.exp(-near_sun / 0.16)[..., None]
    opaque = np.ones((height, width, 1), np.float32)
    return np.concatenate([picture.astype(np.float32), opaque], axis=2)


def range_of_hills(
    seed: int,
    length_m: float,
    height_m: float,
    pixels_per_m: float,
    colour: tuple[float, float, float],
    *,
    wooded: float,
) -> Canvas:
    """A chain of hills with light from the right; `wooded` roughens it."""
    c = Canvas(length_m, height_m, pixels_per_m)
    gx, gy = c.grid()
    grain = fractal(*c.shape, seed, roughness=0.8, coarsest=0.3)
    fine = band(*c.shape, 5.0, seed + 1)
    phase = np.arange(c.shape[1]) / c.shape[1] * 2 * np.pi
    rng = np.random.default_rng(seed)
    ridge = sum(
        np.sin(k * phase + rng.uniform(0, 6.28)) / k**1.1 for k in (1, 2, 3, 5, 8, 13, 21, 34, 55)
    )
    ridge = (0.5 + 0.2 * np.asarray(ridge)[None, :]) * c.height_m * 0.85
    # Spurs run down from the ridge: the noise follows the fall line.
    spurs = band(*c.shape, 46.0, seed + 2, stretch=0.7) + 0.5 * grain
    relief = spurs + wooded * 0.35 * fine
    slope = np.roll(relief, 4, 1) - np.roll(relief, -4, 1) - 0.5 * (relief - np.roll(relief, -3, 0))
    light = np.clip(0.82 - 0.5 * slope + 0.08 * wooded * fine, 0.35, 1.5)[..., None]
    base = np.asarray(colour) * light
    fields = (ramp(grain, 0.7, 1.1) * wooded)[..., None] * 0.6
    base = base * (1 - fields) + np.array((0.80, 0.72, 0.45)) * light * fields
    cover = np.clip(
        (ridge + (0.6 * wooded * fine + 0.3 * fine) / c.scale - gy) * c.scale + 0.5, 0, 1
    )
    c.lay(cover.astype(np.float32), np.clip(base, 0, 1).astype(np.float32))
    return c
