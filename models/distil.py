"""Distil the compact loss network from VGG-19.

python -m models.distil --photos PHOTOS --paintings PAINTINGS --teacher VGG19 --out OUT
"""

import argparse
import copy
import math
from pathlib import Path

import torch
import torch.nn.functional as F
from safetensors.torch import save_file
from torch import Tensor

from models.loss_network import (
    MATCHED,
    CompactNetwork,
    LossNetwork,
    compact_network,
    freeze,
    oxford_vgg19,
)
from models.losses import STYLE_LAYERS, content_loss, gram_matrix, style_loss
from models.photos import crops, list_photos, read_photo, resize_short_side


def spoil(images: Tensor, dice: torch.Generator) -> Tensor:
    """What a loss network meets in training: noisy, flat, blurred, oversaturated pictures.

    images: (N, 3, H, W) in [0, 1]. Each picture gets one of: nothing, white noise, a blend with
    another picture, shuffled and stretched colours, a blur. May leave [0, 1] a little.
    """
    spoilt = []
    for index, image in enumerate(images):
        kind, amount = torch.rand(2, generator=dice).tolist()
        if kind < 0.25:
            image = image + torch.randn(image.shape, generator=dice) * 0.3 * amount
        elif kind < 0.45:
            image = image.lerp(images[index - 1], 0.5 * amount)
        elif kind < 0.7:
            order = torch.randperm(3, generator=dice)
            mean = image.mean((1, 2), keepdim=True)
            image = ((image - mean) * (0.3 + 1.5 * amount) + mean)[order]
        elif kind < 0.8:
            small = F.interpolate(image[None], scale_factor=1 / (1 + 4 * amount), mode="bilinear")
            image = F.interpolate(small, size=image.shape[1:], mode="bilinear")[0]
        spoilt.append(image)
    return torch.stack(spoilt)


@torch.no_grad()
def channel_scales(teacher: LossNetwork, photos: list[Path]) -> dict[str, Tensor]:
    """Root mean square of each matched channel of the teacher: layer -> (1, C, 1, 1)."""
    squares = {layer: torch.zeros(channels) for layer, channels in MATCHED.items()}
    for path in photos:
        features = teacher(read_photo(path)[None], MATCHED)
        for layer in MATCHED:
            squares[layer] += features[layer].float().square().mean((0, 2, 3)) / len(photos)
    return {layer: s.sqrt().clamp_min(1e-3).view(1, -1, 1, 1) for layer, s in squares.items()}


def mismatch(
    features: dict[str, Tensor], wanted: dict[str, Tensor], scales: dict[str, Tensor]
) -> Tensor:
    """Relative error of features and of their Gram matrices, averaged over the layers.

    Features are compared at their channels' own `scales` (both come divided by them), so that
    quiet channels are learnt too; Gram matrices at the teacher's, as the style loss sees them.
    """
    errors = []
    for layer in MATCHED:
        ours, theirs = features[layer].float(), wanted[layer]
        errors.append(content_loss(ours, theirs).mean())
        if layer in STYLE_LAYERS:
            grams = {layer: gram_matrix(ours * scales[layer])}
            errors.append(style_loss(grams, {layer: gram_matrix(theirs * scales[layer])}).mean())
    return torch.stack(errors).mean()


def distil(
    photos: Path, paintings: Path, teacher: LossNetwork, parent: Path | None, steps: int, out: Path
) -> None:
    """Train the compact network for `steps` steps, from `parent` where one is given."""
    torch.manual_seed(1)
    training, _ = list_photos(photos)
    pictures, _ = split_paintings(paintings)
    dice = torch.Generator().manual_seed(1)
    student = CompactNetwork().to(memory_format=torch.channels_last)
    adam = torch.optim.Adam(student.parameters(), lr=1.5e-3, betas=(0.9, 0.98))
    scales = channel_scales(teacher, training[::40])
    if parent:
        student.load_state_dict(compact_network(parent).state_dict())
        scale_heads(student, {layer: 1 / scale for layer, scale in scales.items()})
    # One picture in four is a piece of a painting.
    photo_crops = crops(training, size=192, batch=3, seed=1)
    painting_crops = crops(pictures, size=192, batch=1, seed=1)
    for step in range(steps):
        batch = spoil(torch.cat([next(photo_crops), next(painting_crops)]), dice)
        with torch.no_grad():
            wanted = {k: v.float() / scales[k] for k, v in teacher(batch, MATCHED).items()}
        with torch.autocast("cpu", torch.bfloat16):
            features = student(batch.to(memory_format=torch.channels_last), MATCHED)
        loss = mismatch(features, wanted, scales)
        adam.param_groups[0]["lr"] = (
            1.5e-3
            * min(1, (step + 1) / 100)
            * (0.02 + 0.49 * (1 + math.cos(math.pi * step / steps)))
        )
        adam.zero_grad()
        loss.backward()
        adam.step()
        if step % 100 == 99:
            print(step + 1, f"mismatch {loss.item():.4f}", flush=True)
            save_student(student, scales, out)
    save_student(student, scales, out)


def split_paintings(folder: Path) -> tuple[list[Path], list[Path]]:
    """The paintings in `folder` as (to learn from, to compare on: every fourth)."""
    paths = sorted(folder.glob("*.jpg"))
    return [path for index, path in enumerate(paths) if index % 4], paths[::4]


def scale_heads(student: CompactNetwork, scales: dict[str, Tensor]) -> None:
    """Multiply what each head gives by its channels' scales, which ReLU lets through."""
    for layer, scale in scales.items():
        weight, bias = student.heads[layer].parameters()
        weight.data *= scale.view(-1, 1, 1, 1)
        bias.data *= scale.flatten()


def save_student(student: CompactNetwork, scales: dict[str, Tensor], out: Path) -> None:
    """Half precision, at the teacher's own scales."""
    scaled = copy.deepcopy(student)
    scale_heads(scaled, scales)
    tensors = {name: value.half().contiguous() for name, value in scaled.state_dict().items()}
    save_file(tensors, out, {"teacher": "VGG-19, Simonyan and Zisserman 2014, CC BY 4.0"})


def rank_correlation(first: list[float], second: list[float]) -> float:
    """Spearman's rho of two equally long lists without ties."""
    ranks = [torch.tensor(values).argsort().argsort().float() for values in (first, second)]
    return float(torch.corrcoef(torch.stack(ranks))[0, 1])


@torch.no_grad()
def compare(
    student: LossNetwork, teacher: LossNetwork, photos: list[Path], paintings: list[Path]
) -> None:
    """Print how well `student` stands in for `teacher` on pictures it has not seen.

    Feature error by layer; rank correlation of content losses (between a photo and spoilt,
    mixed versions of it) and of style losses (between such pictures and paintings).
    """
    for layer in MATCHED:
        errors = []
        for path in photos:
            photo = read_photo(path)[None]
            ours, theirs = (network(photo, [layer])[layer] for network in (student, teacher))
            errors.append(content_loss(ours, theirs).item())
        print(f"{layer}: feature error {sum(errors) / len(errors):.3f}")

    network_values: dict[str, dict[str, list[float]]] = {}
    for name, network in (("student", student), ("teacher", teacher)):
        dice = torch.Generator().manual_seed(7)
        content, style = [], []
        style_grams = []
        for path in paintings:
            features = network(resize_short_side(read_photo(path), 256)[None], STYLE_LAYERS)
            style_grams.append({layer: gram_matrix(features[layer]) for layer in STYLE_LAYERS})
        for index, path in enumerate(photos):
            photo = resize_short_side(read_photo(path), 256)[:, :256, :256]
            other = resize_short_side(read_photo(photos[index - 1]), 256)[:, :256, :256]
            variants = spoil(torch.stack([photo, other, photo.lerp(other, 0.3), photo]), dice)
            features = network(torch.cat([photo[None], variants]), MATCHED)
            target = features["relu4_2"][:1]
            content += content_loss(features["relu4_2"][1:], target).tolist()
            grams = {layer: gram_matrix(features[layer][1:]) for layer in STYLE_LAYERS}
            style += style_loss(grams, style_grams[index % len(style_grams)]).tolist()
        network_values[name] = {"content": content, "style": style}
    for kind in ("content", "style"):
        rho = rank_correlation(*(network_values[n][kind] for n in ("student", "teacher")))
        print(f"{kind}: rank correlation {rho:.3f} over {len(network_values['teacher'][kind])}")


def main() -> None:
    """The command line above."""
    parser = argparse.ArgumentParser(description=__doc__)
    for name in ("photos", "paintings", "teacher", "out"):
        parser.add_argument(f"--{name}", type=Path, required=True)
    parser.add_argument("--parent", type=Path, help="an earlier result to start from")
    parser.add_argument("--steps", type=int, default=3000)
    given = parser.parse_args()
    teacher = freeze(oxford_vgg19(given.teacher), torch.bfloat16, "cpu")
    if given.steps:
        distil(given.photos, given.paintings, teacher, given.parent, given.steps, given.out)
    student = freeze(compact_network(given.out), torch.bfloat16, "cpu")
    held_back = list_photos(given.photos)[1]
    compare(student, teacher, held_back[:60], split_paintings(given.paintings)[1])


if __name__ == "__main__":
    main()
