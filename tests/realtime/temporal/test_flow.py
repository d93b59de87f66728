"""Warping and occlusion with OpenCV agree with the reference on tensors."""

import cv2
import numpy as np
import pytest
import torch

from impasto.models import flow as tensor_flow
from impasto.realtime.temporal.flow import occlusion_mask, warp
from tests.pictures import texture


def flow_of(height: int, width: int, seed: int) -> np.ndarray:
    """A smooth flow of up to two pixels: (H, W, 2) float32."""
    coarse = np.random.default_rng(seed).uniform(-2, 2, (4, 5, 2)).astype(np.float32)
    return cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC)


def tensor(array: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(array).permute(2, 0, 1)[None].float()


@pytest.mark.parametrize("seed", range(4))
def test_occlusion_mask_agrees_with_tensors(seed: int) -> None:
    forward, backward = flow_of(60, 80, seed), -flow_of(60, 80, seed)
    expected = tensor_flow.occlusion_mask(tensor(forward), tensor(backward))[0, 0].numpy()
    assert 0.05 < expected.mean() < 0.95
    # OpenCV rounds coordinates to 1/32 of a pixel: pixels close to the limit may differ.
    assert (occlusion_mask(forward, backward) == expected).mean() > 0.99


def test_a_shift_is_occluded_only_where_it_leaves_the_frame() -> None:
    forward = np.full((40, 50, 2), (3, 0), np.float32)
    mask = occlusion_mask(forward, -forward)
    assert mask[:, :3].all() and not mask[:, 3:].any()
    assert not occlusion_mask(np.zeros_like(forward), np.zeros_like(forward)).any()


def test_warp_agrees_with_tensors() -> None:
    picture, flow = texture().astype(np.float32), flow_of(120, 160, 1)
    expected = tensor_flow.warp(tensor(picture), tensor(flow))[0].permute(1, 2, 0).numpy()
    assert np.abs(warp(picture, flow) - expected).max() < 1.5  # levels: 1/64 px, steep texture
