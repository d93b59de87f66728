"""The water: waves that drift, and what they mirror."""

import numpy as np

from scenery.horizon import HAZE, SUN, linear
from scenery.space import Texture, View


class MirrorFrame:
    """Which part of the picture plane the reflected picture covers, wider than the frame."""

    def __init__(self, height: int, width: int, horizon: float) -> None:
        self.left, self.top = -0.15 * width, horizon - 2.0
        self.columns = -(-int(width * 1.3) // 32) * 32
        self.rows = -(-int(height * 0.95) // 32) * 32

    def samples(self) -> tuple[np.ndarray, np.ndarray]:
        """Its columns (C,) and rows (R,), in pixels of the frame."""
        return self.left + np.arange(self.columns), self.top + np.arange(self.rows)

    def locate(self, px: np.ndarray, py: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """u and v, in [0, 1], of a place in the frame."""
        u = (px - self.left + 0.5) / self.columns
        v = 1 - (py - self.top + 0.5) / self.rows
        return np.clip(u, 0, 1), np.clip(v, 0, 1)


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
        power = (
            radius**-1.55
            * np.exp(-((2 * np.pi / 9 / radius) ** 2))
            * np.exp(-((radius * 0.25 / 2 / np.pi) ** 2))
            * (0.25 + 0.75 * heading**2)
        )
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
            levels.append(
                np.stack(
                    [np.fft.irfft2(1j * axis * spectrum, (n, n)) for axis in (kx, kz)], axis=-1
                )
            )
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
        return (
            top * (1 - fv)
            + (self.slopes[lower + u0] * (1 - fu) + self.slopes[lower + u1] * fu) * fv
        )

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

    def shade(
        self,
        view: View,
        t: float,
        px: np.ndarray,
        py: np.ndarray,
        pixel: float,
        mirror: Texture,
        frame: MirrorFrame,
    ) -> np.ndarray:
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
        u, v = frame.locate(px + reach * (qx - px), py + reach * (mirror_row - py))
        spread = 1.0 + reach * np.sqrt(lost) * view.focal_px * 0.35
        seen = mirror.sample(u, v, spread)[:, :3]

        fresnel = np.clip(0.03 + 0.97 * (1 - np.clip(-into, 0, 1)) ** 4.2, 0, 0.93)[:, None]
        deep = (
            linear(np.array((0.06, 0.30, 0.34)))
            + linear(np.array((0.16, 0.50, 0.46)))
            * np.clip(0.25 + 2.4 * sz - 1.6 * sx, 0, 1)[:, None]
        )
        light = seen * fresnel + deep.astype(np.float32) * (1 - fresnel)

        sun = np.array((np.sin(SUN[0]), SUN[1], np.cos(SUN[0])))
        sun = sun / np.linalg.norm(sun)
        apart = (rx - sun[0]) ** 2 + 0.55 * (ry - sun[1]) ** 2 + (rz - sun[2]) ** 2
        width = 0.006 + 4.0 * lost
        glint = 0.020 / width * np.exp(-apart / (2 * width))
        light = light + np.array((1.0, 0.72, 0.38), np.float32) * np.minimum(glint, 3.5)[:, None]
        haze = (1 - np.exp(-far / 1600))[:, None]
        return (light * (1 - haze) + HAZE * haze).astype(np.float32)
