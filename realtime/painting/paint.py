"""Paint one picture by Gatys optimisation: reading, colours, snapshots, and the picture so far."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from time import perf_counter
from typing import Any, Literal, Protocol

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
    paint,
)
from impasto.realtime.atomic import check_target, partial_path
from impasto.realtime.files.images import (
    IMAGE_SUFFIXES,
    encode_image,
    read_image,
    supports_alpha,
    write_image,
)
from impasto.realtime.memory import keep_freed_memory
from impasto.realtime.painting.curves import claim_curves, row_of, write_curves
from impasto.realtime.pixels import as_picture, as_tensor, fitted_size

Colors = Literal["painting", "luminance", "recolored"]
_LARGEST = 1_000_000  # pixels painted where no size is asked for: minutes, not hours
_PREVIEW_SIDE = 240  # px, short, at least: below that the words in the window are cut
_PAINTING_SIDE = 3000  # px, long: larger paintings are shrunk when read, to be held in memory


class Watcher(Protocol):
    """Shows the picture as it comes."""

    def __call__(self, picture: np.ndarray, progress: Progress) -> bool:
        """Whether to go on."""


@dataclass(frozen=True)
class Job:
    """What is painted, from what, and where it goes.

    styles: paintings with their weights. masks: one for each, or one for two (white is where the
    first goes, black the second), or none. size: see `pixels.fitted_size`; None: the picture's
    own, up to a megapixel. every: steps between snapshots, NAME.0050.EXT; 0: none.
    """

    content: Path
    styles: Sequence[tuple[Path, float]]
    target: Path
    settings: Settings
    masks: Sequence[Path] = ()
    size: int | tuple[int, int] | None = None
    colors: Colors = "painting"
    start: Path | None = None
    every: int = 0
    curves: Path | None = None
    overwrite: bool = False
    device: str = "cpu"


@dataclass
class Report:
    """What came of it."""

    target: Path
    size: tuple[int, int]  # (height, width)
    steps: int
    seconds: float
    content: float
    style: float
    total: float
    stopped: bool = False
    files: list[Path] = field(default_factory=list)  # snapshots and curves


def paint_picture(
    job: Job,
    *,
    say: Callable[[str], None] = lambda line: None,
    on_progress: Callable[[Progress], None] = lambda progress: None,
    watcher: Watcher | None = None,
) -> Report:
    """Paint `job.content` and write it; Ctrl-C keeps the picture so far.

    say: is given a line before the work begins. On KeyboardInterrupt, or when the watcher says so,
    the picture so far is written as NAME.partial.EXT, which `Report.target` then names, with
    `stopped` true. Raises SourceError, SinkError, WeightsError, EngineError where memory is short,
    and ValueError for masks that are too few.
    """
    _claim(job)
    keep_freed_memory()
    picture = read_content(job.content, job.size, alpha=supports_alpha(job.target))
    content, alpha = as_tensor(picture[..., :3]), picture[..., 3:]
    styles, finish = _colored(job.colors, content, read_styles(job.styles, job.masks))
    start = None if job.start is None else as_tensor(read_image(job.start))
    size = height, width = picture.shape[0], picture.shape[1]
    _tell_memory(size, job, say)
    begun, latest = perf_counter(), None
    rows, files, stopped = [], [], False
    seen = luminance(content) if job.colors == "luminance" else content

    def finished(progress: Progress) -> np.ndarray:
        """The picture so far at full size, (H, W, 3 or 4) uint8."""
        image = progress.image
        if progress.size != size:
            image = torch.nn.functional.interpolate(image, size, mode="bicubic")
        return np.concatenate([as_picture(finish(image.clamp(0, 1).cpu())), alpha], axis=2)

    try:
        with _memory_errors(size):
            for latest in paint(seen, styles, job.settings, init=start, device=job.device):
                rows.append(row_of(latest))
                on_progress(latest)
                if job.every and latest.step % job.every == 0 and latest.step < latest.steps:
                    path = snapshot_path(job.target, latest.step)
                    write_image(path, finished(latest), overwrite=job.overwrite)
                    files.append(path)
                if watcher is not None and not watcher(finished(latest)[..., :3], latest):
                    stopped = True
                    break
    except KeyboardInterrupt:
        if latest is None:
            raise
        stopped = True
    assert latest is not None, "there is one step at least"
    target = partial_path(job.target) if stopped else job.target
    if stopped:
        _write_partial(target, finished(latest))
    else:
        write_image(target, finished(latest), overwrite=job.overwrite)
    if job.curves is not None:
        files += write_curves(job.curves, {job.target.stem: rows}, overwrite=job.overwrite)
    return Report(
        target=target,
        size=size,
        steps=latest.step,
        seconds=perf_counter() - begun,
        content=latest.content,
        style=latest.style,
        total=latest.total,
        stopped=stopped,
        files=files,
    )


def _claim(job: Job) -> None:
    """Raise SinkError now for what could not be written when all is painted."""
    if job.target.suffix.lower() not in IMAGE_SUFFIXES:
        encode_image(np.zeros((1, 1, 3), np.uint8), job.target.suffix)
    check_target(job.target, overwrite=job.overwrite)
    if job.curves is not None:
        claim_curves(job.curves, overwrite=job.overwrite)
    if job.every:
        for step in range(job.every, job.settings.steps, job.every):
            check_target(snapshot_path(job.target, step), overwrite=job.overwrite)


def _tell_memory(size: tuple[int, int], job: Job, say: Callable[[str], None]) -> None:
    """How much memory is needed, and a warning where there is less."""
    height, width = size
    needed = memory_needed(size, job.settings, job.device)
    say(f"{width}x{height}, about {needed / 2**30:.1f} GiB of memory beside the program's own")
    if (free := free_memory()) is not None and needed > free and job.device == "cpu":
        say(f"only {free / 2**30:.1f} GiB are free: --size makes it smaller")


@contextmanager
def _memory_errors(size: tuple[int, int]) -> Iterator[None]:
    """Where memory runs out, an EngineError that says what to do."""
    try:
        yield
    except (MemoryError, RuntimeError) as error:  # PyTorch's own are RuntimeErrors of many wordings
        if not isinstance(error, MemoryError) and "memory" not in str(error):
            raise
        height, width = size
        raise EngineError(
            f"{width}x{height} needs more memory than there is: ask for less with --size"
        ) from error


def _write_partial(target: Path, picture: np.ndarray) -> None:
    """The picture so far; not by `write_image`, for the partial name is its own here."""
    try:
        target.write_bytes(encode_image(picture, target.suffix))
    except OSError as error:
        raise SinkError(f"cannot write {target}: {error.strerror}") from error


def snapshot_path(target: Path, step: int) -> Path:
    """NAME.0050.EXT."""
    return target.with_name(f"{target.stem}.{step:04}{target.suffix}")


# --- Reading ----------------------------------------------------------------------------------


def read_content(
    path: Path, size: int | tuple[int, int] | None, *, alpha: bool = False
) -> np.ndarray:
    """A picture at the size it is painted at, (H, W, 3 or 4) uint8. Raises SourceError."""
    picture = read_image(path, alpha=alpha) if size is None else None
    if picture is None:
        picture = read_image(path, size=size, alpha=alpha)
    elif picture.shape[0] * picture.shape[1] > _LARGEST:
        height, width = picture.shape[:2]
        side = int(min(height, width) * (_LARGEST / (height * width)) ** 0.5)
        picture = read_image(path, size=fitted_size(height, width, side), alpha=alpha)
    if min(picture.shape[:2]) < MIN_SIDE:
        raise SourceError(
            f"{path} is {picture.shape[1]}x{picture.shape[0]}, and {MIN_SIDE} pixels a side is the "
            "least that can be painted; --size enlarges it"
        )
    return picture


def read_painting(path: Path) -> np.ndarray:
    """A picture that has a style, (H, W, 3) uint8 RGB. Raises SourceError."""
    picture = read_image(path)
    height, width = picture.shape[:2]
    if min(height, width) < MIN_SIDE:
        raise SourceError(f"{path} is {width}x{height}: too small to have a style")
    return picture


def read_styles(styles: Sequence[tuple[Path, float]], masks: Sequence[Path]) -> list[StyleImage]:
    """Paintings with their weights and masks. Raises SourceError, ValueError."""
    if masks and len(masks) != len(styles) and (len(masks), len(styles)) != (1, 2):
        raise ValueError(f"expected a mask for each of {len(styles)} paintings, got {len(masks)}")
    found = []
    grey = [as_tensor(read_image(mask)).mean(1, keepdim=True) for mask in masks]
    if (len(masks), len(styles)) == (1, 2):
        grey.append(1 - grey[0])
    for index, (path, weight) in enumerate(styles):
        picture = read_painting(path)
        height, width = picture.shape[:2]
        if max(height, width) > _PAINTING_SIDE:
            scale = _PAINTING_SIDE / max(height, width)
            size = max(MIN_SIDE, round(height * scale)), max(MIN_SIDE, round(width * scale))
            picture = read_image(path, size=size)
        found.append(StyleImage(as_tensor(picture), weight, grey[index] if grey else None))
    return found


def _colored(
    colors: Colors, content: Tensor, styles: list[StyleImage]
) -> tuple[list[StyleImage], Callable[[Tensor], Tensor]]:
    """The paintings as they are to be seen, and what is done to the result."""
    if colors == "painting":
        return styles, lambda image: image
    change = luminance_matched if colors == "luminance" else recolored
    changed = [StyleImage(change(s.image, content), s.weight, s.mask) for s in styles]
    if colors == "recolored":
        return changed, lambda image: image
    return changed, lambda image: with_colors_of(image, content)


def free_memory() -> int | None:
    """Bytes that Linux says are to be had; None elsewhere."""
    try:
        lines = Path("/proc/meminfo").read_text().splitlines()
    except OSError:
        return None
    found = [line.split()[1] for line in lines if line.startswith("MemAvailable:")]
    return int(found[0]) * 1024 if found else None


# --- Looking on -------------------------------------------------------------------------------


@contextmanager
def watching(job: Job, preview: bool) -> Iterator[Watcher | None]:
    """A window that shows the picture as it comes, where one is asked for; q or closing it stops.

    Raises SinkError where no window can be had.
    """
    if not preview:
        yield None
        return
    from impasto.realtime.live.controls import Controls
    from impasto.realtime.live.window import PreviewWindow

    original = read_content(job.content, job.size)
    controls = Controls(mirror=False)
    with PreviewWindow("Impasto") as window:

        def watch(picture: np.ndarray, progress: Progress) -> bool:
            nonlocal controls
            lines = [
                f"step {progress.step} of {progress.steps}",
                f"content {progress.content:.3f}  style {progress.style:.4f}",
            ]
            pictures = enlarged_for_words(original), enlarged_for_words(picture)
            window.show(*pictures, controls, style_name="", lines=lines)
            controls = window.read_input(controls)
            return not controls.quit

        yield watch


def enlarged_for_words(picture: np.ndarray) -> np.ndarray:
    """(H, W, 3) uint8, each pixel as large as it takes for words to find room on the picture."""
    times = -(-_PREVIEW_SIDE // min(picture.shape[:2]))
    return picture if times == 1 else picture.repeat(times, axis=0).repeat(times, axis=1)


# --- From the command line --------------------------------------------------------------------


def figures(report: Report) -> dict[str, Any]:
    """The report as plain data, ready for JSON."""
    height, width = report.size
    found = {name: value for name, value in vars(report).items() if name != "size"}
    return found | {"width": width, "height": height}
