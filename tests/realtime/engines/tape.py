"""What a CUDA graph does, on a CPU: operations repeated, on the memory they were recorded with."""

from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

# They wait for the GPU, or copy from the host, and may not be captured.
_FORBIDDEN = ("_local_scalar_dense", "linalg", "_linalg", "nonzero", "lift_fresh", "_pin_memory")


class _Tape(TorchDispatchMode):
    def __init__(self) -> None:
        super().__init__()
        self.operations: list[tuple[Any, Any, Any, Any]] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name = func.name().removeprefix("aten::")
        if name.startswith(_FORBIDDEN):
            raise RuntimeError(f"{name} is not permitted when stream is capturing")
        result = func(*args, **(kwargs or {}))
        self.operations.append((func, args, kwargs or {}, result))
        return result

    def replay(self) -> None:
        for func, args, kwargs, kept in self.operations:
            if "empty" in func.name():
                continue  # memory alone: nothing is written
            for place, fresh in zip(_tensors(kept), _tensors(func(*args, **kwargs)), strict=True):
                if place.data_ptr() != fresh.data_ptr():  # neither a view nor in place
                    place.copy_(fresh)


def _tensors(value: Any) -> Iterator[Tensor]:
    if isinstance(value, Tensor):
        yield value
    elif isinstance(value, tuple | list):
        for item in value:
            yield from _tensors(item)


def tape(run: Callable[[], Any]) -> tuple[Callable[[], None], Any]:
    """A `realtime.engines.cuda_graphs.Capture` that records operations and repeats them."""
    recorder = _Tape()
    with recorder:
        outputs = run()
    return recorder.replay, outputs


def test_a_tape_repeats_what_was_done_where_it_was_done() -> None:
    weight, given = torch.ones(3), torch.arange(3.0)

    def run() -> tuple[Tensor, ...]:
        return (given * weight + 1, given.view(3, 1))

    replay, (sums, view) = tape(run)
    given.fill_(5)
    weight.fill_(2)
    replay()
    assert sums.tolist() == [11, 11, 11] and view.flatten().tolist() == [5, 5, 5]
    weight = torch.zeros(3)  # elsewhere: a graph knows nothing of it
    replay()
    assert sums.tolist() == [11, 11, 11]
