"""Content and style loss of pictures whose losses are known."""

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from impasto.models.judge import StyleMetrics
from impasto.models.loss_network import LossNetwork, load_loss_network
from impasto.models.losses import CONTENT_LAYER, STYLE_LAYERS
from tests.pictures import make_pictures


@pytest.fixture(scope="module")
def network() -> LossNetwork:
    return load_loss_network("compact")


def picture(height: int, width: int, *, seed: int = 0) -> Tensor:
    """(1, 3, H, W) in [0, 1]."""
    image = make_pictures(1, height, width, seed=seed)
    return torch.from_numpy(image).permute(0, 3, 1, 2).float() / 255


def test_a_picture_is_its_own_content_and_a_painting_its_own_style(network: LossNetwork) -> None:
    photo, painting = picture(256, 320), 1 - picture(300, 512, seed=4)
    metrics = StyleMetrics(network, painting)
    content, style = metrics.losses(photo, photo)
    assert content == 0 and style is not None and style > 0.05
    # Compared at two sizes, 512 px long and 256 px short: alike, not equal.
    content, own = metrics.losses(painting, painting)
    assert content == 0 and own is not None and own < 0.5 * style
    assert metrics.losses(1 - photo, photo)[0] > 0.1


def test_at_the_given_sizes_a_painting_is_its_own_style_exactly(network: LossNetwork) -> None:
    painting = picture(64, 80)
    metrics = StyleMetrics(network, painting, side=None, painting_side=None)
    assert metrics.losses(painting, painting) == (0, 0)


def test_losses_agree_with_their_formulas(network: LossNetwork) -> None:
    stylized, photo, painting = picture(64, 80), picture(64, 80, seed=1), picture(64, 64, seed=2)
    metrics = StyleMetrics(network, painting, side=None, painting_side=None)

    def features(image: Tensor, layer: str) -> Tensor:
        return network(image, [layer])[layer][0].flatten(1).double()

    f, p = (features(image, CONTENT_LAYER) for image in (stylized, photo))
    errors = []
    for layer in STYLE_LAYERS:
        g, a = (x @ x.T / x.shape[1] for x in (features(y, layer) for y in (stylized, painting)))
        errors.append((g - a).square().sum() / a.square().sum())
    content, style = metrics.losses(stylized, photo)
    assert content == pytest.approx(((f - p).square().mean() / p.square().mean()).item(), rel=1e-4)
    assert style == pytest.approx(torch.stack(errors).mean().item(), rel=0.01)  # Grams in bfloat16


def test_means_are_over_pictures(network: LossNetwork) -> None:
    metrics = StyleMetrics(network, picture(64, 64, seed=2))
    photos = [picture(64, 80, seed=seed) for seed in range(2)]
    blurred = [F.avg_pool2d(photo, 5, 1, 2) for photo in photos]
    pairs = [metrics.losses(*pair) for pair in zip(blurred, photos, strict=True)]
    means = tuple(sum(column) / 2 for column in zip(*pairs, strict=True))
    assert metrics.mean_losses(blurred, photos) == pytest.approx(means)


def test_without_a_painting_there_is_no_style(network: LossNetwork) -> None:
    photo = picture(64, 80)
    assert StyleMetrics(network, None).mean_losses([photo], [photo]) == (0.0, None)
