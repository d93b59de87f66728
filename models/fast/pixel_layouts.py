"""How uint8 pictures enter the convolutions and leave them: packed RGB, or a codec's planes."""

from abc import ABC, abstractmethod

import torch
import torch.nn.functional as F
from torch import Tensor

from impasto.models.fast.norm_statistics import NormStatistics
from impasto.models.fast.running_statistics import statistics_of
from impasto.models.fast.yuv420 import CHANNELS, Recoding, places_of, planes_of


class Layout(ABC):
    """What a batch of pictures looks like.

    A convolution sees places, each of `side` x `side` pixels, with so many channels. Their values
    stay 0..255, which bf16 holds exactly.
    """

    channels: int
    side: int
    skipped: int  # places at the border that a mirror does not repeat
    edge: tuple[int, int]  # places that a first 7x7 convolution reads before the picture, and after

    def pad(
        self, frames: Tensor, dtype: torch.dtype, *, margin: int, stride: int, border: Tensor
    ) -> Tensor:
        """As `reflect_pad` by `margin` px, with the first convolution's own padding around it.

        border: (channels,), what that padding is. Returns (N, channels, rows, columns).
        F.pad alone takes 5 ms for 640x360 in bf16, this 0.1.
        """
        places = self.places(frames)
        (before, after), m, stride = self.edge, margin // self.side, stride // self.side
        sizes = places.shape[1:3]
        whole = [x + 2 * m + -(x + 2 * m) % stride for x in sizes]
        shape = (len(places), *(x + before + after for x in whole), self.channels)
        outer = torch.empty(shape, dtype=dtype, device=frames.device)
        self.surround(outer, border)
        x = outer[:, before : before + whole[0], before : before + whole[1]]
        x[:, m : m + sizes[0], m : m + sizes[1]] = places
        for axis, size, padded in zip((1, 2), sizes, whole, strict=True):
            end, rest = m + size, padded - m - size
            first = x.narrow(axis, m + self.skipped, m)
            last = x.narrow(axis, end - self.skipped - rest, rest)
            x.narrow(axis, 0, m).copy_(self.mirrored(first, axis))
            x.narrow(axis, end, rest).copy_(self.mirrored(last, axis))
        return outer.permute(0, 3, 1, 2)

    def surround(self, outer: Tensor, border: Tensor) -> None:
        """Fill the first convolution's padding. outer: (N, rows, columns, channels)."""
        before, after = self.edge
        outer[:, :before] = outer[:, :, :before] = border
        if after:
            outer[:, -after:] = outer[:, :, -after:] = border

    def inside(self, padded: Tensor) -> Tensor:
        """What `pad` returned, without that padding."""
        before, after = self.edge
        rows, columns = (slice(before, x - after) for x in padded.shape[2:])
        return padded[:, :, rows, columns]

    def crop(self, y: Tensor, frames: Tensor, margin: int) -> Tensor:
        """Round, crop, and put together what the last layer gives, in 0..255, at half the size.

        In uint8, where it moves the fewest bytes: 0.2 ms for 640x360, against 1.0 in bf16.
        """
        height, width = self.size(frames)
        half = margin // 2
        y = y[:, :, half : half + (height + 1) // 2, half : half + (width + 1) // 2]
        # By way of int16: bf16 to uint8 directly is not vectorised, and takes four times as long.
        y = y.round().to(torch.int16).to(torch.uint8).permute(0, 2, 3, 1).contiguous()
        return self.joined(y)[:, : frames.shape[1], : frames.shape[2]]

    @abstractmethod
    def size(self, frames: Tensor) -> tuple[int, int]:
        """Height and width in pixels."""

    @abstractmethod
    def places(self, frames: Tensor) -> Tensor:
        """Pictures as (N, rows, columns, channels) uint8."""

    @abstractmethod
    def joined(self, y: Tensor) -> Tensor:
        """The opposite, from what the last layer gives for 2x2 pixels: (N, H / 2, W / 2, ...)."""

    @abstractmethod
    def mirrored(self, x: Tensor, axis: int) -> Tensor:
        """Places (N, rows, columns, channels) turned about `axis`, their pixels with them."""

    @abstractmethod
    def moments(self, places: Tensor) -> NormStatistics:
        """Of one picture's red, green and blue, in 0..255. places: (1, channels, ...)."""

    def read(self, weight: Tensor, mean: Tensor) -> tuple[Tensor, Tensor]:
        """The first layer's weights, and the colour (3,) around the picture, for such places."""
        return weight, mean

    def give(self, weight: Tensor, bias: Tensor) -> tuple[Tensor, Tensor]:
        """The last layer's weights and bias, (row, column, color), for such places."""
        return weight, bias


class PackedRGB(Layout):
    """(N, H, W, 3) RGB, H and W any."""

    channels, side, skipped, edge = 3, 1, 1, (3, 3)

    def size(self, frames: Tensor) -> tuple[int, int]:
        return frames.shape[1], frames.shape[2]

    def places(self, frames: Tensor) -> Tensor:
        return frames

    def joined(self, y: Tensor) -> Tensor:
        n, h, w, _ = y.shape
        # Two pixels of three bytes are three words of two.
        y = y.view(torch.int16).view(n, h, w, 2, 3).permute(0, 1, 3, 2, 4).contiguous()
        return y.view(torch.uint8).view(n, 2 * h, 2 * w, 3)

    def mirrored(self, x: Tensor, axis: int) -> Tensor:
        return x.flip(axis)

    def moments(self, places: Tensor) -> NormStatistics:
        return statistics_of(places)


class Planes(Layout):
    """(N, 3 H / 2, W) Y'CbCr 4:2:0, H and W even; see impasto.models.fast.yuv420.

    The mirror repeats the pixels at the border, since chroma has none to spare.
    """

    channels, side, skipped, edge = CHANNELS, 2, 0, (2, 0)

    def __init__(self, recoding: Recoding) -> None:
        self.recoding = recoding
        self.pixels = recoding.pixels()

    def size(self, frames: Tensor) -> tuple[int, int]:
        return frames.shape[1] * 2 // 3, frames.shape[2]

    def places(self, frames: Tensor) -> Tensor:
        return places_of(frames)

    def joined(self, y: Tensor) -> Tensor:
        return planes_of(y)

    def mirrored(self, x: Tensor, axis: int) -> Tensor:
        x = x.flip(axis)
        # Not by a list of indices, which would first have to be copied to a GPU.
        luma = x[..., :4].unflatten(-1, (2, 2)).flip(-2 if axis == 1 else -1).flatten(-2)
        return torch.cat([luma, x[..., 4:]], dim=-1)

    def moments(self, places: Tensor) -> NormStatistics:
        weight, bias = (x.to(places.dtype) for x in self.pixels)
        mean, variance = (x.view(4, 3) for x in statistics_of(F.conv2d(places, weight, bias)))
        return NormStatistics(mean.mean(0) + 127.5, variance.mean(0) + mean.var(0, correction=0))

    def read(self, weight: Tensor, mean: Tensor) -> tuple[Tensor, Tensor]:
        return self.recoding.read(weight, mean)

    def give(self, weight: Tensor, bias: Tensor) -> tuple[Tensor, Tensor]:
        return self.recoding.give(weight, bias)
