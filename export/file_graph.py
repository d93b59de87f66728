"""The graph of exported files: the same sums as the network's, in fewer passes over memory.

In ONNX Runtime on a CPU a picture of 640x360 takes 28 ms so, where node for node it takes 33.
"""

import copy
from itertools import product
from typing import Any

import numpy as np
import torch
from onnx import TensorProto
from torch import fx, nn

from export.contract import FRAMES, STYLISED
from export.onnx_graph import GraphBuilder
from models.transform_net import TransformNet


def in_levels(network: TransformNet) -> TransformNet:
    """The same, but giving 0.5 to 255.5: in what it multiplies by and adds last, which is small.

    The 0.5 makes cutting off the fraction a rounding.
    """

    def recolor(mean: Any, deviation: Any) -> tuple[Any, Any]:
        gain, offset = network.recolor(mean, deviation)
        return 255.0 * gain, 255.0 * offset + 0.5

    other = copy.copy(network)
    other.recolor = recolor  # type: ignore[method-assign]
    return other


class FileBuilder(GraphBuilder):
    """in_levels: whether the network gives 0.5 to 255.5, see there."""

    def __init__(self, *arguments: Any, in_levels: bool) -> None:
        super().__init__(*arguments)
        self.in_levels = in_levels
        self.enlarged: dict[str, str] = {}  # values that no node gives, and what they enlarge
        self.measured: tuple[str, str] | None = None  # the picture, and its mean
        self.standardised: set[str] = set()

    @property
    def white(self) -> float:
        """What the network reads for white: it may be any number where it is standardised."""
        return 255.0 if self.in_levels and self.statistics == "own" else 1.0

    def placeholder(self, target: Any, args: Any, kwargs: Any) -> str:
        if self.white == 1:
            return super().placeholder(target, args, kwargs)
        pixels = self._add("Cast", FRAMES, to=TensorProto.FLOAT)
        return self._add("Transpose", pixels, perm=[0, 3, 1, 2])

    def output(self, target: Any, args: Any, kwargs: Any) -> None:
        if self.layout == "nchw-float":
            super().output(target, args, kwargs)
            return
        picture = self._single(args[0])
        if not self.in_levels:
            picture = self._arithmetic("Add", self._arithmetic("Mul", picture, 255.0), 0.5)
        clipped = self._add("Clip", picture, *self._floats(0, 255))
        cut_off = self._add("Cast", clipped, to=TensorProto.UINT8)
        self._add("Transpose", cut_off, perm=[0, 2, 3, 1], name=STYLISED)

    # The picture standardised: one node, where it was mean, difference and quotient.

    def _variance_and_mean(self, x: str) -> tuple[str, str]:
        """Variance as the mean of squares less the square of the mean.

        Of rows first, and then of these: WASM adds up a whole picture with an error that shows.
        """
        if self.statistics != "own":
            return super()._variance_and_mean(x)
        mean, squares = (self._mean(self._mean(y, 3), 2) for y in (x, self._add("Mul", x, x)))
        if self.white != 1:
            mean = self._arithmetic("Mul", mean, 1 / self.white)
            squares = self._arithmetic("Mul", squares, 1 / self.white**2)
        self.measured = x, mean
        variance = self._add("Sub", squares, self._add("Mul", mean, mean))
        return self._add("Relu", variance), mean  # what is lost may not leave less than 0

    def _arithmetic(self, kind: str, a: Any, b: Any) -> Any:
        if kind == "Sub" and (a, b) == self.measured:
            one, zero = (self._constant(np.full(3, x, np.float32)) for x in (1, 0))
            epsilon = 1e-5 * self.white**2
            norm = self._add("InstanceNormalization", a, one, zero, epsilon=epsilon)
            self.standardised.add(norm)
            return norm
        if kind == "Div" and a in self.standardised:  # by the deviation: so it is already
            return a
        return super()._arithmetic(kind, a, b)

    # To enlarge twice by repetition, then convolve: as a convolution of the small picture that
    # gives the four pixels of each place, and a shuffle. A quarter of the places are gone through.

    def _interpolate(self, x: str, *, scale_factor: float, mode: str, **more: Any) -> str:
        if self.mixed or (scale_factor, mode) != (2, "nearest"):
            return super()._interpolate(x, scale_factor=scale_factor, mode=mode, **more)
        self.enlarged[f"{x} enlarged"] = x
        return f"{x} enlarged"

    def _convolution(self, conv: nn.Conv2d | nn.ConvTranspose2d, target: str, x: str) -> str:
        if x not in self.enlarged:
            return super()._convolution(conv, target, x)
        assert isinstance(conv, nn.Conv2d) and isinstance(self.module, fx.GraphModule)
        places = convolution_of_places(conv)
        self.module.add_submodule(f"{target}_of_places", places)
        y = super()._convolution(places, f"{target}_of_places", self.enlarged[x])
        return self._add("DepthToSpace", y, blocksize=2, mode="CRD")


@torch.no_grad()
def convolution_of_places(conv: nn.Conv2d) -> nn.Conv2d:
    """What, with a pixel shuffle by two after it, does as `conv` after repeating each pixel 2x2.

    conv: 3x3, stride 1, padded by 1, with a bias. Row p of place i's two reads rows 2i + p - 1 to
    2i + p + 1 of the enlarged picture: rows i + (p - 1) // 2 to i + (p + 1) // 2 of places.
    """
    assert conv.bias is not None
    assert (conv.kernel_size, conv.stride, conv.padding) == ((3, 3), (1, 1), (1, 1))
    outputs, inputs = conv.weight.shape[:2]
    weight = conv.weight.new_zeros(outputs, 2, 2, inputs, 3, 3)
    for p, q, row, column in product(range(2), range(2), range(3), range(3)):
        place = (p + row - 1) // 2 + 1, (q + column - 1) // 2 + 1
        weight[:, p, q, :, *place] += conv.weight[:, :, row, column]
    places = nn.Conv2d(inputs, 4 * outputs, 3, padding=1)
    places.weight = nn.Parameter(weight.reshape(4 * outputs, inputs, 3, 3))
    places.bias = nn.Parameter(conv.bias.repeat_interleave(4))
    return places
