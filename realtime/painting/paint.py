"""`impasto paint`: one picture painted by Gatys optimization, from its files to its files."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from time import perf_counter
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor

from impasto.models.errors import EngineError, SinkError, SourceError
from impasto.models.gatys.color import luminance, luminance_matched, recolored, with_colors_of
from impasto.models.gatys.optimize import (
    MIN_SIDE,
    Progress,
    Settings,
    StyleImage,
    memory_needed,
    open_network,
    paint,
)
from impasto.realtime.atomic import check_target, partial_path, reserved
from impasto.realtime.files.image_encoding import encode_image, supports_alpha
from impasto.realtime.files.image_metadata import PhotoMetadata
from impasto.realtime.files.images import (
    Picture,
    check_image_target,
    read_image,
    read_picture,
    write_image,
)
from impasto.realtime.memory import keep_freed_memory
from impasto.realtime.painting.choices import ColorMode, CurvesLayout, Scale
from impasto.realtime.painting.convergence import converged_step
from impasto.realtime.painting.curves import check_curve_targets, curve_row, write_curves
from impasto.realtime.painting.film import Descent, check_film_target, film_of_steps
from impasto.realtime.pixels import as_picture, as_tensor, fitted_size

_DEFAULT_PIXELS = 1_000_000  # at most, where no size is asked for: minutes, not hours
_PREVIEW_SIDE = 240  # px, short side at least: below, the text in the window is cut off
_PAINTING_SIDE = 3000  # px, long side: larger paintings are reduced when read, to fit into memory


class Preview(Protocol):
    """Shows the picture so far."""

    def __call__(self, image: np.ndarray, progress: Progress) -> bool:
        """Show (H, W, 3) uint8; False stops the work."""


@dataclass(frozen=True)
class PaintJob:
    """What is painted, from what, and where the files go.

    styles: paintings with their weights. masks: one for each painting, or one for two (white is
    where the first goes, black the second), or none. size: see `pixels.fitted_size`; None: the
    picture's own, up to a megapixel. colors: those of the painting; only the luminance is painted;
    or the painting takes on the picture's colors first. snapshot_every: steps between snapshots,
    NAME.0050.EXT; 0: none. film: a video of the snapshots, or, where there are none, of every
    step, but for those that raise the loss.
    """

    content: Path
    styles: Sequence[tuple[Path, float]]
    target: Path
    settings: Settings
    masks: Sequence[Path] = ()
    size: int | tuple[int, int] | None = None
    colors: ColorMode = "painting"
    start: Path | None = None
    snapshot_every: int = 0
    film: Path | None = None
    curves: Path | None = None
    curves_scale: Scale = "log"
    curves_layout: CurvesLayout = "together"
    overwrite: bool = False
    device: str = "cpu"
    keep_metadata: bool = True  # date, camera and place of the content


@dataclass
class PaintReport:
    """The result of a `PaintJob`. Losses are those of `gatys.optimize.Progress`, at the end."""

    target: Path
    size: tuple[int, int]  # (height, width)
    steps: int
    seconds: float
    content: float
    style: float
    total: float
    total_variation: float
    style_layers: Mapping[str, float]  # the style loss of each layer alone
    converged_step: int  # from here on the total is within 1 % of its end
    stopped: bool = False
    files: list[Path] = field(default_factory=list)  # snapshots, film and curves
    notes: tuple[str, ...] = ()  # on the content, a line each

    def figures(self) -> dict[str, Any]:
        """The report as plain data, ready for JSON."""
        height, width = self.size
        figures = {name: value for name, value in vars(self).items() if name != "size"}
        return figures | {"width": width, "height": height}


def paint_image(
    job: PaintJob,
    *,
    log: Callable[[str], None] = lambda line: None,
    on_progress: Callable[[Progress], None] = lambda progress: None,
    preview: Preview | None = None,
) -> PaintReport:
    """Paint `job.content` and write it; Ctrl-C keeps the picture so far.

    log: called with a line before the work begins. On KeyboardInterrupt, or when the preview
    returns False, the picture so far is written as NAME.partial.EXT, which is then the report's
    `target`, with `stopped` true. Raises SourceError, SinkError, WeightsError, EngineError where
    memory is short, and ValueError for too few masks.
    """
    _check_targets(job)
    keep_freed_memory()
    picture = _read_content(job.content, job.size, alpha=supports_alpha(job.target))
    image = picture.image
    metadata = picture.metadata_kept(job.keep_metadata)
    for note in picture.notes:
        log(f"{job.content.name}: {note}")
    content, alpha = as_tensor(image[..., :3]), image[..., 3:]
    styles, finish = _color_transfer(job.colors, content, read_styles(job.styles, job.masks))
    start = None if job.start is None else as_tensor(read_image(job.start))
    size = height, width = image.shape[0], image.shape[1]
    network = open_network(job.settings, job.device, log)
    _log_memory(size, job, log)
    begun, latest = perf_counter(), None
    rows, files, stopped = [], [], False
    to_paint = luminance(content) if job.colors == "luminance" else content

    def finished(progress: Progress) -> np.ndarray:
        """The picture so far at full size, (H, W, 3 or 4) uint8."""
        image = progress.image
        if progress.size != size:
            image = torch.nn.functional.interpolate(image, size, mode="bicubic")
        return np.concatenate([as_picture(finish(image.clamp(0, 1).cpu())), alpha], axis=2)

    try:
        with (
            reserved(job.target),
            film_of_steps(job.film, size, overwrite=job.overwrite) as append,
            _memory_errors(size),
        ):
            how: Any = {"init": start, "device": job.device, "network": network}
            descent = Descent()
            for latest in paint(to_paint, styles, job.settings, **how):
                rows.append(curve_row(latest))
                before = descent(latest)
                if before is not None and is_in_film(job, before.step):
                    append(finished(before)[..., :3])
                on_progress(latest)
                if is_snapshot(job, latest.step):
                    path = snapshot_path(job.target, latest.step)
                    write_image(path, finished(latest), metadata=metadata, overwrite=job.overwrite)
                    files.append(path)
                if preview is not None and not preview(finished(latest)[..., :3], latest):
                    raise KeyboardInterrupt
            if latest is not None and job.film is not None:
                append(finished(latest)[..., :3])
    except KeyboardInterrupt:
        if latest is None:
            raise
        stopped = True
    assert latest is not None, "there is one step at least"
    target = partial_path(job.target) if stopped else job.target
    if stopped:
        _write_partial(target, finished(latest), metadata)
    else:
        write_image(target, finished(latest), metadata=metadata, overwrite=job.overwrite)
    if job.film is not None:
        film = partial_path(job.film) if stopped else job.film
        files += [film] if film.exists() else []
    if job.curves is not None:
        files += write_curves(
            job.curves,
            {job.target.stem: rows},
            scale=job.curves_scale,
            layout=job.curves_layout,
            overwrite=job.overwrite,
        )
    return PaintReport(
        target=target,
        size=size,
        steps=latest.step,
        seconds=perf_counter() - begun,
        content=latest.content,
        style=latest.style,
        total=latest.total,
        total_variation=latest.total_variation,
        style_layers=latest.style_layers,
        converged_step=converged_step(
            [int(row["step"]) for row in rows], [row["total"] for row in rows]
        ),
        stopped=stopped,
        files=files,
        notes=picture.notes,
    )


def _check_targets(job: PaintJob) -> None:
    """Raise SinkError now for what could not be written in the end."""
    check_image_target(job.target, overwrite=job.overwrite)
    if job.film is not None:
        check_film_target(job.film, overwrite=job.overwrite)
    if job.curves is not None:
        check_curve_targets(job.curves, overwrite=job.overwrite)
    if job.curves == job.target:
        raise SinkError(f"{job.curves} is the painted picture: name another file for the curves")
    for step in range(job.settings.steps):
        if is_snapshot(job, step):
            check_target(snapshot_path(job.target, step), overwrite=job.overwrite)


def is_snapshot(job: PaintJob, step: int) -> bool:
    """Whether the picture after `step` steps is a snapshot; the last one is the result."""
    every = job.snapshot_every
    return every > 0 and 0 < step < job.settings.steps and step % every == 0


def is_in_film(job: PaintJob, step: int) -> bool:
    """Whether the picture after `step` steps may be in the film (`Descent`); the last always is."""
    return job.film is not None and step % max(job.snapshot_every, 1) == 0


def snapshot_path(target: Path, step: int) -> Path:
    """NAME.0050.EXT."""
    return target.with_name(f"{target.stem}.{step:04}{target.suffix}")


def _write_partial(target: Path, image: np.ndarray, metadata: PhotoMetadata) -> None:
    """Write the picture so far; `write_image` uses that name for its own partial file."""
    try:
        target.write_bytes(encode_image(image, target.suffix, metadata))
    except OSError as error:
        raise SinkError(f"cannot write {target}: {error.strerror}") from error


# --- Memory -----------------------------------------------------------------------------------


def _log_memory(size: tuple[int, int], job: PaintJob, log: Callable[[str], None]) -> None:
    """Log how much memory is needed, and a warning where there is less."""
    height, width = size
    needed = memory_needed(size, job.settings, job.device)
    log(f"{width}x{height}, about {needed / 2**30:.1f} GiB of memory beside the program's own")
    available = available_memory()
    if available is not None and needed > available and job.device == "cpu":
        log(f"only {available / 2**30:.1f} GiB are free; paint a smaller picture with --size")


@contextmanager
def _memory_errors(size: tuple[int, int]) -> Iterator[None]:
    """Turn errors of exhausted memory into an EngineError that says what to do."""
    try:
        yield
    except (MemoryError, RuntimeError) as error:  # PyTorch's own are RuntimeErrors of many wordings
        if not isinstance(error, MemoryError) and "memory" not in str(error):
            raise
        height, width = size
        raise EngineError(
            f"not enough memory for {width}x{height}; paint a smaller picture with --size"
        ) from error


def available_memory() -> int | None:
    """Bytes of memory that Linux reports as available; None on other systems."""
    try:
        lines = Path("/proc/meminfo").read_text().splitlines()
    except OSError:
        return None
    available = [line.split()[1] for line in lines if line.startswith("MemAvailable:")]
    return int(available[0]) * 1024 if available else None


# --- Reading ----------------------------------------------------------------------------------


def read_content(
    path: Path, size: int | tuple[int, int] | None, *, alpha: bool = False
) -> np.ndarray:
    """A picture at the size it is painted at, (H, W, 3 or 4) uint8. Raises SourceError."""
    return _read_content(path, size, alpha=alpha).image


def _read_content(
    path: Path, size: int | tuple[int, int] | None, *, alpha: bool = False
) -> Picture:
    picture = read_picture(path, size=size, alpha=alpha)
    height, width = picture.image.shape[:2]
    if size is None and height * width > _DEFAULT_PIXELS:
        side = int(min(height, width) * (_DEFAULT_PIXELS / (height * width)) ** 0.5)
        picture = read_picture(path, size=fitted_size(height, width, side), alpha=alpha)
        height, width = picture.image.shape[:2]
    if min(height, width) < MIN_SIDE:
        raise SourceError(
            f"{path} is {width}x{height}, too small to paint: at least "
            f"{MIN_SIDE}x{MIN_SIDE} is needed; --size enlarges it"
        )
    return picture


def read_painting(path: Path) -> np.ndarray:
    """A style image, (H, W, 3) uint8 RGB. Raises SourceError."""
    image = read_image(path)
    height, width = image.shape[:2]
    if min(height, width) < MIN_SIDE:
        raise SourceError(
            f"{path} is {width}x{height}, too small to have a style: at least "
            f"{MIN_SIDE}x{MIN_SIDE} is needed"
        )
    return image


def read_styles(styles: Sequence[tuple[Path, float]], masks: Sequence[Path]) -> list[StyleImage]:
    """Paintings with their weights and masks. Raises SourceError, ValueError."""
    if masks and len(masks) != len(styles) and (len(masks), len(styles)) != (1, 2):
        raise ValueError(f"expected a mask for each of {len(styles)} paintings, got {len(masks)}")
    gray = [as_tensor(read_image(mask)).mean(1, keepdim=True) for mask in masks]
    if (len(masks), len(styles)) == (1, 2):
        gray.append(1 - gray[0])
    images = []
    for index, (path, weight) in enumerate(styles):
        painting = read_painting(path)
        height, width = painting.shape[:2]
        if max(height, width) > _PAINTING_SIDE:
            scale = _PAINTING_SIDE / max(height, width)
            size = max(MIN_SIDE, round(height * scale)), max(MIN_SIDE, round(width * scale))
            painting = read_image(path, size=size)
        images.append(StyleImage(as_tensor(painting), weight, gray[index] if gray else None))
    return images


def _color_transfer(
    colors: ColorMode, content: Tensor, styles: list[StyleImage]
) -> tuple[list[StyleImage], Callable[[Tensor], Tensor]]:
    """The paintings in the colors that they are painted with, and what is done to the result."""
    if colors == "painting":
        return styles, lambda image: image
    change = luminance_matched if colors == "luminance" else recolored
    changed = [StyleImage(change(s.image, content), s.weight, s.mask) for s in styles]
    if colors == "recolored":
        return changed, lambda image: image
    return changed, lambda image: with_colors_of(image, content)


# --- Preview ----------------------------------------------------------------------------------


@contextmanager
def preview_window(job: PaintJob) -> Iterator[Preview]:
    """A window that shows the picture so far; q or closing it stops the work.

    Raises SinkError where no window can be opened.
    """
    from impasto.realtime.live.controls import Controls
    from impasto.realtime.live.window import PreviewWindow

    original = read_content(job.content, job.size)
    controls = Controls(mirror=False)
    with PreviewWindow("Impasto") as window:

        def show(image: np.ndarray, progress: Progress) -> bool:
            nonlocal controls
            lines = [
                f"step {progress.step} of {progress.steps}",
                f"content {progress.content:.3f}  style {progress.style:.4f}",
            ]
            images = enlarged_for_text(original), enlarged_for_text(image)
            window.show(*images, controls, style_name="", lines=lines)
            controls = window.read_input(controls)
            return not controls.quit

        yield show


def enlarged_for_text(image: np.ndarray) -> np.ndarray:
    """(H, W, 3) uint8 with its pixels repeated until the text in the window fits onto it."""
    times = -(-_PREVIEW_SIDE // min(image.shape[:2]))
    return image if times == 1 else image.repeat(times, axis=0).repeat(times, axis=1)
