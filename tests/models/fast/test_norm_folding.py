"""Folded networks compute what the original network computes."""

from unittest.mock import patch

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from impasto.models.architectures import ARCHITECTURES
from impasto.models.fast.fused_conv import FusedConv
from impasto.models.fast.norm_folding import FoldedNetwork, RunningNormNetwork
from impasto.models.fast.norm_statistics import NormStatistics, initial_statistics
from impasto.models.fast.running_statistics import (
    instance_statistics,
    join,
    moving_average,
    split,
    statistics_to_tensors,
)
from impasto.models.fast.uint8_io import Uint8Wrapper
from impasto.models.transform_net import TransformNet
from tests.pictures import make_pictures
from tests.reference import measure


@pytest.fixture(scope="module", params=ARCHITECTURES)
def network(request) -> TransformNet:
    return make_network(request.param)


def make_network(architecture: str = "fast") -> TransformNet:
    """An untrained network whose norms have random scale and shift."""
    torch.manual_seed(0)
    network = TransformNet(architecture).eval().requires_grad_(False)
    for module in network.modules():
        if isinstance(module, nn.InstanceNorm2d):
            module.weight.uniform_(0.5, 1.5)
            module.bias.uniform_(-0.5, 0.5)
    return network


def frames_and_statistics(
    network, *size: int, seed: int = 0
) -> tuple[torch.Tensor, NormStatistics]:
    frames = torch.from_numpy(make_pictures(1, *size, seed=seed))
    return frames, measure(network, frames)


@torch.inference_mode()
@pytest.mark.parametrize("size", [(48, 64), (61, 83), (32, 43)])
def test_folded_network_with_instance_statistics_equals_the_original(network, size):
    frames, statistics = frames_and_statistics(network, *size)
    folded = FoldedNetwork(network, torch.float32)
    folded.fold(statistics)
    difference = folded(frames).int() - Uint8Wrapper(network)(frames).int()
    # The same sums in another order: rounding may differ by one level.
    assert difference.abs().max() <= 1
    assert (difference != 0).float().mean() < 0.01


@torch.inference_mode()
def test_folded_network_in_bf16_is_close_to_the_original(network):
    frames, statistics = frames_and_statistics(network, 64, 96)
    folded = FoldedNetwork(network, torch.bfloat16)
    folded.fold(statistics)
    difference = (folded(frames).float() - Uint8Wrapper(network)(frames).float()) / 255
    # Eight bits of mantissa through 15 layers: measured 42 dB or more, untrained and trained.
    assert -10 * difference.square().mean().log10() > 38


@torch.inference_mode()
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_momentum_1_gives_instance_statistics_and_output(network, dtype):
    """Whether the old statistics are another scene's, the initial ones or the frame's own."""
    frames, true = frames_and_statistics(network, 61, 83)
    _, other = frames_and_statistics(network, 45, 50, seed=3)
    std = (true.variance + 1e-5).sqrt()
    running = RunningNormNetwork(network, dtype)
    # float32: sums in another order; bf16: eight bits of mantissa, through 15 layers.
    tolerance, levels = (1e-3, 1) if dtype == torch.float32 else (0.05, 12)
    for old in (other, statistics_to_tensors(initial_statistics(len(true.mean))), true):
        stylized, updated = running(frames, old, 1.0)
        assert ((updated.mean - true.mean) / std).abs().max() < tolerance
        assert ((updated.variance + 1e-5) / std.square() - 1).abs().max() < tolerance
        assert (stylized.int() - Uint8Wrapper(network)(frames).int()).abs().max() <= levels


@torch.inference_mode()
def test_an_update_moves_the_input_statistics_by_the_momentum():
    """Only the input's: those of the layers also depend on the updates before them."""
    network = make_network()
    frames, true = frames_and_statistics(network, 61, 83)
    _, before = frames_and_statistics(network, 45, 50, seed=3)
    folded = FoldedNetwork(network, torch.float32)
    stylized, after = RunningNormNetwork(network, torch.float32)(frames, before, 0.25)
    expected = torch.lerp(before.mean[:3], true.mean[:3], 0.25)
    torch.testing.assert_close(after.mean[:3], expected, atol=1e-5, rtol=1e-4)
    folded.fold(after)
    # The frame is stylized with the updated statistics.
    assert (stylized.int() - folded(frames).int()).abs().max() <= 1


@torch.inference_mode()
def test_statistics_of_a_still_scene_converge_to_the_frames_own():
    network = make_network()
    frames, true = frames_and_statistics(network, 61, 83)
    statistics = frames_and_statistics(network, 45, 50, seed=3)[1]
    running = RunningNormNetwork(network, torch.float32)
    errors = []
    for _ in range(12):
        statistics = running(frames, statistics, 0.5)[1]
        errors.append(((statistics.mean - true.mean) / true.variance.sqrt()).abs().max().item())
    assert errors[-1] < 0.02 < errors[0]


@torch.inference_mode()
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_statistics_of_a_uniform_frame_are_finite(network, dtype):
    frames = torch.full((1, 48, 64, 3), 77, dtype=torch.uint8)
    running = RunningNormNetwork(network, dtype)
    initial = statistics_to_tensors(initial_statistics(sum(running.channels)))
    statistics = running(frames, initial, 1.0)[1]
    assert torch.isfinite(statistics.mean).all() and torch.isfinite(statistics.variance).all()


@pytest.mark.parametrize("channels", [3, 16])
@pytest.mark.parametrize("order", [torch.contiguous_format, torch.channels_last])
def test_instance_statistics_agree_with_numpy(channels, order):
    x = (torch.randn(1, channels, 17, 19) + 2).contiguous(memory_format=order)
    mean, variance = instance_statistics(x)
    flat = x.numpy().astype(np.float64).reshape(channels, -1)
    np.testing.assert_allclose(mean, flat.mean(1), rtol=1e-5)
    np.testing.assert_allclose(variance, flat.var(1), rtol=1e-5)


def test_split_is_the_inverse_of_join():
    parts = [NormStatistics(torch.rand(n), torch.rand(n)) for n in (3, 1, 4)]
    back = split(join(parts), [3, 1, 4])
    assert all(
        torch.equal(a, b)
        for x, y in zip(parts, back, strict=True)
        for a, b in zip(x, y, strict=True)
    )


def test_moving_average():
    old, new = (
        NormStatistics(torch.zeros(2), torch.ones(2)),
        NormStatistics(torch.ones(2), torch.full((2,), 5.0)),
    )
    mean, variance = moving_average(old, new, 0.25)
    assert mean.tolist() == [0.25, 0.25] and variance.tolist() == [2.0, 2.0]


@settings(max_examples=25, deadline=None)
@given(
    onednn=st.booleans(),
    upsample=st.booleans(),
    shuffle=st.booleans(),
    residual=st.booleans(),
    relu=st.booleans(),
    height=st.integers(1, 9),
    width=st.integers(1, 9),
)
@torch.inference_mode()
def test_fused_convolution_agrees_with_separate_operators(
    onednn, upsample, shuffle, residual, relu, height, width
):
    shuffle = shuffle and not upsample
    torch.manual_seed(0)
    conv = nn.Conv2d(4, 8, 3, padding=1)
    x = torch.randn(2, 4, height, width).to(memory_format=torch.channels_last)
    channels = 2 if shuffle else 8
    scale, shift = torch.rand(channels) + 0.5, torch.randn(channels)

    y = conv(F.interpolate(x, scale_factor=2.0, mode="nearest") if upsample else x)
    y = F.pixel_shuffle(y, 2) if shuffle else y
    y = y * scale.view(-1, 1, 1) + shift.view(-1, 1, 1)
    other = torch.randn_like(y) if residual else None
    y = y if other is None else y + other
    y = F.relu(y) if relu else y

    fused = FusedConv(conv, upsample=upsample, shuffle=shuffle, relu=relu)
    with patch.object(torch.backends.mkldnn, "is_available", lambda: onednn):
        fused.fold(scale, shift, torch.float32)
        # Sums of about 40 products, in float32 and another order.
        torch.testing.assert_close(fused(x, other), y, atol=1e-5, rtol=1e-4)
