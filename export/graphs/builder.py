"""Builds ONNX graphs node by node from the torch.fx trace of a network.

Scaling, padding (of small pictures too), cropping and rounding are part of the graph, so a file is
usable from any language without knowledge of the network.

PyTorch's own exporter (torch.onnx.export, dynamo=True) was tried again with torch 2.15. It agrees
at all sizes now, where an earlier one inferred from its example that they are multiples of 8, and
its graph runs as fast (62 ms against 69 at 640x360 on one busy core; it does not pad small
pictures). But it takes more than a hundred times as long; writes 111 nodes, eight of them Reshapes
around instance norms, where this module writes 81; names the output's axes by a formula of 60
characters, since it cannot see that they equal the input's; and rejects named dimensions with
limits.
"""

import operator
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import onnx
import torch
import torch.nn.functional as F
from onnx import TensorProto, helper, numpy_helper
from torch import fx, nn

from impasto.export.graphs.subpixel import ConvOnSubpixels, FoldedUpsampleConv
from impasto.export.spec import FRAMES, STYLIZED, WEIGHTS, GraphShape, NormMode, TensorLayout
from impasto.models.errors import EngineError
from impasto.models.layers import reflect_pad

MEAN, VARIANCE, WEIGHT = "mean", "variance", "weight"
NEW_MEAN, NEW_VARIANCE = "new_mean", "new_variance"


@dataclass(frozen=True)
class Mixture:
    """Networks of one architecture, mixed at run time by the graph's input `weights` (styles,).

    Each weight is a style's share, from 0. What they lack to 1 goes to `identity`, the network that
    returns its input; a sum above 1 is scaled to 1. So equal weights are an equal blend, and
    smaller ones a weaker style. strength: the styles' share where the weights sum to 1.
    """

    styles: Sequence[nn.Module]
    identity: nn.Module
    strength: float = 1.0


def trace(network: nn.Module) -> fx.GraphModule:
    """The network as a `GraphBuilder` runs it."""
    return fx.GraphModule(network, _Tracer().trace(network))


def run_builder(builder: "GraphBuilder") -> onnx.ModelProto:
    """The graph that a builder writes, checked by onnx."""
    builder.run("images")
    model = builder.model()
    onnx.checker.check_model(model, full_check=True)
    return model


class _Tracer(fx.Tracer):
    def __init__(self) -> None:
        super().__init__(autowrap_functions=(reflect_pad,))

    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        rewritten = isinstance(m, FoldedUpsampleConv | ConvOnSubpixels)
        return rewritten or super().is_leaf_module(m, module_qualified_name)


@dataclass(frozen=True)
class _Side:
    """Height (axis 0) or width (1) of the pictures, plus some pixels."""

    axis: int
    more: int = 0

    def __add__(self, pixels: int) -> "_Side":
        return replace(self, more=self.more + pixels)

    __radd__ = __add__


class GraphBuilder(fx.Interpreter):
    """Interprets a trace on names: each operation adds ONNX nodes and returns its result's name."""

    def __init__(
        self,
        module: fx.GraphModule,
        norm_mode: NormMode,
        layout: TensorLayout,
        static: GraphShape | None,
        opset: int,
        half: bool,
    ) -> None:
        super().__init__(module)
        self.extra_traceback = False  # imports modules for 20 s to locate an error in the trace
        self.norm_mode, self.layout, self.static = norm_mode, layout, static
        self.opset, self.half = opset, half
        self.nodes: list[onnx.NodeProto] = []
        self.cache: dict[object, str] = {}  # names of nodes and constants, so that none is repeated
        self.halves: set[str] = set()  # names of values in float16; other pictures are float32
        self.initializers: dict[str, onnx.TensorProto] = {}
        self.mixed: dict[
            str, str
        ] = {}  # names of computed parameters, by the parameters' own names
        self.styles = 0  # number of styles of a mixture
        self.new_statistics: list[tuple[str, str]] = []  # names of mean and variance, (C,)
        self.channels = 0  # of all norms so far
        self.functions: dict[Callable, Callable] = {
            getattr: lambda value, name: self._sides(),  # .shape[-2:] of the pictures
            operator.getitem: self._getitem,
            operator.add: lambda a, b: self._arithmetic("Add", a, b),
            operator.sub: lambda a, b: self._arithmetic("Sub", a, b),
            operator.mul: lambda a, b: self._arithmetic("Mul", a, b),
            operator.truediv: lambda a, b: self._arithmetic("Div", a, b),
            torch.var_mean: lambda x, **_: self._variance_and_mean(x),
            torch.tanh: lambda x: self._add("Tanh", x),
            F.relu: lambda x, **_: self._add("Relu", x),
            F.pixel_shuffle: lambda x, n: self._add("DepthToSpace", x, blocksize=n, mode="CRD"),
            F.interpolate: self._interpolate,
            reflect_pad: self._reflect_pad,
        }

    # fx.Interpreter calls one method for each kind of trace node.

    def placeholder(self, target: Any, args: Any, kwargs: Any) -> str:
        if self.layout == "nchw-float":
            return FRAMES
        pixels = self._add("Cast", FRAMES, to=TensorProto.FLOAT)
        picture = self._add("Transpose", pixels, perm=[0, 3, 1, 2])
        return self._arithmetic("Mul", picture, 1 / 255)

    def get_attr(self, target: Any, args: Any, kwargs: Any) -> str:
        return self._parameter(target)

    def call_function(self, target: Any, args: Any, kwargs: Any) -> Any:
        if target not in self.functions:
            raise EngineError(f"{target} cannot be exported: add it to export/graphs/builder.py")
        return self.functions[target](*args, **kwargs)

    def call_method(self, target: Any, args: Any, kwargs: Any) -> str:
        if target != "sqrt":
            raise EngineError(f".{target}() cannot be exported: add it to export/graphs/builder.py")
        return self._add("Sqrt", *args)

    def call_module(self, target: Any, args: Any, kwargs: Any) -> str:
        module = self.fetch_attr(target)
        if isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
            return self._convolution(module, target, args[0])
        if isinstance(module, nn.InstanceNorm2d):
            return self._norm(module, target, args[0])
        if isinstance(module, nn.ReLU):
            return self._add("Relu", args[0])
        raise EngineError(f"{module} cannot be exported: add it to export/graphs/builder.py")

    def output(self, target: Any, args: Any, kwargs: Any) -> None:
        picture = self._to_float(args[0])
        if self.layout == "nchw-float":
            self.nodes[-1].output[0] = STYLIZED
            assert self.nodes[-1].name == picture, "the last node returns the picture"
            return
        levels = self._add("Clip", self._arithmetic("Mul", picture, 255.0), *self._floats(0, 255))
        rounded = self._add("Cast", self._add("Round", levels), to=TensorProto.UINT8)
        self._add("Transpose", rounded, perm=[0, 2, 3, 1], name=STYLIZED)

    # Nodes, initializers and the model.

    def _add(self, kind: str, *inputs: str, name: str | None = None, **attributes: Any) -> str:
        key = (kind, inputs, repr(attributes))
        if name is None and key in self.cache:
            return self.cache[key]
        name = name or f"{kind.lower()}_{len(self.nodes)}"
        self.nodes.append(helper.make_node(kind, list(inputs), [name], name, **attributes))
        self.cache[key] = name
        if kind != "Cast" and inputs[0] in self.halves:
            self.halves.add(name)
        return name

    def _constant(self, value: np.ndarray) -> str:
        key = (str(value.dtype), value.shape, value.tobytes())
        if key not in self.cache:
            name = self.cache[key] = f"constant_{len(self.cache)}"
            self.initializers[name] = numpy_helper.from_array(np.ascontiguousarray(value), name)
        return self.cache[key]

    def _floats(self, *values: float) -> list[str]:
        return [self._constant(np.array(value, np.float32)) for value in values]

    def _integers(self, *values: int) -> str:
        return self._constant(np.array(values, np.int64))

    def _parameter(self, target: str, *, half: bool = False) -> str:
        """The name of a parameter of the network; half: in float16."""
        if target in self.mixed:
            return self._to_half(self.mixed[target]) if half else self.mixed[target]
        if target not in self.initializers:
            array = self.fetch_attr(target).detach().cpu().float().numpy()
            array = array.astype(np.float16) if half else array
            self.initializers[target] = numpy_helper.from_array(np.ascontiguousarray(array), target)
        return target

    def _to_half(self, name: str) -> str:
        if name in self.halves:
            return name
        name = self._add("Cast", name, to=TensorProto.FLOAT16)
        self.halves.add(name)
        return name

    def _to_float(self, name: str) -> str:
        return self._add("Cast", name, to=TensorProto.FLOAT) if name in self.halves else name

    def mix(self, mixture: Mixture) -> None:
        """Compute every parameter as the sum of all networks' weighted by the input `weights`.

        One product of the shares (1, styles + 1) with all parameters (styles + 1, P), then split.
        """
        states = [network.state_dict() for network in (*mixture.styles, mixture.identity)]
        stacked = torch.stack([torch.cat([v.flatten() for v in s.values()]) for s in states])
        self.styles = len(mixture.styles)
        total = self._add("ReduceSum", WEIGHTS, keepdims=1)
        most = self._add("Max", total, *self._floats(1))
        shares = self._add("Div", WEIGHTS, most)
        if mixture.strength < 1:
            shares = self._add("Mul", shares, *self._floats(mixture.strength))
        rest = self._add("Sub", *self._floats(1), self._add("ReduceSum", shares, keepdims=1))
        shares = self._add("Concat", shares, rest, axis=0)
        mixed = self._add("MatMul", shares, self._constant(stacked.float().numpy()))
        sizes = self._integers(*(value.numel() for value in states[0].values()))
        parts = [f"mixed.{name}" for name in states[0]]
        self.nodes.append(helper.make_node("Split", [mixed, sizes], parts, "parts", axis=0))
        for (name, value), part in zip(states[0].items(), parts, strict=True):
            self.mixed[name] = self._add("Reshape", part, self._integers(*value.shape))

    def model(self) -> onnx.ModelProto:
        inputs, outputs = [self._picture_info(FRAMES)], [self._picture_info(STYLIZED)]
        if self.styles:
            inputs.append(_numbers_info(WEIGHTS, [self.styles]))
        if self.norm_mode != "instance":
            inputs += [_numbers_info(name, [self.channels]) for name in (MEAN, VARIANCE)]
        if self.norm_mode == "running":
            inputs.append(_numbers_info(WEIGHT, []))
            outputs += [_numbers_info(name, [self.channels]) for name in (NEW_MEAN, NEW_VARIANCE)]
            means, variances = zip(*self.new_statistics, strict=True)
            self._add("Concat", *means, axis=0, name=NEW_MEAN)
            self._add("Concat", *variances, axis=0, name=NEW_VARIANCE)
        weights = list(self.initializers.values())
        graph = helper.make_graph(self.nodes, "impasto", inputs, outputs, weights)
        opset = [helper.make_opsetid("", self.opset)]
        oldest = helper.find_min_ir_version_for(opset)
        return helper.make_model(
            graph, opset_imports=opset, ir_version=oldest, producer_name="impasto"
        )

    def _picture_info(self, name: str) -> onnx.ValueInfoProto:
        n, height, width = self.static or ("n", "height", "width")
        if self.layout == "nchw-float":
            return _numbers_info(name, [n, 3, height, width])
        return helper.make_tensor_value_info(name, TensorProto.UINT8, [n, height, width, 3])

    # Sizes: numbers if they are fixed, else computed from the shape of `frames`.

    def _sides(self) -> tuple[int | _Side, int | _Side]:
        return self.static[1:] if self.static else (_Side(axis=0), _Side(axis=1))

    def _size(self) -> str:
        """The name of the pictures' height and width, (2,) int64."""
        first = 2 if self.layout == "nchw-float" else 1
        shape = self._add("Shape", FRAMES)
        return self._add("Slice", shape, self._integers(first), self._integers(first + 2))

    def _reflect_pad(self, x: str, stride: int, margin: int) -> str:
        """Repeat the last row and column up to margin + stride, as engines do; then reflect."""
        smallest = margin + stride
        begins = [0, 0, margin, margin]
        if self.static:
            enlarged = [max(side, smallest) for side in self.static[1:]]
            lack = [e - side for e, side in zip(enlarged, self.static[1:], strict=True)]
            ends = [margin + -(e + 2 * margin) % stride for e in enlarged]
            if any(lack):
                x = self._add("Pad", x, self._integers(0, 0, 0, 0, 0, 0, *lack), mode="edge")
            return self._add("Pad", x, self._integers(*begins, 0, 0, *ends), mode="reflect")
        size = self._size()
        large = self._add("Max", size, self._integers(smallest, smallest))
        lacking = self._add("Sub", large, size)
        pads = self._add("Concat", self._integers(0, 0, 0, 0, 0, 0), lacking, axis=0)
        x = self._add("Pad", x, pads, mode="edge")
        # -(large + 2 * margin) % stride; the remainder has the divisor's sign, as in Python
        spare = self._add("Sub", self._integers(-2 * margin % stride), large)
        spare = self._add("Mod", spare, self._integers(stride))
        after = self._add("Add", spare, self._integers(margin))
        pads = self._add("Concat", self._integers(*begins, 0, 0), after, axis=0)
        return self._add("Pad", x, pads, mode="reflect")

    def _getitem(self, value: Any, index: Any) -> Any:
        if isinstance(value, tuple):  # height and width, or variance and mean
            return value[index]
        _, rows, columns = index
        starts = self._integers(*(side.start or 0 for side in (rows, columns)))
        ends = [np.iinfo(np.int64).max if s.stop is None else s.stop for s in (rows, columns)]
        last = self._limits(*ends)
        return self._add("Slice", value, starts, last, self._integers(2, 3))

    def _limits(self, bottom: int | _Side, right: int | _Side) -> str:
        """The name of the row and column where a slice ends, (2,) int64."""
        if isinstance(bottom, _Side) and isinstance(right, _Side):
            assert (bottom.axis, right.axis) == (0, 1), (
                "rows end relative to height, columns to width"
            )
            size, more = self._size(), (bottom.more, right.more)
            return self._add("Add", size, self._integers(*more)) if any(more) else size
        assert isinstance(bottom, int) and isinstance(right, int), "both fixed, or neither"
        return self._integers(bottom, right)

    # Operations.

    def _arithmetic(self, kind: str, a: Any, b: Any) -> Any:
        if not isinstance(a, str) and not isinstance(b, str):  # sizes
            assert kind == "Add", "sizes can only be added to"
            return a + b
        names = [x if isinstance(x, str) else self._floats(x)[0] for x in (a, b)]
        if not all(name in self.halves for name in names):
            names = [self._to_float(name) for name in names]
        return self._add(kind, *names)

    def _interpolate(self, x: str, *, scale_factor: float, mode: str, **_: Any) -> str:
        scales = self._constant(np.array([1, 1, scale_factor, scale_factor], np.float32))
        return self._add(
            "Resize",
            *(x, "", scales),
            mode=mode,
            coordinate_transformation_mode="asymmetric",
            nearest_mode="floor",
        )

    def _convolution(self, conv: nn.Conv2d | nn.ConvTranspose2d, target: str, x: str) -> str:
        inputs = [self._to_half(x) if self.half else x]
        inputs.append(self._parameter(f"{target}.weight", half=self.half))
        if conv.bias is not None:
            inputs.append(self._parameter(f"{target}.bias", half=self.half))
        attributes: dict[str, Any] = {
            "kernel_shape": conv.kernel_size,
            "strides": conv.stride,
            "pads": (*conv.padding, *conv.padding),
            "dilations": conv.dilation,
            "group": conv.groups,
        }
        if isinstance(conv, nn.ConvTranspose2d):
            return self._add(
                "ConvTranspose", *inputs, output_padding=conv.output_padding, **attributes
            )
        return self._add("Conv", *inputs, **attributes)

    # Norms and their statistics.

    def _norm(self, norm: nn.InstanceNorm2d, target: str, x: str) -> str:
        half = x in self.halves
        weight = self._parameter(f"{target}.weight", half=half)
        bias = self._parameter(f"{target}.bias", half=half)
        if self.norm_mode == "instance":
            return self._add("InstanceNormalization", x, weight, bias, epsilon=norm.eps)
        mean, variance = self._statistics_for(x, norm.num_features)
        return self._add("BatchNormalization", x, weight, bias, mean, variance, epsilon=norm.eps)

    def _variance_and_mean(self, x: str) -> tuple[str, str]:
        if self.norm_mode == "instance":
            mean, variance = self._measure(x)
            return variance, mean
        mean, variance = self._statistics_for(x, 3)
        shape = self._integers(1, 3, 1, 1)
        return self._add("Reshape", variance, shape), self._add("Reshape", mean, shape)

    def _statistics_for(self, x: str, channels: int) -> tuple[str, str]:
        """The next `channels` of the inputs `mean` and `variance`, (C,); updated if "running"."""
        begin, self.channels = self.channels, self.channels + channels
        limits = self._integers(begin), self._integers(self.channels)
        given = [self._add("Slice", name, *limits) for name in (MEAN, VARIANCE)]
        if self.norm_mode == "running":
            axes = self._integers(0, 2, 3)
            here = [self._add("Squeeze", name, axes) for name in self._measure(self._to_float(x))]
            changes = [self._add("Sub", new, old) for new, old in zip(here, given, strict=True)]
            steps = [self._add("Mul", change, WEIGHT) for change in changes]
            given = [self._add("Add", old, step) for old, step in zip(given, steps, strict=True)]
            self.new_statistics.append((given[0], given[1]))
        return given[0], given[1]

    def _measure(self, x: str) -> tuple[str, str]:
        """Mean and variance of each channel of each picture, (N, C, 1, 1)."""
        mean = self._mean(x)
        rest = self._add("Sub", x, mean)
        return mean, self._mean(self._add("Mul", rest, rest))

    def _mean(self, x: str, *axes: int) -> str:
        axes = axes or (2, 3)
        if self.opset < 18:
            return self._add("ReduceMean", x, axes=axes, keepdims=1)
        return self._add("ReduceMean", x, self._integers(*axes), keepdims=1)


def _numbers_info(name: str, shape: Sequence[int | str]) -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)
