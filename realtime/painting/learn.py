"""A painting of one's own as a style: a network of the package taught to paint like it."""

import hashlib
import json
import re
import shutil
from collections.abc import Callable, Iterator, Sequence
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
from impasto.models.styles import load_style
from impasto.models.training.dataset import crops, list_photos
from impasto.models.training.train import (
    Recipe,
    evaluate_network,
    save_network,
    style_losses,
    style_targets,
    train,
)
from impasto.models.transform_net import TransformNet
from impasto.realtime.atomic import Target
from impasto.realtime.files.images import IMAGE_SUFFIXES, read_image, write_image
from impasto.realtime.files.video_reader import VideoReader
from impasto.realtime.painting.paint import read_painting
from impasto.realtime.pixels import as_tensor

PARENT = "great_wave"  # a common parent lets styles mix; this one has been trained the longest
LEAST = 8  # pictures to learn on
_MOST = 1000  # of the pictures that are given, evenly chosen
_OF_FILM = 250  # of a film's frames: neighbours are alike
_SIDE = 256  # px, short: then what is cut out for a step shows whole things
_RENDERED = 300
_JUDGED = 8  # pictures that the style is judged by in the end
_OURS = re.compile(r"\d{6}\.jpg|[0-9a-f]{16}\.(csv|checkpoint(\.partial)?)")  # where it is worked

Stage = Callable[[str, str], Callable[[int, int | None, float], None]]  # see `cli.terminal.Bar`


@dataclass(frozen=True)
class Lesson:
    """What is learnt, on what, and where it goes.

    painting: a picture. photos: pictures, folders of them, films; none: scenes that are rendered.
    target: a .safetensors file.
    """

    painting: Path
    photos: Sequence[Path]
    target: Path
    recipe: Recipe
    overwrite: bool = False
    device: str = "cpu"

    @property
    def folder(self) -> Path:
        """Where it is worked; a lesson that is stopped is gone on with from there."""
        return self.target.with_name(f"{self.target.stem}.learning")


@dataclass
class Learnt:
    """How it went. Losses are those of `models.judge`, in the compact loss network."""

    target: Path
    pictures: int = 0
    content: float = 0.0
    style: float = 0.0
    seconds: float = 0.0
    notes: list[str] = field(default_factory=list)


def learn(lesson: Lesson, stage: Stage) -> Learnt:
    """Teach a network the painting; the style is written when it is done, and whole.

    Raises SourceError, SinkError and WeightsError.
    """
    began, learnt = perf_counter(), Learnt(lesson.target)
    if lesson.target.suffix != ".safetensors":
        raise SinkError(f"{lesson.target} will be a style: name it so that it ends in .safetensors")
    painting, folder = _read(lesson), lesson.folder
    _refuse_to_clear(folder)
    target = Target(lesson.target, overwrite=lesson.overwrite)
    try:
        folder.mkdir(exist_ok=True)
        learnt.pictures = _gather(lesson, learnt.notes, stage("pictures", "a second"))
        training, kept_back = list_photos(folder)
        picture = as_tensor(painting)[0]
        loss_network = load_loss_network(lesson.recipe.loss_network, device=lesson.device)
        tell = stage("learning", "steps a second")
        network = _taught(lesson, picture, training, loss_network, tell)
        about = {"painting": lesson.painting.name, "parent": PARENT}
        try:
            recipe = json.dumps(asdict(lesson.recipe))
            save_network(network, target.partial, recipe=recipe, **about)
        except (OSError, SafetensorError) as error:
            raise SinkError(f"cannot write {lesson.target}: {error}") from error
        target.commit()
        metrics = StyleMetrics(loss_network, picture[None])
        found = evaluate_network(network, kept_back[:_JUDGED], metrics)
        learnt.content, learnt.style, _ = found
    finally:
        target.discard()
        if not list(folder.glob("*.checkpoint")):
            shutil.rmtree(folder, ignore_errors=True)
    learnt.seconds = perf_counter() - began
    return learnt


def _read(lesson: Lesson) -> np.ndarray:
    painting = read_painting(lesson.painting)
    short, long = sorted(painting.shape[:2])
    if short * lesson.recipe.painting_side < long * MIN_SIDE:  # it is seen at that long side
        raise SourceError(
            f"{lesson.painting} is {painting.shape[1]}x{painting.shape[0]}: too narrow to learn "
            "from; cut a piece out of it"
        )
    return painting


def _refuse_to_clear(folder: Path) -> None:
    """Raise SinkError where the folder to work in is there, and holds what is not ours."""
    if folder.exists() and not folder.is_dir():
        raise SinkError(f"{folder} is in the way: it is the folder that is worked in")
    for path in folder.glob("*"):
        if not _OURS.fullmatch(path.name):
            raise SinkError(f"{path} is in the way: {folder} is the folder that is worked in")


def _taught(
    lesson: Lesson,
    painting: Tensor,
    photos: list[Path],
    loss_network: LossNetwork,
    tell: Callable[[int, int | None, float], None],
) -> TransformNet:
    """The network, trained to paint photos like the painting, (3, H, W) in [0, 1]."""
    recipe, device = lesson.recipe, lesson.device
    torch.manual_seed(recipe.seed)
    dice = torch.Generator().manual_seed(recipe.seed)
    targets = style_targets(painting, loss_network, recipe, device)
    times: list[float] = []

    def on_step(step: int, *_: object) -> None:
        times.append(perf_counter())
        tell(step, recipe.steps, (len(times) - 1) / max(times[-1] - times[0], 1e-9))

    return train(
        load_style(PARENT),
        recipe,
        crops(photos, size=recipe.crop, batch=recipe.batch, seed=recipe.seed),
        lambda network, batch: style_losses(network, batch, targets, recipe, dice),
        # By the painting: another one does not go on from what was learnt of this one.
        out=lesson.folder / hashlib.sha256(painting.numpy().tobytes()).hexdigest()[:16],
        device=device,
        on_step=on_step,
    )


# --- What it learns on ------------------------------------------------------------------------


def _gather(
    lesson: Lesson, notes: list[str], tell: Callable[[int, int | None, float], None]
) -> int:
    """Copy all pictures into the lesson's folder, small, and return how many there are."""
    began, count = perf_counter(), 0
    for old in lesson.folder.glob("*.jpg"):
        old.unlink()
    found = (_pictures_in(place, notes) for place in lesson.photos)
    for picture in chain.from_iterable(found) if lesson.photos else _rendered():
        write_image(lesson.folder / f"{count:06}.jpg", picture)
        count += 1
        tell(count, None, count / (perf_counter() - began))
    if count < LEAST:
        places = ", ".join(map(str, lesson.photos))
        raise SourceError(
            f"there are {count} pictures in {places}: {LEAST} are the least to learn on, and some "
            "hundreds do best; films count as well"
        )
    return count


def _rendered() -> Iterator[np.ndarray]:
    """Pictures where none are given."""
    return (render(1, _SIDE, _SIDE * 3 // 2, seed=seed)[0] for seed in range(_RENDERED))


def _pictures_in(place: Path, notes: list[str]) -> Iterator[np.ndarray]:
    """A picture, those of a folder, or some frames of a film: (H, W, 3) uint8, `_SIDE` px high."""
    if place.is_dir():
        paths = sorted(p for p in place.rglob("*") if p.suffix.lower() in IMAGE_SUFFIXES)
        lost = 0
        for path in paths[:: max(1, -(-len(paths) // _MOST))]:
            try:
                yield read_image(path, size=_SIDE)
            except SourceError:
                lost += 1
        if lost:
            notes.append(f"{place}: {lost} files could not be read as pictures, and are left out")
    elif place.suffix.lower() in IMAGE_SUFFIXES:
        yield read_image(place, size=_SIDE)
    else:
        with VideoReader(place, size=_SIDE) as film:
            every = max(1, (film.info.frame_count or 0) // _OF_FILM)
            for frame in islice(film, 0, every * _OF_FILM, every):
                yield frame.image
