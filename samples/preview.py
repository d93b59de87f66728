"""The moving picture in the README: the sample clip beside itself, stylized.

python samples/preview.py samples/preview.webp
"""

import argparse
import tempfile
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from PIL import Image

from impasto.models import load_style
from impasto.realtime import EncoderOptions, Stylizer, open_engine, stylize_video

CLIP = Path(__file__).with_name("harbor.mp4")
STYLES = ("starry_night", "great_wave", "composition_vii")  # one after another
SECONDS = 2  # of each style
HEIGHT, WIDTH = 234, 416  # of each half
RATE = Fraction(25, 2)  # frames per second
WEBP = {"quality": 66, "method": 6, "kmin": 0, "kmax": 1}  # quality: 0 to 100


def stylized(style: str, start: float, folder: Path) -> list[np.ndarray]:
    """Frames of the clip in a style, from `start` seconds on: (HEIGHT, WIDTH, 3) uint8 RGB."""
    engine = open_engine(load_style(style), size=(360, 640))
    out = folder / f"{style}.mp4"
    stylizer = Stylizer(engine, steadiness="flow")
    encoder = EncoderOptions(crf=12)
    stylize_video(CLIP, out, stylizer, start=start, end=start + SECONDS, encoder=encoder)
    return frames(out)


def frames(path: Path) -> list[np.ndarray]:
    """Every frame of a video: (HEIGHT, WIDTH, 3) uint8 RGB."""
    with av.open(str(path)) as container:
        return [
            frame.to_ndarray(format="rgb24", height=HEIGHT, width=WIDTH, interpolation="AREA")
            for frame in container.decode(video=0)
        ]


def write_webp(path: Path, pictures: list[np.ndarray]) -> None:
    """Write (H, W, 3) uint8 RGB pictures as an animated WebP that repeats forever.

    Every frame is coded independently: in differences, blocks of the frame before show through.
    """
    first, *rest = map(Image.fromarray, pictures)
    milliseconds = round(1000 / RATE)
    first.save(path, append_images=rest, save_all=True, duration=milliseconds, loop=0, **WEBP)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("out", type=Path)
    out = parser.parse_args().out
    with tempfile.TemporaryDirectory() as folder:
        parts = [stylized(s, n * SECONDS, Path(folder)) for n, s in enumerate(STYLES)]
    right = [frame for part in parts for frame in part]
    left = frames(CLIP)[: len(right)]
    with av.open(str(CLIP)) as container:
        step = container.streams.video[0].average_rate / RATE
    chosen = [int(n * step) for n in range(int(len(right) / step))]
    gap = np.full((HEIGHT, 4, 3), 255, np.uint8)
    write_webp(out, [np.hstack([left[n], gap, right[n]]) for n in chosen])


if __name__ == "__main__":
    main()
