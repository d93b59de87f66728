"""Kinds of image files: color profiles, sample formats, tiles, pages, animation, damage."""

import re
import struct
import zlib
from pathlib import Path

import numpy as np
import pillow_heif
import pytest
from PIL import Image, TiffImagePlugin

from impasto.models.errors import SourceError
from impasto.realtime.files.image_metadata import PhotoMetadata
from impasto.realtime.files.images import read_image, read_picture, write_image
from impasto.realtime.files.video_reader import VideoReader
from tests.media import make_clip, number_of, numbered_picture
from tests.realtime.files.photos import (
    ADOBE_RGB,
    DISPLAY_P3,
    gray_profile,
    photo_exif,
    rgb_profile,
    tiled_avif,
)
from tests.realtime.files.test_images import STORED

SIZE = (48, 64)
SRGB = ((0.43607, 0.22249, 0.01392), (0.38515, 0.71687, 0.09708), (0.14307, 0.06061, 0.7141))
P3 = rgb_profile(DISPLAY_P3, None, "Display P3")
# What sRGB red (255, 0, 0) is in these color spaces, as published.
RED_IN = {
    "Display P3": (P3, (234, 51, 35)),
    "Adobe": (rgb_profile(ADOBE_RGB, 2.2, "Adobe"), (219, 0, 0)),
}


def flat(color: tuple[int, ...], mode: str = "RGB") -> Image.Image:
    return Image.new(mode, SIZE[::-1], color)


def png_chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def with_chunk(path: Path, kind: bytes, data: bytes) -> None:
    """Insert a chunk after the header of a PNG."""
    png = path.read_bytes()
    path.write_bytes(png[:33] + png_chunk(kind, data) + png[33:])


class TestColor:
    @pytest.mark.parametrize("name", RED_IN)
    @pytest.mark.parametrize("extension", [".jpg", ".png", ".tif", ".webp", ".avif", ".heic"])
    def test_profiles_are_converted(self, name: str, extension: str, tmp_path: Path) -> None:
        pillow_heif.register_heif_opener()
        profile, stored = RED_IN[name]
        path = tmp_path / f"a{extension}"
        flat(stored).save(
            path, icc_profile=profile, **({"quality": 95} if extension != ".png" else {})
        )
        picture = read_picture(path)
        assert np.abs(picture.image[24, 32].astype(int) - (255, 0, 0)).max() <= 8
        assert picture.notes == (f"color profile '{name}': converted to sRGB",)

    def test_the_output_says_so(self, tmp_path: Path) -> None:
        flat((234, 51, 35)).save(tmp_path / "a.png", icc_profile=P3)
        picture = read_picture(tmp_path / "a.png")
        for extension in (".png", ".jpg", ".webp", ".tif", ".avif"):
            out = tmp_path / f"out{extension}"
            write_image(out, picture.image, metadata=picture.metadata)
            again = read_picture(out)
            assert again.notes == () and again.metadata.says_srgb
            assert np.abs(again.image.astype(int) - picture.image).max() <= 4

    def test_a_profile_of_srgb_changes_nothing(self, tmp_path: Path) -> None:
        image = numbered_picture(9)
        path = tmp_path / "a.png"
        Image.fromarray(image).save(path, icc_profile=rgb_profile(SRGB, None, "sRGB"))
        picture = read_picture(path)
        assert (picture.image == image).all() and picture.notes == ()

    def test_alpha_and_palettes_with_a_profile(self, tmp_path: Path) -> None:
        half = flat((234, 51, 35, 255), "RGBA")
        half.putpixel((0, 0), (234, 51, 35, 128))
        half.save(tmp_path / "a.png", icc_profile=P3)
        image = read_image(tmp_path / "a.png", alpha=True)
        assert (
            image[0, 0, 3] == 128 and np.abs(image[5, 5].astype(int) - (255, 0, 0, 255)).max() < 4
        )
        flat((234, 51, 35)).quantize(4).save(tmp_path / "b.png", icc_profile=P3)
        assert np.abs(read_image(tmp_path / "b.png")[5, 5].astype(int) - (255, 0, 0)).max() < 4

    def test_gray(self, tmp_path: Path) -> None:
        """Linear light of L = 55 / 255 is 255 * (1.055 * L ** (1 / 2.4) - 0.055) = 128 in sRGB."""
        flat((55,), "L").save(tmp_path / "a.png", icc_profile=gray_profile(1.0))
        assert np.abs(read_image(tmp_path / "a.png").astype(int) - 128).max() <= 1
        flat((55, 90), "LA").save(tmp_path / "c.png", icc_profile=gray_profile(1.0))
        back = read_image(tmp_path / "c.png", alpha=True)
        assert np.abs(back.astype(int) - (128, 128, 128, 90)).max() <= 1
        flat((55,), "L").save(tmp_path / "b.png", icc_profile=P3)  # as some programs do
        assert np.abs(read_image(tmp_path / "b.png").astype(int) - 55).max() <= 1

    @pytest.mark.parametrize(
        ("profile", "note"),
        [
            (b"no profile at all" * 20, "damaged"),
            (P3[:300], "damaged|cannot be used"),
            (P3[:128] + b"\xff" * 400, "damaged|cannot be used"),
            (gray_profile(1.0), "is for GRAY"),
        ],
    )
    def test_useless_profiles_are_left_out(self, profile: bytes, note: str, tmp_path: Path) -> None:
        for name in ("a.png", "a.jpg"):
            flat((200, 100, 50)).save(tmp_path / name, icc_profile=profile)
            picture = read_picture(tmp_path / name)
            assert np.abs(picture.image.astype(int) - (200, 100, 50)).max() <= 2
            (line,) = picture.notes
            assert re.search(note, line)

    def test_cmyk(self, tmp_path: Path) -> None:
        """Adobe's JPEG stores CMYK inverted; Pillow writes it so."""
        for name in ("a.jpg", "a.tif"):
            flat((0, 255, 255, 0), "CMYK").save(tmp_path / name)
            picture = read_picture(tmp_path / name)
            red, green, blue = picture.image[24, 32]
            assert red > 200 and green < 80 and blue < 80
            assert "CMYK" in picture.notes[0]

    def test_lab(self, tmp_path: Path) -> None:
        """L* = 53.2, a* = 80.1, b* = 67.2 is sRGB red."""
        flat((136, 80 + 128, 67 + 128), "LAB").save(tmp_path / "a.tif")
        assert np.abs(read_image(tmp_path / "a.tif")[5, 5].astype(int) - (255, 0, 0)).max() <= 12

    def test_code_points_of_png(self, tmp_path: Path) -> None:
        path = tmp_path / "a.png"
        flat((234, 51, 35)).save(path)
        with_chunk(path, b"cICP", bytes((12, 13, 0, 1)))
        picture = read_picture(path)
        assert (
            np.abs(picture.image[5, 5].astype(int) - (255, 0, 0)).max() <= 4
        )  # a LUT of 64 points
        assert picture.notes == ("wide gamut (Display P3): converted to BT.709",)

    @pytest.mark.parametrize(
        # 203 cd/m2, reference white of HDR by BT.2408, is 58 % of PQ and 75 % of HLG.
        ("transfer", "white", "name"),
        [(16, 148, "PQ"), (18, 191, "HLG")],
    )
    def test_hdr_is_tone_mapped(self, transfer: int, white: int, name: str, tmp_path: Path) -> None:
        path = tmp_path / "a.png"
        flat((white, white, white)).save(path)
        with_chunk(path, b"cICP", bytes((9, transfer, 0, 1)))
        picture = read_picture(path)
        assert picture.image[5, 5].min() >= 215 and np.ptp(picture.image[5, 5]) <= 1
        assert picture.notes == (f"HDR ({name}): tone-mapped to SDR (BT.709)",)

    def test_gamma_of_png(self, tmp_path: Path) -> None:
        path = tmp_path / "a.png"
        for gamma, expected in ((1.0, 128), (0.45455, 55)):
            flat((55, 55, 55)).save(path)
            with_chunk(path, b"gAMA", struct.pack(">I", round(gamma * 100000)))
            assert np.abs(read_image(path).astype(int) - expected).max() <= 1
        flat((55, 55, 55)).save(path)
        with_chunk(path, b"cHRM", bytes(32))
        assert (read_image(path) == 55).all()


class TestSamples:
    @pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "I;16", "CMYK"])
    @pytest.mark.parametrize("extension", [".png", ".tif"])
    def test_every_mode_is_read(self, mode: str, extension: str, tmp_path: Path) -> None:
        if (mode, extension) == ("CMYK", ".png"):
            return
        image = Image.fromarray(numbered_picture(0b10110010)).convert("L")
        if mode == "I;16":
            image = Image.fromarray(np.asarray(image).astype(np.uint16) * 257)
        elif mode == "CMYK":
            image = image.convert("RGB").convert("CMYK")
        else:
            image = image.convert(mode)
        image.save(tmp_path / f"a{extension}")
        back = read_image(tmp_path / f"a{extension}")
        assert back.shape == (*SIZE, 3) and number_of(back) == 0b10110010

    def test_transparent_palette_and_color_key(self, tmp_path: Path) -> None:
        image = Image.new("P", SIZE[::-1], 1)
        image.putpalette([0, 255, 0, 200, 100, 50])
        image.putpixel((3, 4), 0)
        image.save(tmp_path / "a.png", transparency=0)
        flat((200, 100, 50)).save(tmp_path / "b.png", transparency=(200, 100, 50))
        back = read_image(tmp_path / "a.png", alpha=True)
        assert tuple(back[4, 3]) == (255, 255, 255, 0) and tuple(back[9, 9]) == (200, 100, 50, 255)
        assert (read_image(tmp_path / "b.png") == 255).all()

    @pytest.mark.parametrize("extension", [".png", ".tif"])
    @pytest.mark.parametrize("channels", [3, 4])
    def test_16_bits_are_kept(self, channels: int, extension: str, tmp_path: Path) -> None:
        samples = np.random.default_rng(0).integers(0, 65536, (*SIZE, channels), dtype=np.uint16)
        samples[..., 3:] |= 1  # nowhere fully transparent, where color is lost
        path = tmp_path / f"a{extension}"
        write_image(path, samples)
        picture = read_picture(path, alpha=True)
        assert np.abs(picture.image - samples / 257).max() <= 0.5
        assert (picture.painted_as(picture.image, path) == samples).all()
        assert picture.painted_as(picture.image, Path("a.jpg")).dtype == np.uint8
        assert picture.notes_for(Path("a.jpg")) == ("16 bits: rounded to 8, all that .jpg has",)
        assert picture.notes_for(path) == ()
        small = read_picture(path, size=24, alpha=True)
        assert small.painted_as(small.image, path).shape == (24, 32, channels)

    @pytest.mark.parametrize("extension", [".png", ".tif"])
    @pytest.mark.parametrize("orientation", STORED)
    def test_16_bits_turned(self, orientation: int, extension: str, tmp_path: Path) -> None:
        seen = numbered_picture(77).astype(np.uint16) * 257 + 5
        exif = Image.Exif()
        exif[0x0112] = orientation
        path = tmp_path / f"a{extension}"
        stored = np.ascontiguousarray(STORED[orientation](seen))
        write_image(path, stored, metadata=PhotoMetadata(exif=exif.tobytes()))
        picture = read_picture(path)
        assert (picture.painted_as(picture.image, path) == seen).all()

    @pytest.mark.parametrize("bits", [8, 16])
    def test_white_is_zero(self, bits: int, tmp_path: Path) -> None:
        gray = Image.new("L" if bits == 8 else "I;16", SIZE[::-1], 0)
        gray.save(tmp_path / "a.tif")
        data = (tmp_path / "a.tif").read_bytes()
        black_is_zero = struct.pack("<HHII", 262, 3, 1, 1)
        assert black_is_zero in data
        white_is_zero = struct.pack("<HHII", 262, 3, 1, 0)
        (tmp_path / "a.tif").write_bytes(data.replace(black_is_zero, white_is_zero))
        assert (read_image(tmp_path / "a.tif") == 255).all()

    def test_16_bits_in_planes(self, tmp_path: Path) -> None:
        """A TIFF with one plane after another, big-endian."""
        planes = np.random.default_rng(0).integers(0, 65536, (3, *SIZE), dtype=np.uint16)
        ifd = TiffImagePlugin.ImageFileDirectory_v2(prefix=b"MM")
        bits, offsets = (16, 16, 16), tuple(k * 2 * 48 * 64 for k in range(3))
        fields = {256: 64, 257: 48, 258: bits, 259: 1, 262: 2, 273: offsets, 277: 3, 278: 48}
        for tag, value in (fields | {279: (2 * 48 * 64,) * 3, 284: 2}).items():
            ifd[tag] = value
        with (tmp_path / "a.tif").open("wb") as file:
            ifd.save(file)
            file.write(planes.astype(">u2").tobytes())
        picture = read_picture(tmp_path / "a.tif")
        samples = picture.painted_as(picture.image, tmp_path / "a.tif")
        assert (samples == planes.transpose(1, 2, 0)).all()

    def test_16_bits_turned_and_with_a_profile(self, tmp_path: Path) -> None:
        gray = np.arange(48 * 64, dtype=np.uint16).reshape(SIZE) * 20
        path = tmp_path / "a.png"
        Image.fromarray(gray).save(path, exif=photo_exif(6))
        picture = read_picture(path)
        upright = np.rot90(gray, -1)
        assert (picture.painted_as(picture.image, path) == upright[..., None]).all()
        red = np.full((*SIZE, 3), (234 * 257, 51 * 257, 35 * 257), np.uint16)
        write_image(path, red, overwrite=True)
        with_chunk(path, b"iCCP", b"P3\0\0" + zlib.compress(P3))
        assert np.abs(read_image(path)[5, 5].astype(int) - (255, 0, 0)).max() <= 2

    @pytest.mark.parametrize(
        ("low", "high", "noted"), [(0, 1, False), (0, 1000, True), (-1, 1, True)]
    )
    def test_floating_point(self, low: float, high: float, noted: bool, tmp_path: Path) -> None:
        ramp = np.linspace(low, high, 64, dtype=np.float32)
        Image.fromarray(np.tile(ramp, (48, 1))).save(tmp_path / "a.tif")
        picture = read_picture(tmp_path / "a.tif")
        assert np.abs(picture.image[7, :, 1] - np.linspace(0, 255, 64)).max() <= 1
        assert bool(picture.notes) == noted


class TestContainers:
    @pytest.mark.parametrize("extension", [".png", ".webp", ".tif", ".avif"])
    def test_every_orientation(self, extension: str, tmp_path: Path) -> None:
        for orientation, turned in STORED.items():
            exif = Image.Exif()
            exif[0x0112] = orientation
            path = tmp_path / f"{orientation}{extension}"
            stored = np.ascontiguousarray(turned(numbered_picture(0b10110010)))
            Image.fromarray(stored).save(path, exif=exif, quality=95)
            back = read_image(path)
            assert back.shape == (*SIZE, 3) and number_of(back) == 0b10110010
            assert back[40, 5].astype(int).sum() < back[40, 60].astype(int).sum()

    def test_a_grid_of_tiles_is_read_whole(self, tmp_path: Path) -> None:
        whole = numbered_picture(0b10010110, (128, 192))
        tiles = [[whole[y : y + 64, x : x + 96] for x in (0, 96)] for y in (0, 64)]
        (tmp_path / "a.avif").write_bytes(tiled_avif(tiles))
        back = read_image(tmp_path / "a.avif")
        assert back.shape == whole.shape and number_of(back) == 0b10010110
        for y, x in ((40, 5), (40, -5), (-5, 5), (-5, -5)):
            assert np.abs(back[y, x].astype(int) - whole[y, x]).max() <= 8
        with pytest.raises(SourceError, match="use `impasto image`"):
            VideoReader(tmp_path / "a.avif")
        damaged = tiled_avif(tiles).replace(b"pitm", b"none")
        (tmp_path / "a.avif").write_bytes(damaged)  # refused, where FFmpeg gives a tile
        with pytest.raises(SourceError, match="not an image"):
            read_image(tmp_path / "a.avif")

    def test_heic_with_every_orientation(self, tmp_path: Path) -> None:
        pillow_heif.register_heif_opener()
        path = tmp_path / "a.heic"
        for orientation, turned in STORED.items():
            image = Image.fromarray(np.ascontiguousarray(turned(numbered_picture(77))))
            image.info["exif"] = photo_exif(orientation).tobytes()  # written as irot and imir
            image.save(path, quality=90)
            picture = read_picture(path)
            assert picture.image.shape == (*SIZE, 3) and number_of(picture.image) == 77
            assert picture.metadata.exif

    def test_jpeg_in_tiff(self, tmp_path: Path) -> None:
        image = numbered_picture(0b10010110)
        Image.fromarray(image).save(tmp_path / "a.tif", compression="jpeg", quality=95)
        assert np.abs(read_image(tmp_path / "a.tif").astype(int) - image).mean() < 4

    @pytest.mark.parametrize("extension", [".gif", ".png", ".webp", ".avif", ".tif"])
    def test_more_than_one_picture(self, extension: str, tmp_path: Path) -> None:
        pictures = [Image.fromarray(numbered_picture(number)) for number in (3, 4, 5)]
        path = tmp_path / f"a{extension}"
        pictures[0].save(path, save_all=True, append_images=pictures[1:])
        picture = read_picture(path)
        assert number_of(picture.image) == 3
        (note,) = picture.notes
        assert ("3 pages" if extension == ".tif" else "`impasto video`") in note

    def test_the_picture_before_those_of_a_phone(self, tmp_path: Path) -> None:
        """MPO: a preview or the other eye follows, which is no animation."""
        pictures = [Image.fromarray(numbered_picture(number)) for number in (3, 4)]
        pictures[0].save(tmp_path / "a.jpg", "MPO", save_all=True, append_images=pictures[1:])
        picture = read_picture(tmp_path / "a.jpg")
        assert number_of(picture.image) == 3 and picture.notes == ()


class TestDamage:
    def test_what_is_cut_off_is_noted(self, tmp_path: Path) -> None:
        noise = np.random.default_rng(0).integers(0, 256, (*SIZE, 3), dtype=np.uint8)
        mpo = {"format": "MPO", "save_all": True, "append_images": [flat((0, 0, 0))]}
        for name, options in (("a.jpg", {}), ("a.png", {}), ("a.mpo", mpo)):
            Image.fromarray(noise).save(tmp_path / name, **options)
            data = (tmp_path / name).read_bytes()
            (tmp_path / name).write_bytes(data[: len(data) * 2 // 3])
            picture = read_picture(tmp_path / name)
            assert picture.image[:16].std() > 40
            assert "cut off" in picture.notes[0]

    def test_decoders_write_nothing(
        self, tmp_path: Path, capfd: pytest.CaptureFixture[str]
    ) -> None:
        """Neither libtiff nor the libpng of OpenCV, which reads 16 bits."""
        noise = np.random.default_rng(0).integers(0, 256, (*SIZE, 3), dtype=np.uint8)
        Image.fromarray(noise).save(tmp_path / "a.tif", compression="tiff_lzw")
        write_image(tmp_path / "b.png", noise.astype(np.uint16))
        for path in (tmp_path / "a.tif", tmp_path / "b.png"):
            data = bytearray(path.read_bytes())
            data[2000:4000] = b"\xff" * 2000
            path.write_bytes(data)
            with pytest.raises(SourceError, match="damaged"):
                read_picture(path)
        assert capfd.readouterr().err == ""

    def test_cut_off_containers_are_refused(self, tmp_path: Path) -> None:
        for name in ("a.webp", "a.avif"):
            Image.fromarray(numbered_picture(1)).save(tmp_path / name)
            data = (tmp_path / name).read_bytes()
            (tmp_path / name).write_bytes(data[: len(data) // 2])
            with pytest.raises(SourceError, match="not an image"):
                read_image(tmp_path / name)

    @pytest.mark.parametrize("side", [12_000, 16_500, 60_000])
    def test_too_many_pixels(self, side: int, tmp_path: Path) -> None:
        write_image(tmp_path / "a.png", numbered_picture(0))
        data = bytearray((tmp_path / "a.png").read_bytes())
        data[16:24] = struct.pack(">II", side, side)
        data[29:33] = struct.pack(">I", zlib.crc32(data[12:29]))
        (tmp_path / "a.png").write_bytes(data)
        with pytest.raises(SourceError, match="at most 16384 a side and 100 megapixels"):
            read_image(tmp_path / "a.png")

    def test_a_text_bomb(self, tmp_path: Path) -> None:
        write_image(tmp_path / "a.png", numbered_picture(1))
        deflate = zlib.compressobj(1)
        data = b"".join(deflate.compress(bytes(1 << 20)) for _ in range(100)) + deflate.flush()
        with_chunk(tmp_path / "a.png", b"zTXt", b"Comment\0\0" + data)
        with pytest.raises(SourceError):
            read_image(tmp_path / "a.png")

    def test_jpeg_xl_is_named(self, tmp_path: Path) -> None:
        (tmp_path / "a.jxl").write_bytes(b"\xff\x0a" + bytes(100))
        with pytest.raises(SourceError, match="JPEG XL"):
            read_image(tmp_path / "a.jxl")

    def test_the_first_frame_of_a_film(self, tmp_path: Path) -> None:
        picture = read_picture(make_clip(tmp_path / "a.mp4", frames=3))
        assert number_of(picture.image) == 0 and "a film" in picture.notes[0]

    def test_a_playlist_is_not_followed(self, tmp_path: Path) -> None:
        write_image(tmp_path / "b.png", numbered_picture(1))
        (tmp_path / "a.png").write_text(f"#EXTM3U\n#EXTINF:1,\n{tmp_path / 'b.png'}\n")
        with pytest.raises(SourceError):
            read_image(tmp_path / "a.png")
