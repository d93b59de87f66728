"""Keyframes of a film painted by optimisation, one after another, and kept in a folder."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from time import perf_counter
from typing import Any

import cv2
import numpy as np
import torch
from torch import Tensor

from impasto.models.errors import SinkError, SourceError
from impasto.models.gatys.objective import Previous
from impasto.models.gatys.optimize import MIN_SIDE, Settings, StyleImage, paint
from impasto.realtime.atomic import check_target, write_file
from impasto.realtime.files.images import read_image, write_image
from impasto.realtime.frame import Frame
from impasto.realtime.keyframes.selection import Keyframe, Shots
from impasto.realtime.keyframes.tracking import SIDE, Track
from impasto.realtime.memory import keep_freed_memory
from impasto.realtime.pixels import as_picture, as_tensor
from impasto.realtime.temporal.flow import downscale, resize_flow, warp

# Of agreeing with the last keyframe of the shot (`Previous`), against the other losses.
AGREEMENT_WEIGHT = 2500.0
_RECIPE = 3  # grows when the same settings give another picture than before

OnStep = Callable[[int, int], None]  # steps done, steps in all


@dataclass(frozen=True)
class Painted:
    """A keyframe that is done."""

    keyframe: Keyframe
    path: Path
    seconds: float  # that it took
    reused: bool  # from an earlier run


class Folder:
    """Where painted keyframes lie: for each a picture, and what it was painted from as JSON.

    resume: use again what is there, if it was painted from the same frame with the same settings.
    overwrite: replace what is there. Raises SinkError if the folder can be neither made nor used.
    """

    def __init__(self, path: Path, *, resume: bool = False, overwrite: bool = False) -> None:
        self.path, self.resume, self.overwrite = path, resume, overwrite
        try:
            path.mkdir(exist_ok=True)
        except FileNotFoundError:
            raise SinkError(f"there is no folder {path.parent} to make {path.name} in") from None
        except OSError as error:
            raise SinkError(f"cannot use {path} as a folder: {error.strerror}") from error
        check_target(path / "keyframe.json", overwrite=True)

    def picture(self, keyframe: Keyframe) -> Path:
        return self.path / f"keyframe_{keyframe.number:06d}.png"

    def check(self, keyframes: Iterable[Keyframe]) -> None:
        """Raise SinkError if a keyframe would replace something, before any is painted."""
        if self.overwrite or self.resume:
            return
        for keyframe in keyframes:
            if (path := self.picture(keyframe)).exists():
                raise SinkError(
                    f"{path} exists: go on with it (--resume), replace it (--overwrite), "
                    "or choose another folder"
                )

    def find(self, keyframe: Keyframe, origin: str) -> np.ndarray | None:
        """The picture that is there, if it comes from `origin`. Raises SinkError if it does not."""
        picture = self.picture(keyframe)
        if not self.resume or not picture.exists():
            return None
        try:
            note = json.loads(picture.with_suffix(".json").read_text())
        except (OSError, ValueError):
            note = {}  # stopped between the two files
        if note.get("origin") == origin:
            try:
                return read_image(picture)
            except SourceError:
                return None
        if note and not self.overwrite:
            raise SinkError(
                f"{picture} was painted from another film, painting or setting: replace it "
                "(--overwrite), or choose another folder"
            )
        return None

    def keep(self, keyframe: Keyframe, image: np.ndarray, note: dict[str, Any]) -> None:
        """Write both files, each of them whole. Raises SinkError."""
        replaces = self.overwrite or self.resume
        picture = self.picture(keyframe)
        write_image(picture, image, overwrite=replaces)
        text = json.dumps(note, indent=2, default=str) + "\n"
        write_file(picture.with_suffix(".json"), text.encode(), overwrite=True)


def paint_keyframes(
    frames: Iterable[Frame],
    shots: Shots,
    painting: Sequence[np.ndarray],
    settings: Settings,
    folder: Folder,
    *,
    device: str = "cpu",
    on_step: OnStep = lambda done, total: None,
) -> Iterator[Painted]:
    """Paint the keyframes of a film in order; each lies in `folder` when it is yielded.

    frames: all of the film that `shots` was found in, RGB. painting: one or more, (H, W, 3) uint8.
    The first keyframe of a shot begins as the settings say. A later one begins with the last,
    warped along the motion, and is held to it where the motion can be trusted (Ruder, Dosovitskiy
    and Brox 2016, eqs. 6 and 7). It goes through all sizes as the first does: at its full size
    only, what has come into view hardly left the look of the film. Raises SourceError, SinkError
    and WeightsError.
    """
    keep_freed_memory()
    wanted = {keyframe.pts: keyframe for keyframe in shots.keyframes}
    styles = [StyleImage(as_tensor(image)) for image in painting]
    recipe = _digest(_RECIPE, asdict(settings), AGREEMENT_WEIGHT, *painting)
    track: Track | None = None
    last: np.ndarray | None = None
    origin = ""
    for frame in frames:
        if frame.pts in shots.cuts:
            track = last = None
            origin = ""
        if track is not None:
            track.follow(downscale(frame.image, SIDE))
        keyframe = wanted.pop(frame.pts, None)
        if keyframe is not None:
            origin = _digest(recipe, origin, frame.image)
            began = perf_counter()
            image = found = folder.find(keyframe, origin)
            if image is None:
                content = as_tensor(frame.image)
                start, previous = None, None
                if track is not None and last is not None:
                    start, previous = _carried(content, last, track)
                image = _painted(content, styles, settings, start, previous, device, on_step)
                note = {
                    "origin": origin,
                    "frame": keyframe.number,
                    "seconds": keyframe.time,
                    "chosen": keyframe.reason,
                    "settings": asdict(settings),
                }
                folder.keep(keyframe, image, note)
            last, track = image, Track(downscale(frame.image, SIDE))
            seconds = perf_counter() - began
            yield Painted(keyframe, folder.picture(keyframe), seconds, found is not None)
        if not wanted:
            return


def _painted(
    content: Tensor,
    styles: list[StyleImage],
    settings: Settings,
    start: Tensor | None,
    previous: Previous | None,
    device: str,
    on_step: OnStep,
) -> np.ndarray:
    """One keyframe. Raises SourceError where it is too small."""
    if min(content.shape[-2:]) < MIN_SIDE:
        height, width = content.shape[-2:]
        raise SourceError(
            f"frames of {width}x{height} are too small to paint: {MIN_SIDE} px a side are needed"
        )
    for progress in paint(content, styles, settings, init=start, previous=previous, device=device):
        on_step(progress.step, progress.steps)
    return as_picture(progress.image)


def _carried(content: Tensor, last: np.ndarray, track: Track) -> tuple[Tensor, Previous]:
    """What a painting begins with, and agrees with: the last one, as `track` has moved it."""
    flow, trust = track.registered()
    size = last.shape[:2]
    warped = as_tensor(warp(last, resize_flow(flow, size), cv2.INTER_CUBIC))
    mask = torch.from_numpy(cv2.resize(trust, size[::-1]))[None, None]
    start = mask * warped + (1 - mask) * content
    return start, Previous(warped, mask, AGREEMENT_WEIGHT)


def _digest(*parts: Any) -> str:
    """SHA-256 of pictures and settings, in hexadecimal."""
    found = hashlib.sha256()
    for part in parts:
        if isinstance(part, np.ndarray):
            found.update(repr(part.shape).encode() + np.ascontiguousarray(part).tobytes())
        else:
            found.update(json.dumps(part, sort_keys=True, default=str).encode())
    return found.hexdigest()
