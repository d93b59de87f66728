"""Folds nearest-neighbor upsampling by 2 into the 3x3 convolution that follows it.

Each pixel of the low-resolution map becomes 2x2 subpixels, (p, q), of the upsampled one. Row a of a
3x3 kernel centered on subpixel row p reads upsampled row p + a - 1, counted from the pixel's first:
subpixel row (p + a - 1) % 2 of the low-resolution pixel (p + a - 1) // 2 rows below. For p = 0
these are the pixel above and the pixel itself; for p = 1 the pixel itself and the one below.
Columns alike. So a kernel of 2x2 low-resolution pixels is enough for each of the four subpixels;
its first pixel is p - 1 rows below and q - 1 columns to the right.

NumPy only: engines use it in processes that do not load PyTorch.
"""

import numpy as np

# [p, a, i, r]: 1 if kernel row a, centered on subpixel row p, reads subpixel row r of the i-th
# low-resolution pixel.
_READS = np.zeros((2, 3, 2, 2), np.float32)
for _p, _a in np.ndindex(2, 3):
    _below, _row = divmod(_p + _a - 1, 2)
    _READS[_p, _a, _below + 1 - _p, _row] = 1


def conv_on_subpixels(weight: np.ndarray) -> np.ndarray:
    """Split a 3x3 convolution into 2x2 convolutions of the subpixels of its input.

    (O, I, 3, 3) to (2, 2, O, I, 2, 2, 2, 2) float32: row and column of the output subpixel, output
    and input channel, row and column of the input subpixel, row and column of its low-resolution
    pixel.
    """
    return np.einsum("oiab,payr,qbxs->pqoirsyx", weight, _READS, _READS, optimize=True)


def fold_upsample_into_conv(weight: np.ndarray) -> np.ndarray:
    """Nearest-neighbor upsampling by 2 and a 3x3 convolution, as four low-resolution convolutions.

    (O, I, 3, 3) to (2, 2, O, I, 2, 2) float32: row and column of the output subpixel, output and
    input channel, row and column of the low-resolution pixel.
    """
    return conv_on_subpixels(weight).sum((4, 5))


def fold_upsample_into_transposed_conv(weight: np.ndarray) -> np.ndarray:
    """Nearest-neighbor upsampling by 2 and a 3x3 convolution, as one transposed convolution.

    (O, I, 3, 3) to (I, O, 4, 4) float32, for a stride of 2 and a padding of 1: 4 multiplications
    per input channel and output value instead of 9. Row k of the kernel adds low-resolution row i
    to output row 2 i - 1 + k, so row 3 - p - 2 y holds what subpixel row p reads from pixel row y
    of its 2x2.
    """
    kernels = fold_upsample_into_conv(weight).transpose(3, 2, 4, 0, 5, 1)
    return np.ascontiguousarray(kernels.reshape(*kernels.shape[:2], 4, 4)[..., ::-1, ::-1])
