"""Whether there is an NVIDIA GPU, asked of its driver, without loading PyTorch for it."""

import ctypes
import sys
from functools import cache


@cache
def cuda_devices() -> int:
    """How many CUDA devices this process may use; 0 where there is no driver."""
    try:
        driver = ctypes.CDLL("nvcuda.dll" if sys.platform == "win32" else "libcuda.so.1")
    except OSError:
        return 0
    count = ctypes.c_int(0)
    if driver.cuInit(0) != 0 or driver.cuDeviceGetCount(ctypes.byref(count)) != 0:
        return 0
    return count.value
