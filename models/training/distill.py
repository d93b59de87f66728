"""Distil the compact loss network from VGG-19: fit it layer by layer, then polish it as a whole.

    python -m impasto.models.training.distill \\
        --photos PHOTOS --paintings PAINTINGS --teacher VGG19 --out OUT

The fit is in closed form and takes two minutes on two cores; 2,600 steps of descent from random
weights were worse at every layer. Each narrow layer stands for those channels of the teacher's that
tell most about the others, and is the least squares from the narrow layer before it.
"""

import argparse
import copy
import math
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import torch
import torch.nn.functional as F
from safetensors.torch import save_file
from torch import Tensor, nn

from impasto.models.loss_network import (
    COMPACT_WIDTHS,
    MATCHED,
    CompactNetwork,
    LossNetwork,
    compact_network,
    freeze,
    oxford_vgg19,
)
from impasto.models.losses import STYLE_LAYERS, content_loss, gram_matrix, style_loss
from impasto.models.training.dataset import crops, list_photos, read_photo, resize_short_side

Scales = dict[str, Tensor]  # layer -> (C, 1, 1), root mean square of each channel of the teacher

# --- The pictures -----------------------------------------------------------------------------


def pictures(photos: Path, paintings: Path, *, size: int, batch: int) -> Iterator[Tensor]:
    """Endless spoilt crops (batch, 3, size, size) in about [0, 1]; a quarter are of paintings."""
    dice = torch.Generator().manual_seed(1)
    photo_crops = crops(list_photos(photos)[0], size=size, batch=batch - batch // 4, seed=1)
    painting_crops = crops(split_paintings(paintings)[0], size=size, batch=batch // 4, seed=1)
    while True:
        images = spoil(torch.cat([next(photo_crops), next(painting_crops)]), dice)
        yield images.to(memory_format=torch.channels_last)


def split_paintings(folder: Path) -> tuple[list[Path], list[Path]]:
    """The paintings in `folder` as (to learn from, to compare on: every fourth)."""
    paths = sorted(folder.glob("*.jpg"))
    return [path for index, path in enumerate(paths) if index % 4], paths[::4]


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


# --- The fit ----------------------------------------------------------------------------------


@torch.no_grad()
def channel_scales(teacher: LossNetwork, batches: list[Tensor]) -> Scales:
    """How strong each channel of each of the teacher's layers is."""
    squares: Scales = {}
    for batch in batches:
        for layer, features in teacher(batch, teacher.convs).items():
            energy = features.float().square().mean((0, 2, 3)) / len(batches)
            squares[layer] = squares.get(layer, 0) + energy
    return {layer: s.sqrt().clamp_min(1e-3).view(-1, 1, 1) for layer, s in squares.items()}


@torch.no_grad()
def fit(teacher: LossNetwork, batches: list[Tensor], scales: Scales) -> CompactNetwork:
    """A compact network in closed form; its heads give the teacher's features over `scales`.

    Both networks are walked down side by side. What a layer learns to give is the teacher's
    convolution before ReLU, which is linear; far below zero it need not be exact.
    """
    student = CompactNetwork()
    ours = [student.preprocess(batch) for batch in batches]
    theirs = [teacher.preprocess(batch) for batch in batches]
    for layer, convolution in student.convs.items():
        ours = [student.pooled(layer, x) for x in ours]
        theirs = [teacher.convs[layer](teacher.pooled(layer, x)) for x in theirs]
        wanted = [(x.float() / scales[layer]).clamp_min_(-1) for x in theirs]
        kept = telling_channels(wanted, COMPACT_WIDTHS[int(layer[4]) - 1])
        least_squares(convolution, ours, [x[:, kept] for x in wanted])
        ours = [F.relu(convolution(x)) for x in ours]
        theirs = [F.relu(x) for x in theirs]
        if layer in MATCHED:
            least_squares(student.heads[layer], ours, wanted)
    return student


def telling_channels(features: list[Tensor], count: int) -> list[int]:
    """The `count` channels from which all others are best predicted, chosen one after another.

    features: (N, C, H, W) each, before ReLU. Greedy column subset selection: each choice takes
    from the correlations of what is left unexplained as much as any one channel can (a Cholesky
    factorisation whose pivot is chosen by that).
    """
    left = torch.zeros(features[0].shape[1], features[0].shape[1], dtype=torch.float64)
    for x in features:
        x = F.relu(x).transpose(0, 1).flatten(1)
        left += (x @ x.T).double() / x.shape[1]
    kept: list[int] = []
    for _ in range(count):
        power = left.diagonal()
        gain = left.square().sum(0) / power.clamp_min(1e-9)
        gain[power < 1e-6 * power.max()] = 0
        gain[kept] = -1
        best = int(gain.argmax())
        left = left - torch.outer(left[best], left[best]) / power[best].clamp_min(1e-9)
        kept.append(best)
    return kept


def least_squares(
    convolution: nn.Module, inputs: list[Tensor], outputs: list[Tensor], places: int = 4000
) -> None:
    """Set the weights so that `convolution` comes closest to `outputs`, at random places of each.

    inputs: (N, C, H, W) each; outputs: (N, convolution's channels, H, W) each.
    """
    weight, bias = convolution.parameters()
    size = weight.shape[-1]
    rows = weight[0].numel() + 1
    moments = torch.zeros(rows, rows, dtype=torch.float64)
    products = torch.zeros(rows, len(weight), dtype=torch.float64)
    for x, y in zip(inputs, outputs, strict=True):
        x = F.unfold(x, size, padding=size // 2).transpose(1, 2).flatten(0, 1)
        y = y.permute(0, 2, 3, 1).flatten(0, 2)
        at = torch.randint(len(y), (min(places, len(y)),))
        x = F.pad(x[at], (0, 1), value=1.0)  # the last column's weight is the bias
        moments += x.T @ x
        products += x.T @ y[at]
    ridge = 1e-5 * moments.diagonal().mean() * torch.eye(rows, dtype=torch.float64)
    solution = torch.linalg.solve(moments + ridge, products).float().T
    weight.copy_(solution[:, :-1].reshape(weight.shape))
    bias.copy_(solution[:, -1])


# --- The polish -------------------------------------------------------------------------------


def mismatch(features: dict[str, Tensor], wanted: dict[str, Tensor], scales: Scales) -> Tensor:
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


def polish(
    student: CompactNetwork,
    teacher: LossNetwork,
    batches: Iterator[Tensor],
    scales: Scales,
    *,
    steps: int,
    learning_rate: float,
    out: Path,
    device: str,
) -> None:
    """Lower the mismatch of the whole network by Adam. Saves it every 200 steps."""
    student = student.to(device).to(memory_format=torch.channels_last)
    adam = torch.optim.Adam(student.parameters(), betas=(0.9, 0.98))
    for step, batch in zip(range(steps), batches, strict=False):
        batch = batch.to(device)
        with torch.no_grad():
            wanted = {k: v.float() / scales[k] for k, v in teacher(batch, MATCHED).items()}
        with torch.autocast(device, torch.bfloat16):
            features = student(batch, MATCHED)
        loss = mismatch(features, wanted, scales)
        warming, cosine = min(1, (step + 1) / 100), math.cos(math.pi * step / steps)
        adam.param_groups[0]["lr"] = learning_rate * warming * (0.02 + 0.49 * (1 + cosine))
        adam.zero_grad()
        loss.backward()
        adam.step()
        if step % 200 == 199:
            print(step + 1, f"mismatch {loss.item():.4f}", flush=True)
            save_student(student, scales, out)
    save_student(student, scales, out)


def scale_heads(student: CompactNetwork, scales: Scales) -> None:
    """Multiply what each head gives by its channels' scales, which ReLU lets through."""
    for layer, head in student.heads.items():
        weight, bias = head.parameters()
        weight.data *= scales[layer].view(-1, 1, 1, 1)
        bias.data *= scales[layer].flatten()


def save_student(student: CompactNetwork, scales: Scales, out: Path) -> None:
    """Half precision, at the teacher's own scales."""
    scaled = copy.deepcopy(student)
    scale_heads(scaled, scales)
    tensors = {name: value.half().contiguous().cpu() for name, value in scaled.state_dict().items()}
    save_file(tensors, out, {"teacher": "VGG-19, Simonyan and Zisserman 2014, CC BY 4.0"})


# --- The comparison ---------------------------------------------------------------------------


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
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    for name in ("photos", "paintings", "teacher", "out"):
        parser.add_argument(f"--{name}", type=Path, required=True)
    parser.add_argument("--parent", type=Path, help="an earlier result to polish, not fitted anew")
    parser.add_argument("--steps", type=int, default=6000, help="of polish")
    parser.add_argument("--learning-rate", type=float, default=5e-4)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    given = parser.parse_args()
    torch.manual_seed(1)
    teacher = freeze(oxford_vgg19(given.teacher), torch.bfloat16, "cpu")
    few = pictures(given.photos, given.paintings, size=160, batch=8)
    batches = list(islice(few, 25))
    scales = channel_scales(teacher, batches)
    if given.parent:
        student = compact_network(given.parent)
        scale_heads(student, {layer: 1 / scale for layer, scale in scales.items()})
    else:
        student = fit(teacher, batches, scales)
        save_student(student, scales, given.out)
    del batches
    teacher = teacher.to(given.device)
    polish(
        student,
        teacher,
        pictures(given.photos, given.paintings, size=192, batch=4),
        {layer: scale.to(given.device) for layer, scale in scales.items()},
        steps=given.steps,
        learning_rate=given.learning_rate,
        out=given.out,
        device=given.device,
    )
    result = freeze(compact_network(given.out), torch.bfloat16, "cpu")
    held_back = list_photos(given.photos)[1]
    compare(result, teacher.cpu(), held_back[:60], split_paintings(given.paintings)[1])


if __name__ == "__main__":
    main()
