"""A style as an ONNX file: built, checked against PyTorch, and only then written."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from torch import nn

from impasto.export.graphs.builder import Mixture, build_model
from impasto.export.metadata import about_style, sign
from impasto.export.parity import SHAPES, Difference, check_parity, to_floats
from impasto.export.quantize import quantize
from impasto.export.scenes import render
from impasto.export.spec import (
    NEWEST_OPSET,
    OLDEST_OPSET,
    OPSET,
    Layout,
    Precision,
    Shape,
    possible,
)
from impasto.models.errors import SinkError
from impasto.models.styles import load_network, load_style, mix, mixture_of, parse_blend, trunk_file

_CALIBRATION = 12  # pictures rendered where none are given


@dataclass(frozen=True)
class Sample:
    """A network that the graph must agree with, with these weights (None: it takes none)."""

    network: nn.Module
    weights: np.ndarray | None = None


def export_onnx(
    style: str | nn.Module,
    path: str | Path,
    *,
    strength: float = 1.0,
    interactive: bool = False,
    layout: Layout = "nhwc-uint8",
    static: Shape | None = None,
    opset: int = OPSET,
    precision: Precision = "fp32",
    calibration: Iterable[np.ndarray] | None = None,
    shapes: Iterable[Shape] = SHAPES,
    on_difference: Callable[[Difference], None] = lambda difference: None,
) -> Path:
    """Write a style to `path` as one self-contained ONNX file, and return the path.

    style: a name, a blend or a .safetensors file, as for `load_style`, with `strength`; or a
        network, float32, on the CPU. interactive: the styles of a blend stay apart, to be mixed by
        a second input `weights`; see `onnx_graph.Mixture`.
    layout, static, opset: see `onnx_graph.build_model`. precision: "int8" measures its ranges on
        `calibration`, pictures (1, H, W, 3) uint8 (of the static size, if any), or rendered ones.
    shapes: that ONNX Runtime is compared with PyTorch at, instead of `static`; each comparison goes
        to `on_difference`.
    An existing file is replaced, but by a checked one only: the file is written last of all.
    Raises ValueError for options that exclude each other, WeightsError, ParityError, EngineError
    and SinkError.
    """
    path = Path(path)
    _check_options(style, interactive, static, opset, precision)
    if isinstance(style, str):
        graph_of, samples = _networks(style, strength, interactive)
        about = about_style(style, strength=strength, interactive=interactive)
    else:
        about, graph_of, samples = {}, style, [Sample(style)]
    half = precision == "fp16"
    model = build_model(graph_of, layout=layout, static=static, opset=opset, half=half)
    if precision == "int8":
        frames = _calibrating(calibration, layout, static)
        model = quantize(model, frames, symmetric=static is not None)  # fixed: for TensorRT
    sign(model, about, layout, precision)
    data = model.SerializeToString()
    for sample in samples:
        differences = check_parity(
            sample.network,
            data,
            precision=precision,
            layout=layout,
            shapes=[static] if static else shapes,
            weights=sample.weights,
        )
        for difference in differences:
            on_difference(difference)
    _write(path, data)
    return path


def _check_options(
    style: str | nn.Module,
    interactive: bool,
    static: Shape | None,
    opset: int,
    precision: Precision,
) -> None:
    if not OLDEST_OPSET <= opset <= NEWEST_OPSET:
        raise ValueError(f"opset {opset} is not among {OLDEST_OPSET} to {NEWEST_OPSET}")
    if static and not possible(static):
        raise ValueError(f"no graph can be made for {static}")
    if interactive and precision == "int8":
        raise ValueError("8-bit weights cannot be mixed: interactive goes with fp32 and fp16")
    if interactive and not isinstance(style, str):
        raise ValueError("interactive needs the name of a style or a blend")


def _networks(
    spec: str, strength: float, interactive: bool
) -> tuple[nn.Module | Mixture, list[Sample]]:
    """What is to be in the graph, and the networks that it must agree with."""
    mixture = mixture_of(spec, strength=strength)
    if not interactive:
        network = load_style(spec, strength=strength)
        return network, [Sample(network)]
    files = list(mixture)[: len(parse_blend(spec))]
    networks = {file: load_network(file) for file in files}
    trunk = trunk_file(networks[files[0]].form_name)
    networks[trunk] = load_network(trunk)
    shares = np.array([mixture[file] for file in files], np.float32) / max(strength, 1e-9)

    def sample(weights: np.ndarray) -> Sample:
        of_styles = [float(weight) * strength for weight in weights]
        rest = 1 - sum(of_styles)
        of_all = dict(zip([*files, trunk], [*of_styles, rest], strict=True))
        return Sample(mix(networks, of_all), weights.astype(np.float32))

    samples = [sample(shares), sample(np.eye(len(files))[0]), sample(0.5 * shares)]
    styles = [networks[file] for file in files]
    return Mixture(styles, networks[trunk], strength), samples


def _calibrating(
    given: Iterable[np.ndarray] | None, layout: Layout, static: Shape | None
) -> Iterator[np.ndarray]:
    """Pictures as the graph's input takes them."""
    batch, height, width = static or (1, 240, 320)
    if given is None:
        given = (render(1, height, width, seed=seed) for seed in range(_CALIBRATION))
    for picture in given:
        frames = np.repeat(picture, batch, axis=0)
        yield to_floats(frames) if layout == "nchw-float" else frames


def _write(path: Path, data: bytes) -> None:
    try:
        path.write_bytes(data)
    except OSError as error:
        raise SinkError(f"cannot write {path}: {error.strerror}") from None
