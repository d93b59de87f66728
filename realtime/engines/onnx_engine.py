"""ONNX Runtime as an engine, on the CPU. PyTorch is not loaded for it."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from models import forms
from models.styles import Weights, weights_of
from realtime.engines.engine import Engine
from realtime.frame import ColorTags
from realtime.pixels import planar_video_frame, to_rgb
from realtime.threads import computing_threads

if TYPE_CHECKING:
    from torch import nn

    from export.contract import NormStatistics


class Norms(NamedTuple):
    """Mean and variance of every channel that is normed: (C,) float32."""

    mean: np.ndarray
    variance: np.ndarray


class OnnxEngine(Engine):
    """ONNX Runtime on the CPU, in float32.

    Carried statistics are inputs here, applied beside the convolutions: 18 ms at 640x360 where
    those of each frame take 21. Folded into the weights it would be 14, but then every refresh
    would need a new session (20 ms). Folded anew whenever the graph runs, as on GPUs, it takes 37
    where this takes 28 (another machine): weights that are no constants cannot be laid out before.

    network: the weights of a network of ours; or a network, for which PyTorch is there already.
    color: frames are planes of these colours (see `Engine.for_planes`); None: RGB.
    """

    name, device, precision = "onnxruntime", "cpu", "fp32"

    def __init__(self, network: nn.Module | Weights, *, color: ColorTags | None = None) -> None:
        super().__init__(smallest=forms.MARGIN + forms.STRIDE)
        self.color, self.network = color, network
        self.carries = self.reads_planes = is_ours(network)
        if self.carries:
            (channels,) = self._renewed.get_inputs()[1].shape
            self._start = Norms(np.zeros(channels, np.float32), np.ones(channels, np.float32))

    def replace(self, network: nn.Module | Weights) -> None:
        self.network = network
        for session in ("_own", "_carried", "_renewed"):
            self.__dict__.pop(session, None)

    def for_planes(self, color: ColorTags) -> Engine:
        return OnnxEngine(self.network, color=color)

    # Made when first needed: a film does without the first, a picture without the others.

    @cached_property
    def _own(self) -> Any:
        return self._session("own")

    @cached_property
    def _carried(self) -> Any:
        return self._session("carried")

    @cached_property
    def _renewed(self) -> Any:
        return self._session("renewed")

    def _session(self, kind: NormStatistics) -> Any:
        return _session(graph_of(self.network, kind, self.color))

    def _stylize(self, frames: np.ndarray) -> np.ndarray:
        return _run(self._own, frames=as_rgb(frames, self.color))[0]

    def _carry(self, frames: np.ndarray, statistics: Norms) -> np.ndarray:
        return _run(self._carried, frames=as_rgb(frames, self.color), **statistics._asdict())[0]

    def _refresh(
        self, frame: np.ndarray, statistics: Norms, weight: float
    ) -> tuple[np.ndarray, Norms]:
        given = {"frames": as_rgb(frame, self.color), "weight": np.float32(weight)}
        stylized, *renewed = _run(self._renewed, **given, **statistics._asdict())
        return stylized, Norms(*renewed)


def _run(session: Any, **inputs: Any) -> list[np.ndarray]:
    return session.run(None, {name: np.asarray(x, order="C") for name, x in inputs.items()})


def _session(model: bytes) -> Any:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    # Said outright, since threads it counts itself it also pins to cores, where other stages run.
    options.intra_op_num_threads = computing_threads()
    # Nor may idle threads spin: what PyTorch, the decoder or the encoder does next would take up to
    # six times as long (measured with two cores), and ONNX Runtime itself gains nothing.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    onnxruntime.set_default_logger_severity(4)
    return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])


def is_ours(network: nn.Module | Weights) -> bool:
    """Whether it is a network whose statistics can be carried."""
    return isinstance(network, Weights) or type(network).__name__ == "TransformNet"


def as_rgb(frames: np.ndarray, color: ColorTags | None) -> np.ndarray:
    """What graphs read: (N, H, W, 3), made of planes where `color` says that these are some."""
    if color is None:
        return frames
    return np.stack([planes_to_rgb(planes, color) for planes in frames])


def planes_to_rgb(planes: np.ndarray, color: ColorTags) -> np.ndarray:
    """(3 H / 2, W) to (H, W, 3), chroma repeated."""
    return to_rgb(planar_video_frame(planes, color), quick=True)


def graph_of(
    network: nn.Module | Weights, statistics: NormStatistics, color: ColorTags | None = None
) -> bytes:
    """The ONNX graph of a network, from RGB to RGB, or to planes of these colours."""
    from export.from_rgb import from_rgb

    planes = None if color is None else from_rgb(color.matrix, color.full_range)
    if isinstance(network, Weights):
        from export.templates import filled

        return filled(network, statistics, planes=planes)
    if is_ours(network):
        weights = weights_of(network)  # type: ignore[arg-type]
        return graph_of(weights, statistics, color)
    from export.onnx_graph import build_model

    return build_model(network, statistics).SerializeToString()
