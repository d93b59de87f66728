"""Losses against values computed by other means."""

import numpy as np
import pytest
import torch

from impasto.models.losses import (
    content_loss,
    gram_matrix,
    grid_loss,
    style_loss,
    temporal_loss,
    total_variation,
    total_variation_root,
)


@pytest.fixture
def features() -> torch.Tensor:
    return torch.from_numpy(np.random.default_rng(0).normal(size=(2, 5, 7, 3)).astype(np.float32))


def test_gram_matrix_agrees_with_numpy(features):
    expected = np.einsum("nihw,njhw->nij", features.numpy(), features.numpy()) / (7 * 3)
    # float32 sums of 21 products in another order
    np.testing.assert_allclose(gram_matrix(features), expected, rtol=1e-5, atol=1e-6)


def test_gram_matrix_worked_out_by_hand():
    features = torch.tensor([[[[1.0, 2.0]], [[3.0, 4.0]]]])  # (1, 2, 1, 2)
    assert gram_matrix(features).tolist() == [[[2.5, 5.5], [5.5, 12.5]]]


def test_gram_matrix_is_the_same_for_a_tiled_picture(features):
    torch.testing.assert_close(gram_matrix(features.repeat(1, 1, 2, 3)), gram_matrix(features))


def test_gram_matrix_of_bfloat16_keeps_two_digits(features):
    rounded = gram_matrix(features.bfloat16())
    assert rounded.dtype == torch.float32
    # eight significant bits of features and once more of the sum
    torch.testing.assert_close(rounded, gram_matrix(features), rtol=0.02, atol=0.02)


def test_content_loss_is_relative(features):
    assert content_loss(features, features).tolist() == [0, 0]
    torch.testing.assert_close(content_loss(torch.zeros_like(features), features), torch.ones(2))
    torch.testing.assert_close(content_loss(features * 1.1, features), torch.full((2,), 0.01))


def test_style_loss_averages_layers_with_their_weights():
    targets = {"relu1_1": torch.eye(3)[None], "relu2_1": 2 * torch.eye(4)[None]}
    grams = {"relu1_1": torch.eye(3)[None] * 1.5, "relu2_1": torch.zeros(1, 4, 4)}
    # 0.5^2 and 1
    torch.testing.assert_close(style_loss(grams, targets), torch.tensor([0.625]))
    weights = {"relu1_1": 3.0, "relu2_1": 1.0}
    torch.testing.assert_close(style_loss(grams, targets, weights), torch.tensor([0.4375]))


def test_total_variation_of_a_ramp():
    ramp = torch.arange(4.0).view(1, 1, 1, 4).expand(1, 3, 5, 4) / 10
    torch.testing.assert_close(total_variation(ramp), torch.tensor([0.01]))
    torch.testing.assert_close(total_variation_root(ramp), torch.tensor([0.1]), atol=1e-4, rtol=0)


def test_gradient_of_total_variation():
    images = torch.rand(2, 3, 5, 4, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(total_variation, (images,))


def test_grid_loss_is_of_patterns_that_repeat_at_its_period_and_its_divisors():
    y, x = torch.meshgrid(torch.arange(80.0), torch.arange(80.0), indexing="ij")
    for pattern in ((-1) ** x, (-1) ** y, (-1) ** (x + y), 2**0.5 * torch.cos(torch.pi * x / 2)):
        image = (0.5 + 0.1 * pattern).expand(1, 3, -1, -1)
        torch.testing.assert_close(grid_loss(image, 4), torch.tensor([0.01]))
    stamped = torch.zeros(1, 3, 80, 80)
    stamped[..., ::8, ::8] = 1  # a dot in 64 pixels: variance 1/64 - 1/64^2
    torch.testing.assert_close(grid_loss(stamped, 8), torch.tensor([1 / 64 - 1 / 64**2]))
    assert grid_loss(stamped, 4).item() == pytest.approx(1 / 256, rel=0.1)  # half of it is not at 4
    assert grid_loss((x / 80 + y / 160).expand(1, 3, -1, -1), 4).item() < 1e-12  # a ramp
    assert grid_loss(stamped[..., :60], 8).item() == 0  # too few to tell
    grain = torch.rand(1, 3, 288, 288, generator=torch.Generator().manual_seed(0))
    assert grid_loss(grain, 4).item() == pytest.approx(grain.var().item() / 64, rel=0.15)


def test_temporal_loss_is_masked():
    previous, now = torch.zeros(1, 3, 4, 4), torch.zeros(1, 3, 4, 4)
    now[..., :2] = 0.5
    mask = torch.ones(1, 1, 4, 4)
    torch.testing.assert_close(temporal_loss(now, previous, mask), torch.tensor([0.125]))
    mask[..., :2] = 0
    assert temporal_loss(now, previous, mask).item() == 0
    assert temporal_loss(now, previous, torch.zeros_like(mask)).item() == 0
