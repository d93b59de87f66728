"""How many cores and threads to use, and how the system schedules them."""

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress


def work_in_batch() -> None:
    """Use Linux's batch scheduling for this process and the threads it starts from now on.

    Its threads then wake without preempting each other: 3 to 6 % more frames per second in file
    conversion on two cores. For a command's own process, not for one that merely uses the library.
    """
    if hasattr(os, "SCHED_BATCH"):  # on Linux, where it needs no privileges
        with suppress(OSError):
            if os.sched_getscheduler(0) == os.SCHED_OTHER:
                os.sched_setscheduler(0, os.SCHED_BATCH, os.sched_param(0))


def run_when_idle(process: int) -> None:
    """Have a process that has just been started leave the cores to all others; on Unix.

    process: its number. On Linux a process that is merely nice delays others that wake on its core
    by milliseconds: a network there computes on one core less, for as long as it runs.
    """
    with suppress(OSError):  # it has ended, for one
        if hasattr(os, "SCHED_IDLE"):  # on Linux
            os.sched_setscheduler(process, os.SCHED_IDLE, os.sched_param(0))
        elif hasattr(os, "setpriority"):
            os.setpriority(os.PRIO_PROCESS, process, 19)


@contextmanager
def same_scheduling() -> Iterator[None]:
    """Keep how Linux schedules this process, whatever a library does in the block.

    SVT-AV1, opened by root, gives its threads and the one that opens it real-time priority: then
    nothing else on the machine runs until they wait.
    """
    if not hasattr(os, "sched_getscheduler"):  # on macOS and Windows
        yield
        return
    policy, parameters = os.sched_getscheduler(0), os.sched_getparam(0)
    try:
        yield
    finally:
        with suppress(OSError):
            for thread in map(int, os.listdir("/proc/self/task")):
                if os.sched_getscheduler(thread) == os.SCHED_FIFO:
                    os.sched_setscheduler(thread, policy, parameters)


def codec_threads() -> int:
    """The number of threads for a decoder or an encoder; 0: its own choice.

    Threading costs a codec a tenth to a sixth more CPU time (640x360, libx264 and FFmpeg's H.264
    decoder). On one or two cores, which the network keeps busy, it gains nothing.
    """
    return 1 if cores() <= 2 else 0


def cores() -> int:
    """The number of cores this process may use."""
    affinity = getattr(os, "sched_getaffinity", None)  # not on macOS and Windows
    return len(affinity(0)) if affinity else os.cpu_count() or 1


def computing_threads() -> int:
    """The number of threads for an engine: OMP_NUM_THREADS, else one per core.

    The variable may be a list, for nested parallelism; invalid values are ignored, as in OpenMP.
    """
    asked = os.environ.get("OMP_NUM_THREADS", "").partition(",")[0]
    return int(asked) if asked.isdecimal() and int(asked) else cores()
