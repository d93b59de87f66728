"""`impasto video` and `impasto image`: files in, stylized files out."""

from collections.abc import Callable
from fractions import Fraction
from functools import partial
from pathlib import Path
from typing import Any

import typer

from impasto.models.errors import OutputClosedError
from impasto.realtime.cli import options
from impasto.realtime.cli.app import command
from impasto.realtime.cli.inputs import is_many, left_out_line
from impasto.realtime.cli.jobs import FileJob, find_jobs
from impasto.realtime.cli.terminal import plural, print_error, print_line, print_progress
from impasto.realtime.cli.watch import Found, watch_jobs
from impasto.realtime.cli.work import finish, run_jobs
from impasto.realtime.progress import OnProgress


@command(example="impasto video holiday.mp4 painted.mp4 --style great_wave")
def video(
    source: options.VideoIn,
    target: options.VideoOut,
    style: options.StyleOrFirst = None,
    strength: options.Strength = 1.0,
    network: options.Network = "auto",
    stroke: options.Stroke = 1.0,
    size: options.Size = None,
    fps: options.FrameRate = None,
    start: options.Time = None,
    end: options.Time = None,
    keep_color: options.KeepColor = False,
    steadiness: options.Steadiness = None,
    batch: options.Batch = 1,
    device: options.Device = "auto",
    engine: options.Engine = "auto",
    precision: options.Precision = "auto",
    codec: options.Codec = None,
    crf: options.Crf = None,
    preset: options.Preset = None,
    bitrate: options.BitRate = None,
    bit_depth: options.BitDepth = 8,
    alpha: options.Alpha = False,
    hwaccel: options.HwAccel = None,
    as_video: options.AsVideo = False,
    mask: options.MaskFilm = None,
    pipe_format: options.PipeFormat = "mkv",
    overwrite: options.Overwrite = False,
    skip_existing: options.SkipExisting = False,
    watch: options.Watch = False,
    json: options.Json = False,
    traceback: options.Traceback = False,
) -> None:
    """Stylize a video; audio, timestamps, subtitles and all other streams are kept."""
    options.in_order(start, end)
    options.only_one(crf=crf, bitrate=bitrate)
    options.only_one(overwrite=overwrite, skip_existing=skip_existing)
    from impasto.realtime.atomic import partial_path
    from impasto.realtime.cli import advice
    from impasto.realtime.cli.film_jobs import film_jobs
    from impasto.realtime.cpu import work_in_batch
    from impasto.realtime.engines.options import EngineOptions
    from impasto.realtime.files.codecs import EncoderOptions
    from impasto.realtime.files.convert import stylize_video
    from impasto.realtime.files.image_files import number_pattern
    from impasto.realtime.files.video_reader import VideoReader
    from impasto.realtime.painting_styles import shown_name
    from impasto.realtime.stylizer import LazyStylizer, default_steadiness

    if not as_video:
        advice.check_film(source, target)
    work_in_batch()
    reasons: list[str] = []
    log = reasons.append if json else print_line
    to_pipe = str(target) == "-" and not json  # standard output is for the film alone
    style = options.style_or_first(style, network, print_progress if to_pipe else log)
    engine_options = EngineOptions(style, strength, engine, device, precision, network)
    engine_options.check()
    encoder = EncoderOptions(
        codec=codec, crf=crf, preset=preset, bitrate=bitrate, bit_depth=bit_depth, alpha=alpha
    )
    find = partial(film_jobs, source, target, as_video=as_video, pipe_format=pipe_format)
    steadiness = steadiness or default_steadiness(engine_options.architecture, device)
    stylizer = LazyStylizer(engine_options, log, keep_color=keep_color, steadiness=steadiness)

    def convert(job: FileJob, on_progress: OnProgress) -> tuple[str, dict[str, Any]]:
        try:
            report = stylize_video(
                job.source,
                job.target,
                stylizer,
                size=size,
                frame_rate=fps,
                start=start,
                end=end,
                batch_size=batch,
                encoder=encoder,
                overwrite=overwrite,
                hwaccel=hwaccel,
                mask=mask,
                stroke=stroke,
                on_progress=on_progress,
            )
        except OutputClosedError as error:  # a player was closed: nothing went wrong
            print_error(f"stopped: {error}")
            raise typer.Exit(0) from None
        except KeyboardInterrupt:
            partial = partial_path(job.target) if isinstance(job.target, Path) else None
            kept = "nothing was written"
            if partial is None:
                kept = "the film ends here"
            elif number_pattern(job.target):
                kept = "the pictures so far are kept"
            elif partial.exists():
                kept = f"the video so far is {partial}"
            print_error(f"stopped; {kept}")
            raise typer.Exit(130) from None
        rate = report.frames / report.seconds
        frames = plural(report.frames, "frame")
        line = f"{job.target}: {frames} in {report.seconds:.1f} s, {rate:.1f} fps"
        figures = {name: getattr(report, name) for name in report.__slots__} | {"fps": rate}
        figures["lost"] = figures.pop("missing_frames")
        notes = [*report.notes, *stylizer.notes()]
        if isinstance(job.source, Path) and advice.is_picture(job.source) and report.frames == 1:
            notes.append("a film of one picture; impasto image stylizes pictures")
        return line, figures | {"notes": notes}

    def count(job: FileJob) -> int:
        with VideoReader(job.source, start=start, end=end) as file:
            return file.info.frame_count or 0

    skip = skip_existing or (is_many(source) and not as_video and not overwrite)
    run = partial(run_jobs, do=convert, count=count, skip_existing=skip, quiet=json)
    rows, left_out = _run(source, target, find, run, watch=watch, quiet=json)
    used = {"style": shown_name(style), "network": engine_options.architecture, "chosen": reasons}
    report = used | {"files": rows, "left_out": left_out}
    finish(rows, as_json=report if json else None)


@command(example="impasto image holiday.jpg painted.png --style starry_night")
def image(
    source: options.ImageIn,
    target: options.ImageOut,
    style: options.StyleOrFirst = None,
    strength: options.Strength = 1.0,
    network: options.Network = "auto",
    stroke: options.Stroke = 1.0,
    size: options.Size = None,
    keep_color: options.KeepColor = False,
    mask: options.MaskPicture = None,
    device: options.Device = "auto",
    engine: options.Engine = "auto",
    precision: options.Precision = "auto",
    no_metadata: options.NoMetadata = False,
    overwrite: options.Overwrite = False,
    skip_existing: options.SkipExisting = False,
    watch: options.Watch = False,
    json: options.Json = False,
    traceback: options.Traceback = False,
) -> None:
    """Stylize a picture, or a folder of them: JPEG, PNG, HEIC, AVIF, WebP, TIFF, BMP ...

    Transparency, date, camera and place are kept, and 16 bits in PNG and TIFF.
    """
    options.only_one(overwrite=overwrite, skip_existing=skip_existing)
    import numpy as np

    from impasto.realtime.atomic import check_target
    from impasto.realtime.cli import advice
    from impasto.realtime.engines.options import EngineOptions
    from impasto.realtime.files.image_encoding import WRITABLE_SUFFIXES, supports_alpha
    from impasto.realtime.files.images import (
        IMAGE_SUFFIXES,
        PHOTO_SUFFIXES,
        read_picture,
        write_image,
    )
    from impasto.realtime.files.masks import still_mask_for
    from impasto.realtime.mask import masked
    from impasto.realtime.painting_styles import shown_name
    from impasto.realtime.stroke import StrokeStylizer
    from impasto.realtime.stylizer import LazyStylizer

    advice.check_picture(source, target)
    reasons: list[str] = []
    log = reasons.append if json else print_line
    style = options.style_or_first(style, network, log)
    engine_options = EngineOptions(style, strength, engine, device, precision, network)
    engine_options.check()
    find = partial(
        find_jobs,
        source,
        target,
        readable=(*IMAGE_SUFFIXES, ".gif"),
        writable=WRITABLE_SUFFIXES,
        otherwise=".png",
        instead=dict.fromkeys(PHOTO_SUFFIXES, ".jpg"),
    )
    stylizer = LazyStylizer(engine_options, log, keep_color=keep_color, is_video=False)
    paint = stylizer if stroke == 1 else StrokeStylizer(stylizer, stroke)

    def convert(job: FileJob, on_progress: OnProgress) -> tuple[str, dict[str, Any]]:
        target = job.target
        picture = read_picture(job.source, size=size, alpha=supports_alpha(target))
        check_target(target, overwrite=overwrite)
        white = still_mask_for(mask, job.source) if mask is not None else None
        stylized = paint.stylize_image(picture.image[..., :3])
        if white is not None:
            original = np.ascontiguousarray(picture.image[..., :3])
            stylized = masked(original, stylized, white(Fraction(0), stylized.shape[:2]))
        stylized = np.concatenate([stylized, picture.image[..., 3:]], axis=2)
        write_image(
            target,
            picture.painted_as(stylized, target),
            metadata=picture.metadata_kept(not no_metadata),
            overwrite=overwrite,
        )
        height, width = stylized.shape[:2]
        notes = [*picture.notes_for(target), *stylizer.notes(), *(white.notes if white else ())]
        figures = {"width": width, "height": height, "notes": notes}
        return f"{target}: {width}x{height}", figures

    skip = skip_existing or (is_many(source) and not overwrite)
    run = partial(run_jobs, do=convert, count=lambda job: 1, skip_existing=skip, quiet=json)
    rows, left_out = _run(source, target, find, run, watch=watch, quiet=json)
    used = {"style": shown_name(style), "network": engine_options.architecture, "chosen": reasons}
    report = used | {"files": rows, "left_out": left_out}
    finish(rows, as_json=report if json else None)


def _run(
    source: str,
    target: Path,
    find: Callable[[], Found],
    run: Callable[..., list[dict[str, Any]]],
    *,
    watch: bool,
    quiet: bool,
) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Do the jobs that `find` gives now, or as they come: rows of them, and of what is left out."""
    if watch:
        return watch_jobs(source, target, find, partial(run, report_errors=True), quiet=quiet), []
    jobs, left_out = find()
    if left_out and not quiet:
        print_line(left_out_line(left_out))
    return run(jobs), [entry._asdict() for entry in left_out]
