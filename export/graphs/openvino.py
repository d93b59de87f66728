"""A style network as an OpenVINO graph with pixels packed for wide units, see `packing`.

It computes what `models.transform_net.TransformNet` does with the same weights. A convolution's
bias and its norm are one scale and one shift. Pixels are padded and unpacked outside of the graph.

In int8 the first two convolutions and the first one up stay in float, as what they lose, all others
repeat (see `int8`): the one up in 8 bits would lose 2 to 3 dB to save 4 % of the time with VNNI.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple, Protocol

import numpy as np
import openvino
import openvino.opset15 as ops

from impasto.export.graphs.packing import (
    BLOCK,
    block_bias,
    blocks_from_shuffle_conv,
    space_to_depth_conv,
    subpixels_from_upsample_conv,
)
from impasto.export.graphs.quantization import ActivationRange, quantize_weights
from impasto.export.spec import NormMode
from impasto.models.architectures import ARCHITECTURES, convolutions
from impasto.models.colors import yuv420_matrix
from impasto.models.fast.subpixel_conv import fold_upsample_into_transposed_conv
from impasto.models.styles import StyleWeights

Node = Any  # OpenVINO's
_EPSILON = 1e-5  # of every norm
PACKED = ("fast",)  # the architectures that these graphs compute


class _Layer(NamedTuple):
    """The names of a convolution and of the norm after it."""

    conv: str
    norm: str


def build_openvino_model(
    weights: StyleWeights,
    shape: tuple[int, ...],
    color: tuple[int, bool] | None,
    norm_mode: NormMode,
    ranges: Mapping[str, ActivationRange] | None = None,
) -> openvino.Model:
    """A graph for one size of frame and norm mode "frozen" or "running".

    shape: of the input `frames`, uint8, see `packing.padded_shape` and `packing.reflect_pad`.
    color: None for RGB output, blocks (1, h, w, 48) uint8 for `packing.unpack_rgb`; else the matrix
    (ITU-T H.273) and full_range of yuv420 output, (1, h, w, 24) uint8 for `packing.unpack_yuv420`.
    Further inputs and outputs are those of the norm mode, see `spec.NormMode`: statistics of all
    normed channels, the picture's three first.
    ranges: of `calibration.calibrate`, for int8; None: all in float.
    """
    assert norm_mode != "instance", "these graphs are for video"
    assert weights.architecture in PACKED, weights.architecture
    arrays = weights.arrays
    layers, channels = _layers(weights), _channels(weights)
    frames = ops.parameter(list(shape), np.uint8, name="frames")
    given = [ops.parameter([3 + sum(channels)], np.float32, name=x) for x in ("mean", "variance")]
    share = ops.parameter([], np.float32, name="weight")
    norms: _Norms
    if running := norm_mode == "running":
        norms = _RunningNorms(arrays, channels, given[0], given[1], share)
    else:
        norms = _FrozenNorms(arrays, layers, channels, given[0], given[1])

    picture = ops.multiply(ops.convert(frames, np.float32), _numbers(1 / 255))
    mean, variance = norms.of_picture(picture)
    deviation = ops.sqrt(ops.add(variance, _numbers(_EPSILON)))
    y = _standardize(picture, mean, deviation, shape)
    y = _body(arrays, layers, norms, y, ranges or {})
    blocks = _recolor(arrays, y, mean, deviation, color)
    levels = ops.round(ops.clamp(blocks, 0.0, 255.0), "half_to_even")
    outputs = [ops.convert(levels, np.uint8), *norms.new_statistics()]
    return _named(openvino.Model(outputs, [frames, *given, *([share] if running else [])]))


def _named(model: openvino.Model) -> openvino.Model:
    """The same graph with the same names each time: OpenVINO caches what it compiles by them.

    By themselves they end in how many nodes the process has made.
    """
    nodes = sorted(model.get_ops(), key=lambda node: int(node.get_name().rpartition("_")[2]))
    for number, node in enumerate(nodes):
        node.friendly_name = f"{number}"
    for number, output in enumerate(model.outputs):
        output.tensor.names = {f"output {number}"}
    return model


def fold_upsampling(model: openvino.Model) -> None:
    """Replace each upsampling and 3x3 convolution in a float graph by a transposed convolution."""
    for conv in model.get_ordered_ops():
        if conv.get_type_name() != "Convolution":
            continue
        enlarged, weight = (conv.input_value(side).get_node() for side in (0, 1))
        if enlarged.get_type_name() == "Interpolate" and weight.get_type_name() == "Constant":
            folded = _upsample_conv(enlarged.input_value(0), weight.data)
            conv.output(0).replace(folded.output(0))
            folded.set_friendly_name(conv.get_friendly_name())
            folded.input_value(1).get_node().set_friendly_name(weight.get_friendly_name())


def _channels(weights: StyleWeights) -> list[int]:
    return [len(weights.arrays[f"{layer.norm}.weight"]) for layer in _layers(weights)]


def _layers(weights: StyleWeights) -> list[_Layer]:
    """All layers with a norm, in the order of computation and of the statistics."""
    named = convolutions(ARCHITECTURES[weights.architecture])
    return [_Layer(each.name, each.norm) for each in named if each.norm is not None]


def _standardize(picture: Node, mean: Node, deviation: Node, shape: tuple[int, ...]) -> Node:
    """(1, h, 3 w) to (1, 12, h, w / 4). Scaled row by row: three numbers at a time are slow."""
    _, height, row = shape
    scale = ops.divide(_numbers(1), deviation)
    shift = ops.multiply(mean, scale)
    scale, shift = (ops.tile(x, _integers(row // 3)) for x in (scale, shift))
    y = ops.subtract(ops.multiply(picture, scale), shift)
    channels = 3 * BLOCK
    return _channels_first(_reshaped(y, 1, height, row // channels, channels))


def _body(
    arrays: dict[str, np.ndarray],
    layers: list[_Layer],
    norms: _Norms,
    y: Node,
    ranges: Mapping[str, ActivationRange],
) -> Node:
    """`TransformNet.body` without its last bias: (1, 12, h, w / 4) to (1, 48, h / 4, w / 4)."""
    stem_layer, down, *blocks, up, refine = layers

    def weight(layer: _Layer) -> np.ndarray:
        return arrays[f"{layer.conv}.weight"]

    def range_before(layer: _Layer) -> ActivationRange | None:
        return ranges.get(f"{layer.conv}.weight")

    stem = _conv(
        y, space_to_depth_conv(weight(stem_layer)), strides=(4, 1), before=(3, 1), after=(3, 0)
    )
    stem = ops.relu(norms(stem, stem_layer))
    y = ops.relu(norms(_conv(stem, weight(down), strides=(2, 2)), down))
    for first, second in zip(blocks[::2], blocks[1::2], strict=True):
        rest = ops.relu(norms(_conv(y, weight(first), range_before(first)), first))
        y = ops.add(y, norms(_conv(rest, weight(second), range_before(second)), second))
    y = ops.relu(ops.add(norms(_upsample_conv(y, weight(up)), up), stem))
    y = _conv(y, subpixels_from_upsample_conv(weight(refine)), range_before(refine))
    y = ops.relu(norms(y, refine, subpixels=4))
    out = "body.out.conv.weight"
    return _conv(y, blocks_from_shuffle_conv(arrays[out]), ranges.get(out))


def _recolor(
    arrays: dict[str, np.ndarray],
    y: Node,
    mean: Node,
    deviation: Node,
    color: tuple[int, bool] | None,
) -> Node:
    """Levels, (1, h, w, 48) RGB or (1, h, w, 24) yuv420, from the 48 channels of `_body`."""
    gain, offset = (
        ops.multiply(
            ops.add(_numbers(own.ravel()), ops.multiply(_numbers(kept.ravel()), measured)),
            _numbers(255),
        )
        for own, kept, measured in (
            (arrays["gain"], arrays["gain_deviation"], deviation),
            (arrays["offset"], arrays["offset_mean"], mean),
        )
    )
    gain, offset = (ops.tile(x, _integers(BLOCK**2)) for x in (gain, offset))
    bias = block_bias(arrays["body.out.conv.bias"])
    offset = ops.add(offset, ops.multiply(gain, _numbers(bias)))
    y = ops.transpose(y, _integers(0, 2, 3, 1))
    if color is None:
        return ops.add(ops.multiply(y, gain), offset)
    matrix, zero = yuv420_matrix(*color, side=BLOCK)
    to_yuv = _numbers(matrix.reshape(len(zero), -1))
    scaled = ops.multiply(to_yuv, gain)
    shift = ops.add(ops.matmul(to_yuv, offset, False, False), _numbers(zero))
    return ops.add(ops.matmul(y, scaled, False, True), shift)


# --- Norms ------------------------------------------------------------------------------------


class _Norms(Protocol):
    """Applies the bias and norm of each convolution, in one of the norm modes."""

    def of_picture(self, picture: Node) -> tuple[Node, Node]:
        """Mean and variance, (3,), of pixels (1, h, 3 w) in 0..1."""
        ...

    def __call__(self, y: Node, layer: _Layer, subpixels: int = 1) -> Node:
        """subpixels: y has channels for so many of them, one after the other."""
        ...

    def new_statistics(self) -> list[Node]:
        """Means and variances, (C,) each, if they differ from the inputs."""
        ...


class _FrozenNorms:
    """Applies the statistics of the inputs, for all channels at once."""

    def __init__(
        self,
        arrays: dict[str, np.ndarray],
        layers: list[_Layer],
        channels: list[int],
        mean: Node,
        variance: Node,
    ) -> None:
        weight, offset, bias = (
            np.concatenate([arrays[name] for name in names])
            for names in (
                [f"{layer.norm}.weight" for layer in layers],
                [f"{layer.norm}.bias" for layer in layers],
                [f"{layer.conv}.bias" for layer in layers],
            )
        )
        (self._mean, mean), (self._variance, variance) = (
            _split(x, [3, sum(channels)]) for x in (mean, variance)
        )
        scale, shift = _scale_and_shift(weight, offset, bias, mean, variance)
        self._scales, self._shifts = (
            dict(zip(layers, _split(x, channels), strict=True)) for x in (scale, shift)
        )

    def of_picture(self, picture: Node) -> tuple[Node, Node]:
        return self._mean, self._variance

    def __call__(self, y: Node, layer: _Layer, subpixels: int = 1) -> Node:
        return _apply(y, self._scales[layer], self._shifts[layer], subpixels)

    def new_statistics(self) -> list[Node]:
        return []


class _RunningNorms:
    """Moves the statistics toward those of the frame, layer after layer, and applies them."""

    def __init__(
        self,
        arrays: dict[str, np.ndarray],
        channels: list[int],
        mean: Node,
        variance: Node,
        share: Node,
    ) -> None:
        self._arrays, self._share = arrays, share
        parts = [_split(x, [3, *channels]) for x in (mean, variance)]
        self._given = iter(list(zip(*parts, strict=True)))
        self._new: list[tuple[Node, Node]] = []

    def of_picture(self, picture: Node) -> tuple[Node, Node]:
        mean = _mean_color(picture)
        pixels = picture.get_output_shape(0)[2] // 3
        rest = ops.subtract(picture, ops.tile(mean, _integers(pixels)))
        return self._update(mean, _mean_color(ops.multiply(rest, rest)))

    def __call__(self, y: Node, layer: _Layer, subpixels: int = 1) -> Node:
        bias = self._arrays[f"{layer.conv}.bias"]
        _, channels, height, width = y.get_output_shape(0)
        rows = _reshaped(ops.transpose(y, _integers(0, 2, 3, 1)), height * width, channels)
        mean = _column_means(rows, subpixels)
        rest = ops.subtract(rows, _repeated(mean, subpixels))
        variance = _column_means(ops.multiply(rest, rest), subpixels)
        mean, variance = self._update(ops.add(mean, _numbers(bias)), variance)
        weight, offset = (self._arrays[f"{layer.norm}.{x}"] for x in ("weight", "bias"))
        return _apply(y, *_scale_and_shift(weight, offset, bias, mean, variance), subpixels)

    def _update(self, *here: Node) -> tuple[Node, Node]:
        mean, variance = (
            ops.add(old, ops.multiply(ops.subtract(new, old), self._share))
            for old, new in zip(next(self._given), here, strict=True)
        )
        self._new.append((mean, variance))
        return mean, variance

    def new_statistics(self) -> list[Node]:
        return [ops.concat(list(parts), 0) for parts in zip(*self._new, strict=True)]


def _scale_and_shift(
    weight: np.ndarray, offset: np.ndarray, bias: np.ndarray, mean: Node, variance: Node
) -> tuple[Node, Node]:
    """The scale and shift, (C,) each, that apply a bias and a norm."""
    scale = ops.divide(_numbers(weight), ops.sqrt(ops.add(variance, _numbers(_EPSILON))))
    shift = ops.multiply(ops.subtract(_numbers(bias), mean), scale)
    return scale, ops.add(shift, _numbers(offset))


def _apply(y: Node, scale: Node, shift: Node, subpixels: int) -> Node:
    scale, shift = (_reshaped(_repeated(x, subpixels), 1, -1, 1, 1) for x in (scale, shift))
    return ops.add(ops.multiply(y, scale), shift)


def _repeated(values: Node, subpixels: int) -> Node:
    return ops.tile(values, _integers(subpixels)) if subpixels > 1 else values


def _column_means(rows: Node, subpixels: int) -> Node:
    """(n, subpixels C) to (C,). As a product, which reads memory in order."""
    count, _ = rows.get_output_shape(0)
    means = ops.matmul(_numbers(np.full(count, 1 / count)), rows, False, False)
    return _mean(_reshaped(means, subpixels, -1), 0) if subpixels > 1 else means


def _mean_color(picture: Node) -> Node:
    """(1, h, 3 w) to (3,). First over rows: three numbers at a time are slow."""
    return _mean(_reshaped(_mean(picture, 1), -1, 3), 0)


# --- Nodes ------------------------------------------------------------------------------------


def _conv(
    y: Node,
    weight: np.ndarray,
    limits: ActivationRange | None = None,
    *,
    strides: tuple[int, int] = (1, 1),
    before: tuple[int, int] = (1, 1),
    after: tuple[int, int] = (1, 1),
) -> Node:
    """limits: of `y`, for int8; None: in float. before, after: rows and columns of zeros added."""
    kernel = _numbers(weight)
    if limits is not None:
        low = -int(limits.zero) * limits.scale
        ends = _numbers(low), _numbers(low + 255 * limits.scale)
        y = ops.fake_quantize(y, *ends, *ends, levels=256)
        values, scales = quantize_weights(weight)
        kernel = ops.convert(ops.constant(values), np.float32)
        kernel = ops.multiply(kernel, _numbers(scales[:, None, None, None]))
    return ops.convolution(y, kernel, list(strides), list(before), list(after), [1, 1])


def _upsample_conv(y: Node, weight: np.ndarray) -> Node:
    """Nearest-neighbor upsampling by 2 and a 3x3 convolution."""
    transposed, one = _numbers(fold_upsample_into_transposed_conv(weight)), [1, 1]
    return ops.convolution_backprop_data(
        y, transposed, [2, 2], pads_begin=one, pads_end=one, dilations=one
    )


def _channels_first(y: Node) -> Node:
    return ops.transpose(y, _integers(0, 3, 1, 2))


def _reshaped(y: Node, *shape: int) -> Node:
    return ops.reshape(y, _integers(*shape), False)


def _mean(y: Node, axis: int) -> Node:
    return ops.reduce_mean(y, _integers(axis), False)


def _split(values: Node, sizes: list[int]) -> list[Node]:
    return list(ops.variadic_split(values, ops.constant(np.int64(0)), _integers(*sizes)).outputs())


def _numbers(values: Any) -> Node:
    return ops.constant(np.ascontiguousarray(values, np.float32))


def _integers(*values: int) -> Node:
    return ops.constant(np.array(values, np.int64))
