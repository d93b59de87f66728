"""The style predicted for a painting: the same by NumPy, which is used, and by PyTorch."""

import numpy as np
import pytest
import torch

from impasto.models import prediction
from impasto.models.architectures import ARCHITECTURES, state_dict_shapes
from impasto.models.losses import STYLE_LAYERS
from impasto.models.styles import build_network, dequantized
from impasto.models.training.any_painting import AnyPaintingNetwork, grams_with_mean
from impasto.models.vgg import compact_network
from tests.pictures import make_pictures


def as_batch(image: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(image).permute(2, 0, 1)[None].float() / 255


@pytest.fixture(scope="module")
def painting() -> np.ndarray:
    return make_pictures(1, 77, 101, seed=3)[0]  # sides that no pooling divides


def test_the_layers_are_those_of_the_style_loss() -> None:
    assert prediction.LAYERS == STYLE_LAYERS


def test_features_are_those_of_the_compact_network(painting: np.ndarray) -> None:
    with torch.no_grad():
        expected = compact_network().backbone(as_batch(painting), STYLE_LAYERS)
    found = dict(prediction.features(painting))
    assert list(found) == list(STYLE_LAYERS)
    for layer, features in found.items():
        np.testing.assert_allclose(
            features, expected[layer][0].permute(1, 2, 0), atol=2e-4, rtol=1e-4
        )


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_the_prediction_is_that_of_the_network_that_was_trained(
    painting: np.ndarray, architecture: str
) -> None:
    arrays = prediction.package_weights(architecture)
    trained = AnyPaintingNetwork(architecture)
    prefixed = {
        name if name.startswith(prediction.PREDICTOR) else f"network.{name}": torch.tensor(value)
        for name, value in arrays.items()
    }
    missing, unexpected = trained.load_state_dict(prefixed, strict=False)
    assert not unexpected
    assert {name.removeprefix("network.") for name in missing} == set(
        prediction.predicted_shapes(architecture)
    )
    with torch.no_grad():
        features = compact_network().backbone(as_batch(painting), STYLE_LAYERS)
        style = trained.predictor(grams_with_mean(features))
        expected = trained(as_batch(painting), style)
        network = build_network(prediction.predict_style(painting)[architecture])
        assert (network(as_batch(painting)) - expected).abs().max() < 2e-3


def test_a_style_is_a_whole_network_and_another_for_another_painting(painting: np.ndarray) -> None:
    first, again = prediction.predict_style(painting), prediction.predict_style(painting)
    other = prediction.predict_style(255 - painting)
    assert set(first) == set(ARCHITECTURES)
    for architecture, weights in first.items():
        shapes = {name: value.shape for name, value in weights.arrays.items()}
        assert shapes == state_dict_shapes(architecture)
        assert all(
            (value == again[architecture].arrays[k]).all() for k, value in weights.arrays.items()
        )
        norm = "body.blocks.2.norm1.weight"
        assert not np.allclose(weights.arrays[norm], other[architecture].arrays[norm], atol=1e-3)


@pytest.mark.parametrize("level", [0, 128, 255])
def test_of_one_color(level: int) -> None:
    plain = np.full((64, 48, 3), level, np.uint8)
    for weights in prediction.predict_style(plain).values():
        assert all(np.isfinite(value).all() for value in weights.arrays.values())


def test_a_picture_that_is_too_small_is_refused() -> None:
    prediction.predict_style(np.zeros((32, 32, 3), np.uint8))
    with pytest.raises(ValueError, match="32 px"):
        prediction.predict_style(np.zeros((31, 64, 3), np.uint8))


def test_a_gram_matrix_with_means() -> None:
    """By its definition, with loops."""
    features = np.random.default_rng(0).normal(size=(3, 5, 2)).astype(np.float32)
    gram = prediction.gram_with_mean(features)
    for i in range(2):
        for j in range(2):
            products = [features[y, x, i] * features[y, x, j] for y in range(3) for x in range(5)]
            assert gram[i, j] == pytest.approx(sum(products) / 15, abs=1e-5)
        assert gram[i, 2] == gram[2, i] == pytest.approx(features[..., i].mean(), abs=1e-6)
    assert gram[2, 2] == 1


def test_quantized_weights_are_read_as_floats() -> None:
    tensors = {"w": np.array([[[[2]]]], np.int8), "w.scale": np.array([[[[0.5]]]], np.float16)}
    assert dequantized(tensors)["w"] == 1.0
