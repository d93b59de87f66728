"""The figures of pictures whose figures are known."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from impasto.models.judge import StyleMetrics, mean_figures, steepness
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
    of_photo, of_painting = metrics(photo, photo), metrics(painting, painting)
    assert of_photo.content == of_painting.content == 0
    assert of_photo.style is not None and of_photo.style > 0.05
    # Compared at two sizes, 512 px long and 256 px short: alike, not equal.
    assert of_painting.style is not None and of_painting.style < 0.5 * of_photo.style
    assert metrics(1 - photo, photo).content > 0.1


def test_at_the_given_sizes_a_painting_is_its_own_style_exactly(network: LossNetwork) -> None:
    painting = picture(64, 80)
    found = StyleMetrics(network, painting, side=None, painting_side=None)(painting, painting)
    assert (found.content, found.style, found.strokes) == (0, 0, 0)
    assert found.vigor == [1, 1, 1, 1]


def test_losses_agree_with_their_formulas(network: LossNetwork) -> None:
    stylized, photo, painting = picture(64, 80), picture(64, 80, seed=1), picture(64, 64, seed=2)
    found = StyleMetrics(network, painting, side=None, painting_side=None)(stylized, photo)

    def features(image: Tensor, layer: str) -> Tensor:
        return network(image, [layer])[layer][0].flatten(1).double()

    f, p = (features(image, CONTENT_LAYER) for image in (stylized, photo))
    expected = {}
    for layer in STYLE_LAYERS:
        g, a = (x @ x.T / x.shape[1] for x in (features(y, layer) for y in (stylized, painting)))
        expected[layer] = ((g - a).square().sum() / a.square().sum()).item()
    content = ((f - p).square().mean() / p.square().mean()).item()
    assert found.content == pytest.approx(content, rel=1e-4)
    assert found.layers == pytest.approx(expected, rel=0.01)  # Grams in bfloat16
    assert found.style == pytest.approx(np.mean(list(expected.values())), rel=0.01)
    strokes = (expected["relu3_1"] * expected["relu4_1"]) ** 0.5
    assert found.strokes == pytest.approx(strokes, rel=0.01)


def test_steepness_agrees_with_a_gradient_taken_by_numpy() -> None:
    image = picture(64, 80)
    luma = (image[0].permute(1, 2, 0).double().numpy() * 255) @ (0.299, 0.587, 0.114)
    expected = []
    for _ in range(4):
        smooth_down = luma[:-2] + 2 * luma[1:-1] + luma[2:]
        smooth_across = luma[:, :-2] + 2 * luma[:, 1:-1] + luma[:, 2:]
        across = (smooth_down[:, 2:] - smooth_down[:, :-2]) / 8
        down = (smooth_across[2:] - smooth_across[:-2]) / 8
        expected.append(np.quantile(np.hypot(across, down), 0.95, method="inverted_cdf"))
        luma = (luma[::2, ::2] + luma[1::2, ::2] + luma[::2, 1::2] + luma[1::2, 1::2]) / 4
    assert steepness(image) == pytest.approx(expected, rel=1e-4)


def test_steepness_of_a_ramp_is_its_slope_and_doubles_with_each_halving() -> None:
    ramp = torch.linspace(0, 1, 256).expand(1, 3, 64, 256)
    assert steepness(ramp) == pytest.approx([1, 2, 4, 8], rel=1e-4)
    assert len(steepness(ramp[..., :20])) == 3  # 2 px at 1/8 have no gradient


def test_a_blur_has_less_vigor_and_most_where_it_is_sharpest(network: LossNetwork) -> None:
    photo = picture(128, 128)
    metrics = StyleMetrics(network, photo, side=None, painting_side=None)
    blurred = F.avg_pool2d(F.pad(photo, (2, 2, 2, 2), mode="reflect"), 5, 1)
    vigor = metrics(blurred, photo).vigor
    assert vigor[0] < 0.9 and vigor[0] < vigor[3] <= 1


def test_means_are_over_pictures(network: LossNetwork) -> None:
    metrics = StyleMetrics(network, picture(64, 64, seed=2), side=48, painting_side=96)
    photos = [picture(64, 80, seed=seed) for seed in range(2)]
    blurred = [F.avg_pool2d(photo, 5, 1, 2) for photo in photos]
    one, other = (metrics(*pair) for pair in zip(blurred, photos, strict=True))
    mean = metrics.mean(blurred, photos)
    assert mean == mean_figures([one, other])
    assert mean.content == pytest.approx((one.content + other.content) / 2)
    assert mean.vigor == pytest.approx(np.mean([one.vigor, other.vigor], axis=0))
    for layer in STYLE_LAYERS:
        assert mean.layers[layer] == pytest.approx((one.layers[layer] + other.layers[layer]) / 2)


def test_without_a_painting_there_is_only_content(network: LossNetwork) -> None:
    photo = picture(64, 80)
    found = StyleMetrics(network, None).mean([photo], [photo])
    assert (found.content, found.layers, found.vigor) == (0.0, {}, [])
    assert found.style is None and found.strokes is None


def test_a_stamped_pattern_is_found_in_levels(network: LossNetwork) -> None:
    x = torch.arange(96.0)
    stamped = (0.5 + 5 / 255 * 2**0.5 * torch.cos(torch.pi * x / 4)).expand(1, 3, 96, 96)
    metrics = StyleMetrics(network, None)
    assert metrics(stamped, stamped).grid == pytest.approx(5, rel=1e-4)
    assert metrics(picture(96, 96), stamped).grid < 2
