"""Sizes and batches of the network, its skip path for colors, and no initial checkerboard."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from impasto.models.architectures import ARCHITECTURES
from impasto.models.layers import ShuffleConv, reflect_pad
from impasto.models.transform_net import TransformNet


@pytest.fixture(scope="module", params=ARCHITECTURES)
def network(request) -> TransformNet:
    torch.manual_seed(0)
    return TransformNet(request.param).eval()


@settings(max_examples=15, deadline=None)
@given(height=st.integers(32, 70), width=st.integers(32, 70), count=st.integers(1, 3))
@torch.no_grad()
def test_any_size_keeps_its_size(network, height, width, count):
    assert network(torch.rand(count, 3, height, width)).shape == (count, 3, height, width)


@torch.no_grad()
def test_images_of_a_batch_are_independent(network):
    images = torch.rand(3, 3, 40, 56)
    alone = torch.cat([network(image[None]) for image in images])
    # sums in another order, through some twenty layers of float32
    torch.testing.assert_close(network(images), alone, atol=1e-4, rtol=1e-4)


@torch.no_grad()
def test_recolor_can_undo_the_standardization(network):
    """Before training, with an identity in place of the body, the output is the input."""
    image = torch.rand(2, 3, 8, 8) * 0.3
    variance, mean = torch.var_mean(image, dim=(2, 3), keepdim=True, correction=0)
    gain, offset = network.recolor(mean, variance.sqrt())
    torch.testing.assert_close((image - mean) / variance.sqrt() * gain + offset, image)


@given(height=st.integers(24, 60), width=st.integers(24, 60), stride=st.sampled_from([1, 4, 8]))
@settings(deadline=None)
def test_reflect_pad_mirrors_and_reaches_the_stride(height, width, stride):
    picture = torch.arange(height * width, dtype=torch.float32).view(1, 1, height, width)
    padded = reflect_pad(picture, stride, 16)
    assert padded.shape[2] % stride == 0 and padded.shape[3] % stride == 0
    assert torch.equal(padded[..., 16 : 16 + height, 16 : 16 + width], picture)
    assert torch.equal(padded[..., 15, 16 : 16 + width], picture[..., 1, :])
    assert torch.equal(padded[..., 16 + height, 16 : 16 + width], picture[..., height - 2, :])


@torch.no_grad()
def test_shuffle_conv_starts_without_a_checkerboard():
    picture = ShuffleConv(4, 3)(torch.rand(1, 4, 6, 6))
    blocks = picture.unfold(2, 2, 2).unfold(3, 2, 2)
    assert torch.equal(blocks.amax((4, 5)), blocks.amin((4, 5)))
