"""Distill the compact loss network from VGG-19: fit it layer by layer, then train it end to end.

    python -m impasto.models.training.distill \\
        --photos PHOTOS --paintings PAINTINGS --teacher VGG19 --out OUT

The fit is in closed form and takes two minutes on two cores; 2,600 steps of gradient descent from
random weights were worse at every layer. Each layer of the student approximates the most
informative channels of the teacher's layer, by least squares from the student's layer before it.
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

from impasto.models.loss_network import freeze, load_loss_network
from impasto.models.losses import STYLE_LAYERS, content_loss, gram_matrix, style_loss
from impasto.models.training.dataset import crops, list_photos, read_photo, resize_short_side
from impasto.models.vgg import (
    COMPACT_WIDTHS,
    HEADS,
    VGG,
    CompactNetwork,
    LossNetwork,
    compact_network,
)

Scales = dict[str, Tensor]  # layer -> (C, 1, 1), root mean square of each channel of the teacher

# --- Training images --------------------------------------------------------------------------


def training_images(photos: Path, paintings: Path, *, size: int, batch: int) -> Iterator[Tensor]:
    """Endless degraded crops (batch, 3, size, size) in about [0, 1]; a quarter of paintings."""
    generator = torch.Generator().manual_seed(1)
    photo_crops = crops(list_photos(photos)[0], size=size, batch=batch - batch // 4, seed=1)
    painting_crops = crops(split_paintings(paintings)[0], size=size, batch=batch // 4, seed=1)
    while True:
        images = degrade(torch.cat([next(photo_crops), next(painting_crops)]), generator)
        yield images.to(memory_format=torch.channels_last)


def split_paintings(folder: Path) -> tuple[list[Path], list[Path]]:
    """The paintings in `folder` as (training, validation: every fourth)."""
    paths = sorted(folder.glob("*.jpg"))
    return [path for index, path in enumerate(paths) if index % 4], paths[::4]


def degrade(images: Tensor, generator: torch.Generator) -> Tensor:
    """Images as a loss network meets them in training: noisy, flat, blurred, oversaturated.

    images: (N, 3, H, W) in [0, 1]. Each gets one of: nothing, white noise, a blend with another
    image, shuffled and stretched colors, a blur. The result may leave [0, 1] a little.
    """
    degraded = []
    for index, image in enumerate(images):
        kind, amount = torch.rand(2, generator=generator).tolist()
        if kind < 0.25:
            image = image + torch.randn(image.shape, generator=generator) * 0.3 * amount
        elif kind < 0.45:
            image = image.lerp(images[index - 1], 0.5 * amount)
        elif kind < 0.7:
            order = torch.randperm(3, generator=generator)
            mean = image.mean((1, 2), keepdim=True)
            image = ((image - mean) * (0.3 + 1.5 * amount) + mean)[order]
        elif kind < 0.8:
            small = F.interpolate(image[None], scale_factor=1 / (1 + 4 * amount), mode="bilinear")
            image = F.interpolate(small, size=image.shape[1:], mode="bilinear")[0]
        degraded.append(image)
    return torch.stack(degraded)


# --- The fit ----------------------------------------------------------------------------------


@torch.no_grad()
def channel_scales(teacher: VGG, batches: list[Tensor]) -> Scales:
    """The root mean square of each channel of each of the teacher's layers."""
    squares: Scales = {}
    for batch in batches:
        for layer, features in teacher(batch, teacher.convs).items():
            energy = features.float().square().mean((0, 2, 3)) / len(batches)
            squares[layer] = squares.get(layer, 0) + energy
    return {layer: s.sqrt().clamp_min(1e-3).view(-1, 1, 1) for layer, s in squares.items()}


@torch.no_grad()
def fit(teacher: VGG, batches: list[Tensor], scales: Scales) -> CompactNetwork:
    """A compact network in closed form; its heads give the teacher's features over `scales`.

    Both networks are computed layer by layer. The target of a layer is the teacher's convolution
    before ReLU, which is linear; far below zero it need not be exact.
    """
    student = CompactNetwork()
    x_student = [student.preprocess(batch) for batch in batches]
    x_teacher = [teacher.preprocess(batch) for batch in batches]
    for layer, convolution in student.convs.items():
        x_student = [student.pool_before(layer, x) for x in x_student]
        x_teacher = [teacher.convs[layer](teacher.pool_before(layer, x)) for x in x_teacher]
        targets = [(x.float() / scales[layer]).clamp_min_(-1) for x in x_teacher]
        channels = select_channels(targets, COMPACT_WIDTHS[int(layer[4]) - 1])
        least_squares(convolution, x_student, [x[:, channels] for x in targets])
        x_student = [F.relu(convolution(x)) for x in x_student]
        x_teacher = [F.relu(x) for x in x_teacher]
        if layer in HEADS:
            least_squares(student.heads[layer], x_student, targets)
    return student


def select_channels(features: list[Tensor], count: int) -> list[int]:
    """The `count` channels from which all others are best predicted, chosen one after another.

    features: (N, C, H, W) each, before ReLU. Greedy column subset selection: each choice takes as
    much as any one channel can from the correlations that are left unexplained (a pivoted Cholesky
    factorization with that choice of pivots).
    """
    residual = torch.zeros(features[0].shape[1], features[0].shape[1], dtype=torch.float64)
    for x in features:
        x = F.relu(x).transpose(0, 1).flatten(1)
        residual += (x @ x.T).double() / x.shape[1]
    selected: list[int] = []
    for _ in range(count):
        power = residual.diagonal()
        gain = residual.square().sum(0) / power.clamp_min(1e-9)
        gain[power < 1e-6 * power.max()] = 0
        gain[selected] = -1
        best = int(gain.argmax())
        update = torch.outer(residual[best], residual[best]) / power[best].clamp_min(1e-9)
        residual = residual - update
        selected.append(best)
    return selected


def least_squares(
    convolution: nn.Module, inputs: list[Tensor], outputs: list[Tensor], positions: int = 4000
) -> None:
    """Fit the weights of `convolution` to `outputs` at random positions of each.

    inputs: (N, C, H, W) each; outputs: (N, convolution's channels, H, W) each.
    """
    weight, bias = convolution.parameters()
    size = weight.shape[-1]
    rows = weight[0].numel() + 1
    normal_matrix = torch.zeros(rows, rows, dtype=torch.float64)
    products = torch.zeros(rows, len(weight), dtype=torch.float64)
    for x, y in zip(inputs, outputs, strict=True):
        x = F.unfold(x, size, padding=size // 2).transpose(1, 2).flatten(0, 1)
        y = y.permute(0, 2, 3, 1).flatten(0, 2)
        chosen = torch.randint(len(y), (min(positions, len(y)),))
        x = F.pad(x[chosen], (0, 1), value=1.0)  # the last column's weight is the bias
        normal_matrix += x.T @ x
        products += x.T @ y[chosen]
    ridge = 1e-5 * normal_matrix.diagonal().mean() * torch.eye(rows, dtype=torch.float64)
    solution = torch.linalg.solve(normal_matrix + ridge, products).float().T
    weight.copy_(solution[:, :-1].reshape(weight.shape))
    bias.copy_(solution[:, -1])


# --- Training end to end ----------------------------------------------------------------------


def mismatch(features: dict[str, Tensor], targets: dict[str, Tensor], scales: Scales) -> Tensor:
    """Relative error of features and of their Gram matrices, averaged over the layers.

    Features are compared divided by `scales`, as both come, so that weak channels count as well;
    Gram matrices without, as in the style loss.
    """
    errors = []
    for layer in HEADS:
        values, target = features[layer].float(), targets[layer]
        errors.append(content_loss(values, target).mean())
        if layer in STYLE_LAYERS:
            grams = {layer: gram_matrix(values * scales[layer])}
            errors.append(style_loss(grams, {layer: gram_matrix(target * scales[layer])}).mean())
    return torch.stack(errors).mean()


def train_student(
    student: CompactNetwork,
    teacher: VGG,
    batches: Iterator[Tensor],
    scales: Scales,
    *,
    steps: int,
    learning_rate: float,
    out: Path,
    device: str,
) -> None:
    """Minimize the mismatch of all layers by Adam, in place; save to `out` every 200 steps."""
    student = student.to(device).to(memory_format=torch.channels_last)
    adam = torch.optim.Adam(student.parameters(), betas=(0.9, 0.98))
    for step, batch in zip(range(steps), batches, strict=False):
        batch = batch.to(device)
        with torch.no_grad():
            targets = {k: v.float() / scales[k] for k, v in teacher(batch, HEADS).items()}
        with torch.autocast(device, torch.bfloat16):
            features = student(batch, HEADS)
        loss = mismatch(features, targets, scales)
        warm_up, cosine = min(1, (step + 1) / 100), math.cos(math.pi * step / steps)
        adam.param_groups[0]["lr"] = learning_rate * warm_up * (0.02 + 0.49 * (1 + cosine))
        adam.zero_grad()
        loss.backward()
        adam.step()
        if step % 200 == 199:
            print(step + 1, f"mismatch {loss.item():.4f}", flush=True)
            save_student(student, scales, out)
    save_student(student, scales, out)


def scale_heads(student: CompactNetwork, scales: Scales) -> None:
    """Multiply the output of each head by its channels' scales (positive, so ReLU commutes)."""
    for layer, head in student.heads.items():
        weight, bias = head.parameters()
        weight.data *= scales[layer].view(-1, 1, 1, 1)
        bias.data *= scales[layer].flatten()


def save_student(student: CompactNetwork, scales: Scales, out: Path) -> None:
    """Save the network in half precision, with outputs at the teacher's own scales."""
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
    """Print how well `student` approximates `teacher` on images it was not trained on.

    Feature error by layer; rank correlation of content losses (between a photo and degraded or
    blended versions of it) and of style losses (between such images and paintings).
    """
    for layer in HEADS:
        errors = []
        for path in photos:
            photo = read_photo(path)[None]
            features, target = (network(photo, [layer])[layer] for network in (student, teacher))
            errors.append(content_loss(features, target).item())
        print(f"{layer}: feature error {sum(errors) / len(errors):.3f}")

    network_values: dict[str, dict[str, list[float]]] = {}
    for name, network in (("student", student), ("teacher", teacher)):
        generator = torch.Generator().manual_seed(7)
        content, style = [], []
        style_grams = []
        for path in paintings:
            features = network(resize_short_side(read_photo(path), 256)[None], STYLE_LAYERS)
            style_grams.append({layer: gram_matrix(features[layer]) for layer in STYLE_LAYERS})
        for index, path in enumerate(photos):
            photo = resize_short_side(read_photo(path), 256)[:, :256, :256]
            other = resize_short_side(read_photo(photos[index - 1]), 256)[:, :256, :256]
            originals = torch.stack([photo, other, photo.lerp(other, 0.3), photo])
            variants = degrade(originals, generator)
            features = network(torch.cat([photo[None], variants]), HEADS)
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
    parser.add_argument("--parent", type=Path, help="an earlier result to train on, with no fit")
    parser.add_argument("--steps", type=int, default=6000, help="of training end to end")
    parser.add_argument("--learning-rate", type=float, default=5e-4)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    args = parser.parse_args()
    torch.manual_seed(1)
    teacher = load_loss_network("oxford", teacher=args.teacher, precision="bf16")
    assert isinstance(teacher, VGG), f"{args.teacher} is no VGG"
    images = training_images(args.photos, args.paintings, size=160, batch=8)
    batches = list(islice(images, 25))
    scales = channel_scales(teacher, batches)
    if args.parent:
        student = compact_network(args.parent)
        scale_heads(student, {layer: 1 / scale for layer, scale in scales.items()})
    else:
        student = fit(teacher, batches, scales)
        save_student(student, scales, args.out)
    del batches
    teacher = teacher.to(args.device)
    train_student(
        student,
        teacher,
        training_images(args.photos, args.paintings, size=192, batch=4),
        {layer: scale.to(args.device) for layer, scale in scales.items()},
        steps=args.steps,
        learning_rate=args.learning_rate,
        out=args.out,
        device=args.device,
    )
    result = freeze(compact_network(args.out), torch.bfloat16, "cpu")
    held_back = list_photos(args.photos)[1]
    compare(result, teacher.cpu(), held_back[:60], split_paintings(args.paintings)[1])


if __name__ == "__main__":
    main()
