"""The graph of an exported file: the network's results in fewer passes over memory.

ONNX Runtime on a CPU takes 27 ms for a picture of 640x360; with one node for each of PyTorch's
operators it takes 35.
"""

import copy
from dataclasses import replace
from typing import Any

import numpy as np
import onnx
import torch.nn.functional as F
from onnx import TensorProto
from torch import nn

from impasto.export.graphs.builder import GraphBuilder, Mixture, run_builder, trace
from impasto.export.graphs.subpixel import (
    BORDER,
    PARTS,
    ConvOnSubpixels,
    FoldedUpsampleConv,
    rewrite_on_subpixels,
)
from impasto.export.spec import FRAMES, OPSET, STYLIZED, GraphShape, NormMode, TensorLayout
from impasto.models.transform_net import TransformNet


def build_portable_model(
    network: nn.Module | Mixture,
    norm_mode: NormMode = "instance",
    *,
    layout: TensorLayout = "nhwc-uint8",
    static: GraphShape | None = None,
    opset: int = OPSET,
    half: bool = False,
) -> onnx.ModelProto:
    """The graph of a network, checked by onnx.

    network: a TransformNet or ClassicNet, float32. Input `frames` and output `stylized` are
    (N, H, W, 3) uint8 RGB, or with "nchw-float" (N, 3, H, W) float32 in [0, 1]. N, H and W are
    free, H and W at least 16, unless `static` fixes all three: then no shape is computed at run
    time. half: float16 inside, except for the picture's own statistics and its last scaling.
    """
    networks = [*network.styles, network.identity] if isinstance(network, Mixture) else [network]
    networks = [rewrite_on_subpixels(one) for one in networks]
    first = networks[0]
    if in_levels := layout == "nhwc-uint8" and isinstance(first, TransformNet):
        first = scale_to_levels(first)
    builder = PortableBuilder(
        trace(first), norm_mode, layout, static, opset, half, in_levels=in_levels
    )
    if isinstance(network, Mixture):
        builder.mix(replace(network, styles=networks[:-1], identity=networks[-1]))
    return run_builder(builder)


def scale_to_levels(network: TransformNet) -> TransformNet:
    """A copy whose output is 0.5 to 255.5 in place of 0 to 1, at no cost.

    Its last scaling, by small tensors, includes the factor 255 and the 0.5 that makes truncation
    round.
    """

    def recolor(mean: Any, deviation: Any) -> tuple[Any, Any]:
        gain, offset = network.recolor(mean, deviation)
        return 255.0 * gain, 255.0 * offset + 0.5

    other = copy.copy(network)
    other.recolor = recolor  # type: ignore[method-assign]
    return other


class PortableBuilder(GraphBuilder):
    """Builds the graph of an exported file.

    in_levels: the network's output is that of `scale_to_levels`.
    """

    def __init__(self, *arguments: Any, in_levels: bool) -> None:
        super().__init__(*arguments)
        self.in_levels = in_levels
        self.functions[F.relu] = lambda x, **_: self._like(x, self._add("Relu", x))
        self.subpixels: dict[str, int] = {}  # values (N, C, 4 H, W) of subpixels, and their C
        self.bordered: set[str] = set()  # pictures inside a border
        self.measured: tuple[str, str] | None = None  # the picture and its mean
        self.standardized: set[str] = set()

    @property
    def white(self) -> float:
        """The input value of white. Where inputs are standardized, 255 saves a division."""
        return 255.0 if self.in_levels and self.norm_mode == "instance" else 1.0

    def placeholder(self, target: Any, args: Any, kwargs: Any) -> str:
        if self.white == 1:
            return super().placeholder(target, args, kwargs)
        pixels = self._add("Cast", FRAMES, to=TensorProto.FLOAT)
        return self._add("Transpose", pixels, perm=[0, 3, 1, 2])

    def output(self, target: Any, args: Any, kwargs: Any) -> None:
        if self.layout == "nchw-float":
            super().output(target, args, kwargs)
            return
        picture = self._to_float(args[0])
        if not self.in_levels:
            picture = self._arithmetic("Add", self._arithmetic("Mul", picture, 255.0), 0.5)
        clipped = self._add("Clip", picture, *self._floats(0, 255))
        cut_off = self._add("Cast", clipped, to=TensorProto.UINT8)
        self._add("Transpose", cut_off, perm=[0, 2, 3, 1], name=STYLIZED)

    # Standardizing the picture: one node in place of mean, difference and quotient.

    def _variance_and_mean(self, x: str) -> tuple[str, str]:
        """Variance as the mean of squares minus the square of the mean.

        Means of rows first, then of these: WASM sums a complete picture with a visible error.
        """
        if self.norm_mode != "instance":
            return super()._variance_and_mean(x)
        mean, squares = (self._mean(self._mean(y, 3), 2) for y in (x, self._add("Mul", x, x)))
        if self.white != 1:
            mean = self._arithmetic("Mul", mean, 1 / self.white)
            squares = self._arithmetic("Mul", squares, 1 / self.white**2)
        self.measured = x, mean
        variance = self._add("Sub", squares, self._add("Mul", mean, mean))
        return self._add("Relu", variance), mean  # rounding errors must not make it negative

    def _arithmetic(self, kind: str, a: Any, b: Any) -> Any:
        if kind == "Sub" and (a, b) == self.measured:
            one, zero = (self._constant(np.full(3, x, np.float32)) for x in (1, 0))
            epsilon = 1e-5 * self.white**2
            norm = self._add("InstanceNormalization", a, one, zero, epsilon=epsilon)
            self.standardized.add(norm)
            return norm
        if kind == "Div" and a in self.standardized:  # by the deviation, which the norm has done
            return a
        return super()._arithmetic(kind, self._pixels(a), self._pixels(b))

    # The decoder: see impasto.export.graphs.subpixel.

    def call_module(self, target: Any, args: Any, kwargs: Any) -> str:
        module, (x, *rest) = self.fetch_attr(target), args
        if isinstance(module, nn.InstanceNorm2d | nn.ReLU):
            return self._like(x, super().call_module(target, args, kwargs))
        if isinstance(module, FoldedUpsampleConv):
            y = self._convolution(module.conv, f"{target}.conv", self._pixels(x))
            return self._parts(y, module.channels)
        if isinstance(module, ConvOnSubpixels) and x in self.subpixels:
            y = self._convolution(module.conv, f"{target}.conv", self._as_channels(x))
            picture = self._add("DepthToSpace", y, blocksize=4, mode="CRD")
            self.bordered.add(picture)
            return picture
        return super().call_module(target, (self._pixels(x), *rest), kwargs)

    def _parts(self, x: str, channels: int) -> str:
        """The result of `fold_upsample_into_conv` as subpixels, (N, C, 4 H, W)."""
        parts, last = [], np.iinfo(np.int64).max
        for part, (p, q) in enumerate(PARTS):
            begins = self._integers(part * channels, p, q)
            ends = self._integers((part + 1) * channels, last if p else -1, last if q else -1)
            parts.append(self._add("Slice", x, begins, ends, self._integers(1, 2, 3)))
        y = self._add("Concat", *parts, axis=2)
        self.subpixels[y] = channels
        return y

    def _as_channels(self, x: str) -> str:
        """Subpixels (N, C, 4 H, W) as channels: (N, 4 C, H, W)."""
        return self._add("Reshape", x, self._integers(0, 4 * self.subpixels[x], -1, 0))

    def _like(self, x: str, y: str) -> str:
        """`y`, recorded as subpixels if `x` is."""
        if x in self.subpixels:
            self.subpixels[y] = self.subpixels[x]
        return y

    def _pixels(self, x: Any) -> Any:
        """Subpixels (N, C, 4 H, W) as a picture, (N, C, 2 H, 2 W); other values unchanged."""
        if x not in self.subpixels:
            return x
        return self._add("DepthToSpace", self._as_channels(x), blocksize=2, mode="CRD")

    def _getitem(self, value: Any, index: Any) -> Any:
        if value in self.bordered:
            images, *sides = index
            index = (images, *(slice(s.start + BORDER, s.stop + BORDER) for s in sides))
        return super()._getitem(value, index)
