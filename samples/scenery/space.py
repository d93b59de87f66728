"""A camera, and flat pictures that stand and move in space: each is seen through a homography."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import cv2
import numpy as np

MIDDLE = 3.5  # seconds: of the clip


def project(matrix: np.ndarray, x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, ...]:
    """Points (x, y) under a homography: where they fall, and the third homogeneous coordinate."""
    a, b, w = (row[0] * x + row[1] * y + row[2] for row in matrix)
    safe = np.where(np.abs(w) < 1e-9, 1e-9, w)
    return a / safe, b / safe, w


@dataclass(frozen=True)
class View:
    """A camera that turns about the vertical only, so that walls stay upright (a shift lens)."""

    eye: np.ndarray  # (3,): x to the right, y up, z ahead; meters
    yaw: float  # radians, positive to the right
    focal_px: float
    center: tuple[float, float]  # column and row straight ahead; the row is the horizon
    mirrored: bool = False  # sees what still water, the plane y = 0, shows

    @property
    def matrix(self) -> np.ndarray:
        """(3, 3): from a direction to homogeneous pixels; pixel (0, 0) is a pixel's center."""
        c, s = np.cos(self.yaw), np.sin(self.yaw)
        turn = np.array([[c, 0, -s], [0, 1, 0], [s, 0, c]])
        f, (column, row) = self.focal_px, self.center
        return np.array([[f, 0, column], [0, -f, row], [0, 0, 1]]) @ turn


class Grid(NamedTuple):
    """Pixels of a view, which broadcast to (H, W), and how far one is from the next."""

    x: np.ndarray
    y: np.ndarray
    spacing: float


class Seen(NamedTuple):
    """What pixels show of a sheet: RGBA (H, W, 4), and where on it, (H, W) each."""

    rgba: np.ndarray
    u: np.ndarray
    v: np.ndarray
    depth: np.ndarray  # meters


@dataclass(frozen=True)
class Sheet:
    """A flat picture in space.

    picture: (H, W, 4) float32, linear light times alpha, and alpha; None is water, without bounds.
    pose: time in seconds -> (3, 3), columns: the picture's width, its height, its lower left
    corner, in meters. distant: at infinity, so that only the camera's turning moves it.
    """

    picture: np.ndarray | None
    pose: Callable[[float], np.ndarray]
    distant: bool = False

    def matrix(self, view: View, t: float) -> np.ndarray:
        """(3, 3): from (u, v) in [0, 1], v upward, to homogeneous pixels.

        The inverse gives (u, v, 1) / depth for a pixel.
        """
        plane = self.pose(t) * np.array([[1], [-1 if view.mirrored else 1], [1]])
        if not self.distant:
            plane[:, 2] -= view.eye
        return view.matrix @ plane

    @cached_property
    def levels(self) -> list[np.ndarray]:
        """The picture at full, half, a quarter ... of its size."""
        assert self.picture is not None
        levels = [self.picture]
        while min(levels[-1].shape[:2]) > 8:
            half = levels[-1].shape[1] // 2, levels[-1].shape[0] // 2
            levels.append(cv2.resize(levels[-1], half, interpolation=cv2.INTER_AREA))
        return levels

    def look(self, view: View, t: float, grid: Grid) -> Seen:
        """What pixels show of the sheet."""
        u, v, w = project(np.linalg.inv(self.matrix(view, t)), grid.x, grid.y)
        depth = 1 / np.maximum(w, 1e-9)
        if self.picture is None:
            return Seen(np.repeat((w > 0)[..., None], 4, axis=2).astype(np.float32), u, v, depth)
        # Always the level that fits the middle of the clip: a change would show.
        middle = self.pose(MIDDLE)
        texel = np.linalg.norm(middle[:, 0]) / self.picture.shape[1]
        away = 1 if self.distant else middle[2] @ (0.5, 0.5, 1)
        level = int(np.log2(max(grid.spacing * away / view.focal_px / texel, 1)) + 0.3)
        picture = self.levels[min(level, len(self.levels) - 1)]
        height, width = picture.shape[:2]
        x = np.where(w > 0, np.clip(u, -1, 2), -1) * width - 0.5
        y = (1 - np.clip(v, -1, 2)) * height - 0.5
        rgba = cv2.remap(picture, x.astype(np.float32), y.astype(np.float32), cv2.INTER_LINEAR)
        return Seen(rgba, u, v, depth)

    def box(self, view: View, t: float, grid: Grid) -> tuple[slice, slice]:
        """Rows and columns of a grid, x (1, W) and y (H, 1), in which the sheet can be seen."""
        if self.picture is None:
            return slice(int(np.searchsorted(grid.y[:, 0], view.center[1] + 1e-3)), None), slice(
                None
            )
        x, y, depth = project(self.matrix(view, t), np.array([0, 1, 0, 1]), np.array([0, 0, 1, 1]))
        if depth.min() < 0.2:
            return slice(None), slice(None)
        left, right = np.searchsorted(grid.x[0], (x.min() - 1, x.max() + 1))
        top, bottom = np.searchsorted(grid.y[:, 0], (y.min() - 1, y.max() + 1))
        return slice(top, bottom), slice(left, right)
