"""The graph of a style network for CPU engines: pixels are padded and shuffled as bytes.

It computes the same as export.graphs.portable. But the picture is padded before it is cast, and
the pixel shuffle comes last, after rounding, where it moves a quarter of the bytes; the shuffle
alone was 5 of 14 ms for 640x360 in OpenVINO. Exported files do not do so: GPUs and phones have few
operators for bytes and would fall back to the CPU.
"""

import onnx
import torch
import torch.nn.functional as F
from torch import Tensor

from impasto.export.graphs.builder import build_graph
from impasto.export.graphs.norms import NormSource, count_channels, replace_norms
from impasto.export.graphs.rewrites import (
    RewrittenNet,
    Yuv420Conv,
    crop,
    four_of_each,
    pad_by_reflection,
    planes_to_yuv420p,
    skip_last_shuffle,
)
from impasto.export.graphs.signature import video_signature
from impasto.export.spec import NormMode
from impasto.models.architectures import MARGIN, STRIDE
from impasto.models.transform_net import TransformNet


def build_cpu_model(
    network: TransformNet, norm_mode: NormMode, *, yuv420: bool = False
) -> onnx.ModelProto:
    """A graph with uint8 RGB input (N, H, W, 3) and uint8 output, for any size.

    yuv420: the output is planar yuv420p, (N, 3 H / 2, W) with H and W even, as in
    models.fast.yuv420: BT.709, limited range; see `yuv420_weights` for other color spaces.
    """
    signature = video_signature(norm_mode, count_channels(network), yuv420)
    return build_graph(CpuNet(network, norm_mode, yuv420), *signature)


class CpuNet(RewrittenNet):
    """A style network that pads and shuffles pixels as bytes.

    Frames are (N, H, W, 3) uint8 RGB; so is the output, or yuv420p (N, 3 H / 2, W).
    """

    def __init__(self, network: TransformNet, norm_mode: NormMode, yuv420: bool = False) -> None:
        super().__init__(network)
        self.norms = NormSource(norm_mode)
        skip_last_shuffle(self.body)
        if norm_mode != "instance":
            replace_norms(self.body, self.norms, torch.float32)
        self.yuv420 = Yuv420Conv() if yuv420 else None

    def forward(
        self,
        frames: Tensor,
        mean: Tensor | None = None,
        variance: Tensor | None = None,
        weight: Tensor | None = None,
    ) -> Tensor | tuple[Tensor, ...]:
        """Stylized frames; with "running" also the updated statistics."""
        self.norms.begin(mean, variance, weight)
        height, width = frames.shape[1:3]
        padded = pad_by_reflection(frames.permute(0, 3, 1, 2), STRIDE, MARGIN)
        images = padded.to(torch.float32) * (1 / 255)
        mean, variance = self.norms.of_picture(images)
        deviation = (variance + 1e-5).sqrt()
        gain, offset = (four_of_each(x) for x in self.recolor(mean, deviation))
        y = self.body((images - mean) / deviation) * gain + offset
        stylized = self._yuv420p(y, height, width) if self.yuv420 else self._rgb(y, height, width)
        if self.norms.norm_mode == "running":
            return stylized, *self.norms.updated()
        return stylized

    def _rgb(self, y: Tensor, height: int, width: int) -> Tensor:
        pixels = F.pixel_shuffle(_levels(y * 255.0), 2)
        return crop(pixels, MARGIN, height, width).permute(0, 2, 3, 1)

    def _yuv420p(self, y: Tensor, height: int, width: int) -> Tensor:
        assert self.yuv420 is not None
        luma, chroma = (
            crop(_levels(conv(y)), MARGIN // 2, height // 2, width // 2)
            for conv in (self.yuv420.luma, self.yuv420.chroma)
        )
        return planes_to_yuv420p(luma, chroma, width)


def _levels(x: Tensor) -> Tensor:
    return x.clamp(0, 255).round().to(torch.uint8)
