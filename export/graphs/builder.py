"""Builds the ONNX graph of a module from its torch.fx trace, operation by operation.

Nothing here knows a network or a runtime. What makes a graph fast is a rewrite of the network as
another module (see `cpu`, `gpu`, `portable`), which PyTorch can run and compare with the original.

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
from functools import partial
from itertools import groupby
from typing import Any

import numpy as np
import onnx
import torch
import torch.nn.functional as F
from onnx import TensorProto, helper, numpy_helper
from torch import Tensor, fx, nn

from impasto.export.graphs.rewrites import pad_by_reflection
from impasto.export.graphs.signature import tensor_info
from impasto.export.spec import FRAMES, OPSET, WEIGHTS
from impasto.models.errors import EngineError
from impasto.models.layers import reflect_pad

_TYPES = {
    torch.float32: TensorProto.FLOAT,
    torch.float16: TensorProto.FLOAT16,
    torch.uint8: TensorProto.UINT8,
}
_KEEPING_SHAPE = {"Cast", "Add", "Sub", "Mul", "Div"}  # that of the first input


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


def build_graph(
    module: nn.Module,
    inputs: Sequence[onnx.ValueInfoProto],
    outputs: Sequence[onnx.ValueInfoProto],
    *,
    opset: int = OPSET,
    mixture: Mixture | None = None,
) -> onnx.ModelProto:
    """The graph of a module, checked by onnx.

    inputs: of `module.forward`, by the names of its parameters; those left out are not used. The
    first is `frames`. Sides with a name are free; no shape is computed at run time if all are
    numbers. outputs: what `forward` returns, in this order. mixture: the parameters' values, as a
    further input `weights`; else they are the module's own.
    Raises EngineError for an operation that is not known here.
    """
    traced = fx.GraphModule(module, _Tracer().trace(module))
    traced.graph.eliminate_dead_code()
    builder = _GraphBuilder(traced, inputs, opset)
    if mixture is not None:
        builder.mix(mixture)
        inputs = [*inputs, tensor_info(WEIGHTS, [len(mixture.styles)])]
    builder.run()
    model = builder.model(inputs, outputs)
    onnx.checker.check_model(model, full_check=True)
    return model


class _Tracer(fx.Tracer):
    def __init__(self) -> None:
        super().__init__(autowrap_functions=(reflect_pad, pad_by_reflection))


@dataclass(frozen=True)
class _Side:
    """A side of the frames that is known at run time: that of `axis` // divisor + more."""

    axis: int
    divisor: int = 1
    more: int = 0

    def __add__(self, pixels: int) -> "_Side":
        return replace(self, more=self.more + pixels)

    __radd__ = __add__

    def __floordiv__(self, divisor: int) -> "_Side":
        assert self.more == 0, "divide first, then add"
        return replace(self, divisor=self.divisor * divisor)


_Size = int | _Side


@dataclass(frozen=True)
class _Same:
    """In the new shape of a value: the side that it has at this axis."""

    axis: int


class _GraphBuilder(fx.Interpreter):
    """Interprets a trace on names: each operation adds ONNX nodes and returns its result's name."""

    def __init__(
        self, module: fx.GraphModule, inputs: Sequence[onnx.ValueInfoProto], opset: int
    ) -> None:
        super().__init__(module)
        self.extra_traceback = False  # imports modules for 20 s to locate an error in the trace
        self.opset = opset
        self.nodes: list[onnx.NodeProto] = []
        self.initializers: dict[str, onnx.TensorProto] = {}
        self.cache: dict[object, str] = {}  # names of nodes and constants, so that none is repeated
        self.types = {x.name: x.type.tensor_type.elem_type for x in inputs}  # of all values
        # Of frames, parameters, and what is computed from them without a change of shape.
        self.shapes: dict[str, tuple[_Size, ...]] = {FRAMES: _sides(inputs[0])}
        self.mixed: dict[
            str, str
        ] = {}  # names of computed parameters, by the parameters' own names
        self.results: list[str] = []
        self.functions: dict[Callable, Callable] = {
            getattr: self._getattr,
            operator.getitem: self._getitem,
            operator.add: partial(self._arithmetic, "Add"),
            operator.sub: partial(self._arithmetic, "Sub"),
            operator.mul: partial(self._arithmetic, "Mul"),
            operator.truediv: partial(self._arithmetic, "Div"),
            operator.floordiv: operator.floordiv,  # of sides
            operator.neg: partial(self._add, "Neg"),
            operator.matmul: partial(self._add, "MatMul"),
            torch.tanh: partial(self._add, "Tanh"),
            torch.cat: lambda parts, dim: self._add("Concat", *parts, axis=dim),
            F.relu: lambda x, **_: self._add("Relu", x),
            F.pixel_shuffle: lambda x, n: self._add("DepthToSpace", x, blocksize=n, mode="CRD"),
            F.interpolate: self._interpolate,
            F.conv2d: self._convolve,
            F.batch_norm: self._batch_norm,
            reflect_pad: self._reflect_pad,
            pad_by_reflection: self._reflect_pad,
        }
        self.methods: dict[str, Callable] = {
            "sqrt": partial(self._add, "Sqrt"),
            "round": partial(self._add, "Round"),
            "clamp": self._clamp,
            "to": lambda x, dtype: self._cast(x, _TYPES[dtype]),
            "permute": self._permute,
            "reshape": self._reshape,
            "expand": lambda x, *shape: self._add("Expand", x, self._integers(*map(abs, shape))),
            "squeeze": lambda x, axes: self._add("Squeeze", x, self._integers(*axes)),
            "split": self._split,
            "mean": self._mean,
        }

    # fx.Interpreter calls one method for each kind of trace node.

    def placeholder(self, target: Any, args: Any, kwargs: Any) -> str:
        return target

    def get_attr(self, target: Any, args: Any, kwargs: Any) -> str:
        return self._parameter(target)

    def call_function(self, target: Any, args: Any, kwargs: Any) -> Any:
        if target not in self.functions:
            raise EngineError(f"{target} cannot be exported: add it to export/graphs/builder.py")
        return self.functions[target](*args, **kwargs)

    def call_method(self, target: Any, args: Any, kwargs: Any) -> Any:
        if target not in self.methods:
            raise EngineError(f".{target}() cannot be exported: add it to export/graphs/builder.py")
        return self.methods[target](*args, **kwargs)

    def call_module(self, target: Any, args: Any, kwargs: Any) -> str:
        module, (x,) = self.fetch_attr(target), args
        if isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
            return self._convolution(module, target, x)
        if isinstance(module, nn.InstanceNorm2d):
            return self._instance_norm(module, target, x)
        if isinstance(module, nn.ReLU):
            return self._add("Relu", x)
        if isinstance(module, nn.Identity):
            return x
        raise EngineError(f"{module} cannot be exported: add it to export/graphs/builder.py")

    def output(self, target: Any, args: Any, kwargs: Any) -> None:
        self.results = [args[0]] if isinstance(args[0], str) else list(args[0])

    # Nodes, initializers and the model.

    def _add(self, kind: str, *inputs: str, **attributes: Any) -> str:
        key = (kind, inputs, repr(attributes))
        if key not in self.cache:
            name = self.cache[key] = f"{kind.lower()}_{len(self.nodes)}"
            self.nodes.append(helper.make_node(kind, list(inputs), [name], name, **attributes))
            self.types[name] = attributes["to"] if kind == "Cast" else self.types[inputs[0]]
            if kind in _KEEPING_SHAPE and inputs[0] in self.shapes:
                self.shapes[name] = self.shapes[inputs[0]]
        return self.cache[key]

    def _add_many(self, kind: str, inputs: Sequence[str], names: list[str]) -> None:
        self.nodes.append(helper.make_node(kind, inputs, names, names[0], axis=0))
        self.types |= dict.fromkeys(names, self.types[inputs[0]])

    def _constant(self, value: np.ndarray) -> str:
        key = (str(value.dtype), value.shape, value.tobytes())
        if key not in self.cache:
            name = self.cache[key] = f"constant_{len(self.cache)}"
            self._initialize(name, value)
        return self.cache[key]

    def _number(self, value: float, kind: int = TensorProto.FLOAT) -> str:
        return self._constant(np.array(value, helper.tensor_dtype_to_np_dtype(kind)))

    def _integers(self, *values: int) -> str:
        return self._constant(np.array(values, np.int64))

    def _initialize(self, name: str, value: np.ndarray) -> None:
        self.initializers[name] = numpy_helper.from_array(np.ascontiguousarray(value), name)
        self.types[name] = self.initializers[name].data_type
        self.shapes[name] = value.shape

    def _parameter(self, target: str) -> str:
        """The name of a parameter of the module."""
        value: Tensor = self.fetch_attr(target)
        if target in self.mixed:
            return self._cast(self.mixed[target], _TYPES[value.dtype])
        if target not in self.initializers:
            self._initialize(target, value.detach().cpu().numpy())
        return target

    def _cast(self, name: str, kind: int) -> str:
        return name if self.types[name] == kind else self._add("Cast", name, to=kind)

    def mix(self, mixture: Mixture) -> None:
        """Compute every parameter as the sum of all networks' weighted by the input `weights`.

        One product of the shares (1, styles + 1) with all parameters (styles + 1, P), then split.
        """
        states = [network.state_dict() for network in (*mixture.styles, mixture.identity)]
        stacked = torch.stack([torch.cat([v.flatten() for v in s.values()]) for s in states])
        self.types[WEIGHTS] = TensorProto.FLOAT
        total = self._add("ReduceSum", WEIGHTS, keepdims=1)
        most = self._add("Max", total, self._number(1))
        shares = self._add("Div", WEIGHTS, most)
        if mixture.strength < 1:
            shares = self._add("Mul", shares, self._number(mixture.strength))
        rest = self._add("Sub", self._number(1), self._add("ReduceSum", shares, keepdims=1))
        shares = self._add("Concat", shares, rest, axis=0)
        mixed = self._add("MatMul", shares, self._constant(stacked.float().numpy()))
        sizes = self._integers(*(value.numel() for value in states[0].values()))
        parts = [f"mixed.{name}" for name in states[0]]
        self._add_many("Split", [mixed, sizes], parts)
        for (name, value), part in zip(states[0].items(), parts, strict=True):
            self.mixed[name] = self._reshape(part, *value.shape)

    def model(
        self, inputs: Sequence[onnx.ValueInfoProto], outputs: Sequence[onnx.ValueInfoProto]
    ) -> onnx.ModelProto:
        names = dict(zip(self.results, (info.name for info in outputs), strict=True))
        for node in self.nodes:
            for values in (node.input, node.output):
                values[:] = [names.get(name, name) for name in values]
        weights = list(self.initializers.values())
        graph = helper.make_graph(self.nodes, "impasto", inputs, outputs, weights)
        opset = [helper.make_opsetid("", self.opset)]
        oldest = helper.find_min_ir_version_for(opset)
        return helper.make_model(
            graph, opset_imports=opset, ir_version=oldest, producer_name="impasto"
        )

    # Shapes.

    def _getattr(self, value: str, name: str) -> tuple:
        assert name == "shape"
        return self.shapes.get(value) or tuple(_Same(axis) for axis in range(4))

    def _vector(self, sizes: Sequence[_Size]) -> str:
        """The name of these numbers, int64. Neighboring sides of the frames are read together."""

        def kind(item: tuple[int, _Size]) -> tuple[int, ...]:
            place, size = item
            return () if isinstance(size, int) else (size.axis - place, size.divisor)

        parts = []
        for is_side, group in groupby(enumerate(sizes), kind):
            run = [size for _, size in group]
            parts.append(self._sides_of_frames(run) if is_side else self._integers(*run))  # type: ignore[arg-type]
        return parts[0] if len(parts) == 1 else self._add("Concat", *parts, axis=0)

    def _sides_of_frames(self, sides: list[_Side]) -> str:
        limits = self._integers(sides[0].axis), self._integers(sides[-1].axis + 1)
        size = self._add("Slice", self._add("Shape", FRAMES), *limits)
        if (divisor := sides[0].divisor) > 1:
            size = self._add("Div", size, self._integers(divisor))
        more = [side.more for side in sides]
        return self._add("Add", size, self._integers(*more)) if any(more) else size

    def _getitem(self, value: Any, index: Any) -> Any:
        if isinstance(value, tuple):  # a shape, or parts
            return value[index]
        index = index if isinstance(index, tuple) else (index,)
        if index[0] is Ellipsis:  # of (N, C, H, W)
            index = (*[slice(None)] * (5 - len(index)), *index[1:])
        slices = {axis: part for axis, part in enumerate(index) if part != slice(None)}
        starts = [part.start or 0 for part in slices.values()]
        ends = [np.iinfo(np.int64).max if s.stop is None else s.stop for s in slices.values()]
        axes = [] if [*slices] == [0] else [self._integers(*slices)]
        return self._add("Slice", value, self._vector(starts), self._vector(ends), *axes)

    def _permute(self, x: str, *axes: int) -> str:
        name = self._add("Transpose", x, perm=axes)
        if x in self.shapes:
            self.shapes[name] = tuple(self.shapes[x][axis] for axis in axes)
        return name

    def _reshape(self, x: str, *shape: Any) -> str:
        same = [isinstance(side, _Same) for side in shape]
        assert all(side.axis == at for at, side in enumerate(shape) if same[at])
        sides = [0 if is_same else side for side, is_same in zip(shape, same, strict=True)]
        name = self._add("Reshape", x, self._vector(sides))
        if all(isinstance(side, int) and side > 0 for side in sides):
            self.shapes[name] = tuple(sides)
        return name

    def _split(self, x: str, sizes: list[int]) -> tuple[str, ...]:
        names = [f"split_{len(self.nodes)}.{part}" for part in range(len(sizes))]
        self._add_many("Split", [x, self._integers(*sizes)], names)
        return tuple(names)

    # Operations.

    def _arithmetic(self, kind: str, a: Any, b: Any) -> Any:
        if not isinstance(a, str) and not isinstance(b, str):  # sides
            return getattr(operator, kind.lower())(a, b)
        types = [self.types[x] for x in (a, b) if isinstance(x, str)]
        common = TensorProto.FLOAT if TensorProto.FLOAT in types else types[0]
        names = [
            self._cast(x, common) if isinstance(x, str) else self._number(x, common) for x in (a, b)
        ]
        return self._add(kind, *names)

    def _clamp(self, x: str, low: float, high: float) -> str:
        limits = (self._number(limit, self.types[x]) for limit in (low, high))
        return self._add("Clip", x, *limits)

    def _mean(self, x: str, dim: int | tuple[int, ...], keepdim: bool) -> str:
        axes = (dim,) if isinstance(dim, int) else dim
        if self.opset < 18:
            return self._add("ReduceMean", x, axes=axes, keepdims=int(keepdim))
        return self._add("ReduceMean", x, self._integers(*axes), keepdims=int(keepdim))

    def _reflect_pad(self, x: str, stride: int, margin: int) -> str:
        """`pad_by_reflection`, also in place of `reflect_pad`, which takes no small pictures."""
        smallest = margin + stride
        begins, sides = [0, 0, margin, margin], self.shapes[x][2:]
        if all(isinstance(side, int) for side in sides):
            enlarged = [max(side, smallest) for side in sides]  # type: ignore[type-var]
            lack = [e - side for e, side in zip(enlarged, sides, strict=True)]  # type: ignore[operator]
            ends = [margin + -(e + 2 * margin) % stride for e in enlarged]  # type: ignore[operator]
            if any(lack):
                x = self._add("Pad", x, self._integers(*[0] * 6, *lack), mode="edge")
            return self._add("Pad", x, self._integers(*begins, 0, 0, *ends), mode="reflect")
        size = self._vector(sides)
        large = self._add("Max", size, self._integers(smallest, smallest))
        lacking = self._add("Sub", large, size)
        pads = self._add("Concat", self._integers(*[0] * 6), lacking, axis=0)
        x = self._add("Pad", x, pads, mode="edge")
        # -(large + 2 * margin) % stride; the remainder has the divisor's sign, as in Python
        spare = self._add("Sub", self._integers(-2 * margin % stride), large)
        spare = self._add("Mod", spare, self._integers(stride))
        after = self._add("Add", spare, self._integers(margin))
        pads = self._add("Concat", self._integers(*begins, 0, 0), after, axis=0)
        return self._add("Pad", x, pads, mode="reflect")

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
        inputs = [x, self._parameter(f"{target}.weight")]
        if conv.bias is not None:
            inputs.append(self._parameter(f"{target}.bias"))
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

    def _convolve(
        self, x: str, weight: str, bias: str, stride: tuple[int, ...], padding: tuple[int, ...]
    ) -> str:
        return self._add(
            "Conv",
            *(x, weight, bias),
            kernel_shape=self.shapes[weight][2:],
            strides=stride,
            pads=(*padding, *padding),
        )

    def _instance_norm(self, norm: nn.InstanceNorm2d, target: str, x: str) -> str:
        if norm.affine:
            weights = [self._parameter(f"{target}.{kind}") for kind in ("weight", "bias")]
        else:
            plain = (np.full(norm.num_features, x, np.float32) for x in (1, 0))
            weights = [self._constant(value) for value in plain]
        return self._add("InstanceNormalization", x, *weights, epsilon=norm.eps)

    def _batch_norm(
        self, x: str, mean: str, variance: str, weight: str, bias: str, *, eps: float, **_: Any
    ) -> str:
        return self._add("BatchNormalization", x, weight, bias, mean, variance, epsilon=eps)


def _sides(info: onnx.ValueInfoProto) -> tuple[_Size, ...]:
    sides = enumerate(info.type.tensor_type.shape.dim)
    return tuple(_Side(axis) if side.dim_param else side.dim_value for axis, side in sides)
