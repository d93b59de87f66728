"""Where things are: a camera, and textured sheets that stand in space and move."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

Vector = tuple[float, float, float]  # x to the right, y up, z away from the first camera; metres


@dataclass(frozen=True, slots=True)
class View:
    """A camera that turns about the vertical only, so that walls stay upright (a shift lens).

    Pixel (0, 0) is the centre of the upper left pixel. A mirrored view is the camera's image
    under the water plane y = 0: what it sees at a pixel is what flat water shows there.
    """

    position: Vector
    yaw: float  # radians, positive turns to the right
    focal_px: float
    centre: tuple[float, float]  # (column, row) straight ahead: the row is the horizon
    mirrored: bool = False

    def rays(self, px: np.ndarray, py: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Directions through pixels; one unit long along the axis of view."""
        x = (px - self.centre[0]) / self.focal_px
        y = (self.centre[1] - py) / self.focal_px
        c, s = np.cos(self.yaw), np.sin(self.yaw)
        return c * x + s, -y if self.mirrored else y, c - s * x

    @property
    def eye(self) -> Vector:
        x, y, z = self.position
        return x, -y if self.mirrored else y, z

    def project(
        self, x: np.ndarray, y: np.ndarray, z: np.ndarray, *, at_infinity: bool = False
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Column, row and depth of points in space (of directions, if at infinity)."""
        ex, ey, ez = (0.0, 0.0, 0.0) if at_infinity else self.eye
        x, y, z = x - ex, y - ey, z - ez
        c, s = np.cos(self.yaw), np.sin(self.yaw)
        depth = s * x + c * z
        up = -y if self.mirrored else y
        column = self.centre[0] + self.focal_px * (c * x - s * z) / depth
        return column, self.centre[1] - self.focal_px * up / depth, depth


class Texture:
    """A picture at several sizes, looked up with linear interpolation in place and in size."""

    def __init__(self, picture: np.ndarray) -> None:
        """picture: (H, W, C) float32, each side a multiple of 32."""
        self.height, self.width = picture.shape[:2]
        levels: list[np.ndarray] = [picture.astype(np.float32)]
        while len(levels) < 6 and min(levels[-1].shape[:2]) > 1:
            a = levels[-1]
            levels.append((a[::2, ::2] + a[1::2, ::2] + a[::2, 1::2] + a[1::2, 1::2]) / 4)
        self.flat = np.concatenate([level.reshape(-1, level.shape[2]) for level in levels])
        sizes = np.array([level.shape[:2] for level in levels])
        self.rows, self.columns = sizes[:, 0], sizes[:, 1]
        self.start = np.concatenate([[0], np.cumsum(self.rows * self.columns)[:-1]])

    def _bilinear(self, u: np.ndarray, v: np.ndarray, level: np.ndarray) -> np.ndarray:
        rows, columns, start = self.rows[level], self.columns[level], self.start[level]
        x = np.clip(u * columns - 0.5, 0, columns - 1)
        y = np.clip((1 - v) * rows - 0.5, 0, rows - 1)
        x0, y0 = x.astype(np.int64), y.astype(np.int64)
        fx, fy = (x - x0).astype(np.float32)[:, None], (y - y0).astype(np.float32)[:, None]
        x1 = np.minimum(x0 + 1, columns - 1)
        upper, lower = start + y0 * columns, start + np.minimum(y0 + 1, rows - 1) * columns
        flat = self.flat
        top = flat[upper + x0] * (1 - fx) + flat[upper + x1] * fx
        return top * (1 - fy) + (flat[lower + x0] * (1 - fx) + flat[lower + x1] * fx) * fy

    def sample(self, u: np.ndarray, v: np.ndarray, texels: np.ndarray) -> np.ndarray:
        """Look up points. u, v: (N,) in [0, 1], v upwards; texels: (N,) how many texels wide a
        pixel is there. Returns (N, C) float32."""
        size = np.clip(np.log2(np.maximum(texels, 1.0)), 0, len(self.rows) - 1.001)
        level = size.astype(np.int64)
        share = (size - level).astype(np.float32)[:, None]
        return self._bilinear(u, v, level) * (1 - share) + self._bilinear(u, v, level + 1) * share


class Pose(NamedTuple):
    """How a sheet stands: the point (u, v) of it is at origin + u * along + v * up."""

    origin: np.ndarray
    along: np.ndarray
    up: np.ndarray  # at a right angle to `along`


@dataclass(frozen=True, slots=True)
class Sheet:
    """A flat picture in space, with its motion. `bend(t)` lifts its sides: a gull's wings."""

    name: str
    texture: Texture
    pose: Callable[[float], Pose]
    bend: Callable[[float], float] = lambda t: 0.0
    reflected: bool = True  # False for what lies on the water itself

    def locate(
        self, t: float, u: np.ndarray, v: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Where in space the point (u, v) of the sheet is at time t."""
        origin, along, up = self.pose(t)
        v = v + self.bend(t) * np.abs(u - 0.5)
        x, y, z = (origin[i] + u * along[i] + v * up[i] for i in range(3))
        return x, y, z

    def meet(
        self, view: View, t: float, px: np.ndarray, py: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """u, v and depth where the rays through pixels meet the sheet's plane at time t."""
        origin, along, up = self.pose(t)
        dx, dy, dz = view.rays(px, py)
        normal = np.cross(along, up)
        rel = origin - np.asarray(view.eye)
        facing = normal[0] * dx + normal[1] * dy + normal[2] * dz
        depth = (normal @ rel) / np.where(np.abs(facing) < 1e-9, 1e-9, facing)
        hx, hy, hz = depth * dx - rel[0], depth * dy - rel[1], depth * dz - rel[2]
        u = (hx * along[0] + hy * along[1] + hz * along[2]) / (along @ along)
        v = (hx * up[0] + hy * up[1] + hz * up[2]) / (up @ up)
        return u, v - self.bend(t) * np.abs(u - 0.5), depth

    def look(
        self, view: View, t: float, px: np.ndarray, py: np.ndarray, pixel: float = 1.0
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """What rays (N,) see of the sheet: (indices of those that hit, RGBA, u, v, depth).

        pixel: width of a sample, in pixels of the view. RGBA is (M, 4), linear, premultiplied.
        """
        u, v, depth = self.meet(view, t, px, py)
        hit = np.flatnonzero((u >= 0) & (u <= 1) & (v >= 0) & (v <= 1) & (depth > 0.1))
        u, v, depth = u[hit], v[hit], depth[hit]
        _, along, up = self.pose(t)
        texels_per_m = max(
            self.texture.width / np.linalg.norm(along), self.texture.height / np.linalg.norm(up)
        )
        rgba = self.texture.sample(u, v, pixel * depth / view.focal_px * texels_per_m)
        return hit, rgba, u, v, depth

    def show(
        self, view: View, t: float, u: np.ndarray, v: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """Column and row at which a view shows the point (u, v) of the sheet at time t."""
        return view.project(*self.locate(t, u, v))[:2]

    def corners(self, view: View, t: float) -> tuple[np.ndarray, np.ndarray] | None:
        """Columns and rows of the corners and of the middle line; None if behind the camera."""
        u, v = np.array([0, 1, 0, 1, 0.5, 0.5]), np.array([0, 0, 1, 1, 0, 1])
        px, py, depth = view.project(*self.locate(t, u, v))
        return None if depth.min() < 0.2 else (px, py)


@dataclass(frozen=True, slots=True)
class Dome:
    """The sky: a picture at infinity, unrolled over azimuth and slope, that turns slowly."""

    name: str
    texture: Texture
    span: tuple[float, float, float, float]  # azimuth from, to (radians); slope from, to
    turning: float  # radians per second
    reflected: bool = True

    def locate(
        self, t: float, u: np.ndarray, v: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """The direction of the point (u, v) of the picture at time t."""
        left, right, low, high = self.span
        azimuth = left + u * (right - left) + self.turning * t
        return np.sin(azimuth), low + v * (high - low), np.cos(azimuth)

    def show(
        self, view: View, t: float, u: np.ndarray, v: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """As `Sheet.show`."""
        return view.project(*self.locate(t, u, v), at_infinity=True)[:2]

    def look(
        self, view: View, t: float, px: np.ndarray, py: np.ndarray, pixel: float = 1.0
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """As `Sheet.look`: every ray meets the sky."""
        left, right, low, high = self.span
        dx, dy, dz = view.rays(px, py)
        u = (np.arctan2(dx, dz) - self.turning * t - left) / (right - left)
        v = (dy / np.hypot(dx, dz) - low) / (high - low)
        u, v = np.clip(u, 0, 1), np.clip(v, 0, 1)
        texels = pixel / view.focal_px * self.texture.width / (right - left)
        rgba = self.texture.sample(u, v, np.full(u.shape, texels))
        return np.arange(u.size), rgba, u, v, np.full(u.shape, np.inf)
