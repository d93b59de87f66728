"""Compares the default settings of Gatys optimization with the paper's, by losses in VGG-19.

    python -m impasto.models.training.check_painting \\
        TEACHER --photos PHOTO ... --paintings PAINTING ... [--out DIR]

A development check. TEACHER is VGG-19 with its authors' weights, as `models.training.distill` takes
it. The lists are pairs of a photo, which is cropped square, and a painting. Each pair is stylized
with the default, in the compact network, and with the preset gatys2016, in TEACHER. Prints a line
an image: content and style loss in TEACHER (see `models.judge`), the painting at the photo's size;
then the means and their ratio. With --out, images are kept, and reused by the next run.
"""

import argparse
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor
from torchvision.utils import save_image

from impasto.models.gatys.optimize import PRESETS, Settings, StyleImage, paint, resized
from impasto.models.judge import StyleMetrics
from impasto.models.loss_network import load_loss_network
from impasto.models.training.dataset import read_photo


def stylized(content: Tensor, painting: Tensor, settings: Settings, file: Path | None) -> Tensor:
    """The result with these settings, read from `file` or saved to it, (1, 3, H, W) in [0, 1]."""
    if file is not None and file.exists():
        return read_photo(file)[None]
    *_, last = paint(content, [StyleImage(painting)], settings)
    if file is not None:
        save_image(last.image, file)
    return last.image


def pairs(options: argparse.Namespace) -> Iterator[tuple[Tensor, Tensor]]:
    """(photo, painting), each (1, 3, H, W) in [0, 1], the photo square, long sides equal."""
    for photo, painting in zip(options.photos, options.paintings, strict=True):
        content, art = read_photo(photo)[None], read_photo(painting)[None]
        side = min(content.shape[-2:])
        top, left = ((length - side) // 2 for length in content.shape[-2:])
        square = content[..., top : top + side, left : left + side]
        scale = min(1.0, options.side / max(art.shape[-2:]))
        size = round(art.shape[-2] * scale), round(art.shape[-1] * scale)
        yield resized(square, (options.side, options.side)), resized(art, size)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("teacher", type=Path)
    parser.add_argument("--photos", type=Path, nargs="+", required=True)
    parser.add_argument("--paintings", type=Path, nargs="+", required=True)
    parser.add_argument("--side", type=int, default=256, help="px")
    parser.add_argument("--steps", type=int, default=300, help="of gatys2016")
    parser.add_argument("--out", type=Path, help="a folder")
    options = parser.parse_args()
    teacher = load_loss_network("oxford", teacher=options.teacher)
    published = replace(
        PRESETS["gatys2016"],
        loss_network="oxford",
        teacher=options.teacher,
        steps=options.steps,
    )
    means = {}
    for name, settings in (("default", PRESETS["default"]), ("gatys2016", published)):
        rows = []
        for index, (content, art) in enumerate(pairs(options)):
            file = None
            if options.out is not None:
                file = options.out / name / f"{index}.png"
                file.parent.mkdir(parents=True, exist_ok=True)
            metrics = StyleMetrics(teacher, art, side=None, painting_side=None)
            figures = metrics(stylized(content, art, settings, file), content)
            rows.append((figures.content, figures.style))
            print(f"{name} {index}: content {rows[-1][0]:.3f}, style {rows[-1][1]:.4f}", flush=True)
        means[name] = torch.tensor(rows).mean(0)
        print(f"{name}: content {means[name][0]:.3f}, style {means[name][1]:.4f}", flush=True)
    content_ratio, style_ratio = (means["default"] / means["gatys2016"]).tolist()
    print(f"ratio: content {content_ratio:.2f}, style {style_ratio:.2f}")


if __name__ == "__main__":
    main()
