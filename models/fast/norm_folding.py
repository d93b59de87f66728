"""A network for video: instance norm by running statistics, folded into convolutions.

Instance norm measures every channel of every frame. On video the figures hardly change from one
frame to the next, so they are kept as a moving average, and folded into the weights of the
convolution before each norm:

    w' = w * s        b' = (b - mean) * s + beta        s = gamma / sqrt(variance + eps)

What is left is convolutions alone: twice as fast, and steadier (`FoldedNetwork`). More is folded in
the same way: the scaling from and to 0..255, the standardizing of the input, the map of the output.
Every few frames the statistics are brought up to date (`RunningNormNetwork`).
"""

import operator
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor, fx, nn

from impasto.models.fast.fused_conv import FusedConv
from impasto.models.fast.norm_statistics import NormStatistics
from impasto.models.fast.running_statistics import (
    join,
    moving_average,
    split,
    statistics_of,
    tensors_of,
)
from impasto.models.fast.uint8_io import (
    crop_blocks,
    fill_border,
    inside_border,
    pad_frames,
    rgb_of,
)
from impasto.models.fast.yuv420 import RgbToYuv420, yuv420p_of
from impasto.models.transform_net import TransformNet


def norm_map(norm: nn.InstanceNorm2d, statistics: NormStatistics) -> tuple[Tensor, Tensor]:
    """Scale and shift of each channel: what `norm` does to an input with these statistics."""
    scale = norm.weight.float() * (statistics.variance + norm.eps).rsqrt()
    return scale, norm.bias.float() - statistics.mean * scale


class FusedNetwork(nn.Module):
    """`network` on uint8 frames, in convolutions that do all that follows them.

    Takes (N, H, W, 3) uint8 RGB, height and width at least MARGIN + STRIDE of the network. Gives
    the same, or, where `yuv420` is given, (N, 3 H / 2, W) uint8 yuv420p, H and W even. What becomes
    of the norms is up to the subclasses.
    """

    def __init__(
        self, network: TransformNet, dtype: torch.dtype, yuv420: RgbToYuv420 | None = None
    ) -> None:
        super().__init__()
        self.dtype, self.yuv420 = dtype, yuv420
        # float16 holds a level's fractions, and GPUs round to it before they add a bias, which for
        # a picture of little contrast is large; bfloat16 holds levels only.
        self.centered = dtype == torch.float16
        self.body, self.layers = fuse(network.body)
        self.first, self.last = self.layers[0], self.layers[-1]
        self.last.shuffles_pixels, self.last.activation = False, "hardtanh"
        self.take(network)
        self.widths = [3, *(norm.num_features for norm in self.norms)]
        self.border = self.first.plain_weight.new_zeros(3, dtype=dtype)

    def take(self, network: TransformNet) -> None:
        """Compute with the weights of `network` from here on; of the form of the first."""
        self.network = network
        self.norms = [m for m in network.body.modules() if isinstance(m, nn.InstanceNorm2d)]
        convolutions = [m for m in network.body.modules() if isinstance(m, nn.Conv2d)]
        for layer, convolution in zip(self.layers, convolutions, strict=True):
            layer.take(convolution)

    def _fold_ends(self, picture: NormStatistics, scale: Tensor, shift: Tensor) -> None:
        """Fold the first layer, which standardizes the picture, and the last, which undoes that.

        scale, shift: of each of the first layer's channels, to be folded in as well.
        """
        mean, deviation = picture.mean, (picture.variance + 1e-5).sqrt()
        self.first.fold_first(
            scale, shift, self.dtype, 255 * mean, 255 * deviation, centered=self.centered
        )
        self.border.copy_(255 * mean)  # in place, like the weights
        gain, offset = self.network.recolor(mean.view(1, 3, 1, 1), deviation.view(1, 3, 1, 1))
        recode = None if self.yuv420 is None else self.yuv420.fold
        self.last.fold(255 * gain.flatten(), 255 * offset.flatten(), self.dtype, recode)

    def _padded(self, frames: Tensor) -> Tensor:
        """(N, 3, H', W'), surrounded by the mean color, which standardizing makes 0."""
        margin, stride = self.network.MARGIN, self.network.STRIDE
        return pad_frames(frames, self.dtype, margin=margin, stride=stride, border=self.border)

    def _stylized(self, padded: Tensor, size: tuple[int, int]) -> Tensor:
        """Run the body; size: height and width of the frames."""
        if self.centered:
            padded = padded.sub_(self.border.view(1, -1, 1, 1))
        blocks = crop_blocks(self.body(padded), size, self.network.MARGIN)
        if self.yuv420 is not None:
            return yuv420p_of(blocks)
        return rgb_of(blocks)[:, : size[0], : size[1]]


class FoldedNetwork(FusedNetwork):
    """`network` with the norms folded away. `fold` comes before the first call."""

    statistics: NormStatistics | None = None  # those that every weight is folded with

    def take(self, network: TransformNet) -> None:
        super().take(network)
        self.statistics = None

    def fold(self, statistics: NormStatistics) -> None:
        """Set every weight for these statistics, unless that is done."""
        if statistics is self.statistics:
            return
        self.statistics = statistics
        picture, *norms = split(tensors_of(statistics, self.border.device), self.widths)
        first, *maps = (norm_map(*pair) for pair in zip(self.norms, norms, strict=True))
        self._fold_ends(picture, *first)
        for layer, (scale, shift) in zip(self.layers[1:-1], maps, strict=True):
            layer.fold(scale, shift, self.dtype)

    def forward(self, frames: Tensor) -> Tensor:
        return self._stylized(self._padded(frames), (frames.shape[1], frames.shape[2]))


class RunningNormNetwork(FusedNetwork):
    """`network` on one frame, with running statistics that are updated layer by layer.

    The output of each convolution is measured, its statistics are moved toward the measured ones,
    and it is normalized with the result before the next layer. (To update all of them from one pass
    with the old ones is wrong: every layer then makes up for a change that the layers before it
    have also made up for, and the errors grow from update to update.)
    """

    def take(self, network: TransformNet) -> None:
        super().take(network)
        for layer in self.layers[1:-1]:
            layer.fold(*unchanged(layer.channels, layer.plain_weight), self.dtype)

    def forward(
        self, frame: Tensor, statistics: NormStatistics, weight: float
    ) -> tuple[Tensor, NormStatistics]:
        """frame: a batch of one. Returns it stylized, and `statistics` moved by `weight` (0 to 1).

        With a weight of 1 they are the frame's own, whatever they were before, and so is the
        picture what `network` makes of it, in two thirds of the time.
        """
        picture, *norms = split(statistics, self.widths)
        padded = self._padded(frame)
        mean, variance = statistics_of(inside_border(padded))
        picture = moving_average(picture, NormStatistics(mean / 255, variance / 255**2), weight)
        # The old means are taken off in the convolutions, since bf16 is most exact around zero.
        scale, _ = unchanged(self.first.channels, padded)
        self._fold_ends(picture, scale.float(), -norms[0].mean)
        fill_border(padded, self.border)
        updated = [picture]

        def running_norm(norm: nn.InstanceNorm2d, old: NormStatistics, y: Tensor) -> Tensor:
            rest, variance = statistics_of(y)
            new = moving_average(old, NormStatistics(old.mean + rest, variance), weight)
            updated.append(new)
            # One pass over memory, three to ten times as fast here as torch.addcmul.
            return F.batch_norm(
                y, new.mean - old.mean, new.variance, norm.weight, norm.bias, eps=norm.eps
            )

        for layer, norm, old in zip(self.layers[:-1], self.norms, norms, strict=True):
            layer.norm = partial(running_norm, norm, old)
        for layer, old in zip(self.layers[1:-1], norms[1:], strict=True):
            layer.shift_bias(-old.mean)
        stylized = self._stylized(padded, (frame.shape[1], frame.shape[2]))
        return stylized, join(updated)


def unchanged(channels: int, like: Tensor) -> tuple[Tensor, Tensor]:
    """The map y * 1 + 0 of so many channels."""
    return like.new_ones(channels), like.new_zeros(channels)


def fuse(body: nn.Module) -> tuple[fx.GraphModule, list[FusedConv]]:
    """`body` in fused convolutions, and these in the order of use."""
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
