"""Convolutions in 8 bits: a float graph in QDQ form, its ranges measured on pictures."""

import copy
import logging
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import onnx
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static

from impasto.export.spec import FRAMES


def quantize(
    model: onnx.ModelProto, frames: Iterable[np.ndarray], *, symmetric: bool = False
) -> onnx.ModelProto:
    """`model` with 8-bit weights, a scale for each channel, and 8-bit inputs of its convolutions.

    frames: what the graph's input takes, some dozen, like the pictures to come. symmetric: no zero
        points, as TensorRT wants it; without, the CPU takes three quarters of the time.
    Instance norms stay in float, between convolutions in 8 bits: folded into the weights they
    would have the statistics of the calibration for every picture. So it reaches 34 to 42 dB on
    rendered and random frames (the styles of the package; 30 are asked for). The first and
    last convolutions stay in float too, which is 1 dB.
    """
    ends = [node.name for node in model.graph.node if node.op_type == "Conv"]
    with tempfile.TemporaryDirectory() as folder, _quiet():
        path = Path(folder) / "int8.onnx"
        quantize_static(
            copy.deepcopy(model),  # it is changed on the way
            path,
            _Reader(frames),
            quant_format=QuantFormat.QDQ,
            op_types_to_quantize=["Conv"],
            nodes_to_exclude=[ends[0], ends[-1]],
            per_channel=True,
            activation_type=QuantType.QInt8 if symmetric else QuantType.QUInt8,
            weight_type=QuantType.QInt8,
            extra_options={"ActivationSymmetric": symmetric},
        )
        quantized = onnx.load(path)
    onnx.checker.check_model(quantized, full_check=True)
    return quantized


class _Reader(CalibrationDataReader):
    def __init__(self, frames: Iterable[np.ndarray]) -> None:
        self._frames = iter(frames)

    def get_next(self) -> dict[str, np.ndarray] | None:
        frame = next(self._frames, None)
        return None if frame is None else {FRAMES: frame}


@contextmanager
def _quiet() -> Iterator[None]:
    """Without its advice to simplify the graph first, which ours does not need."""
    before = logging.root.manager.disable
    logging.disable(max(before, logging.WARNING))
    try:
        yield
    finally:
        logging.disable(before)
