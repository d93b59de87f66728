"""Asks the NVIDIA driver for CUDA devices, without loading PyTorch."""

import ctypes
import sys
from functools import cache


@cache
def cuda_devices() -> int:
    """How many CUDA devices this process may use; 0 without a driver."""
    count = ctypes.c_int(0)
    driver = _driver()
    if driver is None or driver.cuDeviceGetCount(ctypes.byref(count)) != 0:
        return 0
    return count.value


def cuda_name() -> str:
    """The name of the first CUDA device, such as "NVIDIA H200"; "cuda" if there is none."""
    name, driver = ctypes.create_string_buffer(100), _driver()
    if driver is None or driver.cuDeviceGetName(name, len(name), 0) != 0:
        return "cuda"
    return name.value.decode(errors="replace")


@cache
def _driver() -> ctypes.CDLL | None:
    try:
        driver = ctypes.CDLL("nvcuda.dll" if sys.platform == "win32" else "libcuda.so.1")
    except OSError:
        return None
    return driver if driver.cuInit(0) == 0 else None
