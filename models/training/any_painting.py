"""Train a network for any painting: one body, and the predictor of its norms.

    python -m impasto.models.training.any_painting PAINTINGS --photos PHOTOS --out FILE

After Ghiasi et al. 2017; see `models.prediction`, which uses what is trained here. PAINTINGS is a
folder. The steps are those of `train`, each with as many paintings as photos. The body begins as
the mean of the package's styles. FILE.safetensors gets the result, for `publish any`; every
1,000 steps FILE.STEP.safetensors does.
"""

import argparse
import json
import random
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path

import torch
import torch.nn.functional as F
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.func import functional_call
from torchvision.transforms.v2 import functional as T

from impasto.models import styles
from impasto.models.architectures import ARCHITECTURES
from impasto.models.errors import SourceError
from impasto.models.loss_network import LossNetwork, load_loss_network
from impasto.models.losses import STYLE_LAYERS, gram_matrix
from impasto.models.precision import Precision
from impasto.models.prediction import COMPONENTS, predicted_shapes
from impasto.models.training.checkpoint import StateDict
from impasto.models.training.dataset import crops, list_photos, read_photo, resize_short_side
from impasto.models.training.loop import train
from impasto.models.training.objectives import LossTerms, StyleTargets, style_losses
from impasto.models.training.recipe import Recipe, add_recipe_options, recipe_from
from impasto.models.transform_net import TransformNet
from impasto.models.vgg import COMPACT_WIDTHS

_HIDDEN = (384, 256)  # widths of the predictor's layers
_FITTED = 480  # paintings by which the predictor's input is standardized
_HOLD_BACK = 47  # every 47th painting is kept for validation
_SIDES = (152, 176, 200)  # px, of a painting for photos reduced to 2/3; 3/2 of it for others
_LEAST_PART = 0.35  # of a painting's short side
_SAVE_STEPS, _PRINT_STEPS = 1000, 20


# --- The networks -----------------------------------------------------------------------------


class ConditionalNorm(nn.Module):
    """Instance norm whose scale and shift, (C,) or (N, C), can differ from image to image."""

    def __init__(self, norm: nn.InstanceNorm2d) -> None:
        super().__init__()
        self.weight, self.bias, self.eps = norm.weight, norm.bias, norm.eps

    def forward(self, x: Tensor) -> Tensor:
        y = F.instance_norm(x, eps=self.eps)
        return y * self.weight[..., None, None] + self.bias[..., None, None]


class PaintingStatistics(nn.Module):
    """What the predictor sees of paintings: see `prediction.statistics`."""

    def __init__(self) -> None:
        super().__init__()
        for layer, width in zip(STYLE_LAYERS, COMPACT_WIDTHS, strict=True):
            self.register_buffer(f"{layer}_projection", torch.zeros(COMPONENTS, width + 1))
        self.size = len(STYLE_LAYERS) * (COMPONENTS * (COMPONENTS + 1) // 2 + COMPONENTS)
        self.mean: Tensor
        self.deviation: Tensor
        self.register_buffer("mean", torch.zeros(self.size))
        self.register_buffer("deviation", torch.ones(self.size))

    def forward(self, grams: Mapping[str, Tensor]) -> Tensor:
        """grams: of N paintings, by layer, from `grams_with_mean`. Returns (N, size)."""
        return ((self._raw(grams) - self.mean) / self.deviation).clamp(-5, 5)

    def _raw(self, grams: Mapping[str, Tensor]) -> Tensor:
        parts, upper = [], torch.triu_indices(COMPONENTS, COMPONENTS)
        for layer in STYLE_LAYERS:
            projection = self.get_buffer(f"{layer}_projection")
            projected = projection @ grams[layer]
            parts += [projected[..., -1], (projected @ projection.T)[:, upper[0], upper[1]]]
        raw = torch.cat(parts, 1)
        return raw.sign() * (raw.abs() + 0.01).sqrt()

    def fit(self, paintings: Iterable[Mapping[str, Tensor]]) -> None:
        """Find components, and what is usual, from the Gram matrices of many paintings."""
        each = list(paintings)
        for layer in STYLE_LAYERS:
            gram = torch.cat([x[layer] for x in each]).double().mean(0)
            mean = gram[-1, :-1]
            values, vectors = torch.linalg.eigh(gram[:-1, :-1] - torch.outer(mean, mean))
            values, vectors = values[-COMPONENTS:], vectors[:, -COMPONENTS:]
            whitening = (vectors / (values + 1e-6 * values[-1]).sqrt()).T
            projection = torch.cat([whitening, -(whitening @ mean)[:, None]], 1)
            self.get_buffer(f"{layer}_projection").copy_(projection)
        raw = torch.cat([self._raw(x) for x in each])
        self.mean.copy_(raw.mean(0))
        self.deviation.copy_(raw.std(0) + 1e-3)


class StylePredictor(nn.Module):
    """Paintings' statistics to the weights of `predicted_shapes`, (N, ...) each."""

    def __init__(self, architecture: str) -> None:
        super().__init__()
        self.shapes = predicted_shapes(architecture)
        self.sizes = [torch.Size(shape).numel() for shape in self.shapes.values()]
        self.statistics = PaintingStatistics()
        first, second = _HIDDEN
        self.layers = nn.Sequential(
            nn.Linear(self.statistics.size, first),
            nn.ReLU(),
            nn.Linear(first, second),
            nn.ReLU(),
            nn.Linear(second, sum(self.sizes)),
        )

    def start_from(self, weights: Mapping[str, Tensor]) -> None:
        """Predict these for every painting, until trained."""
        last = self.layers[-1]
        assert isinstance(last, nn.Linear)
        nn.init.zeros_(last.weight)
        with torch.no_grad():
            last.bias.copy_(torch.cat([weights[name].flatten() for name in self.shapes]))

    def forward(self, grams: Mapping[str, Tensor]) -> dict[str, Tensor]:
        parts = self.layers(self.statistics(grams)).split(self.sizes, dim=1)
        named = zip(self.shapes.items(), parts, strict=True)
        return {name: part.unflatten(1, shape) for (name, shape), part in named}


class AnyPaintingNetwork(nn.Module):
    """A style network without norms of its own, and the predictor of them."""

    def __init__(self, architecture: str) -> None:
        super().__init__()
        self.network = TransformNet(architecture)
        for module in list(self.network.modules()):
            for name, child in list(module.named_children()):
                if isinstance(child, nn.InstanceNorm2d):
                    setattr(module, name, ConditionalNorm(child))
        self.predictor = StylePredictor(architecture)

    def start_from(self, networks: Sequence[nn.Module]) -> None:
        """Begin as the mean of style networks with a common ancestor."""
        states = [each.state_dict() for each in networks]
        mean = {name: torch.stack([x[name] for x in states]).mean(0) for name in states[0]}
        self.network.load_state_dict(mean)
        self.predictor.start_from(mean)

    def forward(self, images: Tensor, style: Mapping[str, Tensor]) -> Tensor:
        """images: (N, 3, H, W) in [0, 1]; style: the predictor's output for N paintings, or one."""
        stylized: Tensor = functional_call(self.network, dict(style), (images,))
        return stylized


def grams_with_mean(features: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """See `prediction.gram_with_mean`: (N, C, h, w) by layer to (N, C + 1, C + 1)."""
    with_one = {k: F.pad(features[k], (0, 0, 0, 0, 0, 1), value=1) for k in STYLE_LAYERS}
    return {layer: gram_matrix(x) for layer, x in with_one.items()}


# --- The paintings ----------------------------------------------------------------------------


def list_paintings(folder: Path) -> tuple[list[Path], list[Path]]:
    """The pictures in `folder` and below it, as (training, validation)."""
    paths = sorted(p for p in folder.rglob("*") if p.suffix.lower() in {".jpg", ".png"})
    held_back = paths[::_HOLD_BACK]
    return [p for p in paths if p not in set(held_back)], held_back


def painting_parts(paths: Sequence[Path], count: int, seed: int) -> Iterator[tuple[Tensor, Tensor]]:
    """Endless pairs of `count` paintings at two sizes, (count, 3, S, S) and 3/2 of it.

    S is one of _SIDES. Random parts, mirrored, turned and recolored: few paintings stand for many.
    """
    chance = random.Random(seed)
    while True:
        order = chance.sample(paths, len(paths))
        for start in range(0, len(order) - count + 1, count):
            side = chance.choice(_SIDES)
            parts = [
                _part(read_photo(path), side * 3 // 2, chance)
                for path in order[start : start + count]
            ]
            large = torch.stack(parts)
            yield resize_short_side(large, side), large


def _part(painting: Tensor, side: int, chance: random.Random) -> Tensor:
    """A square part, (3, side, side), of a third or more of the painting's short side.

    So its strokes come in many widths, as those of the pictures that users name.
    """
    height, width = painting.shape[1:]
    part = int(min(height, width) * chance.uniform(_LEAST_PART, 1.0))
    top, left = chance.randint(0, height - part), chance.randint(0, width - part)
    painting = T.resized_crop(painting, top, left, part, part, [side, side], antialias=True)
    painting = painting.clamp(0, 1)
    if chance.random() < 0.5:
        painting = painting.flip(2)
    if chance.random() < 0.1:
        painting = painting.rot90(chance.choice((1, 3)), (1, 2))
    if chance.random() < 0.25:
        painting = T.adjust_hue(painting, chance.uniform(-0.5, 0.5))
    if chance.random() < 0.3:
        painting = T.adjust_saturation(painting, chance.uniform(0.3, 1.8))
    if chance.random() < 0.3:
        painting = T.adjust_gamma(painting, chance.uniform(0.6, 1.6))
    return painting.clamp(0, 1)


class PaintingTargets:
    """Paintings as training needs them: the predictor's input, and the targets of the losses."""

    def __init__(self, compact: LossNetwork, judge: LossNetwork) -> None:
        """judge: the loss network that the losses are measured in; `compact` may be it."""
        self._compact, self._judge = compact, judge

    @torch.no_grad()
    def __call__(self, small: Tensor, large: Tensor) -> tuple[dict[str, Tensor], StyleTargets]:
        """small, large: from `painting_parts`, N each. Returns the Gram matrices of all for the
        predictor; the targets are the small ones of the first half, the large ones of the rest."""
        half = len(small) // 2
        near, far = (
            {k: gram_matrix(x) for k, x in self._judge(each, STYLE_LAYERS).items()}
            for each in (small[:half], large[half:])
        )
        grams = grams_with_mean(self._compact.backbone(small, STYLE_LAYERS))
        return grams, StyleTargets(self._judge, near, far, small)


# --- Training ---------------------------------------------------------------------------------


def train_any_painting(
    paintings: Path,
    photos: Path,
    recipe: Recipe,
    parent: Path | None,
    out: Path,
    *,
    device: str,
    precision: Precision = "auto",
    teacher: Path | None = None,
) -> None:
    """Train on the paintings and photos in two folders, and write OUT.safetensors.

    parent: what such a run wrote, to go on from; None begins anew. teacher: VGG-19, in which the
    losses are then measured.
    """
    torch.manual_seed(recipe.seed)
    known, _ = list_paintings(paintings)
    if len(known) < recipe.batch:
        raise SourceError(f"{paintings} holds {len(known)} pictures; training needs thousands")
    training, _ = list_photos(photos)
    compact = load_loss_network("compact", device=device, precision=precision)
    judge = compact
    if teacher is not None:
        judge = load_loss_network("oxford", device=device, precision=precision, teacher=teacher)
    network = AnyPaintingNetwork(recipe.form)
    if parent is not None:
        network.load_state_dict(load_file(parent))
    else:
        _begin(network, known, compact, recipe.form)
    targets_of = PaintingTargets(compact, judge)
    generator = torch.Generator().manual_seed(recipe.seed)
    parts = painting_parts(known, recipe.batch, seed=recipe.seed)

    def losses_of(module: nn.Module, batch: Tensor) -> LossTerms:
        assert isinstance(module, AnyPaintingNetwork)
        grams, targets = targets_of(*(x.to(device) for x in next(parts)))
        style = module.predictor(grams)
        half, enlarged = len(batch) // 2, batch.shape[-1] * 3 // 2

        def painted(images: Tensor) -> Tensor:
            which = slice(0, half) if images.shape[-1] == enlarged else slice(half, None)
            return module(images, {name: each[which] for name, each in style.items()})

        return style_losses(painted, batch, targets, recipe, generator)

    def report(step: int, losses: LossTerms, average: StateDict) -> None:
        if step % _PRINT_STEPS == 0:
            print(step, {name: round(loss.item(), 3) for name, loss in losses.items()}, flush=True)
        if step % _SAVE_STEPS == 0:
            _save(average, out.with_suffix(f".{step}.safetensors"), recipe)

    network = train(
        network,
        recipe,
        crops(training, size=recipe.crop, batch=recipe.batch, seed=recipe.seed),
        losses_of,
        out=out,
        device=device,
        precision=precision,
        on_step=report,
    )
    _save(network.state_dict(), out.with_suffix(".safetensors"), recipe)


@torch.no_grad()
def _begin(
    network: AnyPaintingNetwork, known: Sequence[Path], compact: LossNetwork, architecture: str
) -> None:
    """The mean of the package's styles, and the predictor's input standardized."""
    files = [styles.style_file(name, architecture) for name in styles.known_styles(architecture)]
    network.start_from([styles.load_network(path) for path in files])
    parts, device = painting_parts(known, 4, seed=7), next(compact.parameters()).device
    network.predictor.statistics.fit(
        {
            layer: gram.cpu()
            for layer, gram in grams_with_mean(
                compact.backbone(next(parts)[0].to(device), STYLE_LAYERS)
            ).items()
        }
        for _ in range(_FITTED // 4)
    )


def _save(state: Mapping[str, Tensor], path: Path, recipe: Recipe) -> None:
    tensors = {name: value.contiguous().cpu() for name, value in state.items()}
    save_file(tensors, path, {"form": recipe.form, "recipe": json.dumps(asdict(recipe))})


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("paintings", type=Path, metavar="PAINTINGS")
    parser.add_argument("--teacher", type=Path, help="Oxford VGG-19 as safetensors")
    parser.add_argument("--constant-rate", action="store_true", help="no fall of the learning rate")
    defaults = replace(
        Recipe(), batch=4, crop=160, learning_rate=1.5e-3, style_weight=8.0, color_weight=6.0
    )
    add_recipe_options(parser, defaults, list(ARCHITECTURES))
    args = parser.parse_args()
    recipe = recipe_from(args)
    train_any_painting(
        args.paintings,
        args.photos,
        replace(recipe, schedule="constant") if args.constant_rate else recipe,
        args.parent,
        args.out,
        device=args.device,
        precision=args.precision,
        teacher=args.teacher,
    )


if __name__ == "__main__":
    main()
