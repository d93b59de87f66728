"""The inputs and outputs of exported graphs: names, layouts, sizes, norm modes, opsets."""

import re
from typing import Literal

# Files of version 0.1 spell the output `stylised`: readers take the first output by its position.
FRAMES, STYLIZED, WEIGHTS = "frames", "stylized", "weights"

TensorLayout = Literal["nhwc-uint8", "nchw-float"]
GraphPrecision = Literal["fp32", "fp16", "int8"]
GraphShape = tuple[int, int, int]  # batch, height, width

# Where the norms have their statistics from: each picture itself; the inputs `mean` and `variance`
# (C,); or these moved toward those of the one picture by `weight` (a number from 0 to 1), layer by
# layer as in impasto.models.fast.norm_folding, and put out again.
NormMode = Literal["instance", "frozen", "running"]

# The default loads in ONNX Runtime 1.12 (2022) and TensorRT 8.6, and a newer one gains nothing. The
# oldest is required for int8 weights with a scale for each channel; the newest is the last tested.
OPSET, OLDEST_OPSET, NEWEST_OPSET = 17, 13, 23

MIN_SIDE, MAX_SIDE = 16, 16384  # px
# px in all, a little over 8192x4320: the parity check needs 100 bytes for each.
MAX_STATIC = 36_000_000

_LAYOUTS: dict[TensorLayout, str] = {
    "nhwc-uint8": "(N, H, W, 3) uint8 RGB, 0 to 255",
    "nchw-float": "(N, 3, H, W) float32 RGB, 0 to 1",
}


def describe(layout: TensorLayout) -> tuple[str, str]:
    """Descriptions of the input and the output, for the file's metadata."""
    tensor = _LAYOUTS[layout]
    unclamped = ", not clamped" if layout == "nchw-float" else ""
    return tensor, f"{tensor}{unclamped}, of the same shape"


def parse_static(text: str) -> GraphShape:
    """Parse "1x720x1280" as (batch, height, width). Raises ValueError unless `is_possible`."""
    match = re.fullmatch(r"(\d+)x(\d+)x(\d+)", text.strip().lower())
    shape = tuple(int(number) for number in match.groups()) if match else ()
    if len(shape) != 3 or not is_possible(shape):
        raise ValueError(
            f"expected BATCHxHEIGHTxWIDTH such as 1x720x1280, with sides from {MIN_SIDE} to "
            f"{MAX_SIDE} and at most {MAX_STATIC // 10**6} megapixels in all; got {text!r}"
        )
    return shape


def is_possible(shape: GraphShape) -> bool:
    """Whether a graph of this one shape can be built and checked."""
    batch, height, width = shape
    return batch >= 1 and min(height, width) >= MIN_SIDE and is_small_enough(shape)


def is_small_enough(shape: GraphShape) -> bool:
    """Whether pictures of this shape can be stylized in the parity check."""
    batch, height, width = shape
    return max(height, width) <= MAX_SIDE and batch * height * width <= MAX_STATIC
