"""CUDA graphs: functions of tensors that are captured once for each shape, and then only replayed.

A style network is some fifty small kernels a frame. To launch them one by one from Python takes
longer than a GPU takes to run them.
"""

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

from impasto.models.errors import first_line

Tensors = tuple[Tensor, ...]
# Runs a function once, and records its kernels with their memory: returns what replays them all,
# and the tensors that the results are then in.
Capture = Callable[[Callable[[], Tensors]], tuple[Callable[[], object], Tensors]]

_WARMUP_CALLS = 2  # run eagerly before capture: a shape seen once is not worth a graph
_MAX_SHAPES = 4


class _Graph(NamedTuple):
    """A captured call: what replays it, and where its inputs and outputs are."""

    inputs: Tensors
    replay: Callable[[], object]
    outputs: Tensors


class GraphedFunction:
    """A function that is captured at the third call with inputs of the same shapes.

    function: from tensors on `device` to a tuple of tensors. It may read other tensors too, if
    these stay where they are until `reset` is called. log: called with a line if it cannot be
    captured, and all calls run eagerly. The outputs are overwritten by the next call.
    """

    def __init__(
        self,
        function: Callable[..., Tensors],
        device: str,
        capture: Capture,
        log: Callable[[str], object],
    ) -> None:
        self._function, self._device = function, device
        self._capture, self._log = capture, log
        self._can_capture = True
        self.reset()

    def reset(self) -> None:
        """Drop all graphs, and free their memory; calls are counted from zero."""
        self._graphs: dict[tuple[torch.Size, ...], _Graph] = {}
        self._calls: dict[tuple[torch.Size, ...], int] = {}

    def __call__(self, *inputs: Tensor) -> Tensors:
        """inputs: on the device; or on the host, best in pinned memory."""
        shapes = tuple(x.shape for x in inputs)
        graph = self._graphs.get(shapes)
        if graph is None:
            self._calls[shapes] = calls = self._calls.get(shapes, 0) + 1
            if self._can_capture and calls > _WARMUP_CALLS:
                graph = self._captured(shapes, inputs)
        if graph is None:
            return self._function(*(x.to(self._device, non_blocking=True) for x in inputs))
        for static, x in zip(graph.inputs, inputs, strict=True):
            static.copy_(x, non_blocking=True)
        graph.replay()
        return graph.outputs

    def _captured(self, shapes: tuple[torch.Size, ...], inputs: Tensors) -> _Graph | None:
        static = tuple(torch.empty_like(x, device=self._device, pin_memory=False) for x in inputs)
        for to, x in zip(static, inputs, strict=True):
            to.copy_(x)
        try:
            # On this very thread: cuDNN keeps its choice of algorithms for each thread.
            self._function(*static)
            replay, outputs = self._capture(lambda: self._function(*static))
        except torch.cuda.OutOfMemoryError:
            raise
        except RuntimeError as error:
            self._can_capture = False
            self._log(f"no CUDA graphs in PyTorch: {first_line(error)}")
            return None
        if len(self._graphs) >= _MAX_SHAPES:
            oldest = next(iter(self._graphs))
            del self._graphs[oldest], self._calls[oldest]
        graph = self._graphs[shapes] = _Graph(static, replay, outputs)
        return graph


def cuda_graph(run: Callable[[], Tensors]) -> tuple[Callable[[], object], Tensors]:
    """A `Capture` of the current stream, which must not be the default one."""
    graph = torch.cuda.CUDAGraph()
    stream = torch.cuda.current_stream()
    # "thread_local": a decoder may use the GPU at the same time, from a separate thread.
    with torch.cuda.graph(graph, stream=stream, capture_error_mode="thread_local"):
        outputs = run()
    return graph.replay, outputs
