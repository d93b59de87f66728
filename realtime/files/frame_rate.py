"""Another frame rate: frames dropped or repeated by their time."""

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
    """Frames at an even rate, dropped or repeated by their time; the length does not change.

    Times are rounded to the nearest tick of 1/frame_rate (halves up, so that 60 to 30 takes every
    second frame), so that no frame comes more than half a tick early or late, and the whole is
    within half a tick of its length. Of frames on one tick the last is shown. The last frame
    lasts until start_time + duration (seconds; the first frame's time where start_time is None),
    or, where duration is None, as long as the one before it. So it does where `is_complete`, asked
    after the last frame, says that frames are missing: a damaged clip does not freeze until its
    declared end. The time base becomes 1/frame_rate.
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
                yield replace(shown, pts=tick, time_base=1 / rate)
            next_tick = max(next_tick, _nearest(time * rate))
        shown, last_time = frame, time
    if shown is None:
        return
    end_time = last_time + interval
    if duration is not None and is_complete():
        end_time = (first_time if start_time is None else start_time) + duration
    # A clip shorter than half a tick is still one picture.
    for tick in range(next_tick, max(_nearest(end_time * rate), first_tick + 1)):
        yield replace(shown, pts=tick, time_base=1 / rate)


def info_at_frame_rate(info: StreamInfo, frame_rate: Fraction | int) -> StreamInfo:
    """What `at_frame_rate` makes of a source's info."""
    rate = Fraction(frame_rate)
    count = None if info.duration is None else max(1, _nearest(info.duration * rate))
    return replace(info, time_base=1 / rate, frame_rate=rate, frame_count=count)


def _nearest(ticks: Fraction) -> int:
    """Rounded, halves always up; `round` sends them up and down by turns."""
    return int((ticks + Fraction(1, 2)) // 1)
