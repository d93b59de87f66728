"""From style to style by weights: where it starts, where it ends, and what lies between."""

import pytest
import torch

from impasto.models.architectures import ARCHITECTURES
from impasto.models.errors import WeightsError
from impasto.models.styles import architecture_of, load_network, load_style, mix, mixture_of
from impasto.models.transform_net import TransformNet
from impasto.realtime.live.transition import Transition


def first_weight(network: TransformNet) -> torch.Tensor:
    return network.body.stem[0].weight


def test_the_first_style_is_there_at_once(style_files):
    transition = Transition(network="fast")
    transition.aim(style_files[0], 1.0, now=5.0)
    network = transition.network(5.0)
    assert torch.equal(first_weight(network), first_weight(load_style(style_files[0])))
    assert transition.network(5.01) is None  # nothing has changed


def test_half_way_is_the_mean_of_both_and_the_end_is_exact(style_files):
    transition = Transition(network="fast", seconds=2.0)
    transition.aim(style_files[0], 1.0, now=0.0)
    transition.network(0.0)
    transition.aim(style_files[1], 1.0, now=10.0)
    ends = [first_weight(load_style(style)) for style in style_files]
    middle = first_weight(transition.network(11.0))
    torch.testing.assert_close(middle, (ends[0] + ends[1]) / 2)
    assert transition.network(11.01) is None  # mixed only so often
    assert torch.equal(first_weight(transition.network(12.0)), ends[1])
    assert transition.network(13.0) is None


def test_turning_round_on_the_way_does_not_jump(style_files):
    transition = Transition(network="fast", seconds=1.0)
    transition.aim(style_files[0], 1.0, now=0.0)
    transition.network(0.0)
    transition.aim(style_files[1], 1.0, now=1.0)
    there = first_weight(transition.network(1.5))
    transition.aim(style_files[0], 1.0, now=1.5)
    near = first_weight(transition.network(1.61))
    full = (
        (first_weight(load_style(style_files[0])) - first_weight(load_style(style_files[1])))
        .abs()
        .max()
    )
    assert (near - there).abs().max() < 0.12 * full


def test_strength_mixes_in_the_identity_network():
    transition = Transition(network="fast", seconds=1.0)
    transition.aim("great_wave", 1.0, now=0.0)
    transition.network(0.0)
    transition.aim("great_wave", 0.4, now=0.0)
    found = first_weight(transition.network(1.0))
    torch.testing.assert_close(
        found, first_weight(load_style("great_wave", strength=0.4, network="fast"))
    )


def test_an_unknown_style_is_reported_and_changes_nothing(style_files):
    transition = Transition(network="fast")
    transition.aim(style_files[0], 1.0, now=0.0)
    transition.network(0.0)
    with pytest.raises(WeightsError, match="no style 'great_vawe'"):
        transition.aim("great_vawe", 1.0, now=1.0)
    assert transition.network(2.0) is None


def test_mixing_leaves_its_parts_as_they_were(style_files):
    mixture = mixture_of(f"{style_files[0]}:0.25+{style_files[1]}:0.75")
    networks = {path: load_network(path) for path in mixture}
    before = [first_weight(network).clone() for network in networks.values()]
    mixed = first_weight(mix(networks, mixture))
    assert torch.equal(mixed, before[0] * 0.25 + before[1] * 0.75)
    assert all(map(torch.equal, before, map(first_weight, networks.values())))
    assert {architecture_of(path) for path in mixture} == {next(iter(ARCHITECTURES))}
