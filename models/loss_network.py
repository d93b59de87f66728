"""Loss networks, which give features by layer name: VGG-19, VGG-16 and a compact network."""

from collections.abc import Callable, Iterable
from pathlib import Path

import torch
import torch.nn.functional as F
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from impasto.models.downloads import downloaded_weights
from impasto.models.errors import WeightsError
from impasto.models.gatys.frozen_conv import conv_relu
from impasto.models.precision import Precision, dtype_of

VGG19_BLOCKS = (2, 2, 4, 4, 4)  # convolutions between two poolings (Simonyan and Zisserman 2014)
VGG19_TO_RELU5_1 = (2, 2, 4, 4, 1)
VGG16_BLOCKS = (2, 2, 3, 3, 3)
VGG_WIDTHS = (64, 128, 256, 512, 512)
COMPACT_WEIGHTS = Path(__file__).parent / "weights" / "compact.safetensors"

# Preprocessing as x * scale + shift, x in [0, 1].
OXFORD = ((255.0,) * 3, (-123.68, -116.779, -103.939))
TORCHVISION = (
    (1 / 0.229, 1 / 0.224, 1 / 0.225),
    (-0.485 / 0.229, -0.456 / 0.224, -0.406 / 0.225),
)


class LossNetwork(nn.Module):
    """A VGG: 3x3 convolutions with ReLU in five blocks, 2x2 pooling between them.

    network(images, layers) takes (N, 3, H, W) RGB in [0, 1], any float dtype, and returns
    {layer: (N, C, h, w)} for names such as "relu3_1", computing no further than the last one.
    Frozen (see `freeze`), gradients flow to the images, not to the weights.
    """

    def __init__(
        self,
        blocks: Iterable[int],
        widths: Iterable[int],
        preprocessing: tuple[tuple[float, ...], tuple[float, ...]],
        *,
        pool: Callable[..., Tensor] = F.max_pool2d,
    ) -> None:
        super().__init__()
        self.convs = nn.ModuleDict()
        self.scale: Tensor
        self.shift: Tensor
        channels = 3
        for block, (count, width) in enumerate(zip(blocks, widths, strict=True), start=1):
            for index in range(1, count + 1):
                self.convs[f"relu{block}_{index}"] = nn.Conv2d(channels, width, 3, padding=1)
                channels = width
        self.pool = pool
        scale, shift = (torch.tensor(values).view(1, 3, 1, 1) for values in preprocessing)
        self.register_buffer("scale", scale, persistent=False)
        self.register_buffer("shift", shift, persistent=False)

    def forward(self, images: Tensor, layers: Iterable[str]) -> dict[str, Tensor]:
        return self.backbone(images, layers)

    def backbone(self, images: Tensor, layers: Iterable[str]) -> dict[str, Tensor]:
        """As `forward`, but in a compact network the features before its heads."""
        requested = set(layers)
        features: dict[str, Tensor] = {}
        x = self.preprocess(images)
        names, pooled = list(self.convs), False
        for name, after in zip(names, [*names[1:], ""], strict=True):
            x = x if pooled else self.pool_before(name, x)
            pooled = after.endswith("_1") and self.pool is F.max_pool2d and name not in requested
            x = _conv_relu(self.convs[name], x, pooled=pooled)
            if name in requested:
                features[name] = x
            if len(features) == len(requested):
                return features
        raise ValueError(f"no layers {sorted(requested - set(features))} in {list(self.convs)}")

    def preprocess(self, images: Tensor) -> Tensor:
        """Images in [0, 1], normalized for the first convolution and in its dtype."""
        # Computed in the images' dtype: 255 levels do not fit in bfloat16's eight bits.
        x = torch.addcmul(self.shift.to(images.dtype), images, self.scale.to(images.dtype))
        return x.to(next(self.convs.parameters()).dtype)

    def pool_before(self, name: str, x: Tensor) -> Tensor:
        """The input of layer `name`: the layer before it, x, pooled where a block begins."""
        return self.pool(x, 2) if name.endswith("_1") and name != "relu1_1" else x


def _conv_relu(conv: nn.Module, x: Tensor, *, pooled: bool = False) -> Tensor:
    """Convolution, ReLU and, if pooled, 2x2 max-pooling; faster where the weights are frozen."""
    assert isinstance(conv, nn.Conv2d) and conv.bias is not None
    if not conv.weight.requires_grad:
        padding = conv.kernel_size[0] // 2
        return conv_relu(x, conv.weight, conv.bias, padding=padding, pooled=pooled)
    y = F.relu(conv(x), inplace=True)
    return F.max_pool2d(y, 2) if pooled else y


def freeze(network: LossNetwork, dtype: torch.dtype, device: torch.device | str) -> LossNetwork:
    """The network in place without weight gradients, channels last, on `device` in `dtype`."""
    network.requires_grad_(False).eval()
    for child in network.children():  # the preprocessing stays float32
        child.to(dtype)
    return network.to(device).to(memory_format=torch.channels_last)


def load_tensors(path: Path) -> dict[str, Tensor]:
    """The tensors of a safetensors file. Raises WeightsError, never unpickles."""
    try:
        return load_file(path)
    except FileNotFoundError:
        raise WeightsError(f"no weights at {path}") from None
    except (OSError, SafetensorError) as error:
        raise WeightsError(f"{path} is not a valid safetensors file: {error}") from None


def oxford_vgg19(path: Path) -> LossNetwork:
    """VGG-19 up to relu5_1 with the authors' own weights, from a safetensors file.

    Tensors are named as in torchvision (`features.N.weight`), for input in 0..255 minus the mean.
    """
    network = LossNetwork(VGG19_TO_RELU5_1, VGG_WIDTHS, OXFORD)
    return load_torchvision_weights(network, load_tensors(path), path)


def load_torchvision_weights(
    network: LossNetwork, tensors: dict[str, Tensor], origin: object
) -> LossNetwork:
    """Load tensors with torchvision's names into `network`, in order of their numbers.

    origin: where they come from, for the message of a WeightsError.
    """
    numbers = sorted({int(name.split(".")[1]) for name in tensors if name.startswith("features.")})
    if len(numbers) < len(network.convs):
        raise WeightsError(f"{origin} holds {len(numbers)} convolutions, not {len(network.convs)}")
    for number, convolution in zip(numbers, network.convs.values(), strict=False):
        parts = ("weight", "bias")
        convolution.load_state_dict({part: tensors[f"features.{number}.{part}"] for part in parts})
    return network


def torchvision_vgg(name: str) -> LossNetwork:
    """VGG-16 or VGG-19 with torchvision's weights, which it downloads once, hash checked."""
    from torchvision import models as zoo

    weights = {"vgg16": zoo.VGG16_Weights, "vgg19": zoo.VGG19_Weights}[name].IMAGENET1K_V1
    tensors = downloaded_weights(weights, name, instead="the compact network needs no download")
    blocks = VGG16_BLOCKS if name == "vgg16" else VGG19_BLOCKS
    network = LossNetwork(blocks, VGG_WIDTHS, TORCHVISION)
    return load_torchvision_weights(network, tensors, name)


COMPACT_WIDTHS = (24, 56, 104, 208, 224)
HEADS = {  # layers of the compact network that have a head, with VGG-19's channels
    "relu1_1": 64,
    "relu2_1": 128,
    "relu3_1": 256,
    "relu4_1": 512,
    "relu4_2": 512,
    "relu5_1": 512,
}


class CompactNetwork(LossNetwork):
    """An approximation of VGG-19 at a fifth of its cost, from `models.training.distill`.

    The backbone has VGG-19's layers with fewer channels; at each layer of HEADS a 1x1 convolution
    with ReLU, the head, maps them to VGG-19's channels.
    """

    def __init__(self) -> None:
        super().__init__(VGG19_TO_RELU5_1, COMPACT_WIDTHS, TORCHVISION)
        self.heads = nn.ModuleDict(
            {
                layer: nn.Conv2d(COMPACT_WIDTHS[int(layer[4]) - 1], channels, 1)
                for layer, channels in HEADS.items()
            }
        )

    def forward(self, images: Tensor, layers: Iterable[str]) -> dict[str, Tensor]:
        features = self.backbone(images, layers)
        return {layer: _conv_relu(self.heads[layer], x) for layer, x in features.items()}


def compact_network(path: Path = COMPACT_WEIGHTS) -> CompactNetwork:
    """The compact loss network; by default with the weights of the package."""
    network = CompactNetwork()
    network.load_state_dict(load_tensors(path))
    return network


def load_loss_network(
    name: str,
    *,
    device: torch.device | str = "cpu",
    precision: Precision = "auto",
    teacher: Path | None = None,
) -> LossNetwork:
    """A frozen loss network by name: "compact", "vgg16", "vgg19", or "oxford" read from `teacher`.

    precision: "auto" is the faster one on `device`, as features need no more than bfloat16.
    Raises WeightsError for an unknown name, a missing file or a failed download.
    """
    network: LossNetwork
    if name == "compact":
        network = compact_network()
    elif name in ("vgg16", "vgg19"):
        network = torchvision_vgg(name)
    elif name == "oxford" and teacher:
        network = oxford_vgg19(teacher)
    else:
        raise WeightsError(f"unknown loss network {name!r}; use compact, vgg16 or vgg19")
    return freeze(network, dtype_of(precision, str(device)), device)
