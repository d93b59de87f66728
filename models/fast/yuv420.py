"""Yuv420p output of a stylizing network, computed by its last convolution.

RGB to Y'CbCr, and the mean of the chroma of 2x2 pixels, are linear maps, and so is a convolution:
the maps are folded into the weights of the last layer, and no frame is converted afterwards. A
yuv420p frame of height H and width W, both even, is (3 H / 2, W) uint8: H rows of luma, then the
Cb plane and the Cr plane at half the size ("I420").
"""

from typing import NamedTuple, Self

import torch
from torch import Tensor

from impasto.models.colors import yuv420_matrix


class RgbToYuv420(NamedTuple):
    """The map from 2x2 RGB pixels to yuv420p: yuv = matrix @ rgb + offset, all in 0..255.

    rgb: 12 values in the order (row, column, color). yuv: 6 values, the luma of the four pixels row
    by row, then Cb and Cr.
    """

    matrix: Tensor  # (6, 12) float32
    offset: Tensor  # (6,) float32, the yuv420p values of black

    @classmethod
    def for_color_space(cls, matrix: int, full_range: bool) -> Self:
        """The map for a color space.

        matrix: MatrixCoefficients of ITU-T H.273 (1: BT.709, 6: BT.601 ...). Raises KeyError for
        one that is not supported.
        """
        weights, offset = yuv420_matrix(matrix, full_range, side=2)
        return cls(*(torch.from_numpy(x).float() for x in (weights.reshape(6, 12), offset)))

    def to(self, device: torch.device | str) -> "RgbToYuv420":
        """A copy on `device`."""
        return RgbToYuv420(*(x.to(device) for x in self))

    def fold(self, weight: Tensor, bias: Tensor) -> tuple[Tensor, Tensor]:
        """Fold the map into a convolution that computes 2x2 RGB pixels per output position.

        weight: (12, C, k, k), output channels in the order (row, column, color); bias: (12,).
        Returns (6, C, k, k) and (6,).
        """
        weight = torch.einsum("yp,pcij->ycij", self.matrix, weight)
        return weight, self.matrix @ bias + self.offset


def blocks_to_yuv420p(blocks: Tensor) -> Tensor:
    """Rearrange 2x2 pixel blocks of yuv420p into frames.

    blocks: (N, H / 2, W / 2, 6) uint8, contiguous, channels as `RgbToYuv420` orders them. Returns
    (N, 3 H / 2, W) uint8.
    """
    n, height, half, _ = blocks.shape
    frames = blocks.new_empty(n, 3 * height, 2 * half)
    # Two bytes at a time: the two pixels of a row are neighbors in both layouts.
    luma = frames[:, : 2 * height].view(torch.int16).view(n, height, 2, half)
    luma.copy_(blocks.view(torch.int16)[..., :2].transpose(2, 3))
    chroma = frames[:, 2 * height :].view(n, 2, height, half)
    chroma.copy_(blocks[..., 4:].permute(0, 3, 1, 2))
    return frames
