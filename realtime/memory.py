"""How much memory this process has."""

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
