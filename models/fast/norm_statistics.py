"""The type of norm statistics that all engines share, without loading PyTorch."""

from __future__ import annotations

from typing import TYPE_CHECKING, Generic, NamedTuple, TypeVar

import numpy as np

if TYPE_CHECKING:
    from torch import Tensor

Array = TypeVar("Array", np.ndarray, "Tensor")


class NormStatistics(NamedTuple, Generic[Array]):
    """Mean and variance of every channel that a network normalizes, layer after layer.

    (C,) float32: NumPy arrays in the interface of engines, tensors within PyTorch.
    """

    mean: Array
    variance: Array


def initial_statistics(channels: int) -> NormStatistics[np.ndarray]:
    """Mean 0 and variance 1 of each channel, the initial values of running statistics."""
    return NormStatistics(np.zeros(channels, np.float32), np.ones(channels, np.float32))
