"""Training a style from one painting: a shipped network fine-tuned on your pictures."""

import hashlib
import json
import re
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from itertools import chain, islice
from pathlib import Path
from time import perf_counter

import numpy as np
import torch
from safetensors import SafetensorError
from torch import Tensor

from impasto.export.scenes import render
from impasto.models.errors import SinkError, SourceError
from impasto.models.gatys.optimize import MIN_SIDE
from impasto.models.judge import StyleMetrics
from impasto.models.loss_network import LossNetwork, load_loss_network
from impasto.models.networks import StyleNetwork
from impasto.models.precision import Precision
from impasto.models.styles import load_style
from impasto.models.training.dataset import crops, list_photos
from impasto.models.training.loop import train
from impasto.models.training.objectives import style_losses, style_targets
from impasto.models.training.recipe import Recipe
from impasto.models.training.results import evaluate_network, save_network
from impasto.realtime.atomic import Target
from impasto.realtime.files.images import IMAGE_SUFFIXES, read_image, write_image
from impasto.realtime.files.video_reader import VideoReader
from impasto.realtime.painting.paint import read_painting
from impasto.realtime.pixels import as_tensor
from impasto.realtime.progress import OnProgress, StartStage

PARENT = "great_wave"  # a common parent lets styles mix; this one has been trained the longest
MIN_IMAGES = 8
_MAX_IMAGES = 1000  # of a folder, evenly spaced
_MAX_FRAMES = 250  # of a video, evenly spaced: neighbors are alike
_SIDE = 256  # px, short side: then a training crop shows whole objects
_RENDERED = 300  # images, where none are given
_EVALUATED = 8  # images that the finished style is evaluated on
# The files of a job's work folder.
_WORK_FILE = re.compile(r"\d{6}\.jpg|[0-9a-f]{16}\.(csv|checkpoint(\.partial)?)")


@dataclass(frozen=True)
class TrainingJob:
    """A style to train: from which painting, on which images, with which result.

    painting: a picture. photos: pictures, folders of them, videos; none: rendered scenes.
    target: a .safetensors file.
    """

    painting: Path
    photos: Sequence[Path]
    target: Path
    recipe: Recipe
    overwrite: bool = False
    device: str = "cpu"
    precision: Precision = "auto"

    @property
    def folder(self) -> Path:
        """The work folder; a job that was stopped continues from its checkpoint there."""
        return self.target.with_name(f"{self.target.stem}.learning")


@dataclass
class TrainingResult:
    """The figures of a trained style. Losses are those of `models.judge`."""

    target: Path
    pictures: int = 0
    content: float = 0.0
    style: float = 0.0
    seconds: float = 0.0
    notes: list[str] = field(default_factory=list)


def train_style(job: TrainingJob, start: StartStage) -> TrainingResult:
    """Train a network to paint like the painting; the style is written when it is complete.

    start: begins the progress of a named stage. Raises SourceError, SinkError and WeightsError.
    """
    began, result = perf_counter(), TrainingResult(job.target)
    if job.target.suffix != ".safetensors":
        raise SinkError(f"{job.target} must end in .safetensors, to be a style")
    painting, folder = _read_painting(job), job.folder
    _check_work_folder(folder)
    target = Target(job.target, overwrite=job.overwrite)
    try:
        folder.mkdir(exist_ok=True)
        result.pictures = _gather(job, result.notes, start("pictures", "a second"))
        training, validation = list_photos(folder)
        picture = as_tensor(painting)[0]
        loss_network = load_loss_network(
            job.recipe.loss_network, device=job.device, precision=job.precision
        )
        on_progress = start("learning", "steps a second")
        network = _train(job, picture, training, loss_network, on_progress)
        metadata = {"painting": job.painting.name, "parent": PARENT}
        try:
            recipe = json.dumps(asdict(job.recipe))
            save_network(network, target.partial, recipe=recipe, **metadata)
        except (OSError, SafetensorError) as error:
            raise SinkError(f"cannot write {job.target}: {error}") from error
        target.commit()
        metrics = StyleMetrics(loss_network, picture[None])
        figures, _ = evaluate_network(network, validation[:_EVALUATED], metrics)
        result.content, result.style = figures.content, figures.style or 0.0
    finally:
        target.discard()
        if not list(folder.glob("*.checkpoint")):
            shutil.rmtree(folder, ignore_errors=True)
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


def _train(
    job: TrainingJob,
    painting: Tensor,
    photos: list[Path],
    loss_network: LossNetwork,
    on_progress: OnProgress,
) -> StyleNetwork:
    """The trained network. painting: (3, H, W) in [0, 1]."""
    recipe, device = job.recipe, job.device
    torch.manual_seed(recipe.seed)
    generator = torch.Generator().manual_seed(recipe.seed)
    targets = style_targets(painting, loss_network, recipe, device)
    times: list[float] = []

    def on_step(step: int, *_: object) -> None:
        times.append(perf_counter())
        rate = (len(times) - 1) / max(times[-1] - times[0], 1e-9)
        on_progress(step, recipe.steps, rate)

    return train(
        load_style(PARENT, network=recipe.form),
        recipe,
        crops(photos, size=recipe.crop, batch=recipe.batch, seed=recipe.seed),
        lambda network, batch: style_losses(network, batch, targets, recipe, generator),
        # Named by the painting, so that another one does not continue from this one's checkpoint.
        out=job.folder / hashlib.sha256(painting.numpy().tobytes()).hexdigest()[:16],
        device=device,
        precision=job.precision,
        on_step=on_step,
    )


# --- Training images --------------------------------------------------------------------------


def _gather(job: TrainingJob, notes: list[str], on_progress: OnProgress) -> int:
    """Copy all images into the work folder, reduced; returns how many there are."""
    began, count = perf_counter(), 0
    for old in job.folder.glob("*.jpg"):
        old.unlink()
    given = (_read_all(path, notes) for path in job.photos)
    for image in chain.from_iterable(given) if job.photos else _rendered():
        write_image(job.folder / f"{count:06}.jpg", image)
        count += 1
        on_progress(count, None, count / (perf_counter() - began))
    if count < MIN_IMAGES:
        paths = ", ".join(map(str, job.photos))
        raise SourceError(
            f"there are {count} pictures in {paths}: at least {MIN_IMAGES} are needed to train on, "
            "and some hundreds are best; videos count as well"
        )
    return count


def _rendered() -> Iterator[np.ndarray]:
    """Images to train on where none are given, (H, W, 3) uint8."""
    return (render(1, _SIDE, _SIDE * 3 // 2, seed=seed)[0] for seed in range(_RENDERED))


def _read_all(path: Path, notes: list[str]) -> Iterator[np.ndarray]:
    """A picture, those of a folder, or frames of a video: (H, W, 3) uint8, short side `_SIDE`."""
    if path.is_dir():
        files = sorted(p for p in path.rglob("*") if p.suffix.lower() in IMAGE_SUFFIXES)
        unreadable = 0
        for file in files[:: max(1, -(-len(files) // _MAX_IMAGES))]:
            try:
                yield read_image(file, size=_SIDE)
            except SourceError:
                unreadable += 1
        if unreadable:
            files_left_out = f"{unreadable} files could not be read as pictures, and are left out"
            notes.append(f"{path}: {files_left_out}")
    elif path.suffix.lower() in IMAGE_SUFFIXES:
        yield read_image(path, size=_SIDE)
    else:
        with VideoReader(path, size=_SIDE) as video:
            every = max(1, (video.info.frame_count or 0) // _MAX_FRAMES)
            for frame in islice(video, 0, every * _MAX_FRAMES, every):
                yield frame.image
