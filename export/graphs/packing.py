"""Pixels that go together, for a processor's matrix units (AMX): pictures, and weights to match.

Such a unit multiplies 32 channels by 16 at a time, and what has fewer leaves it idle: pictures, and
the last two layers, at half the size. So four pixels in a row are read as 12 channels, which is how
they lie in memory; and the last two layers work at 1/4 of the size, where 2x2 places are 64
channels, and 4x4 pixels 48: the same sums, and some zeros.
"""

import numpy as np

from impasto.models.architectures import MARGIN, STRIDE
from impasto.models.colors import ycc_to_rgb

BLOCK = 4  # px a side: 16 pixels are the channels of one place

# --- Pictures, before and after ---------------------------------------------------------------


def shape_of(height: int, width: int) -> tuple[int, int, int]:
    """(1, h, 3 w): what graphs read for pictures of this size, 32 at least each way."""
    rows, columns = (side + 2 * MARGIN + -side % STRIDE for side in (height, width))
    return 1, rows, 3 * columns


def pad(picture: np.ndarray, out: np.ndarray) -> None:
    """Fill `out`, (1, h, 3 w) uint8, with (H, W, 3) uint8 and its mirror images around."""
    (height, width), margin = picture.shape[:2], MARGIN
    result = out.reshape(out.shape[1], -1, 3)
    below, right = (result.shape[axis] - picture.shape[axis] - margin for axis in (0, 1))
    rows = result[margin : margin + height]
    rows[:, margin : margin + width] = picture
    rows[:, :margin] = picture[:, margin:0:-1]
    rows[:, margin + width :] = picture[:, -2 : -2 - right : -1]
    result[:margin] = rows[margin:0:-1]
    result[margin + height :] = rows[-2 : -2 - below : -1]


def pixels_of(blocks: np.ndarray, height: int, width: int) -> np.ndarray:
    """(1, h, w, 48) uint8, (row, column, colour) of a block's pixels, to (height, width, 3)."""
    inner = _inner(blocks, height, width)
    rows, columns = inner.shape[:2]
    pixels = inner.reshape(rows, columns, BLOCK, 3 * BLOCK).swapaxes(1, 2)
    return pixels.reshape(BLOCK * rows, BLOCK * columns, 3)[:height, :width]


def planes_of(blocks: np.ndarray, height: int, width: int) -> np.ndarray:
    """(1, h, w, 24) uint8, 16 of luma, 4 of Cb, 4 of Cr, to planes: (3 height / 2, width).

    Rows of a block go as one number, which is five times as fast as byte by byte.
    """
    inner = _inner(blocks, height, width)
    rows, columns = inner.shape[:2]
    fours = inner.view(np.uint32)[..., :4].swapaxes(1, 2)
    luma = np.ascontiguousarray(fours).view(np.uint8).reshape(4 * rows, 4 * columns)
    pairs = inner.view(np.uint16)[..., 8:].reshape(rows, columns, 2, 2).transpose(2, 0, 3, 1)
    chroma = np.ascontiguousarray(pairs).view(np.uint8).reshape(2, 2 * rows, 2 * columns)
    chroma = chroma[:, : height // 2, : width // 2]
    return np.concatenate([luma[:height, :width], chroma.reshape(height // 2, width)])


def _inner(blocks: np.ndarray, height: int, width: int) -> np.ndarray:
    """Without the margin, as whole blocks."""
    margin = MARGIN // BLOCK
    return blocks[0, margin : margin + -(-height // BLOCK), margin : margin + -(-width // BLOCK)]


# --- Weights ----------------------------------------------------------------------------------


def reading_four(weight: np.ndarray) -> np.ndarray:
    """A 7x7 convolution of stride 4 that reads RGB, as one of four pixels at each place.

    (O, 3, 7, 7) to (O, 12, 7, 2): rows as they were, strides (4, 1), and from one place before.
    """
    outputs = len(weight)
    wide = np.zeros((outputs, 3, 7, 8), np.float32)
    wide[..., 1:] = weight  # three pixels before the one in the middle: one of four is not reached
    wide = wide.reshape(outputs, 3, 7, 2, BLOCK)
    return wide.transpose(0, 4, 1, 2, 3).reshape(outputs, 3 * BLOCK, 7, 2)


def transposed(weight: np.ndarray) -> np.ndarray:
    """A 3x3 convolution of a picture enlarged twice by repeating it, as a transposed one, before.

    (O, I, 3, 3) to (I, O, 4, 4), for a stride of 2 and a padding of 1: 4 products in place of 9.
    """
    rows = np.array([[0, 0, 1, 1], [0, 1, 1, 0], [1, 1, 0, 0]], np.float32)
    return np.einsum("oiab,ak,bl->iokl", weight, rows, rows, optimize=True)


def giving_places(weight: np.ndarray) -> np.ndarray:
    """A 3x3 convolution of a picture enlarged twice by repeating it, before it is enlarged.

    (O, I, 3, 3) to (4 O, I, 3, 3), channels (row, column, O).
    """
    outputs, inputs = weight.shape[:2]
    result = np.zeros((2, 2, outputs, inputs, 3, 3), np.float32)
    for row, column, i, j in np.ndindex(2, 2, 3, 3):
        y, x = (row + i - 1) // 2, (column + j - 1) // 2  # the place, before, that is seen there
        result[row, column, :, :, y + 1, x + 1] += weight[:, :, i, j]
    return result.reshape(4 * outputs, inputs, 3, 3)


def giving_blocks(weight: np.ndarray) -> np.ndarray:
    """A 3x3 convolution and pixel shuffle at 1/2, as a convolution of its 2x2 places at 1/4.

    (12, I, 3, 3), channels (colour, row, column), to (48, 4 I, 3, 3), channels (row, column,
    colour) of 4x4 pixels, read as `giving_places` gives them.
    """
    inputs = weight.shape[1]
    pixels = weight.reshape(3, 2, 2, inputs, 3, 3).transpose(1, 2, 0, 3, 4, 5)
    result = np.zeros((2, 2, 2, 2, 3, 2, 2, inputs, 3, 3), np.float32)
    for row, column, i, j in np.ndindex(2, 2, 3, 3):
        (y, below), (x, right) = divmod(row + i - 1, 2), divmod(column + j - 1, 2)
        result[row, :, column, :, :, below, right, :, y + 1, x + 1] = pixels[..., i, j]
    return result.reshape(48, 4 * inputs, 3, 3)


def block_bias(bias: np.ndarray) -> np.ndarray:
    """(12,), (colour, row, column) of 2x2 pixels, to (48,), (row, column, colour) of 4x4."""
    return np.tile(bias.reshape(3, 2, 2).transpose(1, 2, 0), (2, 2, 1)).ravel()


def planes_matrix(matrix: int, full_range: bool) -> tuple[np.ndarray, np.ndarray]:
    """(24, 48) and (24,): levels of planes = matrix @ levels of RGB + these, for 4x4 pixels.

    matrix: of ITU-T H.273.
    """
    to_rgb, black = ycc_to_rgb(matrix, full_range)
    luma, *chroma = np.linalg.inv(to_rgb.astype(float))
    each = np.eye(16)
    four = each.reshape(16, 2, 2, 2, 2).mean((2, 4)).reshape(16, 4).T  # pixels of one sample
    parts = [(each, luma), *((four, row) for row in chroma)]
    recode = np.concatenate([np.einsum("sp,c->spc", a, row).reshape(-1, 48) for a, row in parts])
    return recode.astype(np.float32), np.repeat(black, (16, 4, 4)).astype(np.float32)
