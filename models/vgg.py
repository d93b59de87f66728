"""VGGs as loss networks: features by layer name; any of them from its tensors; a compact one."""

import re
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from impasto.models.errors import WeightsError
from impasto.models.gatys.frozen_conv import conv_relu
from impasto.models.loss_network_names import VGG_BLOCKS, nearest, vgg_layer
from impasto.models.losses import CONTENT_LAYER, STYLE_LAYERS
from impasto.models.weight_files import load_tensors

VGG19_TO_RELU5_1 = (2, 2, 4, 4, 1)
VGG_WIDTHS = (64, 128, 256, 512, 512)
COMPACT_WEIGHTS = Path(__file__).parent / "weights" / "compact.safetensors"

# Preprocessing as x * scale + shift, x in [0, 1].
OXFORD = ((255.0,) * 3, (-123.68, -116.779, -103.939))
TORCHVISION = (
    (1 / 0.229, 1 / 0.224, 1 / 0.225),
    (-0.485 / 0.229, -0.456 / 0.224, -0.406 / 0.225),
)
Preprocessing = tuple[tuple[float, ...], tuple[float, ...]]


class LossNetwork(nn.Module, ABC):
    """A frozen network that gives features by layer name.

    network(images, layers) takes (N, 3, H, W) RGB in [0, 1], any float dtype, and returns
    {layer: (N, C, h, w)}, computing no further than the last one. Frozen (see `freeze`), gradients
    flow to the images, not to the weights.
    """

    title: str  # what it is, for messages: "vgg19", "VGG-19 of FILE"
    # The layers to compare where none are asked for.
    content_layer: str = CONTENT_LAYER
    style_layers: Sequence[str] = STYLE_LAYERS

    def __init__(self, preprocessing: Preprocessing, title: str) -> None:
        super().__init__()
        self.title = title
        self.scale: Tensor
        self.shift: Tensor
        scale, shift = (torch.tensor(values).view(1, 3, 1, 1) for values in preprocessing)
        self.register_buffer("scale", scale, persistent=False)
        self.register_buffer("shift", shift, persistent=False)

    @abstractmethod
    def layer(self, name: str) -> str:
        """This network's own name of a layer in anybody's spelling. Raises WeightsError."""

    @abstractmethod
    def backbone(self, images: Tensor, layers: Iterable[str]) -> dict[str, Tensor]:
        """As `forward`, but in a compact network the features before its heads."""

    def forward(self, images: Tensor, layers: Iterable[str]) -> dict[str, Tensor]:
        return self.backbone(images, layers)

    @abstractmethod
    def size_of(self, layer: str, height: int, width: int) -> tuple[int, int]:
        """The size of a layer's features for images of height x width.

        Raises WeightsError where these are too small for it.
        """

    def tile_margin(self, layers: Iterable[str]) -> int | None:
        """Pixels around a tile for the same features at `layers`; None: it cannot be tiled."""
        return None

    @abstractmethod
    def use_average_pooling(self) -> None:
        """Average pooling in place of max pooling (Gatys et al. 2016, section 2)."""

    def use_features_before_relu(self) -> None:
        """Give features before the ReLU of their layer. Raises WeightsError if there are none."""
        raise WeightsError(f"{self.title} gives no features before ReLU: use a VGG")

    def preprocess(self, images: Tensor) -> Tensor:
        """Images in [0, 1], normalized for the first convolution and in its dtype."""
        # Computed in the images' dtype: 255 levels do not fit in bfloat16's eight bits.
        x = torch.addcmul(self.shift.to(images.dtype), images, self.scale.to(images.dtype))
        return x.to(next(self.parameters()).dtype)


class VGG(LossNetwork):
    """A VGG: 3x3 convolutions with ReLU in five blocks, 2x2 pooling between them.

    Its layers are named by block and convolution: "relu3_1".
    """

    def __init__(
        self,
        blocks: Sequence[int],
        widths: Sequence[int],
        preprocessing: Preprocessing,
        *,
        title: str = "VGG",
    ) -> None:
        super().__init__(preprocessing, title)
        self.convs = nn.ModuleDict()
        self.pool: Callable[..., Tensor] = F.max_pool2d
        self.before_relu = False
        self.module_count = 2  # of torchvision for a layer; 3 where it has batch norm
        channels = 3
        for block, (count, width) in enumerate(zip(blocks, widths, strict=True), start=1):
            for index in range(1, count + 1):
                self.convs[f"relu{block}_{index}"] = nn.Conv2d(channels, width, 3, padding=1)
                channels = width

    def layer(self, name: str) -> str:
        """ "conv4_2", "features.21" and others as "relu4_2": see `vgg_layer`."""
        layers = list(self.convs)
        found = vgg_layer(name, layers, self._numbers())
        if found in self.convs:
            return found
        if re.fullmatch(r"relu[1-5]_[1-4]", found):
            other = next((k for k in reversed(VGG_BLOCKS) if _has(VGG_BLOCKS[k], found)), None)
            has = f"; {other} has it" if other else ""
            raise WeightsError(f"{self.title} has no layer {name}: {nearest(found, layers)}{has}")
        raise WeightsError(f"there is no layer {name} in {self.title}: {nearest(found, layers)}")

    def _numbers(self) -> dict[int, str]:
        """The layers by the numbers of torchvision's modules, from convolution to ReLU."""
        numbers: dict[int, str] = {}
        at = 0
        for name in self.convs:
            at += name.endswith("_1") and name != "relu1_1"  # a pooling
            numbers |= dict.fromkeys(range(at, at + self.module_count), name)
            at += self.module_count
        return numbers

    def backbone(self, images: Tensor, layers: Iterable[str]) -> dict[str, Tensor]:
        requested = set(layers)
        features: dict[str, Tensor] = {}
        x = self.preprocess(images)
        names, pooled = list(self.convs), False
        for name, after in zip(names, [*names[1:], ""], strict=True):
            x = x if pooled else self.pool_before(name, x)
            conv = self.convs[name]
            if name in requested and self.before_relu:
                features[name], pooled = conv(x), False
                x = F.relu(features[name])
            else:
                max_pool = self.pool is F.max_pool2d
                pooled = after.endswith("_1") and max_pool and name not in requested
                x = conv_then_relu(conv, x, pooled=pooled)
                if name in requested:
                    features[name] = x
            if len(features) == len(requested):
                return features
        raise ValueError(f"no layers {sorted(requested - set(features))} in {list(self.convs)}")

    def pool_before(self, name: str, x: Tensor) -> Tensor:
        """The input of layer `name`: the layer before it, x, pooled where a block begins."""
        return self.pool(x, 2) if name.endswith("_1") and name != "relu1_1" else x

    def size_of(self, layer: str, height: int, width: int) -> tuple[int, int]:
        stride = stride_of(layer)
        if min(height, width) < stride:
            raise WeightsError(
                f"{width}x{height} is too small for {layer} of {self.title}: "
                f"it needs {stride} px a side"
            )
        return height // stride, width // stride

    def tile_margin(self, layers: Iterable[str]) -> int:
        # relu5_1 of VGG-19 sees 78 px to each side, and each convolution after it 16 px more.
        return 80 + 16 * max([0, *(int(name[6]) - 1 for name in layers if name[4] == "5")])

    def use_average_pooling(self) -> None:
        self.pool = F.avg_pool2d

    def use_features_before_relu(self) -> None:
        self.before_relu = True


def _has(blocks: Sequence[int], layer: str) -> bool:
    return int(layer[6]) <= blocks[int(layer[4]) - 1]


def stride_of(layer: str) -> int:
    """Pixels between two positions of a VGG's layer, from its name: 4 for "relu3_1"."""
    return 2 ** (int(layer[4]) - 1)


def conv_then_relu(conv: nn.Module, x: Tensor, *, pooled: bool = False) -> Tensor:
    """Convolution, ReLU and, if pooled, 2x2 max-pooling; faster where the weights are frozen."""
    assert isinstance(conv, nn.Conv2d) and conv.bias is not None
    if not conv.weight.requires_grad:
        padding = conv.kernel_size[0] // 2
        return conv_relu(x, conv.weight, conv.bias, padding=padding, pooled=pooled)
    y = F.relu(conv(x), inplace=True)
    return F.max_pool2d(y, 2) if pooled else y


# --- From the tensors of a file ---------------------------------------------------------------


def is_vgg(tensors: Mapping[str, Tensor]) -> bool:
    """Whether these are the weights of a VGG, by torchvision's names or by `conv1_1`."""
    if "conv1_1.weight" in tensors:
        return True
    weights = [w for _, w in _numbered(tensors, "weight") if w.ndim == 4]
    named = any(re.search(r"features\.\d+\.\D", re.sub(_PART, "", name)) for name in tensors)
    return bool(weights) and all(w.shape[2:] == (3, 3) for w in weights) and not named


def vgg_from(tensors: Mapping[str, Tensor], title: str) -> VGG:
    """A VGG from its tensors, whatever its depth, with batch norm or without.

    Names are torchvision's, `features.N.weight`, or those of the papers, `conv1_1.weight`. Batch
    norms become part of the convolutions before them. Oxford's weights, which take levels of 255
    less the mean in RGB or BGR, are told from torchvision's by their first layer.
    Raises WeightsError.
    """
    convolutions = _convolutions(tensors, title)
    blocks = [len(block) for block in convolutions]
    if len(blocks) > 5 or not blocks[0]:
        raise WeightsError(f"{title} is no VGG: its blocks have {blocks} convolutions")
    first, bias = convolutions[0][0]
    oxford = is_oxford(first, bias)
    name = _vgg_name(blocks)
    kind = "Oxford's" if oxford else "torchvision's"
    network = VGG(
        blocks,
        [len(block[0][0]) for block in convolutions],
        OXFORD if oxford else TORCHVISION,
        title=f"{name} of {title} ({kind} weights)",
    )
    network.module_count = 3 if _numbered(tensors, "running_mean") else 2
    if oxford and _is_bgr(first):
        convolutions[0][0] = (first.flip(1), bias)
    flat = [each for block in convolutions for each in block]
    for conv, (weight, bias) in zip(network.convs.values(), flat, strict=True):
        assert isinstance(conv, nn.Conv2d)
        if weight.shape != conv.weight.shape:
            shapes = f"{tuple(weight.shape)}, not {tuple(conv.weight.shape)}"
            raise WeightsError(f"{title} has a convolution of {shapes}: it is no VGG")
        conv.load_state_dict({"weight": weight, "bias": bias})
    return network


Convolution = tuple[Tensor, Tensor]  # weight and bias
_PART = r"\.(weight|bias|running_mean|running_var|num_batches_tracked)$"


def _numbered(tensors: Mapping[str, Tensor], part: str) -> list[tuple[int, Tensor]]:
    """The tensors `features.N.PART`, by N."""
    pattern = re.compile(rf"(?:.*\.)?features\.(\d+)\.{part}")
    matches = ((pattern.fullmatch(name), tensor) for name, tensor in tensors.items())
    return sorted(((int(m[1]), tensor) for m, tensor in matches if m), key=lambda pair: pair[0])


def _convolutions(tensors: Mapping[str, Tensor], title: str) -> list[list[Convolution]]:
    """The convolutions by block, in order. Raises WeightsError where one has no bias."""
    try:
        if "conv1_1.weight" in tensors:
            names = sorted(n for n in tensors if re.fullmatch(r"conv\d_\d\.weight", n))
            found = [(tensors[n], tensors[n.replace("weight", "bias")]) for n in names]
            begins = [name.endswith("_1.weight") for name in names]
        else:
            found, begins = _from_numbers(tensors)
    except KeyError as error:
        raise WeightsError(f"{title} is no VGG: convolution {error} has no bias") from None
    blocks: list[list[Convolution]] = []
    for each, first in zip(found, begins, strict=True):
        blocks += [[]] if first else []
        blocks[-1].append(each)
    return blocks


def _from_numbers(tensors: Mapping[str, Tensor]) -> tuple[list[Convolution], list[bool]]:
    """The convolutions by torchvision's numbers, and where a block begins: after a gap."""
    weights, biases = dict(_numbered(tensors, "weight")), dict(_numbered(tensors, "bias"))
    means, variances = (dict(_numbered(tensors, f"running_{x}")) for x in ("mean", "var"))
    numbers = [n for n, weight in weights.items() if weight.ndim == 4]
    step, found = (3 if means else 2), []
    for n in numbers:
        weight, bias = weights[n].float(), biases[n].float()
        if means:  # the batch norm after it
            scale = weights[n + 1] / (variances[n + 1] + 1e-5).sqrt()
            weight = weight * scale.view(-1, 1, 1, 1)
            bias = (bias - means[n + 1]) * scale + biases[n + 1]
        found.append((weight, bias))
    begins = [k == 0 or n - numbers[k - 1] > step for k, n in enumerate(numbers)]
    return found, begins


def _vgg_name(blocks: Sequence[int]) -> str:
    """ "VGG-19" for its blocks, or the first of them."""
    for name, full in VGG_BLOCKS.items():
        whole = list(full[: len(blocks) - 1]) == list(blocks[:-1])
        if whole and blocks[-1] <= full[len(blocks) - 1]:
            return f"VGG-{name[3:]}"
    return "a VGG"


# The first biases of Oxford's VGG-16 and VGG-19: both were trained on from one smaller network.
_OXFORD_BIASES = (0.7300, 0.0649, 0.0343, 0.8262, 0.2578, 0.5488, -0.0124, 0.3479)


def is_oxford(weight: Tensor, bias: Tensor) -> bool:
    """Whether the first layer, (C, 3, 3, 3) and (C,), takes levels of 255, not of 1 / 58.

    Oxford's are known by their biases; others that take such levels by the size of their filters:
    of torchvision's the median norm is about 1, of these it would be a sixtieth.
    """
    known = bias[: len(_OXFORD_BIASES)].float().cpu()
    expected = torch.tensor(_OXFORD_BIASES)
    if len(known) == len(expected) and (known - expected).abs().max() < 0.02:
        return True
    return weight.float().flatten(1).norm(dim=1).median().item() < 0.1


def _is_bgr(weight: Tensor) -> bool:
    """Whether the first channel is blue, of which Oxford's networks take the least notice."""
    energy = weight.float().square().sum((0, 2, 3))
    return bool(energy[0] < energy[2])


# --- The compact network ----------------------------------------------------------------------

COMPACT_WIDTHS = (24, 56, 104, 208, 224)
HEADS = {  # layers of the compact network that have a head, with VGG-19's channels
    "relu1_1": 64,
    "relu2_1": 128,
    "relu3_1": 256,
    "relu4_1": 512,
    "relu4_2": 512,
    "relu5_1": 512,
}


class CompactNetwork(VGG):
    """An approximation of VGG-19 at a fifth of its cost, from `models.training.distill`.

    The backbone has VGG-19's layers with fewer channels; at each layer of HEADS a 1x1 convolution
    with ReLU, the head, maps them to VGG-19's channels.
    """

    def __init__(self) -> None:
        super().__init__(VGG19_TO_RELU5_1, COMPACT_WIDTHS, TORCHVISION, title="compact")
        self.heads = nn.ModuleDict(
            {
                layer: nn.Conv2d(COMPACT_WIDTHS[int(layer[4]) - 1], channels, 1)
                for layer, channels in HEADS.items()
            }
        )

    def forward(self, images: Tensor, layers: Iterable[str]) -> dict[str, Tensor]:
        features = self.backbone(images, layers)
        if self.before_relu:
            return {layer: self.heads[layer](F.relu(x)) for layer, x in features.items()}
        return {layer: conv_then_relu(self.heads[layer], x) for layer, x in features.items()}


def compact_network(path: Path = COMPACT_WEIGHTS) -> CompactNetwork:
    """The compact loss network; by default with the weights of the package."""
    network = CompactNetwork()
    network.load_state_dict(load_tensors(path))
    return network
