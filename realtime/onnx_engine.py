"""ONNX Runtime as an engine, on the CPU or a CUDA device. PyTorch is not loaded for it."""

from __future__ import annotations

import os
from functools import cached_property
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from models import forms
from models.errors import EngineError
from models.styles import Weights
from realtime.engines import Engine

if TYPE_CHECKING:
    from torch import nn

    from export.templates import Statistics


class Norms(NamedTuple):
    """Mean and variance of every channel that is normed: (C,) float32."""

    mean: np.ndarray
    variance: np.ndarray


class OnnxEngine(Engine):
    """ONNX Runtime on the CPU or a CUDA device, in float32.

    Carried statistics are inputs here, applied beside the convolutions: 18 ms at 640x360 where
    those of each frame take 21. Folded into the weights it would be 14, but then every refresh
    would need a new session (20 ms; seconds on a GPU).

    network: the weights of a network of ours; or a network, for which PyTorch is there already.
    """

    name, precision = "onnxruntime", "fp32"

    def __init__(self, network: nn.Module | Weights, *, device: str = "cpu") -> None:
        super().__init__(smallest=forms.MARGIN + forms.STRIDE)
        self.device = device
        self.network = network
        self.carries = isinstance(network, Weights) or type(network).__name__ == "TransformNet"
        if self.carries:
            (channels,) = self._renewed.get_inputs()[1].shape  # and is there a provider?
            self._start = Norms(np.zeros(channels, np.float32), np.ones(channels, np.float32))

    def replace(self, network: nn.Module | Weights) -> None:
        self.network = network
        for session in ("_own", "_carried", "_renewed"):
            self.__dict__.pop(session, None)

    # Made when first needed: a film does without the first, a picture without the others.

    @cached_property
    def _own(self) -> Any:
        return _session(self.network, "own", self.device)

    @cached_property
    def _carried(self) -> Any:
        return _session(self.network, "carried", self.device)

    @cached_property
    def _renewed(self) -> Any:
        return _session(self.network, "renewed", self.device)

    def _stylize(self, frames: np.ndarray) -> np.ndarray:
        return _run(self._own, frames=frames)[0]

    def _carry(self, frames: np.ndarray, statistics: Norms) -> np.ndarray:
        return _run(self._carried, frames=frames, **statistics._asdict())[0]

    def _refresh(
        self, frame: np.ndarray, statistics: Norms, weight: float
    ) -> tuple[np.ndarray, Norms]:
        stylized, *renewed = _run(
            self._renewed, frames=frame, weight=np.float32(weight), **statistics._asdict()
        )
        return stylized, Norms(*renewed)


def _run(session: Any, **inputs: Any) -> list[np.ndarray]:
    return session.run(None, {name: np.asarray(x, order="C") for name, x in inputs.items()})


def _session(network: nn.Module | Weights, statistics: Statistics, device: str) -> Any:
    """A session that runs where it was told to. ONNX Runtime itself would fall back in silence."""
    import onnxruntime

    provider = {"cpu": "CPUExecutionProvider", "cuda": "CUDAExecutionProvider"}[device]
    options = onnxruntime.SessionOptions()
    # Said outright, since threads it counts itself it also pins to cores, where other stages run.
    options.intra_op_num_threads = int(os.environ.get("OMP_NUM_THREADS", 0)) or os.cpu_count() or 1
    # Nor may idle threads spin: what PyTorch, the decoder or the encoder does next would take up to
    # six times as long (measured with two cores), and ONNX Runtime itself gains nothing.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    onnxruntime.set_default_logger_severity(4)  # a provider that fails is told below, in one line
    if provider in onnxruntime.get_available_providers():
        if device == "cuda":
            onnxruntime.preload_dlls()  # CUDA and cuDNN as PyTorch's own wheels bring them
        model = graph_of(network, statistics)
        session = onnxruntime.InferenceSession(model, options, providers=[provider])
        if provider in session.get_providers():
            return session
    raise EngineError(
        f"ONNX Runtime has no working {provider} here; install onnxruntime-gpu with the CUDA and "
        "cuDNN that it names, or use --engine torch"
    )


def graph_of(network: nn.Module | Weights, statistics: Statistics) -> bytes:
    """The ONNX graph of a network."""
    if isinstance(network, Weights):
        from export.templates import filled

        return filled(network, statistics)
    from export.onnx_graph import build_model

    return build_model(network, statistics).SerializeToString()
