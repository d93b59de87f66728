"""The precision that features and training are computed in: bfloat16 where it is the faster one."""

from functools import cache
from time import perf_counter
from typing import Literal

import torch
from torch import Tensor

from impasto.models import machine_cache
from impasto.models.gatys.frozen_conv import conv_relu

Precision = Literal["auto", "fp32", "bf16"]
_LAYERS = (
    (3, 64, 32),
    (64, 64, 32),
    (64, 128, 16),
    (128, 256, 8),
)  # channels in and out; side of the output, px
_GAIN = 0.95  # bfloat16 has to take less than this share of the time: it rounds


def dtype_of(precision: Precision, device: str) -> torch.dtype:
    """The floating-point type of a precision. "auto": the faster one on `device`."""
    native = precision == "bf16" or precision == "auto" and computes_bfloat16(device)
    return torch.bfloat16 if native else torch.float32


@cache
def computes_bfloat16(device: str) -> bool:
    """Whether `device` ("cpu", "cuda", "cuda:1" ...) computes faster in bfloat16 than in float32.

    Timed once on a machine, and remembered, as PyTorch does not know: without the instructions
    bfloat16 is emulated. The compact loss network at 256x256, forward and backward, took 0.15 s of
    a core in float32 and 1.8 s in bfloat16 on AVX2, 0.42 and 0.82 s on AVX-512 with VNNI; with
    instructions for bfloat16 it takes half of float32.
    """
    case = ("bf16 of fp32", _name(device), str(torch.get_num_threads()))
    share = machine_cache.load(*case)
    if not isinstance(share, float):
        share = _share_of_time(device)
        machine_cache.store(*case, value=share)
    return share < _GAIN


def _name(device: str) -> str:
    return torch.cuda.get_device_name(device) if device.startswith("cuda") else device


def _share_of_time(device: str) -> float:
    """The time that bfloat16 takes, as a share of that of float32; timed in turns."""
    _seconds(torch.float32, device)  # sets up
    single = half = float("inf")
    for _ in range(4):
        single = min(single, _seconds(torch.float32, device))
        half = min(half, _seconds(torch.bfloat16, device))
        if half > 5 * single:  # emulated: twenty times, and more is not worth waiting for
            break
    return half / single


@torch.enable_grad()
def _seconds(dtype: torch.dtype, device: str) -> float:
    """The time of a pass forward and backward through the first layers of a small VGG."""
    images = torch.zeros(1, 3, 32, 32, dtype=dtype, device=device)
    image = images.contiguous(memory_format=torch.channels_last).requires_grad_()
    weights = [torch.zeros(n, m, 3, 3, dtype=dtype, device=device) for m, n, _ in _LAYERS]
    biases = [torch.zeros(n, dtype=dtype, device=device) for _, n, _ in _LAYERS]
    _wait(device)
    began = perf_counter()
    x: Tensor = image
    for weight, bias, (_, _, side) in zip(weights, biases, _LAYERS, strict=True):
        x = conv_relu(x, weight, bias, padding=1, pooled=x.shape[-1] > side)
    x.float().sum().backward()
    _wait(device)
    return perf_counter() - began


def _wait(device: str) -> None:
    if device.startswith("cuda"):
        torch.cuda.synchronize(device)
