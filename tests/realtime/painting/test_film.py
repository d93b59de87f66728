"""The film of a painting: which steps it shows."""

import torch

from impasto.models.gatys.optimize import Progress
from impasto.realtime.painting.film import Descent


def test_steps_that_raise_the_loss_are_left_out() -> None:
    """Totals are those before each step; 56652 came after the third one of a real run."""
    totals = [38.57, 38.52, 38.46, 56652.4, 36.92, 37.1, 35.69]
    descent, image = Descent(), torch.zeros(1, 3, 2, 2)
    shown = [
        descent(Progress((2, 2), step, 7, 0, 0, 0, total, image, {}))
        for step, total in enumerate(totals, start=1)
    ]
    assert [before and before.step for before in shown] == [None, 1, 2, None, 4, None, 6]


def test_a_larger_size_has_another_loss() -> None:
    descent, image = Descent(), torch.zeros(1, 3, 2, 2)
    for step, (side, total) in enumerate([(2, 5.0), (2, 4.0), (4, 9.0), (4, 8.0)], start=1):
        before = descent(Progress((side, side), step, 4, 0, 0, 0, total, image, {}))
        assert (before and before.step) == (step - 1 or None)
