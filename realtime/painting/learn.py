"""Training a style from one painting: a shipped network fine-tuned, or one trained from scratch."""

import json
import math
import re
import shutil
from collections.abc import Callable, Sequence
from contextlib import ExitStack, suppress
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from time import monotonic, perf_counter

import numpy as np
import torch
from safetensors import SafetensorError
from torch import Tensor

from impasto.models.architectures import CLASSIC
from impasto.models.errors import EngineError, SinkError, SourceError
from impasto.models.gatys.optimize import MIN_SIDE, Settings, open_network, with_layers_of
from impasto.models.judge import StyleMetrics
from impasto.models.loss_network import LossNetwork, load_loss_network
from impasto.models.networks import StyleNetwork, new_network
from impasto.models.precision import Precision
from impasto.models.styles import load_style
from impasto.models.training.checkpoint import StateDict, saved_step
from impasto.models.training.dataset import crops
from impasto.models.training.loop import continued_by, train
from impasto.models.training.objectives import losses_of_step, style_targets
from impasto.models.training.recipe import Recipe, sha256_of
from impasto.models.training.results import evaluate_network, save_network
from impasto.realtime.atomic import Target, atomic_write
from impasto.realtime.files.image_encoding import encode_image
from impasto.realtime.files.images import write_image
from impasto.realtime.painting.paint import read_painting
from impasto.realtime.painting.sheet import contact_sheet
from impasto.realtime.painting.training_images import RENDERED, TrainingImages
from impasto.realtime.painting_styles import predicted_style, with_predicted_styles
from impasto.realtime.pixels import as_tensor
from impasto.realtime.progress import StartStage
from impasto.realtime.threads import Prefetch

# In place of a style to start from:
PREDICTED = "predicted"  # that of the painting, see `painting_styles`
RANDOM = "random"  # random weights
_SIDE = 256  # px, short side: then a training crop shows whole objects
_EVALUATED = 8  # images that the finished style is evaluated on
_SHOWN = 3  # of these on the sheet
_SHEET_SECONDS = 30.0  # from one sheet to the next
# The files of a job's work folder.
_CHECKPOINT, _LOSSES, _SHEET = "training.checkpoint", "training.csv", "sheet.jpg"
_WORK_FILE = re.compile(
    r"(\d{6}|[0-9a-f]{16}|sheet)((\.new)?\.partial)?\.jpg"
    r"|(training|[0-9a-f]{16})\.(csv|checkpoint(\.partial)?)"
)


@dataclass(frozen=True)
class TrainingJob:
    """A style to train: from which painting, on which images, with which result.

    painting: a picture. photos: pictures, folders of them, videos; none: rendered scenes.
    target: a .safetensors file. stand_in: the compact loss network will do where that of the recipe
    cannot be had. start: the style to start from, PREDICTED or RANDOM; "" is PREDICTED, or for the
    classic network RANDOM. sheet: a picture of held-back photos as they are painted in the end;
    table: a .csv of the losses. As the training goes, both are in the work folder. minutes: after
    which it ends, where the steps take longer.
    """

    painting: Path
    photos: Sequence[Path]
    target: Path
    recipe: Recipe
    overwrite: bool = False
    device: str = "cpu"
    precision: Precision = "auto"
    stand_in: bool = False
    start: str = ""
    sheet: Path | None = None
    table: Path | None = None
    minutes: float | None = None

    @property
    def folder(self) -> Path:
        """The work folder; a job that was stopped continues from its checkpoint there."""
        return self.target.with_name(f"{self.target.stem}.learning")

    @property
    def parent(self) -> str:
        """The style to start from, PREDICTED or RANDOM."""
        return self.start or (RANDOM if self.recipe.form == CLASSIC else PREDICTED)

    def parent_network(self) -> StyleNetwork:
        """The network to start from. Raises SourceError and WeightsError."""
        if self.parent == RANDOM:
            return new_network(self.recipe.form)
        if self.parent == PREDICTED:
            return load_style(str(predicted_style(str(self.painting))), network=self.recipe.form)
        return load_style(with_predicted_styles(self.parent), network=self.recipe.form)

    def steps_done(self) -> int:
        """The steps after which a stopped job continues."""
        return saved_step(self.folder / _CHECKPOINT)


@dataclass
class TrainingResult:
    """The figures of a trained style. Losses are those of `models.judge`, by the compact network.

    steps: of training; new_steps: those of this run.
    """

    target: Path
    network: str = ""
    loss_network: str = ""
    pictures: int = 0
    steps: int = 0
    new_steps: int = 0
    content: float = 0.0
    style: float = 0.0
    seconds: float = 0.0
    notes: list[str] = field(default_factory=list)


def train_style(
    job: TrainingJob, start: StartStage, log: Callable[[str], None] = lambda line: None
) -> TrainingResult:
    """Train a network to paint like the painting; the style is written when it is complete.

    start: begins the progress of a named stage. log: called with lines about what is trained, which
    are the notes of the result, too. Raises SourceError, SinkError and WeightsError.
    """
    began = perf_counter()
    result = TrainingResult(job.target, job.recipe.form)

    def note(line: str) -> None:
        result.notes.append(line)
        log(line)

    if job.target.suffix != ".safetensors":
        raise SinkError(f"{job.target} must end in .safetensors, to be a style")
    if job.sheet is not None:
        encode_image(np.zeros((8, 8, 3), np.uint8), job.sheet.suffix)  # raises for other formats
    painting, folder = _read_painting(job), job.folder
    _check_work_folder(folder)
    job.parent_network()  # raises: gathering pictures takes long
    with ExitStack() as outputs:
        target = Target(job.target, overwrite=job.overwrite)
        outputs.callback(target.discard)
        sheet, table = (
            path and outputs.enter_context(atomic_write(path, overwrite=job.overwrite))
            for path in (job.sheet, job.table)
        )
        try:
            folder.mkdir(exist_ok=True)
            images = _gather(job, start)
            training = _Training(job, painting, images, result, note)
            network = training.run(start)
            _save(network, target.partial, job, training.recipe)
            target.commit()  # now: it took long
            training.measure(network)
            if sheet is not None:
                write_image(sheet, training.sheet(network, result.steps), overwrite=True)
            if table is not None:
                shutil.copyfile(folder / _LOSSES, table)
        finally:
            if not list(folder.glob("*.checkpoint")):
                shutil.rmtree(folder, ignore_errors=True)
    result.pictures = len(images.files) - len(images.unreadable)
    if images.unreadable:
        few = ", ".join(sorted(path.name for path in images.unreadable)[:3])
        note(
            f"{len(images.unreadable)} files could not be read as pictures, and are left out: {few}"
        )
    result.seconds = perf_counter() - began
    return result


def _read_painting(job: TrainingJob) -> np.ndarray:
    """The painting, (H, W, 3) uint8. Raises SourceError for one too narrow to train on."""
    painting = read_painting(job.painting)
    short, long = sorted(painting.shape[:2])
    if short * job.recipe.painting_side < long * MIN_SIDE:  # it is reduced to that long side
        raise SourceError(
            f"{job.painting} is {painting.shape[1]}x{painting.shape[0]}, too narrow to train on; "
            "cut out a part of it"
        )
    return painting


def _check_work_folder(folder: Path) -> None:
    """Raise SinkError where the work folder exists and holds other files: it will be removed."""
    if folder.exists() and not folder.is_dir():
        raise SinkError(f"{folder} is in the way: the work folder must have that name")
    for path in folder.glob("*"):
        if not _WORK_FILE.fullmatch(path.name):
            raise SinkError(f"{path} is in the way: {folder} is the work folder, and is removed")


def _gather(job: TrainingJob, start: StartStage) -> TrainingImages:
    """The images to train on. Raises SourceError."""
    on_progress, began = start("pictures", "a second"), perf_counter()
    images = TrainingImages(job.folder, max(_SIDE, job.recipe.crop))
    counts = [images.count(path) for path in job.photos] or [RENDERED]
    total = None if None in counts else sum(filter(None, counts))

    def on_image() -> None:
        count = len(images.files)
        on_progress(count, total, count / max(perf_counter() - began, 1e-9))

    for path in job.photos:
        images.add(path, on_image)
    if not job.photos:
        images.add_rendered(on_image)
    images.check(job.photos)
    return images


def _save(network: StyleNetwork, path: Path, job: TrainingJob, recipe: Recipe) -> None:
    """Write the style file. Raises SinkError."""
    text = json.dumps(asdict(recipe))
    try:
        save_network(network, path, recipe=text, painting=job.painting.name, parent=job.parent)
    except (OSError, SafetensorError) as error:
        raise SinkError(f"cannot write {job.target}: {error}") from error


def _open_loss_network(job: TrainingJob, log: Callable[[str], None]) -> tuple[LossNetwork, Recipe]:
    """The loss network, and the recipe with its name and its own names of layers.

    Raises WeightsError.
    """
    recipe = job.recipe
    settings = Settings(
        loss_network=recipe.loss_network,
        stand_in=job.stand_in,
        precision=job.precision,
        pooling=recipe.pooling,
        before_relu=recipe.before_relu,
        content_layers=recipe.content_weights,
        style_layers=recipe.style_weights,
    )
    network = open_network(settings, job.device, log)
    named = with_layers_of(network, settings)
    return network, replace(
        recipe,
        loss_network=network.title,
        content_layers=named.content_layers,
        style_layers=named.style_layers,
    )


def _named(parent: str) -> str:
    names = {RANDOM: "random weights", PREDICTED: "the predicted style"}
    return names.get(parent, parent)


class _Training:
    """One run: the network, its losses, and the sheet that shows how far it is.

    painting: (H, W, 3) uint8. result: gets the numbers. recipe: with what is known from the files.
    """

    def __init__(
        self,
        job: TrainingJob,
        painting: np.ndarray,
        images: TrainingImages,
        result: TrainingResult,
        log: Callable[[str], None],
    ) -> None:
        self._job, self._images, self._result = job, images, result
        self._loss_network, recipe = _open_loss_network(job, log)
        log(
            f"{job.recipe.form} network from {_named(job.parent)}, {job.recipe.steps} steps of "
            f"{job.recipe.batch} pictures of {job.recipe.crop}x{job.recipe.crop}; so far: "
            f"{job.folder / _SHEET}"
        )
        result.loss_network = recipe.loss_network
        self.recipe = replace(
            recipe,
            start=job.parent,
            painting=job.painting.name,
            painting_sha256=sha256_of(job.painting),
        )
        self._painting = as_tensor(painting)[0]
        # That are shown and measured: not trained on, if any of these can be read.
        self._photos = images.first_readable(images.held_back, _EVALUATED)
        self._photos = self._photos or images.first_readable(images.files, 1)

    def run(self, start: StartStage) -> StyleNetwork:
        """The trained network. Raises WeightsError."""
        job, recipe, device = self._job, self.recipe, self._job.device
        torch.manual_seed(recipe.seed)
        generator = torch.Generator().manual_seed(recipe.seed)
        network = job.parent_network()
        targets = style_targets(self._painting, self._loss_network, recipe, device)
        first = saved_step(job.folder / _CHECKPOINT, of=continued_by(recipe))
        on_progress = start("learning", "steps a second")
        began = shown = monotonic()
        done = first

        def on_step(step: int, losses: object, average: StateDict) -> None:
            nonlocal shown, done
            now, done = monotonic(), step
            on_progress(step, recipe.steps, (step - first) / max(now - began, 1e-9))
            if now - shown > _SHEET_SECONDS:
                self._show(step, average)
                shown = monotonic()

        batches = crops(
            self._images.training,
            size=recipe.crop,
            batch=recipe.batch,
            seed=recipe.seed,
            first=first,
            read=self._images.read,
        )
        with Prefetch(batches, depth=2) as prefetched:
            network = train(
                network,
                recipe,
                iter(prefetched),
                lambda network, batch: losses_of_step(network, batch, targets, recipe, generator),
                out=job.folder / _CHECKPOINT,
                device=device,
                precision=job.precision,
                on_step=on_step,
                limit_seconds=math.inf if job.minutes is None else 60 * job.minutes,
            )
        self.recipe = replace(recipe, steps=done)
        self._result.steps = self.recipe.steps
        self._result.new_steps = self._result.steps - first
        return network

    def measure(self, network: StyleNetwork) -> None:
        """Evaluate the network on photos that it was not trained on."""
        ruler = load_loss_network("compact", device=self._job.device, precision=self._job.precision)
        metrics = StyleMetrics(ruler, self._painting[None])
        figures, _ = evaluate_network(network, self._photos, metrics)
        self._result.content, self._result.style = figures.content, figures.style or 0.0

    def sheet(self, network: StyleNetwork, step: int) -> np.ndarray:
        """The painting and photos, and below them the photos as they are painted now.

        Returns (H, W, 3) uint8.
        """
        photos = [_square(photo) for photo in self._photos[:_SHOWN]]
        device = next(network.parameters()).device
        with torch.inference_mode():
            painted = [network(photo.to(device)[None])[0].float().cpu() for photo in photos]
        first = [("painting", _square(self._painting)), *(("photo", photo) for photo in photos)]
        paper = torch.ones_like(photos[0])
        second = [(f"step {step} of {self.recipe.steps}", paper), *(("", x) for x in painted)]
        return contact_sheet(
            [(name, _levels(x)) for name, x in (*first, *second)], columns=len(first)
        )

    def _show(self, step: int, average: StateDict) -> None:
        """Write the sheet to the work folder; without OpenCV, which labels it, there is none."""
        network = new_network(self.recipe.form).to(self._job.device).eval()
        network.load_state_dict(average)
        with suppress(EngineError, SinkError):
            write_image(self._job.folder / _SHEET, self.sheet(network, step), overwrite=True)


def _square(image: Tensor) -> Tensor:
    """The middle of an image, (3, H, W), as (3, 256, 256)."""
    from torchvision.transforms.v2.functional import center_crop, resize

    return resize(center_crop(image, [min(image.shape[1:])]), [_SIDE], antialias=True)


def _levels(image: Tensor) -> np.ndarray:
    """(3, H, W) in about [0, 1] as (H, W, 3) uint8."""
    return (255 * image.clamp(0, 1)).round().byte().permute(1, 2, 0).numpy()
