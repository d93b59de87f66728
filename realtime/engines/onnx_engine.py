"""ONNX Runtime as an engine on the CPU. It works without loading PyTorch."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from impasto.models import architectures
from impasto.models.fast.norm_statistics import NormStatistics, initial_statistics
from impasto.models.styles import StyleWeights, build_network, weights_of
from impasto.realtime.cpu import computing_threads
from impasto.realtime.engines.base import Engine
from impasto.realtime.frame import ColorTags

if TYPE_CHECKING:
    from torch import nn

    from impasto.export.spec import NormMode


class OnnxEngine(Engine):
    """ONNX Runtime on the CPU, in float32.

    Frozen statistics are inputs of the graph, applied after the convolutions: 18 ms at 640x360,
    where instance norm takes 21. Folded into the weights it would be 14, but then every update of
    the statistics would need a new session (20 ms). Folded whenever the graph runs, as on GPUs, it
    takes 37 where this takes 28 (another machine): weights that are not constant cannot be packed
    in advance.

    network: the weights of a `TransformNet`; or a network, which needs PyTorch.
    color: of the yuv420p frames that it gives (see `Engine.for_yuv420`); None: RGB.
    """

    name, device, precision = "onnxruntime", "cpu", "fp32"

    def __init__(
        self, network: nn.Module | StyleWeights, *, color: ColorTags | None = None
    ) -> None:
        super().__init__(min_size=architectures.MARGIN + architectures.STRIDE)
        self.color = color
        self.replace(network)
        self.has_running_statistics = isinstance(self.network, StyleWeights)
        if self.has_running_statistics:
            self.output_formats = frozenset({"rgb24", "yuv420p"})
            assert isinstance(self.network, StyleWeights)
            channels = architectures.count_normed_channels(self.network.architecture)
            self._initial_statistics = initial_statistics(channels)

    def replace(self, network: nn.Module | StyleWeights) -> None:
        self.network = as_weights(network)
        self._sessions: dict[tuple[object, ...], Any] = {}

    def _for_yuv420(self, color: ColorTags) -> Engine:
        return OnnxEngine(self.network, color=color)

    def _session(self, norm_mode: NormMode, shape: tuple[int, ...]) -> Any:
        """The session of a norm mode, for frames of any shape.

        Opened when first needed: a video needs no "instance".
        """
        if (norm_mode,) not in self._sessions:
            graph = graph_of(self.network, norm_mode, self.color)
            self._sessions[norm_mode,] = _opened(graph)
        return self._sessions[norm_mode,]

    def _run(self, norm_mode: NormMode, frames: np.ndarray, **given: Any) -> list[np.ndarray]:
        given["frames"] = frames
        inputs = {name: np.asarray(x, order="C") for name, x in given.items()}
        return self._session(norm_mode, frames.shape).run(None, inputs)

    def _stylize_instance(self, frames: np.ndarray) -> np.ndarray:
        return self._run("instance", frames)[0]

    def _stylize_frozen(self, frames: np.ndarray, statistics: NormStatistics) -> np.ndarray:
        return self._run("frozen", frames, **statistics._asdict())[0]

    def _stylize_running(
        self, frame: np.ndarray, statistics: NormStatistics, momentum: float
    ) -> tuple[np.ndarray, NormStatistics]:
        given = {"weight": np.float32(momentum), **statistics._asdict()}
        stylized, *new = self._run("running", frame, **given)
        return stylized, NormStatistics(*new)


def _opened(model: bytes) -> Any:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    # Set explicitly, since threads it counts itself are pinned to cores, where other stages run.
    options.intra_op_num_threads = computing_threads()
    # Idle threads may not spin: what PyTorch, the decoder or the encoder does next would take up to
    # six times as long (measured with two cores), and ONNX Runtime itself gains nothing.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    onnxruntime.set_default_logger_severity(4)
    return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])


def as_weights(network: nn.Module | StyleWeights) -> nn.Module | StyleWeights:
    """The weights of a TransformNet, which has running statistics; the classic network itself."""
    if isinstance(network, StyleWeights):
        has_statistics = network.architecture in architectures.ARCHITECTURES
        return network if has_statistics else build_network(network)
    is_ours = type(network).__name__ == "TransformNet"  # by name: PyTorch may not be loaded
    return weights_of(network) if is_ours else network  # type: ignore[arg-type]


def graph_of(
    network: nn.Module | StyleWeights, norm_mode: NormMode, color: ColorTags | None = None
) -> bytes:
    """The ONNX graph of what `as_weights` returns; from RGB to RGB, or to yuv420p of `color`."""
    from impasto.export.graphs.rgb_to_yuv import yuv420_weights

    yuv420 = None if color is None else yuv420_weights(color.matrix, color.full_range)
    if isinstance(network, StyleWeights):
        from impasto.export.graphs.templates import fill_template

        return fill_template(network, norm_mode, yuv420=yuv420)
    from impasto.export.graphs.portable import build_portable_model

    return build_portable_model(network).SerializeToString()
