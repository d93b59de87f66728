"""The graph of a style network for GPU engines: few passes over memory, norms folded at run time.

It computes the same as export.graphs.portable with frozen or running statistics. On a GPU a norm is
one more pass over every layer, and ONNX Runtime has none in float16 that takes statistics in
float32. Here mean and variance are folded into the weights of the convolutions by a few nodes on
small tensors, each time the graph runs; so are the standardization of the picture, its last scaling
and, for yuv420, the color matrix. With `half` the picture is float16 from its bytes on: float16
represents 0 to 255 exactly.
"""

from typing import Any

import numpy as np
import onnx
import torch.nn.functional as F
from onnx import TensorProto, helper, numpy_helper
from torch import nn

from impasto.export.graphs.builder import MEAN, VARIANCE, GraphBuilder, run_builder, trace
from impasto.export.graphs.rgb_to_yuv import CHROMA, LUMA, yuv420_weights
from impasto.export.spec import FRAMES, OPSET, STYLIZED, NormMode
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
    return run_builder(_GpuBuilder(network, norm_mode, yuv420, half, fold))


class _GpuBuilder(GraphBuilder):
    """Runs the trace of the network's body; its own methods write what comes before and after."""

    def __init__(
        self,
        network: TransformNet,
        norm_mode: NormMode,
        yuv420: bool,
        half: bool,
        fold: bool,
    ) -> None:
        super().__init__(trace(network.body), norm_mode, "nhwc-uint8", None, OPSET, half)
        self.state = network.state_dict()
        self.yuv420, self.fold = yuv420, fold
        self.dtype = TensorProto.FLOAT16 if half else TensorProto.FLOAT
        self.functions[F.pixel_shuffle] = lambda x, n: x  # done last, after rounding
        modules = list(network.body.named_modules())
        convs = [(name, m) for name, m in modules if isinstance(m, nn.Conv2d)]
        norms = [(name, m) for name, m in modules if isinstance(m, nn.InstanceNorm2d)]
        self.first, self.last = convs[0][0], convs[-1][0]
        self.normed = [
            (conv, norm, module)
            for (conv, _), (norm, module) in zip(convs[:-1], norms, strict=True)
        ]
        self.maps: dict[str, tuple[str, str]] = {}  # scale and shift (C,) after each convolution
        if yuv420:
            for name, value in yuv420_weights(matrix=1, full_range=False).items():
                self.initializers[name] = numpy_helper.from_array(value, name)

    # Before the body.

    def placeholder(self, target: Any, args: Any, kwargs: Any) -> str:
        pixels = self._add("Cast", FRAMES, to=self.dtype)
        if self.half:
            self.halves.add(pixels)
        picture = self._reflect_pad(self._transposed(pixels, 0, 3, 1, 2), STRIDE, MARGIN)
        if self.norm_mode == "frozen":
            self.mean, variance = (
                self._add("Slice", name, self._integers(0), self._integers(3))
                for name in (MEAN, VARIANCE)
            )
            self._map_norms()
        else:
            levels = self._add("Mul", self._to_float(picture), *self._floats(1 / 255))
            self.mean, variance = self._statistics_for(levels, 3)
        self.deviation = self._add("Sqrt", self._add("Add", variance, *self._floats(1e-5)))
        middle = self._add("Mul", self.mean, *self._floats(255))
        middle = self._shaped(middle, 1, 3, 1, 1)
        return self._add("Sub", picture, self._to_half(middle) if self.half else middle)

    # Convolutions and norms.

    def _map_norms(self) -> None:
        """Compute scale and shift of all norms at once, so that the GPU starts few kernels."""
        names = [(f"body.{conv}", f"body.{norm}") for conv, norm, _ in self.normed]
        sizes = [module.num_features for *_, module in self.normed]
        self.channels = 3 + sum(sizes)
        scales, offsets, biases = (
            self._add("Concat", *(self._parameter(f"{pair[i]}.{kind}") for pair in names), axis=0)
            for i, kind in ((1, "weight"), (1, "bias"), (0, "bias"))
        )
        limits = self._integers(3), self._integers(self.channels)
        mean, variance = (self._add("Slice", name, *limits) for name in (MEAN, VARIANCE))
        deviation = self._add("Add", variance, *self._floats(self.normed[0][2].eps))
        scale = self._add("Div", scales, self._add("Sqrt", deviation))
        bias = self._add("Sub", biases, mean) if self.fold else self._add("Neg", mean)
        shift = self._add("Add", self._add("Mul", bias, scale), offsets)
        parts: list[list[str]] = []
        for kind, value in (("scale", scale), ("shift", shift)):
            parts.append([f"{kind}.{conv}" for conv, *_ in self.normed])
            split = helper.make_node(
                "Split", [value, self._integers(*sizes)], parts[-1], kind, axis=0
            )
            self.nodes.append(split)
        for (conv, *_), scale, shift in zip(self.normed, *parts, strict=True):
            self.maps[conv] = scale, shift

    def _convolution(self, conv: nn.Conv2d | nn.ConvTranspose2d, target: str, x: str) -> str:
        weight, bias = (self._parameter(f"body.{target}.{kind}") for kind in ("weight", "bias"))
        scale, shift = self.maps.get(target, (None, None))
        if target == self.first:
            weight = self._fold_standardization(weight)
        if target == self.last:
            weight, bias = self._fold_recoloring(weight, bias, conv.in_channels)
        if scale and shift and self.fold:
            weight = self._add("Mul", weight, self._shaped(scale, -1, 1, 1, 1))
            bias = shift
        y = self._add(
            "Conv",
            *(x, self._inside(weight), self._inside(bias)),
            kernel_shape=conv.kernel_size,
            strides=conv.stride,
            pads=(*conv.padding, *conv.padding),
        )
        if scale and shift and not self.fold:
            y = self._add("Mul", y, self._inside(self._shaped(scale, 1, -1, 1, 1)))
            y = self._add("Add", y, self._inside(self._shaped(shift, 1, -1, 1, 1)))
        return y

    def _norm(self, norm: nn.InstanceNorm2d, target: str, x: str) -> str:
        if self.norm_mode == "frozen":
            return x
        mean, variance = self._statistics_for(x, norm.num_features)
        weights = (self._parameter(f"body.{target}.{kind}") for kind in ("weight", "bias"))
        values = (self._to_float(x), *weights, mean, variance)
        return self._inside(self._add("BatchNormalization", *values, epsilon=norm.eps))

    def _fold_standardization(self, weight: str) -> str:
        """The first weight, for a picture in the units of `frames` minus its mean."""
        levels = self._add("Mul", self.deviation, *self._floats(255))
        return self._add("Div", weight, self._shaped(levels, 1, 3, 1, 1))

    def _fold_recoloring(self, weight: str, bias: str, inputs: int) -> tuple[str, str]:
        """The last weight and bias, to output levels of 2x2 pixels: 12 for RGB, 6 for yuv420."""
        gain, offset = (
            self._fourfold(self._add("Add", own, self._add("Mul", kept, measured)))
            for own, kept, measured in (
                (*self._flat("gain", "gain_deviation"), self.deviation),
                (*self._flat("offset", "offset_mean"), self.mean),
            )
        )
        weight = self._add("Mul", weight, self._shaped(gain, 12, 1, 1, 1))
        bias = self._add("Add", self._add("Mul", bias, gain), offset)
        if not self.yuv420:
            return tuple(self._add("Mul", x, *self._floats(255)) for x in (weight, bias))  # type: ignore[return-value]
        to_yuv, zero = (
            self._add("Concat", *(f"{part}.{kind}" for part in (LUMA, CHROMA)), axis=0)
            for kind in ("weight", "bias")
        )
        to_yuv = self._shaped(to_yuv, 6, 12)
        weight = self._add("MatMul", to_yuv, self._shaped(weight, 12, -1))
        bias = self._add("Add", self._add("MatMul", to_yuv, bias), zero)
        return self._shaped(weight, 6, inputs, 3, 3), bias

    # After the body.

    def output(self, target: Any, args: Any, kwargs: Any) -> None:
        limits = (
            self._constant(np.array(x, np.float16 if self.half else np.float32)) for x in (0, 255)
        )
        levels = self._add("Round", self._add("Clip", args[0], *limits))
        if self.yuv420:
            self._output_yuv420(levels)
            return
        pixels = self._add("DepthToSpace", levels, blocksize=2, mode="CRD")
        pixels = self._add(
            "Cast", self._cropped(pixels, MARGIN, self._size()), to=TensorProto.UINT8
        )
        self._add("Transpose", pixels, perm=[0, 2, 3, 1], name=STYLIZED)

    def _output_yuv420(self, levels: str) -> None:
        half = self._add("Div", self._size(), self._integers(2))
        levels = self._cropped(levels, MARGIN // 2, half)
        luma, chroma = (
            self._add("Slice", levels, self._integers(a), self._integers(b), self._integers(1))
            for a, b in ((0, 4), (4, 6))
        )
        luma = self._add("DepthToSpace", luma, blocksize=2, mode="CRD")
        rows = self._add("Concat", self._integers(0, -1), self._side(2), axis=0)
        parts = [self._add("Reshape", part, rows) for part in (luma, chroma)]
        yuv420 = self._add("Concat", *parts, axis=1)
        self.nodes.append(helper.make_node("Cast", [yuv420], [STYLIZED], to=TensorProto.UINT8))

    # Helpers.

    def _parameter(self, target: str, *, half: bool = False) -> str:
        """The name of a parameter, float32, by its key in the state dict; `half` has no effect."""
        if target not in self.initializers:
            array = np.ascontiguousarray(self.state[target].detach().cpu().float().numpy())
            self.initializers[target] = numpy_helper.from_array(array, target)
        return target

    def _inside(self, name: str) -> str:
        return self._to_half(name) if self.half else name

    def _flat(self, *targets: str) -> tuple[str, ...]:
        return tuple(self._shaped(self._parameter(target), 3) for target in targets)

    def _fourfold(self, x: str) -> str:
        """(3,) to (12,): each color's value for its four subpixels."""
        return self._shaped(self._add("Expand", self._shaped(x, 3, 1), self._integers(3, 4)), 12)

    def _shaped(self, x: str, *shape: int) -> str:
        return self._add("Reshape", x, self._integers(*shape))

    def _transposed(self, x: str, *perm: int) -> str:
        return self._add("Transpose", x, perm=list(perm))

    def _cropped(self, x: str, margin: int, size: str) -> str:
        ends = self._add("Add", size, self._integers(margin, margin))
        return self._add("Slice", x, self._integers(margin, margin), ends, self._integers(2, 3))

    def _side(self, axis: int) -> str:
        limits = self._integers(axis), self._integers(axis + 1)
        return self._add("Slice", self._add("Shape", FRAMES), *limits)

    def _picture_info(self, name: str) -> onnx.ValueInfoProto:
        if not self.yuv420 or name == FRAMES:
            return super()._picture_info(name)
        return helper.make_tensor_value_info(name, TensorProto.UINT8, ["n", "rows", "width"])
