"""Compares an exported graph in ONNX Runtime with its network in PyTorch."""

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnxruntime
import torch
from torch import nn

from impasto.export.scenes import render
from impasto.export.spec import FRAMES, WEIGHTS, GraphPrecision, GraphShape, TensorLayout
from impasto.export.stroke import StrokeNet
from impasto.models.errors import EngineError, ParityError
from impasto.models.fast.uint8_io import Uint8Wrapper
from impasto.models.networks import StyleNetwork

# Three sizes, since a graph with one size baked in would pass at that size: a usual one, one that
# nothing divides, and the minimum, which is smaller than reflection padding needs. Two batch sizes.
SHAPES: tuple[GraphShape, ...] = tuple(
    (batch, *size) for size in ((360, 640), (61, 83), (16, 16)) for batch in (1, 3)
)


@dataclass(frozen=True)
class Difference:
    """How much a graph differs from its network, in levels of 0..255, on frames of one shape."""

    frames: str  # "rendered" or "random"
    shape: GraphShape
    max: float
    mean: float
    psnr: float  # dB; infinite if nothing differs
    within_two: float  # share of pixels with no channel off by more than two levels

    def figures(self) -> dict[str, Any]:
        """All fields for JSON, which has no infinity: an infinite PSNR is None."""
        psnr = self.psnr if math.isfinite(self.psnr) else None
        return {**vars(self), "psnr": psnr}

    def fault(self, precision: GraphPrecision) -> str | None:
        """A message if the difference exceeds the limit of this precision, else None.

        fp32: sums in another order differ by about 1e-5, which rounding can turn into one level.
        fp16: two levels, except for one pixel in a thousand. int8: 30 dB.
        """
        if precision == "fp32" and self.max > 1.001:
            return f"differs by {self.max:.1f} gray levels, where 1 is allowed"
        if precision == "fp16" and self.within_two < 0.999:
            return f"has {1 - self.within_two:.2%} of pixels off by more than 2 gray levels"
        if precision == "int8" and self.psnr < 30:
            return f"reaches {self.psnr:.1f} dB, where 30 are required"
        return None


def check_parity(
    network: nn.Module,
    model: bytes,
    *,
    precision: GraphPrecision = "fp32",
    layout: TensorLayout = "nhwc-uint8",
    shapes: Iterable[GraphShape] = SHAPES,
    weights: np.ndarray | None = None,
) -> Iterator[Difference]:
    """Compare `network` with the serialized graph `model`, shape by shape.

    network: float32, on the CPU. weights: the graph's second input, if it mixes styles.
    Raises ParityError at the first difference beyond the limit of `precision`, and EngineError if
    ONNX Runtime cannot run the graph.
    """
    session = open_session(model)
    for shape in shapes:
        for kind, frames in _frames(shape).items():
            pair = _both(network, session, frames, layout, weights)
            difference = _difference(kind, shape, *pair)
            if fault := difference.fault(precision):
                size = "x".join(map(str, shape))
                raise ParityError(f"the {precision} graph {fault}, on {kind} frames of {size}")
            yield difference


def difference_table(
    differences: Iterable[Difference],
) -> tuple[tuple[str, ...], list[tuple[str, ...]]]:
    """The columns and rows of a table of differences."""
    columns: tuple[str, ...] = ("batch", "size", "frames", "max", "mean", "PSNR", "within 2 levels")
    rows: list[tuple[str, ...]] = [
        (
            str(d.shape[0]),
            f"{d.shape[2]}x{d.shape[1]}",
            d.frames,
            f"{d.max:.2f}",
            f"{d.mean:.4f}",
            f"{d.psnr:.1f} dB",
            f"{d.within_two:.2%}",
        )
        for d in differences
    ]
    return columns, rows


def open_session(model: bytes) -> Any:
    """An ONNX Runtime session on the CPU. Raises EngineError."""
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4  # not about a missing GPU; errors are raised
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")  # PyTorch runs next
    try:
        return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # ONNX Runtime's own classes have no common base
        raise EngineError(
            f"ONNX Runtime {onnxruntime.__version__} does not load the graph: {error}"
        ) from None


def _frames(shape: GraphShape) -> dict[str, np.ndarray]:
    random = np.random.default_rng(0)
    return {
        "rendered": render(*shape),
        "random": random.integers(0, 256, (*shape, 3), np.uint8),
    }


def _difference(kind: str, shape: GraphShape, expected: np.ndarray, got: np.ndarray) -> Difference:
    """Compare pictures, (N, H, W, 3) float, 0 to 255."""
    off = np.abs(expected - got)
    power = float(np.square(off).mean())
    return Difference(
        frames=kind,
        shape=shape,
        max=float(off.max()),
        mean=float(off.mean()),
        psnr=10 * math.log10(255**2 / power) if power else math.inf,
        within_two=float((off.max(axis=3) <= 2).mean()),
    )


@torch.inference_mode()
def _both(
    network: nn.Module,
    session: Any,
    frames: np.ndarray,
    layout: TensorLayout,
    weights: np.ndarray | None,
) -> tuple[np.ndarray, np.ndarray]:
    """The results of PyTorch and ONNX Runtime for uint8 frames: (N, H, W, 3) float, 0 to 255."""
    height, width = frames.shape[1:3]
    more = {} if weights is None else {WEIGHTS: weights}
    if layout == "nhwc-uint8":
        (got,) = session.run(None, {FRAMES: frames, **more})
        expected = Uint8Wrapper(network)(torch.from_numpy(_enlarged(frames, network))).numpy()
        return expected[:, :height, :width].astype(np.float32), got.astype(np.float32)
    (got,) = session.run(None, {FRAMES: to_floats(frames), **more})
    expected = network(torch.from_numpy(to_floats(_enlarged(frames, network)))).numpy()
    pair = [255 * x[..., :height, :width].clip(0, 1).transpose(0, 2, 3, 1) for x in (expected, got)]
    return pair[0], pair[1]


def to_floats(frames: np.ndarray) -> np.ndarray:
    """(N, H, W, 3) uint8 as (N, 3, H, W) float32 in [0, 1]."""
    return np.ascontiguousarray(frames.transpose(0, 3, 1, 2), np.float32) / 255


def _enlarged(frames: np.ndarray, network: nn.Module) -> np.ndarray:
    """Repeat the last row and column up to the size that reflection needs, as engines do."""
    if isinstance(network, StrokeNet):  # which does so at the size at which it paints
        return frames
    assert isinstance(network, StyleNetwork)
    smallest = network.MARGIN + network.STRIDE
    lack = [max(0, smallest - side) for side in frames.shape[1:3]]
    return np.pad(frames, ((0, 0), (0, lack[0]), (0, lack[1]), (0, 0)), mode="edge")
