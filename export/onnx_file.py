"""Exports a style to an ONNX file, after checking its graph against PyTorch."""

import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import onnx
import torch
from torch import nn

from impasto.export.graphs.builder import Mixture
from impasto.export.graphs.portable import build_portable_model
from impasto.export.metadata import set_metadata, style_metadata
from impasto.export.parity import SHAPES, Difference, check_parity, to_floats
from impasto.export.quantize import quantize
from impasto.export.scenes import render
from impasto.export.spec import (
    MIN_SIDE,
    NEWEST_OPSET,
    OLDEST_OPSET,
    OPSET,
    GraphPrecision,
    GraphShape,
    TensorLayout,
    is_possible,
    is_small_enough,
)
from impasto.export.stroke import StrokeNet, add_stroke, painted_shape, reduced
from impasto.models.errors import SinkError
from impasto.models.stroke import check_stroke
from impasto.models.styles import (
    choose_network,
    identity_file,
    load_network,
    load_style,
    mix,
    mixture_of,
    parse_blend,
)

_CALIBRATION = 12  # rendered pictures, if none are given


@dataclass(frozen=True)
class ParityCase:
    """A network, and the weights with which the graph must agree with it (None: has no weights)."""

    network: nn.Module
    weights: np.ndarray | None = None


def export_onnx(
    style: str | nn.Module,
    path: str | Path,
    *,
    strength: float = 1.0,
    network: str = "auto",
    interactive: bool = False,
    layout: TensorLayout = "nhwc-uint8",
    static: GraphShape | None = None,
    opset: int = OPSET,
    precision: GraphPrecision = "fp32",
    stroke: float = 1.0,
    calibration: Iterable[np.ndarray] | None = None,
    shapes: Iterable[GraphShape] | None = None,
    on_difference: Callable[[Difference], None] = lambda difference: None,
) -> Path:
    """Write a style to `path` as one self-contained ONNX file, and return the path.

    style: a name, a blend or a .safetensors file, as for `load_style`, with `strength` and
        `network`; or a network itself, float32, on the CPU. interactive: the styles of a blend are
        mixed at run time by a second input `weights`; see `builder.Mixture`.
    layout, static, opset: see `portable.build_portable_model`. precision: "int8" measures its
        ranges on `calibration`, pictures (1, H, W, 3) uint8 (of the static size, if any); by
        default on rendered ones.
    stroke: how wide strokes are, 0.5 to 4 times the style's own: the graph reduces what it is
        given, and enlarges the result with its detail; see `export.stroke`.
    shapes: where ONNX Runtime is compared with PyTorch, unless `static` is given (None: those of
        `parity.SHAPES`, painted at 16 px a side or more); each comparison is passed to
        `on_difference`.
    An existing file is only replaced after all checks have passed.
    Raises ValueError for options that exclude each other, WeightsError, ParityError, EngineError
    and SinkError.
    """
    path = Path(path)
    _check_options(style, interactive, static, opset, precision, stroke)
    if isinstance(style, str):
        # Where the weights are an input, they may let the original through.
        network = choose_network(style, network, strength=0.0 if interactive else strength)
        source, cases = _networks(style, strength, network, interactive)
        metadata = style_metadata(
            style, strength=strength, network=network, interactive=interactive
        )
    else:
        metadata, source, cases = {}, style, [ParityCase(style)]
    model = _graph(source, layout, static, opset, precision, calibration, stroke)
    if stroke != 1:
        cases = [replace(case, network=StrokeNet(case.network, stroke)) for case in cases]
        metadata["stroke"] = f"{stroke:g}"
    set_metadata(model, metadata, layout, precision)
    data = model.SerializeToString()
    for case in cases:
        differences = check_parity(
            case.network,
            data,
            precision=precision,
            layout=layout,
            shapes=[static] if static else _shapes_for(stroke) if shapes is None else shapes,
            weights=case.weights,
        )
        for difference in differences:
            on_difference(difference)
    _write(path, data)
    return path


def _graph(
    network: nn.Module | Mixture,
    layout: TensorLayout,
    static: GraphShape | None,
    opset: int,
    precision: GraphPrecision,
    calibration: Iterable[np.ndarray] | None,
    stroke: float,
) -> onnx.ModelProto:
    """The graph of the file: the network, inside what scales its pictures unless `stroke` is 1."""
    is_scaled = stroke != 1
    model = build_portable_model(
        network,
        layout="nchw-float" if is_scaled else layout,
        static=painted_shape(static, stroke) if static else None,
        opset=opset,
        half=precision == "fp16",
    )
    if precision == "int8":
        frames = _calibration_frames(calibration, layout, static, stroke)
        model = quantize(model, frames, symmetric=static is not None)  # static: for TensorRT
    return add_stroke(model, stroke, layout=layout, static=static) if is_scaled else model


def _check_options(
    style: str | nn.Module,
    interactive: bool,
    static: GraphShape | None,
    opset: int,
    precision: GraphPrecision,
    stroke: float,
) -> None:
    check_stroke(stroke)
    if not OLDEST_OPSET <= opset <= NEWEST_OPSET:
        raise ValueError(f"opset {opset} is not in {OLDEST_OPSET} to {NEWEST_OPSET}")
    if static and not is_possible(static):
        raise ValueError(f"cannot build a graph of shape {static}")
    if static and not is_small_enough(painted_shape(static, stroke)):
        raise ValueError(
            f"at stroke {stroke:g} a graph of shape {static} is painted at too large a size"
        )
    if interactive and precision == "int8":
        raise ValueError("int8 weights cannot be mixed: interactive needs fp32 or fp16")
    if interactive and not isinstance(style, str):
        raise ValueError("interactive needs the name of a style or a blend")


def _shapes_for(stroke: float) -> list[GraphShape]:
    """`parity.SHAPES`, enlarged so that all are painted at 16 px a side: int8 needs as many."""
    least = math.ceil(MIN_SIDE * stroke)
    return [(n, max(least, height), max(least, width)) for n, height, width in SHAPES]


def _networks(
    spec: str, strength: float, network: str, interactive: bool
) -> tuple[nn.Module | Mixture, list[ParityCase]]:
    """What the graph is built from, and the networks that it must agree with."""
    if not interactive:
        style = load_style(spec, strength=strength, network=network)
        return style, [ParityCase(style)]
    mixture = mixture_of(spec, strength=strength, network=network)
    files = list(mixture)[: len(parse_blend(spec))]
    networks = {file: load_network(file) for file in files}
    identity = identity_file(network)
    networks[identity] = load_network(identity)
    shares = np.array([mixture[file] for file in files], np.float32) / max(strength, 1e-9)

    def case(weights: np.ndarray) -> ParityCase:
        of_styles = [float(weight) * strength for weight in weights]
        rest = 1 - sum(of_styles)
        of_all = dict(zip([*files, identity], [*of_styles, rest], strict=True))
        return ParityCase(mix(networks, of_all), weights.astype(np.float32))

    cases = [case(shares), case(np.eye(len(files))[0]), case(0.5 * shares)]
    styles = [networks[file] for file in files]
    return Mixture(styles, networks[identity], strength), cases


def _calibration_frames(
    given: Iterable[np.ndarray] | None,
    layout: TensorLayout,
    static: GraphShape | None,
    stroke: float,
) -> Iterator[np.ndarray]:
    """Pictures as the network gets them."""
    batch, height, width = static or (1, 240, 320)
    if given is None:
        given = (render(1, height, width, seed=seed) for seed in range(_CALIBRATION))
    for picture in given:
        frames = np.repeat(picture, batch, axis=0)
        if stroke != 1:
            yield reduced(torch.from_numpy(to_floats(frames)), stroke).numpy()
        else:
            yield to_floats(frames) if layout == "nchw-float" else frames


def _write(path: Path, data: bytes) -> None:
    try:
        path.write_bytes(data)
    except OSError as error:
        raise SinkError(f"cannot write {path}: {error.strerror}") from None
