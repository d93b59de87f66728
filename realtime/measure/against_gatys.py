"""One pass of a network against many steps of Gatys optimization: losses and seconds.

As in Johnson et al. 2016, section 4.1, figure 5 and table 1: the same objective, the same size.
"""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from time import perf_counter
from typing import Any

from impasto.models.gatys.optimize import Progress, StyleImage, changes_for_network, paint
from impasto.realtime.files.images import image_files, read_image
from impasto.realtime.measure.bench_gatys import EVALUATED_SIDE, PLAIN
from impasto.realtime.measure.candidates import Candidate
from impasto.realtime.measure.originals import Originals
from impasto.realtime.measure.timing import Table
from impasto.realtime.painting.paint import read_styles
from impasto.realtime.pixels import as_tensor

PUBLISHED = (
    "Johnson et al. 2016, table 1: 212, 636 and 1,060 times 100, 300 and 500 steps at 256x256"
)


def against_gatys(
    candidates: Sequence[Candidate],
    pictures: Sequence[Path],
    painting: Path,
    steps: int,
    *,
    loss_network: str = "compact",
    device: str = "cpu",
) -> list[dict[str, Any]]:
    """A row for each picture, at a short side of 256 px, and each candidate.

    candidates: those that paint. pictures: files and folders. "seconds", "content", "style" and
    "total" of one pass, the same of `steps` steps of L-BFGS from the picture with "gatys_" before
    the name, "ratio" of the seconds, and "worth": the step that first reaches the total of the
    pass; None: none does. Loading is not counted. Raises SourceError, WeightsError, EngineError.
    """
    style = [StyleImage(read_styles([(painting, 1.0)], ())[0].image)]
    settings = replace(PLAIN, **changes_for_network(loss_network), steps=steps)
    rows = []
    for file in image_files(pictures):
        picture = read_image(file, size=EVALUATED_SIDE)
        content = as_tensor(picture)
        painted = {
            candidate.name: candidate.pictures(Originals([(file, picture)]))
            for candidate in candidates
        }
        # Losses are those before each step, so one more shows what the last step reached.
        run: list[Progress] = []
        times = []
        for now in paint(content, style, replace(settings, steps=steps + 1), device=device):
            run.append(now)
            times.append(perf_counter())
        seconds = times[-1] - times[0]
        for name, (images, one_pass) in painted.items():
            init = as_tensor(images[0])
            of_pass = next(paint(content, style, settings, init=init, device=device))
            worth = (step for step, now in enumerate(run) if now.total <= of_pass.total)
            rows.append(
                {"picture": file, "candidate": name, "seconds": one_pass}
                | _losses(of_pass)
                | {"gatys_steps": steps, "gatys_seconds": seconds}
                | {f"gatys_{key}": value for key, value in _losses(run[-1]).items()}
                | {"ratio": seconds / one_pass if one_pass else None, "worth": next(worth, None)}
            )
    return rows


def tables(rows: Sequence[dict[str, Any]]) -> list[Table]:
    """Columns and rows of the figures of `against_gatys`, for reading."""
    if not rows:
        return []
    steps = rows[0]["gatys_steps"]
    columns = ["picture", "by", "one pass: s", "content", "style", "total"]
    columns += [f"{steps} steps: s", "content", "style", "total", "times", "worth steps"]
    return [
        (
            columns,
            [
                (
                    row["picture"].name,
                    row["candidate"],
                    f"{row['seconds']:.3f}",
                    *(f"{row[key]:.3f}" for key in ("content", "style", "total")),
                    f"{row['gatys_seconds']:.1f}",
                    *(f"{row['gatys_' + key]:.3f}" for key in ("content", "style", "total")),
                    f"{row['ratio']:.0f}",
                    f"over {steps}" if row["worth"] is None else str(row["worth"]),
                )
                for row in rows
            ],
        )
    ]


def _losses(progress: Progress) -> dict[str, float]:
    return {name: getattr(progress, name) for name in ("content", "style", "total")}
