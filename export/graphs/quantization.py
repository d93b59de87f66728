"""Numbers in 8 bits: the range of a convolution's input, and its weights.

NumPy only: engines use it in processes that do not load PyTorch.
"""

from typing import NamedTuple

import numpy as np


class ActivationRange(NamedTuple):
    """The minimum and maximum of a convolution's input, extended to include the 0 of padding."""

    low: float
    high: float

    @property
    def scale(self) -> np.ndarray:
        """The step from one 8-bit value to the next, () float32."""
        return np.array(max(self.high - self.low, 1e-6) / 255, np.float32)

    @property
    def zero(self) -> np.ndarray:
        """The zero point, () uint8."""
        return np.array(np.clip(np.round(-self.low / self.scale), 0, 255), np.uint8)


def quantize_weights(weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(C, ...) float32 as int8, -127 to 127, and the scale of each channel, (C,) float32."""
    rows = weights.reshape(len(weights), -1)
    scales = np.maximum(np.abs(rows).max(axis=1), 1e-12).astype(np.float32) / 127
    values = np.round(rows / scales[:, None]).astype(np.int8)
    return values.reshape(weights.shape), scales
