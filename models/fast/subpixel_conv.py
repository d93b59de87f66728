"""3x3 convolutions of an enlarged picture, computed at the size before it was enlarged.

Every position of the small picture stands for 2x2 subpixels of the large one. Row a of a 3x3 kernel
centered on subpixel row p reads large row p + a - 1 relative to the position's first: that is row
(p + a - 1) % 2 of the position (p + a - 1) // 2 below. For p = 0 these are the position above and
the position itself; for p = 1 the position itself and the one below. Columns alike. So for each of
the four subpixels a kernel of 2x2 positions is enough, whose first position is p - 1 rows below and
q - 1 columns to the right.

NumPy only: engines use it in processes that do not load PyTorch.
"""

import numpy as np

# [p, a, i, r]: 1 if kernel row a, centered on subpixel row p, reads row r of the i-th position.
_READS = np.zeros((2, 3, 2, 2), np.float32)
for _p, _a in np.ndindex(2, 3):
    _below, _row = divmod(_p + _a - 1, 2)
    _READS[_p, _a, _below + 1 - _p, _row] = 1


def conv_on_subpixels(weight: np.ndarray) -> np.ndarray:
    """A 3x3 convolution of a picture, as convolutions of its 2x2 subpixels.

    (O, I, 3, 3) to (2, 2, O, I, 2, 2, 2, 2) float32: row and column of the subpixel to compute,
    channels, row and column of the subpixel that is read, row and column of its position.
    """
    return np.einsum("oiab,payr,qbxs->pqoirsyx", weight, _READS, _READS, optimize=True)


def fold_upsample_into_conv(weight: np.ndarray) -> np.ndarray:
    """Nearest-neighbor upsampling by 2 and a 3x3 convolution, as convolutions before upsampling.

    (O, I, 3, 3) to (2, 2, O, I, 2, 2) float32: row and column of the subpixel to compute, channels,
    row and column of the position that is read.
    """
    return conv_on_subpixels(weight).sum((4, 5))


def fold_upsample_into_transposed_conv(weight: np.ndarray) -> np.ndarray:
    """Nearest-neighbor upsampling by 2 and a 3x3 convolution, as one transposed convolution.

    (O, I, 3, 3) to (I, O, 4, 4) float32, for a stride of 2 and a padding of 1: 4 products for each
    value in place of 9. Row k of the kernel adds position i to large row 2 i - 1 + k, so subpixel
    row p takes row 3 - p - 2 y from its position y.
    """
    kernels = fold_upsample_into_conv(weight).transpose(3, 2, 4, 0, 5, 1)
    return np.ascontiguousarray(kernels.reshape(*kernels.shape[:2], 4, 4)[..., ::-1, ::-1])
