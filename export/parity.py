"""PyTorch against ONNX Runtime: does an exported graph compute what its network does?"""

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnxruntime
import torch
from torch import nn

from impasto.export.scenes import render
from impasto.export.spec import FRAMES, WEIGHTS, Layout, Precision, Shape
from impasto.models.classic import ClassicNet
from impasto.models.errors import EngineError, ParityError
from impasto.models.fast.uint8_io import EightBit
from impasto.models.transform_net import TransformNet

# Three sizes, since one that was baked into the graph would pass alone: a usual one, one that
# nothing divides, and the smallest, which lies below what reflection needs. One batch and several.
SHAPES: tuple[Shape, ...] = tuple(
    (batch, *size) for size in ((360, 640), (61, 83), (16, 16)) for batch in (1, 3)
)


@dataclass(frozen=True)
class Difference:
    """How far a graph is from its network, in grey levels, on frames of one kind and shape."""

    frames: str  # "rendered" or "random"
    shape: Shape
    max: float
    mean: float
    psnr: float  # dB; infinite where nothing differs
    within_two: float  # share of the pixels with no channel off by more than two levels

    def figures(self) -> dict[str, Any]:
        """For JSON, which knows no infinity: a PSNR of None is one."""
        psnr = self.psnr if math.isfinite(self.psnr) else None
        return {**vars(self), "psnr": psnr}

    def fault(self, precision: Precision) -> str | None:
        """What is beyond the limit of this precision, or None.

        fp32: sums in another order differ by some 1e-5, which rounding can turn into one level and
        no more. fp16: two levels, save for one pixel in a thousand. int8: 30 dB.
        """
        if precision == "fp32" and self.max > 1.001:
            return f"differs by {self.max:.1f} grey levels, where 1 is allowed"
        if precision == "fp16" and self.within_two < 0.999:
            return f"has {1 - self.within_two:.2%} of pixels off by more than 2 grey levels"
        if precision == "int8" and self.psnr < 30:
            return f"comes to {self.psnr:.1f} dB, where 30 are asked for"
        return None


def check_parity(
    network: nn.Module,
    model: bytes,
    *,
    precision: Precision = "fp32",
    layout: Layout = "nhwc-uint8",
    shapes: Iterable[Shape] = SHAPES,
    weights: np.ndarray | None = None,
) -> Iterator[Difference]:
    """Compare `network` with the serialised graph `model`, shape by shape.

    network: float32, on the CPU. weights: the graph's second input, where it mixes styles.
    Raises ParityError at the first difference that `precision` does not allow, and EngineError
    when ONNX Runtime cannot run the graph.
    """
    session = open_session(model)
    for shape in shapes:
        for kind, frames in _frames(shape).items():
            found = _difference(kind, shape, *_both(network, session, frames, layout, weights))
            if fault := found.fault(precision):
                size = "x".join(map(str, shape))
                raise ParityError(f"the {precision} graph {fault}, on {kind} frames of {size}")
            yield found


def rows_of(differences: Iterable[Difference]) -> tuple[tuple[str, ...], list[tuple[str, ...]]]:
    """A table of them: its columns, and its rows."""
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
    options.log_severity_level = 4  # a missing GPU is no news here, and errors are raised
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")  # PyTorch's turn next
    try:
        return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # ONNX Runtime's own classes have no base of their own
        raise EngineError(
            f"ONNX Runtime {onnxruntime.__version__} does not load the graph: {error}"
        ) from None


def _frames(shape: Shape) -> dict[str, np.ndarray]:
    random = np.random.default_rng(0)
    return {
        "rendered": render(*shape),
        "random": random.integers(0, 256, (*shape, 3), np.uint8),
    }


def _difference(kind: str, shape: Shape, expected: np.ndarray, got: np.ndarray) -> Difference:
    """Of pictures (N, H, W, 3) in float grey levels."""
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
    layout: Layout,
    weights: np.ndarray | None,
) -> tuple[np.ndarray, np.ndarray]:
    """What PyTorch and ONNX Runtime make of uint8 frames: (N, H, W, 3), float grey levels."""
    height, width = frames.shape[1:3]
    more = {} if weights is None else {WEIGHTS: weights}
    if layout == "nhwc-uint8":
        (got,) = session.run(None, {FRAMES: frames, **more})
        expected = EightBit(network)(torch.from_numpy(_enlarged(frames, network))).numpy()
        return expected[:, :height, :width].astype(np.float32), got.astype(np.float32)
    (got,) = session.run(None, {FRAMES: to_floats(frames), **more})
    expected = network(torch.from_numpy(to_floats(_enlarged(frames, network)))).numpy()
    pair = [255 * x[..., :height, :width].clip(0, 1).transpose(0, 2, 3, 1) for x in (expected, got)]
    return pair[0], pair[1]


def to_floats(frames: np.ndarray) -> np.ndarray:
    """(N, H, W, 3) uint8 as (N, 3, H, W) float32 in [0, 1]."""
    return np.ascontiguousarray(frames.transpose(0, 3, 1, 2), np.float32) / 255


def _enlarged(frames: np.ndarray, network: nn.Module) -> np.ndarray:
    """With the last row and column repeated up to what reflection needs, as engines do it."""
    assert isinstance(network, TransformNet | ClassicNet)
    smallest = network.MARGIN + network.STRIDE
    lack = [max(0, smallest - side) for side in frames.shape[1:3]]
    return np.pad(frames, ((0, 0), (0, lack[0]), (0, lack[1]), (0, 0)), mode="edge")
