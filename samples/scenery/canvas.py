"""A transparent sheet to draw on, measured in meters; and the noise that gives it grain."""

from collections.abc import Sequence

import cv2
import numpy as np

Color = str | np.ndarray  # "#rrggbb", or display values in [0, 1]: (3,) or (H, W, 3)
Points = str | Sequence[tuple[float, float]]  # "x,y x,y ...", in meters


def rgb(color: Color) -> np.ndarray:
    """Display values in [0, 1] of a color."""
    if not isinstance(color, str):
        return color
    return np.array([int(color[k : k + 2], 16) / 255 for k in (1, 3, 5)], np.float32)


def ramp(x: np.ndarray | float, low: float | np.ndarray, high: float | np.ndarray) -> np.ndarray:
    """Smooth step: 0 at `low`, 1 at `high` (which may be the smaller one)."""
    s = np.clip((x - low) / (high - low), 0.0, 1.0)
    return s * s * (3.0 - 2.0 * s)


def noise(
    shape: tuple[int, ...], seed: int, coarse: float, fine: float = 2.0, *, stretch: float = 1.0
) -> np.ndarray:
    """Noise with details between two sizes: (H, W) float32, mean 0, deviation 1, tiling.

    coarse, fine: periods in pixels, `stretch` times that along x; amplitudes fall with frequency.
    """
    height, width = shape[:2]
    radius = np.hypot(np.fft.fftfreq(height)[:, None], np.fft.rfftfreq(width) * stretch)
    gain = np.exp(-0.5 * (radius * fine) ** 2) / (radius + 1 / coarse) ** 1.5 * (radius > 0)
    gain *= 1 - np.exp(-((radius * coarse) ** 2))
    white = np.random.default_rng(seed).standard_normal((height, width))
    field = np.fft.irfft2(np.fft.rfft2(white) * gain, (height, width))
    return (field / field.std()).astype(np.float32)


class Canvas:
    """y points upward, the origin is the lower left corner.

    picture: (H, W, 4) float32, RGB in display values times alpha, and alpha. x, y: (1, W) and
    (H, 1), the pixel centers in meters.
    """

    def __init__(self, width: float, height: float, scale: float) -> None:
        """width, height: meters. scale: pixels per meter."""
        self.width, self.height, self.scale = width, height, scale
        rows, columns = int(np.ceil(height * scale)), int(np.ceil(width * scale))
        self.picture = np.zeros((rows, columns, 4), np.float32)
        self.x = (np.arange(columns, dtype=np.float32)[None] + 0.5) / scale
        self.y = (rows - 0.5 - np.arange(rows, dtype=np.float32)[:, None]) / scale

    def grain(
        self, seed: int, coarse: float, fine: float = 2.0, stretch: float = 1.0
    ) -> np.ndarray:
        """`noise` of the sheet's size, of shape (H, W, 1)."""
        return noise(self.picture.shape, seed, coarse, fine, stretch=stretch)[..., None]

    def fill(self, cover: np.ndarray, color: Color, window: tuple[slice, ...] = ()) -> None:
        """Lay a color over the sheet as far as `cover` in [0, 1] says."""
        paint, part = rgb(color), self.picture[window]
        paint = paint[window] if paint.ndim == 3 else paint
        part[..., :3] += (paint - part[..., :3]) * cover[..., None]
        part[..., 3] += (1 - part[..., 3]) * cover

    def polygon(self, points: Points, color: Color, opacity: float = 1.0) -> None:
        """Fill a polygon."""
        self._draw(points, color, opacity, None)

    def line(self, points: Points, width: float, color: Color) -> None:
        """Draw a line, `width` meters wide, but at least one pixel."""
        self._draw(points, color, 1.0, max(1, round(width * self.scale)))

    def _draw(self, points: Points, color: Color, opacity: float, thickness: int | None) -> None:
        if isinstance(points, str):
            points = [tuple(map(float, point.split(","))) for point in points.split()]
        rows, columns = self.picture.shape[:2]
        p = np.asarray(points, np.float64) * (1, -1) * self.scale + (-0.5, rows - 0.5)
        pad = 2 + (thickness or 0)
        left, top = np.clip(np.floor(p.min(0)).astype(int) - pad, 0, (columns, rows))
        right, bottom = np.clip(np.ceil(p.max(0)).astype(int) + pad, 0, (columns, rows))
        if left >= right or top >= bottom:
            return
        cover = np.zeros((bottom - top, right - left), np.uint8)
        at = [np.round((p - (left, top)) * 16).astype(np.int32)]
        if thickness:
            cv2.polylines(cover, at, False, 255, thickness, cv2.LINE_AA, shift=4)
        else:
            cv2.fillPoly(cover, at, 255, cv2.LINE_AA, shift=4)
        window = slice(top, bottom), slice(left, right)
        self.fill(cover.astype(np.float32) * (opacity / 255), color, window)

    def box(
        self, x: float, y: float, width: float, height: float, color: Color, opacity: float = 1.0
    ) -> None:
        """Fill an upright rectangle, from its lower left corner."""
        right, top = x + width, y + height
        self.polygon([(x, y), (right, y), (right, top), (x, top)], color, opacity)

    def ellipse(
        self, x: float, y: float, rx: float, ry: float, color: Color, opacity: float = 1.0
    ) -> None:
        """Fill an ellipse around (x, y)."""
        a = np.linspace(0, 2 * np.pi, 33)
        self.polygon(np.stack([x + rx * np.cos(a), y + ry * np.sin(a)], 1), color, opacity)

    def shade(self, factor: np.ndarray) -> None:
        """Multiply the colors by a factor, (H, W, 1) or (H, W, 3): below 1 is shadow."""
        alpha = self.picture[..., 3:]
        self.picture[..., :3] = np.minimum(self.picture[..., :3] * factor, alpha)

    def texture(self) -> np.ndarray:
        """(H, W, 4) float32: linear light times alpha, and alpha."""
        alpha = self.picture[..., 3:]
        light = (self.picture[..., :3] / np.maximum(alpha, 1e-6)) ** 2.2 * alpha
        return np.concatenate([light, alpha], axis=2)
