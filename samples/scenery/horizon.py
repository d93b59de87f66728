"""What lies far off, and what lies between: sky, hills, and the water with its reflections."""

import numpy as np

from scenery.canvas import Canvas
from scenery.noise import band, fractal, ramp
from scenery.space import Texture, View

SUN = (0.62, 0.20)  # azimuth and height above the horizon, in radians and as a slope
HAZE = np.array((0.80, 0.68, 0.56), np.float32)  # linear light
SKY_SPAN = (-1.15, 1.15, -0.06, 1.02)  # azimuth from, to; slope from, to


def linear(display: np.ndarray) -> np.ndarray:
    """Display values to linear light."""
    return np.asarray(display, np.float32) ** 2.2


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

    # Heaped clouds: noise in perspective (smaller and flatter low down), thresholded;
    # their light is how much thinner the cloud gets towards the sun.
    big = fractal(height, width, seed, roughness=0.9, coarsest=0.13)
    fluff = 1.0 - np.abs(band(height, width, 60, seed + 1, stretch=1.4))
    puffs = 1.0 - np.abs(band(height, width, 26, seed + 2, stretch=1.3))
    wisps = band(height, width, 11, seed + 3)
    density = 0.95 * big + 0.34 * fluff + 0.20 * puffs + 0.06 * wisps
    bank = 0.95 * np.exp(-(((slope - 0.30) / 0.16) ** 2)) + 0.5 * np.exp(
        -(((slope - 0.72) / 0.2) ** 2)
    )
    body = density + bank - 1.15
    cover = ramp(body, 0.0, 0.42) * ramp(slope, 0.02, 0.10)
    step = 14
    towards = np.roll(body, (step, -step * 2), (0, 1))  # up and to the right lies the light
    thin = np.clip(0.55 + 0.75 * (body - towards), 0, 1.25)
    belly = ramp(body, 0.1, 1.3)
    bright = linear(np.array((1.0, 0.93, 0.82))) * 1.12
    dark = linear(np.array((0.56, 0.55, 0.66)))
    light = np.clip(thin - 0.35 * belly + 0.12, 0, 1)[..., None]
    cloud = dark * (1 - light) + bright * light
    cloud = cloud + np.array((0.55, 0.28, 0.10)) * np.exp(-near_sun / 0.22)[..., None]
    fade = (ramp(slope, 0.04, 0.34) * 0.55 + 0.4)[..., None]
    cloud = cloud * fade + dome * (1 - fade)
    picture = dome * (1 - cover[..., None]) + cloud * cover[..., None]

    veil = 1 - 0.75 * cover[..., None]
    picture = picture + np.array((9.0, 6.6, 3.6)) * ramp(near_sun, 0.034, 0.026)[..., None] * veil
    picture = picture + np.array((1.5, 0.85, 0.35)) * np.exp(-near_sun / 0.05)[..., None]
    picture = picture + np.array((0.34, 0.20, 0.08)) * np.exp(-near_sun / 0.16)[..., None]
    opaque = np.ones((height, width, 1), np.float32)
    return np.concatenate([picture.astype(np.float32), opaque], axis=2)


def range_of_hills(
    seed: int, length_m: float, height_m: float, pixels_per_m: float,
    colour: tuple[float, float, float], *, wooded: float,
) -> Canvas:  # fmt: skip
    """A chain of hills with light from the right; `wooded` roughens it."""
    c = Canvas(length_m, height_m, pixels_per_m)
    gx, gy = c.grid()
    grain = fractal(*c.shape, seed, roughness=0.8, coarsest=0.3)
    fine = band(*c.shape, 5.0, seed + 1)
    x = np.arange(c.shape[1])
    rng = np.random.default_rng(seed)
    ridge = sum(
        np.sin(x / c.shape[1] * 2 * np.pi * k + rng.uniform(0, 6.28)) / k**1.05
        for k in (1, 2, 3, 5, 8, 13, 21, 34)
    )
    ridge = (0.5 + 0.2 * ridge[None, :] + 0.02 * grain[:1]) * c.height_m * 0.85
    relief = grain + wooded * 0.35 * fine
    slope = np.roll(relief, 4, 1) - np.roll(relief, -4, 1) + 6 * np.gradient(-ridge[0])[None, :]
    light = np.clip(0.82 - 0.5 * slope + 0.08 * wooded * fine, 0.35, 1.5)[..., None]
    base = np.asarray(colour) * light
    fields = (ramp(grain, 0.7, 1.1) * wooded)[..., None] * 0.6
    base = base * (1 - fields) + np.array((0.80, 0.72, 0.45)) * light * fields
    cover = np.clip((ridge + 0.004 * c.height_m * fine - gy) * c.scale + 0.5, 0, 1)
    c.lay(cover.astype(np.float32), np.clip(base, 0, 1).astype(np.float32))
    return c


class Water:
    """The plane y = 0: one pattern of waves that drifts as a whole, so that its flow is exact.

    A tile of slopes, 48 m wide, is kept at seven blurs: the blur follows the size of a pixel
    on the water, and the roughness lost to it widens the glitter of the sun instead.
    """

    TILE_M = 48.0
    SIZE = 1024
    DRIFT = (0.42, -0.30)  # metres per second along x and z

    def __init__(self, seed: int) -> None:
        n = self.SIZE
        k = 2 * np.pi / self.TILE_M
        kx, kz = np.fft.rfftfreq(n)[None, :] * n * k, np.fft.fftfreq(n)[:, None] * n * k
        radius = np.maximum(np.hypot(kx, kz), 1e-6)
        heading = np.clip(np.abs(kx * 0.80 + kz * 0.60) / radius, 0, 1)
        # Steep between wavelengths of 12 m and 0.25 m, mostly across the wind.
        power = radius**-1.55 * np.exp(-((2 * np.pi / 9 / radius) ** 2)) * np.exp(
            -((radius * 0.25 / 2 / np.pi) ** 2)
        ) * (0.25 + 0.75 * heading**2)  # fmt: skip
        white = np.fft.rfft2(np.random.default_rng(seed).standard_normal((n, n)))
        waves = white * power
        sx, sz = (np.fft.irfft2(1j * axis * waves, (n, n)) for axis in (kx, kz))
        strength = 0.062 / np.sqrt((sx**2 + sz**2).mean())
        levels = []
        for level in range(7):
            # A pixel is long along z and narrow along x: it loses waves that run away from us.
            texel = self.TILE_M / n * 2.0**level * (level > 0)
            blur = np.exp(-0.5 * ((kz * texel * 0.6) ** 2 + (kx * texel**0.5 * 0.12) ** 2))
            spectrum = waves * strength * blur
            levels.append(np.stack(
                [np.fft.irfft2(1j * axis * spectrum, (n, n)) for axis in (kx, kz)], axis=-1
            ))  # fmt: skip
        self.slopes = np.stack(levels).astype(np.float32).reshape(-1, 2)
        total = (levels[0] ** 2).sum(-1).mean()
        self.lost = np.array(
            [total - (level**2).sum(-1).mean() for level in levels], np.float32
        )  # variance of slope

    def _slopes(self, x: np.ndarray, z: np.ndarray, level: np.ndarray) -> np.ndarray:
        n = self.SIZE
        u, v = np.mod(x / self.TILE_M, 1) * n, np.mod(z / self.TILE_M, 1) * n
        u0, v0 = u.astype(np.int64), v.astype(np.int64)
        fu, fv = (u - u0).astype(np.float32)[:, None], (v - v0).astype(np.float32)[:, None]
        u0, v0 = u0 % n, v0 % n
        u1, upper, lower = (u0 + 1) % n, (level * n + v0) * n, (level * n + (v0 + 1) % n) * n
        top = self.slopes[upper + u0] * (1 - fu) + self.slopes[upper + u1] * fu
        return top * (1 - fv) + (self.slopes[lower + u0] * (1 - fu) + self.slopes[lower + u1] * fu) * fv

    def touch(
        self, view: View, t: float, px: np.ndarray, py: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Where rays below the horizon meet the water: (N,) x and z, in metres and in the drifting
        frame of the waves, and the distance along the axis of view."""
        dx, dy, dz = view.rays(px, py)
        far = -view.eye[1] / dy
        across, away = self.drifted(t)
        return view.eye[0] + far * dx - across, view.eye[2] + far * dz - away, far

    def show(
        self, view: View, t: float, u: np.ndarray, v: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """Column and row at which a view shows a point (x, z) of the drifting water at time t."""
        across, away = self.drifted(t)
        return view.project(u + across, np.zeros_like(u), v + away)[:2]

    def drifted(self, t: float) -> tuple[float, float]:
        return self.DRIFT[0] * t, self.DRIFT[1] * t

    def shade(self, view: View, t: float, px: np.ndarray, py: np.ndarray, pixel: float,
              mirror: Texture, mirror_pixel: "MirrorFrame") -> np.ndarray:  # fmt: skip
        """Linear light of the water at pixels below the horizon. Returns (N, 3) float32."""
        dx, dy, dz = view.rays(px, py)
        x, z, far = self.touch(view, t, px, py)
        length = pixel * far**2 / (view.focal_px * view.eye[1])  # of a pixel, along our sight
        level = np.clip(np.log2(np.maximum(length / (self.TILE_M / self.SIZE), 1.0)), 0, 5.999)
        whole = level.astype(np.int64)
        share = (level - whole).astype(np.float32)[:, None]
        slope = self._slopes(x, z, whole) * (1 - share) + self._slopes(x, z, whole + 1) * share
        lost = self.lost[whole] * (1 - share[:, 0]) + self.lost[whole + 1] * share[:, 0]

        norm = 1 / np.sqrt(dx**2 + dy**2 + dz**2)
        dx, dy, dz = dx * norm, dy * norm, dz * norm
        sx, sz = slope[:, 0], slope[:, 1]
        steep = 1 / np.sqrt(1 + sx**2 + sz**2)
        into = (-dx * sx + dy - dz * sz) * steep  # cosine between ray and normal, negative
        rx, ry, rz = dx + 2 * into * sx * steep, dy - 2 * into * steep, dz + 2 * into * sz * steep
        ry = np.abs(ry) + 0.004

        # Where the mirrored camera sees that direction; near things are displaced less than the
        # sky, which one factor for all imitates well enough.
        qx, qy, _ = view.project(rx, ry, rz, at_infinity=True)
        mirror_row = 2 * view.centre[1] - qy
        reach = 0.62
        u, v = mirror_pixel.locate(px + reach * (qx - px), py + reach * (mirror_row - py))
        spread = 1.0 + reach * np.sqrt(lost) * view.focal_px * 0.35 * mirror_pixel.scale
        seen = mirror.sample(u, v, spread)[:, :3]

        fresnel = np.clip(0.03 + 0.97 * (1 - np.clip(-into, 0, 1)) ** 4.2, 0, 0.93)[:, None]
        deep = linear(np.array((0.06, 0.30, 0.34))) + linear(np.array((0.16, 0.50, 0.46))) * np.clip(
            0.25 + 2.4 * sz - 1.6 * sx, 0, 1)[:, None]  # fmt: skip
        light = seen * fresnel + deep.astype(np.float32) * (1 - fresnel)

        sun = np.array((np.sin(SUN[0]), SUN[1], np.cos(SUN[0])))
        sun = sun / np.linalg.norm(sun)
        apart = (rx - sun[0]) ** 2 + 0.55 * (ry - sun[1]) ** 2 + (rz - sun[2]) ** 2
        width = 0.006 + 4.0 * lost
        glint = 0.020 / width * np.exp(-apart / (2 * width))
        light = light + np.array((1.0, 0.72, 0.38), np.float32) * np.minimum(glint, 3.5)[:, None]
        haze = (1 - np.exp(-far / 1600))[:, None]
        return (light * (1 - haze) + HAZE * haze).astype(np.float32)


class MirrorFrame:
    """Which part of the picture plane the reflected picture covers, wider than the frame."""

    def __init__(self, height: int, width: int, horizon: float) -> None:
        self.left, self.top = -0.15 * width, horizon - 2.0
        self.columns = -(-int(width * 1.3) // 32) * 32
        self.rows = -(-int(height * 0.95) // 32) * 32
        self.scale = 1.0

    def pixels(self) -> tuple[np.ndarray, np.ndarray]:
        """Column and row, in pixels of the frame, of each pixel: two (rows, columns) arrays."""
        px = self.left + np.arange(self.columns, dtype=np.float64)
        py = self.top + np.arange(self.rows, dtype=np.float64)
        return np.broadcast_to(px, (self.rows, self.columns)), np.broadcast_to(
            py[:, None], (self.rows, self.columns)
        )

    def locate(self, px: np.ndarray, py: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """u and v, in [0, 1], of a place in the frame."""
        u = (px - self.left + 0.5) / self.columns
        v = 1 - (py - self.top + 0.5) / self.rows
        return np.clip(u, 0, 1), np.clip(v, 0, 1)
