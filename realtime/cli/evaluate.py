"""`impasto eval`: the quality of styles, ONNX files and finished pictures."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from impasto.realtime.cli import options
from impasto.realtime.cli.app import command
from impasto.realtime.cli.terminal import print_line, show_json, show_table

if TYPE_CHECKING:
    import numpy as np

    from impasto.realtime.engines.options import EngineOptions
    from impasto.realtime.measure.candidates import Candidate
    from impasto.realtime.measure.comparison import PictureSheet
    from impasto.realtime.measure.originals import Originals
    from impasto.realtime.measure.timing import Table


@command(
    example="impasto eval --style great_wave --picture photos/ --clip walk.mp4 "
    "--painting great_wave.jpg"
)
def eval(
    style: Annotated[
        list[str] | None,
        typer.Option(
            metavar="STYLE",
            help="A style: a name, a blend or a .safetensors file; may be repeated, a column each.",
        ),
    ] = None,
    onnx: Annotated[
        list[Path] | None,
        typer.Option(
            metavar="FILE", help="An ONNX file of any program, picture to picture; may be repeated."
        ),
    ] = None,
    painted: Annotated[
        list[Path] | None,
        typer.Option(
            metavar="PATH",
            help="What another program painted from --original: a picture, a folder of pictures or "
            "frames, or a video; may be repeated.",
        ),
    ] = None,
    original: Annotated[
        Path | None,
        typer.Option(
            metavar="PATH", help="The original: a picture, a folder of pictures or frames, a video."
        ),
    ] = None,
    picture: Annotated[
        list[Path] | None,
        typer.Option(metavar="PICTURE", help="A picture, or a folder of them; may be repeated."),
    ] = None,
    clip: Annotated[
        list[Path] | None,
        typer.Option(
            metavar="CLIP",
            help="A video, or a folder of frames, for E_warp; may be repeated.",
        ),
    ] = None,
    painting: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="The painting of the style; default: no style loss."),
    ] = None,
    strength: options.Strength = 1.0,
    network: options.Network = "auto",
    side: Annotated[
        int, typer.Option(min=64, max=2160, help="Short side of the clips, in pixels.")
    ] = 288,
    frames: Annotated[
        int, typer.Option(min=2, max=600, help="Frames of each clip, from its start.")
    ] = 30,
    loss_network: options.LossNetwork = None,
    vgg19_weights: options.Vgg19Weights = None,
    gatys: Annotated[
        int | None,
        typer.Option(
            min=1,
            max=5000,
            metavar="STEPS",
            help="Also paint each picture by so many steps of L-BFGS, and compare losses and "
            "seconds with one pass (slow).",
        ),
    ] = None,
    gatys_steps: Annotated[
        bool,
        typer.Option(
            "--gatys-steps",
            help="Also find how many steps of L-BFGS reach the loss of each --picture (slow).",
        ),
    ] = False,
    propagated: Annotated[
        bool,
        typer.Option(
            "--propagated",
            help="Compare painted keyframes propagated through each --clip with frames painted one "
            "by one (slow).",
        ),
    ] = False,
    csv: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Write every figure to this file, a row per input."),
    ] = None,
    sheet: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Write a picture sheet: originals and what was painted."),
    ] = None,
    overwrite: options.Overwrite = False,
    device: options.Device = "auto",
    engine: options.Engine = "auto",
    precision: options.Precision = "auto",
    json: options.Json = False,
    traceback: options.Traceback = False,
) -> None:
    """Measure styles, ONNX files or finished pictures: nearness to the painting, and steadiness."""
    inputs = _Inputs(
        style or [], onnx or [], painted or [], picture or [], clip or [], original, painting
    )
    inputs.check(gatys=gatys, gatys_steps=gatys_steps, propagated=propagated)
    options.only_one(loss_network=loss_network, vgg19_weights=vgg19_weights)
    from impasto.realtime.atomic import check_target, write_file
    from impasto.realtime.engines.options import EngineOptions
    from impasto.realtime.painting_styles import with_predicted_styles

    all_options = [
        EngineOptions(with_predicted_styles(name), strength, engine, device, precision, network)
        for name in inputs.styles
    ]
    for engine_options in all_options:
        engine_options.check()
    for file in filter(None, (csv, sheet)):
        check_target(file, overwrite=overwrite)
    from impasto.realtime.files.images import read_image
    from impasto.realtime.measure.comparison import PictureSheet, as_csv, tables
    from impasto.realtime.measure.originals import read_originals

    target = None if painting is None else read_image(painting)
    originals = read_originals(
        inputs.pictures, inputs.clips, original=original, side=side, frames=frames
    )
    pictured = None if sheet is None else PictureSheet(originals)
    notes = Notes(None if json else print_line)
    judge = str(vgg19_weights or loss_network or "compact")
    figures, painters = _evaluated(inputs, all_options, originals, target, judge, notes, pictured)
    if gatys_steps:
        _add_gatys_steps(figures, inputs, all_options[0], judge)
    shown = tables(figures)
    if propagated:
        shown += _add_propagated(figures, inputs, all_options[0], side, frames, judge, notes)
    if gatys:
        shown += _add_gatys(figures, inputs, painters, originals, gatys, judge, notes)
    if csv is not None:
        write_file(csv, as_csv(figures).encode(), overwrite=overwrite)
    if sheet is not None and pictured is not None:
        pictured.write(sheet, overwrite=overwrite)
    if json:
        show_json(_of_one_style(figures) | {"notes": notes.lines})
    else:
        for columns, rows in shown:
            show_table(columns, rows)


@dataclass(frozen=True)
class _Inputs:
    """What is measured, what on, and against which painting."""

    styles: list[str]
    onnx: list[Path]
    painted: list[Path]
    pictures: list[Path]
    clips: list[Path]
    original: Path | None
    painting: Path | None

    def check(self, *, gatys: int | None, gatys_steps: bool, propagated: bool) -> None:
        """Raise a usage error for what does not go together."""
        has_networks, target = bool(self.styles or self.onnx), self.painting is not None
        has_inputs = bool(self.pictures or self.clips)
        alone = len(self.styles) == 1 and not (self.onnx or self.painted)
        refused = {
            "Give a --style, an --onnx file, or --painted with --original.": (
                not has_networks and not self.painted
            ),
            "--painted needs the --original that it was painted from.": (
                bool(self.painted) and self.original is None
            ),
            "Give --original, or --picture and --clip.": has_inputs and self.original is not None,
            "Give a --picture, a --clip, or both, or an --original.": (
                not has_inputs and self.original is None
            ),
            "--gatys needs a --painting, a --picture and a --style or --onnx.": (
                bool(gatys) and not (target and has_networks and (self.pictures or self.original))
            ),
            "--gatys-steps needs a --painting, a --picture and one --style.": (
                gatys_steps and not (target and self.pictures and alone)
            ),
            "--propagated needs a --painting, a --clip and one --style.": (
                propagated and not (target and self.clips and alone)
            ),
        }
        for message, is_wrong in refused.items():
            if is_wrong:
                raise typer.BadParameter(message)


class Notes:
    """Collects lines, each once, as pictures and clips mostly get the same; shows new ones."""

    def __init__(self, show: Callable[[str], None] | None) -> None:
        self.lines: list[str] = []
        self._show = show

    def __call__(self, line: str) -> None:
        if line not in self.lines:
            self.lines.append(line)
            if self._show:
                self._show(line)


def _evaluated(
    inputs: _Inputs,
    all_options: "list[EngineOptions]",
    originals: "Originals",
    target: "np.ndarray | None",
    judge: str,
    log: Callable[[str], None],
    sheet: "PictureSheet | None",
) -> "tuple[dict[str, Any], list[Candidate]]":
    """The figures of `evaluate`, and the candidates that can paint.

    target: the painting, (H, W, 3) uint8.
    """
    from impasto.realtime.measure.candidates import (
        FinishedCandidate,
        OnnxCandidate,
        StyleCandidate,
    )
    from impasto.realtime.measure.evaluate import evaluate

    painters: list[Candidate] = [StyleCandidate(each, log) for each in all_options]
    painters += [OnnxCandidate(path, log) for path in inputs.onnx]
    finished = [FinishedCandidate(path, originals, log) for path in inputs.painted]
    figures = evaluate(
        [*painters, *finished],
        originals,
        painting=target,
        loss_network=judge,
        log=log,
        sheet=sheet,
    )
    return figures | {"painting": inputs.painting}, painters


def _add_gatys_steps(
    figures: dict[str, Any], inputs: _Inputs, options: "EngineOptions", judge: str
) -> None:
    """How many steps of optimization each picture is worth, as "gatys_steps" of its row."""
    from impasto.realtime.measure.bench_gatys import MOST_STEPS, steps_of_pictures

    assert inputs.painting is not None  # see `_Inputs.check`
    counts = steps_of_pictures(options, inputs.pictures, inputs.painting, judge)
    (one,) = figures["candidates"]
    for row, steps in zip(one["pictures"], counts, strict=True):
        row["gatys_steps"] = steps
    known = [steps or MOST_STEPS for steps in counts]  # at least
    one["mean"]["gatys_steps"] = sum(known) / len(known)


def _add_propagated(
    figures: dict[str, Any],
    inputs: _Inputs,
    options: "EngineOptions",
    side: int,
    frames: int,
    judge: str,
    log: Callable[[str], None],
) -> "list[Table]":
    """Propagated keyframes against frames painted one by one, as "carried"; returns the tables."""
    from impasto.realtime.measure import evaluate_keyframes

    assert inputs.painting is not None  # see `_Inputs.check`
    figures["carried"] = evaluate_keyframes.evaluate_propagation(
        options,
        inputs.clips,
        inputs.painting,
        side=side,
        frames=frames,
        loss_network=judge,
        log=log,
    )
    return evaluate_keyframes.tables(figures["carried"])


def _add_gatys(
    figures: dict[str, Any],
    inputs: _Inputs,
    painters: "list[Candidate]",
    originals: "Originals",
    steps: int,
    judge: str,
    log: Callable[[str], None],
) -> "list[Table]":
    """One pass against many steps of optimization, as "against_gatys"; returns the tables."""
    from impasto.realtime.measure import against_gatys

    assert inputs.painting is not None  # see `_Inputs.check`
    figures["against_gatys"] = against_gatys.against_gatys(
        painters,
        [path for path, _ in originals.pictures],
        inputs.painting,
        steps,
        loss_network=judge,
    )
    log(against_gatys.PUBLISHED)
    return against_gatys.tables(figures["against_gatys"])


def _of_one_style(figures: dict[str, Any]) -> dict[str, Any]:
    """The figures of a single style without the list of candidates; of others as they are."""
    first, *more = figures["candidates"]
    if more or "style" not in first:
        return figures
    rest = {name: value for name, value in figures.items() if name != "candidates"}
    return {name: value for name, value in first.items() if name != "name"} | rest
