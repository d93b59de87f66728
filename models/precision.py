"""Whether bfloat16 is worth its rounding on a device."""

from functools import cache
from time import perf_counter

import torch
from torch.nn import functional as F


@cache
def computes_bfloat16(device: str) -> bool:
    """Whether `device` ("cpu", "cuda", "cuda:1" ...) computes in bfloat16, or emulates it.

    A CPU is timed once, for 30 ms: without the instructions oneDNN emulates bfloat16, ten times as
    slowly as it computes in float32 (1.8 against 0.15 s of a core for the compact loss network at
    256x256 on AVX2), and does not say so. With them it takes half as long.
    """
    return device.startswith("cuda") or _seconds(torch.bfloat16) < _seconds(torch.float32)


def _seconds(dtype: torch.dtype) -> float:
    """The shortest of three times that a convolution takes on the CPU."""
    x = torch.zeros(1, 48, 40, 40, dtype=dtype).contiguous(memory_format=torch.channels_last)
    weight, times = torch.zeros(48, 48, 3, 3, dtype=dtype), []
    for _ in range(4):
        began = perf_counter()
        F.conv2d(x, weight)
        times.append(perf_counter() - began)
    return min(times[1:])
