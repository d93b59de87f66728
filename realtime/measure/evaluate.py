"""Measures the quality of a style: content and style loss of pictures, warping error of clips.

The figures stand together, since each alone can be bought with the others: a blur is the steadiest
output, the input itself has no content loss.

- content, style, strokes and vigor: see `models.judge`, pictures shrunk to short side 256, the
  painting at long side 512;
- E_warp: root mean square, in [0, 1], between a frame and an earlier one carried along by the
  motion of the input, where that can be trusted (`models.flow`); averaged over the clip. Short
  term: against the frame before. Long term: against the first frame of the shot.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import islice
from pathlib import Path
from typing import Any, Protocol

import cv2
import numpy as np
import torch
from torch import Tensor

from impasto.models.errors import SourceError
from impasto.models.flow import occlusion_mask, warping_error
from impasto.models.judge import StyleFigures, StyleMetrics, mean_figures
from impasto.models.loss_network import load_loss_network
from impasto.realtime.engines.options import EngineOptions
from impasto.realtime.files.images import image_files, images_in, read_image, read_same_size
from impasto.realtime.files.video_reader import VideoReader
from impasto.realtime.frame import Frame
from impasto.realtime.pixels import as_tensor
from impasto.realtime.stylizer import LazyStylizer
from impasto.realtime.temporal.cuts import CutDetector
from impasto.realtime.temporal.modes import STEADINESS, Steadiness

_VIGOR_COLUMNS = ("vigor 1", "1/2", "1/4", "1/8")
PICTURE_SIDE = 384  # px, short: what pictures are stylized at
_EVERY = 6  # frames: how often a clip's content and style loss are taken

Table = tuple[Sequence[str], list[tuple[str, ...]]]  # columns, rows
Flow = tuple[np.ndarray, np.ndarray]  # (H, W, 2) floating, pixels; (H, W) bool, to be trusted


class Motion(Protocol):
    """Knows the flow from frame `later` of a clip to frame `earlier`, and where to trust it."""

    def __call__(self, later: int, earlier: int) -> Flow: ...


@dataclass(frozen=True)
class WarpingError:
    """E_warp of a clip; None where no two frames belong to one shot."""

    short_term: float | None
    long_term: float | None


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


def evaluate(
    options: EngineOptions,
    *,
    pictures: Sequence[Path] = (),
    clips: Sequence[Path] = (),
    painting: Path | None = None,
    side: int = 288,
    frames: int = 30,
    loss_network: str = "compact",
    teacher: Path | None = None,
    log: Callable[[str], None] = lambda line: None,
) -> dict[str, Any]:
    """All figures as plain data, ready for JSON.

    side, frames: what clips are cut down to (px of the short side). loss_network, teacher: see
    `load_loss_network`. log: called with a line for each choice and omission.
    "pictures" has a row of `figures_of` for each picture, with "picture", and "mean" their means;
    "clips" has the rows of `evaluate_clip`, with "clip", "frames", "width" and "height"; "notes"
    what was said. Raises SourceError, WeightsError and EngineError.
    """
    notes: list[str] = []

    def note(line: str) -> None:
        if line not in notes:  # pictures and clips mostly get the same notes
            notes.append(line)
            log(line)

    target = None if painting is None else as_tensor(read_image(painting))
    read = [(path, read_clip(path, size=side, frames=frames)) for path in clips]
    stills = read_pictures(pictures)
    if target is None:
        note("style loss: left out, as it is the distance from a painting (--painting FILE)")
    metrics = StyleMetrics(load_loss_network(loss_network, teacher=teacher), target)
    still = LazyStylizer(options, note, is_video=False)
    measured = evaluate_pictures(stills, still.stylize_image, metrics)
    stylizer = LazyStylizer(options, note)

    def paint(images: Sequence[np.ndarray], mode: Steadiness) -> list[np.ndarray]:
        stylizer.steadiness = mode
        batches = ([Frame(image, k, Fraction(1))] for k, image in enumerate(images))
        return [frame.image for frame in stylizer(batches)]

    clip_rows = []
    for path, images in read:
        height, width = images[0].shape[:2]
        about = {"clip": path, "frames": len(images), "width": width, "height": height}
        clip_rows += [about | row for row in evaluate_clip(images, paint, metrics)]
    return {
        "style": options.style,
        "strength": options.strength,
        "network": options.architecture,
        "loss_network": loss_network,
        "painting": painting,
        "pictures": [{"picture": path} | figures_of(each) for path, each in measured],
        "mean": figures_of(mean_figures([each for _, each in measured])) if measured else None,
        "clips": clip_rows,
        "notes": notes,
    }


def tables(figures: dict[str, Any]) -> list[Table]:
    """The same figures for reading: columns and rows, of the pictures and of the clips."""

    def shown(value: float | None) -> str:
        return "" if value is None else f"{value:.3f}"

    result: list[Table] = []
    table: list[tuple[str, ...]]
    if rows := figures["pictures"]:
        named = [(row["picture"].name, row) for row in rows]
        if len(rows) > 1:
            named.append(("mean", figures["mean"]))
        layers, sizes = list(rows[0]["layers"]), _VIGOR_COLUMNS[: len(rows[0]["vigor"])]
        columns = ["picture", "content", *(("style", "strokes", *layers) if layers else ())]
        columns += [*sizes, "grid", *(("L-BFGS steps",) if "gatys_steps" in rows[0] else ())]
        table = [
            (
                name,
                shown(row["content"]),
                *((shown(row["style"]), shown(row["strokes"])) if layers else ()),
                *map(shown, row["layers"].values()),
                *(f"{value:.2f}" for value in row["vigor"]),
                f"{row['grid']:.2f}",
                *((str(row["gatys_steps"] or "over 300"),) if "gatys_steps" in row else ()),
            )
            for name, row in named
        ]
        result.append((columns, table))
    if rows := figures["clips"]:
        columns = ["clip", "steadiness", "E_warp", "of input", "ratio"]
        columns += ["to first", "of input", "ratio", "content", "strokes", "vigor"]
        keys = ["e_warp", "input_e_warp", "ratio", "e_warp_first", "input_e_warp_first"]
        keys += ["ratio_first", "content", "strokes"]
        table = [
            (
                row["clip"].name,
                row["steadiness"],
                *(shown(row[key]) for key in keys),
                f"{row['vigor'][0]:.2f}" if row["vigor"] else "",
            )
            for row in rows
        ]
        result.append((columns, table))
    return result


def shot_starts(frames: Sequence[np.ndarray]) -> list[int]:
    """For each frame, the number of the first one of its shot."""
    starts: list[int] = []
    begins_scene = CutDetector()
    for number, frame in enumerate(frames):
        begins = begins_scene(Frame(frame, number, Fraction(1)))
        starts.append(number if begins else starts[-1])
    return starts


def warping_error_of(
    frames: Sequence[np.ndarray], motion: Motion, starts: Sequence[int]
) -> WarpingError:
    """E_warp of frames (H, W, 3) uint8, stylized or not, under the motion of the input.

    motion: estimated, or exact where it is known. starts: see `shot_starts`.
    """

    def error(later: int, earlier: int) -> float:
        flow, trusted = motion(later, earlier)
        mask = torch.from_numpy(trusted)[None, None]
        pictures = as_tensor(frames[earlier]), as_tensor(frames[later])
        return warping_error(*pictures, _flow_tensor(flow), mask).item()

    following = [number for number, start in enumerate(starts) if number > start]
    if not following:
        return WarpingError(None, None)
    return WarpingError(
        short_term=_mean([error(number, number - 1) for number in following]),
        long_term=_mean([error(number, starts[number]) for number in following]),
    )


def read_clip(path: Path, *, size: int, frames: int) -> list[np.ndarray]:
    """The first frames of a video file or a folder of pictures, at this short side (px).

    Raises SourceError, also where there are fewer than two.
    """
    if path.is_dir():
        images = list(read_same_size(images_in(path)[:frames], size=size))
    else:
        with VideoReader(path, size=size) as source:
            images = [frame.image for frame in islice(source, frames)]
    if len(images) < 2:
        raise SourceError(f"{path} has one frame only: steadiness needs two or more")
    return images


def read_pictures(paths: Iterable[Path]) -> list[tuple[Path, np.ndarray]]:
    """Pictures, and all those in folders, at the size they are stylized at. Raises SourceError."""
    return [(file, read_image(file, size=PICTURE_SIDE)) for file in image_files(paths)]


def evaluate_pictures(
    pictures: Iterable[tuple[Path, np.ndarray]],
    paint: Callable[[np.ndarray], np.ndarray],
    metrics: StyleMetrics,
) -> list[tuple[Path, StyleFigures]]:
    """The figures of each picture, with its path."""
    return [(path, metrics(as_tensor(paint(image)), as_tensor(image))) for path, image in pictures]


def figures_of(figures: StyleFigures) -> dict[str, Any]:
    """Figures as plain data; without a painting only "content" and "grid", others None or empty."""
    return {
        "content": figures.content,
        "style": figures.style,
        "strokes": figures.strokes,
        "layers": dict(figures.layers),
        "vigor": list(figures.vigor),
        "grid": figures.grid,
    }


def evaluate_clip(
    frames: Sequence[np.ndarray],
    paint: Callable[[Sequence[np.ndarray], Steadiness], Sequence[np.ndarray]],
    metrics: StyleMetrics,
    *,
    modes: Sequence[Steadiness] = STEADINESS,
    motion: Motion | None = None,
) -> list[dict[str, Any]]:
    """A row for each mode of steadiness, of one clip.

    frames: (H, W, 3) uint8. paint: gives as many, stylized in a mode. motion: None estimates it.

    A row: "steadiness"; "e_warp" and "e_warp_first" (short and long term) of the output,
    "input_e_warp" and "input_e_warp_first", "ratio" and "ratio_first" of output to input;
    `figures_of` every sixth frame. None where there is nothing to say.
    """
    motion, starts = motion or EstimatedMotion(frames), shot_starts(frames)
    own = warping_error_of(frames, motion, starts)
    rows = []
    for mode in modes:
        stylized = paint(frames, mode)
        error = warping_error_of(stylized, motion, starts)
        # The last of each six: by then, what a mode blends has settled.
        chosen = range(min(_EVERY, len(frames)) - 1, len(frames), _EVERY)
        figures = metrics.mean(
            (as_tensor(stylized[k]) for k in chosen), (as_tensor(frames[k]) for k in chosen)
        )
        row = {
            "steadiness": mode,
            "e_warp": error.short_term,
            "input_e_warp": own.short_term,
            "ratio": _ratio(error.short_term, own.short_term),
            "e_warp_first": error.long_term,
            "input_e_warp_first": own.long_term,
            "ratio_first": _ratio(error.long_term, own.long_term),
        }
        rows.append(row | figures_of(figures))
    return rows


def _ratio(output: float | None, own: float | None) -> float | None:
    return output / own if output is not None and own else None


def _mean(values: Sequence[float]) -> float:
    return float(np.mean(values))


def _flow_tensor(flow: np.ndarray) -> Tensor:
    """(H, W, 2) as (1, 2, H, W) float32."""
    return torch.from_numpy(flow).permute(2, 0, 1)[None].float()
