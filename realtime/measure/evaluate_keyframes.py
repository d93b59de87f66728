"""Keyframe propagation on a clip, measured against painting each frame on its own.

Both are measured where propagation is hardest: at two consecutive frames half way between two
keyframes, and half way from the last one to the end.
"""

import tempfile
from collections.abc import Callable, Sequence
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from impasto.models.gatys.optimize import PRESETS, Settings, StyleImage, paint
from impasto.models.judge import StyleMetrics
from impasto.models.loss_network import load_loss_network
from impasto.realtime.engines.options import EngineOptions
from impasto.realtime.engines.torch_engine import resolve_device
from impasto.realtime.files.images import read_image
from impasto.realtime.frame import Frame
from impasto.realtime.keyframes.folder import KeyframeFolder
from impasto.realtime.keyframes.paint import paint_keyframes
from impasto.realtime.keyframes.propagate import KeyframePropagation
from impasto.realtime.keyframes.refine import refined
from impasto.realtime.keyframes.selection import SelectionRule, max_gap, select_keyframes
from impasto.realtime.measure.originals import read_clip
from impasto.realtime.measure.timing import Table
from impasto.realtime.measure.warping import EstimatedMotion, Flow, warping_error_of
from impasto.realtime.pipeline import Stylize
from impasto.realtime.pixels import as_picture, as_tensor
from impasto.realtime.stylizer import LazyStylizer

_RATE = Fraction(25)  # frames a second: what a clip is taken to have


def evaluate_propagation(
    options: EngineOptions,
    clips: Sequence[Path],
    painting: Path,
    *,
    side: int = 288,
    frames: int = 30,
    loss_network: str = "compact",
    settings: Settings = PRESETS["default"],
    log: Callable[[str], None] = lambda line: None,
) -> list[dict[str, Any]]:
    """A row of `evaluate_keyframes` for each clip, with "clip"; arguments as for `evaluate`.

    options: the style that fills in. Raises SourceError, WeightsError and EngineError.
    """
    image = read_image(painting)
    network = load_loss_network(loss_network)
    metrics = StyleMetrics(network, as_tensor(image))
    rows = []
    for clip in clips:
        images = read_clip(clip, size=side, frames=frames)
        log(f"{clip.name}: painting keyframes, and frames one by one ...")
        fill = LazyStylizer(options, steadiness="flow")
        row = evaluate_keyframes(images, image, settings, fill, metrics, options.device)
        rows.append({"clip": clip} | row)
    return rows


def evaluate_keyframes(
    images: Sequence[np.ndarray],
    painting: np.ndarray,
    settings: Settings,
    fill: Stylize,
    metrics: StyleMetrics,
    device: str = "cpu",
) -> dict[str, Any]:
    """One clip, its keyframes selected and propagated as `impasto keyframes` does by default.

    images: (H, W, 3) uint8, two or more. fill: stylizes where no keyframe can be traced. Returns
    "keyframes" (their numbers), "filled" (share of the pixels) and "e_warp" and "style", each
    {"alone", "carried", "ratio"}: means over the measured frames, painted one by one and
    propagated; None where there are no such frames.
    """
    device = resolve_device(device)
    frames = [Frame(image, number, 1 / _RATE) for number, image in enumerate(images)]
    height, width = images[0].shape[:2]
    *_, selection = select_keyframes(frames, SelectionRule(max_gap=max_gap(height, width)))
    numbers = [keyframe.number for keyframe in selection.keyframes]
    with tempfile.TemporaryDirectory() as scratch:
        folder = KeyframeFolder(Path(scratch))
        painted = paint_keyframes(frames, selection, [painting], settings, folder, device=device)
        paintings = {one.keyframe.pts: read_image(one.path) for one in painted}
    propagation = KeyframePropagation(paintings, paintings.__getitem__, selection.cuts, fill)
    style = StyleImage(as_tensor(painting))
    stylize = refined(propagation, [style], settings, device=device)
    propagated = [frame.image for frame in stylize([frame] for frame in frames)]
    motion = EstimatedMotion(images)
    errors, losses = [], []
    for first in half_way(numbers, len(images)):
        pair = slice(first, first + 2)
        alone = []
        for image in images[pair]:
            *_, last = paint(as_tensor(image), [style], settings, device=device)
            alone.append(as_picture(last.image))
        flow = motion(first + 1, first)
        ways = alone, propagated[pair]
        errors.append([_warping_error(way, flow) for way in ways])
        originals = [as_tensor(image) for image in images[pair]]
        both = (metrics.mean(map(as_tensor, way), originals) for way in ways)
        losses.append([figures.style or 0.0 for figures in both])
    return {
        "keyframes": numbers,
        "filled": propagation.filled / len(frames),
        "e_warp": _compared(errors),
        "style": _compared(losses),
    }


def half_way(keyframes: Sequence[int], count: int) -> list[int]:
    """The first of two frames half way from each keyframe to the next, or to the end of `count`.

    None of the two is a keyframe: gaps of fewer than three frames are left out.
    """
    ends = [*keyframes, count]
    return [(begin + end - 1) // 2 for begin, end in pairwise(ends) if end - begin >= 3]


def tables(rows: Sequence[dict[str, Any]]) -> list[Table]:
    """Columns and rows of the figures of `evaluate_propagation`, for reading."""
    columns = ["clip", "keyframes", "filled in"]
    columns += ["E_warp alone", "propagated", "ratio", "style alone", "propagated", "ratio"]

    def shown(figures: dict[str, float] | None) -> list[str]:
        if figures is None:
            return ["", "", ""]
        return [f"{figures[way]:.3f}" for way in ("alone", "carried")] + [f"{figures['ratio']:.2f}"]

    cells = [
        (
            row["clip"].name,
            str(len(row["keyframes"])),
            f"{row['filled']:.0%}",
            *shown(row["e_warp"]),
            *shown(row["style"]),
        )
        for row in rows
    ]
    return [(columns, cells)]


def _warping_error(pair: Sequence[np.ndarray], flow: Flow) -> float:
    error = warping_error_of(pair, lambda later, earlier: flow, [0, 0]).short_term
    assert error is not None
    return error


def _compared(pairs: Sequence[Sequence[float]]) -> dict[str, float] | None:
    """Means of pairs of (alone, propagated), and their ratio."""
    if not pairs:
        return None
    alone, propagated = np.mean(pairs, axis=0).tolist()
    return {"alone": alone, "carried": propagated, "ratio": propagated / max(alone, 1e-12)}
