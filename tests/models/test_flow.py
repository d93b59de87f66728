"""Warping, occlusion and the warping error, against cases computed by hand."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from impasto.models.flow import occlusion_mask, warp, warping_error


def constant(u: float, v: float, height: int, width: int) -> Tensor:
    return torch.tensor([u, v]).view(1, 2, 1, 1).expand(1, 2, height, width).clone()


def grid(height: int, width: int) -> tuple[Tensor, Tensor]:
    y, x = torch.meshgrid(
        torch.arange(height, dtype=torch.float32),
        torch.arange(width, dtype=torch.float32),
        indexing="ij",
    )
    return x, y


@given(
    st.integers(1, 9), st.integers(1, 9), st.sampled_from([torch.float32, torch.float64]),
    st.integers(0, 99),
)  # fmt: skip
@settings(max_examples=30, deadline=None)
def test_zero_flow_changes_nothing(height: int, width: int, dtype: torch.dtype, seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    image = torch.randn(2, 3, height, width, generator=generator, dtype=dtype)
    assert torch.equal(warp(image, torch.zeros(2, 2, height, width)), image)


@given(st.integers(-4, 4), st.integers(-4, 4))
@settings(max_examples=30, deadline=None)
def test_an_integer_flow_copies_exactly_and_repeats_the_border(u: int, v: int) -> None:
    image = torch.randn(1, 2, 11, 14, generator=torch.Generator().manual_seed(1))
    warped = warp(image, constant(u, v, 11, 14))
    padded = torch.from_numpy(np.pad(image.numpy(), ((0, 0), (0, 0), (4, 4), (4, 4)), "edge"))
    assert torch.equal(warped, padded[:, :, 4 + v : 15 + v, 4 + u : 18 + u])


def test_half_a_pixel_is_the_mean_of_two_pixels() -> None:
    image = torch.tensor([[[[0.0, 2.0, 6.0]]]])
    assert warp(image, constant(0.5, 0.0, 1, 3)).flatten().tolist() == [1.0, 4.0, 6.0]


@pytest.mark.parametrize(("angle", "zoom"), [(0.1, 1.0), (0.0, 1.15), (-0.2, 0.9)])
def test_rotation_and_zoom_against_the_closed_form(angle: float, zoom: float) -> None:
    height, width = 48, 64

    def scene(x: Tensor, y: Tensor) -> Tensor:
        return 0.5 + 0.25 * torch.sin(0.21 * x + 0.3) + 0.25 * torch.cos(0.17 * y - 0.1 * x)

    x, y = grid(height, width)
    cx, cy = x - (width - 1) / 2, y - (height - 1) / 2
    c, s = zoom * np.cos(angle), zoom * np.sin(angle)
    tx, ty = c * cx - s * cy + (width - 1) / 2, s * cx + c * cy + (height - 1) / 2
    warped = warp(scene(x, y)[None, None], torch.stack([tx - x, ty - y])[None])
    inside = (tx >= 0) & (tx <= width - 1) & (ty >= 0) & (ty <= height - 1)
    # Bilinear error is at most h^2/8 (|f_xx| + |f_yy|): 1/8 * 0.25 * (0.21^2 + 0.17^2 + 0.1^2).
    assert (warped[0, 0] - scene(tx, ty)).abs()[inside].max() < 0.0026


def test_equals_grid_sample_to_its_rounding() -> None:
    generator = torch.Generator().manual_seed(3)
    image = torch.rand(2, 3, 20, 30, generator=generator)
    flow = 6 * torch.randn(2, 2, 20, 30, generator=generator)
    x, y = grid(20, 30)
    coordinates = torch.stack(
        [2 * (x + flow[:, 0]) / 29 - 1, 2 * (y + flow[:, 1]) / 19 - 1], dim=-1
    )
    reference = torch.nn.functional.grid_sample(
        image, coordinates, mode="bilinear", padding_mode="border", align_corners=True
    )
    torch.testing.assert_close(warp(image, flow), reference, atol=1e-5, rtol=0)


def test_gradients_reach_image_and_flow() -> None:
    generator = torch.Generator().manual_seed(4)
    image = torch.rand(1, 2, 5, 6, generator=generator, dtype=torch.float64, requires_grad=True)
    # Away from integers, where the interpolation has a kink.
    flow = torch.rand(1, 2, 5, 6, generator=generator, dtype=torch.float64) * 0.6 + 0.2
    assert torch.autograd.gradcheck(warp, (image, flow.requires_grad_()))


def square_on_still_ground() -> tuple[Tensor, Tensor]:
    """Flows of a square at columns 10..19, rows 8..17 that moves 4 px right on a still ground."""
    forward, backward = torch.zeros(1, 2, 32, 40), torch.zeros(1, 2, 32, 40)
    forward[0, 0, 8:18, 10:20] = 4.0
    backward[0, 0, 8:18, 14:24] = -4.0
    return forward, backward


def test_ground_that_a_moving_square_uncovers_is_occluded() -> None:
    mask = occlusion_mask(*square_on_still_ground())[0, 0]
    # On the second frame columns 10..13 show ground that was behind the square: going back by
    # zero lands on a pixel that moves by 4. Central differences of the backward flow are 2 (so
    # 4 > 0.01 * 16 + 0.002) on both sides of each edge of the square: the motion boundaries.
    expected = torch.zeros(32, 40, dtype=torch.bool)
    expected[8:18, 10:14] = True
    expected[7:19, 14:24] = True
    expected[8:18, 13:25] = True
    expected[9:17, 15:23] = False
    assert torch.equal(mask, expected)


def test_ground_that_a_moving_square_will_cover_is_occluded() -> None:
    # On the first frame the square is about to cover the ground at columns 20..23.
    forward, backward = square_on_still_ground()
    mask = occlusion_mask(backward, forward)[0, 0]
    assert mask[8:18, 20:24].all()
    assert not mask[9:17, 11:19].any()  # the inside of the square
    assert not mask[:, :9].any() and not mask[:, 25:].any() and not mask[:7].any()


def test_pixels_from_outside_the_frame_are_occluded() -> None:
    mask = occlusion_mask(constant(-3.0, 0.0, 8, 12), constant(3.0, 0.0, 8, 12))[0, 0]
    assert mask[:, 9:].all() and not mask[:, :9].any()


@given(st.floats(-8, 8), st.floats(-8, 8))
@settings(max_examples=30, deadline=None)
def test_uniform_motion_is_reliable_inside(u: float, v: float) -> None:
    mask = occlusion_mask(constant(-u, -v, 24, 24), constant(u, v, 24, 24))
    assert not mask[:, :, 8:16, 8:16].any()


def test_warping_error_is_zero_for_a_warped_frame_and_else_the_change() -> None:
    generator = torch.Generator().manual_seed(5)
    previous = torch.rand(2, 3, 10, 12, generator=generator)
    flow = constant(2.0, 1.0, 10, 12).expand(2, -1, -1, -1)
    mask = torch.ones(2, 1, 10, 12, dtype=torch.bool)
    current = warp(previous, flow)
    assert warping_error(previous, current, flow, mask).tolist() == [0.0, 0.0]
    changed = current + torch.tensor([0.1, 0.25]).view(2, 1, 1, 1)
    error = warping_error(previous, changed, flow, mask)
    torch.testing.assert_close(error, torch.tensor([0.1, 0.25]), atol=1e-6, rtol=0)


def test_warping_error_is_masked() -> None:
    previous = torch.zeros(1, 3, 4, 6)
    current = previous.clone()
    current[:, :, :, :3] = 1.0
    mask = torch.ones(1, 1, 4, 6)
    flow = torch.zeros(1, 2, 4, 6)
    # Half of the pixels differ by 1: sqrt(1/2).
    assert warping_error(previous, current, flow, mask).item() == pytest.approx(0.5**0.5)
    mask[..., :3] = 0
    assert warping_error(previous, current, flow, mask).item() == 0.0
    assert warping_error(previous, current, flow, mask * 0).item() == 0.0
