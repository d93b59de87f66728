"""A sheet to paint on, measured in metres: filled shapes with smooth edges, in numpy."""

from collections.abc import Sequence

import numpy as np

Colour = Sequence[float] | np.ndarray  # RGB in display values [0, 1], one or one a pixel
Point = tuple[float, float]


class Canvas:
    """A transparent sheet, y upwards, the origin at its lower left corner.

    rgb: (H, W, 3) float32 display values, alpha: (H, W) float32, both not premultiplied.
    The size is rounded up to a multiple of 32 pixels, so that the picture halves five times.
    """

    def __init__(self, width_m: float, height_m: float, pixels_per_m: float) -> None:
        self.scale = pixels_per_m
        rows = -(-int(np.ceil(height_m * pixels_per_m)) // 32) * 32
        columns = -(-int(np.ceil(width_m * pixels_per_m)) // 32) * 32
        self.width_m, self.height_m = columns / pixels_per_m, rows / pixels_per_m
        self.rgb = np.zeros((rows, columns, 3), np.float32)
        self.alpha = np.zeros((rows, columns), np.float32)

    @property
    def shape(self) -> tuple[int, int]:
        return self.alpha.shape[0], self.alpha.shape[1]

    def grid(self) -> tuple[np.ndarray, np.ndarray]:
        """x (1, W) and y (H, 1) of the pixel centres, in metres."""
        rows, columns = self.shape
        x = (np.arange(columns, dtype=np.float32) + 0.5) / self.scale
        y = (rows - 0.5 - np.arange(rows, dtype=np.float32)) / self.scale
        return x[None, :], y[:, None]

    def _window(self, x0: float, y0: float, x1: float, y1: float) -> tuple[slice, slice]:
        rows, columns = self.shape
        pad = 2
        left = int(np.clip(np.floor(x0 * self.scale) - pad, 0, columns))
        right = int(np.clip(np.ceil(x1 * self.scale) + pad, 0, columns))
        top = int(np.clip(np.floor(rows - y1 * self.scale) - pad, 0, rows))
        bottom = int(np.clip(np.ceil(rows - y0 * self.scale) + pad, 0, rows))
        return slice(top, bottom), slice(left, right)

    def lay(
        self, cover: np.ndarray, colour: Colour, window: tuple[slice, slice] | None = None
    ) -> None:
        """Lay a colour over what is there, as much as `cover` (H, W) in [0, 1] says."""
        window = window or (slice(None), slice(None))
        paint = np.asarray(colour, np.float32)
        if paint.ndim == 3:
            paint = np.broadcast_to(paint, (*self.shape, 3))[window]
        rgb, alpha = self.rgb[window], self.alpha[window]
        total = cover + alpha * (1 - cover)
        share = np.divide(cover, total, out=np.zeros_like(total), where=total > 0)[..., None]
        rgb += (paint - rgb) * share
        alpha[...] = total

    def shade(self, factor: np.ndarray | float, window: tuple[slice, slice] | None = None) -> None:
        """Multiply the colours: below 1 is shadow. factor: broadcasts to (H, W)."""
        window = window or (slice(None), slice(None))
        self.rgb[window] = np.clip(
            self.rgb[window] * np.asarray(factor, np.float32)[..., None], 0.0, 1.0
        )

    def polygon(self, points: Sequence[Point], colour: Colour, *, opacity: float = 1.0) -> None:
        """Fill a polygon, convex or not, with an edge one pixel soft."""
        p = np.asarray(points, np.float32)
        window = self._window(*p.min(0), *p.max(0))
        x, y = self.grid()
        x, y = x[:, window[1]], y[window[0]]
        nearest = np.full(np.broadcast_shapes(x.shape, y.shape), np.inf, np.float32)
        inside = np.zeros(nearest.shape, bool)
        for (ax, ay), (bx, by) in zip(p, np.roll(p, -1, axis=0), strict=True):
            ex, ey = bx - ax, by - ay
            along = np.clip(((x - ax) * ex + (y - ay) * ey) / max(ex * ex + ey * ey, 1e-9), 0, 1)
            nearest = np.minimum(nearest, (x - ax - along * ex) ** 2 + (y - ay - along * ey) ** 2)
            if ay != by:
                inside ^= ((ay <= y) != (by <= y)) & (x < ax + (y - ay) / (by - ay) * ex)
        distance = np.sqrt(nearest) * np.where(inside, 1, -1) * self.scale
        self.lay(np.clip(distance + 0.5, 0, 1) * opacity, colour, window)

    def rect(
        self, x0: float, y0: float, x1: float, y1: float, colour: Colour, *, opacity: float = 1.0
    ) -> None:
        """Fill an upright rectangle."""
        window = self._window(x0, y0, x1, y1)
        x, y = self.grid()
        x, y, s = x[:, window[1]], y[window[0]], self.scale
        wide = np.clip((x - x0) * s + 0.5, 0, 1) * np.clip((x1 - x) * s + 0.5, 0, 1)
        high = np.clip((y - y0) * s + 0.5, 0, 1) * np.clip((y1 - y) * s + 0.5, 0, 1)
        self.lay(wide * high * opacity, colour, window)

    def ellipse(
        self, cx: float, cy: float, rx: float, ry: float, colour: Colour, *, opacity: float = 1.0
    ) -> None:
        """Fill an ellipse."""
        window = self._window(cx - rx, cy - ry, cx + rx, cy + ry)
        x, y = self.grid()
        x, y = x[:, window[1]], y[window[0]]
        reach = np.hypot((x - cx) / rx, (y - cy) / ry)
        self.lay(
            np.clip((1 - reach) * min(rx, ry) * self.scale + 0.5, 0, 1) * opacity, colour, window
        )

    def line(
        self, points: Sequence[Point], width: float, colour: Colour, *, opacity: float = 1.0
    ) -> None:
        """Draw a line through the points, `width` metres wide."""
        for (ax, ay), (bx, by) in zip(points[:-1], points[1:], strict=True):
            half = width / 2
            window = self._window(
                min(ax, bx) - half, min(ay, by) - half, max(ax, bx) + half, max(ay, by) + half
            )
            x, y = self.grid()
            x, y = x[:, window[1]], y[window[0]]
            ex, ey = bx - ax, by - ay
            along = np.clip(((x - ax) * ex + (y - ay) * ey) / max(ex * ex + ey * ey, 1e-9), 0, 1)
            away = np.hypot(x - ax - along * ex, y - ay - along * ey)
            # A line thinner than a pixel keeps its weight by becoming fainter.
            cover = np.clip((half - away) * self.scale + 0.5, 0, min(1.0, width * self.scale))
            self.lay(cover * opacity, colour, window)
