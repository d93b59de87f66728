"""A convolution fused with the operations around it: resampling, norm, residual, ReLU."""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from impasto.models.fast.subpixel_conv import fold_upsample_into_transposed_conv


class FusedConv(nn.Module):
    """A convolution fused with the operations around it (brackets: optional), in this order:

    [nearest-neighbor upsampling] convolution [pixel shuffle] [norm] [+ residual] [ReLU]

    The norm is folded into the weights: `fold` must be called before the first `forward`. On the
    CPU, bias, residual and ReLU are computed in the convolution's own pass over memory, by the
    oneDNN operators that torch.compile uses. With separate operators a network takes 10 % longer in
    bfloat16 with AMX, and 40 % in float32 with AVX2 (the weights are reordered at every call, too);
    compiling takes longer than a short clip.

    forward: (N, C, H, W) in the dtype given to `fold`, channels last, and optionally a residual of
    the output's shape. The output is twice as high and wide with `upsample` or `shuffle`.
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
        # Without it, the output of a layer with `shuffle` is (N, 4 C, H, W), channels in the order
        # (row, column, channel).
        self.shuffle_output = shuffle
        self.unfolded_norm: Callable[[Tensor], Tensor] | None = None  # applied to the output
        self._storage: tuple[Tensor, Tensor] | None = None  # of weight and bias
        self.load_weights(conv)

    def load_weights(self, conv: nn.Conv2d) -> None:
        """Use the weights of `conv`, of the same shape as before, from the next `fold` on."""
        assert not isinstance(conv.padding, str)
        self.padding = list(conv.padding)
        weight = conv.weight.detach().float()
        bias = weight.new_zeros(len(weight)) if conv.bias is None else conv.bias.detach().float()
        if self.shuffle:
            weight, bias = _subpixel_major(weight), _subpixel_major(bias)
        if self.upsample:
            transposed = fold_upsample_into_transposed_conv(weight.cpu().numpy())
            weight = torch.from_numpy(transposed).to(weight.device)
        self.conv_weight, self.conv_bias = weight, bias

    def fold(
        self,
        scale: Tensor,
        shift: Tensor,
        dtype: torch.dtype,
        fold_output: Callable[[Tensor, Tensor], tuple[Tensor, Tensor]] | None = None,
    ) -> None:
        """Fold y * scale + shift of each output channel into the convolution's weights.

        scale, shift: (channels,) float32. dtype: of the folded weights and of the computation.
        fold_output: maps weight and bias last, for output other than RGB (`RgbToYuv420.fold`).
        """
        if self.shuffle:  # four subpixels per position
            scale, shift = scale.repeat(4), shift.repeat(4)
        outputs = (1, -1, 1, 1) if self.upsample else (-1, 1, 1, 1)
        weight = self.conv_weight * scale.view(outputs)
        bias = self.conv_bias * scale + shift
        if fold_output is not None:
            weight, bias = fold_output(weight, bias)
        self._set_weights(weight, bias, dtype)

    def fold_first(
        self,
        scale: Tensor,
        shift: Tensor,
        dtype: torch.dtype,
        mean: Tensor,
        std: Tensor,
        *,
        centered: bool = False,
    ) -> None:
        """Like `fold`, for the first layer: also folds in the standardization of the input.

        mean, std: (3,) float32, of red, green and blue in 0..255. The caller pads the picture with
        the mean, which standardization maps to 0. centered: the caller also subtracts the mean.
        """
        weight = self.conv_weight * (scale.view(-1, 1, 1, 1) / std.view(1, -1, 1, 1))
        # Rounded before the bias is computed, so that the mean is still mapped to exactly zero.
        weight = weight.to(dtype).float()
        self.padding = [0, 0]
        bias = self.conv_bias * scale + shift
        self._set_weights(weight, bias if centered else bias - weight.sum((2, 3)) @ mean, dtype)

    def _set_weights(self, weight: Tensor, bias: Tensor, dtype: torch.dtype) -> None:
        self.folded_bias = bias
        self.onednn = not self.upsample and _onednn_computes(weight.device, dtype)
        if self.onednn:
            self.bias = bias.to(dtype)
            self.weight = torch.ops.mkldnn._reorder_convolution_weight(
                weight.to(dtype), self.padding, self.stride, self.dilation, self.groups
            )
            return
        if self._storage is None:
            self._storage = (
                torch.empty_like(weight, dtype=dtype, memory_format=torch.channels_last),
                torch.empty_like(bias, dtype=dtype),
            )
        # In place: a captured CUDA graph keeps reading the same memory.
        self.weight, self.bias = self._storage
        self.weight.copy_(weight)
        self.bias.copy_(bias)

    def shift_bias(self, shift: Tensor) -> None:
        """Set the bias to the folded one plus `shift`, (channels,); faster than `fold`."""
        shift = shift.repeat(4) if self.shuffle else shift
        self.bias = (self.folded_bias + shift).to(self.bias.dtype)

    def forward(self, x: Tensor, residual: Tensor | None = None) -> Tensor:
        norm = self.unfolded_norm
        if norm is None and (residual is None or not self.shuffle_output):
            y = self._convolve(x, residual, self.activation)
            return _pixel_shuffle(y) if self.shuffle_output else y
        y = self._convolve(x, None, "none")
        y = _pixel_shuffle(y) if self.shuffle_output else y
        y = y if norm is None else norm(y)
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


def _onednn_computes(device: torch.device, dtype: torch.dtype) -> bool:
    """Whether oneDNN's operators compute in `dtype` on this device; PyTorch's own always do."""
    if device.type != "cpu" or not torch.backends.mkldnn.is_available():
        return False
    if dtype == torch.bfloat16:
        return bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())
    return dtype == torch.float32


def _pixel_shuffle(y: Tensor) -> Tensor:
    """(N, 4 C, H, W), channels (row, column, channel), to (N, C, 2 H, 2 W); channels last."""
    n, channels, height, width = y.shape
    c = channels // 4
    y = y.permute(0, 2, 3, 1).view(n, height, width, 2, 2, c).permute(0, 1, 3, 2, 4, 5)
    return y.reshape(n, 2 * height, 2 * width, c).permute(0, 3, 1, 2)


def _subpixel_major(x: Tensor) -> Tensor:
    """Reorder channels from (channel, row, column), F.pixel_shuffle's, to (row, column, channel).

    A pixel shuffle then copies runs of two whole pixels: 0.09 ms for 640x360 in uint8, where
    F.pixel_shuffle takes 0.7.
    """
    return x.unflatten(0, (-1, 4)).transpose(0, 1).flatten(0, 1)
