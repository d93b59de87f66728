"""Strokes of another width: the size to paint at, and the detail that the painting gets back.

A network paints strokes of a fixed width in pixels: on a picture half as large they are twice as
wide. That painting has lost eyes, mouths and letters, mostly in the network, which is not shown
them at a size that it can paint; enlarging with more care does not bring them back. So detail of
the picture is added: its luma minus a blurred copy, where that exceeds noise and faint texture.

`realtime.stroke` does this with OpenCV, `export.stroke` in a graph.
"""

from fractions import Fraction

NARROWEST, WIDEST = 0.5, 4.0  # strokes relative to the style's own

LUMA = (0.299, 0.587, 0.114)  # of BT.601, as cv2.cvtColor has it
DETAIL_SIGMA = 1.6  # px at the size of the painting: what is finer than this is detail
DETAIL_THRESHOLD = 10.0  # levels of 255: less is left out, and so much of the rest
_DETAIL_GAIN = 0.7  # of the rest, where strokes are twice as wide or more


def check_stroke(stroke: float) -> float:
    """The same number. Raises ValueError unless it is one from 0.5 to 4."""
    if not NARROWEST <= stroke <= WIDEST:  # nor NaN
        raise ValueError(f"expected a stroke width from 0.5 to 4, such as 2; got {stroke:g}")
    return stroke


def painted_size(size: tuple[int, int], stroke: float) -> tuple[int, int]:
    """The (height, width) at which a picture of that size is painted."""
    over, under = stroke_ratio(stroke)
    height, width = (max(1, (2 * side * under + over) // (2 * over)) for side in size)
    return height, width


def stroke_ratio(stroke: float) -> tuple[int, int]:
    """Numerator and denominator of the stroke, to a thousandth, for sizes by whole numbers."""
    return Fraction(stroke).limit_denominator(1000).as_integer_ratio()


def detail_gain(enlargement: float) -> float:
    """How much of the detail beyond the threshold is added to a painting enlarged so many times.

    Up to twice the size it grows evenly, so that no step shows where live video changes its size.
    """
    return _DETAIL_GAIN * min(1.0, max(0.0, enlargement - 1))
