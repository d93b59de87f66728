"""Groups pixels into channels for a processor's wide units (AMX, VNNI), and weights to match.

AMX multiplies 32 channels by 16 at a time; layers with fewer channels, the first one and the last
two, leave part of it idle. So the first layer reads four pixels of a row as 12 channels,
which is how they lie in memory; and the last two work at 1/4 of the size, where 2x2 subpixels are
64 channels and blocks of 4x4 pixels 48: the same sums, and some multiplications by zero.
"""

import numpy as np

from impasto.models.architectures import MARGIN, STRIDE
from impasto.models.fast.subpixel_conv import conv_on_subpixels, fold_upsample_into_conv

BLOCK = 4  # px a side: its 16 pixels are the channels of one position

# --- Frames, before and after the graph -------------------------------------------------------


def padded_shape(height: int, width: int) -> tuple[int, int, int]:
    """(1, h, 3 w), the shape that a graph reads for frames of this size, at least 32x32."""
    rows, columns = (side + 2 * MARGIN + -side % STRIDE for side in (height, width))
    return 1, rows, 3 * columns


def reflect_pad(picture: np.ndarray, out: np.ndarray) -> None:
    """Write a picture, (H, W, 3) uint8, with reflected margins into `out`, (1, h, 3 w) uint8."""
    (height, width), margin = picture.shape[:2], MARGIN
    result = out.reshape(out.shape[1], -1, 3)
    below, right = (result.shape[axis] - picture.shape[axis] - margin for axis in (0, 1))
    rows = result[margin : margin + height]
    rows[:, margin : margin + width] = picture
    rows[:, :margin] = picture[:, margin:0:-1]
    rows[:, margin + width :] = picture[:, -2 : -2 - right : -1]
    result[:margin] = rows[margin:0:-1]
    result[margin + height :] = rows[-2 : -2 - below : -1]


def unpack_rgb(blocks: np.ndarray, height: int, width: int) -> np.ndarray:
    """(1, h, w, 48) uint8, (row, column, color) of each block, to (height, width, 3)."""
    fours = _crop(blocks, height, width).view(f"V{3 * BLOCK}")  # one item: twice as fast as bytes
    rows, columns = fours.shape[:2]
    moved = np.empty((rows, BLOCK, columns), fours.dtype)
    moved[:] = fours.swapaxes(1, 2)
    return moved.view(np.uint8).reshape(BLOCK * rows, BLOCK * columns, 3)[:height, :width]


def unpack_yuv420(blocks: np.ndarray, height: int, width: int) -> np.ndarray:
    """(1, h, w, 24) uint8, 16 of luma, 4 of Cb, 4 of Cr, to planar yuv420: (3 height / 2, width).

    A row of a block is moved as one 32-bit number, which is five times as fast as byte by byte.
    """
    inner = _crop(blocks, height, width)
    rows, columns = inner.shape[:2]
    fours = inner.view(np.uint32)[..., :4].swapaxes(1, 2)
    luma = np.ascontiguousarray(fours).view(np.uint8).reshape(4 * rows, 4 * columns)
    pairs = inner.view(np.uint16)[..., 8:].reshape(rows, columns, 2, 2).transpose(2, 0, 3, 1)
    chroma = np.ascontiguousarray(pairs).view(np.uint8).reshape(2, 2 * rows, 2 * columns)
    chroma = chroma[:, : height // 2, : width // 2]
    return np.concatenate([luma[:height, :width], chroma.reshape(height // 2, width)])


def _crop(blocks: np.ndarray, height: int, width: int) -> np.ndarray:
    """Without the margin, but in complete blocks."""
    margin = MARGIN // BLOCK
    return blocks[0, margin : margin + -(-height // BLOCK), margin : margin + -(-width // BLOCK)]


# --- Weights ----------------------------------------------------------------------------------


def space_to_depth_conv(weight: np.ndarray) -> np.ndarray:
    """A 7x7 convolution of RGB with stride 4, as one that reads four pixels of a row as channels.

    (O, 3, 7, 7) to (O, 12, 7, 2), with strides (4, 1) and one more position before.
    """
    outputs = len(weight)
    wide = np.zeros((outputs, 3, 7, 8), np.float32)
    wide[..., 1:] = weight  # it starts three pixels before its center, and a position has four
    wide = wide.reshape(outputs, 3, 7, 2, BLOCK)
    return wide.transpose(0, 4, 1, 2, 3).reshape(outputs, 3 * BLOCK, 7, 2)


def subpixels_from_upsample_conv(weight: np.ndarray) -> np.ndarray:
    """Nearest-neighbor upsampling and a 3x3 convolution, as a 3x3 convolution before upsampling.

    (O, I, 3, 3) to (4 O, I, 3, 3), channels (row, column, O).
    """
    kernels = _in_3x3(fold_upsample_into_conv(weight))
    return kernels.reshape(-1, *kernels.shape[3:])


def blocks_from_shuffle_conv(weight: np.ndarray) -> np.ndarray:
    """A 3x3 convolution and pixel shuffle at 1/2 of the size, as a convolution of subpixels at 1/4.

    (12, I, 3, 3), channels (color, row, column), to (48, 4 I, 3, 3): it reads what
    `subpixels_from_upsample_conv` gives and returns (row, column, color) of blocks of 4x4 pixels.
    """
    inputs = weight.shape[1]
    kernels = _in_3x3(conv_on_subpixels(weight)).reshape(2, 2, 3, 2, 2, inputs, 2, 2, 3, 3)
    return kernels.transpose(0, 3, 1, 4, 2, 6, 7, 5, 8, 9).reshape(48, 4 * inputs, 3, 3)


def _in_3x3(kernels: np.ndarray) -> np.ndarray:
    """(2, 2, ..., 2, 2) of subpixels, as in `subpixel_conv`, to (2, 2, ..., 3, 3)."""
    result = np.zeros((*kernels.shape[:-2], 3, 3), np.float32)
    for p, q in np.ndindex(2, 2):
        result[p, q, ..., p : p + 2, q : q + 2] = kernels[p, q]
    return result


def block_bias(bias: np.ndarray) -> np.ndarray:
    """(12,), (color, row, column) of 2x2 pixels, to (48,), (row, column, color) of 4x4."""
    return np.tile(bias.reshape(3, 2, 2).transpose(1, 2, 0), (2, 2, 1)).ravel()
