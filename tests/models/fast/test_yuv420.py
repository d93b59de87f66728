"""Planes are read and given as they are, and mean what RGB means."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from impasto.models import transform_net
from impasto.models.fast.norm_folding import FoldedNetwork, RenewingNetwork
from impasto.models.fast.norm_statistics import initial_statistics
from impasto.models.fast.pixel_layouts import Planes
from impasto.models.fast.running_statistics import statistics_of, tensors_of
from impasto.models.fast.yuv420 import Recoding, places_of, planes_of
from impasto.models.transform_net import TransformNet

MATRICES = (1, 4, 5, 6, 7, 9)


def some_planes(height: int, width: int, *, seed: int = 0) -> Tensor:
    """Smooth, with some noise, so that the mirror at the border is like the picture: 3H/2 x W."""
    random = np.random.default_rng(seed)
    y, x = np.mgrid[0:height, 0:width]
    luma = 126 + 60 * np.sin(x / 9 + y / 17) + random.normal(0, 10, (height, width))
    y, x = np.mgrid[0 : height // 2, 0 : width // 2]
    chroma = [128 + 40 * np.cos(x / 11), 128 + 40 * np.sin(y / 7)]
    rows = np.concatenate([luma, np.stack(chroma).reshape(height // 2, width)])
    return torch.from_numpy(rows.clip(16, 235).round().astype(np.uint8))[None]


def rgb_of(planes: Tensor, recoding: Recoding) -> Tensor:
    """(N, 3, H, W) float32 in 0..255, chroma repeated 2x2: by the definition."""
    n, rows, width = planes.shape
    height = rows * 2 // 3
    luma = planes[:, None, :height].float()
    chroma = planes[:, height:].reshape(n, 2, height // 2, width // 2).float()
    ycc = torch.cat([luma, F.interpolate(chroma, scale_factor=2.0, mode="nearest")], dim=1)
    return torch.einsum("cy,nyhw->nchw", recoding.to_rgb, ycc - recoding.zero.view(1, 3, 1, 1))


def planes_from(rgb: Tensor, recoding: Recoding) -> Tensor:
    """The opposite, chroma averaged over 2x2: (N, 3 H / 2, W) float32."""
    ycc = torch.einsum("yc,nchw->nyhw", torch.linalg.inv(recoding.to_rgb), rgb)
    ycc = (ycc + recoding.zero.view(1, 3, 1, 1)).clamp(0, 255)
    chroma = F.avg_pool2d(ycc[:, 1:], 2)
    return torch.cat([ycc[:, 0], chroma.reshape(len(rgb), -1, rgb.shape[3])], dim=1)


@pytest.mark.parametrize(
    ("matrix", "full_range", "ycc", "rgb"),
    [  # the corners that the standards print
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
    recoding = Recoding.of(matrix, full_range)
    got = recoding.to_rgb @ (torch.tensor(ycc, dtype=torch.float32) - recoding.zero)
    assert (got - torch.tensor(rgb)).abs().max() < 1.5  # the standard's numbers are rounded


def test_an_unknown_matrix_is_refused():
    with pytest.raises(KeyError):
        Recoding.of(2, False)


@settings(max_examples=20, deadline=None)
@given(n=st.integers(1, 3), h=st.integers(1, 20), w=st.integers(1, 20), seed=st.integers(0, 9))
def test_places_and_back(n, h, w, seed):
    random = np.random.default_rng(seed)
    planes = torch.from_numpy(random.integers(0, 256, (n, 3 * h, 2 * w), np.uint8))
    places = places_of(planes)
    assert torch.equal(planes_of(places), planes)
    y, x = h // 2, w // 2
    luma = planes[0, 2 * y : 2 * y + 2, 2 * x : 2 * x + 2].flatten().tolist()
    chroma = planes[0, 2 * h :].reshape(2, h, w)[:, y, x].tolist()
    assert places[0, y, x].tolist() == luma + chroma


@pytest.mark.parametrize("matrix", MATRICES)
@pytest.mark.parametrize("full_range", [False, True])
@pytest.mark.parametrize(("size", "stride"), [(7, 4), (5, 2), (3, 2)])
def test_a_convolution_of_places_is_that_of_their_pixels(matrix, full_range, size, stride):
    recoding = Recoding.of(matrix, full_range)
    weight = torch.randn(8, 3, size, size, generator=torch.Generator().manual_seed(1))
    mean, planes = torch.tensor([50.0, 150.0, 99.0]), some_planes(32, 40)
    pixels = rgb_of(planes, recoding) - mean.view(1, 3, 1, 1)
    expected = F.conv2d(pixels, weight, stride=stride, padding=size // 2)

    read, place = recoding.read(weight, mean)
    places = places_of(planes).permute(0, 3, 1, 2) - place.view(1, 6, 1, 1)
    before = (size // 2 + 1) // 2
    got = F.conv2d(F.pad(places, (before, 0, before, 0)), read, stride=stride // 2)
    # A kernel may end in a place after the picture, which is not there.
    expected = expected[..., : got.shape[2], : got.shape[3]]
    assert expected.shape[2] >= 7 and expected.shape[3] >= 9
    torch.testing.assert_close(got, expected, rtol=1e-4, atol=0.02)


@pytest.mark.parametrize("matrix", MATRICES)
def test_a_convolution_that_gives_places_gives_what_the_pixels_become(matrix):
    recoding = Recoding.of(matrix, full_range=False)
    random = torch.Generator().manual_seed(2)
    x = torch.randn(1, 5, 12, 10, generator=random)
    weight = torch.randn(12, 5, 3, 3, generator=random)
    bias = 128 + 20 * torch.randn(12, generator=random)
    y = F.conv2d(x, weight, bias, padding=1).view(1, 2, 2, 3, 12, 10)  # (row, column, colour)
    rgb = y.permute(0, 3, 4, 1, 5, 2).reshape(1, 3, 24, 20)
    places = F.conv2d(x, *recoding.give(weight, bias), padding=1).clamp(0, 255)
    expected = planes_from(rgb, recoding)
    chroma = expected[:, 24:].view(1, 2, 12, 10)
    luma = expected[:, :24].view(1, 12, 2, 10, 2).permute(0, 2, 4, 1, 3).flatten(1, 2)
    torch.testing.assert_close(places[:, :4], luma, rtol=0, atol=0.01)
    # Chroma of the network's is averaged first and limited then.
    near = (places[:, 4:] - chroma).abs() < 0.01
    assert near.float().mean() > 0.95


def symmetric_pad(x: Tensor, stride: int, margin: int) -> Tensor:
    """`reflect_pad`, but the mirror repeats the pixels at the border, as that of planes does."""
    after = [margin + -(side + 2 * margin) % stride for side in x.shape[2:]]
    pads = ((0, 0), (0, 0), (margin, after[0]), (margin, after[1]))
    return torch.from_numpy(np.pad(x.numpy(), pads, mode="symmetric"))


@torch.inference_mode()
@pytest.mark.parametrize(("height", "width"), [(96, 128), (90, 122), (24, 26)])
@pytest.mark.parametrize("full_range", [False, True])
def test_the_network_on_planes_is_the_network(height, width, full_range, monkeypatch):
    monkeypatch.setattr(transform_net, "reflect_pad", symmetric_pad)
    torch.manual_seed(0)
    network = TransformNet("fast").eval().requires_grad_(False)
    recoding = Recoding.of(1, full_range)
    planes = some_planes(height, width)
    expected = planes_from(255 * network(rgb_of(planes, recoding) / 255), recoding)
    renewing = RenewingNetwork(network, torch.float32, Planes(recoding))
    got, statistics = renewing(planes, tensors_of(initial_statistics(sum(renewing.widths))), 1.0)
    assert got.shape == planes.shape and got.dtype == torch.uint8
    assert (got - expected).abs().max() < 0.6  # rounded, and summed in another order
    folded = FoldedNetwork(network, torch.float32, Planes(recoding))
    folded.fold(statistics)
    assert (folded(planes).int() - got.int()).abs().max() <= 1


@torch.inference_mode()
def test_moments_are_those_of_the_rgb_picture():
    recoding, planes = Recoding.of(6, False), some_planes(48, 64)
    mean, variance = Planes(recoding).moments(places_of(planes).permute(0, 3, 1, 2).float())
    expected = statistics_of(rgb_of(planes, recoding))
    torch.testing.assert_close(mean, expected.mean, rtol=1e-3, atol=0.01)
    torch.testing.assert_close(variance, expected.variance, rtol=1e-3, atol=0.05)


@torch.inference_mode()
def test_a_batch_of_planes_is_its_pictures():
    torch.manual_seed(0)
    network = TransformNet("fast").eval().requires_grad_(False)
    layout = Planes(Recoding.of(1, False))
    pictures = torch.cat([some_planes(48, 64, seed=k) for k in range(3)])
    renewing = RenewingNetwork(network, torch.float32, layout)
    _, statistics = renewing(
        pictures[:1], tensors_of(initial_statistics(sum(renewing.widths))), 1.0
    )
    folded = FoldedNetwork(network, torch.float32, layout)
    folded.fold(statistics)
    alone = torch.cat([folded(picture[None]) for picture in pictures])
    assert (folded(pictures).int() - alone.int()).abs().max() <= 1
