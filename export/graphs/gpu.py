"""The graph of a style network for GPU engines: few passes over memory, norms folded at run time.

It computes the same as export.graphs.portable with frozen or running statistics. On a GPU a norm is
one more pass over every layer, and ONNX Runtime has none in float16 that takes statistics in
float32. Here mean and variance are folded into the weights of the convolutions by a few nodes on
small tensors, each time the graph runs; so are the standardization of the picture, its last scaling
and, for yuv420, the color matrix. With `half` the picture is float16 from its bytes on: float16
represents 0 to 255 exactly.
"""

import onnx
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from impasto.export.graphs.builder import build_graph
from impasto.export.graphs.norms import NormSource, count_channels, replace_norms
from impasto.export.graphs.rewrites import (
    RewrittenNet,
    Yuv420Conv,
    crop,
    pad_by_reflection,
    planes_to_yuv420p,
    replace_modules,
    skip_last_shuffle,
)
from impasto.export.graphs.signature import video_signature
from impasto.export.spec import NormMode
from impasto.models.architectures import MARGIN, STRIDE
from impasto.models.transform_net import TransformNet


def build_gpu_model(
    network: TransformNet,
    norm_mode: NormMode,
    *,
    yuv420: bool = False,
    half: bool = False,
    fold: bool = True,
) -> onnx.ModelProto:
    """A graph with uint8 RGB input and output, (N, H, W, 3), any size; "frozen" or "running".

    yuv420: the output is planar yuv420p, (N, 3 H / 2, W) with H and W even, as in
    models.fast.yuv420: BT.709, limited range; see `yuv420_weights` for other color spaces.
    half: float16 inside, except for the statistics. fold: False keeps frozen norms separate, as a
    scale and a shift, for TensorRT, which does its own folding and needs constant weights.
    """
    assert norm_mode != "instance", "these graphs are for video"
    net = GpuNet(network, norm_mode, yuv420=yuv420, half=half, fold=fold)
    return build_graph(net, *video_signature(norm_mode, count_channels(network), yuv420))


class GpuNet(RewrittenNet):
    """A style network for video that computes its weights from the statistics in every run.

    Frames are (N, H, W, 3) uint8 RGB; so is the output, or yuv420p (N, 3 H / 2, W).
    """

    def __init__(
        self,
        network: TransformNet,
        norm_mode: NormMode,
        *,
        yuv420: bool = False,
        half: bool = False,
        fold: bool = True,
    ) -> None:
        super().__init__(network)
        self.dtype, self.fold = torch.float16 if half else torch.float32, fold
        self.source = NormSource(norm_mode)
        skip_last_shuffle(self.body)
        self.convs = replace_modules(
            self.body, nn.Conv2d, lambda conv: _ComputedConv(conv, self.dtype)
        )
        self.norms: list[_Affine] = []
        if norm_mode == "frozen":
            self.norms = replace_modules(
                self.body, nn.InstanceNorm2d, lambda norm: _Affine(norm, self.dtype)
            )
        else:
            replace_norms(self.body, self.source, self.dtype)
        self.yuv420 = Yuv420Conv() if yuv420 else None

    def forward(
        self, frames: Tensor, mean: Tensor, variance: Tensor, weight: Tensor | None = None
    ) -> Tensor | tuple[Tensor, ...]:
        """Stylized frames; with "running" also the updated statistics."""
        self.source.begin(mean, variance, weight)
        height, width = frames.shape[1:3]
        pixels = frames.to(self.dtype).permute(0, 3, 1, 2)
        picture = pad_by_reflection(pixels, STRIDE, MARGIN)
        colors = self.source.following(picture.to(torch.float32) * (1 / 255), 3)
        for conv in self.convs:
            conv.computed = conv.weight, conv.bias
        self._fold_colors(colors[0], (colors[1] + 1e-5).sqrt())
        if self.norms:
            self._fold_norms(mean, variance)
        middle = (colors[0] * 255).reshape(1, 3, 1, 1).to(self.dtype)
        levels = self.body(picture - middle).clamp(0, 255).round()
        stylized = (self._yuv420p if self.yuv420 else self._rgb)(levels, height, width)
        return (stylized, *self.source.updated()) if not self.norms else stylized

    def _fold_norms(self, mean: Tensor, variance: Tensor) -> None:
        """Compute scale and shift of all norms at once, so that the GPU starts few kernels."""
        normed, sizes = self.convs[:-1], [norm.channels for norm in self.norms]
        weights = torch.cat([norm.weight for norm in self.norms], 0)
        offsets = torch.cat([norm.bias for norm in self.norms], 0)
        biases = torch.cat([conv.bias for conv in normed], 0)
        mean, variance = (x[3 : 3 + sum(sizes)] for x in (mean, variance))
        scale = weights / (variance + self.norms[0].eps).sqrt()
        shift = (biases - mean if self.fold else -mean) * scale + offsets
        scales, shifts = scale.split(sizes), shift.split(sizes)
        for place, (conv, norm) in enumerate(zip(normed, self.norms, strict=True)):
            scale, shift = scales[place], shifts[place]
            if self.fold:
                conv.computed = conv.computed[0] * scale.reshape(-1, 1, 1, 1), shift
            else:
                norm.affine = scale, shift

    def _fold_colors(self, mean: Tensor, deviation: Tensor) -> None:
        """Fold the picture's standardization into the first convolution, its inverse into the last.

        The first reads the picture in the units of `frames` minus its mean; the last returns the
        levels of 2x2 pixels: 12 for RGB, 6 for yuv420.
        """
        first, last = self.convs[0], self.convs[-1]
        first.computed = first.weight / (deviation * 255).reshape(1, 3, 1, 1), first.bias
        gain, offset = (
            (own.reshape(3) + kept.reshape(3) * measured).reshape(3, 1).expand(3, 4).reshape(12)
            for own, kept, measured in (
                (self.gain, self.gain_deviation, deviation),
                (self.offset, self.offset_mean, mean),
            )
        )
        weight = last.weight * gain.reshape(12, 1, 1, 1)
        bias = last.bias * gain + offset
        if self.yuv420 is None:
            last.computed = weight * 255, bias * 255
            return
        to_yuv, zero = self.yuv420.matrix()
        weight = to_yuv @ weight.reshape(12, -1)
        last.computed = weight.reshape(6, last.inputs, 3, 3), to_yuv @ bias + zero

    def _rgb(self, levels: Tensor, height: int, width: int) -> Tensor:
        pixels = crop(F.pixel_shuffle(levels, 2), MARGIN, height, width)
        return pixels.to(torch.uint8).permute(0, 2, 3, 1)

    def _yuv420p(self, levels: Tensor, height: int, width: int) -> Tensor:
        levels = crop(levels, MARGIN // 2, height // 2, width // 2)
        return planes_to_yuv420p(levels[:, 0:4], levels[:, 4:6], width).to(torch.uint8)


class _ComputedConv(nn.Module):
    """A convolution with weight and bias computed at run time: `computed`, in float32."""

    def __init__(self, conv: nn.Conv2d, dtype: torch.dtype) -> None:
        super().__init__()
        assert conv.bias is not None
        self.weight, self.bias, self.dtype = conv.weight, conv.bias, dtype
        self.inputs, self.stride, self.padding = conv.in_channels, conv.stride, conv.padding
        self.computed: tuple[Tensor, Tensor]

    def forward(self, x: Tensor) -> Tensor:
        weight, bias = (value.to(self.dtype) for value in self.computed)
        return F.conv2d(x, weight, bias, self.stride, self.padding)


class _Affine(nn.Module):
    """A norm as scale and shift, (C,) each, or nothing if they are folded into the convolution."""

    affine: tuple[Tensor, Tensor] | None = None

    def __init__(self, norm: nn.InstanceNorm2d, dtype: torch.dtype) -> None:
        super().__init__()
        self.weight, self.bias = norm.weight, norm.bias
        self.channels, self.eps, self.dtype = norm.num_features, norm.eps, dtype

    def forward(self, x: Tensor) -> Tensor:
        if self.affine is None:
            return x
        scale, shift = (value.reshape(1, -1, 1, 1).to(self.dtype) for value in self.affine)
        return x * scale + shift
