"""Quantizes the convolutions of an exported graph to int8, in QDQ form."""

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
    """`model` with int8 weights, a scale for each channel, and int8 inputs of its convolutions.

    frames: a dozen typical inputs of the graph, to measure ranges. symmetric: no zero points, as
        TensorRT requires; with zero points a CPU takes three quarters of the time.
    Instance norms stay in float between int8 convolutions: folded into the weights they would
    apply the statistics of the calibration to every picture. The first three convolutions and the
    last stay in float as well: what the first ones lose, all others repeat (3 to 7 dB, for a
    twelfth of the work). This reaches 36 to 46 dB on rendered and random frames (the styles of the
    package; 30 are required).
    """
    convolutions = [node.name for node in model.graph.node if node.op_type == "Conv"]
    with tempfile.TemporaryDirectory() as folder, _quiet():
        path = Path(folder) / "int8.onnx"
        quantize_static(
            copy.deepcopy(model),  # quantize_static changes it
            path,
            _Reader(frames),
            quant_format=QuantFormat.QDQ,
            op_types_to_quantize=["Conv"],
            nodes_to_exclude=[*convolutions[:3], convolutions[-1]],
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
    """Silence ONNX Runtime's advice to simplify the graph first, which does not apply here."""
    before = logging.root.manager.disable
    logging.disable(max(before, logging.WARNING))
    try:
        yield
    finally:
        logging.disable(before)
