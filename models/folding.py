"""A network for video: instance norm carried from frame to frame, and folded into convolutions.

Instance norm measures every channel of every frame. On video the figures hardly change from one
frame to the next, so they are kept as a moving average and folded into the weights
of the convolution before each norm:

    w' = w * s        b' = (b - mean) * s + beta        s = gamma / sqrt(variance + eps)

What is left is convolutions alone: twice as fast, and steadier. `FoldedNetwork` folds more in the
same way: the scaling from and to 0..255, the standardising of the input, the map of the output.
"""

import operator

import torch
import torch.nn.functional as F
from torch import Tensor, fx, nn

from models.fused import FusedConv
from models.layers import reflect_pad
from models.moments import Moments, join, moments_of
from models.transform_net import TransformNet


def norms_of(network: TransformNet) -> list[nn.InstanceNorm2d]:
    """The norms in the order of use."""
    return [m for m in network.body.modules() if isinstance(m, nn.InstanceNorm2d)]


def measure(network: TransformNet, image: Tensor) -> Moments:
    """The true statistics of one picture, by a pass through the network as it is.

    image: (1, 3, H, W) in [0, 1], in the network's own dtype. Returns the channels of the padded
    picture, then those of every norm's input in the order of `norms_of`.
    """
    measured = [moments_of(reflect_pad(image, network.STRIDE, network.MARGIN))]

    def record(_: nn.Module, inputs: tuple[Tensor]) -> None:
        measured.append(moments_of(inputs[0]))

    hooks = [norm.register_forward_pre_hook(record) for norm in norms_of(network)]
    try:
        network(image)
    finally:
        for hook in hooks:
            hook.remove()
    return join(measured)


class FoldedNetwork(nn.Module):
    """(N, H, W, 3) uint8 RGB to the same shape: `network` with its norms folded away.

    H and W at least MARGIN + stride of the network. `fold` comes before the first call.
    """

    def __init__(self, network: TransformNet, dtype: torch.dtype) -> None:
        super().__init__()
        self.network, self.dtype = network, dtype
        self.body, self.layers = fuse(network.body)
        self.first, self.last = self.layers[0], self.layers[-1]
        self.edge = self.first.padding[0]
        self.last.apart, self.last.activation = False, "hardtanh"
        norms = norms_of(network)
        self.widths = [norm.num_features for norm in norms]
        self.gamma = torch.cat([norm.weight.detach().float() for norm in norms])
        self.beta = torch.cat([norm.bias.detach().float() for norm in norms])
        self.eps = norms[0].eps

    def fold(self, statistics: Moments) -> None:
        """Set every weight for these statistics."""
        mean, variance = statistics.mean[:3], statistics.variance[:3]
        deviation = (variance + 1e-5).sqrt()
        gain, offset = self.network.recolor(mean.view(1, 3, 1, 1), deviation.view(1, 3, 1, 1))
        self.border = (255 * mean).to(self.dtype)
        self.statistics = statistics
        self.scale = self.gamma * (statistics.variance[3:] + self.eps).rsqrt()
        shift = self.beta - statistics.mean[3:] * self.scale
        maps = zip(self.scale.split(self.widths), shift.split(self.widths), strict=True)
        one, zero = self.gamma.new_ones(1), self.gamma.new_zeros(1)
        for layer in self.layers:
            scale, shift = next(maps) if layer.normed else (one, zero)
            if layer is self.last:
                scale, shift = 255 * gain.flatten(), 255 * offset.flatten()
            standardize = (255 * mean, 255 * deviation) if layer is self.first else None
            layer.fold(scale, shift, self.dtype, standardize=standardize)

    def forward(self, frames: Tensor) -> Tensor:
        return self._finish(self.body(self._padded(frames)), *frames.shape[1:3])

    def measuring(self, frames: Tensor) -> tuple[Tensor, Moments]:
        """The same, and the statistics of the last frame as this pass saw them.

        They cost half as much as the pass itself; a pass through the network as it is costs four.
        """
        padded = self._padded(frames)
        for layer in self.layers:
            layer.measuring = True
        try:
            y = self.body(padded)
        finally:
            for layer in self.layers:
                layer.measuring = False
        e = self.edge
        picture = moments_of(padded[-1:, :, e:-e, e:-e])
        picture = Moments(picture.mean / 255, picture.variance / 255**2)
        after = join([layer.measured for layer in self.layers if layer.measured is not None])
        return self._finish(y, *frames.shape[1:3]), join([picture, self._before_norms(after)])

    def _before_norms(self, after: Moments) -> Moments:
        """The moments of the norms' inputs, from those of their folded outputs."""
        old = Moments(self.statistics.mean[3:], self.statistics.variance[3:])
        mean = old.mean + (after.mean - self.beta) / self.scale
        # A channel whose gamma drowns in the rounding of bf16 would measure nonsense: no variance
        # changes by more than 16 times at once. Cuts do not come through here.
        variance = (after.variance / self.scale.square()).clamp(
            old.variance / 16, old.variance * 16
        )
        dead = self.scale == 0
        return Moments(mean.where(~dead, old.mean), variance.where(~dead, old.variance))

    def _padded(self, frames: Tensor) -> Tensor:
        """As `reflect_pad`, from uint8, with the first convolution's own padding around it.

        That padding is the mean, which standardising makes zero. Values stay 0..255, which bf16
        holds exactly. F.pad alone takes 5 ms for 640x360 in bf16; this takes 0.1.
        """
        n, height, width, _ = frames.shape
        m, e, stride = self.network.MARGIN, self.edge, self.network.STRIDE
        padded_height, padded_width = (x + 2 * m + -(x + 2 * m) % stride for x in (height, width))
        outer = torch.empty(
            (n, padded_height + 2 * e, padded_width + 2 * e, 3),
            dtype=self.dtype,
            device=frames.device,
        )
        outer[:, :e] = outer[:, -e:] = outer[:, :, :e] = outer[:, :, -e:] = self.border
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
        if normed := follower is not None and is_module(follower, nn.InstanceNorm2d):
            last, follower = follower, _only_user(follower)
        if follower is not None and follower.target is operator.add:
            residual = next(a for a in follower.args if a is not last)
            last, follower = follower, _only_user(follower)
        if relu := follower is not None and (
            follower.target is F.relu or is_module(follower, nn.ReLU)
        ):
            last = follower
        layer = FusedConv(
            modules[node.target], upsample=upsample, shuffle=shuffle, normed=normed, relu=relu
        )
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
