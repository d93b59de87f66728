"""The folder that painted keyframes are kept in, from run to run."""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

from impasto.models.errors import SinkError, SourceError
from impasto.realtime.atomic import check_target, write_file
from impasto.realtime.files.images import read_image, write_image
from impasto.realtime.keyframes.selection import Keyframe


class KeyframeFolder:
    """A PNG for each keyframe, and beside it, as JSON, what it was painted from.

    resume: use a painting that is there, if it has the same origin. overwrite: replace what is
    there. Raises SinkError if the folder can be neither made nor written to.
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

    def path_of(self, keyframe: Keyframe) -> Path:
        return self.path / f"keyframe_{keyframe.number:06d}.png"

    def read(self, keyframe: Keyframe) -> np.ndarray:
        """The painting of a keyframe, (H, W, 3) uint8. Raises SourceError."""
        return read_image(self.path_of(keyframe))

    def check(self, keyframes: Iterable[Keyframe]) -> None:
        """Raise SinkError if a keyframe would replace something, before any is painted."""
        if self.overwrite or self.resume:
            return
        for keyframe in keyframes:
            if (path := self.path_of(keyframe)).exists():
                raise SinkError(
                    f"{path} exists: continue with it (--resume), replace it (--overwrite), "
                    "or choose another folder"
                )

    def load(self, keyframe: Keyframe, origin: str) -> np.ndarray | None:
        """The painting to use again, (H, W, 3) uint8; None where it must be painted.

        origin: identifies what it is painted from. Raises SinkError for one of another origin.
        """
        path = self.path_of(keyframe)
        if not self.resume or not path.exists():
            return None
        try:
            note = json.loads(path.with_suffix(".json").read_text())
        except (OSError, ValueError):
            note = {}  # stopped between the two files
        if note.get("origin") == origin:
            try:
                return read_image(path)
            except SourceError:
                return None
        if note and not self.overwrite:
            raise SinkError(
                f"{path} was painted from another video, painting or setting: replace it "
                "(--overwrite), or choose another folder"
            )
        return None

    def save(self, keyframe: Keyframe, image: np.ndarray, note: dict[str, Any]) -> None:
        """Write both files, each atomically. Raises SinkError."""
        path = self.path_of(keyframe)
        write_image(path, image, overwrite=self.overwrite or self.resume)
        text = json.dumps(note, indent=2, default=str) + "\n"
        write_file(path.with_suffix(".json"), text.encode(), overwrite=True)
