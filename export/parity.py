"""PyTorch against ONNX Runtime: does an exported graph compute what its network does?"""

from pathlib import Path

import numpy as np
import onnxruntime
import torch
from torch import nn

from export.onnx_graph import FRAMES, STYLIZED
from models.eight_bit import EightBit
from models.errors import ParityError

# Batch, height, width. Three sizes, since one that was baked into the graph would pass alone; odd
# ones, since padding is part of the graph.
SHAPES = ((1, 96, 128), (3, 61, 83), (1, 120, 47))


def check_parity(
    network: nn.Module,
    path: str | Path,
    *,
    shapes: tuple[tuple[int, int, int], ...] = SHAPES,
    tolerance: int = 1,
) -> int:
    """The largest difference in grey levels between `network` and the graph at `path`.

    network: float32, on the CPU. Raises ParityError when it is above `tolerance`: float32 sums in
    another order differ by some 1e-5, which rounding can turn into one level and no more.
    """
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3  # errors; a missing GPU is no news here
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    random = np.random.default_rng(0)
    worst = 0
    for shape in shapes:
        frames = random.integers(0, 256, (*shape, 3), np.uint8)
        with torch.inference_mode():
            expected = EightBit(network)(torch.from_numpy(frames)).numpy()
        (got,) = session.run([STYLIZED], {FRAMES: frames})
        worst = max(worst, int(np.abs(expected.astype(int) - got).max()))
        if worst > tolerance:
            raise ParityError(
                f"{path} differs from its network by {worst} grey levels at {shape}, "
                f"{tolerance} allowed; export it again with the versions installed now"
            )
    return worst
