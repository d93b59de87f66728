"""What goes into an exported file and what comes out: names, layouts, and the sizes it can have."""

import re
from typing import Literal

# Files of version 0.1 spell the output `stylised`: readers take the first output by its position.
FRAMES, STYLIZED, WEIGHTS = "frames", "stylized", "weights"

Layout = Literal["nhwc-uint8", "nchw-float"]
Precision = Literal["fp32", "fp16", "int8"]
Shape = tuple[int, int, int]  # batch, height, width

# Where the norms have their statistics from: each picture itself; the inputs `mean` and `variance`
# (C,); or these moved towards those of the one picture by `weight` (a number from 0 to 1), layer by
# layer as in impasto.models.fast.norm_folding, and put out again.
NormMode = Literal["instance", "frozen", "running"]

# The default loads in ONNX Runtime 1.12 (2022) and TensorRT 8.6, and a newer one gains nothing. The
# oldest is what 8-bit weights with a scale for each channel need; the newest is what was tested.
OPSET, OLDEST_OPSET, NEWEST_OPSET = 17, 13, 23

SMALLEST_SIDE, LARGEST_SIDE = 16, 16384  # px
# px in all, a little over 8192x4320: the check needs 100 bytes for each.
LARGEST_STATIC = 36_000_000

_PICTURES = {
    "nhwc-uint8": "(N, H, W, 3) uint8 RGB, 0 to 255",
    "nchw-float": "(N, 3, H, W) float32 RGB, 0 to 1",
}


def describe(layout: Layout) -> tuple[str, str]:
    """Input and output in words, for the file's metadata."""
    pictures = _PICTURES[layout]
    unclamped = ", not clamped" if layout == "nchw-float" else ""
    return pictures, f"{pictures}{unclamped}, of the same shape"


def parse_static(text: str) -> Shape:
    """ "1x720x1280" as (batch, height, width). Raises ValueError for what no graph can have."""
    match = re.fullmatch(r"(\d+)x(\d+)x(\d+)", text.strip().lower())
    shape = tuple(int(number) for number in match.groups()) if match else ()
    if len(shape) != 3 or not possible(shape):
        raise ValueError(
            f"expected BATCHxHEIGHTxWIDTH such as 1x720x1280, with sides from {SMALLEST_SIDE} to "
            f"{LARGEST_SIDE} and at most {LARGEST_STATIC // 10**6} megapixels in all; got {text!r}"
        )
    return shape


def possible(shape: Shape) -> bool:
    """Whether a graph can be made, and checked, for this one shape."""
    batch, height, width = shape
    sides = all(SMALLEST_SIDE <= side <= LARGEST_SIDE for side in (height, width))
    return sides and batch >= 1 and batch * height * width <= LARGEST_STATIC
