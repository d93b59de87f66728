"""Image files: formats, rotation, alpha, folders; what is written is read back."""

import struct
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from impasto.models.errors import SinkError, SourceError
from impasto.realtime.files.image_encoding import WRITABLE_SUFFIXES, encode_image
from impasto.realtime.files.images import (
    image_files,
    images_in,
    read_image,
    read_same_size,
    write_image,
)
from tests.media import number_of, numbered_picture, text_file, truncated

# EXIF orientation: how what is stored is made of what is to be seen.
STORED = {
    1: lambda seen: seen,
    2: lambda seen: seen[:, ::-1],
    3: lambda seen: seen[::-1, ::-1],
    4: lambda seen: seen[::-1],
    5: lambda seen: seen.transpose(1, 0, 2),
    6: lambda seen: np.rot90(seen, 1),
    7: lambda seen: seen.transpose(1, 0, 2)[::-1, ::-1],
    8: lambda seen: np.rot90(seen, -1),
}


def save(path, image):
    path.write_bytes(encode_image(image, path.suffix))
    return path


def encode(path, frame, codec):
    """Any pixel format through any encoder of one packet a file."""
    context = av.CodecContext.create(codec, "w")
    context.width, context.height, context.pix_fmt = frame.width, frame.height, frame.format.name
    context.time_base = Fraction(1)
    packets = [*context.encode(frame), *context.encode(None)]
    path.write_bytes(b"".join(map(bytes, packets)))
    return path


def with_orientation(path, orientation, order):
    """Put an EXIF block with one entry into a JPEG."""
    mark = b"II*\0" if order == "<" else b"MM\0*"
    entry = struct.pack(order + "HHIHH", 0x0112, 3, 1, orientation, 0)
    block = b"Exif\0\0" + mark + struct.pack(order + "IH", 8, 1) + entry + bytes(4)
    data = path.read_bytes()
    segment = b"\xff\xe1" + struct.pack(">H", len(block) + 2) + block
    path.write_bytes(data[:2] + segment + data[2:])
    return path


class TestReadImage:
    @pytest.mark.parametrize(
        # JPEG rounds 64 coefficients of a block by 1 or more each; WebP halves the chroma too.
        ("name", "tolerance"),
        [("a.png", 0), ("a.jpg", 10), ("a.JPG", 10), ("a.webp", 20)],
    )
    @pytest.mark.parametrize("size", [(48, 64), (49, 67)])
    def test_written_images_are_read_back(self, tmp_path, name, tolerance, size):
        image = numbered_picture(77, size)
        back = read_image(save(tmp_path / name, image))
        assert back.shape == image.shape and back.dtype == np.uint8
        below = np.s_[size[0] // 4 + 2 :]  # sharp squares ring in lossy codecs
        assert np.abs(back[below].astype(int) - image[below]).max() <= tolerance
        assert number_of(back) == 77

    @pytest.mark.parametrize(
        ("codec", "pixel_format", "name"),
        [
            ("bmp", "bgr24", "a.bmp"),
            ("tiff", "rgb24", "a.tif"),
            ("png", "rgb48be", "a.png"),
            ("png", "rgba", "a.png"),
            ("png", "gray", "a.png"),
        ],
    )
    def test_formats_and_bit_depths(self, tmp_path, codec, pixel_format, name):
        image = np.repeat(numbered_picture(5)[..., :1], 3, axis=-1)
        frame = av.VideoFrame.from_ndarray(image, format="rgb24").reformat(format=pixel_format)
        back = read_image(encode(tmp_path / name, frame, codec))
        assert np.abs(back.astype(int) - image).max() <= 1  # gray is a rounded sum of three

    def test_transparency_is_composited_over_white(self, tmp_path):
        rgba = np.full((32, 48, 4), (200, 100, 50, 255), np.uint8)
        rgba[:, :24, 3] = 0
        frame = av.VideoFrame.from_ndarray(rgba, format="rgba")
        back = read_image(encode(tmp_path / "a.png", frame, "png"))
        assert (back[:, :24] == 255).all() and (back[:, 24:] == (200, 100, 50)).all()

    @pytest.mark.parametrize("orientation", STORED)
    @pytest.mark.parametrize("order", ["<", ">"])
    def test_exif_orientation(self, tmp_path, orientation, order):
        stored = np.ascontiguousarray(STORED[orientation](numbered_picture(0b10110010)))
        path = with_orientation(save(tmp_path / "a.jpg", stored), orientation, order)
        back = read_image(path)
        assert back.shape == (48, 64, 3) and number_of(back) == 0b10110010
        assert back[40, 5].astype(int).sum() < back[40, 60].astype(int).sum()  # brighter rightward

    @pytest.mark.parametrize(("size", "expected"), [(24, (24, 32)), ((30, 50), (30, 50))])
    def test_resized_after_rotation(self, tmp_path, size, expected):
        image = read_image(save(tmp_path / "a.png", numbered_picture(9)), size=size)
        assert image.shape == (*expected, 3) and number_of(image) == 9

    def test_a_path_is_never_a_protocol_or_pattern(self, tmp_path, monkeypatch):
        monkeypatch.chdir(tmp_path)
        for name in ("%d.png", "-x.png", "http:x.png"):
            save(tmp_path / "a.png", numbered_picture(3)).rename(tmp_path / name)
            assert number_of(read_image(name)) == 3

    def test_damaged_files_are_refused(self, tmp_path):
        cut = truncated(save(tmp_path / "cut.png", numbered_picture(0)), 0.02)
        for path, match in [
            (tmp_path / "none.png", "No such file"),
            (tmp_path, "directory"),
            (text_file(tmp_path / "letter.png"), "not an image"),
            (cut, "not an image"),
        ]:
            with pytest.raises(SourceError, match=match):
                read_image(path)

    def test_too_large_dimensions_are_refused(self, tmp_path):
        path = save(tmp_path / "a.png", numbered_picture(0))
        data = bytearray(path.read_bytes())
        data[16:24] = struct.pack(">II", 60000, 60000)
        path.write_bytes(data)
        with pytest.raises(SourceError, match="60000x60000|not an image"):
            read_image(path)


class TestFolders:
    def test_numbers_in_names_are_sorted_as_numbers(self, tmp_path):
        for number in (10, 9, 1, 100):
            save(tmp_path / f"frame{number}.png", numbered_picture(number))
        text_file(tmp_path / "notes.txt")
        assert [number_of(image) for image in read_same_size(images_in(tmp_path))] == [
            1,
            9,
            10,
            100,
        ]

    def test_files_and_folders_in_the_order_given(self, tmp_path):
        (tmp_path / "folder").mkdir()
        names = ("3.png", "folder/1.png", "folder/2.png")
        paths = [save(tmp_path / name, numbered_picture(0)) for name in names]
        assert image_files([paths[0], tmp_path / "folder", paths[1]]) == [*paths, paths[1]]

    def test_another_size_is_refused_unless_scaled(self, tmp_path):
        paths = [
            save(tmp_path / "a.png", numbered_picture(1, (48, 64))),
            save(tmp_path / "b.png", numbered_picture(2, (60, 60))),
        ]
        with pytest.raises(SourceError, match=r"64x48 like the first, .*b.png is 60x60"):
            list(read_same_size(paths))
        images = list(read_same_size(paths, size=32))
        assert [number_of(image) for image in images] == [1, 2]
        assert {image.shape for image in images} == {(32, 42, 3)}

    def test_a_folder_without_images(self, tmp_path):
        with pytest.raises(SourceError, match="no images in"):
            images_in(tmp_path)
        with pytest.raises(SourceError, match="cannot read"):
            images_in(tmp_path / "none")


class TestWriteImage:
    @pytest.mark.parametrize("ext", WRITABLE_SUFFIXES)
    @pytest.mark.parametrize("size", [(48, 64), (33, 47)])
    def test_every_format_is_read_back(
        self, ext: str, size: tuple[int, int], tmp_path: Path
    ) -> None:
        image = numbered_picture(77, size)
        write_image(tmp_path / f"a{ext}", image)
        with av.open(str(tmp_path / f"a{ext}")) as container:
            got = next(container.decode(video=0)).to_ndarray(format="rgb24")
        assert got.shape == image.shape and number_of(got) == 77
        error = np.abs(got.astype(int) - image).mean()
        assert error == 0 if ext == ".png" else error < 4  # of 255

    def test_unknown_extension(self, tmp_path: Path) -> None:
        with pytest.raises(SinkError, match=r"use \.png"):
            write_image(tmp_path / "a.xyz", numbered_picture(0))
        assert list(tmp_path.iterdir()) == []

    def test_an_existing_file_is_refused(self, tmp_path: Path) -> None:
        write_image(tmp_path / "a.png", numbered_picture(0))
        with pytest.raises(SinkError, match="exists"):
            write_image(tmp_path / "a.png", numbered_picture(1))
        write_image(tmp_path / "a.png", numbered_picture(1), overwrite=True)
        assert (tmp_path / "a.png").read_bytes() == encode_image(numbered_picture(1), ".png")
