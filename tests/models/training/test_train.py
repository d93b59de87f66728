"""Training lowers its losses, and resumes after an interruption, on synthetic images."""

import hashlib
import json
from dataclasses import replace

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from safetensors import safe_open
from torchvision.utils import save_image

from impasto.models.architectures import MARGIN
from impasto.models.errors import SourceError, WeightsError
from impasto.models.loss_network import load_loss_network
from impasto.models.losses import color_loss, vigor_loss
from impasto.models.styles import load_network, load_style
from impasto.models.training import loop
from impasto.models.training.dataset import crops, list_photos
from impasto.models.training.loop import learning_rate_at, train
from impasto.models.training.motion import random_motion
from impasto.models.training.objectives import (
    border_loss,
    gram_distance,
    identity_losses,
    johnson_losses,
    student_losses,
    style_targets,
)
from impasto.models.training.recipe import RECIPES, Recipe
from impasto.models.training.train import train_identity, train_style
from impasto.models.transform_net import TransformNet

TINY = Recipe(form="fast", steps=6, crop=80, seed=3)


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    """A folder of thirty smooth random images."""
    folder = tmp_path_factory.mktemp("photos")
    torch.manual_seed(0)
    for index in range(30):
        small = torch.rand(1, 3, 9, 7)
        save_image(torch.nn.functional.interpolate(small, (90, 70)), folder / f"{index:02}.png")
    return folder


def test_photos_are_split_and_come_in_the_same_order(photos):
    training_photos, held_back = list_photos(photos)
    assert len(held_back) == 2 and not set(held_back) & set(training_photos)
    first, again = (next(crops(training_photos, size=64, batch=3, seed=5)) for _ in range(2))
    assert first.shape == (3, 3, 64, 64) and torch.equal(first, again)


def test_a_run_that_continues_leaves_out_the_crops_it_has_had(photos):
    paths = list_photos(photos)[0]
    all_of_them = crops(paths, size=64, batch=3, seed=5)
    for _ in range(11):  # more than all photos
        next(all_of_them)
    assert torch.equal(next(crops(paths, size=64, batch=3, seed=5, first=11)), next(all_of_them))


def test_photos_that_cannot_be_read_are_left_out_of_batches(photos):
    paths = list_photos(photos)[0]

    def read(path):
        return None if path != paths[7] else torch.full((3, 70, 70), 0.25)

    assert next(crops(paths, size=64, batch=2, seed=0, read=read)).eq(0.25).all()


def test_photos_smaller_than_the_crop_are_enlarged(photos):
    assert next(crops(list_photos(photos)[0], size=128, batch=1, seed=0)).shape[-2:] == (128, 128)


def test_a_folder_without_photos(tmp_path):
    with pytest.raises(SourceError, match="0 pictures"):
        list_photos(tmp_path)
    (tmp_path / "a.jpg").write_text("no picture")
    (tmp_path / "b.jpg").write_text("no picture")
    with pytest.raises(SourceError, match=r"cannot read .*\.jpg as a picture"):
        next(crops(list_photos(tmp_path)[0], size=64, batch=1, seed=0))


def test_training_lowers_the_losses(photos, tmp_path):
    losses = []

    def watched(network, batch):
        terms = identity_losses(network, batch)
        losses.append(sum(terms.values()).item())
        return terms

    torch.manual_seed(0)
    recipe = replace(TINY, steps=20, learning_rate=0.01)
    batches = crops(list_photos(photos)[0], size=48, batch=1, seed=0)
    train(TransformNet("fast"), recipe, batches, watched, out=tmp_path / "identity", device="cpu")
    assert sum(losses[-5:]) < 0.8 * sum(losses[:5])


def test_a_style_is_trained_from_a_parent_and_has_metadata(photos, tmp_path, small_figures):
    identity, style = tmp_path / "identity.safetensors", tmp_path / "style.safetensors"
    short = replace(TINY, steps=2, painting_side=128)
    train_identity(photos, short, None, identity, "cpu")
    train_style(photos / "00.png", photos, short, identity, style, "cpu")
    assert load_network(style).architecture == "fast"
    with safe_open(style, "pt") as file:
        metadata = file.metadata()
    assert {"form", "content", "style", "strokes", "vigor"} <= metadata.keys()
    recipe = json.loads(metadata["recipe"])
    assert recipe["painting"] == "00.png"
    digest = hashlib.sha256((photos / "00.png").read_bytes()).hexdigest()
    assert recipe["painting_sha256"] == digest
    assert not style.with_suffix(".checkpoint").exists()
    assert style.with_suffix(".png").exists()


def test_an_interrupted_run_resumes_from_its_checkpoint(photos, tmp_path, monkeypatch):
    """Interrupted at step 4, it ends with the weights of a run without interruption."""
    monkeypatch.setattr(loop, "CHECKPOINT_STEPS", 2)
    torch.manual_seed(0)
    recipe = replace(TINY, steps=5)
    batch = torch.rand(1, 3, 32, 32)

    def batches(count):
        return iter([batch] * count)

    def run(count, name):
        torch.manual_seed(0)
        return train(
            TransformNet("fast"),
            recipe,
            batches(count),
            identity_losses,
            out=tmp_path / name,
            device="cpu",
        ).state_dict()

    expected = run(5, "once")
    checkpoint = tmp_path / "once.checkpoint"
    assert not checkpoint.exists()

    class Stop(Exception):
        pass

    def stopping():
        yield from batches(4)
        raise Stop

    torch.manual_seed(0)
    with pytest.raises(Stop):
        train(
            TransformNet("fast"),
            recipe,
            stopping(),
            identity_losses,
            out=tmp_path / "parts",
            device="cpu",
        )
    resumed = run(1, "parts")
    for name, value in expected.items():
        torch.testing.assert_close(resumed[name], value)


def test_learning_rate_warms_up_and_decays():
    rates = [learning_rate_at(step / 1000, step) for step in range(1000)]
    assert rates[0] < 0.05 and max(rates) > 0.95 and rates[-1] < 0.03
    assert {learning_rate_at(step / 1000, step, "constant") for step in range(1000)} == {1.0}


def test_border_loss_is_the_effect_of_zero_padding():
    """In a 3x3 mean it is the outermost pixels that see zeros instead of the reflection."""
    photos = torch.rand(2, 3, 80, 100)

    def blurred(images: torch.Tensor) -> torch.Tensor:
        return F.conv2d(images, torch.full((3, 1, 3, 3), 1 / 9), padding=1, groups=3)

    missing = np.zeros((2, 3, 80, 100))
    for index, channel in np.ndindex(2, 3):
        picture = photos[index, channel].numpy().astype(float)
        for row, column in np.ndindex(80, 100):
            around = [(row + i, column + j) for i in (-1, 0, 1) for j in (-1, 0, 1)]
            outside = [(y, x) for y, x in around if not (0 <= y < 80 and 0 <= x < 100)]
            mirrored = ((79 - abs(79 - abs(y)), 99 - abs(99 - abs(x))) for y, x in outside)
            missing[index, channel, row, column] = sum(picture[yx] for yx in mirrored) / 9
    count = 80 * 100 - (80 - 2 * MARGIN) * (100 - 2 * MARGIN)
    expected = np.square(missing).sum((1, 2, 3)) / (3 * count)
    assert np.allclose(border_loss(blurred, photos, blurred(photos)), expected, rtol=1e-4)
    assert border_loss(lambda images: 1 - images, photos, 1 - photos).eq(0).all()


def test_random_motion_warps_photos_and_stylized_frames_alike():
    """With stylized frames equal to the photos, they differ by the noise only."""
    torch.manual_seed(0)
    photos = torch.nn.functional.interpolate(torch.rand(8, 3, 8, 8), (64, 64), mode="bicubic")
    photos = photos.clamp(0, 1)
    moved = random_motion(photos, photos, torch.Generator().manual_seed(1))
    difference = ((moved.photos - moved.stylized) * moved.mask).abs()
    assert difference.mean() < 0.03  # the noise's largest deviation
    assert 0.5 < moved.mask.mean() <= 1


def test_a_student_comes_closer_to_its_teacher(photos, tmp_path):
    recipe, losses = replace(TINY, steps=12, learning_rate=0.03), []
    student, teacher = load_style("great_wave"), load_style("the_scream")

    def watched(network, batch):
        terms = student_losses(network, batch, teacher)
        losses.append(terms["pixels"].item())
        return terms

    batches = crops(list_photos(photos)[0], size=48, batch=1, seed=0)
    train(student, recipe, batches, watched, out=tmp_path / "student", device="cpu")
    assert np.mean(losses[-3:]) < 0.8 * np.mean(losses[:3])


def test_vigor_loss_is_zero_for_the_painting_and_grows_with_blur():
    painting = torch.rand(1, 3, 96, 96, generator=torch.Generator().manual_seed(0))
    softer = [F.avg_pool2d(painting, size, 1, size // 2) for size in (3, 5)]
    losses = [vigor_loss(image, painting).item() for image in (painting, *softer)]
    assert losses[0] < 1e-9 < 0.1 < losses[1] < losses[2]


def test_color_loss_compares_colors_wherever_they_are():
    """Between two plain colors it is their distance over the root of 3, for many directions."""
    torch.manual_seed(0)
    painting = torch.rand(1, 3, 64, 64)
    shuffled = painting.flatten(2)[..., torch.randperm(64 * 64)].view_as(painting)
    assert color_loss(shuffled, painting).item() == pytest.approx(1e-3)  # the root's guard
    plain = torch.tensor([[0.2, 0.5, 0.7], [0.9, 0.5, 0.1]])[..., None, None].expand(-1, -1, 9, 9)
    expected = np.linalg.norm([0.7, 0.0, 0.6]) / np.sqrt(3)
    losses = color_loss(plain, plain[:1], directions=20_000)
    assert losses.tolist() == pytest.approx([1e-3, expected], rel=0.02)


def test_gram_distance_is_the_weighted_mean_of_relative_distances():
    generator = torch.Generator().manual_seed(0)
    grams, targets = (
        {layer: torch.rand(2, 4, 4, generator=generator) for layer in ("a", "b")} for _ in range(2)
    )
    distances = {
        layer: [
            np.sqrt(np.sum((g - t) ** 2) / np.sum(t**2))
            for g, t in zip(grams[layer].numpy(), targets[layer].numpy(), strict=True)
        ]
        for layer in targets
    }
    expected = (3 * np.mean(distances["a"]) + np.mean(distances["b"])) / 4
    assert gram_distance(grams, targets, (3.0, 1.0)).item() == pytest.approx(expected, rel=1e-3)
    limited = (3 * np.mean(np.log1p(distances["a"])) + np.mean(np.log1p(distances["b"]))) / 4
    found = gram_distance(grams, targets, (3.0, 1.0), limited=True).item()
    assert found == pytest.approx(limited, rel=1e-3)


def test_the_losses_of_johnson_2016():
    """Of the paper's equations 2 and 4, relative, with numpy; the network is the negative."""
    recipe = replace(
        RECIPES["johnson2016"],
        painting_side=64,
        content_layers={"relu3_3": 1.0},
        style_layers={"relu1_2": 3.0, "relu2_2": 1.0},
        content_weight=2.0,
        style_weight=5.0,
        tv_weight=7.0,
    )
    torch.manual_seed(0)
    painting, photos = torch.rand(3, 64, 64), torch.rand(2, 3, 64, 64)
    network = load_loss_network("compact").float()
    targets = style_targets(painting, network, recipe, "cpu")
    found = johnson_losses(lambda images: 1 - images, photos, targets, recipe)

    layers = ("relu1_2", "relu2_2", "relu3_3")
    of_photos, of_images, of_painting = (
        {k: x.numpy().astype(float) for k, x in network.backbone(images, layers).items()}
        for images in (photos, 1 - photos, painting[None])
    )

    def error(values, target):
        return np.square(values - target).sum() / np.square(target).sum()

    def gram(features):
        return np.einsum("ihw,jhw->ij", features, features) / features[0].size

    def variation(image):
        down = image[:, 1:, :-1] - image[:, :-1, :-1]
        across = image[:, :-1, 1:] - image[:, :-1, :-1]
        return np.sqrt(down**2 + across**2).mean()

    pairs = zip(of_images["relu3_3"], of_photos["relu3_3"], strict=True)
    content = np.mean([error(image, photo) for image, photo in pairs])
    errors = [
        np.mean([error(gram(x), gram(of_painting[k][0])) for x in of_images[k]]) for k in layers[:2]
    ]
    tv = np.mean([variation(1 - photo) for photo in photos.numpy().astype(float)])
    assert found["content"].item() == pytest.approx(2 * content, rel=1e-3)
    assert found["style"].item() == pytest.approx(5 * (3 * errors[0] + errors[1]) / 4, rel=1e-3)
    expected = 7 * tv / variation(painting.numpy().astype(float))
    assert found["tv"].item() == pytest.approx(expected, rel=1e-3)


def test_a_layer_that_the_loss_network_lacks():
    recipe = replace(RECIPES["johnson2016"], loss_network="compact", content_layers={"relu5_4": 1})
    with pytest.raises(WeightsError, match="compact has no layer relu5_4: the nearest are"):
        style_targets(torch.rand(3, 64, 64), load_loss_network("compact"), recipe, "cpu")
