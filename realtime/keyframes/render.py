"""`impasto keyframes` from top to bottom: select, paint, and propagate to the whole video."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from impasto.models.gatys.optimize import StyleImage
from impasto.models.styles import known_styles
from impasto.realtime.engines.torch_engine import resolve_device
from impasto.realtime.files.convert import stylize_video
from impasto.realtime.files.images import write_image
from impasto.realtime.keyframes.fill import fill_with, nearest_fill
from impasto.realtime.keyframes.finetune import finetune_style
from impasto.realtime.keyframes.folder import KeyframeFolder
from impasto.realtime.keyframes.job import KeyframeJob
from impasto.realtime.keyframes.paint import PaintedKeyframe, paint_keyframes
from impasto.realtime.keyframes.propagate import KeyframePropagation
from impasto.realtime.keyframes.refine import refined
from impasto.realtime.keyframes.selection import (
    Selection,
    intra_frame_times,
    max_gap,
    select_keyframes,
)
from impasto.realtime.painting.sheet import contact_sheet
from impasto.realtime.pixels import as_tensor, resized
from impasto.realtime.progress import OnProgress, StartStage, with_rate

_SHEET_SIDE = 180  # px, short side of an image on the contact sheet
Log = Callable[[str], None]


def select(job: KeyframeJob, on_progress: OnProgress) -> Selection:
    """Go through the video and select its keyframes. Raises SourceError."""
    selection = Selection()
    with job.clip.open() as video:
        info = video.info
        begin = video.first_time - video.start_time
        on_frame = with_rate(on_progress)
        for selection in select_keyframes(
            video,
            replace(job.rule, max_gap=max_gap(info.height, info.width)),
            start_time=video.start_time,
            end=None if info.duration is None else begin + info.duration,
            intra=intra_frame_times(job.clip.path) if job.rule.intra else (),
        ):
            on_frame(selection.frame_count, info.frame_count)
    return selection


def render(job: KeyframeJob, selection: Selection, log: Log, start: StartStage) -> dict[str, Any]:
    """Paint the selected keyframes, then make what the job asks for; returns the figures.

    log: called with a line for each result and each automatic choice. start: begins the progress of
    a named stage. Raises what the stages raise.
    """
    assert job.folder is not None, "only a dry run has none"
    folder = KeyframeFolder(job.folder, resume=job.resume, overwrite=job.overwrite)
    folder.check(selection.keyframes)
    rows = []
    for painted in paint(job, selection, folder, log, start("painting", "steps/s")):
        how = "from an earlier run" if painted.reused else f"{painted.seconds:.1f} s"
        log(f"{painted.path}: {painted.keyframe.time:.2f} s into the video, {how}")
        rows.append({"file": painted.path, "seconds": painted.seconds, "reused": painted.reused})
    figures: dict[str, Any] = {"painted": rows}
    if job.sheet is not None:
        write_keyframe_sheet(job, selection, folder)
        log(f"{job.sheet}: {len(rows)} keyframes")
    if job.video is None and not job.finetune:
        return figures
    style = job.fill
    if style == "nearest":
        start("comparing the styles", "")
        keyframe, original = next(job.clip.frames_of(selection.keyframes))
        style, loss = nearest_fill(original, folder.read(keyframe), job.style_image(), job.network)
        log(f"fill: {style} (the nearest to the painting of those installed, style {loss:.2f})")
    with tempfile.TemporaryDirectory() as scratch:
        if job.finetune:
            parent = next(iter(known_styles(job.network))) if style == "content" else style
            tuned = job.save_style or Path(scratch) / "finetuned.safetensors"
            progress = start("fine-tuning", "steps/s")
            finetune_style(job, selection, folder, parent, tuned, progress)
            style = str(tuned)
            if job.save_style is not None:
                log(f"{job.save_style}: a style, fine-tuned from {parent}")
        if job.video is not None:
            progress = start("propagating", "fps")
            figures |= write_video(job, selection, folder, job.video, style, log, progress)
    return figures


def paint(
    job: KeyframeJob,
    selection: Selection,
    folder: KeyframeFolder,
    log: Log,
    on_progress: OnProgress,
) -> Iterator[PaintedKeyframe]:
    """`paint_keyframes`, with progress in steps over all keyframes."""
    count, done = len(selection.keyframes), 0
    steps, on_steps = job.settings.steps, with_rate(on_progress)

    def on_step(step: int, level_steps: int) -> None:
        on_steps(done * steps + step * steps // level_steps, count * steps)

    device, paintings = resolve_device(job.device), [job.style_image()]
    with job.clip.open() as video:
        for painted in paint_keyframes(
            video,
            selection,
            paintings,
            job.settings,
            folder,
            device=device,
            on_step=on_step,
            log=log,
        ):
            done += 1
            yield painted


def write_video(
    job: KeyframeJob,
    selection: Selection,
    folder: KeyframeFolder,
    target: Path,
    style: str,
    log: Log,
    on_progress: OnProgress,
) -> dict[str, Any]:
    """Write the video, propagated from its keyframes and refined, or by the fill style alone.

    style: what fills in, or a style file. Returns the figures. Raises SourceError, SinkError and
    what the style's stylizer raises.
    """
    by_pts = {keyframe.pts: keyframe for keyframe in selection.keyframes}
    with job.clip.open() as video:
        max_pending = max_gap(video.info.height, video.info.width)
    fill = fill_with(style, job.network, job.device, log)
    propagation = KeyframePropagation(
        by_pts,
        lambda pts: folder.read(by_pts[pts]),
        selection.cuts,
        fill,
        max_pending=max_pending,
    )
    stylize = fill
    if not job.style_only:
        images, device = [StyleImage(as_tensor(job.style_image()))], resolve_device(job.device)
        stylize = refined(propagation, images, job.settings, steps=job.refine, device=device)
    report = stylize_video(
        job.clip.path,
        target,
        stylize,
        size=job.clip.size,
        start=job.clip.start,
        end=job.clip.end,
        encoder=job.encoder,
        overwrite=job.overwrite,
        on_progress=on_progress,
    )
    filled = 1.0 if job.style_only else propagation.filled / max(report.frames, 1)
    for note in report.notes:
        log(f"{target.name}: {note}")
    log(f"{target}: {report.frames} frames, {filled:.0%} of the picture filled in")
    return {"video": target, "frames_written": report.frames, "filled": filled}


def write_keyframe_sheet(
    job: KeyframeJob, selection: Selection, folder: KeyframeFolder | None = None
) -> None:
    """Write the contact sheet of the keyframes: painted, or, without a folder, as they are.

    Raises SourceError, SinkError.
    """
    assert job.sheet is not None
    images = []
    for keyframe, original in job.clip.frames_of(selection.keyframes):
        image = original if folder is None else folder.read(keyframe)
        height, width = image.shape[:2]
        scale = min(1.0, _SHEET_SIDE / min(height, width))
        small = resized(image, (max(1, round(scale * height)), max(1, round(scale * width))))
        images.append((f"{keyframe.number}: {keyframe.time:.2f} s ({keyframe.reason})", small))
    write_image(job.sheet, contact_sheet(images, columns=4), overwrite=job.overwrite)
