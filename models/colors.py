"""Conversion between Y'CbCr and RGB by the matrices of ITU-T H.273, as linear maps."""

import numpy as np

# The weights of red and blue in luma, by matrix.
_LUMA = {
    1: (0.2126, 0.0722),
    4: (0.30, 0.11),
    5: (0.299, 0.114),
    6: (0.299, 0.114),
    7: (0.212, 0.087),
    9: (0.2627, 0.0593),
}


def ycc_to_rgb(matrix: int, full_range: bool) -> tuple[np.ndarray, np.ndarray]:
    """The map rgb = to_rgb @ (ycc - black) of 8-bit numbers: (3, 3) and (3,) float32.

    matrix: MatrixCoefficients of ITU-T H.273 (1: BT.709, 6: BT.601 ...). Raises KeyError for one
    that is not in the table.
    """
    red, blue = _LUMA[matrix]
    green = 1 - red - blue
    cr, cb = 2 * (1 - red), 2 * (1 - blue)  # red - luma is `cr` times Cr in -1/2..1/2
    to_rgb = np.array([[1, 0, cr], [1, -cb * blue / green, -cr * red / green], [1, cb, 0]])
    luma, chroma, black = (255, 255, 0) if full_range else (219, 224, 16)
    scale = np.array([255 / luma, 255 / chroma, 255 / chroma])
    return (to_rgb * scale).astype(np.float32), np.array([black, 128, 128], np.float32)


def yuv420_matrix(matrix: int, full_range: bool, side: int) -> tuple[np.ndarray, np.ndarray]:
    """The map of side x side RGB pixels to yuv420: values = weights @ pixels + offset, in 0..255.

    matrix, full_range: the color space, as for `ycc_to_rgb`. side: even. Returns the weights,
    (M, side**2, 3), and the offset, (M,), float64, M = 3 side**2 / 2: luma of each pixel, then Cb
    and then Cr of each 2x2 pixels, the mean of the four.
    """
    to_rgb, black = ycc_to_rgb(matrix, full_range)
    from_rgb = np.linalg.inv(to_rgb.astype(float))
    pixels, half = np.eye(side**2), side // 2
    means = pixels.reshape(-1, half, 2, half, 2).mean((2, 4)).reshape(-1, half**2).T
    parts = (pixels, means, means)
    weights = [np.einsum("sp,c->spc", part, row) for part, row in zip(parts, from_rgb, strict=True)]
    return np.concatenate(weights), np.repeat(black, [len(part) for part in parts])
