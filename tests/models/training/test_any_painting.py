"""A short run on noise: what it writes goes on, can be published, and then predicts styles."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file
from torchvision.utils import save_image

from impasto.models.architectures import state_dict_shapes
from impasto.models.errors import SourceError
from impasto.models.losses import STYLE_LAYERS
from impasto.models.prediction import predicted_shapes
from impasto.models.training import any_painting, publish
from impasto.models.training.any_painting import (
    AnyPaintingNetwork,
    grams_with_mean,
    painting_parts,
    train_any_painting,
)
from impasto.models.training.recipe import Recipe
from impasto.models.vgg import compact_network

RECIPE = Recipe(form="fast", steps=2, batch=4, crop=64, seed=3)


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    folder = tmp_path / "pictures"
    folder.mkdir()
    torch.manual_seed(0)
    for number in range(6):
        save_image(torch.rand(1, 3, 70, 90 + number), folder / f"{number}.png")
    return folder


@pytest.fixture
def trained(pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(any_painting, "_FITTED", 8)
    monkeypatch.setattr(any_painting, "_SIDES", (64,))
    train_any_painting(pictures, pictures, RECIPE, None, tmp_path / "any", device="cpu")
    return tmp_path / "any.safetensors"


def test_a_run_goes_on_and_is_published(
    trained: Path, pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    network = AnyPaintingNetwork("fast")
    network.load_state_dict(load_file(trained))
    again = tmp_path / "again"
    train_any_painting(pictures, pictures, replace(RECIPE, steps=1), trained, again, device="cpu")
    moved, before = load_file(again.with_suffix(".safetensors")), load_file(trained)
    assert any((moved[name] != before[name]).any() for name in before)
    assert (moved["predictor.statistics.mean"] == before["predictor.statistics.mean"]).all()

    monkeypatch.setattr(publish, "WEIGHTS", tmp_path)
    row = publish.any_row(trained)
    with safe_open(tmp_path / row["file"], "numpy") as file:
        names = {name for name in file.keys() if not name.endswith(".scale")}  # noqa: SIM118
    own = {name for name in names if not name.startswith("predictor.")}
    assert own | set(predicted_shapes("fast")) == set(state_dict_shapes("fast"))
    assert not own & set(predicted_shapes("fast"))


def test_each_image_gets_its_own_style(trained: Path) -> None:
    network = AnyPaintingNetwork("fast")
    network.load_state_dict(load_file(trained))
    torch.nn.init.normal_(network.predictor.layers[-1].weight, std=0.05)
    paintings, photos = torch.rand(2, 3, 64, 64), torch.rand(2, 3, 64, 64)
    paintings[1] *= 0.3
    with torch.no_grad():
        grams = grams_with_mean(compact_network().backbone(paintings, STYLE_LAYERS))
        style = network.predictor(grams)
        both = network(photos, style)
        for index in range(2):
            one = {name: value[index : index + 1] for name, value in style.items()}
            alone = network(photos[index : index + 1], one)
            assert torch.allclose(both[index], alone[0], atol=1e-4)
        assert (network(photos, {k: v.flip(0) for k, v in style.items()}) - both).abs().max() > 0.01


def test_what_the_predictor_sees_is_standardized() -> None:
    """Components of the paintings that it was fitted on: mean 0, covariance 1, by definition."""
    torch.manual_seed(1)
    statistics = any_painting.PaintingStatistics()
    features = {
        layer: torch.randn(40, width, 6, 6) * 3 + 1
        for layer, width in zip(STYLE_LAYERS, any_painting.COMPACT_WIDTHS, strict=True)
    }
    grams = grams_with_mean(features)
    statistics.fit([grams])
    layer = STYLE_LAYERS[1]
    flat = features[layer].double().permute(0, 2, 3, 1).reshape(-1, features[layer].shape[1])
    with_one = np.concatenate([flat.numpy(), np.ones((len(flat), 1))], axis=1)
    projected = with_one @ statistics.get_buffer(f"{layer}_projection").double().numpy().T
    np.testing.assert_allclose(projected.mean(0), 0, atol=1e-2)
    np.testing.assert_allclose(np.cov(projected.T), np.eye(any_painting.COMPONENTS), atol=3e-2)
    seen = statistics(grams)
    assert seen.mean(0).abs().max() < 0.2 and (seen.std(0) - 1).abs().max() < 0.2


def test_parts_of_paintings(pictures: Path) -> None:
    paths = sorted(pictures.glob("*.png"))
    parts = painting_parts(paths, 3, seed=1)
    for _ in range(4):
        small, large = next(parts)
        assert small.shape[0] == large.shape[0] == 3 and large.shape[2] == small.shape[2] * 3 // 2
        assert large.min() >= 0 and large.max() <= 1


def test_too_few_paintings_are_refused(pictures: Path, tmp_path: Path) -> None:
    for path in sorted(pictures.glob("*.png"))[3:]:
        path.unlink()
    with pytest.raises(SourceError, match="training needs"):
        train_any_painting(pictures, pictures, RECIPE, None, tmp_path / "any", device="cpu")
