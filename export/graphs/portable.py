"""The graph of an exported file: the network's results in fewer passes over memory.

ONNX Runtime on a CPU takes 27 ms for a picture of 640x360; with one node for each of PyTorch's
operators it takes 35.
"""

import copy
from dataclasses import replace

import onnx
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from impasto.export.graphs.builder import Mixture, build_graph
from impasto.export.graphs.rewrites import RewrittenNet, crop, pad_by_reflection
from impasto.export.graphs.signature import picture_info
from impasto.export.graphs.subpixel import rewrite_on_subpixels
from impasto.export.spec import FRAMES, OPSET, STYLIZED, GraphShape, TensorLayout
from impasto.models.architectures import MARGIN, STRIDE
from impasto.models.transform_net import TransformNet


def build_portable_model(
    network: nn.Module | Mixture,
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
    mixture = None
    if isinstance(network, Mixture):
        *styles, identity = (_rewritten(x, layout) for x in (*network.styles, network.identity))
        mixture, rewritten = replace(network, styles=styles, identity=identity), identity
    else:
        rewritten = _rewritten(network, layout)
    if half:
        rewritten = copy.deepcopy(rewritten)
        rewritten.use_half()
    inputs, outputs = ([picture_info(name, layout, static)] for name in (FRAMES, STYLIZED))
    return build_graph(rewritten, inputs, outputs, opset=opset, mixture=mixture)


def _rewritten(network: nn.Module, layout: TensorLayout) -> "PortableNet | LayoutNet":
    if type(network).forward is TransformNet.forward:
        return PortableNet(network, layout)  # type: ignore[arg-type]
    return LayoutNet(network, layout)


class PortableNet(RewrittenNet):
    """A style network on subpixels, on pictures of a layout.

    With "nhwc-uint8" the scaling to and from bytes costs nothing: the picture is standardized in
    levels, and the last scaling, by small tensors, includes the factor 255 and the 0.5 that makes
    truncation round.
    """

    def __init__(self, network: TransformNet, layout: TensorLayout = "nhwc-uint8") -> None:
        super().__init__(network)
        self.margin = MARGIN + rewrite_on_subpixels(self.body)
        self.on_bytes = layout == "nhwc-uint8"
        self.white = 255.0 if self.on_bytes else 1.0
        # One node in place of mean, difference and quotient.
        self.standardize = nn.InstanceNorm2d(3, eps=1e-5 * self.white**2)
        self.dtype = torch.float32

    def use_half(self) -> None:
        """Compute in float16 from the first convolution to the last."""
        self.dtype = torch.float16
        self.body.half()

    def forward(self, frames: Tensor) -> Tensor:
        images = frames.to(torch.float32).permute(0, 3, 1, 2) if self.on_bytes else frames
        height, width = images.shape[2:]
        images = pad_by_reflection(images, STRIDE, MARGIN)
        mean, variance = self._statistics(images)
        gain, offset = self.recolor(mean, (variance + 1e-5).sqrt())
        if self.on_bytes:
            gain, offset = 255.0 * gain, 255.0 * offset + 0.5
        y = self.body(self.standardize(images).to(self.dtype))
        y = crop(y, self.margin, height, width) * gain + offset
        return _to_bytes(y) if self.on_bytes else y

    def _statistics(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and variance of the colors in [0, 1], (N, 3, 1, 1).

        Variance as the mean of squares minus the square of the mean. Means of rows first, then of
        these: WASM sums a complete picture with a visible error.
        """
        mean, squares = (x.mean(3, True).mean(2, True) for x in (images, images * images))
        if self.on_bytes:
            mean, squares = mean * (1 / self.white), squares * (1 / self.white**2)
        return mean, F.relu(squares - mean * mean)  # rounding errors must not make it negative


class LayoutNet(nn.Module):
    """Any other network, (N, 3, H, W) in [0, 1], on pictures of a layout."""

    def __init__(self, network: nn.Module, layout: TensorLayout = "nhwc-uint8") -> None:
        super().__init__()
        self.network, self.on_bytes, self.dtype = network, layout == "nhwc-uint8", torch.float32

    def use_half(self) -> None:
        """Compute in float16."""
        self.dtype = torch.float16
        self.network.half()

    def forward(self, frames: Tensor) -> Tensor:
        if not self.on_bytes:
            y: Tensor = self.network(frames.to(self.dtype))
            return y.to(torch.float32)
        images = frames.to(torch.float32).permute(0, 3, 1, 2) * (1 / 255)
        y = self.network(images.to(self.dtype)).to(torch.float32)
        return _to_bytes(y * 255.0 + 0.5)


def _to_bytes(y: Tensor) -> Tensor:
    return y.clamp(0, 255).to(torch.uint8).permute(0, 2, 3, 1)
