"""The memory of this process: how much it uses, and whether freed memory is returned."""

import ctypes
import sys
from pathlib import Path


def memory_mb(field: str) -> float | None:
    """Memory of this process in MB by field of /proc/self/status: VmRSS (now), VmHWM (peak).

    None on other systems than Linux. Unlike getrusage, it excludes the parent process.
    """
    status = Path("/proc/self/status")
    if not status.exists():
        return None
    fields = dict(line.split(":", 1) for line in status.read_text().splitlines())
    return int(fields[field].split()[0]) * 1024 / 1e6


def keep_freed_memory() -> None:
    """Have the C library keep freed memory, for work that allocates the same sizes repeatedly.

    glibc returns large blocks to the system at once, and each step of an optimization then waits
    for new pages to be cleared. Does nothing without glibc.
    """
    if sys.platform == "linux" and (mallopt := getattr(ctypes.CDLL(None), "mallopt", None)):
        trim_threshold, mmap_max = -1, -4  # malloc.h
        mallopt(trim_threshold, -1)
        mallopt(mmap_max, 0)
