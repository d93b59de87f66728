"""The objective against plain autograd, and an image in tiles against the same without."""

from dataclasses import replace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from impasto.models.gatys.objective import (
    TILE_STRIDE,
    LossWeights,
    Objective,
    make_regions,
    painting_statistics,
    tiles,
)
from impasto.models.gatys.optimize import open_network
from impasto.models.loss_network import LossNetwork
from impasto.models.losses import (
    STYLE_LAYERS,
    content_loss,
    gram_matrix,
    style_loss,
    total_variation,
)
from tests.models.gatys.helpers import EXACT, blobs


@pytest.fixture(scope="module")
def network() -> LossNetwork:
    return open_network(EXACT, "cpu")


def make_objective(network, content, masks=(None, None), tile_side=None, **changes) -> Objective:
    paintings = [
        (painting_statistics(network, blobs(80, 96, seed), STYLE_LAYERS, None), weight, mask)
        for seed, weight, mask in zip((5, 6), (3.0, 1.0), masks, strict=True)
    ]
    weights = LossWeights(EXACT.content_layers, EXACT.style_layers, 1.0, 20.0, 0.1)
    return Objective(
        network, content, make_regions(paintings), replace(weights, **changes), tile_side=tile_side
    )


def test_is_the_formula(network) -> None:
    """Content, Gram and total variation by the functions that training uses, and autograd."""
    content = blobs(48, 64, 1)  # sides of multiples of 16 px, which need no padding
    image, reference = (blobs(48, 64, 2).requires_grad_() for _ in range(2))
    losses = make_objective(network, content)(image)

    features = network.backbone(reference, ["relu4_2", *STYLE_LAYERS])
    grams = {}
    for seed in (5, 6):
        of_painting = network.backbone(blobs(80, 96, seed), STYLE_LAYERS)
        grams[seed] = {k: gram_matrix(f) for k, f in of_painting.items()}
    targets = {k: (3 * grams[5][k] + grams[6][k]) / 4 for k in STYLE_LAYERS}
    target = network.backbone(content, ["relu4_2"])["relu4_2"]
    content_error = content_loss(features["relu4_2"], target)[0]
    style = style_loss({k: gram_matrix(features[k]) for k in STYLE_LAYERS}, targets)[0]
    total = content_error + 20 * style + 0.1 * total_variation(reference)[0]
    total.backward()
    # Sums in another order: float32 has seven digits, and thousands of terms take one or two.
    torch.testing.assert_close(losses.content, content_error.detach(), rtol=1e-4, atol=0)
    torch.testing.assert_close(losses.style, style.detach(), rtol=1e-4, atol=0)
    torch.testing.assert_close(losses.total, total.detach(), rtol=1e-4, atol=0)
    assert (image.grad - reference.grad).norm() < 1e-3 * reference.grad.norm()


@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("style_loss", ["gram", "wasserstein", "mixed"])
def test_tiles_change_nothing(network, masked, style_loss) -> None:
    content = blobs(100, 118, 1)
    masks: tuple = (None, None)
    if masked:
        left = torch.zeros(1, 1, 100, 118)
        left[..., :50] = 1
        masks = (left, 1 - left)
    losses, gradients = [], []
    for tile_side in (None, 64):
        image = blobs(100, 118, 2).requires_grad_()
        objective = make_objective(network, content, masks, tile_side, style_loss=style_loss)
        losses.append(torch.stack(objective(image)[:4]))
        gradients.append(image.grad)
    # Wasserstein's square roots of small eigenvalues magnify rounding.
    rtol, allowed = (1e-3, 1e-4) if style_loss == "gram" else (5e-3, 2e-2)
    torch.testing.assert_close(losses[1], losses[0], rtol=rtol, atol=1e-6)
    assert (gradients[1] - gradients[0]).norm() < allowed * gradients[0].norm()


def test_a_mask_limits_a_painting_to_its_region(network) -> None:
    """A painting for the left half only has no gradient beyond the receptive field on the right."""
    content = torch.full((1, 3, 64, 64), 0.5)
    left = torch.zeros(1, 1, 64, 64)
    left[..., :32] = 1
    image = blobs(64, 64, 2).requires_grad_()
    shallow = dict.fromkeys(("relu1_1", "relu2_1"), 1.0)
    targets = painting_statistics(network, blobs(70, 90, 5), list(shallow), None)
    weights = LossWeights({}, shallow, 0.0, 1.0, 0.0)
    Objective(network, content, make_regions([(targets, 1.0, left)]), weights)(image)
    assert image.grad is not None
    assert image.grad[..., :32].abs().max() > 0
    assert not image.grad[..., 32 + 6 :].any()  # relu2_1 sees 5 px to each side


def test_the_deep_layers_see_the_last_pixels(network) -> None:
    """Pooling drops the remainder of odd sides; changed alone, those pixels must count."""
    content = blobs(79, 95, 1)
    weights = LossWeights({"relu5_1": 1.0}, {}, 1.0, 0.0, 0.0)
    image = content.clone()
    image[..., -15:, -15:] = 1 - image[..., -15:, -15:]
    image.requires_grad_()
    assert Objective(network, content, (), weights)(image).content > 0.01
    assert image.grad is not None
    assert (image.grad[..., -1:, :].abs().max() > 0) and (image.grad[..., -1:].abs().max() > 0)


@given(st.integers(1, 25), st.integers(1, 25), st.sampled_from([None, 16, 64, 100]))
def test_tiles_cover_each_pixel_once(rows, columns, side) -> None:
    height, width = rows * TILE_STRIDE, columns * TILE_STRIDE
    counted = torch.zeros(height, width)
    for (top, bottom, left, right), (y0, y1, x0, x1) in tiles(height, width, side, 80):
        counted[y0:y1, x0:x1] += 1
        assert top <= y0 <= y1 <= bottom and left <= x0 <= x1 <= right
        assert all(corner % TILE_STRIDE == 0 for corner in (y0, x0, top, left))
    assert (counted == 1).all()
