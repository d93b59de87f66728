"""A network for video: instance norm carried from frame to frame, and folded into convolutions.

Instance norm measures every channel of every frame. On video the figures hardly change from one
frame to the next, so they are kept as a moving average, and folded into the weights of the
convolution before each norm:

    w' = w * s        b' = (b - mean) * s + beta        s = gamma / sqrt(variance + eps)

What is left is convolutions alone: twice as fast, and steadier (`FoldedNetwork`). More is folded in
the same way: the scaling from and to 0..255, the standardising of the input, the map of the output.
Every few frames the statistics are brought up to date (`RenewingNetwork`).
"""

import operator
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor, fx, nn

from models.fused import FusedConv
from models.moments import Moments, join, moments_of, moving_average, split
from models.transform_net import TransformNet


def norm_map(norm: nn.InstanceNorm2d, moments: Moments) -> tuple[Tensor, Tensor]:
    """Scale and shift of each channel: what `norm` does to an input of these moments."""
    scale = norm.weight.float() * (moments.variance + norm.eps).rsqrt()
    return scale, norm.bias.float() - moments.mean * scale


class FusedNetwork(nn.Module):
    """(N, H, W, 3) uint8 RGB to the same shape, by convolutions that do all that follows them.

    H and W at least MARGIN + STRIDE of the network. What becomes of the norms, subclasses say.
    """

    def __init__(self, network: TransformNet, dtype: torch.dtype) -> None:
        super().__init__()
        self.dtype = dtype
        self.body, self.layers = fuse(network.body)
        self.first, self.last = self.layers[0], self.layers[-1]
        self.edge = self.first.padding[0]
        self.last.apart, self.last.activation = False, "hardtanh"
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

    def _fold_ends(self, picture: Moments, scale: Tensor, shift: Tensor) -> None:
        """The first layer, which standardises the picture, and the last, which gives it back.

        scale, shift: of each of the first layer's channels, to be folded in as well.
        """
        mean, deviation = picture.mean, (picture.variance + 1e-5).sqrt()
        self.border = (255 * mean).to(self.dtype)
        self.first.fold(scale, shift, self.dtype, standardize=(255 * mean, 255 * deviation))
        gain, offset = self.network.recolor(mean.view(1, 3, 1, 1), deviation.view(1, 3, 1, 1))
        self.last.fold(255 * gain.flatten(), 255 * offset.flatten(), self.dtype)

    def _set_border(self, padded: Tensor) -> None:
        """The first convolution's padding, (N, H, W, 3): the mean, which standardising makes 0."""
        e = self.edge
        padded[:, :e] = padded[:, -e:] = padded[:, :, :e] = padded[:, :, -e:] = self.border

    def _padded(self, frames: Tensor) -> Tensor:
        """As `reflect_pad`, from uint8, with the first convolution's own padding around it.

        Values stay 0..255, which bf16 holds exactly. F.pad alone takes 5 ms for 640x360 in bf16,
        this 0.1.
        """
        n, height, width, _ = frames.shape
        m, e, stride = self.network.MARGIN, self.edge, self.network.STRIDE
        padded_height, padded_width = (x + 2 * m + -(x + 2 * m) % stride for x in (height, width))
        outer = torch.empty(
            (n, padded_height + 2 * e, padded_width + 2 * e, 3),
            dtype=self.dtype,
            device=frames.device,
        )
        self._set_border(outer)
        x = outer[:, e:-e, e:-e]
        x[:, m : m + height, m : m + width] = frames
        for axis, size, padded in ((1, height, padded_height), (2, width, padded_width)):
            after = padded - m - size
            x.narrow(axis, 0, m).copy_(x.narrow(axis, m + 1, m).flip(axis))
            x.narrow(axis, m + size, after).copy_(
                x.narrow(axis, m + size - 1 - after, after).flip(axis)
            )
        return outer.permute(0, 3, 1, 2)

    def _finish(self, y: Tensor, height: int, width: int) -> Tensor:
        """Round, crop, and take the last layer's pixels apart. y: (N, 12, H / 2, W / 2) in 0..255.

        In uint8, where it moves the fewest bytes: 0.2 ms for 640x360, against 1.0 in bf16.
        """
        half = self.network.MARGIN // 2
        y = y[:, :, half : half + (height + 1) // 2, half : half + (width + 1) // 2]
        # By way of int16: bf16 to uint8 directly is not vectorised, and takes four times as long.
        y = y.round().to(torch.int16).to(torch.uint8).permute(0, 2, 3, 1).contiguous()
        n, h, w, _ = y.shape
        # Two pixels of three bytes are three words of two.
        y = y.view(torch.int16).view(n, h, w, 2, 3).permute(0, 1, 3, 2, 4).contiguous()
        return y.view(torch.uint8).view(n, 2 * h, 2 * w, 3)[:, :height, :width]


class FoldedNetwork(FusedNetwork):
    """`network` with the norms folded away. `fold` comes before the first call."""

    statistics: Moments | None = None  # those that every weight is folded with

    def take(self, network: TransformNet) -> None:
        super().take(network)
        self.statistics = None

    def fold(self, statistics: Moments) -> None:
        """Set every weight for these statistics, unless that is done."""
        if statistics is self.statistics:
            return
        self.statistics = statistics
        picture, *norms = split(statistics, self.widths)
        first, *maps = (norm_map(*pair) for pair in zip(self.norms, norms, strict=True))
        self._fold_ends(picture, *first)
        for layer, (scale, shift) in zip(self.layers[1:-1], maps, strict=True):
            layer.fold(scale, shift, self.dtype)

    def forward(self, frames: Tensor) -> Tensor:
        return self._finish(self.body(self._padded(frames)), *frames.shape[1:3])


class RenewingNetwork(FusedNetwork):
    """`network` on one frame, with statistics that are moved towards the frame's own on the way.

    Going down the layers, what each convolution gives is measured, and normed with the statistics
    so renewed, before the next layer sees it. (To renew all of them from one pass with the old ones
    is wrong: every layer then makes up for a change that the layers before it have also made up
    for, and the errors grow from refresh to refresh.)
    """

    def take(self, network: TransformNet) -> None:
        super().take(network)
        for layer in self.layers[1:-1]:
            layer.fold(*unchanged(layer.channels, layer.plain_weight), self.dtype)

    def forward(self, frame: Tensor, statistics: Moments, weight: float) -> tuple[Tensor, Moments]:
        """frame: (1, H, W, 3). Returns it stylised, and `statistics` moved by `weight` (0 to 1).

        With a weight of 1 they are the frame's own, whatever they were before, and so is the
        picture what `network` makes of it, in two thirds of the time.
        """
        picture, *norms = split(statistics, self.widths)
        padded, e = self._padded(frame), self.edge
        mean, variance = moments_of(padded[:, :, e:-e, e:-e])
        picture = moving_average(picture, Moments(mean / 255, variance / 255**2), weight)
        # The old means are taken off in the convolutions, since bf16 is most exact around zero.
        scale, _ = unchanged(self.first.channels, padded)
        self._fold_ends(picture, scale.float(), -norms[0].mean)
        self._set_border(padded.permute(0, 2, 3, 1))
        renewed = [picture]

        def renew(norm: nn.InstanceNorm2d, old: Moments, y: Tensor) -> Tensor:
            rest, variance = moments_of(y)
            new = moving_average(old, Moments(old.mean + rest, variance), weight)
            renewed.append(new)
            # One pass over memory, three to ten times as fast here as torch.addcmul.
            return F.batch_norm(
                y, new.mean - old.mean, new.variance, norm.weight, norm.bias, eps=norm.eps
            )

        for layer, norm, old in zip(self.layers[:-1], self.norms, norms, strict=True):
            layer.renew = partial(renew, norm, old)
        for layer, old in zip(self.layers[1:-1], norms[1:], strict=True):
            layer.shift_bias(-old.mean)
        y = self.body(padded)
        return self._finish(y, *frame.shape[1:3]), join(renewed)


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
