"""Functions of tensors that are recorded once for each shape, and then only replayed: CUDA graphs.

A network of ours is some fifty small kernels a frame. To start them one by one from Python takes
longer than a GPU takes to run them.
"""

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

from impasto.models.errors import first_line

Tensors = tuple[Tensor, ...]
# Runs what it is given once, and remembers every operation with its memory: gives what repeats them
# all, and the tensors in which the results then are.
Capture = Callable[[Callable[[], Tensors]], tuple[Callable[[], object], Tensors]]

_FIRST_CALLS = 2  # of a shape, that run as ever: it may not come again
_SHAPES_KEPT = 4


class Recorded(NamedTuple):
    """What is repeated, and where its inputs and outputs are."""

    inputs: Tensors
    replay: Callable[[], object]
    outputs: Tensors


class Captured:
    """`function`, captured when a shape comes for the third time.

    function: of tensors on `device`; gives a tuple of such. It may read other tensors too, if these
    stay where they are until `forget` is called. complain: is given a line if it can't be captured,
    and everything runs as ever. What a call gives is overwritten by the next call.
    """

    def __init__(
        self,
        function: Callable[..., Tensors],
        device: str,
        capture: Capture,
        complain: Callable[[str], object],
    ) -> None:
        self._function, self._device = function, device
        self._capture, self._complain = capture, complain
        self._works = True
        self.forget()

    def forget(self) -> None:
        """Capture everything anew; frees the memory of what was."""
        self._recorded: dict[tuple[torch.Size, ...], Recorded] = {}
        self._calls: dict[tuple[torch.Size, ...], int] = {}

    def __call__(self, *given: Tensor) -> Tensors:
        """given: on the device; or on the host, best in pinned memory."""
        shapes = tuple(x.shape for x in given)
        recorded = self._recorded.get(shapes)
        if recorded is None:
            self._calls[shapes] = calls = self._calls.get(shapes, 0) + 1
            if self._works and calls > _FIRST_CALLS:
                recorded = self._record(shapes, given)
        if recorded is None:
            return self._function(*(x.to(self._device, non_blocking=True) for x in given))
        for place, x in zip(recorded.inputs, given, strict=True):
            place.copy_(x, non_blocking=True)
        recorded.replay()
        return recorded.outputs

    def _record(self, shapes: tuple[torch.Size, ...], given: Tensors) -> Recorded | None:
        inputs = tuple(torch.empty_like(x, device=self._device, pin_memory=False) for x in given)
        for place, x in zip(inputs, given, strict=True):
            place.copy_(x)
        try:
            # On this very thread: cuDNN's choice of algorithms is remembered for each.
            self._function(*inputs)
            replay, outputs = self._capture(lambda: self._function(*inputs))
        except torch.cuda.OutOfMemoryError:
            raise
        except RuntimeError as error:
            self._works = False
            self._complain(f"no CUDA graphs in PyTorch: {first_line(error)}")
            return None
        if len(self._recorded) >= _SHAPES_KEPT:
            oldest = next(iter(self._recorded))
            del self._recorded[oldest], self._calls[oldest]
        recorded = self._recorded[shapes] = Recorded(inputs, replay, outputs)
        return recorded


def cuda_graph(run: Callable[[], Tensors]) -> tuple[Callable[[], object], Tensors]:
    """A `Capture` of the current stream, which must not be the default one."""
    graph = torch.cuda.CUDAGraph()
    stream = torch.cuda.current_stream()
    # "thread_local": a decoder may use the GPU meanwhile, from a thread of its own.
    with torch.cuda.graph(graph, stream=stream, capture_error_mode="thread_local"):
        outputs = run()
    return graph.replay, outputs
