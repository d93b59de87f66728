"""Parsers of command-line arguments."""

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from impasto.realtime.cli.arguments import (
    MAX_SIDE,
    MIN_SIDE,
    parse_bit_depth,
    parse_bitrate,
    parse_rate,
    parse_size,
    parse_time,
)

sides = st.integers(MIN_SIDE, MAX_SIDE)


@given(sides, sides)
def test_sizes_become_height_and_width(width: int, height: int) -> None:
    assert parse_size(f"{width}x{height}") == (height, width)
    assert parse_size(str(height)) == height


@given(st.integers(0, 99), st.integers(0, 59), st.decimals(0, 59, places=3))
def test_times_are_exact(hours: int, minutes: int, seconds: object) -> None:
    expected = 3600 * hours + 60 * minutes + Fraction(str(seconds))
    assert parse_time(f"{hours}:{minutes:02}:{seconds}") == expected
    assert parse_time(f"{60 * hours + minutes}:{seconds}") == expected
    assert parse_time(str(seconds)) == Fraction(str(seconds))


@pytest.mark.parametrize(
    "text, rate",
    [("30", 30), ("29.97", Fraction(2997, 100)), ("30000/1001", Fraction(30000, 1001))],
)
def test_rates_are_exact(text: str, rate: Fraction) -> None:
    assert parse_rate(text) == rate


@pytest.mark.parametrize("text, bits", [("8M", 8_000_000), ("1.5m", 1_500_000), ("800k", 800_000)])
def test_bitrates(text: str, bits: int) -> None:
    assert parse_bitrate(text) == bits


@pytest.mark.parametrize(
    "parse, text",
    [(parse_size, text) for text in ("", "x", "720x", "x720", "720p", "8", "-720", "1e3", "7x7x7")]
    + [(parse_time, text) for text in ("", "-1", "1:2:3:4", ":", "1:", "now", "inf")]
    + [(parse_rate, text) for text in ("", "0", "-1", "1/0", "inf", "nan", "1001", "film")]
    + [(parse_bitrate, text) for text in ("", "0", "-8M", "999", "8G", "8 M")]
    + [(parse_bit_depth, text) for text in ("", "9", "ten")],
)
def test_the_error_has_what_was_expected(parse, text: str) -> None:
    with pytest.raises(ValueError, match=f"expected .*got {text!r}"):
        parse(text)
