"""Animated WebP as a film: every frame, for as long as browsers show it."""

from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from impasto.models.errors import SourceError
from impasto.realtime.files.animation import is_animated_webp
from impasto.realtime.files.convert import stylize_video
from impasto.realtime.files.video_reader import VideoReader
from tests.media import number_of, numbered_picture
from tests.realtime.files.conversion import identity
from tests.realtime.files.photos import DISPLAY_P3, rgb_profile

DURATIONS = [100, 250, 40, 0, 60]  # ms; browsers show the fourth for 100
STARTS = [0, 100, 350, 390, 490]


def animated_webp(path: Path, **options: object) -> Path:
    pictures = [Image.fromarray(numbered_picture(number)) for number in range(len(DURATIONS))]
    pictures[0].save(
        path,
        save_all=True,
        append_images=pictures[1:],
        duration=DURATIONS,
        lossless=True,
        **options,
    )
    return path


def read(path: Path, **options: object) -> tuple[list[tuple[int, Fraction]], VideoReader]:
    with VideoReader(path, **options) as reader:
        frames = [(number_of(f.image), f.pts * f.time_base) for f in reader]
    return frames, reader


def test_frames_and_times(tmp_path: Path) -> None:
    frames, reader = read(animated_webp(tmp_path / "a.webp"))
    assert frames == [(k, Fraction(start, 1000)) for k, start in enumerate(STARTS)]
    assert reader.info.duration == Fraction(550, 1000)
    assert (reader.missing_frames, reader.notes) == (0, [])


def test_a_part(tmp_path: Path) -> None:
    frames, _ = read(animated_webp(tmp_path / "a.webp"), start=0.1, end=0.45)
    assert [number for number, _ in frames] == [1, 2, 3]


@pytest.mark.parametrize("extension", [".mp4", ".gif"])
def test_is_converted(extension: str, tmp_path: Path) -> None:
    source, out = animated_webp(tmp_path / "in.webp"), tmp_path / f"out{extension}"
    report = stylize_video(source, out, identity)
    assert (report.frames, report.missing_frames) == (5, 0)
    frames, reader = read(out)
    assert [number for number, _ in frames] == [0, 1, 2, 3, 4]
    assert abs(float(reader.info.duration or 0) - 0.55) < 0.02


def test_color_profile(tmp_path: Path) -> None:
    red = np.full((48, 64, 3), (234, 51, 35), np.uint8)  # of Display P3, the red of sRGB
    first, second = Image.fromarray(red), Image.fromarray(red // 2)
    profile = rgb_profile(DISPLAY_P3, None, "P3")
    first.save(
        tmp_path / "a.webp",
        save_all=True,
        append_images=[second],
        lossless=True,
        icc_profile=profile,
    )
    with VideoReader(tmp_path / "a.webp") as reader:
        assert np.abs(next(iter(reader)).image.astype(int) - (255, 0, 0)).max() <= 2


def test_stills_are_no_animation(tmp_path: Path) -> None:
    Image.fromarray(numbered_picture(1)).save(tmp_path / "a.webp")
    assert not is_animated_webp(tmp_path / "a.webp")
    assert [number for number, _ in read(tmp_path / "a.webp")[0]] == [1]


def test_cut_off(tmp_path: Path) -> None:
    path = animated_webp(tmp_path / "a.webp")
    data = path.read_bytes()
    for share in (0.9, 0.5, 0.02):
        path.write_bytes(data[: int(len(data) * share)])
        with pytest.raises(SourceError, match="a.webp"):
            read(path)
