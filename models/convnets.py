"""ConvNets other than VGGs as loss networks: the named stages of torchvision's models as layers."""

import re
from collections.abc import Iterable, Mapping

import torch
from torch import Tensor, nn

from impasto.models.errors import WeightsError
from impasto.models.loss_network_names import STAGES, nearest
from impasto.models.vgg import TORCHVISION, LossNetwork

_OPTIONS = {"googlenet": {"aux_logits": False, "transform_input": True, "init_weights": False}}

_KEYS = {  # a tensor that each has; whether all are there is seen then
    "alexnet": "features.10.weight",
    "squeezenet1_1": "features.12.squeeze.weight",
    "resnet18": "layer1.0.conv2.weight",
    "resnet50": "layer1.0.conv3.weight",
    "densenet121": "features.denseblock1.denselayer1.conv1.weight",
    "googlenet": "inception3a.branch1.conv.weight",
}


class ConvNet(LossNetwork):
    """A model of torchvision, by its name in STAGES, without its classifier.

    Its layers are its stages, such as "layer3", or any node of its graph, "layer3.5.conv1", as
    `torchvision.models.feature_extraction` names them.
    """

    def __init__(self, name: str, model: nn.Module, title: str) -> None:
        super().__init__(TORCHVISION, title)
        self.name, self.model = name, model
        self._stages = STAGES[name].layers
        self.content_layer, self.style_layers = STAGES[name].content, STAGES[name].style
        self._extractors: dict[tuple[str, ...], nn.Module] = {}  # by their nodes
        self._sizes: dict[tuple[str, int, int], tuple[int, int]] = {}

    def layer(self, name: str) -> str:
        from torchvision.models.feature_extraction import get_graph_node_names

        found = re.sub(r"^conv_?(\d)$", r"relu\1", name) if name not in self._stages else name
        if found in self._stages:
            return found
        nodes = get_graph_node_names(self.model)[1][1:]  # the first is the image
        if any(node == name or node.startswith(f"{name}.") for node in nodes):
            return name
        close = nearest(name, list(self._stages))
        raise WeightsError(f"there is no layer {name} in {self.title}: {close}")

    def backbone(self, images: Tensor, layers: Iterable[str]) -> dict[str, Tensor]:
        requested = tuple(sorted(layers))
        nodes = {self._stages.get(layer, layer): layer for layer in requested}
        try:
            found: dict[str, Tensor] = self._extractor(tuple(nodes))(self.preprocess(images))
        except RuntimeError as error:
            if "too small" not in str(error) and "larger than" not in str(error):
                raise
            height, width = images.shape[-2:]
            raise WeightsError(
                f"{width}x{height} is too small for {', '.join(requested)} of {self.title}"
            ) from None
        return {layer: found[node] for node, layer in nodes.items()}

    def _extractor(self, nodes: tuple[str, ...]) -> nn.Module:
        """The model up to the last of `nodes`, which gives the features at each."""
        from torchvision.models.feature_extraction import create_feature_extractor

        if nodes not in self._extractors:
            extractor = create_feature_extractor(
                self.model, {node: node for node in nodes}, suppress_diff_warning=True
            )
            for node in extractor.graph.nodes:  # else a later layer overwrites what is given
                if node.kwargs.get("inplace"):
                    node.update_kwarg("inplace", False)
            extractor.recompile()
            self._extractors[nodes] = extractor.eval()
        return self._extractors[nodes]

    @torch.no_grad()
    def size_of(self, layer: str, height: int, width: int) -> tuple[int, int]:
        case = (layer, height, width)
        if case not in self._sizes:
            images = self.scale.new_zeros(1, 3, height, width)
            features = self.backbone(images, [layer])[layer]
            self._sizes[case] = features.shape[-2], features.shape[-1]
        return self._sizes[case]

    def use_average_pooling(self) -> None:
        _replace_pooling(self.model)
        self._extractors.clear()


def _replace_pooling(module: nn.Module) -> None:
    for name, child in module.named_children():
        if isinstance(child, nn.MaxPool2d):
            pool = nn.AvgPool2d(
                child.kernel_size, child.stride, child.padding, child.ceil_mode, False
            )
            setattr(module, name, pool)
        else:
            _replace_pooling(child)


def convnet_from(tensors: Mapping[str, Tensor], title: str) -> ConvNet:
    """The ConvNet of STAGES whose tensors these are, by their names and shapes.

    Those of a classifier are left out. Raises WeightsError.
    """
    # As in torchvision: older files of DenseNets have norm.1 for norm1.
    old = re.compile(r"(denselayer\d+\.(?:norm|conv))\.(\d)")
    given = {old.sub(r"\1\2", key): tensor for key, tensor in tensors.items()}
    for name in (name for name, key in _KEYS.items() if key in given):
        model = _untrained(name)
        expected = model.state_dict()
        counts = [key for key in expected if key.endswith("num_batches_tracked")]
        if all(
            key in given and given[key].shape == value.shape
            for key, value in expected.items()
            if key not in counts
        ):
            used = {key: given[key].float() for key in expected if key not in counts}
            used |= dict.fromkeys(counts, torch.zeros(()))
            model.load_state_dict(used, assign=True)
            for module in model.modules():
                if hasattr(module, "inplace"):
                    setattr(module, "inplace", False)  # noqa: B010
            return ConvNet(name, model.eval(), title if title == name else f"{name} of {title}")
    raise WeightsError(f"{title} is of no network that is known here: VGGs, {', '.join(STAGES)}")


def _untrained(name: str) -> nn.Module:
    """The model without weights, and without its classifier."""
    from torchvision import models as zoo

    with torch.device("meta"):
        model: nn.Module = zoo.get_model(name, weights=None, **_OPTIONS.get(name, {}))
    for head in ("classifier", "fc"):
        if hasattr(model, head):
            setattr(model, head, nn.Identity())
    return model
