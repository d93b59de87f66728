"""Train a style network, or the identity network.

    python -m impasto.models.training.train \\
        style PAINTING --photos PHOTOS --parent PARENT --out wave.safetensors
    python -m impasto.models.training.train \\
        identity --photos PHOTOS --parent PARENT --out identity.safetensors

The identity network reproduces its input. Networks can be mixed in weight space only if they
descend from one parent: the first style of an architecture is trained without a parent; all others,
and the identity network, start from it.

Runs on two CPU cores or on a GPU (channels last, in bfloat16 autocast where they compute in it). An
interrupted run resumes from its checkpoint when started again with the same arguments.
"""

import argparse
import csv
import json
import math
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
import torch.nn.functional as F
from safetensors.torch import save_file
from torch import Tensor, nn

from impasto.models.architectures import ARCHITECTURES, MARGIN
from impasto.models.flow import warp
from impasto.models.judge import StyleFigures, StyleMetrics, mean_figures
from impasto.models.loss_network import LossNetwork, load_loss_network
from impasto.models.losses import (
    CONTENT_LAYER,
    STYLE_LAYERS,
    content_loss,
    gram_matrix,
    style_loss,
    temporal_loss,
    total_variation,
    weave_loss,
)
from impasto.models.precision import computes_bfloat16
from impasto.models.styles import load_network
from impasto.models.training.checkpoint import StateDict, load_checkpoint, save_checkpoint
from impasto.models.training.dataset import (
    crops,
    list_photos,
    read_photo,
    resize_long_side,
    resize_short_side,
)
from impasto.models.transform_net import TransformNet

LAYERS = (*STYLE_LAYERS, CONTENT_LAYER)
LossTerms = dict[str, Tensor]  # scalars of one step by name, weighted


@dataclass(frozen=True)
class Recipe:
    """All parameters of training. Fields are saved with a network, so their names stay."""

    form: str = "fast"  # the architecture
    loss_network: str = "compact"
    steps: int = 1500
    batch: int = 2
    crop: int = 224  # px
    learning_rate: float = 2e-3
    content_weight: float = 1.0
    style_weight: float = 5.0
    tv_weight: float = 0.5
    temporal_weight: float = 50.0
    weave_weight: float = 1000.0  # of patterns that repeat every other pixel
    border_weight: float = 100.0  # of border effects of zero padding
    range_weight: float = 10.0  # keeps the unclamped output near [0, 1]
    painting_side: int = 512  # px, long side of the painting for images reduced to 2/3
    seed: int = 1


# --- The losses of one step -------------------------------------------------------------------


def identity_losses(network: nn.Module, photos: Tensor) -> LossTerms:
    """Losses of the identity network: error of pixels, and of edges, which suffer first by blur."""
    output = network(photos).float()
    error = output - photos
    edges = (error[..., 1:] - error[..., :-1]).abs().mean() + error.diff(dim=-2).abs().mean()
    return {"pixels": error.abs().mean(), "edges": edges}


@dataclass(frozen=True)
class StyleTargets:
    """Gram matrices of the painting at two sizes, and the loss network that gave them."""

    loss_network: LossNetwork
    small: StateDict  # by layer, at long side `painting_side`
    large: StateDict  # by layer, at 3/2 of it


def style_targets(
    painting: Tensor, loss_network: LossNetwork, recipe: Recipe, device: str
) -> StyleTargets:
    """The style targets of training. painting: (3, H, W) in [0, 1]."""
    painting = painting.to(device)

    @torch.no_grad()
    def grams(side: int) -> dict[str, Tensor]:
        features = loss_network(resize_long_side(painting, side)[None], STYLE_LAYERS)
        return {layer: gram_matrix(features[layer]) for layer in STYLE_LAYERS}

    side = recipe.painting_side
    return StyleTargets(loss_network, grams(side), grams(side * 3 // 2))


def style_losses(
    network: nn.Module,
    photos: Tensor,
    targets: StyleTargets,
    recipe: Recipe,
    generator: torch.Generator,
) -> LossTerms:
    """Losses of a style network on one batch, (N, 3, H, W) in [0, 1], N at least 2.

    Half of the batch is stylized at 3/2 of its size and compared after reducing it, which forms the
    image as a viewer sees it; the other half is compared at full size with the painting at 3/2 of
    its size, which forms the grain. Strokes have the same size in both.
    """
    half = len(photos) // 2
    with torch.no_grad():
        content = targets.loss_network(photos, [CONTENT_LAYER])[CONTENT_LAYER]

    enlarged = F.interpolate(photos[:half], scale_factor=1.5, mode="bilinear")
    stylized_large = network(enlarged).float()
    stylized = network(photos[half:]).float()
    reduced = F.interpolate(stylized_large, size=photos.shape[-2:], mode="bilinear", antialias=True)
    compared = torch.cat([reduced, stylized])

    features = targets.loss_network(compared, LAYERS)
    grams = {layer: gram_matrix(features[layer]) for layer in STYLE_LAYERS}
    target_grams = {
        layer: torch.cat(
            [
                targets.small[layer].expand(half, -1, -1),
                targets.large[layer].expand(len(photos) - half, -1, -1),
            ]
        )
        for layer in STYLE_LAYERS
    }
    losses = {
        "content": recipe.content_weight * content_loss(features[CONTENT_LAYER], content).mean(),
        "style": recipe.style_weight * style_loss(grams, target_grams).mean(),
        "tv": recipe.tv_weight
        * (total_variation(stylized_large).mean() + total_variation(stylized).mean()),
        "weave": recipe.weave_weight
        * (weave_loss(stylized_large).mean() + weave_loss(stylized).mean()),
        "border": recipe.border_weight * border_loss(network, photos[half:], stylized).mean(),
        "range": recipe.range_weight * (compared - compared.clamp(0, 1)).square().mean(),
    }
    if recipe.temporal_weight:
        moved = random_motion(photos[half:], stylized, generator)
        next_stylized = network(moved.photos).float()
        temporal = temporal_loss(next_stylized, moved.stylized, moved.mask).mean()
        losses["temporal"] = recipe.temporal_weight * temporal
    return losses


def border_loss(network: nn.Module, photos: Tensor, stylized: Tensor) -> Tensor:
    """Mean squared change of the pixels near the border when the input has a larger margin.

    photos, stylized: (N, 3, H, W). Returns (N,). Convolutions pad with zeros; the margin keeps most
    of the zeros' effect out of the image, and this loss reduces the rest.
    """
    with torch.no_grad():
        wide = network(F.pad(photos, 4 * [MARGIN], mode="reflect")).float()
    wide = wide[..., MARGIN:-MARGIN, MARGIN:-MARGIN]
    border = torch.ones(photos.shape[-2:], device=photos.device)
    border[MARGIN:-MARGIN, MARGIN:-MARGIN] = 0
    return ((stylized - wide).square() * border).sum((1, 2, 3)) / (3 * border.sum())


@dataclass(frozen=True)
class NextFrame:
    """The next frame of a synthetic video, and the previous stylized frame warped to it."""

    photos: Tensor  # (N, 3, H, W), warped, with new sensor noise
    stylized: Tensor  # (N, 3, H, W), warped by the same flow
    mask: Tensor  # (N, 1, H, W), 1 where the pixel was visible before


def random_motion(photos: Tensor, stylized: Tensor, generator: torch.Generator) -> NextFrame:
    """Synthetic camera motion: a shift of up to 8 px, a small rotation and zoom, and noise.

    photos, stylized: (N, 3, H, W) in [0, 1]. Half of the frames do not move, so that the network
    learns to ignore noise as well.
    """
    n, _, height, width = photos.shape

    def uniform(scale: float) -> Tensor:
        return (torch.rand(n, 1, 1, generator=generator) * 2 - 1).to(photos.device) * scale

    y = torch.arange(height, device=photos.device).view(1, -1, 1) - height / 2
    x = torch.arange(width, device=photos.device).view(1, 1, -1) - width / 2
    angle, zoom = uniform(0.03), uniform(0.03)
    moving = (torch.rand(n, 1, 1, generator=generator) < 0.5).to(photos.device)
    flow = torch.stack(
        [zoom * x - angle * y + uniform(8.0), angle * x + zoom * y + uniform(8.0)], dim=1
    ) * moving.unsqueeze(1)
    inside = (x + width / 2 + flow[:, 0]).clamp(0, width - 1) == x + width / 2 + flow[:, 0]
    inside &= (y + height / 2 + flow[:, 1]).clamp(0, height - 1) == y + height / 2 + flow[:, 1]
    noise = torch.randn(photos.shape, generator=generator).to(photos.device)
    level = torch.rand(n, 1, 1, 1, generator=generator).to(photos.device) * 0.03
    return NextFrame(
        photos=(warp(photos, flow) + level * noise).clamp(0, 1),
        stylized=warp(stylized, flow),
        mask=inside.unsqueeze(1).float(),
    )


# --- The loop ---------------------------------------------------------------------------------


def learning_rate_at(progress: float, step: int) -> float:
    """A factor of the full rate: 50 steps of warm-up, then half a cosine down to 2%.

    progress: from 0 to 1.
    """
    return min(1.0, (step + 1) / 50) * (0.02 + 0.49 * (1 + math.cos(math.pi * progress)))


def train(
    network: TransformNet,
    recipe: Recipe,
    batches: Iterator[Tensor],
    losses_of: Callable[[nn.Module, Tensor], LossTerms],
    *,
    out: Path,
    device: str,
    on_step: Callable[[int, LossTerms, StateDict], None] = lambda step, losses, average: None,
) -> TransformNet:
    """Minimize the sum of `losses_of(network, batch)` by Adam; return the averaged network.

    Writes `out`.checkpoint and a table of losses, `out`.csv, and resumes from them. on_step gets
    the number of steps done, the losses of the last one, and the averaged weights.
    The result's weights are an exponential moving average over about the last 100 steps.
    """
    network = network.to(device).to(memory_format=torch.channels_last).train()
    average = {name: value.detach().clone() for name, value in network.state_dict().items()}
    adam = torch.optim.Adam(network.parameters(), lr=recipe.learning_rate, betas=(0.9, 0.98))
    checkpoint = out.with_suffix(".checkpoint")
    native = computes_bfloat16(device)
    first = load_checkpoint(checkpoint, asdict(recipe), network, average, adam)

    with open(out.with_suffix(".csv"), "a" if first else "w", newline="") as table:
        rows = csv.writer(table)
        started = time.monotonic()
        for step, batch in zip(range(first, recipe.steps), batches, strict=False):
            for group in adam.param_groups:
                group["lr"] = recipe.learning_rate * learning_rate_at(step / recipe.steps, step)
            with torch.autocast(device, torch.bfloat16, enabled=native):
                losses = losses_of(network, batch.to(device, memory_format=torch.channels_last))
            adam.zero_grad()
            torch.stack(list(losses.values())).sum().backward()
            nn.utils.clip_grad_norm_(network.parameters(), 1.0)
            adam.step()
            decay = min(0.99, step / (step + 20))
            for name, value in network.state_dict().items():
                average[name].lerp_(value, 1 - decay)
            if step == 0:
                rows.writerow(["step", "seconds", *losses])
            if step % 20 == 19:
                values = {name: round(loss.item(), 5) for name, loss in losses.items()}
                rows.writerow([step + 1, round(time.monotonic() - started, 1), *values.values()])
                table.flush()
                save_checkpoint(checkpoint, asdict(recipe), step + 1, network, average, adam)
            on_step(step + 1, losses, average)
    network.load_state_dict(average)
    checkpoint.unlink(missing_ok=True)
    return network.eval()


# --- Validation -------------------------------------------------------------------------------


@torch.no_grad()
def evaluate_network(
    network: nn.Module, photos: list[Path], metrics: StyleMetrics
) -> tuple[StyleFigures, list[Tensor]]:
    """Mean figures over photos, and the stylized photos, (1, 3, H, W) in [0, 1].

    Photos are stylized at short side 384 px and rounded to 8 bits.
    """
    device = next(network.parameters()).device
    figures, pictures = [], []
    for path in photos:
        photo = read_photo(path).to(device)[None]
        stylized = network(resize_short_side(photo, 384)).float().clamp(0, 1)
        stylized = (stylized * 255).round() / 255
        figures.append(metrics(stylized, photo))
        pictures.append(stylized.cpu())
    return mean_figures(figures), pictures


def save_sheet(pictures: list[Tensor], path: Path) -> None:
    """Save the middle 384x384 px of each picture as one image, four in a row."""
    from torchvision.transforms.v2.functional import center_crop
    from torchvision.utils import save_image

    save_image(torch.cat([center_crop(p, [384, 384]) for p in pictures]), path, nrow=4)


# --- The two commands -------------------------------------------------------------------------


def save_network(network: TransformNet, path: Path, **note: str) -> None:
    """Save weights in half precision, with the architecture and `note` as the file's metadata."""
    tensors = {
        name: value.half().contiguous().cpu() for name, value in network.state_dict().items()
    }
    save_file(tensors, path, {"form": network.architecture, **note})


def train_identity(
    photos: Path, recipe: Recipe, parent: Path | None, out: Path, device: str
) -> TransformNet:
    """Train an identity network, the zero strength of all styles of its architecture."""
    torch.manual_seed(recipe.seed)
    training, _ = list_photos(photos)
    batches = crops(training, size=recipe.crop, batch=recipe.batch, seed=recipe.seed)
    network = load_network(parent) if parent else TransformNet(recipe.form)
    network.keep_tone()
    network = train(
        network, recipe, batches, identity_losses, out=out, device=device, on_step=report
    )
    save_network(network, out, recipe=json.dumps(asdict(recipe)))
    return network


def train_style(
    painting: Path,
    photos: Path,
    recipe: Recipe,
    parent: Path | None,
    out: Path,
    device: str,
    teacher: Path | None = None,
) -> TransformNet:
    """Train a style network for `painting`, and print its losses on held-back photos."""
    torch.manual_seed(recipe.seed)
    training, held_back = list_photos(photos)
    network = load_network(parent) if parent else TransformNet(recipe.form)
    loss_network = load_loss_network(recipe.loss_network, device=device, teacher=teacher)
    picture = read_photo(painting)
    metrics = StyleMetrics(loss_network, picture[None])
    targets = style_targets(picture, loss_network, recipe, device)
    generator = torch.Generator().manual_seed(recipe.seed)
    batches = crops(training, size=recipe.crop, batch=recipe.batch, seed=recipe.seed)

    def sheet(step: int, losses: LossTerms, average: StateDict) -> None:
        report(step, losses, average)
        if step % 600 == 0:
            averaged = TransformNet(recipe.form).to(device).eval()
            averaged.load_state_dict(average)
            _, pictures = evaluate_network(averaged, held_back[:8], metrics)
            save_sheet(pictures, out.with_suffix(".png"))

    network = train(
        network,
        recipe,
        batches,
        lambda network, batch: style_losses(network, batch, targets, recipe, generator),
        out=out,
        device=device,
        on_step=sheet,
    )
    figures, pictures = evaluate_network(network, held_back[::4], metrics)
    save_sheet(pictures[:8], out.with_suffix(".png"))
    found = {
        "content": f"{figures.content:.3f}",
        "style": f"{figures.style:.3f}",
        "strokes": f"{figures.strokes:.3f}",
        "vigor": " ".join(f"{value:.2f}" for value in figures.vigor),
    }
    print(f"{out.stem}:", *(f"{name} {value}" for name, value in found.items()), flush=True)
    save_network(network, out, recipe=json.dumps(asdict(recipe)), **found)
    return network


def report(step: int, losses: LossTerms, average: StateDict) -> None:
    """Print the losses of every 200th step."""
    if step % 200 == 0:
        print(step, *(f"{name} {loss:.4g}" for name, loss in losses.items()), flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True, metavar="{identity,style}")
    defaults = Recipe()
    for name, aliases in (("identity", ["trunk"]), ("style", [])):
        command = commands.add_parser(name, aliases=aliases)
        if name == "style":
            command.add_argument("painting", type=Path)
            command.add_argument("--teacher", type=Path, help="Oxford VGG-19 as safetensors")
        command.add_argument("--photos", type=Path, required=True)
        command.add_argument("--parent", type=Path, help="the network to start from")
        command.add_argument("--out", type=Path, required=True)
        command.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
        for field, value in asdict(defaults).items():
            choices = list(ARCHITECTURES) if field == "form" else None
            flag = "--" + field.replace("_", "-")
            command.add_argument(flag, type=type(value), default=value, choices=choices)
    args = parser.parse_args()
    recipe = Recipe(**{field: getattr(args, field) for field in asdict(defaults)})
    if args.command in ("identity", "trunk"):
        train_identity(args.photos, recipe, args.parent, args.out, args.device)
    else:
        train_style(
            args.painting,
            args.photos,
            recipe,
            args.parent,
            args.out,
            args.device,
            args.teacher,
        )


if __name__ == "__main__":
    main()
