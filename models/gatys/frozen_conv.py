"""Convolution, ReLU and pooling with frozen weights: gradients flow to the input only.

On the CPU the oneDNN operators that torch.compile uses compute the ReLU in the convolution's own
pass, and gradients stay channels last, as the values are. With autograd's own operators a step of
Gatys optimization in the compact network took 1.6 times as long (bfloat16, AMX).
"""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

_PARTS = 8  # of an image for pooling: channels last, PyTorch pools each image in one thread


def conv_relu(
    x: Tensor, weight: Tensor, bias: Tensor, *, padding: int, pooled: bool = False
) -> Tensor:
    """relu(conv2d(x, weight, bias)) with stride 1; pooled: then 2x2 max-pooling.

    x: (N, c, H, W), weight: (C, c, k, k). Returns (N, C, H, W), or (N, C, H / 2, W / 2), rounded
    down. Gradients flow to `x` only, once.
    """
    result: Tensor = _ConvRelu.apply(x, weight, bias, padding, pooled)
    return result


class _ConvRelu(torch.autograd.Function):
    """ReLU and max-pooling commute, so backward masks the pooled map: a quarter of the values."""

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, weight: Tensor, bias: Tensor, padding: int, pooled: bool
    ) -> Tensor:
        paddings = [padding, padding]
        if _by_onednn(x):
            y: Tensor = torch.ops.mkldnn._convolution_pointwise(
                x, weight, bias, paddings, [1, 1], [1, 1], 1, "relu", [], ""
            )
        else:
            y = F.conv2d(x, weight, bias, padding=padding).relu_()
        ctx.sizes, ctx.paddings, indices = (x.shape, y.shape), paddings, None
        if pooled:
            parts, indices = torch.ops.aten.max_pool2d_with_indices(_in_parts(y), [2, 2])
            y = _merged(parts, len(y))
        ctx.save_for_backward(y, weight, indices)
        return y

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None, None, None]:
        y, weight, indices = ctx.saved_tensors
        last = y.is_contiguous(memory_format=torch.channels_last)
        layout = torch.channels_last if last else torch.contiguous_format
        gradient = gradient.contiguous(memory_format=layout)
        gradient = torch.ops.aten.threshold_backward(gradient, y, 0)

        def like(size: torch.Size) -> Tensor:  # for its shape and layout; never read
            return torch.empty(size, dtype=y.dtype, device=y.device, memory_format=layout)

        if indices is not None:
            parts = torch.ops.aten.max_pool2d_with_indices_backward(
                _in_parts(gradient, len(indices)),
                _in_parts(like(ctx.sizes[1]), len(indices)),
                [2, 2], [2, 2], [0, 0], [1, 1], False, indices,
            )  # fmt: skip
            gradient = _merged(parts, len(y))
        ones, none = [1, 1], [0, 0]
        gradient, _, _ = torch.ops.aten.convolution_backward(
            gradient, like(ctx.sizes[0]), weight, None, ones, ctx.paddings, ones, False, none, 1,
            [True, False, False],
        )  # fmt: skip
        return gradient, None, None, None, None


def _in_parts(x: Tensor, count: int | None = None) -> Tensor:
    """(N, C, H, W), channels last, split by rows into (count, C, H N / count, W). No copy."""
    n, _, height, _ = x.shape
    if count is None:
        last = x.is_cpu and x.is_contiguous(memory_format=torch.channels_last)
        count = n * _PARTS if last and height % (2 * _PARTS) == 0 else n
    if count == n:
        return x
    return x.permute(0, 2, 3, 1).unflatten(1, (count // n, -1)).flatten(0, 1).permute(0, 3, 1, 2)


def _merged(parts: Tensor, count: int) -> Tensor:
    """The inverse of `_in_parts`: (count, C, H, W)."""
    if len(parts) == count:
        return parts
    return parts.permute(0, 2, 3, 1).unflatten(0, (count, -1)).flatten(1, 2).permute(0, 3, 1, 2)


def _by_onednn(x: Tensor) -> bool:
    """Whether oneDNN's fused operators compute in the dtype of `x` on this processor."""
    if not x.is_cpu or not torch.backends.mkldnn.is_available():
        return False
    return x.dtype == torch.float32 or (
        x.dtype == torch.bfloat16 and torch.ops.mkldnn._is_mkldnn_bf16_supported()
    )
