"""Stylizing networks for video, with norm statistics folded into the convolutions.

Instance norm computes the mean and variance of every channel of every frame. On video they hardly
change from one frame to the next, so a moving average is used (running statistics), and folded into
the weights of the convolution before each norm:

    w' = w * s        b' = (b - mean) * s + beta        s = gamma / sqrt(variance + eps)

`FoldedNetwork` consists of convolutions only: it is twice as fast as the original network, and its
output flickers less. The scaling from and to 0..255, the standardization of the input, and the
affine map of the output's colors are folded in the same way. `RunningNormNetwork` stylizes a frame
and updates the statistics, every few frames.
"""

import operator
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor, fx, nn

from impasto.models.fast.fused_conv import FusedConv
from impasto.models.fast.norm_statistics import NormStatistics
from impasto.models.fast.running_statistics import (
    instance_statistics,
    join,
    moving_average,
    split,
    statistics_to_tensors,
)
from impasto.models.fast.uint8_io import (
    blocks_to_rgb,
    crop_blocks,
    fill_border,
    pad_frames,
    without_border,
)
from impasto.models.fast.yuv420 import RgbToYuv420, blocks_to_yuv420p
from impasto.models.transform_net import TransformNet


def norm_affine(norm: nn.InstanceNorm2d, statistics: NormStatistics) -> tuple[Tensor, Tensor]:
    """Instance norm with given statistics as scale and shift of each channel, (C,) float32 each."""
    scale = norm.weight.float() * (statistics.variance + norm.eps).rsqrt()
    return scale, norm.bias.float() - statistics.mean * scale


class FusedNetwork(nn.Module):
    """A stylizing network of fused convolutions, from uint8 frames to uint8 frames.

    Input: (N, H, W, 3) uint8 RGB, H and W at least MARGIN + STRIDE of the network. Output: the
    same, or with `yuv420`, (N, 3 H / 2, W) uint8 yuv420p, H and W even. Subclasses implement the
    norms.
    """

    def __init__(
        self, network: TransformNet, dtype: torch.dtype, yuv420: RgbToYuv420 | None = None
    ) -> None:
        super().__init__()
        self.dtype, self.yuv420 = dtype, yuv420
        # The first layer's bias subtracts the mean, except in float16: GPUs round the products to
        # it before they add the bias, which is large for a picture of low contrast. Input in
        # float16 holds fractions of a level, so the mean can be subtracted from it; in bfloat16 it
        # holds whole levels only.
        self.centered = dtype == torch.float16
        self.body, self.layers = fuse(network.body)
        self.first, self.last = self.layers[0], self.layers[-1]
        self.border_px = self.first.padding[0]  # until `fold_first` sets it to 0
        self.last.shuffle_output, self.last.activation = False, "hardtanh"
        self.load_weights(network)
        self.channels = [3, *(norm.num_features for norm in self.norms)]
        self.border = self.first.conv_weight.new_zeros(3, dtype=dtype)

    def load_weights(self, network: TransformNet) -> None:
        """Replace the network by another one of the same architecture."""
        self.network = network
        self.norms = [m for m in network.body.modules() if isinstance(m, nn.InstanceNorm2d)]
        convolutions = [m for m in network.body.modules() if isinstance(m, nn.Conv2d)]
        for layer, convolution in zip(self.layers, convolutions, strict=True):
            layer.load_weights(convolution)

    def _fold_input_and_output(self, picture: NormStatistics, scale: Tensor, shift: Tensor) -> None:
        """Fold the input's standardization into the first layer, and its inverse into the last.

        picture: statistics of the input in [0, 1], (3,). scale, shift: of each channel of the first
        layer, folded into it as well.
        """
        mean, std = picture.mean, (picture.variance + 1e-5).sqrt()
        self.first.fold_first(
            scale, shift, self.dtype, 255 * mean, 255 * std, centered=self.centered
        )
        self.border.copy_(255 * mean)  # in place, for captured CUDA graphs
        gain, offset = self.network.recolor(mean.view(1, 3, 1, 1), std.view(1, 3, 1, 1))
        fold_output = None if self.yuv420 is None else self.yuv420.fold
        self.last.fold(255 * gain.flatten(), 255 * offset.flatten(), self.dtype, fold_output)

    def _padded(self, frames: Tensor) -> Tensor:
        """Frames padded by reflection, then by the mean color, which is standardized to 0."""
        margin, stride = self.network.MARGIN, self.network.STRIDE
        return pad_frames(
            frames,
            self.dtype,
            margin=margin,
            stride=stride,
            border=self.border,
            border_px=self.border_px,
        )

    def _stylized(self, padded: Tensor, size: tuple[int, int]) -> Tensor:
        """Run the body on padded frames. size: height and width without padding."""
        if self.centered:
            padded = padded.sub_(self.border.view(1, -1, 1, 1))
        blocks = crop_blocks(self.body(padded), size, self.network.MARGIN)
        if self.yuv420 is not None:
            return blocks_to_yuv420p(blocks)
        return blocks_to_rgb(blocks)[:, : size[0], : size[1]]


class FoldedNetwork(FusedNetwork):
    """A stylizing network with frozen norms, folded. Call `fold` before the first `forward`."""

    statistics: NormStatistics | None = None  # the ones folded into the weights

    def load_weights(self, network: TransformNet) -> None:
        super().load_weights(network)
        self.statistics = None

    def fold(self, statistics: NormStatistics) -> None:
        """Fold these statistics into the weights, unless they already are."""
        if statistics is self.statistics:
            return
        self.statistics = statistics
        tensors = statistics_to_tensors(statistics, self.border.device)
        picture, *norms = split(tensors, self.channels)
        first, *others = (norm_affine(*pair) for pair in zip(self.norms, norms, strict=True))
        self._fold_input_and_output(picture, *first)
        for layer, (scale, shift) in zip(self.layers[1:-1], others, strict=True):
            layer.fold(scale, shift, self.dtype)

    def forward(self, frames: Tensor) -> Tensor:
        return self._stylized(self._padded(frames), (frames.shape[1], frames.shape[2]))


class RunningNormNetwork(FusedNetwork):
    """A stylizing network that updates its running norm statistics with the frame it stylizes.

    Layer by layer, the output of a convolution is measured, the layer's statistics are updated, and
    the output is normalized with the updated ones before the next layer reads it. (Updating all
    layers from one pass with the old statistics is wrong: every layer then corrects a change that
    the layers before it correct as well, and the errors grow from update to update.)
    """

    def load_weights(self, network: TransformNet) -> None:
        super().load_weights(network)
        for layer in self.layers[1:-1]:
            layer.fold(*identity_affine(layer.channels, layer.conv_weight), self.dtype)

    def forward(
        self, frame: Tensor, statistics: NormStatistics, momentum: float
    ) -> tuple[Tensor, NormStatistics]:
        """Return the stylized frame and the updated statistics.

        frame: (1, H, W, 3) uint8 RGB. momentum: weight of the frame's own statistics in the
        moving average, in [0, 1]. With 1 the old statistics have no effect, and the output is that
        of the original network with instance norm, in two thirds of its time.
        """
        picture, *norms = split(statistics, self.channels)
        padded = self._padded(frame)
        mean, variance = instance_statistics(without_border(padded, self.border_px))
        picture = moving_average(picture, NormStatistics(mean / 255, variance / 255**2), momentum)
        # The convolutions subtract the old means, since bf16 is most exact around zero.
        scale, _ = identity_affine(self.first.channels, padded)
        self._fold_input_and_output(picture, scale.float(), -norms[0].mean)
        fill_border(padded, self.border, self.border_px)
        updated = [picture]

        def update_and_norm(norm: nn.InstanceNorm2d, old: NormStatistics, y: Tensor) -> Tensor:
            mean_change, variance = instance_statistics(y)
            new = moving_average(old, NormStatistics(old.mean + mean_change, variance), momentum)
            updated.append(new)
            # One pass over memory: three to ten times as fast here as torch.addcmul.
            return F.batch_norm(
                y, new.mean - old.mean, new.variance, norm.weight, norm.bias, eps=norm.eps
            )

        for layer, norm, old in zip(self.layers[:-1], self.norms, norms, strict=True):
            layer.unfolded_norm = partial(update_and_norm, norm, old)
        for layer, old in zip(self.layers[1:-1], norms[1:], strict=True):
            layer.shift_bias(-old.mean)
        stylized = self._stylized(padded, (frame.shape[1], frame.shape[2]))
        return stylized, join(updated)


def identity_affine(channels: int, like: Tensor) -> tuple[Tensor, Tensor]:
    """Scale 1 and shift 0 for each channel, (channels,) each, dtype and device those of `like`."""
    return like.new_ones(channels), like.new_zeros(channels)


def fuse(body: nn.Module) -> tuple[fx.GraphModule, list[FusedConv]]:
    """Replace every convolution of `body`, with the operations around it, by a FusedConv.

    Returns the new module, and its fused convolutions in the order of execution.
    """
    graph = fx.symbolic_trace(body)
    modules = dict(graph.named_modules())
    layers: list[FusedConv] = []

    def is_module(node: fx.Node, kind: type[nn.Module]) -> bool:
        return node.op == "call_module" and isinstance(modules[node.target], kind)

    for node in [n for n in graph.graph.nodes if is_module(n, nn.Conv2d)]:
        source, last, residual = node.args[0], node, None
        upsample = source.target is F.interpolate
        follower = _only_user(last)
        if shuffle := follower is not None and follower.target is F.pixel_shuffle:
            last, follower = follower, _only_user(follower)
        if follower is not None and is_module(follower, nn.InstanceNorm2d):
            last, follower = follower, _only_user(follower)
        if follower is not None and follower.target is operator.add:
            residual = next(a for a in follower.args if a is not last)
            last, follower = follower, _only_user(follower)
        if relu := follower is not None and (
            follower.target is F.relu or is_module(follower, nn.ReLU)
        ):
            last = follower
        layer = FusedConv(modules[node.target], upsample=upsample, shuffle=shuffle, relu=relu)
        layers.append(layer)
        name = f"layer{len(layers)}"
        graph.add_submodule(name, layer)
        with graph.graph.inserting_after(last):
            inputs = (source.args[0] if upsample else source,)
            inputs += () if residual is None else (residual,)
            fused = graph.graph.call_module(name, inputs)
        last.replace_all_uses_with(fused)
    graph.graph.eliminate_dead_code()
    graph.delete_all_unused_submodules()
    graph.recompile()
    return graph, layers


def _only_user(node: fx.Node) -> fx.Node | None:
    users = list(node.users)
    return users[0] if len(users) == 1 else None
