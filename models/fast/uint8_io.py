"""Conversion of uint8 frames to the input of a network, and of its output to uint8 frames.

`Uint8Wrapper` is the plain version; the functions are the fast one, used by norm_folding.
"""

import torch
from torch import Tensor, nn


class Uint8Wrapper(nn.Module):
    """Applies a network of (N, 3, H, W) pictures in [0, 1] to (N, H, W, 3) uint8 RGB frames."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, frames: Tensor) -> Tensor:
        stylized = self.network(self.normalize(frames)).float() * 255
        return stylized.clamp(0, 255).round().to(torch.uint8).permute(0, 2, 3, 1)

    def normalize(self, frames: Tensor) -> Tensor:
        """Frames as (N, 3, H, W) in [0, 1], in the network's dtype, channels last."""
        dtype = next(self.network.parameters()).dtype
        return (frames.permute(0, 3, 1, 2).float() / 255).to(dtype)


def pad_frames(
    frames: Tensor, dtype: torch.dtype, *, margin: int, stride: int, border: Tensor, border_px: int
) -> Tensor:
    """Pad frames by reflection like `reflect_pad`, then by a border of one color.

    frames: (N, H, W, 3) uint8; values stay 0..255, which bf16 holds exactly. margin: px of
    reflection. stride: what the height and width after reflection are a multiple of. border: (3,),
    the color of the outer padding, which takes the place of the first convolution's own. border_px:
    its width on each side. Returns (N, 3, H', W'), channels last.
    F.pad alone takes 5 ms for 640x360 in bf16, this 0.1.
    """
    sizes = frames.shape[1:3]
    padded = [x + 2 * margin + -(x + 2 * margin) % stride for x in sizes]
    shape = (len(frames), *(x + 2 * border_px for x in padded), 3)
    outer = torch.empty(shape, dtype=dtype, device=frames.device).permute(0, 3, 1, 2)
    fill_border(outer, border, border_px)
    x = without_border(outer, border_px)
    x[:, :, margin : margin + sizes[0], margin : margin + sizes[1]] = frames.permute(0, 3, 1, 2)
    for axis, size, total in zip((2, 3), sizes, padded, strict=True):
        end, rest = margin + size, total - margin - size
        x.narrow(axis, 0, margin).copy_(x.narrow(axis, margin + 1, margin).flip(axis))
        x.narrow(axis, end, rest).copy_(x.narrow(axis, end - 1 - rest, rest).flip(axis))
    return outer


def fill_border(padded: Tensor, border: Tensor, border_px: int) -> None:
    """Fill the outermost pixels of frames from `pad_frames` with one color, in place.

    padded: (N, 3, H', W'); border: (3,).
    """
    color = border.view(1, 3, 1, 1)
    for axis in (2, 3):
        padded.narrow(axis, 0, border_px).copy_(color)
        padded.narrow(axis, padded.shape[axis] - border_px, border_px).copy_(color)


def without_border(padded: Tensor, border_px: int) -> Tensor:
    """A view of frames from `pad_frames` without the border."""
    height, width = (side - 2 * border_px for side in padded.shape[2:])
    return padded.narrow(2, border_px, height).narrow(3, border_px, width)


def crop_blocks(y: Tensor, size: tuple[int, int], margin: int) -> Tensor:
    """Crop a network's output, 2x2 pixels per position, to the size of the frames, as uint8.

    y: (N, C, H' / 2, W' / 2), values in 0..255. size: height H and width W of the frames. Returns
    (N, ceil(H / 2), ceil(W / 2), C) uint8, contiguous.
    """
    half, (height, width) = margin // 2, size
    y = y[:, :, half : half + (height + 1) // 2, half : half + (width + 1) // 2]
    # Through int16: bf16 to uint8 directly is not vectorized, and takes four times as long.
    return y.round().to(torch.int16).to(torch.uint8).permute(0, 2, 3, 1).contiguous()


def blocks_to_rgb(blocks: Tensor) -> Tensor:
    """Rearrange 2x2 pixel blocks of RGB, (N, H / 2, W / 2, 12) uint8, into (N, H, W, 3) frames.

    Channels are in the order (row, column, color). On uint8, since fewer bytes are moved: 0.2 ms
    for 640x360, against 1.0 in bf16.
    """
    n, h, w, _ = blocks.shape
    # Two pixels of three bytes are three 16-bit words.
    words = blocks.view(torch.int16).view(n, h, w, 2, 3).permute(0, 1, 3, 2, 4).contiguous()
    return words.view(torch.uint8).view(n, 2 * h, 2 * w, 3)
