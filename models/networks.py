"""Any network that a style file may be of, by the name of its architecture."""

from impasto.models.architectures import CLASSIC
from impasto.models.classic import ClassicNet
from impasto.models.transform_net import TransformNet

StyleNetwork = TransformNet | ClassicNet


def new_network(architecture: str) -> StyleNetwork:
    """An untrained network. architecture: one of `architectures.NETWORKS`."""
    return ClassicNet() if architecture == CLASSIC else TransformNet(architecture)
