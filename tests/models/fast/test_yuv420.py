"""Yuv420p output of a network equals its RGB output converted to yuv420p."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from impasto.models.colors import ycc_to_rgb
from impasto.models.fast.norm_folding import FoldedNetwork, RunningNormNetwork
from impasto.models.fast.norm_statistics import initial_statistics
from impasto.models.fast.running_statistics import statistics_to_tensors
from impasto.models.fast.yuv420 import RgbToYuv420, blocks_to_yuv420p
from impasto.models.transform_net import TransformNet
from tests.pictures import make_pictures

MATRICES = (1, 4, 5, 6, 7, 9)


def to_yuv420p(rgb: Tensor, matrix: int, full_range: bool) -> Tensor:
    """(N, 3, H, W) to yuv420p, chroma averaged over 2x2: (N, 3 H / 2, W) float32."""
    to_rgb, black = (torch.from_numpy(x) for x in ycc_to_rgb(matrix, full_range))
    ycc = torch.einsum("yc,nchw->nyhw", torch.linalg.inv(to_rgb), rgb)
    ycc = (ycc + black.view(1, 3, 1, 1)).clamp(0, 255)
    chroma = F.avg_pool2d(ycc[:, 1:], 2)
    return torch.cat([ycc[:, 0], chroma.reshape(len(rgb), -1, rgb.shape[3])], dim=1)


@pytest.mark.parametrize(
    ("matrix", "full_range", "ycc", "rgb"),
    [  # values printed in the standards
        (1, False, (235, 128, 128), (255, 255, 255)),
        (1, False, (16, 128, 128), (0, 0, 0)),
        (1, False, (63, 102, 240), (255, 0, 0)),
        (6, False, (81, 90, 240), (255, 0, 0)),
        (6, False, (41, 240, 110), (0, 0, 255)),
        (6, True, (76, 85, 255), (255, 0, 0)),
        (9, False, (74, 97, 240), (255, 0, 0)),
    ],
)
def test_known_colors(matrix, full_range, ycc, rgb):
    conversion = RgbToYuv420.for_color_space(matrix, full_range)
    result = conversion.matrix @ torch.tensor(4 * rgb, dtype=torch.float32) + conversion.offset
    expected = torch.tensor(4 * ycc[:1] + ycc[1:])
    assert (result - expected).abs().max() < 0.6  # the standards round to integers


def test_an_unsupported_matrix_raises_key_error():
    with pytest.raises(KeyError):
        RgbToYuv420.for_color_space(2, False)


@settings(max_examples=20, deadline=None)
@given(n=st.integers(1, 3), h=st.integers(1, 20), w=st.integers(1, 20), seed=st.integers(0, 9))
def test_blocks_to_yuv420p(n, h, w, seed):
    random = np.random.default_rng(seed)
    blocks = torch.from_numpy(random.integers(0, 256, (n, h, w, 6), np.uint8))
    frames = blocks_to_yuv420p(blocks)
    assert frames.shape == (n, 3 * h, 2 * w)
    y, x = h // 2, w // 2
    luma = frames[0, 2 * y : 2 * y + 2, 2 * x : 2 * x + 2].flatten().tolist()
    chroma = frames[0, 2 * h :].reshape(2, h, w)[:, y, x].tolist()
    assert blocks[0, y, x].tolist() == luma + chroma


@pytest.mark.parametrize("matrix", MATRICES)
def test_a_folded_convolution_computes_yuv420p_of_its_rgb(matrix):
    conversion = RgbToYuv420.for_color_space(matrix, full_range=False)
    random = torch.Generator().manual_seed(2)
    x = torch.randn(1, 5, 12, 10, generator=random)
    weight = torch.randn(12, 5, 3, 3, generator=random)
    bias = 128 + 20 * torch.randn(12, generator=random)
    y = F.conv2d(x, weight, bias, padding=1).view(1, 2, 2, 3, 12, 10)  # (row, column, color)
    rgb = y.permute(0, 3, 4, 1, 5, 2).reshape(1, 3, 24, 20)
    blocks = F.conv2d(x, *conversion.fold(weight, bias), padding=1).clamp(0, 255)
    expected = to_yuv420p(rgb, matrix, full_range=False)
    chroma = expected[:, 24:].view(1, 2, 12, 10)
    luma = expected[:, :24].view(1, 12, 2, 10, 2).permute(0, 2, 4, 1, 3).flatten(1, 2)
    torch.testing.assert_close(blocks[:, :4], luma, rtol=0, atol=0.01)
    # The convolution averages chroma before it is clamped; the reference after.
    close = (blocks[:, 4:] - chroma).abs() < 0.01
    assert close.float().mean() > 0.95


@torch.inference_mode()
@pytest.mark.parametrize(("height", "width"), [(96, 128), (90, 122), (32, 34)])
@pytest.mark.parametrize("full_range", [False, True])
def test_network_output_is_its_rgb_output_as_yuv420p(height, width, full_range):
    torch.manual_seed(0)
    network = TransformNet("fast").eval().requires_grad_(False)
    conversion = RgbToYuv420.for_color_space(1, full_range)
    frames = torch.from_numpy(make_pictures(2, height, width))
    rgb = 255 * network(frames[:1].permute(0, 3, 1, 2).float() / 255)
    expected = to_yuv420p(rgb, 1, full_range)
    running = RunningNormNetwork(network, torch.float32, conversion)
    initial = statistics_to_tensors(initial_statistics(sum(running.channels)))
    result, statistics = running(frames[:1], initial, 1.0)
    assert result.shape == (1, height * 3 // 2, width) and result.dtype == torch.uint8
    # Rounded, and summed in another order; chroma is clamped after it is averaged.
    assert (result - expected)[:, :height].abs().max() < 0.6
    assert ((result - expected).abs() < 0.6).float().mean() > 0.95
    folded = FoldedNetwork(network, torch.float32, conversion)
    folded.fold(statistics)
    assert (folded(frames[:1]).int() - result.int()).abs().max() <= 1
    alone = torch.cat([folded(frame[None]) for frame in frames])
    assert (folded(frames).int() - alone.int()).abs().max() <= 1
