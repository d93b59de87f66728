"""RGB to yuv420p, as weights of a graph."""

import numpy as np

from impasto.models.colors import ycc_to_rgb

LUMA, CHROMA = "yuv420.luma", "yuv420.chroma"  # 1x1 convolutions


def yuv420_matrix(matrix: int, full_range: bool, side: int) -> tuple[np.ndarray, np.ndarray]:
    """A block of side x side RGB pixels to yuv420: levels = matrix @ pixels + offset, in 0..255.

    matrix, full_range: the color space, by ITU-T H.273. side: even. Returns (M, side**2, 3) and
    (M,) float64, M = 3 side**2 / 2: luma of each pixel, then Cb and then Cr of each 2x2 pixels,
    the mean of theirs.
    """
    to_rgb, black = ycc_to_rgb(matrix, full_range)
    from_rgb = np.linalg.inv(to_rgb.astype(float))
    pixels, half = np.eye(side**2), side // 2
    means = pixels.reshape(-1, half, 2, half, 2).mean((2, 4)).reshape(-1, half**2).T
    parts = (pixels, means, means)
    result = [np.einsum("sp,c->spc", part, row) for part, row in zip(parts, from_rgb, strict=True)]
    return np.concatenate(result), np.repeat(black, [len(part) for part in parts])


def yuv420_weights(matrix: int, full_range: bool) -> dict[str, np.ndarray]:
    """The weights, by name, with which graphs write yuv420 of this color space.

    LUMA and CHROMA take the 12 channels that a pixel shuffle reads: color, row, column.
    """
    recode, offset = yuv420_matrix(matrix, full_range, 2)
    recode = 255 * recode.swapaxes(1, 2).reshape(6, 12, 1, 1)
    weights = {
        f"{LUMA}.weight": recode[:4],
        f"{LUMA}.bias": offset[:4],
        f"{CHROMA}.weight": recode[4:],
        f"{CHROMA}.bias": offset[4:],
    }
    return {name: value.astype(np.float32) for name, value in weights.items()}
