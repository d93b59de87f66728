"""The memory of this process: how much, and whether it is given back."""

import ctypes
import sys
from pathlib import Path


def memory_mb(field: str) -> float | None:
    """Memory of this process by Linux's own name for it: VmRSS now, VmHWM at most. None elsewhere.

    Not getrusage, which counts what the process was forked from too.
    """
    status = Path("/proc/self/status")
    if not status.exists():
        return None
    fields = dict(line.split(":", 1) for line in status.read_text().splitlines())
    return int(fields[field].split()[0]) * 1024 / 1e6


def keep_freed_memory() -> None:
    """Let the C library keep what is freed, for work that takes the same again and again.

    glibc gives large blocks back to the system at once, and each step of an optimisation then
    waits for its pages to be cleared and handed out anew. Without glibc nothing is done.
    """
    if sys.platform == "linux" and (mallopt := getattr(ctypes.CDLL(None), "mallopt", None)):
        trim_threshold, mmap_max = -1, -4  # malloc.h
        mallopt(trim_threshold, -1)
        mallopt(mmap_max, 0)
