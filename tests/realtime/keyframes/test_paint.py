"""Painted keyframes: how they agree with each other, and how another run uses them again."""

import json
from pathlib import Path
from shutil import copytree

import numpy as np
import pytest

from impasto.models.errors import SinkError
from impasto.models.gatys.optimize import Settings
from impasto.realtime.files.images import read_image
from impasto.realtime.files.video_reader import VideoReader
from impasto.realtime.frame import Frame
from impasto.realtime.keyframes import paint
from impasto.realtime.keyframes.folder import KeyframeFolder
from impasto.realtime.keyframes.paint import PaintedKeyframe, paint_keyframes
from impasto.realtime.keyframes.selection import Keyframe, Selection
from tests.media import SIZE, make_clip
from tests.realtime.keyframes.views import frames_of, texture

QUICK = Settings(steps=2, levels=1)


@pytest.fixture(scope="module")
def painted_once(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """The clip, and a folder with its keyframes: to be copied, not changed."""
    root = tmp_path_factory.mktemp("keyframes")
    clip = make_clip(root / "in.mp4", frames=6, audio=["eng"])
    painted(clip, KeyframeFolder(root / "out"))
    return clip, root / "out"


def painted(
    clip: Path, folder: KeyframeFolder, settings: Settings = QUICK
) -> list[PaintedKeyframe]:
    frames = [Frame(f.image, f.pts, f.time_base) for f in VideoReader(clip)]
    keys = [Keyframe(n, frames[n].pts, n / 25, 0, "every") for n in (0, 4)]
    selection = Selection(keys, {frames[0].pts}, len(frames))
    return list(paint_keyframes(frames, selection, [texture(64, 64, 8)], settings, folder))


def test_paintings_and_notes_are_written(painted_once: tuple[Path, Path]) -> None:
    _, folder = painted_once
    pictures = sorted(folder.glob("*.png"))
    assert [p.name for p in pictures] == ["keyframe_000000.png", "keyframe_000004.png"]
    for picture, number in zip(pictures, (0, 4), strict=True):
        assert read_image(picture).shape == (*SIZE, 3)
        note = json.loads(picture.with_suffix(".json").read_text())
        assert note["settings"]["steps"] == 2 and note["frame"] == number
    assert len(list(folder.iterdir())) == 4


def test_resume_uses_what_an_earlier_run_painted(
    painted_once: tuple[Path, Path], tmp_path: Path
) -> None:
    clip, folder = painted_once
    copytree(folder, tmp_path / "out")
    before = [path.read_bytes() for path in sorted(folder.glob("*.png"))]
    (tmp_path / "out" / "keyframe_000004.json").unlink()  # stopped between its two files
    again = painted(clip, KeyframeFolder(tmp_path / "out", resume=True))
    assert [one.reused for one in again] == [True, False]
    assert [one.path.read_bytes() for one in again] == before  # same input, same picture


def test_resume_refuses_paintings_of_other_settings(
    painted_once: tuple[Path, Path], tmp_path: Path
) -> None:
    clip, folder = painted_once
    copytree(folder, tmp_path / "out")
    before = [path.read_bytes() for path in sorted(folder.glob("*.png"))]
    other = Settings(steps=2, levels=1, style_weight=3.0)
    with pytest.raises(SinkError, match="another video, painting or setting"):
        painted(clip, KeyframeFolder(tmp_path / "out", resume=True), other)
    now = [path.read_bytes() for path in sorted((tmp_path / "out").glob("*.png"))]
    assert now == before
    replaced = painted(clip, KeyframeFolder(tmp_path / "out", resume=True, overwrite=True), other)
    assert not any(one.reused for one in replaced)


def test_an_existing_keyframe_is_refused_before_any_is_painted(tmp_path: Path) -> None:
    folder = KeyframeFolder(tmp_path / "out")
    key = Keyframe(3, 3, 0.1, 0, "view")
    folder.path_of(key).write_bytes(b"mine")
    with pytest.raises(SinkError, match="--resume"):
        folder.check([key])


def test_a_keyframe_agrees_with_the_last(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    still = texture(48, 48)
    frames = frames_of([still] * 3)
    selection = Selection([Keyframe(n, n, 0.0, 0, "every") for n in (0, 2)], {0}, 3)
    settings = Settings(steps=8, levels=1, init="noise")

    def apart(folder: str) -> float:
        styles = [texture(48, 48, 8)]
        done = list(
            paint_keyframes(frames, selection, styles, settings, KeyframeFolder(tmp_path / folder))
        )
        first, second = (read_image(p.path).astype(float) for p in done)
        return float(np.abs(first - second).mean())

    held = apart("held")
    monkeypatch.setattr(paint, "AGREEMENT_WEIGHT", 0.0)
    # Not less than half: 8 steps leave the first one unfinished.
    assert held < 0.7 * apart("free")


def test_origins_stay_valid_across_versions() -> None:
    """Keyframes painted by an earlier version are used again by --resume."""
    painting = np.arange(48, dtype=np.uint8).reshape(4, 4, 3)
    recipe = paint.recipe_digest([painting], Settings(steps=120))
    assert paint.origin_digest(recipe, "", 255 - painting) == (
        "1c5b9cc231d943f9c35809fe0f6e4b10ca1a0da6c59d69606f4da5d931553381"
    )
