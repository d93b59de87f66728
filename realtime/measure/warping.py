"""How steady a clip is along the motion of its input, and how much detail steadying has left.

E_warp: root mean square, in [0, 1], between a frame and an earlier one carried along by the motion
of the input, where that can be trusted (`models.flow`); averaged over the clip. Short term: against
the frame before. Long term: against the frame LONG_TERM frames before.

A blurred or smeared film has the least E_warp, so it is never quoted alone: `remaining_detail` is
the gradients' energy over that of the same film without steadying, region by region.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Protocol

import cv2
import numpy as np
import torch
from torch import Tensor

from impasto.models.flow import occlusion_mask, warping_error
from impasto.realtime.frame import Frame
from impasto.realtime.pixels import as_tensor
from impasto.realtime.temporal.cuts import CutDetector

LONG_TERM = 10  # frames
REGIONS = (4, 6)  # down, across

Flow = tuple[np.ndarray, np.ndarray]  # (H, W, 2) floating, pixels; (H, W) bool, to be trusted


class Motion(Protocol):
    """Knows the flow from frame `later` of a clip to frame `earlier`, and where to trust it."""

    def __call__(self, later: int, earlier: int) -> Flow: ...


@dataclass(frozen=True)
class WarpingError:
    """E_warp of a clip; None where no two frames so far apart belong to one shot."""

    short_term: float | None
    long_term: float | None


@dataclass(frozen=True)
class Detail:
    """Gradient energy over that of another film: 1 is as much, below 1 is soft.

    least, most: of the regions, each measured across and down: a border that is drawn out has the
    gradients of one direction only. regions: (2, rows, columns), across first.
    """

    whole: float
    least: float
    most: float
    regions: np.ndarray


class EstimatedMotion:
    """Flow estimated from the frames (H, W, 3) uint8 themselves, by OpenCV's DIS.

    At full resolution, four times as fine as the flow of `realtime.temporal.blend`: judged by its
    own flow, blending would look better than it is (0.33 instead of 0.41 on a runner).
    """

    def __init__(self, frames: Sequence[np.ndarray]) -> None:
        self._gray = [cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY) for frame in frames]
        self._estimator = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
        self._estimator.setFinestScale(0)
        self._known: dict[tuple[int, int], Flow] = {}

    def __call__(self, later: int, earlier: int) -> Flow:
        if (later, earlier) not in self._known:
            first, last = self._gray[earlier], self._gray[later]
            forward, backward = (
                self._estimator.calc(*pair, np.empty(0))  # empty: no flow to begin with
                for pair in ((first, last), (last, first))
            )
            hidden = occlusion_mask(_flow_tensor(forward), _flow_tensor(backward))[0, 0]
            self._known[later, earlier] = backward, ~hidden.numpy()
        return self._known[later, earlier]


def shot_starts(frames: Sequence[np.ndarray]) -> list[int]:
    """For each frame, the number of the first one of its shot."""
    starts: list[int] = []
    begins_scene = CutDetector()
    for number, frame in enumerate(frames):
        begins = begins_scene(Frame(frame, number, Fraction(1)))
        starts.append(number if begins else starts[-1])
    return starts


def warping_error_of(
    frames: Sequence[np.ndarray],
    motion: Motion,
    starts: Sequence[int],
    *,
    long_term: int = LONG_TERM,
) -> WarpingError:
    """E_warp of frames (H, W, 3) uint8, stylized or not, under the motion of the input.

    motion: estimated, or exact where it is known. starts: see `shot_starts`. long_term: in frames.
    """

    def error(distance: int) -> float | None:
        errors = []
        for later, start in enumerate(starts):
            if later - distance >= start:
                flow, trusted = motion(later, later - distance)
                mask = torch.from_numpy(trusted)[None, None]
                pictures = as_tensor(frames[later - distance]), as_tensor(frames[later])
                errors.append(warping_error(*pictures, _flow_tensor(flow), mask).item())
        return float(np.mean(errors)) if errors else None

    return WarpingError(error(1), error(long_term))


def remaining_detail(
    steadied: Sequence[np.ndarray],
    plain: Sequence[np.ndarray],
    regions: tuple[int, int] = REGIONS,
) -> Detail:
    """The detail of a steadied film over that of the same film without; (H, W, 3) uint8 each.

    The energy is the mean squared difference of neighboring pixels of the luma, over all frames.
    A region of one color in both counts as unchanged.
    """
    energies = [_gradient_energy(film, regions) for film in (steadied, plain)]
    of_steadied, of_plain = (energy + 0.05 for energy in energies)  # levels squared: rounding
    ratios = of_steadied / of_plain
    whole = float(of_steadied.mean() / of_plain.mean())
    return Detail(whole, float(ratios.min()), float(ratios.max()), ratios)


def _gradient_energy(film: Sequence[np.ndarray], regions: tuple[int, int]) -> np.ndarray:
    """(2, rows, columns) in squared levels: across and down."""
    rows, columns = regions
    total = np.zeros((2, rows, columns))
    for frame in film:
        luma = cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY).astype(np.float32)
        for axis, difference in enumerate((np.diff(luma, axis=1), np.diff(luma, axis=0))):
            for y, row in enumerate(np.array_split(difference**2, rows)):
                for x, cell in enumerate(np.array_split(row, columns, axis=1)):
                    total[axis, y, x] += cell.mean() if cell.size else 0
    return total / len(film)


def _flow_tensor(flow: np.ndarray) -> Tensor:
    """(H, W, 2) as (1, 2, H, W) float32."""
    return torch.from_numpy(flow).permute(2, 0, 1)[None].float()
