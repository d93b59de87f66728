"""The figures of `impasto eval` for reading: tables, CSV, and a picture sheet."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from impasto.realtime.files.images import write_image
from impasto.realtime.measure.originals import Originals
from impasto.realtime.measure.timing import Table
from impasto.realtime.painting.curves import csv_text
from impasto.realtime.painting.sheet import LabeledImage, table_of_images

_VIGOR = ("vigor 1", "1/2", "1/4", "1/8")
_CLIP_LABELS = {
    "e_warp": "E_warp",
    "ratio": "over input's",
    "e_warp_long": "E_warp, 10 frames",
    "ratio_long": "over input's, 10 frames",
    "detail": "detail left",
    "detail_least": "in the softest region",
    "detail_most": "in the sharpest region",
    "fps": "fps",
    "content": "content",
    "strokes": "strokes",
    "sharpness": "sharpness",
}
Row = Mapping[str, Any]


def tables(figures: Row) -> list[Table]:
    """Of one candidate a row for each picture and clip; of several a column for each."""
    candidates = figures["candidates"]
    if len(candidates) > 1:
        return [table for table in (_means(candidates), *_clips_compared(candidates)) if table[1]]
    (one,) = candidates
    return [table for table in (_pictures(one), _clips(one)) if table[1]]


def _pictures(candidate: Row) -> Table:
    rows = candidate["pictures"]
    if not rows:
        return [], []
    named = [(row["picture"].name, row) for row in rows]
    if len(rows) > 1:
        named.append(("mean", candidate["mean"]))
    measures = [_measures(row) for _, row in named]
    columns = ["picture", *(name for name, value in measures[0].items() if value)]
    if "gatys_steps" in rows[0]:
        columns.append("L-BFGS steps")
        for values, (_, row) in zip(measures, named, strict=True):
            values["L-BFGS steps"] = str(row["gatys_steps"] or "over 300")
    return columns, [
        (name, *(values[column] for column in columns[1:]))
        for (name, _), values in zip(named, measures, strict=True)
    ]


def _measures(row: Row) -> dict[str, str]:
    """The figures of a picture by the names of the columns, "" for what is not known."""
    sizes = zip(_VIGOR, row["vigor"], strict=False)
    return {
        "content": _shown(row["content"]),
        "style": _shown(row["style"]),
        "total": _shown(row["total"]),
        "total variation": f"{row['total_variation']:.4f}",
        "strokes": _shown(row["strokes"]),
        **{layer: _shown(value) for layer, value in row["layers"].items()},
        **{name: f"{value:.2f}" for name, value in sizes},
        "sharpness": f"{row['sharpness']:.2f}",
        "grid": f"{row['grid']:.2f}",
    }


def _clips(candidate: Row) -> Table:
    columns = ["clip", "steadiness", "E_warp", "of input", "ratio"]
    columns += ["10 frames", "of input", "ratio", "detail", "by region"]
    columns += ["content", "strokes", "vigor", "sharpness", "fps"]
    keys = ["e_warp", "input_e_warp", "ratio", "e_warp_long", "input_e_warp_long", "ratio_long"]
    return columns, [
        (
            row["clip"].name,
            row["steadiness"],
            *(_shown(row[key]) for key in keys),
            _shown(row["detail"], 2),
            _regions(row),
            _shown(row["content"]),
            _shown(row["strokes"]),
            f"{row['vigor'][0]:.2f}" if row["vigor"] else "",
            f"{row['sharpness']:.2f}",
            _shown(row["fps"], 1),
        )
        for row in candidate["clips"]
    ]


def _regions(row: Row) -> str:
    if row["detail_least"] is None:
        return ""
    return f"{row['detail_least']:.2f} to {row['detail_most']:.2f}"


def _means(candidates: Sequence[Row]) -> Table:
    """The means over all pictures: a row for each measure, a column for each candidate."""
    known = [candidate for candidate in candidates if candidate["mean"]]
    if not known:
        return [], []
    count = len(known[0]["pictures"])
    label = known[0]["pictures"][0]["picture"].name if count == 1 else f"mean of {count} pictures"
    columns = [_measures(candidate["mean"]) for candidate in known]
    rows = [
        (name, *(values[name] for values in columns)) for name, value in columns[0].items() if value
    ]
    seconds = [candidate["mean"].get("seconds") for candidate in known]
    if any(seconds):
        rows.append(("pictures a second", *(f"{1 / s:.1f}" if s else "" for s in seconds)))
    return [label, *(candidate["name"] for candidate in known)], rows


def _clips_compared(candidates: Sequence[Row]) -> Iterator[Table]:
    """For each clip a row for each measure, a column for the input and each candidate and mode."""
    by_clip: dict[Path, list[tuple[str, Row]]] = {}
    for candidate in candidates:
        for row in candidate["clips"]:
            by_clip.setdefault(row["clip"], []).append((_column_name(candidate, row), row))
    for clip, columns in by_clip.items():
        inputs = {
            "e_warp": columns[0][1]["input_e_warp"],
            "e_warp_long": columns[0][1]["input_e_warp_long"],
        }
        yield (
            [clip.name, "input", *(name for name, _ in columns)],
            [
                (label, *(_shown(values.get(key)) for values in [inputs, *(r for _, r in columns)]))
                for key, label in _CLIP_LABELS.items()
            ],
        )


def _column_name(candidate: Row, row: Row) -> str:
    name: str = candidate["name"]
    return name if row["steadiness"] == "off" else f"{name} {row['steadiness']}"


def as_csv(figures: Row) -> str:
    """One row for each candidate, input and mode of steadiness; a column for each figure."""
    rows = []
    for candidate in figures["candidates"]:
        for row in candidate["pictures"]:
            rows.append({"candidate": candidate["name"], "input": row["picture"]} | _flat(row))
        for row in candidate["clips"]:
            rows.append({"candidate": candidate["name"], "input": row["clip"]} | _flat(row))
    return csv_text(list(dict.fromkeys(name for row in rows for name in row)), rows)


def _flat(row: Row) -> dict[str, Any]:
    """A row without nested values: the layers and sizes get columns of their own."""
    flat: dict[str, Any] = {}
    for name, value in row.items():
        if name == "layers":
            flat |= {f"style_{layer}": f"{error:.6g}" for layer, error in value.items()}
        elif name == "vigor":
            flat |= {f"vigor_{2**k}": f"{each:.6g}" for k, each in enumerate(value)}
        elif name not in ("picture", "clip"):
            flat[name] = f"{value:.6g}" if isinstance(value, float) else value
    return flat


class PictureSheet:
    """Collects what was painted, for a sheet: a row for each input, a column for each candidate.

    Of a clip it shows the frame in the middle.
    """

    def __init__(self, originals: Originals) -> None:
        self._rows: dict[Path, list[LabeledImage]] = {
            path: [(path.name, image)] for path, image in originals.pictures
        }
        for path, frames in originals.clips:
            self._rows[path] = [(path.name, frames[len(frames) // 2])]

    def add(self, path: Path, name: str, image: np.ndarray) -> None:
        """Another result of this input."""
        self._rows[path].append((name, image))

    def write(self, path: Path, *, overwrite: bool = False) -> None:
        """Write it as an image file. Raises SinkError and EngineError."""
        write_image(path, table_of_images(list(self._rows.values())), overwrite=overwrite)


def _shown(value: float | None, digits: int = 3) -> str:
    return "" if value is None else f"{value:.{digits}f}"
