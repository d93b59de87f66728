"""Measures the quality of styles, ONNX files and finished pictures by one ruler.

The figures stand together, since each alone can be bought with the others: a blur is the steadiest
output, the input itself has no content loss.

- content, style, strokes, vigor and others: see `models.judge`, pictures shrunk to short side 256,
  the painting at long side 512;
- E_warp and how much detail steadying leaves: see `measure.warping`.
"""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from impasto.models.judge import StyleFigures, StyleMetrics, mean_figures
from impasto.models.loss_network import load_loss_network
from impasto.realtime.measure.candidates import Candidate, Painted
from impasto.realtime.measure.comparison import PictureSheet
from impasto.realtime.measure.originals import Originals
from impasto.realtime.measure.warping import (
    EstimatedMotion,
    Motion,
    remaining_detail,
    shot_starts,
    warping_error_of,
)
from impasto.realtime.pixels import as_tensor
from impasto.realtime.temporal.modes import STEADINESS, Steadiness

_EVERY = 6  # frames: how often a clip's content and style loss are taken
NO_LPIPS = (
    "LPIPS: left out, as the libraries that compute it (lpips, torchmetrics, piq, pyiqa) download "
    "a network for it (AlexNet, VGG-16 or SqueezeNet) at first use"
)


def evaluate(
    candidates: Sequence[Candidate],
    originals: Originals,
    *,
    painting: np.ndarray | None = None,
    loss_network: str = "compact",
    log: Callable[[str], None] = lambda line: None,
    sheet: PictureSheet | None = None,
) -> dict[str, Any]:
    """All figures as plain data, ready for JSON.

    painting: (H, W, 3) uint8. loss_network: see `load_loss_network`. log: called with a
    line for each omission. sheet: gets what is painted.
    "candidates" has for each of them what it is ("name", and "style", "onnx" or "painted"),
    "pictures", a row of `figures_of` for each picture with "picture", "mean", their means, with
    "seconds" for each, and "clips", the rows of `evaluate_clip` with "clip", "frames", "width" and
    "height". Raises SourceError, WeightsError and EngineError.
    """
    target = None if painting is None else as_tensor(painting)
    if target is None:
        log("style loss: left out, as it is the distance from a painting (--painting FILE)")
    log(NO_LPIPS)
    network = load_loss_network(loss_network)
    metrics = StyleMetrics(network, target)
    motions = [EstimatedMotion(frames) for _, frames in originals.clips]
    return {
        "loss_network": network.title,
        "candidates": [
            {"name": candidate.name}
            | candidate.about()
            | _of_pictures(candidate, originals, metrics, sheet)
            | {"clips": _of_clips(candidate, originals, metrics, motions, sheet)}
            for candidate in candidates
        ],
    }


def _of_pictures(
    candidate: Candidate, originals: Originals, metrics: StyleMetrics, sheet: PictureSheet | None
) -> dict[str, Any]:
    """ "pictures" and "mean"."""
    if not originals.pictures:
        return {"pictures": [], "mean": None}
    painted = candidate.pictures(originals)
    if sheet is not None:
        for image, (path, _) in zip(painted.images, originals.pictures, strict=True):
            sheet.add(path, candidate.name, image)
    figures = [
        metrics(as_tensor(image), as_tensor(original))
        for image, (_, original) in zip(painted.images, originals.pictures, strict=True)
    ]
    rows = zip(originals.pictures, figures, strict=True)
    return {
        "pictures": [{"picture": path} | figures_of(each) for (path, _), each in rows],
        "mean": figures_of(mean_figures(figures)) | {"seconds": painted.seconds},
    }


def _of_clips(
    candidate: Candidate,
    originals: Originals,
    metrics: StyleMetrics,
    motions: Sequence[Motion],
    sheet: PictureSheet | None,
) -> list[dict[str, Any]]:
    rows = []
    for index, (path, frames) in enumerate(originals.clips):
        height, width = frames[0].shape[:2]
        about = {"clip": path, "frames": len(frames), "width": width, "height": height}

        def paint(
            images: Sequence[np.ndarray],
            mode: Steadiness,
            index: int = index,
            path: Path = path,
        ) -> Painted:
            painted = candidate.clip(originals, index, mode)
            if sheet is not None:
                name = candidate.name if mode == "off" else f"{candidate.name} {mode}"
                middle = min(len(images), len(painted.images)) // 2
                sheet.add(path, name, painted.images[middle])
            return painted

        rows += [
            about | row
            for row in evaluate_clip(
                frames, paint, metrics, modes=candidate.modes, motion=motions[index]
            )
        ]
    return rows


def figures_of(figures: StyleFigures) -> dict[str, Any]:
    """Figures as plain data; those that need a painting are None or empty without one."""
    return {
        "content": figures.content,
        "style": figures.style,
        "total_variation": figures.total_variation,
        "total": figures.total,
        "strokes": figures.strokes,
        "layers": dict(figures.layers),
        "vigor": list(figures.vigor),
        "sharpness": figures.sharpness,
        "grid": figures.grid,
    }


def evaluate_clip(
    frames: Sequence[np.ndarray],
    paint: Callable[[Sequence[np.ndarray], Steadiness], Painted],
    metrics: StyleMetrics,
    *,
    modes: Sequence[Steadiness] = STEADINESS,
    motion: Motion | None = None,
) -> list[dict[str, Any]]:
    """A row for each mode of steadiness, of one clip.

    frames: (H, W, 3) uint8. paint: gives as many, stylized in a mode; fewer are compared with the
    first of `frames`. motion: None estimates it.

    A row: "steadiness"; "e_warp" and "e_warp_long" (the frame before; ten frames before) of the
    output, "input_e_warp" and "input_e_warp_long", "ratio" and "ratio_long" of output to input;
    "detail" and, by region, "detail_least" and "detail_most", of what the mode "off" has, where
    that is among the modes; "fps"; `figures_of` every sixth frame. None where nothing is known.
    """
    motion, starts = motion or EstimatedMotion(frames), shot_starts(frames)
    own = warping_error_of(frames, motion, starts)
    plain: Sequence[np.ndarray] | None = None
    rows = []
    for mode in modes:
        stylized, seconds = paint(frames, mode)
        plain = stylized if mode == "off" else plain
        count = min(len(frames), len(stylized))
        error = warping_error_of(stylized[:count], motion, starts[:count])
        # The last of each six: by then, what a mode blends has settled.
        chosen = range(min(_EVERY, count) - 1, count, _EVERY)
        figures = metrics.mean(
            (as_tensor(stylized[k]) for k in chosen), (as_tensor(frames[k]) for k in chosen)
        )
        row = {
            "steadiness": mode,
            "e_warp": error.short_term,
            "input_e_warp": own.short_term,
            "ratio": _ratio(error.short_term, own.short_term),
            "e_warp_long": error.long_term,
            "input_e_warp_long": own.long_term,
            "ratio_long": _ratio(error.long_term, own.long_term),
            **_detail(stylized, plain, mode),
            "fps": 1 / seconds if seconds else None,
        }
        rows.append(row | figures_of(figures))
    return rows


def _detail(
    stylized: Sequence[np.ndarray], plain: Sequence[np.ndarray] | None, mode: Steadiness
) -> dict[str, float | None]:
    """What is left of the detail of a clip without steadying, from the sixth frame on."""
    if mode == "off" or plain is None:
        return dict.fromkeys(("detail", "detail_least", "detail_most"))
    first = min(_EVERY, len(plain)) - 1
    left = remaining_detail(stylized[first:], plain[first:])
    return {"detail": left.whole, "detail_least": left.least, "detail_most": left.most}


def _ratio(output: float | None, own: float | None) -> float | None:
    return output / own if output is not None and own else None
