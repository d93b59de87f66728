"""The small pictures in docs/method.md, each by the command of its row, from rendered pictures.

python samples/method.py docs/method.md
"""

import argparse
import os
import re
import shlex
import shutil
import tempfile
from pathlib import Path

import av
import numpy as np
from PIL import Image

from harbor import render
from impasto.realtime.cli.main import main as impasto

HERE = Path(__file__).parent
STEPS, MORE_STEPS = 40, 100  # of paint; more for presets, and for complete paintings from noise
SWIRL = (240, 20, 600, 380)  # px, the part of flow_field.jpg that is the painting
SIDE = 96  # px, short side of a picture
WIDEST = 960  # px, of a picture on the page
WEBP = {"quality": 70, "method": 6}  # quality: 0 to 100
SHOWN_FRAMES = (0, 1, 3, 10, 30, -1)  # of a film


def commands(page: Path) -> dict[str, list[str]]:
    """The words of the command by the picture that its row shows, once for several rows."""
    rows = re.findall(r"^\|.*?`impasto ([^`]+)`.*\((method/\w+\.webp)\)", page.read_text(), re.M)
    return {picture: shlex.split(words) for words, picture in rows}


def write_inputs(folder: Path) -> None:
    """Write the files that the commands name: the harbor by day and at dusk, two paintings."""
    for name in ("photos", "paintings"):
        (folder / name).mkdir()
    for name in ("holiday.jpg", "photos/1.jpg"):
        shutil.copy(HERE / "harbor.jpg", folder / name)
    dusk = render(0)[:, 300:540] * (0.9, 0.5, 0.45)
    Image.fromarray(dusk.astype(np.uint8)).save(folder / "photos" / "2.jpg")
    shutil.copy(HERE / "harbor.mp4", folder / "holiday.mp4")
    Image.open(HERE / "flow_field.jpg").crop(SWIRL).save(folder / "painting.jpg", quality=95)
    for name in ("flow_field.jpg", "ink_hatching.jpg"):
        shutil.copy(HERE / name, folder / "paintings" / name)


def result_of(words: list[str]) -> Path:
    """The file that shows what a command does: a sheet, curves, a film, or its output."""
    for option in ("--sheet", "--curves", "--film"):
        if option in words:
            return Path(words[words.index(option) + 1])
    arguments = words[: next((k for k, w in enumerate(words) if w.startswith("--")), None)]
    return Path(arguments[-1])


def picture_of(path: Path) -> Image.Image:
    """A picture; of a film, some of its frames side by side."""
    if path.suffix != ".mp4":
        return Image.open(path)
    with av.open(str(path)) as film:
        frames = [frame.to_ndarray(format="rgb24") for frame in film.decode(video=0)]
    return Image.fromarray(np.hstack([frames[n] for n in SHOWN_FRAMES]))


def make(words: list[str], target: Path) -> None:
    """Run a command in a folder of its own, and write what it made as a small WebP."""
    if words[0] == "paint":
        steps = MORE_STEPS if {"--preset", "start", "noise"} & set(words) else STEPS
        words = [*words, "--size", str(SIDE), "--steps", str(steps)]
    elif "--gatys" in words:
        words = [*words, "--gatys", "5"]  # of which the sheet shows nothing
    else:
        words = [*words, "--frames", "6", "--side", "144"]
    with tempfile.TemporaryDirectory() as name:
        write_inputs(Path(name))
        os.chdir(name)
        if code := impasto(words):
            raise SystemExit(code)
        picture = picture_of(result_of(words)).convert("RGB")
        picture.thumbnail((WIDEST, 10 * WIDEST))
        picture.save(target, **WEBP)
        os.chdir(HERE)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("page", type=Path, help="docs/method.md; pictures that exist stay")
    page = parser.parse_args().page.resolve()
    (page.parent / "method").mkdir(exist_ok=True)
    for picture, words in commands(page).items():
        if not (target := page.parent / picture).exists():
            make(words, target)


if __name__ == "__main__":
    main()
