"""Speed of Gatys optimization on this machine, with its default and with plain settings."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from time import perf_counter, process_time
from typing import Any

from torch import Tensor

from impasto.models.gatys.optimize import (
    PRESETS,
    Progress,
    Settings,
    StyleImage,
    changes_for_network,
    paint,
)
from impasto.models.judge import STYLE_WEIGHT, TV_WEIGHT
from impasto.models.losses import STYLE_LAYERS
from impasto.models.precision import computes_bfloat16
from impasto.realtime.engines.options import EngineOptions
from impasto.realtime.files.images import image_files, read_image
from impasto.realtime.measure.bench import limit
from impasto.realtime.measure.timing import Figures, Table, machine
from impasto.realtime.memory import keep_freed_memory, memory_mb
from impasto.realtime.painting.paint import read_styles
from impasto.realtime.pixels import as_tensor
from impasto.realtime.samples import SAMPLE_IMAGE
from impasto.realtime.stylizer import LazyStylizer

# One size, Gram matrices, plain L-BFGS: the settings of published figures.
PLAIN = replace(
    PRESETS["default"],
    optimizer="lbfgs",
    levels=1,
    style_loss="gram",
    style_weight=STYLE_WEIGHT,
    tv_weight=TV_WEIGHT,
    style_layers=dict.fromkeys(STYLE_LAYERS, 1.0),
)
EVALUATED_SIDE = 256  # px, short side
MOST_STEPS = 300  # that are tried to reach what one pass reaches
_COARSE_TO_FINE = replace(PLAIN, optimizer="multilevel", history=20, levels=2)


def bench_gatys(
    style: str,
    *,
    side: int = 512,
    steps: int = 300,
    device: str = "cpu",
    network: str = "auto",
    log: Callable[[str], None] = lambda part: None,
) -> Figures:
    """Paint the sample image at `side` x `side` px; returns plain data, ready for JSON.

    style, network: what makes the painting, as none is shipped: the mirrored image in this style.
    "plain": `steps` of L-BFGS at one size; "coarse_to_fine": half as many at two sizes, ended at
    the final loss of the plain run; "default": the settings and steps of `impasto paint`. Each has
    "seconds", "steps_per_second", "cpu_seconds", "content", "style", "total", "seconds_to_same",
    "steps_to_same" (None: not reached). "limit": of a convolution before and after, as other load
    on the machine changes it.
    """
    content = read_image(SAMPLE_IMAGE, size=(side, side))
    painting = LazyStylizer(EngineOptions(style, network=network), is_video=False).stylize_image(
        content[:, ::-1].copy()
    )
    pictures = as_tensor(content), as_tensor(painting)
    precision = "bf16" if computes_bfloat16(device) else "fp32"  # what painting computes in
    before = limit(precision, device)
    figures: Figures = {"side": side, "steps": steps}
    goal: float | None = None
    default = PRESETS["default"]
    for name, settings, count in (
        ("plain", PLAIN, steps),
        ("coarse_to_fine", _COARSE_TO_FINE, steps // 2),
        ("default", default, min(steps, default.steps)),
    ):
        log(name.replace("_", " "))
        figures[name] = timed(*pictures, replace(settings, steps=count), device, goal)
        if name == "plain":
            goal = figures[name]["total"]
        elif name == "coarse_to_fine":
            goal = None  # other losses, not comparable
    figures["limit"] = {
        "convolution_gflops_before": before["convolution_gflops"],
        "convolution_gflops_after": limit(precision, device)["convolution_gflops"],
    }
    figures["peak_memory_mb"] = memory_mb("VmHWM")
    figures["machine"] = machine(device)
    return figures


def timed(
    content: Tensor, painting: Tensor, settings: Settings, device: str, goal: float | None
) -> Figures:
    """Time one run, loading included; it ends when its total at full size is `goal` or less."""
    keep_freed_memory()
    size = tuple(content.shape[-2:])
    began, cpu = perf_counter(), process_time()
    reached: tuple[float, int] | None = None
    now: Progress | None = None
    for now in paint(content, [StyleImage(painting)], settings, device=device):
        if goal is not None and now.size == size and now.total <= goal:
            reached = perf_counter() - began, now.step
            break
    assert now is not None
    seconds = perf_counter() - began
    return {
        "seconds": seconds,
        "cpu_seconds": process_time() - cpu,
        "steps_per_second": now.step / seconds,
        "content": now.content,
        "style": now.style,
        "total": now.total,
        "seconds_to_same": reached and reached[0],
        "steps_to_same": reached and reached[1],
    }


def tables(figures: Figures) -> list[Table]:
    """Columns and rows of the figures of `bench_gatys`, for reading."""
    columns = ("settings", "seconds", "of processors", "steps/s", "content", "style", "same after")
    rows: list[tuple[str, ...]] = []
    for name in ("plain", "coarse_to_fine", "default"):
        row = figures[name]
        same = row["seconds_to_same"]
        rows.append(
            (
                name.replace("_", " "),
                f"{row['seconds']:.1f}",
                f"{row['cpu_seconds']:.1f}",
                f"{row['steps_per_second']:.2f}",
                f"{row['content']:.3f}",
                f"{row['style']:.4f}",
                "" if same is None else f"{same:.1f} s, {row['steps_to_same']} steps",
            )
        )
    return [(columns, rows)]


def steps_to_equal(
    painted: Tensor,
    content: Tensor,
    painting: Tensor,
    *,
    settings: Settings = PLAIN,
    most: int = MOST_STEPS,
    device: str = "cpu",
) -> int | None:
    """The number of L-BFGS steps that reach the objective of an image stylized in one pass.

    painted, content, painting: (1, 3, H, W) in [0, 1]. None: more than `most`. Johnson et al.
    2016, section 4.1, report 50 to 100.
    """

    def totals(init: Tensor | None, steps: int) -> Any:
        changed = replace(settings, steps=steps, levels=1)
        styles = [StyleImage(painting)]
        return (now.total for now in paint(content, styles, changed, init=init, device=device))

    goal = next(totals(painted, 1))
    for step, total in enumerate(totals(None, most)):  # the total before each step
        if total <= goal:
            return step
    return None


def steps_of_pictures(
    options: EngineOptions,
    pictures: Sequence[Path],
    painting: Path,
    loss_network: str = "compact",
) -> list[int | None]:
    """`steps_to_equal` for each picture, at a short side of 256 px as in Johnson et al. 2016.

    pictures: files and folders of them, as for `impasto eval`. Raises SourceError, WeightsError.
    """
    stylizer = LazyStylizer(options, is_video=False)
    style = read_styles([(painting, 1.0)], ())[0].image
    settings = replace(PLAIN, **changes_for_network(loss_network))
    counts = []
    for file in image_files(pictures):
        picture = read_image(file, size=EVALUATED_SIDE)
        painted = as_tensor(stylizer.stylize_image(picture))
        counts.append(steps_to_equal(painted, as_tensor(picture), style, settings=settings))
    return counts
