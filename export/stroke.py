"""Strokes of another width in an exported file: the graph scales what it is given, and back.

`StrokeNet` is what the graph has to agree with. Both do what `realtime.stroke` does, but for sizes
that are no double or half: bilinear between sizes of which each is at most twice the next, in place
of means over areas, and of bicubic enlarging at one go.

ONNX Runtime takes 280 ms of a core for one cubic Resize from 640x360 to 1280x720, and 930 from
853x480; one convolution that doubles, and a linear Resize, take 15.
"""

import math
from typing import Any

import numpy as np
import onnx
import torch
import torch.nn.functional as F
from onnx import TensorProto, helper, numpy_helper
from torch import Tensor, nn

from impasto.export.spec import FRAMES, STYLIZED, GraphShape, TensorLayout
from impasto.models.networks import StyleNetwork
from impasto.models.stroke import (
    DETAIL_SIGMA,
    DETAIL_THRESHOLD,
    LUMA,
    check_stroke,
    detail_gain,
    painted_size,
    stroke_ratio,
)

_RADIUS = 5  # px of the blur: 3 sigma, as OpenCV has it for uint8
_PAINTED = "stroke_painted"  # the network's result
_Size = tuple[int, int] | str


def _blur_weights() -> np.ndarray:
    """(2 radius + 1,) float32, a Gaussian that sums to 1."""
    weights = np.exp(-(np.arange(-_RADIUS, _RADIUS + 1) ** 2) / (2 * DETAIL_SIGMA**2))
    return (weights / weights.sum()).astype(np.float32)


def _doubling_weights() -> np.ndarray:
    """(12, 1, 5, 5) float32: the four pixels in place of each one, of three channels.

    Cubic convolution (Keys 1981) with a = -0.75, as OpenCV and PyTorch have it.
    """
    distance = np.abs(np.array([[-2], [-1], [0], [1], [2]]) - np.array([-0.25, 0.25]))
    near = 1.25 * distance**3 - 2.25 * distance**2 + 1
    far = -0.75 * (distance**3 - 5 * distance**2 + 8 * distance - 4)
    weights = np.where(distance <= 1, near, np.where(distance < 2, far, 0)).T  # (2, 5)
    four = np.einsum("ai,bj->abij", weights, weights).reshape(4, 1, 5, 5)
    return np.tile(four, (3, 1, 1, 1)).astype(np.float32)


def _doublings(enlargement: float) -> int:
    """How often a picture is doubled on its way to a larger size."""
    return math.ceil(math.log2(enlargement))


def _reductions(stroke: float) -> list[float]:
    """The strokes one after another at which a picture is reduced: each at most twice the last."""
    return [stroke / 2, stroke] if stroke > 2 else [stroke]


class StrokeNet(nn.Module):
    """A network that paints with strokes `stroke` times as wide: (N, 3, H, W) to the same.

    Values from 0 to 1. network: on the CPU. Raises ValueError for a stroke outside of 0.5 to 4.
    """

    def __init__(self, network: nn.Module, stroke: float) -> None:
        super().__init__()
        assert isinstance(network, StyleNetwork)
        self.network, self.stroke = network, check_stroke(stroke)
        self._smallest = network.MARGIN + network.STRIDE  # px a side: reflection needs them

    def forward(self, images: Tensor) -> Tensor:
        size = images.shape[-2], images.shape[-1]
        small = reduced(images, self.stroke)
        height, width = small.shape[-2:]
        lack = [max(0, self._smallest - side) for side in (width, height)]
        painted = self.network(F.pad(small, (0, lack[0], 0, lack[1]), mode="replicate"))
        painted = painted[..., :height, :width].clamp(0, 1)
        picture = _enlarged(painted, size, self.stroke)
        if gain := detail_gain(self.stroke):
            base = _resized(self._blurred(self._luma(small)), size)
            detail = self._luma(images) - base
            limit = DETAIL_THRESHOLD / 255
            picture = picture + gain * (detail - detail.clamp(-limit, limit))
        return picture

    @staticmethod
    def _luma(images: Tensor) -> Tensor:
        return F.conv2d(images, images.new_tensor(LUMA).view(1, 3, 1, 1))

    @staticmethod
    def _blurred(luma: Tensor) -> Tensor:
        weights = torch.from_numpy(_blur_weights()).to(luma)
        padded = F.pad(luma, (_RADIUS,) * 4, mode="replicate")
        return F.conv2d(F.conv2d(padded, weights.view(1, 1, -1, 1)), weights.view(1, 1, 1, -1))


def reduced(images: Tensor, stroke: float) -> Tensor:
    """Pictures, (N, 3, H, W) in [0, 1], at the size at which they are painted."""
    size = images.shape[-2], images.shape[-1]
    if stroke < 1:
        return _enlarged(images, painted_size(size, stroke), 1 / stroke)
    for step in _reductions(stroke):
        images = _resized(images, painted_size(size, step))
    return images


def _enlarged(images: Tensor, size: tuple[int, int], enlargement: float) -> Tensor:
    """Pictures at a size so many times theirs, clamped; below 1 they are only reduced."""
    weights = torch.from_numpy(_doubling_weights()).to(images)
    for _ in range(_doublings(enlargement)):
        padded = F.pad(images, (2, 2, 2, 2), mode="replicate")
        images = F.pixel_shuffle(F.conv2d(padded, weights, groups=3), 2)
    return _resized(images, size).clamp(0, 1)


def _resized(images: Tensor, size: tuple[int, int]) -> Tensor:
    return F.interpolate(images, size, mode="bilinear", align_corners=False)


def painted_shape(static: GraphShape, stroke: float) -> GraphShape:
    """The shape of the network inside a graph of this fixed shape."""
    return (static[0], *painted_size(static[1:], stroke))


def add_stroke(
    model: onnx.ModelProto, stroke: float, *, layout: TensorLayout, static: GraphShape | None
) -> onnx.ModelProto:
    """The graph of `StrokeNet` around that of a network, checked by onnx.

    model: in "nchw-float", of `painted_shape` where static. layout, static: those of the result.
    """
    return _StrokeGraph(model, stroke, layout, static).build()


class _StrokeGraph:
    """Adds nodes before and after a network; methods return the names of their results."""

    def __init__(
        self,
        model: onnx.ModelProto,
        stroke: float,
        layout: TensorLayout,
        static: GraphShape | None,
    ) -> None:
        self._model, self._stroke = model, check_stroke(stroke)
        self._layout, self._static = layout, static
        self._nodes: list[onnx.NodeProto] = []
        self._constants: list[onnx.TensorProto] = []
        self._count = 0

    def build(self) -> onnx.ModelProto:
        images = self._images()
        full = self._full_size(images)
        small = images
        if self._stroke < 1:
            size = self._painted_size(full, self._stroke)
            small = self._enlarge(images, size, 1 / self._stroke)
        else:
            for step in _reductions(self._stroke):
                small = self._resize(small, self._painted_size(full, step))
        before, self._nodes = self._nodes, []
        painted = self._add("Clip", _PAINTED, *self._limits(0, 1))
        picture = self._enlarge(painted, full, self._stroke)
        if gain := detail_gain(self._stroke):
            picture = self._add("Add", picture, self._detail(images, small, full, gain))
        self._output(picture)
        return self._around(before, small, self._nodes)

    def _images(self) -> str:
        """The pictures, (N, 3, H, W) from 0 to 1."""
        if self._layout == "nchw-float":
            return FRAMES
        pixels = self._add("Cast", FRAMES, to=TensorProto.FLOAT)
        picture = self._add("Transpose", pixels, perm=[0, 3, 1, 2])
        return self._add("Mul", picture, self._constant(np.float32(1 / 255)))

    def _output(self, picture: str) -> None:
        if self._layout == "nhwc-uint8":
            levels = self._add("Mul", picture, self._constant(np.float32(255)))
            levels = self._add("Add", levels, self._constant(np.float32(0.5)))
            levels = self._add("Clip", levels, *self._limits(0, 255))
            cut_off = self._add("Cast", levels, to=TensorProto.UINT8)
            self._add("Transpose", cut_off, perm=[0, 2, 3, 1])
        self._nodes[-1].output[0] = STYLIZED

    def _detail(self, images: str, small: str, full: _Size, gain: float) -> str:
        weights = self._constant(np.array(LUMA, np.float32).reshape(1, 3, 1, 1))
        luma, base = (self._add("Conv", x, weights) for x in (images, small))
        margins = self._integers(*[0, 0, _RADIUS, _RADIUS] * 2)
        base = self._add("Pad", base, margins, mode="edge")  # as `F.pad(..., mode="replicate")`
        for shape in ((1, 1, -1, 1), (1, 1, 1, -1)):
            base = self._add("Conv", base, self._constant(_blur_weights().reshape(shape)))
        detail = self._add("Sub", luma, self._resize(base, full, channels=1))
        limit = DETAIL_THRESHOLD / 255
        faint = self._add("Clip", detail, *self._limits(-limit, limit))
        strong = self._add("Sub", detail, faint)
        return self._add("Mul", strong, self._constant(np.float32(gain)))

    # Sizes: numbers where the shape is fixed, else names of (2,) int64.

    def _full_size(self, images: str) -> _Size:
        if self._static:
            return self._static[1:]
        shape = self._add("Shape", images)
        return self._add("Slice", shape, self._integers(2), self._integers(4))

    def _painted_size(self, full: _Size, stroke: float) -> _Size:
        """`models.stroke.painted_size` in the graph."""
        if not isinstance(full, str):
            return painted_size(full, stroke)
        over, under = stroke_ratio(stroke)
        doubled = self._add("Mul", full, self._integers(2 * under))
        size = self._add("Add", doubled, self._integers(over))
        size = self._add("Div", size, self._integers(2 * over))
        return self._add("Max", size, self._integers(1))

    def _resize(self, x: str, size: _Size, *, channels: int = 3) -> str:
        if isinstance(size, str):
            shape = self._add("Shape", x)
            first = self._add("Slice", shape, self._integers(0), self._integers(2))
            sizes = self._add("Concat", first, size, axis=0)
        else:
            assert self._static
            sizes = self._integers(self._static[0], channels, *size)
        return self._add("Resize", x, "", "", sizes, mode="linear")

    def _enlarge(self, x: str, size: _Size, enlargement: float) -> str:
        for _ in range(_doublings(enlargement)):
            margins = self._integers(*[0, 0, 2, 2] * 2)
            padded = self._add("Pad", x, margins, mode="edge")
            parts = self._add("Conv", padded, self._constant(_doubling_weights()), group=3)
            x = self._add("DepthToSpace", parts, blocksize=2, mode="CRD")
        return self._add("Clip", self._resize(x, size), *self._limits(0, 1))

    # Nodes and constants.

    def _add(self, kind: str, *inputs: str, **attributes: Any) -> str:
        name = f"stroke_{kind}_{self._count}"
        self._count += 1
        self._nodes.append(helper.make_node(kind, inputs, [name], name, **attributes))
        return name

    def _constant(self, value: np.ndarray | np.float32) -> str:
        name = f"stroke_constant_{len(self._constants)}"
        self._constants.append(numpy_helper.from_array(np.asarray(value), name))
        return name

    def _integers(self, *values: int) -> str:
        return self._constant(np.array(values, np.int64))

    def _limits(self, low: float, high: float) -> tuple[str, str]:
        return self._constant(np.float32(low)), self._constant(np.float32(high))

    def _around(
        self, before: list[onnx.NodeProto], small: str, after: list[onnx.NodeProto]
    ) -> onnx.ModelProto:
        """The network between these nodes, with the inputs and outputs of the result."""
        model = onnx.ModelProto()
        model.CopyFrom(self._model)
        graph = model.graph
        names = {FRAMES: small, STYLIZED: _PAINTED}
        for node in graph.node:
            for ends in (node.input, node.output):
                ends[:] = [names.get(name, name) for name in ends]
        nodes = [*before, *graph.node, *after]
        del graph.node[:], graph.value_info[:]
        graph.node.extend(nodes)
        graph.initializer.extend(self._constants)
        for info in (graph.input[0], graph.output[0]):
            info.CopyFrom(self._picture_info(info.name))
        onnx.checker.check_model(model, full_check=True)
        return model

    def _picture_info(self, name: str) -> onnx.ValueInfoProto:
        n, height, width = self._static or ("n", "height", "width")
        if self._layout == "nchw-float":
            return helper.make_tensor_value_info(name, TensorProto.FLOAT, [n, 3, height, width])
        return helper.make_tensor_value_info(name, TensorProto.UINT8, [n, height, width, 3])
