"""The graph of exported files: the same sums as the network's, in fewer passes over memory.

In ONNX Runtime on a CPU a picture of 640x360 takes 27 ms so, where node for node it takes 35.
"""

import copy
from typing import Any

import numpy as np
import torch.nn.functional as F
from onnx import TensorProto
from torch import nn

from impasto.export.graphs.builder import GraphBuilder
from impasto.export.graphs.subpixel import BORDER, PARTS, GivingPlaces, ReadingPlaces
from impasto.export.spec import FRAMES, STYLIZED
from impasto.models.transform_net import TransformNet


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
        self.functions[F.relu] = lambda x, **_: self._as(x, self._add("Relu", x))
        self.places: dict[str, int] = {}  # values that are places, and how many channels they have
        self.bordered: set[str] = set()
        self.measured: tuple[str, str] | None = None  # the picture, and its mean
        self.standardised: set[str] = set()

    @property
    def white(self) -> float:
        """What the network reads for white: it may be any number where it is standardised."""
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
        picture = self._single(args[0])
        if not self.in_levels:
            picture = self._arithmetic("Add", self._arithmetic("Mul", picture, 255.0), 0.5)
        clipped = self._add("Clip", picture, *self._floats(0, 255))
        cut_off = self._add("Cast", clipped, to=TensorProto.UINT8)
        self._add("Transpose", cut_off, perm=[0, 2, 3, 1], name=STYLIZED)

    # The picture standardised: one node, where it was mean, difference and quotient.

    def _variance_and_mean(self, x: str) -> tuple[str, str]:
        """Variance as the mean of squares less the square of the mean.

        Of rows first, and then of these: WASM adds up a whole picture with an error that shows.
        """
        if self.norm_mode != "instance":
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
        return super()._arithmetic(kind, self._pixels(a), self._pixels(b))

    # The way up: see impasto.export.graphs.subpixel.

    def call_module(self, target: Any, args: Any, kwargs: Any) -> str:
        module, (x, *rest) = self.fetch_attr(target), args
        if isinstance(module, nn.InstanceNorm2d | nn.ReLU):
            return self._as(x, super().call_module(target, args, kwargs))
        if isinstance(module, GivingPlaces):
            places = self._convolution(module.conv, f"{target}.conv", self._pixels(x))
            return self._parts(places, module.channels)
        if isinstance(module, ReadingPlaces) and x in self.places:
            places = self._convolution(module.conv, f"{target}.conv", self._side_by_side(x))
            picture = self._add("DepthToSpace", places, blocksize=4, mode="CRD")
            self.bordered.add(picture)
            return picture
        return super().call_module(target, (self._pixels(x), *rest), kwargs)

    def _parts(self, places: str, channels: int) -> str:
        """(N, C, 4 H, W), of what `giving_places` gives."""
        parts, last = [], np.iinfo(np.int64).max
        for part, (p, q) in enumerate(PARTS):
            begins = self._integers(part * channels, p, q)
            ends = self._integers((part + 1) * channels, last if p else -1, last if q else -1)
            parts.append(self._add("Slice", places, begins, ends, self._integers(1, 2, 3)))
        y = self._add("Concat", *parts, axis=2)
        self.places[y] = channels
        return y

    def _side_by_side(self, x: str) -> str:
        """(N, 4 C, H, W), of (N, C, 4 H, W)."""
        return self._add("Reshape", x, self._integers(0, 4 * self.places[x], -1, 0))

    def _as(self, x: str, y: str) -> str:
        """`y`, whose pixels stand as those of `x` do."""
        if x in self.places:
            self.places[y] = self.places[x]
        return y

    def _pixels(self, x: Any) -> Any:
        """(N, C, 2 H, 2 W) where it was in places."""
        if x not in self.places:
            return x
        return self._add("DepthToSpace", self._side_by_side(x), blocksize=2, mode="CRD")

    def _getitem(self, value: Any, index: Any) -> Any:
        if value in self.bordered:
            images, *sides = index
            index = (images, *(slice(s.start + BORDER, s.stop + BORDER) for s in sides))
        return super()._getitem(value, index)
