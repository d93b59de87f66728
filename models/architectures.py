"""The architectures of style networks: layers, and the names and shapes of their weights."""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple


@dataclass(frozen=True)
class ConvLayer:
    """A convolution, instance norm, and ReLU.

    upsample: nearest-neighbor upsampling by two comes first. skip: the name of an earlier layer,
    whose output is added before the ReLU.
    """

    name: str
    channels: int
    kernel: int = 3
    stride: int = 1
    upsample: bool = False
    skip: str = ""


@dataclass(frozen=True)
class NetworkConfig:
    """The layers of a `TransformNet`; a 3x3 convolution with a pixel shuffle by two comes last."""

    down: tuple[ConvLayer, ...]
    blocks: int  # residual blocks, with the channels of the last layer of `down`
    up: tuple[ConvLayer, ...]  # back to 1/2 of the image's size

    @property
    def stride(self) -> int:
        """Pixels between two positions of the residual blocks."""
        return math.prod(layer.stride for layer in self.down)


# Those of `TransformNet`, from the fastest to the one that paints best; a style file names its
# architecture in its metadata, under the key "form". Chosen by the comparisons in docs/research.
# Widths are multiples of 16, which fill the vector units.
ARCHITECTURES = {
    # Residual blocks at 1/8: for live video on processors. Without the skip connection the stride
    # of the blocks shows as a stamped pattern, and fine content is lost.
    "fast": NetworkConfig(
        down=(ConvLayer("stem", 32, kernel=7, stride=4), ConvLayer("down", 64, stride=2)),
        blocks=5,
        up=(
            ConvLayer("up", 32, upsample=True, skip="stem"),
            ConvLayer("refine", 16, upsample=True),
        ),
    ),
    # At 1/4, where a stroke can be drawn at full sharpness: for files, pictures and GPUs.
    "fine": NetworkConfig(
        down=(ConvLayer("stem", 32, kernel=7, stride=2), ConvLayer("down", 64, stride=2)),
        blocks=5,
        up=(ConvLayer("up", 32, upsample=True), ConvLayer("refine", 32)),
    ),
}

CLASSIC = "classic"  # `models.classic.ClassicNet`; the package has no style of it
NETWORKS = (*ARCHITECTURES, CLASSIC)  # all that a style file may be of

MARGIN = 24  # px of reflection around the image: see "The margin" in docs/research
STRIDE = 8  # px; the sides of the padded image are multiples of it


class NamedConv(NamedTuple):
    """One convolution of a network, as its state dict names it, in the order of computation."""

    name: str
    inputs: int
    outputs: int
    kernel: int
    norm: str | None  # the norm after it
    transposed: bool = False  # its weights have the inputs first


def convolutions(config: NetworkConfig) -> Iterator[NamedConv]:
    """All convolutions of a network."""
    channels = 3
    for layer in config.down:
        yield NamedConv(
            f"body.{layer.name}.0", channels, layer.channels, layer.kernel, f"body.{layer.name}.1"
        )
        channels = layer.channels
    for block in range(config.blocks):
        for part in (1, 2):
            name = f"body.blocks.{block}"
            yield NamedConv(f"{name}.conv{part}", channels, channels, 3, f"{name}.norm{part}")
    for layer in config.up:
        name = f"body.{layer.name}.0" + (".conv" if layer.upsample else "")
        yield NamedConv(name, channels, layer.channels, layer.kernel, f"body.{layer.name}.1")
        channels = layer.channels
    yield NamedConv("body.out.conv", channels, 4 * 3, 3, None)


def convolutions_of(architecture: str) -> Iterator[NamedConv]:
    """All convolutions of a network of NETWORKS."""
    if architecture != CLASSIC:
        yield from convolutions(ARCHITECTURES[architecture])
        return
    for place, inputs, outputs, kernel in ((0, 3, 32, 9), (3, 32, 64, 3), (6, 64, 128, 3)):
        yield NamedConv(f"body.{place}", inputs, outputs, kernel, f"body.{place + 1}")
    for block in range(9, 14):
        for part in (1, 2):
            name = f"body.{block}"
            yield NamedConv(f"{name}.conv{part}", 128, 128, 3, f"{name}.norm{part}")
    for place, inputs, outputs in ((14, 128, 64), (17, 64, 32)):
        yield NamedConv(f"body.{place}", inputs, outputs, 3, f"body.{place + 1}", transposed=True)
    yield NamedConv("body.20", 32, 3, 9, None)


def count_normed_channels(architecture: str) -> int:
    """The number of channels with norm statistics: the picture's three and those of all norms."""
    named = convolutions(ARCHITECTURES[architecture])
    return 3 + sum(conv.outputs for conv in named if conv.norm is not None)


def shared_weights(architecture: str) -> frozenset[str]:
    """The weights that styles trained together have in common: convolutions up to the last block.

    Each style has its own norms (conditional instance norm, Dumoulin et al. 2017), and its own
    convolutions on the way up.
    """
    config = ARCHITECTURES[architecture]
    own = {f"body.{layer.name}" for layer in config.up} | {"body.out"}
    names = [each.name for each in convolutions(config)]
    shared = [name for name in names if ".".join(name.split(".")[:2]) not in own]
    return frozenset(f"{name}.{part}" for name in shared for part in ("weight", "bias"))


def state_dict_shapes(architecture: str) -> dict[str, tuple[int, ...]]:
    """The name and shape of every weight of a network of NETWORKS: what a style file must hold.

    Computed without PyTorch, so that a file can be checked, and run by other engines, without it.
    """
    shapes: dict[str, tuple[int, ...]] = {}
    if architecture != CLASSIC:
        tone = ("gain", "gain_deviation", "offset", "offset_mean")
        shapes |= dict.fromkeys(tone, (3, 1, 1))
    for conv in convolutions_of(architecture):
        channels = (conv.inputs, conv.outputs) if conv.transposed else (conv.outputs, conv.inputs)
        shapes[f"{conv.name}.weight"] = (*channels, conv.kernel, conv.kernel)
        shapes[f"{conv.name}.bias"] = (conv.outputs,)
        if conv.norm is not None:
            shapes[f"{conv.norm}.weight"] = shapes[f"{conv.norm}.bias"] = (conv.outputs,)
    return shapes
