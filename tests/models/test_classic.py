"""The classic network has the output range and the parameters of the paper's."""

import pytest
import torch
from torch import nn

from impasto.models.architectures import state_dict_shapes
from impasto.models.classic import ClassicNet


@pytest.mark.parametrize("size", [(44, 44), (61, 50)])
@torch.no_grad()
def test_any_size_in_range(size):
    output = ClassicNet()(torch.rand(1, 3, *size))
    assert output.shape == (1, 3, *size)
    assert output.min() >= 0 and output.max() <= 1


def test_number_of_parameters():
    """1.68 million, of which the ten 128-channel 3x3 convolutions are 1.48."""
    convolutions = [
        m for m in ClassicNet().modules() if isinstance(m, nn.Conv2d | nn.ConvTranspose2d)
    ]
    assert sum(m.weight.numel() for m in convolutions) == 1_674_432


def test_the_shapes_of_a_style_file_are_those_of_the_network():
    shapes = {name: tuple(value.shape) for name, value in ClassicNet().state_dict().items()}
    assert shapes == state_dict_shapes("classic")
