"""Pictures as video codecs have them: 8-bit Y'CbCr, 4:2:0, in planes.

A picture of (H, W), both even, is (3 H / 2, W) uint8: H rows of luma, then the two planes of
chroma at half the size, one after the other ("I420"). For the convolutions it is taken apart into
places of 2x2 pixels with six channels: four of luma, row by row, then Cb and Cr.

From and to RGB is a linear map, and so is a convolution: what a network's first layer reads and
its last one gives is recoded in their weights, and no picture is ever converted.
"""

from typing import NamedTuple, Self

import torch
from torch import Tensor

from impasto.models.colors import ycc_to_rgb

CHANNELS = 6  # of a place


class Recoding(NamedTuple):
    """rgb = to_rgb @ (ycc - zero), and ycc = from_rgb @ rgb + zero, all of them in 0..255."""

    to_rgb: Tensor  # (3, 3) float32
    zero: Tensor  # (3,) float32: black
    from_rgb: Tensor  # (3, 3) float32; kept, for to invert a matrix makes a GPU wait

    @classmethod
    def of(cls, matrix: int, full_range: bool) -> Self:
        """By matrix of ITU-T H.273 (1: BT.709, 6: BT.601 ...) and range. KeyError: not known."""
        to_rgb, zero = (torch.from_numpy(x) for x in ycc_to_rgb(matrix, full_range))
        return cls(to_rgb, zero, torch.linalg.inv(to_rgb))

    def to(self, device: torch.device | str) -> "Recoding":
        return Recoding(*(x.to(device) for x in self))

    def read(self, weight: Tensor, mean: Tensor) -> tuple[Tensor, Tensor]:
        """A convolution of RGB pixels, as one of places, with half of its stride.

        weight: (O, 3, K, K), K odd, of a convolution that is padded by K // 2. mean: (3,), a
        colour. Returns the weights (O, 6, k, k), whose first place is (K // 2 + 1) // 2 before that
        of the pixel in the middle, and a place of that colour, (6,).
        """
        outputs, _, size, _ = weight.shape
        before = (size // 2 + 1) // 2
        places = before + 1 + (size // 2) // 2
        spare = 2 * before - size // 2  # pixels of the first place that the kernel does not reach
        ycc = torch.einsum("ocij,cy->oyij", weight, self.to_rgb)
        whole = ycc.new_zeros(outputs, 3, 2 * places, 2 * places)
        whole[..., spare : spare + size, spare : spare + size] = ycc
        pixels = whole.view(outputs, 3, places, 2, places, 2).permute(0, 1, 3, 5, 2, 4)
        luma, chroma = pixels[:, 0].flatten(1, 2), pixels[:, 1:].sum((2, 3))
        y, cb, cr = self.from_rgb @ mean + self.zero
        return torch.cat([luma, chroma], dim=1), torch.stack([y, y, y, y, cb, cr])

    def give(self, weight: Tensor, bias: Tensor) -> tuple[Tensor, Tensor]:
        """A convolution that gives 2x2 RGB pixels, as one that gives places.

        weight: (12, C, k, k), channels in the order (row, column, colour); bias: (12,). Chroma is
        the mean of the four pixels. Returns (6, C, k, k) and (6,).
        """
        pixels = torch.eye(4, device=weight.device)
        luma = torch.einsum("pq,c->pqc", pixels, self.from_rgb[0]).flatten(1)
        chroma = torch.einsum("yc,q->yqc", self.from_rgb[1:], pixels.mean(0)).flatten(1)
        recode = torch.cat([luma, chroma])
        zero = torch.cat([self.zero[:1].repeat(4), self.zero[1:]])
        return torch.einsum("yp,pcij->ycij", recode, weight), recode @ bias + zero

    def pixels(self) -> tuple[Tensor, Tensor]:
        """Places as 2x2 RGB pixels around 0: weight (12, 6, 1, 1) and bias (12,) of a convolution.

        What it gives is rgb - 127.5, in the order of channels that `give` expects.
        """
        luma = torch.eye(4, device=self.zero.device)[:, None] * self.to_rgb[:, :1]  # (4, 3, 4)
        weight = torch.cat([luma, self.to_rgb[:, 1:].expand(4, 3, 2)], dim=2).flatten(0, 1)
        bias = (-127.5 - self.to_rgb @ self.zero).repeat(4)
        return weight[..., None, None], bias


def places_of(planes: Tensor) -> Tensor:
    """(N, 3 H / 2, W) uint8 as places: (N, H / 2, W / 2, 6) uint8."""
    n, rows, width = planes.shape
    height, half = rows * 2 // 3, width // 2
    places = planes.new_empty(n, height // 2, half, CHANNELS)
    # Two bytes at a time: two pixels of a row are neighbours in both forms.
    pairs = places.view(torch.int16)
    luma = planes[:, :height].reshape(n, height, width).view(torch.int16)
    pairs[..., :2] = luma.view(n, height // 2, 2, half).transpose(2, 3)
    places[..., 4:] = planes[:, height:].reshape(n, 2, height // 2, half).permute(0, 2, 3, 1)
    return places


def planes_of(places: Tensor) -> Tensor:
    """(N, H / 2, W / 2, 6) uint8, contiguous, as planes: (N, 3 H / 2, W) uint8."""
    n, height, half, _ = places.shape
    planes = places.new_empty(n, 3 * height, 2 * half)
    luma = planes[:, : 2 * height].view(torch.int16).view(n, height, 2, half)
    luma.copy_(places.view(torch.int16)[..., :2].transpose(2, 3))
    chroma = planes[:, 2 * height :].view(n, 2, height, half)
    chroma.copy_(places[..., 4:].permute(0, 3, 1, 2))
    return planes
