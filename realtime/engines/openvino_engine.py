"""OpenVINO as an engine on the CPU, an Intel GPU or NPU. It works without loading PyTorch."""

from __future__ import annotations

import threading
from contextlib import nullcontext, suppress
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import openvino

from impasto.export.graphs import openvino as openvino_graph
from impasto.export.graphs import packing
from impasto.export.graphs.calibration import calibrate
from impasto.export.spec import NormMode
from impasto.models import architectures
from impasto.models.errors import EngineError, first_line
from impasto.models.fast.norm_statistics import NormStatistics, initial_statistics
from impasto.models.styles import StyleWeights
from impasto.realtime.cpu import cores
from impasto.realtime.engines import compile_cache
from impasto.realtime.engines.base import Engine, choose_precision
from impasto.realtime.engines.onnx_engine import as_weights, graph_of
from impasto.realtime.frame import ColorTags

if TYPE_CHECKING:
    from torch import nn

_HINTS = {"bf16": "bf16", "fp32": "f32", "fp16": "f16"}
_NORM_MODES: tuple[NormMode, ...] = ("instance", "frozen", "running")
_MAX_SHAPES = 4  # graphs are compiled for one frame size
_FLAT = (0.5 / 255) ** 2  # variance: half a level; with noise of one level, int8 has 48 dB
_thread_options = threading.local()  # `streams`: 2 where a thread may use half of the cores


class OpenVinoEngine(Engine):
    """OpenVINO on the CPU, in bf16 where that is native, else in float32; int8 only on request.

    A frame is one call, so nothing waits for Python between layers. Graphs are compiled for one
    frame size, in 0.1 to 0.4 s, and kept on disk, from where they load in a third of that: a graph
    for any size takes twice as long a frame. Statistics folded into the weights as constants gain
    nothing over those given as inputs.

    int8 paints like float (42 to 53 dB on photographs and noise) except flat pictures: norms
    divide by their deviation, which is nearly 0. These are painted in float.

    A GPU computes in float16 or float32, an NPU in float16.

    network: the weights of a `TransformNet`; or a network, which needs PyTorch.
    device: "cpu", "gpu" or "npu". color: of the yuv420p frames that it gives (see
    `Engine.for_yuv420`); None: RGB.
    """

    name = "openvino"

    def __init__(
        self,
        network: nn.Module | StyleWeights,
        *,
        device: str = "cpu",
        precision: str = "auto",
        color: ColorTags | None = None,
    ) -> None:
        super().__init__(min_size=architectures.MARGIN + architectures.STRIDE)
        self._core = openvino.Core()
        self.device = device
        self.precision = _resolve_precision(self._core, device, precision)
        self._float_precision = self.precision
        if precision == "int8":
            self._float_precision = _resolve_precision(self._core, device, "auto")
        self.color = color
        self.replace(network)
        self.has_running_statistics = isinstance(self.network, StyleWeights)
        if self.has_running_statistics:
            self.output_formats = frozenset({"rgb24", "yuv420p"})
            self.concurrency = 3  # it queues requests without Python: +5 % file to file
            assert isinstance(self.network, StyleWeights)
            channels = architectures.count_normed_channels(self.network.architecture)
            self._initial_statistics = initial_statistics(channels)

    def replace(self, network: nn.Module | StyleWeights) -> None:
        self.network = network = as_weights(network)
        int8 = self.precision == "int8"
        self._graphs: _Graphs
        if (
            self.precision in ("bf16", "int8")
            and isinstance(network, StyleWeights)
            and network.architecture in openvino_graph.PACKED
        ):
            self._graphs = _PackedGraphs(network, self.color, int8)
        else:
            self._graphs = _OnnxGraphs(self._core, network, self.color, int8)
        self._update_lock, self._exact_lock = threading.Lock(), threading.Lock()
        self.release()

    def release(self) -> None:
        """Free the compiled graphs. Not while another thread is using the engine."""
        self._compiled = {mode: _CompiledGraphs() for mode in _NORM_MODES}
        self._threads = threading.local()  # requests: each runs one inference at a time
        self._update_requests: dict[Any, Any] = {}
        self._exact: OpenVinoEngine | None = None

    @property
    def exact(self) -> OpenVinoEngine:
        """This engine in float; itself, where it is in float."""
        if self.precision != "int8":
            return self
        with self._exact_lock:
            if self._exact is None:
                self._exact = OpenVinoEngine(
                    self.network, precision=self._float_precision, color=self.color
                )
            return self._exact

    def _for_yuv420(self, color: ColorTags) -> Engine:
        return OpenVinoEngine(
            self.network, device=self.device, precision=self.precision, color=color
        )

    def limit_threads(self) -> None:
        _thread_options.streams = 2  # of this thread, for all engines

    def warm_up(self, height: int, width: int, *, first_frame: bool = False) -> None:
        modes: tuple[NormMode, ...] = ("running", "frozen")
        if not self.has_running_statistics:
            modes = ("instance",)
        for norm_mode in modes[: 1 if first_frame else None]:
            self._request(norm_mode, self._graphs.input_shape(height, width))

    def _stylize_instance(self, frames: np.ndarray) -> np.ndarray:
        if not self.has_running_statistics:
            return np.concatenate([self._run("instance", frame)[0] for frame in frames])
        return super()._stylize_instance(frames)

    def _stylize_frozen(self, frames: np.ndarray, statistics: NormStatistics) -> np.ndarray:
        """Frame by frame: on a CPU several at once take as long as one after the other."""
        if self._too_flat(statistics):
            return self.exact._stylize_frozen(frames, statistics)
        stylized = [self._run("frozen", frame, **statistics._asdict())[0] for frame in frames]
        return stylized[0] if len(stylized) == 1 else np.concatenate(stylized)

    def _stylize_running(
        self, frame: np.ndarray, statistics: NormStatistics, momentum: float
    ) -> tuple[np.ndarray, NormStatistics]:
        given = {"weight": np.float32(momentum), **statistics._asdict()}
        stylized, *new = self._run("running", frame[0], **given)
        if self._too_flat(NormStatistics(*new)):
            return self.exact._stylize_running(frame, statistics, momentum)
        return stylized, NormStatistics(*new)

    def _too_flat(self, statistics: NormStatistics) -> bool:
        """Whether int8 would paint the picture of these statistics differently from float."""
        return self.precision == "int8" and float(statistics.variance[:3].max()) < _FLAT

    def _run(self, norm_mode: NormMode, frame: np.ndarray, **given: Any) -> list[np.ndarray]:
        """One stylized frame, as (1, ...), and the graph's other outputs.

        Updates of the statistics come one after the other, so one request is enough for all
        threads: each more would take 60 MB at 1920x1080.
        """
        with self._update_lock if norm_mode == "running" else nullcontext():
            request = self._request(norm_mode, self._graphs.input_shape(*frame.shape[:2]))
            self._graphs.write_input(frame, request.get_tensor("frames").data)
            inputs = {name: np.asarray(value, order="C") for name, value in given.items()}
            output, *rest = request.infer(inputs).values()
            return [self._graphs.read_output(output, frame.shape[0], frame.shape[1])[None], *rest]

    def _request(self, norm_mode: NormMode, shape: tuple[int, ...]) -> Any:
        """An infer request for the graph of this shape: this thread's, or that of all updates."""
        streams = getattr(_thread_options, "streams", 1) if self.device == "cpu" else 1
        key = (norm_mode, shape, streams)
        requests = self._update_requests
        if norm_mode != "running":
            requests = self._threads.__dict__.setdefault("requests", {})
        if key not in requests:
            if len(requests) >= 2 * _MAX_SHAPES:
                requests.pop(next(iter(requests)))
            requests[key] = self._graph_for(norm_mode, shape, streams).create_infer_request()
        return requests[key]

    def _graph_for(self, norm_mode: NormMode, shape: tuple[int, ...], streams: int) -> Any:
        """The graph, compiled at the first call; `streams` frames at once share the cores."""
        kept = self._compiled[norm_mode]
        with kept.lock:
            if (shape, streams) not in kept.graphs:
                if len(kept.graphs) >= _MAX_SHAPES:
                    kept.graphs.pop(next(iter(kept.graphs)))
                kept.graphs[shape, streams] = self._compile(norm_mode, shape, streams)
            return kept.graphs[shape, streams]

    def _compile(self, norm_mode: NormMode, shape: tuple[int, ...], streams: int) -> Any:
        name = self.device.upper()
        hints = {
            "INFERENCE_PRECISION_HINT": _HINTS[self._float_precision],
            "NUM_STREAMS": streams,
            "ENABLE_CPU_PINNING": False,  # decoder and encoder work on the same cores
        }
        if norm_mode == "running" and streams > 1:  # one at a time, with the threads of a stream
            hints |= {"NUM_STREAMS": 1, "INFERENCE_NUM_THREADS": max(1, cores() // streams)}
        if name != "CPU":  # some NPUs take no precision, as they have but one
            known = self._core.get_property(name, "SUPPORTED_PROPERTIES")
            hints = {key: value for key, value in hints.items() if key in known}
        model = self._graphs.model(norm_mode, shape)
        folder = compile_cache.folder()
        if folder is not None:
            lock = compile_cache.lock(folder, norm_mode, shape, hints)
            # OSError, RuntimeError: the disk is full, for one.
            with suppress(OSError, RuntimeError), lock, compile_cache.same_locale():
                return self._core.compile_model(model, name, hints | {"CACHE_DIR": str(folder)})
        with compile_cache.same_locale():
            return self._core.compile_model(model, name, hints)


class _CompiledGraphs:
    """Graphs of one norm mode, by shape and streams, with a lock: the first two frames of a video
    compile one of each mode at the same time."""

    def __init__(self) -> None:
        self.graphs: dict[tuple[tuple[int, ...], int], Any] = {}
        self.lock = threading.Lock()


class _Graphs(Protocol):
    """A network as graphs of OpenVINO, and the conversion of frames for them."""

    def model(self, norm_mode: NormMode, shape: tuple[int, ...]) -> openvino.Model:
        """The graph for inputs of `shape`."""
        ...

    def input_shape(self, height: int, width: int) -> tuple[int, ...]:
        """The shape of the input for a frame of this size."""
        ...

    def write_input(self, frame: np.ndarray, out: np.ndarray) -> None:
        """Write a frame to the input tensor, without allocating memory."""
        ...

    def read_output(self, output: np.ndarray, height: int, width: int) -> np.ndarray:
        """The output tensor as a frame of this size."""
        ...


class _OnnxGraphs:
    """The graphs of ONNX Runtime: for float32, int8, and networks without running statistics."""

    def __init__(
        self, core: Any, network: nn.Module | StyleWeights, color: ColorTags | None, int8: bool
    ) -> None:
        is_known = isinstance(network, StyleWeights)
        norm_modes: list[NormMode] = ["frozen", "running"] if is_known else ["instance"]
        graphs = {mode: graph_of(network, mode, color) for mode in norm_modes}
        if int8 and not is_known:
            raise EngineError("int8 is for the package's own networks; use --precision auto")
        if int8:
            from impasto.export.graphs.int8 import quantize_convolutions

            assert isinstance(network, StyleWeights)
            ranges = calibrate(network)
            graphs = {mode: quantize_convolutions(graph, ranges) for mode, graph in graphs.items()}
        with compile_cache.same_locale():
            self._models = {mode: core.read_model(graph) for mode, graph in graphs.items()}
        if is_known:
            for model in self._models.values():
                openvino_graph.fold_upsampling(model)

    def model(self, norm_mode: NormMode, shape: tuple[int, ...]) -> openvino.Model:
        model = self._models[norm_mode].clone()
        model.reshape({"frames": list(shape)})
        return model

    def input_shape(self, height: int, width: int) -> tuple[int, ...]:
        return 1, height, width, 3

    def write_input(self, frame: np.ndarray, out: np.ndarray) -> None:
        out[0] = frame

    def read_output(self, output: np.ndarray, height: int, width: int) -> np.ndarray:
        return output[0]


class _PackedGraphs:
    """The graphs of `export.graphs.openvino`: with AMX 3.6 ms a frame, the others 5.5 (640x360).

    In int8, with VNNI a frame takes 22 to 27 % less processor time, with AVX2 8 %. In float32 they
    would be slower, as they multiply by zeros.
    """

    def __init__(self, weights: StyleWeights, color: ColorTags | None, int8: bool) -> None:
        self._weights, self._color = weights, color
        self._ranges = calibrate(weights) if int8 else None

    def model(self, norm_mode: NormMode, shape: tuple[int, ...]) -> openvino.Model:
        color = None if self._color is None else (self._color.matrix, self._color.full_range)
        return openvino_graph.build_openvino_model(
            self._weights, shape, color, norm_mode, self._ranges
        )

    def input_shape(self, height: int, width: int) -> tuple[int, ...]:
        return packing.padded_shape(height, width)

    def write_input(self, frame: np.ndarray, out: np.ndarray) -> None:
        packing.reflect_pad(frame, out)

    def read_output(self, output: np.ndarray, height: int, width: int) -> np.ndarray:
        unpack = packing.unpack_rgb if self._color is None else packing.unpack_yuv420
        return unpack(output, height, width)


def _resolve_precision(core: Any, device: str, precision: str) -> str:
    """`precision`, or for "auto" the fastest exact one. Raises EngineError if it is not native.

    int8 is faster still, but has to be compared with an exact one: see `select`.
    """
    try:
        capable = core.get_property(device.upper(), "OPTIMIZATION_CAPABILITIES")
    except RuntimeError as error:
        raise EngineError(f"OpenVINO cannot use {device}: {first_line(error)}") from error
    names = ("bf16", "fp32", "int8") if device == "cpu" else ("fp16", "fp32")
    native = [name for name in names if name.upper() in capable]
    return choose_precision(precision, native, engine="OpenVINO", device=device)
