"""A network that gives yuv420p frames, as video encoders take them, by its last convolution.

From RGB to Y'CbCr is a linear map, and so is a convolution: the map is folded into the weights of
the last layer, and no frame is ever converted. A yuv420p frame of (H, W), both even, is
(3 H / 2, W) uint8: H rows of luma, then both planes of chroma at half the size ("I420").
"""

from typing import NamedTuple, Self

import torch
from torch import Tensor

from impasto.models.colors import ycc_to_rgb


class RgbToYuv420(NamedTuple):
    """ycc = from_rgb @ rgb + zero, all of them in 0..255; chroma is the mean of 2x2 pixels."""

    from_rgb: Tensor  # (3, 3) float32
    zero: Tensor  # (3,) float32: black

    @classmethod
    def of(cls, matrix: int, full_range: bool) -> Self:
        """By matrix of ITU-T H.273 (1: BT.709, 6: BT.601 ...) and range. KeyError: not known."""
        to_rgb, zero = (torch.from_numpy(x) for x in ycc_to_rgb(matrix, full_range))
        return cls(torch.linalg.inv(to_rgb), zero)

    def to(self, device: torch.device | str) -> "RgbToYuv420":
        return RgbToYuv420(*(x.to(device) for x in self))

    def fold(self, weight: Tensor, bias: Tensor) -> tuple[Tensor, Tensor]:
        """A convolution that gives 2x2 RGB pixels, as one that gives a block of yuv420p.

        weight: (12, C, k, k), channels in the order (row, column, color); bias: (12,). Returns
        (6, C, k, k) and (6,): four of luma, row by row, then Cb and Cr.
        """
        pixels = torch.eye(4, device=weight.device)
        luma = torch.einsum("pq,c->pqc", pixels, self.from_rgb[0]).flatten(1)
        chroma = torch.einsum("yc,q->yqc", self.from_rgb[1:], pixels.mean(0)).flatten(1)
        recode = torch.cat([luma, chroma])
        zero = torch.cat([self.zero[:1].repeat(4), self.zero[1:]])
        return torch.einsum("yp,pcij->ycij", recode, weight), recode @ bias + zero


def yuv420p_of(blocks: Tensor) -> Tensor:
    """Blocks of yuv420p, (N, H / 2, W / 2, 6) uint8, contiguous, as frames: (N, 3 H / 2, W)."""
    n, height, half, _ = blocks.shape
    frames = blocks.new_empty(n, 3 * height, 2 * half)
    # Two bytes at a time: two pixels of a row are neighbors in both forms.
    luma = frames[:, : 2 * height].view(torch.int16).view(n, height, 2, half)
    luma.copy_(blocks.view(torch.int16)[..., :2].transpose(2, 3))
    chroma = frames[:, 2 * height :].view(n, 2, height, half)
    chroma.copy_(blocks[..., 4:].permute(0, 3, 1, 2))
    return frames
