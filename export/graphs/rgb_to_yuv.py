"""The weights with which ONNX graphs convert RGB to yuv420p."""

import numpy as np

from impasto.models.colors import yuv420_matrix

LUMA, CHROMA = "yuv420.luma", "yuv420.chroma"  # 1x1 convolutions


def yuv420_weights(matrix: int, full_range: bool) -> dict[str, np.ndarray]:
    """The weights, by name, with which graphs write yuv420 of this color space.

    LUMA and CHROMA take the 12 channels that a pixel shuffle reads: color, row, column.
    """
    to_yuv, offset = yuv420_matrix(matrix, full_range, 2)
    to_yuv = 255 * to_yuv.swapaxes(1, 2).reshape(6, 12, 1, 1)
    weights = {
        f"{LUMA}.weight": to_yuv[:4],
        f"{LUMA}.bias": offset[:4],
        f"{CHROMA}.weight": to_yuv[4:],
        f"{CHROMA}.bias": offset[4:],
    }
    return {name: value.astype(np.float32) for name, value in weights.items()}
