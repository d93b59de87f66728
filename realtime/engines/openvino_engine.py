"""OpenVINO as an engine, on the CPU. PyTorch is not loaded for it."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import openvino

from impasto.export.graphs import openvino as openvino_graph
from impasto.export.graphs import packing
from impasto.export.spec import NormMode
from impasto.models import architectures
from impasto.models.errors import EngineError
from impasto.models.fast.norm_statistics import NormStatistics, initial_statistics
from impasto.models.styles import Weights
from impasto.realtime.engines.base import Engine
from impasto.realtime.engines.onnx_engine import as_weights, graph_of
from impasto.realtime.frame import ColorTags

if TYPE_CHECKING:
    from torch import nn

_HINTS = {"bf16": "bf16", "fp32": "f32"}
_KINDS: tuple[NormMode, ...] = ("instance", "frozen", "running")
_SHAPES_KEPT = 4  # graphs are compiled for one size of frame
_sharing = threading.local()  # whether a thread has all of the cores, or shares them


class OpenVinoEngine(Engine):
    """OpenVINO on the CPU, in bf16 where that is native, else in float32; int8 where asked for.

    A frame is one call, so nothing waits for Python between layers. Graphs are compiled for one
    size of frame, in 0.1 to 0.4 s: for frames of any size it takes twice as long to paint them.
    Statistics folded into the weights as constants gain nothing over those given as inputs.

    network: the weights of a network of ours; or a network, for which PyTorch is there already.
    color: of the yuv420p frames that it gives (see `Engine.for_yuv420`); None: RGB.
    """

    name, device = "openvino", "cpu"

    def __init__(
        self,
        network: nn.Module | Weights,
        *,
        precision: str = "auto",
        color: ColorTags | None = None,
    ) -> None:
        super().__init__(min_size=architectures.MARGIN + architectures.STRIDE)
        self._core = openvino.Core()
        self.precision = _native(self._core, precision)
        self._floats = _native(self._core, "auto") if precision == "int8" else self.precision
        self.color = color
        self.replace(network)
        self.has_running_statistics = isinstance(self.network, Weights)
        if self.has_running_statistics:
            self.output_formats = frozenset({"rgb24", "yuv420p"})
            self.concurrency = 3  # it queues requests without Python: +5 % file to file
            self._initial_statistics = initial_statistics(self._graphs.norms)

    def replace(self, network: nn.Module | Weights) -> None:
        self.network = network = as_weights(network)
        self._graphs: _Graphs
        if self.precision == "bf16" and isinstance(network, Weights):
            self._graphs = _PackedGraphs(network, self.color)
        else:
            self._graphs = _ByteGraphs(self._core, network, self.color, self.precision == "int8")
        self._compiled = {kind: _Compiled() for kind in _KINDS}
        self._threads = threading.local()  # each with requests of its own, for it runs one at once

    def _for_yuv420(self, color: ColorTags) -> Engine:
        return OpenVinoEngine(self.network, precision=self.precision, color=color)

    def limit_threads(self) -> None:
        _sharing.streams = 2  # of this thread, whatever engine it calls

    def warm_up(self, height: int, width: int) -> None:
        for kind in ("frozen", "running") if self.has_running_statistics else ("instance",):
            self._request(kind, self._graphs.shape(height, width))

    def _stylize_instance(self, frames: np.ndarray) -> np.ndarray:
        if not self.has_running_statistics:
            return np.concatenate([self._run("instance", frame)[0] for frame in frames])
        return super()._stylize_instance(frames)

    def _stylize_frozen(self, frames: np.ndarray, statistics: NormStatistics) -> np.ndarray:
        """Frame by frame: on a CPU several at once take as long as one after the other."""
        painted = [self._run("frozen", frame, **statistics._asdict())[0] for frame in frames]
        return painted[0] if len(painted) == 1 else np.concatenate(painted)

    def _stylize_running(
        self, frame: np.ndarray, statistics: NormStatistics, momentum: float
    ) -> tuple[np.ndarray, NormStatistics]:
        given = {"weight": np.float32(momentum), **statistics._asdict()}
        stylized, *renewed = self._run("running", frame[0], **given)
        return stylized, NormStatistics(*renewed)

    def _run(self, kind: NormMode, frame: np.ndarray, **given: Any) -> list[np.ndarray]:
        """One frame, as (1, ...), and what else the graph gives."""
        request = self._request(kind, self._graphs.shape(*frame.shape[:2]))
        self._graphs.read(frame, request.get_tensor("frames").data)
        inputs = {name: np.asarray(value, order="C") for name, value in given.items()}
        painted, *rest = request.infer(inputs).values()
        return [self._graphs.give(painted, frame.shape[0], frame.shape[1])[None], *rest]

    def _request(self, kind: NormMode, shape: tuple[int, ...]) -> Any:
        """This thread's own, of the graph for this shape."""
        streams = getattr(_sharing, "streams", 1)
        key = (kind, shape, streams)
        requests = self._threads.__dict__.setdefault("requests", {})
        if key not in requests:
            if len(requests) >= 2 * _SHAPES_KEPT:
                requests.pop(next(iter(requests)))
            requests[key] = self._graph_for(kind, shape, streams).create_infer_request()
        return requests[key]

    def _graph_for(self, kind: NormMode, shape: tuple[int, ...], streams: int) -> Any:
        """Compiled when first asked for; `streams` frames at once share the cores."""
        kept = self._compiled[kind]
        with kept.lock:
            if (shape, streams) not in kept.graphs:
                if len(kept.graphs) >= _SHAPES_KEPT:
                    kept.graphs.pop(next(iter(kept.graphs)))
                kept.graphs[shape, streams] = self._compile(kind, shape, streams)
            return kept.graphs[shape, streams]

    def _compile(self, kind: NormMode, shape: tuple[int, ...], streams: int) -> Any:
        hints = {
            "INFERENCE_PRECISION_HINT": _HINTS[self._floats],
            "NUM_STREAMS": streams,
            "ENABLE_CPU_PINNING": False,  # decoder and encoder work on the same cores
        }
        return self._core.compile_model(self._graphs.model(kind, shape), "CPU", hints)


class _Compiled:
    """Graphs of one kind, by shape and streams; with a lock of their own, since the first two
    frames of a film compile one of each kind, at once."""

    def __init__(self) -> None:
        self.graphs: dict[tuple[tuple[int, ...], int], Any] = {}
        self.lock = threading.Lock()


class _Graphs(Protocol):
    """A network as graphs, and the pictures that they read and give."""

    norms: int  # channels whose statistics are carried

    def model(self, kind: NormMode, shape: tuple[int, ...]) -> openvino.Model:
        """That reads `shape`."""
        ...

    def shape(self, height: int, width: int) -> tuple[int, ...]:
        """Of a picture as the graph reads it."""
        ...

    def read(self, picture: np.ndarray, out: np.ndarray) -> None:
        """Fill what the graph reads, which saves new memory for each picture."""
        ...

    def give(self, painted: np.ndarray, height: int, width: int) -> np.ndarray:
        """What the graph gave, as a frame of this size."""
        ...


class _ByteGraphs:
    """The graphs that ONNX Runtime has too: for float32, bytes, and networks not ours."""

    def __init__(
        self, core: Any, network: nn.Module | Weights, color: ColorTags | None, int8: bool
    ) -> None:
        ours = isinstance(network, Weights)
        kinds: list[NormMode] = ["frozen", "running"] if ours else ["instance"]
        graphs = {kind: graph_of(network, kind, color) for kind in kinds}
        if int8 and not ours:
            raise EngineError("int8 is for our own networks here; use --precision auto")
        if int8:
            from impasto.export.graphs.int8 import calibrate, quantize_convolutions

            ranges = calibrate(graph_of(network, "instance"))
            graphs = {kind: quantize_convolutions(graph, ranges) for kind, graph in graphs.items()}
        self._models = {kind: core.read_model(graph) for kind, graph in graphs.items()}
        if ours:
            for model in self._models.values():
                openvino_graph.fold_upsampling(model)
        self.norms = self._models["running"].input("mean").shape[0] if ours else 0

    def model(self, kind: NormMode, shape: tuple[int, ...]) -> openvino.Model:
        model = self._models[kind].clone()
        model.reshape({"frames": list(shape)})
        return model

    def shape(self, height: int, width: int) -> tuple[int, ...]:
        return 1, height, width, 3

    def read(self, picture: np.ndarray, out: np.ndarray) -> None:
        out[0] = picture

    def give(self, painted: np.ndarray, height: int, width: int) -> np.ndarray:
        return painted[0]


class _PackedGraphs:
    """Those of `openvino_graph`: with AMX 3.6 ms a frame where the others take 5.5 (640x360).

    In float32 they would lose, for they multiply by zeros.
    """

    def __init__(self, weights: Weights, color: ColorTags | None) -> None:
        self._weights, self._color = weights, color
        self.norms = openvino_graph.count_normed_channels(weights)

    def model(self, kind: NormMode, shape: tuple[int, ...]) -> openvino.Model:
        color = None if self._color is None else (self._color.matrix, self._color.full_range)
        return openvino_graph.build_openvino_model(self._weights, shape, color, kind)

    def shape(self, height: int, width: int) -> tuple[int, ...]:
        return packing.padded_shape(height, width)

    def read(self, picture: np.ndarray, out: np.ndarray) -> None:
        packing.reflect_pad(picture, out)

    def give(self, painted: np.ndarray, height: int, width: int) -> np.ndarray:
        unpack = packing.unpack_rgb if self._color is None else packing.unpack_yuv420
        return unpack(painted, height, width)


def _native(core: Any, wanted: str) -> str:
    """`wanted`, or for "auto" the fastest that is exact. Raises EngineError for what is not native.

    int8 is faster still, but has to be asked for: it shows in single pixels.
    """
    capable = core.get_property("CPU", "OPTIMIZATION_CAPABILITIES")
    here = [name for name in ("bf16", "fp32", "int8") if name.upper() in capable]
    if wanted == "auto":
        return here[0]
    if wanted not in here:
        raise EngineError(f"this cpu does not compute in {wanted}; it does in {' and '.join(here)}")
    return wanted
