"""L-BFGS against torch's own, and what is known of scales and places against quadratic losses."""

from collections.abc import Callable

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from impasto.models.gatys.lbfgs import LBFGS, Multilevel

Loss = Callable[[Tensor], Tensor]


def minimised(
    loss: Loss, start: Tensor, steps: int, guess: Multilevel | None = None
) -> tuple[Tensor, float]:
    """What `steps` steps lead to, and the loss there."""
    pixels = start.clone().requires_grad_()
    optimizer = LBFGS(pixels, 10, guess)

    def evaluate() -> None:
        pixels.grad = None
        loss(pixels).backward()

    for _ in range(steps):
        optimizer.step(evaluate)
    return pixels.detach(), loss(pixels).item()


def scales_and_places(size: tuple[int, int]) -> tuple[Loss, Tensor]:
    """A quadratic loss that is 300 times as stiff for what is fine, and 100 times on the left.

    Returns it and where it is 0, a picture of all scales. The same landscape at every size.
    """
    height, width = size
    across = torch.linspace(0, 1, width).view(1, 1, 1, -1)
    stiff = torch.where(across < 0.5, 10.0, 0.1)
    frequency = torch.fft.fftfreq(height)[:, None].square() + torch.fft.rfftfreq(width).square()
    spectrum = frequency.sqrt().clamp_min(1 / max(size))
    noise = torch.randn(1, 3, *size, generator=torch.Generator().manual_seed(0))
    goal = torch.fft.irfft2(torch.fft.rfft2(noise) / (20 * spectrum), size)

    def loss(image: Tensor) -> Tensor:
        away = torch.fft.rfft2((image - goal) * stiff.sqrt(), norm="ortho")
        return (away.abs().square() * spectrum).sum() / (height * width)

    return loss, goal


def test_without_a_guess_the_steps_are_those_of_torch() -> None:
    loss, goal = scales_and_places((24, 20))
    pixels = torch.zeros_like(goal).requires_grad_()
    theirs = torch.optim.LBFGS(
        [pixels], max_iter=1, history_size=10, tolerance_grad=0, tolerance_change=0
    )

    def evaluate() -> Tensor:
        theirs.zero_grad()
        found = loss(pixels)
        found.backward()
        return found

    for _ in range(15):
        theirs.step(evaluate)
    ours, _ = minimised(loss, torch.zeros_like(goal), 15)
    torch.testing.assert_close(ours, pixels.detach(), rtol=1e-3, atol=1e-4)


def test_knowing_scales_and_places_saves_most_of_the_steps() -> None:
    loss, goal = scales_and_places((96, 128))
    start = torch.zeros_like(goal)
    _, plain = minimised(loss, start, 90)
    _, ours = minimised(loss, start, 30, Multilevel((96, 128)))
    assert ours < plain


def test_what_is_known_serves_at_twice_the_size() -> None:
    coarse, goal = scales_and_places((64, 48))
    known = Multilevel((64, 48))
    minimised(coarse, torch.zeros_like(goal), 20, known)
    loss, goal = scales_and_places((128, 97))
    start = torch.zeros_like(goal)
    _, from_it = minimised(loss, start, 12, known.finer((128, 97)))
    _, from_nothing = minimised(loss, start, 12, Multilevel((128, 97)))
    assert from_it < from_nothing


sides = st.integers(16, 130)


@given(sides, sides, st.integers(0, 2**31))
def test_is_positive_and_right_for_the_step_it_saw(height: int, width: int, seed: int) -> None:
    dice = torch.Generator().manual_seed(seed)
    moved, changed, other = (torch.randn(1, 3, height, width, generator=dice) for _ in range(3))
    changed = changed + 2 * moved
    guess = Multilevel((height, width))
    assert not guess
    guess.learn(moved, changed)
    assert guess
    for image in (changed, other):
        assert (image * guess(image)).sum() > 0
    ratio = (changed * guess(changed)).sum() / (moved * changed).sum()
    assert ratio.item() == pytest.approx(1, rel=0.05)


def test_where_nothing_moved_or_changed() -> None:
    moved = torch.zeros(1, 3, 64, 64)
    moved[..., 40:] = torch.rand(1, 3, 64, 24)
    guess = Multilevel((64, 64))
    guess.learn(moved, 3 * moved)
    assert (found := guess(moved)).isfinite().all() and found.any()
    pixels, _ = minimised(lambda image: image[..., 40:].square().sum(), moved, 20, guess)
    assert pixels.isfinite().all()


def test_no_place_moves_by_itself() -> None:
    """Where hardly anything depends on the picture, little must not move it far."""
    moved = torch.randn(1, 3, 64, 90, generator=torch.Generator().manual_seed(0))
    changed = moved.clone()
    changed[..., 80:] *= 1e-4
    guess = Multilevel((64, 90))
    guess.learn(moved, changed)
    apart = guess(moved).square().mean((0, 1, 2)).sqrt()
    assert apart[82:].max() < 15 * apart[:70].mean()
