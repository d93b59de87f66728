"""Side data: files with color profiles and EXIF are read; a double free would end the process."""

import gc
import io
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image, ImageCms

from impasto.realtime.files.images import read_image
from impasto.realtime.files.side_data import has_color_profile, side_data_of
from impasto.realtime.files.video_reader import VideoReader
from tests.media import make_clip, number_of, numbered_picture, numbers_of

SRGB = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()


@pytest.fixture(autouse=True)
def collections_are_quick() -> Iterator[None]:
    """What is in memory before a test, mostly of libraries, is not looked through again."""
    gc.freeze()
    yield
    gc.unfreeze()


def png(number: int, **save: object) -> bytes:
    file = io.BytesIO()
    Image.fromarray(numbered_picture(number)).save(file, "PNG", icc_profile=SRGB, **save)
    return file.getvalue()


def animated_png(path: Path) -> Path:
    pictures = [Image.fromarray(numbered_picture(number)) for number in range(3)]
    pictures[0].save(
        path, "PNG", save_all=True, append_images=pictures[1:], duration=100, icc_profile=SRGB
    )
    return path


def png_in_mov(path: Path) -> Path:
    with av.open(str(path), "w") as out:
        stream = out.add_stream("png", rate=10)
        stream.height, stream.width, stream.pix_fmt = 48, 64, "rgb24"
        for number in range(3):
            packet = av.Packet(png(number))
            packet.pts = packet.dts = number
            packet.duration, packet.time_base, packet.stream = 1, Fraction(1, 10), stream
            packet.is_keyframe = True
            out.mux(packet)
    return path


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "L", "I;16"])
def test_png_with_a_profile(mode: str, tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    profile = SRGB if mode.startswith("RGB") else b"gray".ljust(200, b"\0")
    picture = Image.fromarray(numbered_picture(5))
    if mode == "I;16":
        picture = Image.fromarray(np.asarray(picture.convert("L")).astype(np.uint16) * 257)
    else:
        picture = picture.convert(mode)
    picture.save(path, icc_profile=profile)
    for _ in range(3):
        assert number_of(read_image(path)) == 5
        gc.collect()


@pytest.mark.parametrize("make", [animated_png, png_in_mov])
def test_films_of_png_with_a_profile(make, tmp_path: Path) -> None:
    path = make(tmp_path / ("a.png" if make is animated_png else "a.mov"))
    with VideoReader(path) as frames:
        assert numbers_of(frames) == [0, 1, 2]
        assert any("color profile" in note for note in frames.notes)
    gc.collect()


def test_other_side_data_is_read_beside_a_profile_and_exif(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    (tmp_path / "a.png").write_bytes(png(0, exif=exif))
    with av.open(str(tmp_path / "a.png")) as container:
        frame = next(container.decode(video=0))
    assert list(side_data_of(frame)) == ["DISPLAYMATRIX"]
    del frame
    gc.collect()


def test_a_film_has_its_own(tmp_path: Path) -> None:
    with av.open(str(make_clip(tmp_path / "a.mp4", rotation=90, frames=1))) as container:
        frame = next(container.decode(video=0))
        assert "DISPLAYMATRIX" in side_data_of(frame) and not has_color_profile(frame)
