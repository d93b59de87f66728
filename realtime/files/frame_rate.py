"""Frame rate conversion: frames dropped or repeated by their timestamps."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from fractions import Fraction

from impasto.realtime.frame import Frame, StreamInfo


def at_frame_rate(
    frames: Iterable[Frame],
    frame_rate: Fraction | int,
    *,
    start_time: Fraction | None = None,
    duration: Fraction | None = None,
    is_complete: Callable[[], bool] = lambda: True,
) -> Iterator[Frame]:
    """Yield frames at a constant rate, dropped or repeated; the duration does not change.

    Times are rounded to the nearest tick of 1/frame_rate (halves up, so that 60 to 30 takes every
    second frame), so no frame is more than half a tick early or late, and the duration is right to
    half a tick. Of several frames on one tick the last is used. The time base becomes
    1/frame_rate. Closed captions are left out: they are a part of every frame's own time.

    start_time, duration: seconds; the last frame is shown until start_time + duration. None: from
    the first frame's time, and as long as the frame before it.
    is_complete: called after the last frame; if it returns False, `duration` is ignored, so that a
    damaged clip does not freeze until its declared end.
    """
    rate = Fraction(frame_rate)
    shown: Frame | None = None
    interval = Fraction(0)
    first_time = last_time = Fraction(0)
    next_tick = first_tick = 0
    for frame in frames:
        time = frame.pts * frame.time_base
        if shown is None:
            first_time = time
            next_tick = first_tick = _nearest(time * rate)
        else:
            interval = time - last_time
            for tick in range(next_tick, _nearest(time * rate)):
                yield _at(shown, tick, rate)
            next_tick = max(next_tick, _nearest(time * rate))
        shown, last_time = frame, time
    if shown is None:
        return
    end_time = last_time + interval
    if duration is not None and is_complete():
        end_time = (first_time if start_time is None else start_time) + duration
    # A clip shorter than half a tick is still one frame.
    for tick in range(next_tick, max(_nearest(end_time * rate), first_tick + 1)):
        yield _at(shown, tick, rate)


def _at(frame: Frame, tick: int, rate: Fraction) -> Frame:
    return replace(frame, pts=tick, time_base=1 / rate, captioned=None)


def info_at_frame_rate(info: StreamInfo, frame_rate: Fraction | int) -> StreamInfo:
    """The info of a stream after `at_frame_rate`."""
    rate = Fraction(frame_rate)
    count = None if info.duration is None else max(1, _nearest(info.duration * rate))
    return replace(info, time_base=1 / rate, frame_rate=rate, frame_count=count)


def _nearest(ticks: Fraction) -> int:
    """Rounded, halves up; `round` would send them to the even number."""
    return int((ticks + Fraction(1, 2)) // 1)
