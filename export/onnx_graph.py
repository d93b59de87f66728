"""A style network as an ONNX graph: uint8 pictures in, uint8 pictures out, of any size.

Built node by node from the network's trace. PyTorch's own exporter takes 8 s for this network and
proves from its example that height and width are multiples of 8, which they need not be; this
takes 0.1 s and pads inside the graph. Scaling, padding, cropping and rounding are part of it, so
the file is usable from any language without knowing any of them.
"""

import operator
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import numpy as np
import onnx
import torch
import torch.nn.functional as F
from onnx import TensorProto, helper, numpy_helper
from torch import fx, nn

from models.errors import EngineError
from models.layers import reflect_pad

OPSET = 20
FRAMES, STYLIZED = "frames", "stylized"
MEAN, VARIANCE, WEIGHT = "mean", "variance", "weight"
NEW_MEAN, NEW_VARIANCE = "new_mean", "new_variance"

# Where the norms have their statistics from: each picture itself; the inputs `mean` and `variance`
# (C,); or these moved towards those of the one picture by `weight` (a number from 0 to 1), layer by
# layer as in models.folding, and put out again.
NormStatistics = Literal["own", "carried", "renewed"]


def export_onnx(network: nn.Module, path: str | Path) -> Path:
    """Write `network` to `path` as ONNX and return the path.

    network: a TransformNet or ClassicNet. The graph has one input, `frames`, and one output,
    `stylized`, both (N, H, W, 3) uint8 RGB with N, H and W free (H and W at least the network's
    MARGIN + STRIDE).
    """
    path = Path(path)
    onnx.save(build_model(network), path)
    return path


def build_model(network: nn.Module, statistics: NormStatistics = "own") -> onnx.ModelProto:
    """The graph itself, checked."""
    module = fx.GraphModule(network, _Tracer().trace(network))
    builder = _Builder(module, statistics)
    builder.run("images")
    model = builder.model()
    onnx.checker.check_model(model, full_check=True)
    return model


class _Tracer(fx.Tracer):
    def __init__(self) -> None:
        super().__init__(autowrap_functions=(reflect_pad,))


class _Size(str):
    """The name of a value that counts pixels: int64 of shape (1,). Other names are of pictures."""


class _Builder(fx.Interpreter):
    """Runs a trace on names: every operation adds its ONNX nodes and returns the result's name."""

    def __init__(self, module: fx.GraphModule, statistics: NormStatistics) -> None:
        super().__init__(module)
        self.statistics = statistics
        self.nodes: list[onnx.NodeProto] = []
        self.weights: list[onnx.TensorProto] = []
        self.renewed: list[tuple[str, str]] = []  # names of mean and variance, (C,)
        self.channels = 0  # of all the norms so far
        self.functions: dict[Callable, Callable] = {
            getattr: lambda value, name: value,  # .shape, taken apart by getitem
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

    # What the interpreter asks for, one method a kind of node.

    def placeholder(self, target: Any, args: Any, kwargs: Any) -> str:
        pixels = self._add("Cast", FRAMES, to=TensorProto.FLOAT)
        picture = self._add("Transpose", pixels, perm=[0, 3, 1, 2])
        return self._arithmetic("Mul", picture, 1 / 255)

    def get_attr(self, target: Any, args: Any, kwargs: Any) -> str:
        return self._weight(self.fetch_attr(target), target)

    def call_function(self, target: Any, args: Any, kwargs: Any) -> Any:
        if target not in self.functions:
            raise EngineError(f"no ONNX form is known for {target}; add it to export/onnx_graph.py")
        return self.functions[target](*args, **kwargs)

    def call_method(self, target: Any, args: Any, kwargs: Any) -> str:
        if target != "sqrt":
            raise EngineError(f"no ONNX form is known for .{target}(); add it to onnx_graph.py")
        return self._add("Sqrt", *args)

    def call_module(self, target: Any, args: Any, kwargs: Any) -> str:
        module = self.fetch_attr(target)
        if isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
            return self._convolution(module, target, args[0])
        if isinstance(module, nn.InstanceNorm2d):
            return self._norm(module, target, args[0])
        if isinstance(module, nn.ReLU):
            return self._add("Relu", args[0])
        raise EngineError(f"no ONNX form is known for {module}; add it to export/onnx_graph.py")

    def output(self, target: Any, args: Any, kwargs: Any) -> None:
        levels = self._add("Clip", self._arithmetic("Mul", args[0], 255.0), *self._floats(0, 255))
        rounded = self._add("Cast", self._add("Round", levels), to=TensorProto.UINT8)
        self._add("Transpose", rounded, perm=[0, 2, 3, 1], name=STYLIZED)

    # Nodes, weights and the model around them.

    def _add(self, kind: str, *inputs: str, name: str | None = None, **attributes: Any) -> str:
        name = name or f"{kind.lower()}_{len(self.nodes)}"
        self.nodes.append(helper.make_node(kind, list(inputs), [name], name, **attributes))
        return name

    def _weight(self, value: torch.Tensor | np.ndarray, name: str | None = None) -> str:
        array = value.detach().cpu().float().numpy() if isinstance(value, torch.Tensor) else value
        name = name or f"constant_{len(self.weights)}"
        if name not in {weight.name for weight in self.weights}:
            self.weights.append(numpy_helper.from_array(np.ascontiguousarray(array), name))
        return name

    def _floats(self, *values: float) -> list[str]:
        return [self._weight(np.array(value, np.float32)) for value in values]

    def _integers(self, *values: int) -> str:
        return self._weight(np.array(values, np.int64))

    def model(self) -> onnx.ModelProto:
        inputs, outputs = [_picture_info(FRAMES)], [_picture_info(STYLIZED)]
        if self.statistics != "own":
            inputs += [_numbers_info(name, [self.channels]) for name in (MEAN, VARIANCE)]
        if self.statistics == "renewed":
            inputs.append(_numbers_info(WEIGHT, []))
            outputs += [_numbers_info(name, [self.channels]) for name in (NEW_MEAN, NEW_VARIANCE)]
            means, variances = zip(*self.renewed, strict=True)
            self._add("Concat", *means, axis=0, name=NEW_MEAN)
            self._add("Concat", *variances, axis=0, name=NEW_VARIANCE)
        graph = helper.make_graph(self.nodes, "impasto", inputs, outputs, self.weights)
        opset = [helper.make_opsetid("", OPSET)]
        return helper.make_model(graph, opset_imports=opset, ir_version=10, producer_name="impasto")

    # Operations.

    def _getitem(self, value: Any, index: Any) -> Any:
        if isinstance(value, tuple):  # variance and mean
            return value[index]
        if isinstance(index, slice):  # .shape[-2:]
            return value
        if isinstance(index, int):  # height or width of a picture
            shape = self._add("Shape", value)
            return _Size(self._add("Gather", shape, self._integers(2 + index), axis=0))
        _, rows, columns = index
        end = np.iinfo(np.int64).max
        starts = [self._as_size(s.start or 0) for s in (rows, columns)]
        ends = [self._as_size(end if s.stop is None else s.stop) for s in (rows, columns)]
        first, last = (self._add("Concat", *names, axis=0) for names in (starts, ends))
        return self._add("Slice", value, first, last, self._integers(2, 3))

    def _as_size(self, value: int | str) -> str:
        return value if isinstance(value, str) else self._integers(value)

    def _arithmetic(self, kind: str, a: Any, b: Any) -> str:
        if isinstance(a, _Size) or isinstance(b, _Size):
            return _Size(self._add(kind, self._as_size(a), self._as_size(b)))
        names = [x if isinstance(x, str) else self._floats(x)[0] for x in (a, b)]
        return self._add(kind, *names)

    def _reflect_pad(self, x: str, stride: int, margin: int) -> str:
        size = self._add("Slice", self._add("Shape", x), self._integers(2), self._integers(4))
        spare = self._add("Neg", self._add("Add", size, self._integers(2 * margin)))
        spare = self._add("Mod", spare, self._integers(stride))  # of the divisor's sign, as Python
        ends = self._add("Add", spare, self._integers(margin))
        begins = self._integers(0, 0, margin, margin, 0, 0)
        return self._add("Pad", x, self._add("Concat", begins, ends, axis=0), mode="reflect")

    def _interpolate(self, x: str, *, scale_factor: float, mode: str, **_: Any) -> str:
        scales = self._weight(np.array([1, 1, scale_factor, scale_factor], np.float32))
        return self._add(
            "Resize",
            *(x, "", scales),
            mode=mode,
            coordinate_transformation_mode="asymmetric",
            nearest_mode="floor",
        )

    def _convolution(self, conv: nn.Conv2d | nn.ConvTranspose2d, target: str, x: str) -> str:
        inputs = [x, self._weight(conv.weight, f"{target}.weight")]
        if conv.bias is not None:
            inputs.append(self._weight(conv.bias, f"{target}.bias"))
        attributes: dict[str, Any] = {
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

    # Norms, and where their statistics come from.

    def _norm(self, norm: nn.InstanceNorm2d, target: str, x: str) -> str:
        weight = self._weight(norm.weight, f"{target}.weight")
        bias = self._weight(norm.bias, f"{target}.bias")
        if self.statistics == "own":
            return self._add("InstanceNormalization", x, weight, bias, epsilon=norm.eps)
        mean, variance = self._statistics_for(x, norm.num_features)
        return self._add("BatchNormalization", x, weight, bias, mean, variance, epsilon=norm.eps)

    def _variance_and_mean(self, x: str) -> tuple[str, str]:
        if self.statistics == "own":
            mean, variance = self._measure(x)
            return variance, mean
        mean, variance = self._statistics_for(x, 3)
        shape = self._integers(1, 3, 1, 1)
        return self._add("Reshape", variance, shape), self._add("Reshape", mean, shape)

    def _statistics_for(self, x: str, channels: int) -> tuple[str, str]:
        """The next `channels` of the inputs `mean` and `variance`, (C,); renewed where asked."""
        begin, self.channels = self.channels, self.channels + channels
        limits = self._integers(begin), self._integers(self.channels)
        given = [self._add("Slice", name, *limits) for name in (MEAN, VARIANCE)]
        if self.statistics == "renewed":
            axes = self._integers(0, 2, 3)
            here = [self._add("Squeeze", name, axes) for name in self._measure(x)]
            changes = [self._add("Sub", new, old) for new, old in zip(here, given, strict=True)]
            steps = [self._add("Mul", change, WEIGHT) for change in changes]
            given = [self._add("Add", old, step) for old, step in zip(given, steps, strict=True)]
            self.renewed.append((given[0], given[1]))
        return given[0], given[1]

    def _measure(self, x: str) -> tuple[str, str]:
        """Mean and variance of each picture's channels, (N, C, 1, 1)."""
        axes = self._integers(2, 3)
        mean = self._add("ReduceMean", x, axes, keepdims=1)
        square = self._add("ReduceMean", self._add("Mul", x, x), axes, keepdims=1)
        variance = self._add("Sub", square, self._add("Mul", mean, mean))
        return mean, self._add("Max", variance, *self._floats(0))


def _numbers_info(name: str, shape: list[int]) -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)


def _picture_info(name: str) -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(name, TensorProto.UINT8, ["n", "height", "width", 3])
