"""Our feed-forward image transformation network, in the sizes of the bake-off."""

from dataclasses import dataclass

import torch.nn.functional as F
from torch import Tensor, nn

from models.layers import ResidualBlock, ShuffleConv, UpsampleConv, conv, reflect_pad


@dataclass(frozen=True)
class Form:
    """The shape of a network."""

    stem: tuple[int, ...]
    width: int
    stride: int
    blocks: int = 5
    stem_size: int = 5
    up: int = 16
    separable: bool = False
    skip: bool = False
    norm_all: bool = False


FORMS = {
    "q48": Form(stem=(16,), width=48, stride=4, up=24),
    "q32": Form(stem=(16,), width=32, stride=4),
    "q32all": Form(stem=(16,), width=32, stride=4, norm_all=True),
    "e64": Form(stem=(16, 32), width=64, stride=8, up=32, stem_size=7),
    "e48": Form(stem=(16, 24), width=48, stride=8, up=24, stem_size=7),
    "e64skip": Form(stem=(16, 32), width=64, stride=8, up=32, stem_size=7, skip=True),
    "q48sep": Form(stem=(16,), width=48, stride=4, up=16, separable=True),
}


class TransformNet(nn.Module):
    MARGIN = 16

    def __init__(self, f: Form):
        super().__init__()
        self.f = f
        n = (
            (lambda c: nn.InstanceNorm2d(c, affine=True))
            if f.norm_all
            else (lambda c: nn.Identity())
        )
        if f.stride == 4:
            self.stem = nn.Sequential(conv(3, f.stem[0], 5, stride=2), n(f.stem[0]), nn.ReLU())
            self.down = nn.Sequential(conv(f.stem[0], f.width, 3, stride=2), n(f.width), nn.ReLU())
        else:
            self.stem = nn.Sequential(
                conv(3, f.stem[1], f.stem_size, stride=4), n(f.stem[1]), nn.ReLU()
            )
            self.down = nn.Sequential(conv(f.stem[1], f.width, 3, stride=2), n(f.width), nn.ReLU())
        self.blocks = nn.Sequential(
            *[ResidualBlock(f.width, separable=f.separable) for _ in range(f.blocks)]
        )
        self.up = nn.Sequential(UpsampleConv(f.width, f.up), n(f.up))
        if f.stride == 8:
            self.up2 = nn.Sequential(ShuffleConv(f.up, 8), nn.ReLU())
            self.out = ShuffleConv(8, 3)
        else:
            self.up2 = nn.Identity()
            self.out = ShuffleConv(f.up, 3)

    def forward(self, x: Tensor) -> Tensor:
        h, w = x.shape[-2:]
        m = self.MARGIN
        y = reflect_pad(x - 0.5, self.f.stride, m)
        s = self.stem(y)
        y = self.blocks(self.down(s))
        y = self.up(y)
        if self.f.skip:
            y = y + s
        y = self.out(self.up2(F.relu(y)))
        return (y + 0.5)[..., m : m + h, m : m + w]
