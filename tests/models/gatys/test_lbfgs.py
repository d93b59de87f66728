"""L-BFGS against torch's own, and its preconditioner on quadratic losses."""

from collections.abc import Callable

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from impasto.models.gatys.lbfgs import LBFGS, MultilevelPreconditioner

Loss = Callable[[Tensor], Tensor]


def minimize(
    loss: Loss, init: Tensor, steps: int, preconditioner: MultilevelPreconditioner | None = None
) -> tuple[Tensor, float]:
    """The image after `steps` steps, and its loss."""
    pixels = init.clone().requires_grad_()
    optimizer = LBFGS(pixels, 10, preconditioner)

    def evaluate() -> None:
        pixels.grad = None
        loss(pixels).backward()

    for _ in range(steps):
        optimizer.step(evaluate)
    return pixels.detach(), loss(pixels).item()


def stiff_loss(size: tuple[int, int]) -> tuple[Loss, Tensor]:
    """A quadratic loss, 300 times as stiff at the finest scale, and 100 times in the left half.

    Returns it and its minimum, an image of all scales. Sizes differ in nothing else.
    """
    height, width = size
    across = torch.linspace(0, 1, width).view(1, 1, 1, -1)
    stiff = torch.where(across < 0.5, 10.0, 0.1)
    frequency = torch.fft.fftfreq(height)[:, None].square() + torch.fft.rfftfreq(width).square()
    spectrum = frequency.sqrt().clamp_min(1 / max(size))
    noise = torch.randn(1, 3, *size, generator=torch.Generator().manual_seed(0))
    minimum = torch.fft.irfft2(torch.fft.rfft2(noise) / (20 * spectrum), size)

    def loss(image: Tensor) -> Tensor:
        error = torch.fft.rfft2((image - minimum) * stiff.sqrt(), norm="ortho")
        return (error.abs().square() * spectrum).sum() / (height * width)

    return loss, minimum


def test_without_a_preconditioner_the_steps_are_those_of_torch() -> None:
    loss, minimum = stiff_loss((24, 20))
    pixels = torch.zeros_like(minimum).requires_grad_()
    reference = torch.optim.LBFGS(
        [pixels], max_iter=1, history_size=10, tolerance_grad=0, tolerance_change=0
    )

    def evaluate() -> Tensor:
        reference.zero_grad()
        value = loss(pixels)
        value.backward()
        return value

    for _ in range(15):
        reference.step(evaluate)
    image, _ = minimize(loss, torch.zeros_like(minimum), 15)
    torch.testing.assert_close(image, pixels.detach(), rtol=1e-3, atol=1e-4)


def test_the_preconditioner_saves_most_of_the_steps() -> None:
    loss, minimum = stiff_loss((96, 128))
    init = torch.zeros_like(minimum)
    _, plain = minimize(loss, init, 90)
    _, preconditioned = minimize(loss, init, 30, MultilevelPreconditioner((96, 128)))
    assert preconditioned < plain


def test_the_preconditioner_serves_at_twice_the_size() -> None:
    coarse, minimum = stiff_loss((64, 48))
    preconditioner = MultilevelPreconditioner((64, 48))
    minimize(coarse, torch.zeros_like(minimum), 20, preconditioner)
    loss, minimum = stiff_loss((128, 97))
    init = torch.zeros_like(minimum)
    _, from_coarse = minimize(loss, init, 12, preconditioner.finer((128, 97)))
    _, from_nothing = minimize(loss, init, 12, MultilevelPreconditioner((128, 97)))
    assert from_coarse < from_nothing


sides = st.integers(16, 130)


@given(sides, sides, st.integers(0, 2**31))
def test_is_positive_and_right_along_the_last_step(height: int, width: int, seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    s, y, other = (torch.randn(1, 3, height, width, generator=generator) for _ in range(3))
    y = y + 2 * s
    preconditioner = MultilevelPreconditioner((height, width))
    assert not preconditioner
    preconditioner.update(s, y)
    assert preconditioner
    for image in (y, other):
        assert (image * preconditioner(image)).sum() > 0
    ratio = (y * preconditioner(y)).sum() / (s * y).sum()
    assert ratio.item() == pytest.approx(1, rel=0.05)


def test_a_region_without_a_gradient() -> None:
    s = torch.zeros(1, 3, 64, 64)
    s[..., 40:] = torch.rand(1, 3, 64, 24)
    preconditioner = MultilevelPreconditioner((64, 64))
    preconditioner.update(s, 3 * s)
    assert (product := preconditioner(s)).isfinite().all() and product.any()
    pixels, _ = minimize(lambda image: image[..., 40:].square().sum(), s, 20, preconditioner)
    assert pixels.isfinite().all()


def test_the_scaling_is_limited() -> None:
    """A region that the loss hardly depends on must not move far for a small gradient."""
    s = torch.randn(1, 3, 64, 90, generator=torch.Generator().manual_seed(0))
    y = s.clone()
    y[..., 80:] *= 1e-4
    preconditioner = MultilevelPreconditioner((64, 90))
    preconditioner.update(s, y)
    columns = preconditioner(s).square().mean((0, 1, 2)).sqrt()
    assert columns[82:].max() < 15 * columns[:70].mean()
