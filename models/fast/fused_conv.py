"""A convolution fused with the operations that follow it, in one pass over memory."""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from impasto.models.fast.subpixel_conv import fold_upsample_into_transposed_conv


class FusedConv(nn.Module):
    """A convolution and what follows it up to the next one, in this order:

    [nearest-neighbor upsampling] convolution [pixel shuffle] [norm, folded] [+ residual] [ReLU]

    `fold` sets the weights and comes before the first call. On the CPU the oneDNN operators that
    torch.compile uses do bias, residual and ReLU in the convolution's own pass. With separate
    operators a network takes 10 % longer in bfloat16 with AMX, and 40 % in float32 with AVX2 (the
    weights are reordered at every call, too); compiling takes longer than a short clip.
    """

    def __init__(
        self,
        conv: nn.Conv2d,
        *,
        upsample: bool = False,
        shuffle: bool = False,
        relu: bool = False,
    ) -> None:
        super().__init__()
        self.upsample, self.shuffle = upsample, shuffle
        self.activation = "relu" if relu else "none"
        self.stride, self.dilation = list(conv.stride), list(conv.dilation)
        self.groups = conv.groups
        self.channels = conv.out_channels // 4 if shuffle else conv.out_channels
        self.shuffles_pixels = True  # else they are left as channels (row, column, c)
        self.norm: Callable[[Tensor], Tensor] | None = None  # where it is not folded
        self.weight_and_bias: tuple[Tensor, Tensor] | None = None  # allocated once
        self.take(conv)

    def take(self, conv: nn.Conv2d) -> None:
        """Use the weights of `conv` from the next `fold` on; its shape must be the first one's."""
        assert not isinstance(conv.padding, str)
        self.padding = list(conv.padding)
        weight = conv.weight.detach().float()
        bias = weight.new_zeros(len(weight)) if conv.bias is None else conv.bias.detach().float()
        if self.shuffle:
            weight, bias = _pixels_first(weight), _pixels_first(bias)
        if self.upsample:
            transposed = fold_upsample_into_transposed_conv(weight.cpu().numpy())
            weight = torch.from_numpy(transposed).to(weight.device)
        self.plain_weight, self.plain_bias = weight, bias

    def fold(
        self,
        scale: Tensor,
        shift: Tensor,
        dtype: torch.dtype,
        recode: Callable[[Tensor, Tensor], tuple[Tensor, Tensor]] | None = None,
    ) -> None:
        """Set the weights: the convolution's own, then the map y * scale + shift of each channel.

        recode: applied to weight and bias last, for an output other than RGB (`RgbToYuv420.fold`).
        """
        if self.shuffle:  # four pixels a position
            scale, shift = scale.repeat(4), shift.repeat(4)
        outputs = (1, -1, 1, 1) if self.upsample else (-1, 1, 1, 1)
        weight = self.plain_weight * scale.view(outputs)
        bias = self.plain_bias * scale + shift
        self._set(*((weight, bias) if recode is None else recode(weight, bias)), dtype)

    def fold_first(
        self,
        scale: Tensor,
        shift: Tensor,
        dtype: torch.dtype,
        mean: Tensor,
        deviation: Tensor,
        *,
        centered: bool = False,
    ) -> None:
        """As `fold`, of a first layer that also standardizes the picture.

        mean, deviation: (3,) float32, of red, green and blue in 0..255. The caller pads the picture
        with that mean, which standardizing makes 0. centered: the caller subtracts it, too.
        """
        weight = self.plain_weight * (scale.view(-1, 1, 1, 1) / deviation.view(1, -1, 1, 1))
        # Rounded before the mean is taken off, so that the mean still gives exactly zero.
        weight = weight.to(dtype).float()
        self.padding = [0, 0]
        bias = self.plain_bias * scale + shift
        self._set(weight, bias if centered else bias - weight.sum((2, 3)) @ mean, dtype)

    def _set(self, weight: Tensor, bias: Tensor, dtype: torch.dtype) -> None:
        self.unshifted = bias
        self.onednn = not self.upsample and _onednn_takes(weight.device, dtype)
        if self.onednn:
            self.bias = bias.to(dtype)
            self.weight = torch.ops.mkldnn._reorder_convolution_weight(
                weight.to(dtype), self.padding, self.stride, self.dilation, self.groups
            )
            return
        if self.weight_and_bias is None:
            self.weight_and_bias = (
                torch.empty_like(weight, dtype=dtype, memory_format=torch.channels_last),
                torch.empty_like(bias, dtype=dtype),
            )
        # In place, since a captured CUDA graph reads the weights at these addresses.
        self.weight, self.bias = self.weight_and_bias
        self.weight.copy_(weight)
        self.bias.copy_(bias)

    def shift_bias(self, shift: Tensor) -> None:
        """Add to what was folded, in place of an earlier such shift: quick, as weights stay."""
        shift = shift.repeat(4) if self.shuffle else shift
        self.bias = (self.unshifted + shift).to(self.bias.dtype)

    def forward(self, x: Tensor, residual: Tensor | None = None) -> Tensor:
        regrouped = self.shuffle and self.shuffles_pixels
        if self.norm is None and (residual is None or not regrouped):
            y = self._convolve(x, residual, self.activation)
            return _pixel_shuffle(y) if regrouped else y
        y = self._convolve(x, None, "none")
        y = _pixel_shuffle(y) if regrouped else y
        y = y if self.norm is None else self.norm(y)
        y = y if residual is None else y.add_(residual)
        return y.relu_() if self.activation == "relu" else y

    def _convolve(self, x: Tensor, residual: Tensor | None, activation: str) -> Tensor:
        if self.onednn:
            geometry = (self.padding, self.stride, self.dilation, self.groups)
            convolve = torch.ops.mkldnn._convolution_pointwise
            limits = [0.0, 255.0] if activation == "hardtanh" else []
            if residual is None:
                return convolve(x, self.weight, self.bias, *geometry, activation, limits, "")
            unary = None if activation == "none" else activation
            return convolve.binary(
                x, residual, self.weight, self.bias, *geometry, "add", None, unary, limits, None
            )
        if self.upsample:
            y = F.conv_transpose2d(x, self.weight, self.bias, stride=2, padding=1)
        else:
            y = F.conv2d(
                x, self.weight, self.bias, self.stride, self.padding, self.dilation, self.groups
            )
        y = y if residual is None else y.add_(residual)
        if activation == "none":
            return y
        return y.relu_() if activation == "relu" else y.clamp_(0, 255)


def _onednn_takes(device: torch.device, dtype: torch.dtype) -> bool:
    """Whether oneDNN's operators compute in `dtype` on this processor; PyTorch's own always do."""
    if device.type != "cpu" or not torch.backends.mkldnn.is_available():
        return False
    if dtype == torch.bfloat16:
        return bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())
    return dtype == torch.float32


def _pixel_shuffle(y: Tensor) -> Tensor:
    """(N, 4C, H, W), four pixels a position, to (N, C, 2H, 2W); channels_last in and out."""
    n, channels, height, width = y.shape
    c = channels // 4
    y = y.permute(0, 2, 3, 1).view(n, height, width, 2, 2, c).permute(0, 1, 3, 2, 4, 5)
    return y.reshape(n, 2 * height, 2 * width, c).permute(0, 3, 1, 2)


def _pixels_first(x: Tensor) -> Tensor:
    """From the channel order of F.pixel_shuffle (channel, row, column) to (row, column, channel).

    Taking the pixels apart then copies runs of two whole pixels: 0.09 ms for 640x360 in uint8
    where F.pixel_shuffle takes 0.7.
    """
    return x.unflatten(0, (-1, 4)).transpose(0, 1).flatten(0, 1)
