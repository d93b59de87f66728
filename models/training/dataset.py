"""Training photos: random crops of the images in a folder, reproducible by seed."""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import av
import torch
from torch import Tensor
from torchvision.transforms.v2 import functional as T

from impasto.models.errors import SourceError

HOLD_BACK = 25  # every 25th photo is kept for validation


def read_photo(path: Path) -> Tensor:
    """An image file as (3, H, W) float32 RGB in [0, 1]. Raises SourceError."""
    try:
        with av.open(str(path)) as container:
            picture = next(container.decode(video=0)).to_ndarray(format="rgb24")
    except (OSError, av.FFmpegError, IndexError, StopIteration) as error:
        reason = getattr(error, "strerror", None) or "it holds no picture"
        raise SourceError(f"cannot read {path} as a picture: {reason}") from None
    return torch.from_numpy(picture).permute(2, 0, 1).float() / 255


def list_photos(folder: Path) -> tuple[list[Path], list[Path]]:
    """The image files in `folder` and below it, sorted, as (training, validation).

    Raises SourceError for fewer than two.
    """
    paths = sorted(
        p for p in folder.rglob("*") if p.suffix.lower() in {".jpg", ".jpeg", ".png", ".webp"}
    )
    if len(paths) < 2:
        raise SourceError(f"{folder} holds {len(paths)} pictures; training needs some hundreds")
    held_back = paths[::HOLD_BACK]
    return [p for p in paths if p not in set(held_back)], held_back


def resize_short_side(image: Tensor, short_side: int) -> Tensor:
    """(..., H, W) scaled so that the shorter side has `short_side` px, antialiased."""
    return T.resize(image, [short_side], antialias=True).clamp(0, 1)


def resize_long_side(image: Tensor, long_side: int) -> Tensor:
    """(..., H, W) scaled so that the longer side has `long_side` px, antialiased."""
    height, width = image.shape[-2:]
    scale = long_side / max(height, width)
    size = [max(1, round(height * scale)), max(1, round(width * scale))]
    return T.resize(image, size, antialias=True).clamp(0, 1)


def crops(
    paths: Sequence[Path],
    *,
    size: int,
    batch: int,
    seed: int,
    first: int = 0,
    read: Callable[[Path], Tensor | None] = read_photo,
) -> Iterator[Tensor]:
    """Endless batches (batch, 3, size, size) of random crops, half of them mirrored.

    Each photo comes once before any comes twice. Photos smaller than `size` are enlarged. first:
    batches to leave out, as a run that continues has had them. read: a photo, (3, H, W) in [0, 1];
    None leaves it out.
    """
    left_out = first * batch
    generator = torch.Generator().manual_seed(seed)
    batch_crops: list[Tensor] = []
    while True:
        for index in torch.randperm(len(paths), generator=generator).tolist():
            top, left, mirror = torch.rand(3, generator=generator).tolist()
            if left_out:
                left_out -= 1
                continue
            photo = read(paths[index])
            if photo is None:
                continue
            if min(photo.shape[1:]) < size:
                photo = resize_short_side(photo, size)
            y = int(top * (photo.shape[1] - size + 1))
            x = int(left * (photo.shape[2] - size + 1))
            crop = photo[:, y : y + size, x : x + size]
            batch_crops.append(crop.flip(2) if mirror < 0.5 else crop)
            if len(batch_crops) == batch:
                yield torch.stack(batch_crops)
                batch_crops = []
