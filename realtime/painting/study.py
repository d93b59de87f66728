"""The studies Gatys optimisation is known for: a sheet of pictures, and their curves, in one go."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np

from impasto.models.gatys.optimize import Settings, StyleImage, paint
from impasto.models.losses import STYLE_LAYERS
from impasto.realtime.atomic import check_target
from impasto.realtime.files.images import image_files, write_image
from impasto.realtime.painting.curves import claim_curves, row_of, write_curves
from impasto.realtime.painting.paint import read_content, read_styles
from impasto.realtime.painting.sheet import contact_sheet
from impasto.realtime.pixels import as_picture, as_tensor

Study = Literal["content", "texture", "weight", "start", "grid"]
SIDE = 256  # px, short side where no size is asked for
_CONTENT_LAYERS = ("relu1_1", "relu2_1", "relu3_1", "relu4_1", "relu4_2", "relu5_1")
_STYLE_WEIGHTS = (1.0, 10.0, 100.0, 1000.0)


@dataclass(frozen=True)
class Case:
    """One picture of a study."""

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
    say: Callable[[str], None] = lambda line: None,
    on_progress: Callable[[int, int], None] = lambda done, total: None,
) -> list[dict[str, Any]]:
    """Make the pictures of a study and write them as one sheet, with their curves beside it.

    content: reconstructed from each layer (Gatys et al. 2016, figure 1). texture: of each style
    layer, and of all up to it (Gatys et al. 2015). weight: a sweep of the style weight (figure 4).
    start: from content, noise and style (figure 6). grid: contents by styles; `content` and
    the style may be folders then. size: None is a short side of 256 px.
    Writes `target`, and NAME.curves.png and .csv. Returns a row a picture: "name", "content",
    "style", "total". Raises SourceError, SinkError, WeightsError, EngineError.
    """
    curves = target.with_name(f"{target.stem}.curves.png")
    check_target(target, overwrite=overwrite)
    claim_curves(curves, overwrite=overwrite)
    cases = cases_of(study, content, styles, settings, size or SIDE)
    say(f"{len(cases)} pictures of {settings.steps} steps")
    pictures, runs, rows = [], {}, []
    for index, case in enumerate(cases):
        run = []
        for now in paint(as_tensor(case.content), case.styles, case.settings, device=device):
            run.append(row_of(now))
            on_progress(index * settings.steps + now.step, len(cases) * settings.steps)
        pictures.append((case.name, as_picture(now.image)))
        runs[case.name] = run
        rows.append(
            {"name": case.name, "content": now.content, "style": now.style, "total": now.total}
        )
    columns = len(paintings_in(styles)) if study == "grid" else min(len(cases), 5)
    write_image(target, contact_sheet(pictures, columns=columns), overwrite=overwrite)
    write_curves(curves, runs, overwrite=overwrite)
    return rows


def cases_of(
    study: Study,
    content: Path,
    styles: Sequence[tuple[Path, float]],
    settings: Settings,
    size: int | tuple[int, int],
) -> list[Case]:
    """The pictures of a study, in the order of the sheet."""
    if study == "grid":
        return _grid(content, styles, settings, size)
    picture = read_content(content, size)
    paintings = read_styles(styles, ())

    def case(name: str, **changes: Any) -> Case:
        return Case(name, replace(settings, **changes), picture, paintings)

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
) -> list[Case]:
    """Every content in every style, all as large as the first."""
    contents = image_files([content])
    first = read_content(contents[0], size)
    shape = first.shape[0], first.shape[1]
    paintings = [(path, read_styles([(path, 1.0)], ())) for path in paintings_in(styles)]
    return [
        Case(f"{path.stem}, {painting.stem}", settings, read_content(path, shape), seen)
        for path in contents
        for painting, seen in paintings
    ]


def paintings_in(styles: Sequence[tuple[Path, float]]) -> list[Path]:
    """The paintings named, and all those in folders; weights do not count."""
    return image_files(path for path, _ in styles)
