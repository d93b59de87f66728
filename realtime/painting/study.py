"""Comparisons as in the papers of Gatys et al.: many paintings on one sheet, with loss curves."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np

from impasto.models.gatys.optimize import Settings, StyleImage, paint
from impasto.models.losses import STYLE_LAYERS
from impasto.realtime.atomic import check_target
from impasto.realtime.files.images import image_files, write_image
from impasto.realtime.painting.curves import check_curve_targets, curve_row, write_curves
from impasto.realtime.painting.paint import read_content, read_styles
from impasto.realtime.painting.sheet import contact_sheet
from impasto.realtime.pixels import as_picture, as_tensor

Study = Literal["content", "texture", "weight", "start", "grid"]
SIDE = 256  # px, short side where no size is asked for
_CONTENT_LAYERS = ("relu1_1", "relu2_1", "relu3_1", "relu4_1", "relu4_2", "relu5_1")
_STYLE_WEIGHTS = (1.0, 10.0, 100.0, 1000.0)


@dataclass(frozen=True)
class StudyImage:
    """One image of a study."""

    name: str
    settings: Settings
    content: np.ndarray  # (H, W, 3) uint8
    styles: Sequence[StyleImage]


def write_study(
    study: Study,
    content: Path,
    styles: Sequence[tuple[Path, float]],
    target: Path,
    settings: Settings,
    *,
    size: int | tuple[int, int] | None = None,
    device: str = "cpu",
    overwrite: bool = False,
    log: Callable[[str], None] = lambda line: None,
    on_progress: Callable[[int, int], None] = lambda done, total: None,
) -> list[dict[str, Any]]:
    """Paint the images of a study and write them as one contact sheet, with their loss curves.

    study: "content": the content reconstructed from each layer (Gatys et al. 2016, figure 1).
    "texture": the texture of each style layer, and of all up to it (Gatys et al. 2015). "weight": a
    sweep of the style weight (figure 4). "start": from content, noise and style (figure 6). "grid":
    contents by styles; `content` and the styles may be folders. size: None is a short side of 256
    px. log: called with a line before the work begins.
    Writes `target`, and NAME.curves.png and .csv. Returns a row for each image: "name", "content",
    "style", "total". Raises SourceError, SinkError, WeightsError, EngineError.
    """
    curves = target.with_name(f"{target.stem}.curves.png")
    check_target(target, overwrite=overwrite)
    check_curve_targets(curves, overwrite=overwrite)
    cases = study_images(study, content, styles, settings, size or SIDE)
    log(f"{len(cases)} pictures of {settings.steps} steps")
    images, runs, rows = [], {}, []
    for index, case in enumerate(cases):
        run = []
        for progress in paint(as_tensor(case.content), case.styles, case.settings, device=device):
            run.append(curve_row(progress))
            on_progress(index * settings.steps + progress.step, len(cases) * settings.steps)
        images.append((case.name, as_picture(progress.image)))
        runs[case.name] = run
        rows.append(
            {
                "name": case.name,
                "content": progress.content,
                "style": progress.style,
                "total": progress.total,
            }
        )
    columns = len(paintings_in(styles)) if study == "grid" else min(len(cases), 5)
    write_image(target, contact_sheet(images, columns=columns), overwrite=overwrite)
    write_curves(curves, runs, overwrite=overwrite)
    return rows


def study_images(
    study: Study,
    content: Path,
    styles: Sequence[tuple[Path, float]],
    settings: Settings,
    size: int | tuple[int, int],
) -> list[StudyImage]:
    """What to paint for a study, in the order of the sheet."""
    if study == "grid":
        return _grid(content, styles, settings, size)
    picture = read_content(content, size)
    paintings = read_styles(styles, ())

    def case(name: str, **changes: Any) -> StudyImage:
        return StudyImage(name, replace(settings, **changes), picture, paintings)

    if study == "content":
        alone = {"style_weight": 0.0, "content_weight": 1.0, "init": "noise"}
        return [case(n, content_layers={n: 1.0}, **alone) for n in _CONTENT_LAYERS]
    if study == "texture":
        alone = {"content_weight": 0.0, "init": "noise"}
        single = [case(n, style_layers={n: 1.0}, **alone) for n in STYLE_LAYERS]
        together = [
            case(f"up to {STYLE_LAYERS[k]}", style_layers=layers, **alone)
            for k in range(len(STYLE_LAYERS))
            for layers in [dict.fromkeys(STYLE_LAYERS[: k + 1], 1.0)]
        ]
        return single + together
    if study == "weight":
        return [case(f"style {weight:g}", style_weight=weight) for weight in _STYLE_WEIGHTS]
    return [case(f"from {init}", init=init) for init in ("content", "noise", "style")]


def _grid(
    content: Path,
    styles: Sequence[tuple[Path, float]],
    settings: Settings,
    size: int | tuple[int, int],
) -> list[StudyImage]:
    """Every content in every style, all at the size of the first."""
    contents = image_files([content])
    first = read_content(contents[0], size)
    shape = first.shape[0], first.shape[1]
    paintings = [(path, read_styles([(path, 1.0)], ())) for path in paintings_in(styles)]
    return [
        StudyImage(f"{path.stem}, {painting.stem}", settings, read_content(path, shape), style)
        for path in contents
        for painting, style in paintings
    ]


def paintings_in(styles: Sequence[tuple[Path, float]]) -> list[Path]:
    """The files of the paintings, folders expanded; weights are ignored."""
    return image_files(path for path, _ in styles)
