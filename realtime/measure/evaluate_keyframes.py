"""What carrying painted keyframes through a clip is worth, against painting each frame on its own.

Both are judged where carrying is hardest: at two consecutive frames half way between two keyframes,
and half way from the last one to the end.
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
from impasto.realtime.keyframes.paint import Folder, paint_keyframes
from impasto.realtime.keyframes.propagate import Carry
from impasto.realtime.keyframes.refine import retouched
from impasto.realtime.keyframes.selection import Rule, find_shots, most_apart
from impasto.realtime.measure.evaluate import (
    EstimatedMotion,
    Flow,
    Table,
    read_clip,
    warping_error_of,
)
from impasto.realtime.pipeline import Stylize
from impasto.realtime.pixels import as_picture, as_tensor
from impasto.realtime.stylizer import LazyStylizer

_RATE = Fraction(25)  # frames a second: what a clip is taken to have


def evaluate_carried(
    options: EngineOptions,
    clips: Sequence[Path],
    painting: Path,
    *,
    side: int = 288,
    frames: int = 30,
    loss_network: str = "compact",
    teacher: Path | None = None,
    settings: Settings = PRESETS["default"],
    say: Callable[[str], None] = lambda line: None,
) -> list[dict[str, Any]]:
    """A row of `judged` for each clip, with "clip"; arguments as for `measure.evaluate.evaluate`.

    options: the style that fills in. Raises SourceError, WeightsError and EngineError.
    """
    picture = read_image(painting)
    network = load_loss_network(loss_network, teacher=teacher)
    metrics = StyleMetrics(network, as_tensor(picture))
    rows = []
    for clip in clips:
        images = read_clip(clip, size=side, frames=frames)
        say(f"{clip.name}: painting keyframes, and frames one by one ...")
        fill = LazyStylizer(options, steadiness="flow")
        row = judged(images, picture, settings, fill, metrics, options.device)
        rows.append({"clip": clip} | row)
    return rows


def judged(
    images: Sequence[np.ndarray],
    painting: np.ndarray,
    settings: Settings,
    fill: Stylize,
    metrics: StyleMetrics,
    device: str = "cpu",
) -> dict[str, Any]:
    """One clip, its keyframes chosen and carried as `impasto keyframes` does by default.

    images: (H, W, 3) uint8, two or more. fill: paints where no keyframe can be traced. Returns
    "keyframes" (their numbers), "filled" (share of the picture) and "e_warp" and "style", each
    {"alone", "carried", "ratio"}: means over the judged places, None where there are none.
    """
    device = resolve_device(device)
    frames = [Frame(image, number, 1 / _RATE) for number, image in enumerate(images)]
    height, width = images[0].shape[:2]
    *_, shots = find_shots(frames, Rule(most_apart=most_apart(height, width)))
    numbers = [keyframe.number for keyframe in shots.keyframes]
    with tempfile.TemporaryDirectory() as scratch:
        folder = Folder(Path(scratch))
        made = paint_keyframes(frames, shots, [painting], settings, folder, device=device)
        pictures = {done.keyframe.pts: read_image(done.path) for done in made}
    carrying = Carry(pictures, pictures.__getitem__, shots.cuts, fill)
    style = StyleImage(as_tensor(painting))
    whole = retouched(carrying, [style], settings, device=device)
    carried = [frame.image for frame in whole([frame] for frame in frames)]
    motion = EstimatedMotion(images)
    errors, losses = [], []
    for place in half_way(numbers, len(images)):
        pair = slice(place, place + 2)
        alone = []
        for image in images[pair]:
            *_, last = paint(as_tensor(image), [style], settings, device=device)
            alone.append(as_picture(last.image))
        flow = motion(place + 1, place)
        ways = alone, carried[pair]
        errors.append([_warping_error(way, flow) for way in ways])
        originals = [as_tensor(image) for image in images[pair]]
        both = (metrics.mean_losses(map(as_tensor, way), originals) for way in ways)
        losses.append([style or 0.0 for _, style in both])
    return {
        "keyframes": numbers,
        "filled": carrying.filled / len(frames),
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
    """Rows of `evaluate_carried`, each with its "clip", for reading."""
    columns = ["clip", "keyframes", "filled in"]
    columns += ["E_warp alone", "carried", "ratio", "style alone", "carried", "ratio"]

    def shown(figures: dict[str, float] | None) -> list[str]:
        if figures is None:
            return ["", "", ""]
        return [f"{figures[way]:.3f}" for way in ("alone", "carried")] + [f"{figures['ratio']:.2f}"]

    found = [
        (
            row["clip"].name,
            str(len(row["keyframes"])),
            f"{row['filled']:.0%}",
            *shown(row["e_warp"]),
            *shown(row["style"]),
        )
        for row in rows
    ]
    return [(columns, found)]


def _warping_error(pair: Sequence[np.ndarray], flow: Flow) -> float:
    found = warping_error_of(pair, lambda later, earlier: flow, [0, 0]).short_term
    assert found is not None
    return found


def _compared(pairs: Sequence[Sequence[float]]) -> dict[str, float] | None:
    """Means of (alone, carried)."""
    if not pairs:
        return None
    alone, carried = np.mean(pairs, axis=0).tolist()
    return {"alone": alone, "carried": carried, "ratio": carried / max(alone, 1e-12)}
