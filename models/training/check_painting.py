"""The default of painting by optimisation against the published one, judged in VGG-19 itself.

    python -m impasto.models.training.check_painting \\
        TEACHER --photos PHOTO ... --paintings PAINTING ... [--out DIR]

A development check. TEACHER is VGG-19 with its authors' weights, as `models.distil` takes it. Photo
and painting of the same place in the lists are a pair; photos are cut square. Each pair is painted
with the default, in the compact network, and with the preset gatys2016, in TEACHER. Prints a line a
picture: content and style loss in TEACHER as `impasto eval` counts them, the painting as large as
the photo; then the means and their ratio. With --out, pictures are kept, and taken up again.
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


def painted(content: Tensor, painting: Tensor, settings: Settings, kept: Path | None) -> Tensor:
    """The picture by these settings, or what was kept of it, (1, 3, H, W) in [0, 1]."""
    if kept is not None and kept.exists():
        return read_photo(kept)[None]
    *_, last = paint(content, [StyleImage(painting)], settings)
    if kept is not None:
        save_image(last.image, kept)
    return last.image


def pairs(options: argparse.Namespace) -> Iterator[tuple[Tensor, Tensor]]:
    """(photo, painting), each (1, 3, H, W) in [0, 1]: the photo square, both as large."""
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
            kept = None
            if options.out is not None:
                kept = options.out / name / f"{index}.png"
                kept.parent.mkdir(parents=True, exist_ok=True)
            metrics = StyleMetrics(teacher, art, side=None, painting_side=None)
            rows.append(metrics.losses(painted(content, art, settings, kept), content))
            print(f"{name} {index}: content {rows[-1][0]:.3f}, style {rows[-1][1]:.4f}", flush=True)
        means[name] = torch.tensor(rows).mean(0)
        print(f"{name}: content {means[name][0]:.3f}, style {means[name][1]:.4f}", flush=True)
    content_ratio, style_ratio = (means["default"] / means["gatys2016"]).tolist()
    print(f"ratio: content {content_ratio:.2f}, style {style_ratio:.2f}")


if __name__ == "__main__":
    main()
