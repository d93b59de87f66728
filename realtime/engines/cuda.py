"""Whether there is an NVIDIA GPU, asked of its driver, without loading PyTorch for it."""

import ctypes
import sys
from functools import cache


@cache
def cuda_devices() -> int:
    """How many CUDA devices this process may use; 0 where there is no driver."""
    count = ctypes.c_int(0)
    driver = _driver()
    if driver is None or driver.cuDeviceGetCount(ctypes.byref(count)) != 0:
        return 0
    return count.value


def cuda_name() -> str:
    """What the first of them is called, such as "NVIDIA H200"; "cuda" where there is none."""
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
