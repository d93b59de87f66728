"""SMPTE timecode (ST 12-1): the label of a later frame, and at another frame rate."""

import re
from fractions import Fraction

_LABEL = re.compile(r"(\d\d):(\d\d):(\d\d)([:;.,])(\d\d+)$")
_MINUTES = 24 * 60


def shifted_timecode(label: str, frames: int, rate: Fraction, new_rate: Fraction) -> str | None:
    """The label of the frame that is `frames` after the one labeled `label`, at `new_rate`.

    rate: of the source. Drop-frame labels (with a semicolon) skip some numbers so that they keep
    to the clock at 29.97 and 59.94 frames a second; at another rate they become non-drop, and the
    frames of the last second are counted anew. None if `label` is not a timecode.
    """
    match = _LABEL.match(label.strip())
    if match is None:
        return None
    hours, minutes, seconds, number = (int(match[k]) for k in (1, 2, 3, 5))
    nominal, drop = max(1, round(rate)), match[4] != ":"
    skipped = _skipped(nominal) if drop else 0
    minutes += 60 * hours
    count = (60 * minutes + seconds) * nominal + number - skipped * (minutes - minutes // 10)
    day = _MINUTES * 60 * nominal - skipped * (_MINUTES - _MINUTES // 10)
    minutes, seconds, number = _split((count + frames) % day, nominal, skipped)
    new_nominal = max(1, round(new_rate))
    if new_nominal != nominal or new_rate.denominator != rate.denominator:
        drop, number = False, number * new_nominal // nominal
    return (
        f"{minutes // 60:02}:{minutes % 60:02}:{seconds:02}{match[4] if drop else ':'}{number:02}"
    )


def _skipped(nominal: int) -> int:
    """Numbers skipped in each minute but the tenth: 2 at 29.97, 4 at 59.94."""
    return nominal // 30 * 2


def _split(count: int, nominal: int, skipped: int) -> tuple[int, int, int]:
    """Minutes, seconds and frame number of the frame `count` after 00:00:00:00."""
    if skipped:
        in_minute, in_ten = 60 * nominal - skipped, 600 * nominal - 9 * skipped
        tens, rest = divmod(count, in_ten)
        # The first minute of ten has all its numbers.
        count += 9 * skipped * tens + skipped * (max(0, rest - skipped) // in_minute)
    seconds, number = divmod(count, nominal)
    return seconds // 60, seconds % 60, number
