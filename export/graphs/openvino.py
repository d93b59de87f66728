"""Our network as OpenVINO's own graph, its pixels packed for matrix units: see `packing`.

A convolution's bias and its norm are one scale and one shift. What only moves pixels is done before
and after the graph.

The sums are those of `models.transform_net.TransformNet`, of whose weights a graph is made.
"""

from __future__ import annotations

from typing import Any, NamedTuple, Protocol

import numpy as np
import openvino
import openvino.opset15 as ops

from impasto.export.graphs.packing import (
    BLOCK,
    block_bias,
    giving_blocks,
    giving_places,
    planes_matrix,
    reading_four,
    transposed,
)
from impasto.models.architectures import FORMS
from impasto.models.styles import Weights

Node = Any  # OpenVINO's
_EPSILON = 1e-5  # of every norm


class _Layer(NamedTuple):
    """The names of a convolution and of the norm after it."""

    conv: str
    norm: str


def norms_of(weights: Weights) -> int:
    """How many channels are normed."""
    return 3 + sum(_channels(weights))


def build(
    weights: Weights, shape: tuple[int, ...], color: tuple[int, bool] | None, *, renews: bool
) -> openvino.Model:
    """A graph for one size of frame: in `frames`, uint8, as `packing.pad` fills it; out blocks,
    (1, h, w, 48) uint8 for `packing.pixels_of`, or (1, h, w, 24) for `packing.planes_of`.

    shape: of `frames`, as `packing.shape_of` says. color: of the planes to be given, a matrix of
    ITU-T H.273 and whether their range is full; None: RGB. More inputs: `mean` and `variance`, (C,)
    float32, of all channels that are normed, the picture's three first. renews: they are moved by
    an input `weight`, () float32, 0 to 1, towards those of the frame, and are outputs too.
    """
    arrays = weights.arrays
    layers, channels = _layers(weights), _channels(weights)
    frames = ops.parameter(list(shape), np.uint8, name="frames")
    given = [ops.parameter([3 + sum(channels)], np.float32, name=x) for x in ("mean", "variance")]
    share = ops.parameter([], np.float32, name="weight")
    norms: _Norms
    if renews:
        norms = _Renewed(arrays, channels, given[0], given[1], share)
    else:
        norms = _Carried(arrays, layers, channels, given[0], given[1])

    picture = ops.multiply(ops.convert(frames, np.float32), _numbers(1 / 255))
    mean, variance = norms.of_picture(picture)
    deviation = ops.sqrt(ops.add(variance, _numbers(_EPSILON)))
    y = _body(arrays, layers, norms, _standardised(picture, mean, deviation, shape))
    blocks = _recolored(arrays, y, mean, deviation, color)
    levels = ops.round(ops.clamp(blocks, 0.0, 255.0), "half_to_even")
    outputs = [ops.convert(levels, np.uint8), *norms.renewed()]
    return openvino.Model(outputs, [frames, *given, *([share] if renews else [])])


def enlarge_by_transposed(model: openvino.Model) -> None:
    """Have a graph of floats, of our network, convolve as it enlarges, and not after."""
    for conv in model.get_ordered_ops():
        if conv.get_type_name() != "Convolution":
            continue
        enlarged, weight = (conv.input_value(side).get_node() for side in (0, 1))
        if enlarged.get_type_name() == "Interpolate" and weight.get_type_name() == "Constant":
            both = _enlarging(enlarged.input_value(0), weight.data)
            conv.output(0).replace(both.output(0))


def _channels(weights: Weights) -> list[int]:
    return [len(weights.arrays[f"{layer.norm}.weight"]) for layer in _layers(weights)]


def _layers(weights: Weights) -> list[_Layer]:
    """In the order in which they are computed, and in which statistics are given."""
    inner = [f"body.blocks.{block}" for block in range(FORMS[weights.form].blocks)]
    return [
        _Layer("body.stem.0", "body.stem.1"),
        _Layer("body.down.0", "body.down.1"),
        *(_Layer(f"{x}.conv{part}", f"{x}.norm{part}") for x in inner for part in (1, 2)),
        _Layer("body.up.0.conv", "body.up.1"),
        _Layer("body.refine.0.conv", "body.refine.1"),
    ]


def _standardised(picture: Node, mean: Node, deviation: Node, shape: tuple[int, ...]) -> Node:
    """(1, h, 3 w) to (1, 12, h, w / 4). Rows are scaled whole: three numbers at a time are slow."""
    _, height, row = shape
    scale = ops.divide(_numbers(1), deviation)
    shift = ops.multiply(mean, scale)
    scale, shift = (ops.tile(x, _integers(row // 3)) for x in (scale, shift))
    y = ops.subtract(ops.multiply(picture, scale), shift)
    channels = 3 * BLOCK
    return _channels_first(_reshaped(y, 1, height, row // channels, channels))


def _body(arrays: dict[str, np.ndarray], layers: list[_Layer], norms: _Norms, y: Node) -> Node:
    """`TransformNet.body` without its last bias, from what `_standardised` gives to 48 channels."""
    stem_layer, down, *blocks, up, refine = layers

    def weight(layer: _Layer) -> np.ndarray:
        return arrays[f"{layer.conv}.weight"]

    stem = _conv(y, reading_four(weight(stem_layer)), strides=(4, 1), before=(3, 1), after=(3, 0))
    stem = ops.relu(norms(stem, stem_layer))
    y = ops.relu(norms(_conv(stem, weight(down), strides=(2, 2)), down))
    for first, second in zip(blocks[::2], blocks[1::2], strict=True):
        rest = ops.relu(norms(_conv(y, weight(first)), first))
        y = ops.add(y, norms(_conv(rest, weight(second)), second))
    y = ops.relu(ops.add(norms(_enlarging(y, weight(up)), up), stem))
    y = ops.relu(norms(_conv(y, giving_places(weight(refine))), refine, places=4))
    return _conv(y, giving_blocks(arrays["body.out.conv.weight"]))


def _recolored(
    arrays: dict[str, np.ndarray],
    y: Node,
    mean: Node,
    deviation: Node,
    color: tuple[int, bool] | None,
) -> Node:
    """Levels, (1, h, w, 48) RGB or (1, h, w, 24) of planes, of `_body`'s 48 channels."""
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
    matrix, zero = planes_matrix(*color)
    recode = ops.multiply(_numbers(matrix), gain)
    shift = ops.add(ops.matmul(_numbers(matrix), offset, False, False), _numbers(zero))
    return ops.add(ops.matmul(y, recode, False, True), shift)


# --- Norms ------------------------------------------------------------------------------------


class _Norms(Protocol):
    """What follows a convolution: its bias and its norm, by statistics from somewhere."""

    def of_picture(self, picture: Node) -> tuple[Node, Node]:
        """Mean and variance, (3,), of (1, h, 3 w) pixels in 0..1."""
        ...

    def __call__(self, y: Node, layer: _Layer, places: int = 1) -> Node:
        """places: how many of them are side by side in y's channels."""
        ...

    def renewed(self) -> list[Node]:
        """Means and variances, (C,) each, where they are not those given."""
        ...


class _Carried:
    """Statistics as they are given: scale and shift of all channels at once."""

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
        scale, shift = _map(weight, offset, bias, mean, variance)
        self._scales, self._shifts = (
            dict(zip(layers, _split(x, channels), strict=True)) for x in (scale, shift)
        )

    def of_picture(self, picture: Node) -> tuple[Node, Node]:
        return self._mean, self._variance

    def __call__(self, y: Node, layer: _Layer, places: int = 1) -> Node:
        return _mapped(y, self._scales[layer], self._shifts[layer], places)

    def renewed(self) -> list[Node]:
        return []


class _Renewed:
    """Statistics moved towards the frame's own: layer by layer, those of the one before applied."""

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
        self._renewed: list[tuple[Node, Node]] = []

    def of_picture(self, picture: Node) -> tuple[Node, Node]:
        mean = _mean_color(picture)
        pixels = picture.get_output_shape(0)[2] // 3
        rest = ops.subtract(picture, ops.tile(mean, _integers(pixels)))
        return self._moved(mean, _mean_color(ops.multiply(rest, rest)))

    def __call__(self, y: Node, layer: _Layer, places: int = 1) -> Node:
        bias = self._arrays[f"{layer.conv}.bias"]
        _, channels, height, width = y.get_output_shape(0)
        rows = _reshaped(ops.transpose(y, _integers(0, 2, 3, 1)), height * width, channels)
        mean = _column_means(rows, places)
        rest = ops.subtract(rows, _repeated(mean, places))
        variance = _column_means(ops.multiply(rest, rest), places)
        mean, variance = self._moved(ops.add(mean, _numbers(bias)), variance)
        weight, offset = (self._arrays[f"{layer.norm}.{x}"] for x in ("weight", "bias"))
        return _mapped(y, *_map(weight, offset, bias, mean, variance), places)

    def _moved(self, *here: Node) -> tuple[Node, Node]:
        mean, variance = (
            ops.add(old, ops.multiply(ops.subtract(new, old), self._share))
            for old, new in zip(next(self._given), here, strict=True)
        )
        self._renewed.append((mean, variance))
        return mean, variance

    def renewed(self) -> list[Node]:
        return [ops.concat(list(parts), 0) for parts in zip(*self._renewed, strict=True)]


def _map(
    weight: np.ndarray, offset: np.ndarray, bias: np.ndarray, mean: Node, variance: Node
) -> tuple[Node, Node]:
    """A bias and a norm as a scale and a shift, (C,) each."""
    scale = ops.divide(_numbers(weight), ops.sqrt(ops.add(variance, _numbers(_EPSILON))))
    shift = ops.multiply(ops.subtract(_numbers(bias), mean), scale)
    return scale, ops.add(shift, _numbers(offset))


def _mapped(y: Node, scale: Node, shift: Node, places: int) -> Node:
    scale, shift = (_reshaped(_repeated(x, places), 1, -1, 1, 1) for x in (scale, shift))
    return ops.add(ops.multiply(y, scale), shift)


def _repeated(values: Node, places: int) -> Node:
    return ops.tile(values, _integers(places)) if places > 1 else values


def _column_means(rows: Node, places: int) -> Node:
    """(n, places C) to (C,). As a product, which reads the numbers as they lie."""
    count, _ = rows.get_output_shape(0)
    means = ops.matmul(_numbers(np.full(count, 1 / count)), rows, False, False)
    return _mean(_reshaped(means, places, -1), 0) if places > 1 else means


def _mean_color(picture: Node) -> Node:
    """(1, h, 3 w) to (3,). Rows first: three numbers at a time are slow."""
    return _mean(_reshaped(_mean(picture, 1), -1, 3), 0)


# --- Nodes ------------------------------------------------------------------------------------


def _conv(
    y: Node,
    weight: np.ndarray,
    *,
    strides: tuple[int, int] = (1, 1),
    before: tuple[int, int] = (1, 1),
    after: tuple[int, int] = (1, 1),
) -> Node:
    """Zeros are put around: as many rows and columns before and after."""
    return ops.convolution(y, _numbers(weight), list(strides), list(before), list(after), [1, 1])


def _enlarging(y: Node, weight: np.ndarray) -> Node:
    """A 3x3 convolution of what is twice as large, each pixel repeated."""
    transposed_weight, one = _numbers(transposed(weight)), [1, 1]
    return ops.convolution_backprop_data(
        y, transposed_weight, [2, 2], pads_begin=one, pads_end=one, dilations=one
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
