"""How many cores and threads to use, and how the system schedules them."""

import os
from contextlib import suppress


def work_in_batch() -> None:
    """Tell the system that this process computes and nobody waits for its every answer.

    Its threads then wake without turning each other off a core: 3 to 6 % more frames from file to
    file on two cores. For the process that converts, not for one that is somebody else's.
    """
    if hasattr(os, "SCHED_BATCH"):  # on Linux, where any process may ask for it
        with suppress(OSError):
            if os.sched_getscheduler(0) == os.SCHED_OTHER:
                os.sched_setscheduler(0, os.SCHED_BATCH, os.sched_param(0))


def codec_threads() -> int:
    """How many threads a decoder or an encoder is to have; 0: as many as it likes.

    Threads of its own cost a codec a tenth to a sixth more of the cores' time (640x360, libx264
    and FFmpeg's H.264 decoder). On one or two cores, which the network fills, that gains nothing.
    """
    return 1 if cores() <= 2 else 0


def cores() -> int:
    """How many cores this process may use."""
    affinity = getattr(os, "sched_getaffinity", None)  # not on macOS and Windows
    return len(affinity(0)) if affinity else os.cpu_count() or 1


def computing_threads() -> int:
    """How many threads an engine is to compute with: OMP_NUM_THREADS, else one for each core.

    That may be a list, for threads within threads; what is no number is ignored, as OpenMP does.
    """
    asked = os.environ.get("OMP_NUM_THREADS", "").partition(",")[0]
    return int(asked) if asked.isdecimal() and int(asked) else cores()
