"""Refinement of propagated frames, and what of it goes on to the next frame."""

from inspect import signature

import numpy as np

from impasto.models.gatys.optimize import Settings, StyleImage, paint
from impasto.realtime.cli.keyframes import keyframes as keyframes_command
from impasto.realtime.keyframes.fill import unstylized
from impasto.realtime.keyframes.refine import STEPS, Residual, refined
from impasto.realtime.pixels import as_tensor
from tests.realtime.keyframes.test_propagate import black
from tests.realtime.keyframes.views import frames_of, panned, texture

QUICK = Settings(steps=2, levels=1)
FRAMES = frames_of(panned(5))
STYLES = [StyleImage(as_tensor(texture(90, 100, seed=5)))]


def test_every_frame_is_refined() -> None:
    stylize = refined(black, STYLES, QUICK, steps=2)  # the first step alone may round to black
    frames = list(stylize([frame] for frame in FRAMES))
    assert [frame.pts for frame in frames] == [frame.pts for frame in FRAMES]
    assert all(frame.image.any() for frame in frames)


def test_the_steps_add_up_over_a_still_video() -> None:
    frames = frames_of([FRAMES[0].image] * 5)
    stylize = refined(unstylized, STYLES, QUICK, steps=2)
    content = as_tensor(frames[0].image)
    totals = [
        next(paint(content, STYLES, QUICK, init=as_tensor(frame.image))).total
        for frame in stylize([frame] for frame in frames)
    ]
    assert sorted(totals, reverse=True) == totals and totals[-1] < 0.8 * totals[0]


def test_the_residual_moves_along() -> None:
    before, after = panned(2, step=4)
    change = as_tensor(texture(96, 128, 6))[0].permute(1, 2, 0).numpy() - 0.5
    moved = Residual(before, change).warped_to(after)
    inside = np.s_[12:-12, 12:-12]
    away = np.abs(moved - np.roll(change, -4, axis=1))[inside]
    assert moved.dtype == np.float32 and away.mean() < 0.03 < np.abs(change[inside]).mean() / 3


def test_the_residual_ends_at_a_cut() -> None:
    before, after = texture(96, 128, 1), texture(96, 128, 2)
    moved = Residual(before, np.full((96, 128, 3), 0.5, np.float32)).warped_to(after)
    assert np.abs(moved).mean() < 0.05


def test_the_command_has_the_same_default() -> None:
    assert signature(keyframes_command).parameters["refine"].default == STEPS


def test_no_steps_change_nothing() -> None:
    assert refined(black, STYLES, QUICK, steps=0) is black
