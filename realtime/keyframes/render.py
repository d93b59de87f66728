"""A film and a painting in; painted keyframes, and the film painted like them, out."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from itertools import chain
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np

from impasto.models.errors import SinkError
from impasto.models.gatys.optimize import Settings, StyleImage, settings_of
from impasto.models.judge import StyleMetrics
from impasto.models.loss_network import load_loss_network
from impasto.models.styles import known_styles, load_style
from impasto.realtime.atomic import atomic_write, check_target
from impasto.realtime.engines.options import EngineOptions
from impasto.realtime.engines.torch_engine import resolve_device
from impasto.realtime.files.codecs import DEFAULT_ENCODER, EncoderOptions, encoding_for
from impasto.realtime.files.convert import (
    ConversionReport,
    check_target_is_not_source,
    stylize_video,
)
from impasto.realtime.files.images import IMAGE_SUFFIXES, read_image, write_image
from impasto.realtime.files.video_reader import VideoReader
from impasto.realtime.frame import Frame
from impasto.realtime.keyframes.color_transfer import recoloring
from impasto.realtime.keyframes.paint import Folder, Painted, paint_keyframes
from impasto.realtime.keyframes.propagate import Carry
from impasto.realtime.keyframes.refine import STEPS, retouched
from impasto.realtime.keyframes.selection import (
    Keyframe,
    Rule,
    Shots,
    find_shots,
    intra_times,
    most_apart,
)
from impasto.realtime.pipeline import Stylize
from impasto.realtime.pixels import as_tensor, resized
from impasto.realtime.stylizer import LazyStylizer

OnProgress = Callable[[int, int | None, float], None]  # done, in all, a second
_SHEET_SIDE = 180  # px: the short side of a picture on the contact sheet


@dataclass(frozen=True)
class Film:
    """The part of a video that is painted, and its size; see `VideoReader`."""

    path: Path
    size: int | tuple[int, int] | None = None
    start: Fraction | None = None
    end: Fraction | None = None

    def open(self) -> VideoReader:
        return VideoReader(self.path, size=self.size, start=self.start, end=self.end)


@dataclass(frozen=True)
class Order:
    """Everything that is asked for, besides which keyframes."""

    film: Film
    painting: Path | None
    folder: Path | None
    video: Path | None = None
    sheet: Path | None = None
    fill: str = "nearest"
    teach: bool = False
    save_style: Path | None = None
    alone: bool = False
    retouch: int = STEPS
    resume: bool = False
    overwrite: bool = False
    device: str = "auto"
    encoder: EncoderOptions = DEFAULT_ENCODER
    preset: str = "default"
    changes: dict[str, Any] = field(default_factory=dict)  # of the preset; None: as it is

    @property
    def settings(self) -> Settings:
        return settings_of(self.preset, self.changes)

    def check(self) -> None:
        """Raise SourceError, SinkError or EngineError for what would fail when much is done."""
        resolve_device(self.device)
        with self.film.open() as file:
            size = (file.info.height, file.info.width)
        if self.painting is not None:
            read_image(self.painting)
        if self.video is not None:
            check_target_is_not_source(self.film.path, self.video)
            encoding_for(self.video, size, self.encoder)
        if self.sheet is not None and self.sheet.suffix.lower() not in IMAGE_SUFFIXES:
            raise SinkError(f"{self.sheet} must be a picture: use {', '.join(IMAGE_SUFFIXES)}")
        if self.save_style is not None and self.save_style.suffix != ".safetensors":
            raise SinkError(f"{self.save_style} must end in .safetensors, to be a style")
        for path in (self.video, self.sheet, self.save_style):
            if path is not None:
                check_target(path, overwrite=self.overwrite)


def work(
    order: Order,
    shots: Shots,
    say: Callable[[str], None],
    stage: Callable[[str, str], OnProgress],
) -> dict[str, Any]:
    """Paint, teach and carry, as ordered; returns the figures.

    say: is given a line for each thing done or chosen. stage: gives the progress of a named stage,
    counted in a unit. Raises whatever a stage raises.
    """
    assert order.painting is not None and order.folder is not None, "only a dry run has none"
    folder = Folder(order.folder, resume=order.resume, overwrite=order.overwrite)
    folder.check(shots.keyframes)
    device = resolve_device(order.device)
    rows = []
    for painted in paint(
        order.film,
        shots,
        order.painting,
        order.settings,
        folder,
        device=device,
        on_progress=stage("painting", "steps/s"),
    ):
        how = "was there" if painted.reused else f"{painted.seconds:.1f} s"
        say(f"{painted.path}: {painted.keyframe.time:.2f} s into the video, {how}")
        rows.append({"file": painted.path, "seconds": painted.seconds, "reused": painted.reused})
    figures: dict[str, Any] = {"painted": rows}
    if order.sheet is not None:
        write_sheet(order.sheet, order.film, shots, folder, overwrite=order.overwrite)
        say(f"{order.sheet}: {len(rows)} keyframes")
    if order.video is None and not order.teach:
        return figures
    fill = order.fill
    if fill == "nearest":
        keyframe, picture = next(pictures_of(order.film, shots.keyframes))
        stage("trying the styles", "")
        fill, loss = nearest_fill(picture, read_image(folder.picture(keyframe)), order.painting)
        say(f"fill: {fill} (of what is installed the nearest to the painting, style {loss:.2f})")
    with tempfile.TemporaryDirectory() as scratch:
        if order.teach:
            taught = order.save_style or Path(scratch) / "taught.safetensors"
            parent = next(iter(known_styles())) if fill == "content" else fill
            teach_style(
                order.film,
                shots,
                folder,
                parent,
                taught,
                overwrite=order.overwrite,
                device=device,
                on_progress=stage("teaching", "steps/s"),
            )
            fill = str(taught)
            if order.save_style is not None:
                say(f"{order.save_style}: a style, taught from {parent}")
        if order.video is not None:
            figures |= _carried(order, shots, folder, order.video, fill, say, stage)
    return figures


def _carried(
    order: Order,
    shots: Shots,
    folder: Folder,
    video: Path,
    fill: str,
    say: Callable[[str], None],
    stage: Callable[[str, str], OnProgress],
) -> dict[str, Any]:
    """The video as ordered, `fill` being a style now; the figures of it."""
    report, filled = carry(
        order,
        shots,
        folder,
        filling(fill, order.device, say),
        video,
        on_progress=stage("carrying", "fps"),
    )
    for note in report.notes:
        say(f"{video.name}: {note}")
    say(f"{video}: {report.frames} frames, {filled:.0%} of the picture filled in")
    return {"video": video, "frames_written": report.frames, "filled": filled}


def with_rate(tell: OnProgress) -> Callable[[int, int | None], None]:
    """Tells how many are done, of how many, and `tell` how many a second."""
    began = perf_counter()
    return lambda done, total: tell(done, total, done / max(perf_counter() - began, 1e-6))


def choose(film: Film, rule: Rule, on_progress: OnProgress) -> Shots:
    """Look through the film for its keyframes. Raises SourceError."""
    found = Shots()
    with film.open() as file:
        info = file.info
        begin = film.start or Fraction(0)
        bounded = Rule(rule.every, rule.at, rule.intra, most_apart(info.height, info.width))
        tell = with_rate(on_progress)
        for found in find_shots(
            file,
            bounded,
            start_time=file.start_time,
            end=None if info.duration is None else begin + info.duration,
            intra=intra_times(film.path) if rule.intra else (),
        ):
            tell(found.frames, info.frame_count)
    return found


def paint(
    film: Film,
    shots: Shots,
    painting: Path,
    settings: Settings,
    folder: Folder,
    *,
    device: str = "cpu",
    on_progress: OnProgress = lambda done, total, rate: None,
) -> Iterator[Painted]:
    """Paint the keyframes, as `paint_keyframes` does; on_progress counts the steps of them all."""
    picture = read_image(painting)
    done, tell, each = 0, with_rate(on_progress), settings.steps

    def on_step(step: int, steps: int) -> None:
        tell(done * each + step * each // steps, len(shots.keyframes) * each)

    with film.open() as file:
        for painted in paint_keyframes(
            file, shots, [picture], settings, folder, device=device, on_step=on_step
        ):
            done += 1
            yield painted


def carry(
    order: Order,
    shots: Shots,
    folder: Folder,
    fill: Stylize,
    target: Path,
    *,
    on_progress: OnProgress,
) -> tuple[ConversionReport, float]:
    """Write the film, painted as its keyframes are; also gives the share that was filled in.

    Raises SourceError, SinkError and what `fill` raises.
    """
    assert order.painting is not None, "only a dry run has none"
    film = order.film
    by_pts = {keyframe.pts: keyframe for keyframe in shots.keyframes}
    with film.open() as file:
        most_held = most_apart(file.info.height, file.info.width)

    def painted(pts: int) -> np.ndarray:
        return read_image(folder.picture(by_pts[pts]))

    carrying = Carry(by_pts, painted, shots.cuts, fill, most_held=most_held)
    stylize = fill
    if not order.alone:
        style = StyleImage(as_tensor(read_image(order.painting)))
        device = resolve_device(order.device)
        steps = order.retouch
        stylize = retouched(carrying, [style], order.settings, steps=steps, device=device)
    report = stylize_video(
        film.path,
        target,
        stylize,
        size=film.size,
        start=film.start,
        end=film.end,
        on_progress=on_progress,
        encoder=order.encoder,
        overwrite=order.overwrite,
    )
    return report, 1.0 if order.alone else carrying.filled / max(report.frames, 1)


# --- What fills in ----------------------------------------------------------------------------


def unpainted(batches: Iterator[list[Frame]]) -> Iterator[Frame]:
    """The film as it is, where nothing better is known; its colours are matched by `Carry`."""
    return chain.from_iterable(batches)


def filling(style: str, device: str, say: Callable[[str], None]) -> Stylize:
    """The stylizer of a style, or a style file, steady from frame to frame; or `unpainted`."""
    if style == "content":
        return unpainted
    return LazyStylizer(EngineOptions(style, device=device), say, steadiness="flow")


def nearest_fill(picture: np.ndarray, painted: np.ndarray, painting: Path) -> tuple[str, float]:
    """The shipped style, or "content", that comes nearest to a painting, and its style loss.

    Each paints the picture of one keyframe and is given the colours of the painted one, as when
    it fills in. picture, painted: (H, W, 3) uint8.
    """
    metrics = StyleMetrics(load_loss_network("compact"), as_tensor(read_image(painting)))
    found: dict[str, float] = {}
    for style in ("content", *known_styles()):
        stylizer = LazyStylizer(EngineOptions(style, engine="torch"), is_video=False)
        tried = picture if style == "content" else stylizer.stylize_image(picture)
        colored = recoloring(tried, painted)(tried)
        _, loss = metrics.losses(as_tensor(colored), as_tensor(picture))
        assert loss is not None
        found[style] = loss
    best = min(found, key=lambda style: found[style])
    return best, found[best]


def pictures_of(film: Film, keyframes: Sequence[Keyframe]) -> Iterator[tuple[Keyframe, np.ndarray]]:
    """Each keyframe with its frame, unpainted, (H, W, 3) uint8."""
    wanted = {keyframe.pts: keyframe for keyframe in keyframes}
    with film.open() as file:
        for frame in file:
            if (keyframe := wanted.pop(frame.pts, None)) is not None:
                yield keyframe, frame.image
            if not wanted:
                return


def teach_style(
    film: Film,
    shots: Shots,
    folder: Folder,
    parent: str,
    target: Path,
    *,
    overwrite: bool,
    device: str = "cpu",
    on_progress: OnProgress = lambda done, total, rate: None,
) -> None:
    """Fine-tune a style on the painted keyframes, and save it. Raises SinkError, WeightsError."""
    from impasto.models.training.finetune import finetune
    from impasto.models.training.train import save_network

    with atomic_write(target, overwrite=overwrite) as partial:
        pairs = [
            (as_tensor(image), as_tensor(read_image(folder.picture(keyframe))))
            for keyframe, image in pictures_of(film, shots.keyframes)
        ]
        taught = finetune(load_style(parent), pairs, device=device, on_step=with_rate(on_progress))
        try:
            save_network(taught, partial, parent=parent)
        except OSError as error:
            raise SinkError(f"cannot write {target}: {error}") from error


# --- To be looked at --------------------------------------------------------------------------


def write_sheet(
    path: Path, film: Film, shots: Shots, folder: Folder | None = None, *, overwrite: bool
) -> None:
    """A contact sheet of the keyframes: painted, or as they are without a folder."""
    from impasto.realtime.painting.sheet import contact_sheet

    found = []
    for keyframe, image in pictures_of(film, shots.keyframes):
        shown = image if folder is None else read_image(folder.picture(keyframe))
        height, width = shown.shape[:2]
        scale = min(1.0, _SHEET_SIDE / min(height, width))
        small = resized(shown, (max(1, round(scale * height)), max(1, round(scale * width))))
        found.append((f"{keyframe.number}: {keyframe.time:.2f} s ({keyframe.reason})", small))
    write_image(path, contact_sheet(found, columns=4), overwrite=overwrite)
