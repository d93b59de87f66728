"""Studies as in the papers on style transfer: many pictures on one sheet, with losses and times."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import combinations
from math import ceil
from pathlib import Path
from time import perf_counter, process_time
from typing import Any

import numpy as np

from impasto.models.errors import WeightsError
from impasto.models.gatys.optimize import Settings, open_network, paint
from impasto.models.loss_network import LossNetwork
from impasto.realtime.atomic import check_target, partial_path, write_file
from impasto.realtime.files.images import write_image
from impasto.realtime.memory import keep_freed_memory
from impasto.realtime.painting.chart import Line, draw_chart
from impasto.realtime.painting.choices import CurvesLayout, Scale, Study
from impasto.realtime.painting.convergence import converged_step, knee, spread, succeeded
from impasto.realtime.painting.curves import (
    CurveRow,
    check_curve_targets,
    csv_text,
    curve_row,
    write_curves,
)
from impasto.realtime.painting.sheet import LabeledImage, contact_sheet, table_of_images
from impasto.realtime.painting.study_plan import (
    SIDE,
    Size,
    StudyImage,
    StudyPlan,
    plan_study,
)
from impasto.realtime.pixels import as_picture, as_tensor

NetworkKey = tuple[Any, ...]  # see `_network_key`
_MAX_COLUMNS = 5  # of a sheet; all rows but the last have the same number


@dataclass(frozen=True)
class StudyJob:
    """What is compared, from what, and where the sheet goes.

    study: "content": the content from noise by single layers (Gatys et al. 2016, figure 1).
    "texture": the painting from noise by single layers and growing sets of them (Gatys et al.
    2015); its size is that of the content, or of the painting where there is none. "noise": several
    seeds. "start": from content, style and noise (Gatys et al. 2016, figure 6). "weight": of the
    style loss (figure 4). "layers": sets of style layers, such as relu1_1+relu2_1.
    "content-layers": figure 5. "grid": contents by paintings, both may be folders. The others: a
    setting of that name. values: what is compared, as text; none: the usual ones. seeds: how often
    noise is tried. size: see `pixels.fitted_size`; None: a short side of 256 px.
    """

    study: Study
    content: Path | None  # None for "texture"
    styles: Sequence[tuple[Path, float]]  # none for "content"
    target: Path
    settings: Settings
    values: Sequence[str] = ()
    seeds: int | None = None
    size: Size | None = None
    curves_scale: Scale = "log"
    curves_layout: CurvesLayout = "together"
    overwrite: bool = False
    device: str = "cpu"

    @property
    def table(self) -> Path:
        """The table of the pictures, NAME.csv."""
        return self.target.with_suffix(".csv")

    @property
    def curves(self) -> Path:
        """The loss curves, NAME.curves.png; beside them is NAME.curves.csv."""
        return self.target.with_name(f"{self.target.stem}.curves.png")

    @property
    def weights(self) -> Path:
        """Of the study "weight": the losses by weight, NAME.weights.png."""
        return self.target.with_name(f"{self.target.stem}.weights.png")

    def plan(self) -> StudyPlan:
        """Read the originals and plan the pictures.

        Raises SourceError, and ValueError for a value that the study cannot have.
        """
        return plan_study(
            self.study,
            self.content,
            self.styles,
            self.settings,
            values=self.values,
            seeds=self.seeds,
            size=self.size or SIDE,
        )


@dataclass
class StudyReport:
    """The result of a `StudyJob`: a row for each picture, and what they say together.

    summary: "spread" of the final losses, greatest minus least over the mean, and "difference", the
    root mean square in levels of 255 over all pairs, for "noise"; "success_rate" and mean "seconds"
    by start for "start"; "knee", a weight or None, for "weight".
    """

    target: Path
    files: list[Path]
    rows: list[dict[str, Any]]
    summary: dict[str, Any] = field(default_factory=dict)
    stopped: bool = False


@dataclass(frozen=True)
class _Painted:
    """A picture of a study as it was painted."""

    plan: StudyImage
    image: np.ndarray  # (H, W, 3) uint8
    curve: list[CurveRow]
    seconds: float
    cpu_seconds: float  # of all processors: hardly changed by what else runs on the machine


def write_study(
    job: StudyJob,
    plan: StudyPlan,
    *,
    log: Callable[[str], None] = lambda line: None,
    on_progress: Callable[[int, int], None] = lambda done, total: None,
) -> StudyReport:
    """Paint the pictures of a study and write them as one sheet, a table, and their loss curves.

    On KeyboardInterrupt the pictures so far are written as NAME.partial.EXT and so on, with
    `stopped` true; before the first is done it is raised. plan: of `job.plan`. log: called with
    lines before the work begins. on_progress: with the steps done, and of all pictures. Raises
    SinkError, WeightsError, EngineError.
    """
    _check_targets(job)
    networks = _open_networks(job, plan, log)
    images = [image for image in plan.images if _network_key(image.settings) in networks]
    plan = replace(plan, images=images)
    keep_freed_memory()
    log(f"pictures: {len(images)}, of {images[0].settings.steps} steps each")
    _warm_up(images, networks, job.device)
    painted: list[_Painted] = []
    stopped = False
    try:
        for each in _paint_all(images, networks, job.device, on_progress):
            painted.append(each)
    except KeyboardInterrupt:
        if not painted:
            raise
        stopped = True
        job = replace(job, target=partial_path(job.target), overwrite=True)
    report = _write(job, plan, painted)
    return replace(report, stopped=stopped)


def _write(job: StudyJob, plan: StudyPlan, painted: Sequence[_Painted]) -> StudyReport:
    """Write the files of a study, of the pictures painted so far."""
    varied = _varied([each.settings for each in plan.images])
    rows = [_row(each, varied) for each in painted]
    summary = _summarize(job.study, painted, rows)
    write_image(job.target, _draw_sheet(job.study, plan, painted, rows), overwrite=job.overwrite)
    columns = dict.fromkeys(name for row in rows for name in row)
    write_file(job.table, csv_text(list(columns), rows).encode(), overwrite=job.overwrite)
    curves = {each.plan.name: each.curve for each in painted}
    files = [job.target, job.table]
    files += write_curves(
        job.curves,
        curves,
        scale=job.curves_scale,
        layout=job.curves_layout,
        overwrite=job.overwrite,
    )
    if job.study == "weight":
        chart = _draw_weights(painted, rows, summary["knee"])
        write_image(job.weights, chart, overwrite=job.overwrite)
        files.append(job.weights)
    return StudyReport(job.target, files, rows, summary)


def _check_targets(job: StudyJob) -> None:
    """Raise SinkError now for what could not be written in the end."""
    for path in (job.target, job.table, *([job.weights] if job.study == "weight" else [])):
        check_target(path, overwrite=job.overwrite)
    check_curve_targets(job.curves, overwrite=job.overwrite)


# --- Painting ---------------------------------------------------------------------------------


def _network_key(settings: Settings) -> NetworkKey:
    """The settings that a loss network is opened with, but for its layers."""
    return (
        settings.loss_network,
        settings.teacher,
        settings.pooling,
        settings.before_relu,
        settings.precision,
    )


def _open_networks(
    job: StudyJob, plan: StudyPlan, log: Callable[[str], None]
) -> dict[NetworkKey, LossNetwork]:
    """Every loss network of a study, once it has each layer that it is asked for.

    Of the usual networks of the study "loss-network", those that cannot be had are left out.
    Raises WeightsError.
    """
    needed: dict[NetworkKey, Settings] = {}
    for settings in (image.settings for image in plan.images):
        known = needed.setdefault(_network_key(settings), settings)
        needed[_network_key(settings)] = replace(
            settings,
            content_layers={**known.content_layers, **settings.content_layers},
            style_layers={**known.style_layers, **settings.style_layers},
        )
    networks: dict[NetworkKey, LossNetwork] = {}
    lines: list[str] = []
    for key, settings in needed.items():
        try:
            networks[key] = open_network(settings, job.device, lines.append)
        except WeightsError as error:
            if job.study != "loss-network" or job.values or settings.loss_network == "compact":
                raise
            lines.append(f"{settings.loss_network} is left out: {error}")
    for line in dict.fromkeys(lines):
        log(line)
    return networks


def _warm_up(
    images: Sequence[StudyImage], networks: Mapping[NetworkKey, LossNetwork], device: str
) -> None:
    """One step with each optimizer, as the first takes longer: PyTorch loads parts of itself."""
    for image in {image.settings.optimizer: image for image in images}.values():
        one_step = replace(image, settings=replace(image.settings, steps=1))
        for _ in _paint_all([one_step], networks, device):
            pass


def _paint_all(
    images: Sequence[StudyImage],
    networks: Mapping[NetworkKey, LossNetwork],
    device: str,
    on_progress: Callable[[int, int], None] = lambda done, total: None,
) -> Iterator[_Painted]:
    """Paint one picture after the other. on_progress: with the steps done, and of all pictures."""
    done, total = 0, sum(image.settings.steps for image in images)
    for image in images:
        curve, begun, cpu_begun = [], perf_counter(), process_time()
        content, settings = as_tensor(image.content), image.settings
        network = networks[_network_key(settings)]
        for progress in paint(content, image.styles, settings, device=device, network=network):
            curve.append(curve_row(progress))
            on_progress(done + progress.step, total)
        picture = as_picture(progress.image)
        seconds, cpu_seconds = perf_counter() - begun, process_time() - cpu_begun
        yield _Painted(image, picture, curve, seconds, cpu_seconds)
        done += settings.steps


# --- Figures ----------------------------------------------------------------------------------


def _varied(settings: Sequence[Settings]) -> list[str]:
    """The settings that are not the same for all pictures of a study."""
    return [
        name
        for name, first in vars(settings[0]).items()
        if any(getattr(each, name) != first for each in settings)
    ]


def _row(painted: _Painted, varied: Iterable[str]) -> dict[str, Any]:
    """The row of a picture in the table; layers, which have weights, as "relu1_1:3+relu2_1:1"."""
    settings = {name: getattr(painted.plan.settings, name) for name in varied}
    for name, value in settings.items():
        if isinstance(value, Mapping):
            settings[name] = "+".join(f"{layer}:{weight:g}" for layer, weight in value.items())
    last = painted.curve[-1]
    steps, totals = [int(r["step"]) for r in painted.curve], [r["total"] for r in painted.curve]
    return {
        "name": painted.plan.name,
        **settings,
        "width": int(last["width"]),
        "height": int(last["height"]),
        "steps": steps[-1],
        "seconds": round(painted.seconds, 3),
        "cpu_seconds": round(painted.cpu_seconds, 3),
        "converged_step": converged_step(steps, totals),
    } | {name: value for name, value in last.items() if name not in ("step", "height", "width")}


def _summarize(
    study: Study, painted: Sequence[_Painted], rows: Sequence[dict[str, Any]]
) -> dict[str, Any]:
    """What the pictures say together; also added to the rows: success, and the knee."""
    if study in ("noise", "start"):
        for row, success in zip(rows, succeeded([row["total"] for row in rows]), strict=True):
            row["succeeded"] = success
    if study == "noise":
        pairs = combinations([each.image for each in painted], 2)
        differences = [_rms(_difference(a, b)) for a, b in pairs]
        losses = ("content", "style", "total")
        return {
            "spread": {name: spread([row[name] for row in rows]) for name in losses},
            "difference": sum(differences) / max(len(differences), 1),
        }
    if study == "start":
        return {"starts": _by_start(painted, rows)}
    if study == "weight":
        at = knee([row["content"] for row in rows], [row["style"] for row in rows])
        for index, row in enumerate(rows):
            row["knee"] = index == at
        return {"knee": None if at is None else painted[at].plan.settings.style_weight}
    return {}


def _by_start(
    painted: Sequence[_Painted], rows: Sequence[Mapping[str, Any]]
) -> dict[str, dict[str, float]]:
    """Success rate and mean run time by start."""
    starts: dict[str, list[Mapping[str, Any]]] = {}
    for each, row in zip(painted, rows, strict=True):
        starts.setdefault(each.plan.settings.init, []).append(row)
    return {
        start: {
            "runs": len(runs),
            "success_rate": sum(run["succeeded"] for run in runs) / len(runs),
            "seconds": sum(run["seconds"] for run in runs) / len(runs),
        }
        for start, runs in starts.items()
    }


def _difference(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """|a - b| of two pictures, uint8."""
    return np.abs(a.astype(np.int16) - b).astype(np.uint8)


def _rms(difference: np.ndarray) -> float:
    return float(np.sqrt(np.square(difference.astype(float)).mean()))


# --- Drawing ----------------------------------------------------------------------------------


def _draw_sheet(
    study: Study,
    plan: StudyPlan,
    painted: Sequence[_Painted],
    rows: Sequence[Mapping[str, Any]],
) -> np.ndarray:
    """The originals and the pictures with their labels, (H, W, 3) uint8 RGB."""
    cells: list[LabeledImage] = [
        (_label(row), each.image) for each, row in zip(painted, rows, strict=True)
    ]
    if study == "grid":
        columns = len(plan.paintings)
        lines = [cells[k : k + columns] for k in range(0, len(cells), columns)]
        body = [[original, *line] for original, line in zip(plan.contents, lines, strict=False)]
        return table_of_images([[None, *plan.paintings], *body])
    if study == "texture":  # growing sets below the layer that they end with
        single = (len(plan.images) + 1) // 2
        growing = [None, None, *cells[single:]] if len(cells) > single else []
        return table_of_images(
            [[*plan.paintings, *cells[:single]], *([growing] if growing else [])]
        )
    if study == "noise":
        first = painted[0].image
        for each in painted[1:]:
            difference = _difference(each.image, first)
            label = f"difference of {each.plan.name} and the first\n{_rms(difference):.1f} of 255"
            cells.append((label, difference))
    if study == "size":
        cells = _enlarged(cells)
    cells = [*plan.contents, *plan.paintings, *cells]
    rows_needed = ceil(len(cells) / _MAX_COLUMNS)
    return contact_sheet(cells, columns=ceil(len(cells) / rows_needed))


def _label(row: Mapping[str, Any]) -> str:
    """Name, run time and losses; whether a start succeeded, or a weight is the knee."""
    losses = ", ".join(f"{n} {row[n]:.3g}" for n in ("content", "style") if row[n] > 0)
    name = f"{row['name']} (knee)" if row.get("knee") else row["name"]
    label = f"{name}\n{row['seconds']:.1f} s, {losses}"
    if "succeeded" in row:
        found = "within 10 % of the best" if row["succeeded"] else "over 10 % above the best"
        label += f"\ntotal {row['total']:.4g}: {found}"
    return label


def _enlarged(cells: Sequence[LabeledImage]) -> list[LabeledImage]:
    """Pictures of several sizes, whole pixels repeated as often as they fit into the largest."""
    tallest = max(image.shape[0] for _, image in cells)
    times = [tallest // image.shape[0] for _, image in cells]
    return [
        (label, image.repeat(n, axis=0).repeat(n, axis=1))
        for (label, image), n in zip(cells, times, strict=True)
    ]


def _draw_weights(
    painted: Iterable[_Painted], rows: Sequence[Mapping[str, Any]], knee: float | None
) -> np.ndarray:
    """The final content and style loss by style weight, with a dot at the knee."""
    weights = [each.plan.settings.style_weight for each in painted]
    lines = [Line(n, weights, [row[n] for row in rows], knee) for n in ("content", "style")]
    note = "" if knee is None else f"dot: the knee, {knee:,g}"
    return draw_chart(lines, x_title="style weight", x_scale="log", note=note)
