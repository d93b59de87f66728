"""The graph of a style network for CPU engines: pixels are padded and shuffled as bytes.

It computes the same as export.graphs.portable. But the picture is padded before it is cast, and
the pixel shuffle comes last, after rounding, where it moves a quarter of the bytes; the shuffle
alone was 5 of 14 ms for 640x360 in OpenVINO. Exported files do not do so: GPUs and phones have few
operators for bytes and would fall back to the CPU.
"""

from typing import Any

import onnx
import torch.nn.functional as F
from onnx import TensorProto, helper, numpy_helper
from torch import fx

from impasto.export.graphs.builder import GraphBuilder, run_builder, trace
from impasto.export.graphs.rgb_to_yuv import CHROMA, LUMA, yuv420_weights
from impasto.export.spec import FRAMES, OPSET, STYLIZED, NormMode
from impasto.models.architectures import MARGIN
from impasto.models.transform_net import TransformNet


def build_cpu_model(
    network: TransformNet, norm_mode: NormMode, *, yuv420: bool = False
) -> onnx.ModelProto:
    """A graph with uint8 RGB input (N, H, W, 3) and uint8 output, for any size.

    yuv420: the output is planar yuv420p, (N, 3 H / 2, W) with H and W even, as in
    models.fast.yuv420: BT.709, limited range; see `yuv420_weights` for other color spaces.
    """
    return run_builder(_CpuBuilder(trace(network), norm_mode, yuv420))


class _CpuBuilder(GraphBuilder):
    def __init__(self, module: fx.GraphModule, norm_mode: NormMode, yuv420: bool) -> None:
        super().__init__(module, norm_mode, "nhwc-uint8", None, OPSET, False)
        self.yuv420 = yuv420
        self.functions[F.pixel_shuffle] = self._shuffle_later
        self._unshuffled: set[str] = set()  # values before the pixel shuffle: (N, 12, H, W)
        self._crop: tuple[Any, Any] | None = None

    def placeholder(self, target: Any, args: Any, kwargs: Any) -> str:
        return self._add("Transpose", FRAMES, perm=[0, 3, 1, 2])

    def _reflect_pad(self, x: str, stride: int, margin: int) -> str:
        pixels = self._add("Cast", super()._reflect_pad(x, stride, margin), to=TensorProto.FLOAT)
        return self._arithmetic("Mul", pixels, 1 / 255)

    def _shuffle_later(self, x: str, n: int) -> str:
        assert n == 2, "2x2 subpixels"
        self._unshuffled.add(x)
        return x

    def _arithmetic(self, kind: str, a: Any, b: Any) -> Any:
        if a not in self._unshuffled:
            return super()._arithmetic(kind, a, b)
        name = super()._arithmetic(kind, a, self._fourfold(b))
        self._unshuffled.add(name)
        return name

    def _fourfold(self, x: Any) -> Any:
        """(N, 3, 1, 1) to (N, 12, 1, 1): each color's value for its four subpixels."""
        if not isinstance(x, str):
            return x
        wide = self._add("Reshape", x, self._integers(-1, 3, 1, 1))
        wide = self._add("Expand", wide, self._integers(1, 3, 4, 1))
        return self._add("Reshape", wide, self._integers(-1, 12, 1, 1))

    def _getitem(self, value: Any, index: Any) -> Any:
        if value not in self._unshuffled:
            return super()._getitem(value, index)
        self._crop = index
        return value

    def output(self, target: Any, args: Any, kwargs: Any) -> None:
        assert args[0] in self._unshuffled and self._crop is not None
        if self.yuv420:
            self._output_yuv420(args[0])
            return
        pixels = self._shuffled(self._levels(self._arithmetic("Mul", args[0], 255.0)))
        cropped = super()._getitem(pixels, self._crop)
        self._add("Transpose", cropped, perm=[0, 2, 3, 1], name=STYLIZED)

    def _levels(self, x: str) -> str:
        clipped = self._add("Clip", x, *self._floats(0, 255))
        return self._add("Cast", self._add("Round", clipped), to=TensorProto.UINT8)

    def _shuffled(self, x: str) -> str:
        return self._add("DepthToSpace", x, blocksize=2, mode="CRD")

    def _output_yuv420(self, x: str) -> None:
        """From unshuffled RGB, cropped before the shuffle, to yuv420p."""
        for name, value in yuv420_weights(matrix=1, full_range=False).items():
            self.initializers[name] = numpy_helper.from_array(value, name)
        names = [(f"{part}.weight", f"{part}.bias") for part in (LUMA, CHROMA)]
        margin = MARGIN // 2
        ends = self._add("Div", self._size(), self._integers(2))
        ends = self._add("Add", ends, self._integers(margin))
        crop = self._integers(margin, margin), ends, self._integers(2, 3)
        width = self._add("Slice", self._size(), self._integers(1), self._integers(2))
        rows = self._add("Concat", self._integers(0, -1), width, axis=0)
        luma, chroma = (
            self._add("Slice", self._levels(self._add("Conv", x, *pair)), *crop) for pair in names
        )
        parts = [self._add("Reshape", part, rows) for part in (self._shuffled(luma), chroma)]
        self._add("Concat", *parts, axis=1, name=STYLIZED)

    def _picture_info(self, name: str) -> onnx.ValueInfoProto:
        if self.yuv420 and name == STYLIZED:
            sides = ["n", "rows", "width"]
            return helper.make_tensor_value_info(name, TensorProto.UINT8, sides)
        return super()._picture_info(name)
