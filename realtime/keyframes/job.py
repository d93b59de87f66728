"""What `impasto keyframes` is asked to do, checked before any work begins."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

from impasto.models.errors import SinkError
from impasto.models.gatys.choices import Preset
from impasto.models.gatys.optimize import Settings, settings_of
from impasto.realtime.atomic import check_target
from impasto.realtime.engines.torch_engine import resolve_device
from impasto.realtime.files.codecs import DEFAULT_ENCODER, EncoderOptions, encoding_for
from impasto.realtime.files.convert import check_target_is_not_source
from impasto.realtime.files.image_encoding import check_is_writable
from impasto.realtime.files.images import read_image
from impasto.realtime.files.video_reader import VideoReader
from impasto.realtime.keyframes.refine import STEPS
from impasto.realtime.keyframes.selection import Keyframe, SelectionRule


@dataclass(frozen=True)
class Clip:
    """A part of a video file, and the size its frames are read at; see `VideoReader`."""

    path: Path
    size: int | tuple[int, int] | None = None
    start: Fraction | None = None
    end: Fraction | None = None

    def open(self) -> VideoReader:
        return VideoReader(self.path, size=self.size, start=self.start, end=self.end)

    def frames_of(self, keyframes: Sequence[Keyframe]) -> Iterator[tuple[Keyframe, np.ndarray]]:
        """Each keyframe with its frame, not painted, (H, W, 3) uint8."""
        remaining = {keyframe.pts: keyframe for keyframe in keyframes}
        with self.open() as video:
            for frame in video:
                if (keyframe := remaining.pop(frame.pts, None)) is not None:
                    yield keyframe, frame.image
                if not remaining:
                    return


@dataclass(frozen=True)
class KeyframeJob:
    """Which keyframes of a video are painted, how, and what is made of them.

    painting, folder: None for a dry run only. fill: a style, a style file, "content" or "nearest";
    see `keyframes.fill`. network: its architecture, as for `models.styles.load_style`. finetune:
    fine-tune the style that fills in on the keyframes first.
    style_only: the fine-tuned style stylizes the video without propagation. refine: steps of
    optimization on each propagated frame. changes: to the settings of the preset; None leaves one
    as it is.
    """

    clip: Clip
    painting: Path | None
    folder: Path | None
    rule: SelectionRule = SelectionRule()
    video: Path | None = None
    sheet: Path | None = None
    fill: str = "nearest"
    network: str = "auto"
    finetune: bool = False
    save_style: Path | None = None
    style_only: bool = False
    refine: int = STEPS
    resume: bool = False
    overwrite: bool = False
    device: str = "auto"
    encoder: EncoderOptions = DEFAULT_ENCODER
    preset: Preset = "ours"
    changes: dict[str, Any] = field(default_factory=dict)

    @property
    def settings(self) -> Settings:
        return settings_of(self.preset, self.changes)

    def style_image(self) -> np.ndarray:
        """The painting, (H, W, 3) uint8. Raises SourceError."""
        assert self.painting is not None, "only a dry run has none"
        return read_image(self.painting)

    def check(self) -> None:
        """Raise SourceError, SinkError or EngineError now for what would fail after much work."""
        resolve_device(self.device)
        with self.clip.open() as video:
            size = (video.info.height, video.info.width)
        if self.painting is not None:
            read_image(self.painting)
        if self.video is not None:
            check_target_is_not_source(self.clip.path, self.video)
            encoding_for(self.video, size, self.encoder)
        if self.sheet is not None:
            check_is_writable(self.sheet)
        if self.save_style is not None and self.save_style.suffix != ".safetensors":
            raise SinkError(f"{self.save_style} must end in .safetensors, to be a style")
        for path in (self.video, self.sheet, self.save_style):
            if path is not None:
                check_target(path, overwrite=self.overwrite)
