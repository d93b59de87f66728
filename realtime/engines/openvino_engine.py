"""OpenVINO as an engine, on the CPU. PyTorch is not loaded for it."""

from __future__ import annotations

import threading
from collections import defaultdict
from typing import TYPE_CHECKING, Any

import numpy as np
import openvino

from models import forms
from models.errors import EngineError
from models.styles import Weights
from realtime.engines.engine import Engine
from realtime.engines.onnx_engine import Norms, as_rgb, graph_of, is_ours
from realtime.frame import ColorTags

if TYPE_CHECKING:
    from torch import nn

    from export.contract import NormStatistics

_HINTS = {"bf16": "bf16", "fp32": "f32"}
_SHAPES_KEPT = 4  # compiled graphs; each is for one size of frame
_sharing = threading.local()  # whether a thread has all of the cores, or shares them


class OpenVinoEngine(Engine):
    """OpenVINO on the CPU, in bf16 where that is native, else in float32; int8 where asked for.

    A frame is one call, so nothing waits for Python between layers. Graphs are compiled for one
    size of frame, in 0.1 to 0.4 s: for frames of any size it takes twice as long to paint them.
    Statistics folded into the weights as constants gain nothing over those given as inputs.

    network: the weights of a network of ours; or a network, for which PyTorch is there already.
    color: frames are planes of these colours (see `Engine.for_planes`); None: RGB.
    """

    name, device = "openvino", "cpu"
    callers = 3  # it queues what waits, and needs no Python to begin it (+5 % file to file)

    def __init__(
        self,
        network: nn.Module | Weights,
        *,
        precision: str = "auto",
        color: ColorTags | None = None,
    ) -> None:
        super().__init__(smallest=forms.MARGIN + forms.STRIDE)
        self._core = openvino.Core()
        self.precision = _native(self._core, precision)
        self._floats = _native(self._core, "auto") if precision == "int8" else self.precision
        if self.precision == "int8" and not is_ours(network):
            raise EngineError("int8 is for our own networks here; use --precision auto")
        self.color = color
        self.carries = self.reads_planes = self.side_by_side = is_ours(network)
        # A lock for each graph: the first two frames compile one each, at once.
        self._compiling: dict[NormStatistics, threading.Lock] = defaultdict(threading.Lock)
        self.replace(network)
        if self.carries:
            (channels,) = self._models["renewed"].input("mean").shape
            self._start = Norms(np.zeros(channels, np.float32), np.ones(channels, np.float32))

    def replace(self, network: nn.Module | Weights) -> None:
        self.network = network
        kinds: list[NormStatistics] = ["own", "carried", "renewed"] if self.carries else ["own"]
        graphs = {kind: graph_of(network, kind, self.color) for kind in kinds}
        if self.precision == "int8":
            from export.int8_graph import checked_ranges, in_eight_bits

            ranges = checked_ranges(graph_of(network, "own"))
            graphs = {kind: in_eight_bits(graph, ranges) for kind, graph in graphs.items()}
        self._models = {kind: self._core.read_model(graph) for kind, graph in graphs.items()}
        self._compiled: dict[tuple[NormStatistics, tuple[int, ...], int], Any] = {}
        self._threads = threading.local()  # each with requests of its own, for it runs one at once

    def for_planes(self, color: ColorTags) -> Engine:
        return OpenVinoEngine(self.network, precision=self.precision, color=color)

    def use_half_the_cores(self) -> None:
        _sharing.streams = 2  # of this thread, whatever engine it calls

    def _stylize(self, frames: np.ndarray) -> np.ndarray:
        return self._each("own", frames)

    def _carry(self, frames: np.ndarray, statistics: Norms) -> np.ndarray:
        return self._each("carried", frames, **statistics._asdict())

    def _refresh(
        self, frame: np.ndarray, statistics: Norms, weight: float
    ) -> tuple[np.ndarray, Norms]:
        frame = as_rgb(frame, self.color)
        request = self._request("renewed", frame.shape)
        given = {"frames": frame, "weight": np.float32(weight), **statistics._asdict()}
        stylized, *renewed = request.infer(_contiguous(given)).values()
        return stylized, Norms(*renewed)

    def _each(self, kind: NormStatistics, frames: np.ndarray, **given: np.ndarray) -> np.ndarray:
        """Frame by frame: on a CPU several at once take as long as one after the other."""
        frames = as_rgb(frames, self.color)
        request = self._request(kind, (1, *frames.shape[1:]))
        painted = [
            next(iter(request.infer(_contiguous({"frames": frame[None], **given})).values()))
            for frame in frames
        ]
        return painted[0] if len(painted) == 1 else np.concatenate(painted)

    def _request(self, kind: NormStatistics, shape: tuple[int, ...]) -> Any:
        """This thread's own, of the graph for this shape."""
        streams = getattr(_sharing, "streams", 1)
        key = (kind, shape, streams)
        requests = self._threads.__dict__.setdefault("requests", {})
        if key not in requests:
            with self._compiling[kind]:
                if key not in self._compiled:
                    self._compiled[key] = self._compile(kind, shape, streams)
                compiled = self._compiled[key]
            if len(requests) >= 3 * _SHAPES_KEPT:
                requests.pop(next(iter(requests)))
            requests[key] = compiled.create_infer_request()
        return requests[key]

    def _compile(self, kind: NormStatistics, shape: tuple[int, ...], streams: int) -> Any:
        """`streams` frames at once share the cores."""
        if len(self._compiled) >= 3 * _SHAPES_KEPT:
            self._compiled.pop(next(iter(self._compiled)))
        model = self._models[kind].clone()
        model.reshape({"frames": list(shape)})
        hints = {
            "INFERENCE_PRECISION_HINT": _HINTS[self._floats],
            "NUM_STREAMS": streams,
            "ENABLE_CPU_PINNING": False,  # decoder and encoder work on the same cores
        }
        return self._core.compile_model(model, "CPU", hints)


def _contiguous(given: dict[str, Any]) -> dict[str, np.ndarray]:
    return {name: np.asarray(value, order="C") for name, value in given.items()}


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
