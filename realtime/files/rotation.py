"""Rotation and mirroring: the display matrix of a frame, and applying it."""

import av
import numpy as np

from impasto.realtime.files.side_data import side_data_of

# The entries (a, b, c, d) of a display matrix that rotate and mirror, at any positive scale.
DisplayMatrix = tuple[int, int, int, int]
NO_ROTATION: DisplayMatrix = (1, 0, 0, 1)


def display_matrix(frame: av.VideoFrame) -> DisplayMatrix:
    """The display matrix of a decoded frame; `NO_ROTATION` if it has none."""
    data = side_data_of(frame).get("DISPLAYMATRIX")
    if data is None:
        return NO_ROTATION
    numbers = np.frombuffer(data, np.int32)  # type: ignore[call-overload]  # typed as object
    a, b, _, c, d = numbers[:5].tolist()
    return a, b, c, d


def apply_display_matrix(image: np.ndarray, matrix: DisplayMatrix) -> np.ndarray:
    """An image turned upright: pixel (x, y) goes to (a x + c y, b x + d y).

    Supports the eight combinations of quarter turns and mirroring; other angles are rounded to the
    nearest of them. image: (H, W, C). Returns (H, W, C) or (W, H, C), contiguous, of its dtype.
    """
    a, b, c, d = matrix
    # With one item per pixel, numpy is 3 times as fast.
    channels = image.shape[2]
    pixel = np.dtype((np.void, channels * image.itemsize))
    pixels = np.ascontiguousarray(image).view(pixel)[:, :, 0]
    if transposes(matrix):
        pixels, flip_x, flip_y = pixels.T, c < 0, b < 0
    else:
        flip_x, flip_y = a < 0, d < 0
    pixels = pixels[:: -1 if flip_y else 1, :: -1 if flip_x else 1]
    return np.ascontiguousarray(pixels).view(image.dtype).reshape(*pixels.shape, channels)


def transposes(matrix: DisplayMatrix) -> bool:
    """Whether a display matrix exchanges height and width."""
    a, b, c, d = matrix
    return abs(b) + abs(c) > abs(a) + abs(d)
