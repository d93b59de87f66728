"""The weights with which a graph gives, or reads, a video codec's planes in place of RGB."""

import numpy as np

from impasto.models.colors import ycc_to_rgb

LUMA, CHROMA = "yuv420.luma", "yuv420.chroma"  # 1x1 convolutions in impasto.export.graphs.cpu
# rgb = TO_RGB @ (ycc - BLACK), and back, in 0..255; in impasto.export.graphs.gpu
TO_RGB, FROM_RGB, BLACK = "yuv420.to_rgb", "yuv420.from_rgb", "yuv420.black"


def from_rgb(matrix: int, full_range: bool) -> dict[str, np.ndarray]:
    """The weights, by name, that make planes of these colours (ITU-T H.273) of 2x2 RGB pixels.

    A pixel shuffle's channels, (colour, row, column), to four of luma and the mean chroma.
    """
    to_rgb, black = ycc_to_rgb(matrix, full_range)
    inverse = np.linalg.inv(to_rgb.astype(float))
    luma = np.einsum("c,pq->pcq", inverse[0], np.eye(4)).reshape(4, 12)
    chroma = np.repeat(inverse[1:] / 4, 4, axis=1)
    found = {}
    for part, weight, bias in ((LUMA, luma, black[:1].repeat(4)), (CHROMA, chroma, black[1:])):
        found[f"{part}.weight"] = (255 * weight)[..., None, None].astype(np.float32)
        found[f"{part}.bias"] = bias.astype(np.float32)
    return found


def both_ways(matrix: int, full_range: bool) -> dict[str, np.ndarray]:
    """The weights, by name, of a graph that reads planes of these colours too."""
    to_rgb, black = ycc_to_rgb(matrix, full_range)
    back = np.linalg.inv(to_rgb.astype(float)).astype(np.float32)
    return from_rgb(matrix, full_range) | {TO_RGB: to_rgb, FROM_RGB: back, BLACK: black}
