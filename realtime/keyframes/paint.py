"""Keyframes painted by optimization, one after another, each consistent with the last."""

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

from impasto.models.errors import SourceError
from impasto.models.gatys.objective import Previous
from impasto.models.gatys.optimize import MIN_SIDE, Settings, StyleImage, open_network, paint
from impasto.models.vgg import LossNetwork
from impasto.realtime.frame import Frame
from impasto.realtime.keyframes.folder import KeyframeFolder
from impasto.realtime.keyframes.selection import Keyframe, Selection
from impasto.realtime.keyframes.tracking import SIDE, PixelTracker
from impasto.realtime.memory import keep_freed_memory
from impasto.realtime.pixels import as_picture, as_tensor
from impasto.realtime.temporal.flow import downscale, resize_flow, warp

# Of agreement with the last keyframe of the shot (`Previous`), against the other losses.
AGREEMENT_WEIGHT = 2500.0
_RECIPE = 3  # increased when the same settings give another image than before

OnStep = Callable[[int, int], None]  # steps done, steps in all


@dataclass(frozen=True)
class PaintedKeyframe:
    """A keyframe whose painting is in the folder."""

    keyframe: Keyframe
    path: Path
    seconds: float  # that it took
    reused: bool  # from an earlier run


def paint_keyframes(
    frames: Iterable[Frame],
    selection: Selection,
    paintings: Sequence[np.ndarray],
    settings: Settings,
    folder: KeyframeFolder,
    *,
    device: str = "cpu",
    on_step: OnStep = lambda done, total: None,
    log: Callable[[str], None] = lambda line: None,
) -> Iterator[PaintedKeyframe]:
    """Paint the keyframes of a video in order; each is in `folder` when it is yielded.

    frames: all of the frames that `selection` was made from, RGB. paintings: one or more style
    images, (H, W, 3) uint8. The first keyframe of a shot starts as `settings` say. A later one
    starts from the last, warped along the motion, and is held to it where the motion can be trusted
    (Ruder, Dosovitskiy and Brox 2016, eqs. 6 and 7). It is optimized over the whole pyramid too:
    started at full size only, newly visible regions stay close to the unstylized frame.
    Raises SourceError, SinkError and WeightsError.
    """
    keep_freed_memory()
    remaining = {keyframe.pts: keyframe for keyframe in selection.keyframes}
    styles = [StyleImage(as_tensor(image)) for image in paintings]
    recipe = recipe_digest(paintings, settings)
    network: LossNetwork | None = None
    last: _LastKeyframe | None = None  # of this shot
    origin = ""
    for frame in frames:
        if frame.pts in selection.cuts:
            last, origin = None, ""
        if last is not None:
            last.track.follow(downscale(frame.image, SIDE))
        keyframe = remaining.pop(frame.pts, None)
        if keyframe is not None:
            origin = origin_digest(recipe, origin, frame.image)
            began = perf_counter()
            image = loaded = folder.load(keyframe, origin)
            if image is None:
                network = network or open_network(settings, device, log)
                image = _paint(frame.image, last, styles, settings, network, on_step)
                folder.save(keyframe, image, _note(origin, keyframe, settings))
            last = _LastKeyframe(image, PixelTracker(downscale(frame.image, SIDE)))
            seconds = perf_counter() - began
            yield PaintedKeyframe(keyframe, folder.path_of(keyframe), seconds, loaded is not None)
        if not remaining:
            return


@dataclass(frozen=True)
class _LastKeyframe:
    """The keyframe painted before, and the track of its pixels to the newest frame."""

    image: np.ndarray  # (H, W, 3) uint8: the painting
    track: PixelTracker

    def start_for(self, content: Tensor) -> tuple[Tensor, Previous]:
        """What the next painting starts from and agrees with: this one, warped into its frame."""
        flow, confidence = self.track.registered()
        size = self.image.shape[:2]
        warped = as_tensor(warp(self.image, resize_flow(flow, size), cv2.INTER_CUBIC))
        mask = torch.from_numpy(cv2.resize(confidence, size[::-1]))[None, None]
        start = mask * warped + (1 - mask) * content
        return start, Previous(warped, mask, AGREEMENT_WEIGHT)


def _paint(
    image: np.ndarray,
    last: _LastKeyframe | None,
    styles: list[StyleImage],
    settings: Settings,
    network: LossNetwork,
    on_step: OnStep,
) -> np.ndarray:
    """The painting of one frame, both (H, W, 3) uint8. Raises SourceError if it is too small."""
    height, width = image.shape[:2]
    if min(height, width) < MIN_SIDE:
        raise SourceError(
            f"frames of {width}x{height} are too small to paint: at least {MIN_SIDE}x{MIN_SIDE} "
            "are needed"
        )
    content = as_tensor(image)
    start, previous = (None, None) if last is None else last.start_for(content)
    device = str(network.scale.device)
    how: Any = {"init": start, "previous": previous, "device": device, "network": network}
    for progress in paint(content, styles, settings, **how):
        on_step(progress.step, progress.steps)
    return as_picture(progress.image)


def _note(origin: str, keyframe: Keyframe, settings: Settings) -> dict[str, Any]:
    return {
        "origin": origin,
        "frame": keyframe.number,
        "seconds": keyframe.time,
        "chosen": keyframe.reason,
        "settings": _as_saved(settings),
    }


def recipe_digest(paintings: Sequence[np.ndarray], settings: Settings) -> str:
    """Identifies the settings and style images that keyframes are painted with."""
    return _digest(_RECIPE, _as_saved(settings), AGREEMENT_WEIGHT, *paintings)


def _as_saved(settings: Settings) -> dict[str, Any]:
    """Settings by the names that folders painted by earlier versions have."""
    fields = asdict(settings)
    # Its rounding is not seen, and "auto" is another one on another machine.
    fields |= {"start": fields.pop("init"), "precision": "bf16"}
    del fields["stand_in"]
    if not fields["before_relu"]:
        del fields["before_relu"]
    return fields | {"learning_rate": settings.learning_rate or 0.02}


def origin_digest(recipe: str, last_origin: str, image: np.ndarray) -> str:
    """Identifies what a keyframe is painted from: its frame, and the keyframes before it."""
    return _digest(recipe, last_origin, image)


def _digest(*parts: Any) -> str:
    """SHA-256 of images and settings, in hexadecimal."""
    digest = hashlib.sha256()
    for part in parts:
        if isinstance(part, np.ndarray):
            digest.update(repr(part.shape).encode() + np.ascontiguousarray(part).tobytes())
        else:
            digest.update(json.dumps(part, sort_keys=True, default=str).encode())
    return digest.hexdigest()
