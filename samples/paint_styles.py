"""Two style pictures, painted from rules: strokes of thick paint, and an engraving.

python samples/paint_styles.py samples
"""

import argparse
from pathlib import Path

import cv2
import numpy as np

from harbor import STILL_AT, render
from scenery.canvas import noise, ramp, rgb

SIDE = 640
NIGHT = "#0a1233 #122e6b #1f5c9e #4094a8 #a8c7a3 #f5cc5c #fce69e"
SPARKS = "#eb6b4d #db9947 #8c4773"


def _mix(colors: str, tone: np.ndarray) -> np.ndarray:
    """Colors along a ramp, for tones from 0 to 1: (..., 3)."""
    palette = np.array([rgb(color) for color in colors.split()])
    at = np.clip(tone, 0, 1) * (len(palette) - 1)
    return np.stack([np.interp(at, range(len(palette)), c) for c in palette.T], axis=-1)


def flow_field(seed: int = 11) -> np.ndarray:
    """Thick strokes along swirling currents of night blue and gold: (640, 640, 3) uint8."""
    rng, shape = np.random.default_rng(seed), (SIDE, SIDE)
    y, x = np.mgrid[:SIDE, :SIDE].astype(np.float32)
    stream = 45 * noise(shape, seed, 320, 120) + 0.55 * y - 0.15 * x
    tone = 0.17 + 0.14 * noise(shape, seed + 1, 250, 8)
    swirls = (455, 165, 95, 3.2), (170, 250, 80, -2.6), (330, 470, 90, 2.2), (560, 420, 70, -2.2)
    for column, row, radius, turn in swirls:
        away = np.hypot(x - column, y - row) / radius
        stream += 0.8 * turn * radius * np.exp(-(away**2))
        tone += (turn > 0) * 0.62 * np.exp(-((away / 0.55) ** 2))
    down, across = np.gradient(stream)
    along = np.stack([down, -across], axis=2) / np.hypot(down, across)[..., None]  # x, y
    picture = _mix(NIGHT, tone).astype(np.float32)
    for length, width, count in ((70, 15, 1500), (46, 9, 3600), (26, 5, 6500)):
        _strokes(picture, tone, along, rng.uniform(0, SIDE, (count, 2)), length, width, rng)
    height = cv2.GaussianBlur(picture.sum(2), (0, 0), 0.7)
    light = 1 + 0.3 * (height - np.roll(height, (1, -1), (0, 1)))  # from the upper right
    return np.round(255 * np.clip(picture * light[..., None], 0, 1)).astype(np.uint8)


def _strokes(
    picture: np.ndarray,
    tone: np.ndarray,
    along: np.ndarray,
    start: np.ndarray,
    length: int,
    width: int,
    rng: np.random.Generator,
) -> None:
    """Lay strokes along a field of directions, in place; each bristle leaves its own line."""
    paths = [start]
    for _ in range(length // 4):
        column, row = np.clip(paths[-1], 0, SIDE - 1).astype(int).T
        paths.append(paths[-1] + 4 * along[row, column])
    column, row = start.astype(int).T
    colors = _mix(NIGHT, tone[row, column] + rng.normal(0, 0.055, len(start)))
    sparks = rng.random(len(start)) < 0.04
    colors[sparks] = _mix(SPARKS, rng.random(sparks.sum()))
    for path, color in zip(np.stack(paths, axis=1), colors, strict=True):
        across = (path[1] - path[0])[::-1] * (0.25, -0.25)
        for offset in np.arange(-width / 2, width / 2, 1.5):
            short = int(len(path) * abs(offset / width) * 0.4)
            line = path[short : len(path) - short] + offset * across
            tint = np.clip(color * rng.uniform(0.8, 1.15), 0, 1).tolist()
            at = [np.round(line * 16).astype(np.int32)]
            cv2.polylines(picture, at, False, tint, 2, cv2.LINE_8, shift=4)


def ink_hatching(seed: int = 3) -> np.ndarray:
    """The harbor as an engraving, in crossed ink lines on old paper: (640, 640, 3) uint8."""
    size = 2 * SIDE, 2 * SIDE
    view = cv2.resize(render(STILL_AT)[:, 200:560], size).astype(np.float32)
    tone = 1 - cv2.GaussianBlur(view.mean(2), (0, 0), 2) / 255
    tone = np.clip(
        0.5 + 1.2 * (tone - cv2.GaussianBlur(tone, (0, 0), 120)) + 0.5 * (tone - 0.5), 0, 1
    )
    y, x = np.mgrid[: size[0], : size[1]].astype(np.float32) / 2
    wobble = 1.6 * noise(size, seed, 320, 90) + 0.3 * noise(size, seed + 1, 60, 20)
    ink = np.zeros(size, np.float32)
    # Each further set of lines starts where the tone gets darker, and swells with it.
    for turn, pitch, start in (
        (0.1, 5.0, 0.1),
        (0.65, 4.8, 0.42),
        (-0.6, 5.2, 0.62),
        (1.4, 4.6, 0.8),
    ):
        across = y * np.cos(turn) - x * np.sin(turn) + wobble + 5 * tone
        wave = np.abs(across / pitch % 1 - 0.5) * 2  # 0 in the middle of a line
        swell = np.clip((tone - start) / (1.05 - start), 0, 1)
        line = np.clip((0.06 + 0.54 * swell - wave) * pitch * 0.9 + 0.5, 0, 1) * (swell > 0.015)
        ink = np.maximum(ink, line)
    ink = (ink * (0.2 + 0.8 * ramp(noise(size, seed + 2, 16, 4), 2.0, 1.3)))[..., None]
    paper = rgb("#f1e7d1") * (1 + 0.02 * noise(size, seed + 3, 300))[..., None]
    picture = cv2.resize(
        paper * (1 - ink) + rgb("#1a171f") * ink, (SIDE, SIDE), interpolation=cv2.INTER_AREA
    )
    return np.round(255 * np.clip(picture, 0, 1)).astype(np.uint8)


PICTURES = {"flow_field": flow_field, "ink_hatching": ink_hatching}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, help="where the .jpg files go")
    folder = parser.parse_args().folder
    for name, paint in PICTURES.items():
        quality = [cv2.IMWRITE_JPEG_QUALITY, 88]
        cv2.imwrite(str(folder / f"{name}.jpg"), paint()[..., ::-1], quality)


if __name__ == "__main__":
    main()
