"""Gatys optimization from start to end: levels, settings, presets and the refiner."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from impasto.models.errors import WeightsError
from impasto.models.gatys.objective import Previous
from impasto.models.gatys.optimize import (
    PRESETS,
    Refiner,
    Settings,
    StyleImage,
    level_sizes,
    level_steps,
    memory_needed,
    open_network,
    paint,
    resized,
)
from impasto.models.losses import STYLE_LAYERS
from impasto.models.training.dataset import read_photo
from tests.models.gatys.helpers import SAMPLES, blobs


class TestRefiner:
    styles = [StyleImage(blobs(150, 140, 8))]
    settings = Settings(steps=3)

    def total(self, content: torch.Tensor, image: torch.Tensor) -> float:
        """Its total loss at one size, before any step."""
        settings = replace(self.settings, steps=1, levels=1)
        return next(paint(content, self.styles, settings, init=image)).total

    def test_lowers_the_loss_of_one_image_after_another(self) -> None:
        refine = Refiner(self.styles, self.settings, "cpu")
        for seed, size in ((1, (97, 120)), (2, (97, 120)), (3, (64, 80))):
            content, image = blobs(*size, seed), blobs(*size, seed + 20)
            refined = refine(content, image)
            assert refined.shape == image.shape and not refined.requires_grad
            assert refined.min() >= 0 and refined.max() <= 1
            assert self.total(content, refined) < 0.8 * self.total(content, image)

    def test_the_preconditioner_of_one_image_helps_the_next(self) -> None:
        content, image = blobs(97, 120, 1), blobs(97, 120, 21)
        refine = Refiner(self.styles, self.settings, "cpu")
        refine(blobs(97, 120, 2), blobs(97, 120, 22))
        alone = replace(self.settings, steps=4, levels=1)  # the last total is before its step
        *_, last = paint(content, self.styles, alone, init=image)
        assert self.total(content, refine(content, image)) < last.total


class TestPaint:
    content, style = blobs(194, 200, 1), blobs(150, 140, 8)
    settings = Settings(steps=9, levels=2)

    def test_coarse_to_fine_and_the_losses_fall(self) -> None:
        progress = list(paint(self.content, [StyleImage(self.style)], self.settings))
        assert [now.step for now in progress] == list(range(1, 10))
        assert {now.steps for now in progress} == {9}
        assert [now.size for now in progress] == [(97, 100)] * 3 + [(194, 200)] * 6
        assert all(now.image.shape[-2:] == now.size for now in progress)
        first, last = progress[0], progress[-1]
        assert not last.image.requires_grad and last.image.min() >= 0 and last.image.max() <= 1
        assert last.style < 0.9 * first.style and last.total < first.total
        weights = self.settings.style_layers
        assert list(last.style_layers) == list(weights)
        mean = sum(weights[name] * loss for name, loss in last.style_layers.items())
        assert mean / sum(weights.values()) == pytest.approx(last.style, rel=1e-4)

    def test_fewer_steps_than_levels_are_made_at_full_size(self) -> None:
        settings = replace(self.settings, steps=1)
        (only,) = paint(self.content, [StyleImage(self.style)], settings)
        assert only.size == (194, 200)

    def test_is_reproducible(self) -> None:
        content = self.content[..., :64, :64]
        noise = replace(self.settings, init="noise", steps=3)

        def last(settings):
            return list(paint(content, [StyleImage(self.style)], settings))[-1].image

        assert torch.equal(last(noise), last(noise))
        assert not torch.equal(last(noise), last(replace(noise, seed=1)))

    def test_adam_and_wasserstein(self) -> None:
        settings = Settings(optimizer="adam", style_loss="wasserstein", steps=8, levels=1)
        content = self.content[..., :64, :64]
        first, *_, last = paint(content, [StyleImage(self.style)], settings)
        assert last.total < 0.9 * first.total

    def test_stops_at_the_tolerance(self) -> None:
        settings = Settings(steps=60, levels=1, tolerance=0.99)
        content = self.content[..., :32, :32]
        assert len(list(paint(content, [StyleImage(self.style)], settings))) == 11

    def test_stays_near_the_previous_frame_in_its_mask(self) -> None:
        previous = blobs(64, 64, 4)
        mask = torch.zeros(1, 1, 64, 64)
        mask[..., :32] = 1
        settings = Settings(steps=15, levels=1)
        content = self.content[..., :64, :64]
        *_, last = paint(
            content,
            [StyleImage(self.style)],
            settings,
            init=previous,
            previous=Previous(previous, mask, 1e4),
        )
        change = (last.image - previous).abs().mean((0, 1, 2))
        assert change[:28].mean() < 0.2 * change[36:].mean()

    def test_begins_from_a_given_image(self) -> None:
        first = next(
            paint(
                self.content[..., :32, :32],
                [StyleImage(self.style)],
                replace(self.settings, levels=1),
                init=torch.full((1, 3, 5, 9), 0.25),
            )
        )
        assert first.total_variation == pytest.approx(0, abs=1e-5)  # after one small step

    @pytest.mark.parametrize("steps", [2, 3, 4, 5])
    def test_a_last_step_that_makes_it_worse_is_left_out(self, steps: int) -> None:
        wild = replace(self.settings, optimizer="adam", learning_rate=0.6, levels=1, steps=steps)
        *_, before, last = paint(self.content, [StyleImage(self.style)], wild)
        assert last.step == steps
        assert last.total <= before.total

    def test_losses_are_of_the_image_that_is_shown(self) -> None:
        """Begun from it, with steps too small to change it, they are the same."""
        few = replace(self.settings, levels=1, steps=4)
        *_, last = paint(self.content, [StyleImage(self.style)], few)
        still = replace(self.settings, optimizer="adam", learning_rate=1e-9, levels=1, steps=1)
        again = next(paint(self.content, [StyleImage(self.style)], still, init=last.image))
        # In all but the pixels beyond [0, 1], which are clipped.
        assert again.style == pytest.approx(last.style, rel=0.05)

    @pytest.mark.parametrize("form", ["squared", "root"])
    def test_total_variation_is_relative_to_the_paintings(self, form) -> None:
        """With the painting at the image's size: 1 where both are the same."""
        large = resized(self.style, (300, 280))
        settings = Settings(levels=1, steps=1, tv_form=form)
        first = next(paint(self.style, [StyleImage(large)], settings))
        assert first.total_variation == pytest.approx(1, rel=0.05)  # resizing twice blurs a little

    def test_a_painting_of_one_color(self) -> None:
        flat = torch.full((1, 3, 40, 40), 0.5)
        content = self.content[..., :40, :40]
        settings = replace(self.settings, steps=4)
        first, *_, last = paint(content, [StyleImage(flat)], settings)
        assert last.total < first.total and torch.isfinite(last.image).all()

    def test_invalid_arguments(self) -> None:
        styles = [StyleImage(self.style)]
        with pytest.raises(ValueError, match="16 px"):
            next(paint(torch.rand(1, 3, 15, 99), styles, self.settings))
        with pytest.raises(ValueError, match="painting"):
            next(paint(self.content, [], self.settings))
        with pytest.raises(WeightsError, match="relu5_2"):
            deeper = replace(self.settings, content_layers={"relu5_2": 1.0})
            next(paint(self.content, styles, deeper))


def _gatys2016(n: int, gram: float) -> float:
    return 1e3 / n**4 * gram  # style 1e3 / N^2, mean of squares; content 1, mean of squares


def _gatys2015(n: int, gram: float) -> float:
    positions = (512 // 8) ** 2  # of relu4_2
    return 1e3 / 5 * gram / (4 * n**2) / (0.5 * 512 * positions)


def _neural_style(n: int, gram: float) -> float:
    return 100 * gram / n**4 / 5


@pytest.mark.parametrize(
    ("name", "weight"),
    [("gatys2016", _gatys2016), ("gatys2015", _gatys2015), ("neural-style", _neural_style)],
)
def test_the_authors_weights_in_our_units(name: str, weight: Callable[[int, float], float]) -> None:
    """The preset against the loss of the authors' released code, in NumPy from features alone.

    weight: theirs of ||G - A||^2 / ||A||^2 over that of the mean of (F - P)^2, for N channels and
    ||A||^2 of Grams per position. Images differ tenfold in it, and the compact network is not quite
    VGG-19: the weights, which span five orders of magnitude, can be expected to agree to within
    one.
    """
    preset = PRESETS[name]
    network = open_network(replace(preset, loss_network="compact", precision="fp32"), "cpu")

    def features(name: str, layers: list[str]) -> dict[str, np.ndarray]:
        image = resized(read_photo(SAMPLES / f"{name}.jpg")[None], (256, 256))
        maps = network(image, layers)
        return {layer: f[0].flatten(1).double().numpy() for layer, f in maps.items()}

    energy = np.mean(features("harbor", ["relu4_2"])["relu4_2"] ** 2)
    weights = []
    for name in ("ink_hatching", "flow_field", "styles"):
        by_layer = features(name, list(STYLE_LAYERS))
        grams = [(len(f), f @ f.T / f.shape[1]) for f in by_layer.values()]
        weights.append([weight(n, np.sum(gram**2)) / energy for n, gram in grams])
    expected = np.array([preset.style_layers[layer] for layer in STYLE_LAYERS])
    expected *= preset.style_weight / expected.sum()
    difference = np.log10(np.array(weights)).mean(0) - np.log10(expected)
    assert np.abs(difference).max() < 1, difference


@given(st.integers(16, 4000), st.integers(16, 4000), st.integers(1, 8), st.integers(8, 1000))
def test_levels(height, width, levels, steps) -> None:
    sizes = level_sizes((height, width), levels)
    assert 1 <= len(sizes) <= levels and sizes[-1] == (height, width)
    for (h, w), (h2, w2) in zip(sizes, sizes[1:], strict=False):
        assert (
            min(h, w) >= 95 or len(sizes) == 1 and abs(h - h2 / 2) <= 0.5 and abs(w - w2 / 2) <= 0.5
        )
    shares = level_steps(steps, len(sizes))
    assert sum(shares) == steps and min(shares) >= 0 and len(shares) == len(sizes)
    assert len(set(shares[:-1])) <= 1 and shares[-1] >= 2 * min(shares[:-1], default=0)


def test_equal_shares_for_the_levels_and_two_for_the_finest() -> None:
    assert level_steps(120, 3) == [30, 30, 60]
    assert level_steps(2, 3) == [0, 0, 2]


def test_memory_is_bounded_by_tiles() -> None:
    assert memory_needed((2048, 2048), Settings()) < 24 * 2**30
    without = memory_needed((6000, 5000), Settings(tile=None))
    assert memory_needed((6000, 5000), Settings()) < without / 2
