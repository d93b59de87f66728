"""The moving test picture of `--camera test`, which needs no camera."""

import numpy as np

# Balls: radius (share of the height); center of the oscillation and its amplitude, (across, down)
# as shares of the width and height; oscillations in ten seconds (across, down); color.
_BALLS = (
    (0.20, (0.50, 0.55), (0.30, 0.22), (3, 2), (232, 74, 50)),
    (0.13, (0.45, 0.45), (0.40, 0.28), (5, 7), (250, 196, 40)),
    (0.09, (0.55, 0.50), (0.42, 0.36), (11, 6), (40, 176, 190)),
    (0.06, (0.50, 0.40), (0.44, 0.34), (8, 17), (246, 242, 230)),
)
_CYCLE_SECONDS = 10


class MovingPicture:
    """Balls oscillating in front of a static landscape, like a scene before a fixed camera.

    The same size and time give the same picture; it repeats after ten seconds. 0.4 ms of one core
    at 1280x720, half of it the copy.

    size: (height, width), any from 2x2 up.
    """

    def __init__(self, size: tuple[int, int]) -> None:
        height, width = size
        if min(size) < 2:
            raise ValueError(f"expected a size of at least 2x2, got {width}x{height}")
        self._background = _landscape(height, width)
        self._balls = [
            _ball(max(1, round(radius * height)), np.array(color)) for radius, *_, color in _BALLS
        ]

    def __call__(self, seconds: float) -> np.ndarray:
        """The picture at a time. Returns a new array, (H, W, 3) uint8 RGB."""
        image = self._background.copy()
        height, width = image.shape[:2]
        turn = 2 * np.pi * seconds / _CYCLE_SECONDS
        for (ball, inside), (_, center, amplitude, turns, _) in zip(
            self._balls, _BALLS, strict=True
        ):
            x = (center[0] + amplitude[0] * np.sin(turns[0] * turn)) * width
            y = (center[1] + amplitude[1] * np.cos(turns[1] * turn)) * height
            _draw_ball(image, ball, inside, round(y), round(x))
        return image


def _landscape(height: int, width: int) -> np.ndarray:
    """(H, W, 3) uint8: hills in bands of color under a sky, with texture for optical flow."""
    y, x = np.mgrid[0 : 1 : height * 1j, 0 : 1 : width * 1j].astype(np.float32)
    image = np.empty((height, width, 3), np.float32)
    image[:] = np.stack([90 + 130 * y, 130 + 70 * y, 210 - 40 * y], axis=-1)
    hills = ((0.45, 3, (84, 110, 134)), (0.60, 5, (70, 126, 72)), (0.78, 2, (120, 88, 56)))
    for top, waves, color in hills:
        edge = top + 0.07 * np.sin(2 * np.pi * waves * x + 9 * top)
        stripes = 14 * np.sin(60 * (y - edge)) + 10 * np.sin(80 * x + 40 * y)
        below = y > edge
        image[below] = (np.array(color, np.float32) + stripes[..., None])[below]
    return np.clip(image, 0, 255).astype(np.uint8)


def _ball(radius: int, color: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """A shaded ball: (2r+1, 2r+1, 3) uint8, and its mask, bool of the same shape.

    With a mask of one value per pixel, broadcast by numpy, drawing takes 9 times as long.
    """
    y, x = np.mgrid[-radius : radius + 1, -radius : radius + 1] / radius
    light = 1 - 0.55 * np.hypot(x + 0.35, y + 0.35)
    ball = np.clip(color * light[..., None] + 24, 0, 255).astype(np.uint8)
    return ball, np.repeat((x**2 + y**2 <= 1)[..., None], 3, axis=-1)


def _draw_ball(image: np.ndarray, ball: np.ndarray, inside: np.ndarray, y: int, x: int) -> None:
    """Draw a ball centered at (y, x) into the image, in place; what lies outside is cropped."""
    radius = len(ball) // 2
    top, left = max(0, y - radius), max(0, x - radius)
    bottom, right = min(image.shape[0], y + radius + 1), min(image.shape[1], x + radius + 1)
    if top >= bottom or left >= right:
        return
    part = (
        slice(top - y + radius, bottom - y + radius),
        slice(left - x + radius, right - x + radius),
    )
    np.copyto(image[top:bottom, left:right], ball[part], where=inside[part])
