"""From style to style by weights: where it starts, where it ends, and what lies between."""

import numpy as np
import pytest

from impasto.models.errors import WeightsError
from impasto.models.styles import StyleWeights, load_weights, mix_weights, mixture_of, read_weights
from impasto.realtime.live.transition import Transition


def first_weight(weights: StyleWeights) -> np.ndarray:
    return weights.arrays["body.stem.0.weight"]


def test_the_first_style_is_there_at_once(style_files):
    transition = Transition(network="fast")
    transition.aim(style_files[0], 1.0, now=5.0)
    network = transition.weights(5.0)
    assert np.array_equal(first_weight(network), first_weight(load_weights(style_files[0])))
    assert transition.weights(5.01) is None  # nothing has changed


def test_half_way_is_the_mean_of_both_and_the_end_is_exact(style_files):
    transition = Transition(network="fast", seconds=2.0)
    transition.aim(style_files[0], 1.0, now=0.0)
    transition.weights(0.0)
    transition.aim(style_files[1], 1.0, now=10.0)
    ends = [first_weight(load_weights(style)) for style in style_files]
    middle = first_weight(transition.weights(11.0))
    np.testing.assert_allclose(middle, (ends[0] + ends[1]) / 2, atol=1e-6)
    assert transition.weights(11.01) is None  # mixed only so often
    assert np.array_equal(first_weight(transition.weights(12.0)), ends[1])
    assert transition.weights(13.0) is None


def test_turning_round_on_the_way_does_not_jump(style_files):
    transition = Transition(network="fast", seconds=1.0)
    transition.aim(style_files[0], 1.0, now=0.0)
    transition.weights(0.0)
    transition.aim(style_files[1], 1.0, now=1.0)
    there = first_weight(transition.weights(1.5))
    transition.aim(style_files[0], 1.0, now=1.5)
    near = first_weight(transition.weights(1.61))
    ends = [first_weight(load_weights(style)) for style in style_files]
    full = np.abs(ends[0] - ends[1]).max()
    assert np.abs(near - there).max() < 0.12 * full


def test_strength_mixes_in_the_identity_network():
    transition = Transition(network="fast", seconds=1.0)
    transition.aim("great_wave", 1.0, now=0.0)
    transition.weights(0.0)
    transition.aim("great_wave", 0.4, now=0.0)
    found = first_weight(transition.weights(1.0))
    np.testing.assert_allclose(
        found, first_weight(load_weights("great_wave", strength=0.4, network="fast"))
    )


def test_an_unknown_style_is_reported_and_changes_nothing(style_files):
    transition = Transition(network="fast")
    transition.aim(style_files[0], 1.0, now=0.0)
    transition.weights(0.0)
    with pytest.raises(WeightsError, match="no style 'great_vawe'"):
        transition.aim("great_vawe", 1.0, now=1.0)
    assert transition.weights(2.0) is None


def test_mixing_leaves_its_parts_as_they_were(style_files):
    mixture = mixture_of(f"{style_files[0]}:0.25+{style_files[1]}:0.75")
    parts = {path: read_weights(path) for path in mixture}
    before = [first_weight(part).copy() for part in parts.values()]
    mixed = first_weight(mix_weights(parts, mixture))
    assert np.array_equal(mixed, before[0] * 0.25 + before[1] * 0.75)
    assert all(map(np.array_equal, before, map(first_weight, parts.values())))
