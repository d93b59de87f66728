"""Date, camera and place of photos, from every kind of image file to every other."""

import io
from pathlib import Path

import numpy as np
import pillow_heif
import pytest
from PIL import Image

from impasto.realtime.files.images import read_picture, write_image
from tests.media import number_of, numbered_picture
from tests.realtime.files.photos import photo_exif

ORIENTATION, DATE, MAKER_NOTE, EXIF, GPS, IFD1 = 0x0112, 0x9003, 0x927C, 0x8769, 0x8825, -1


def photo(path: Path, orientation: int = 6) -> Path:
    """A photo of 64x48 pixels, stored so that this orientation makes it upright."""
    stored = np.rot90(numbered_picture(77)) if orientation == 6 else numbered_picture(77)
    exif = photo_exif(orientation).tobytes()
    Image.fromarray(np.ascontiguousarray(stored)).save(path, exif=exif, quality=95, dpi=(300, 300))
    return path


def with_thumbnail(path: Path) -> Path:
    """Put a thumbnail into the EXIF of a JPEG: a second directory, and a JPEG behind it."""
    data = path.read_bytes()
    length = int.from_bytes(data[data.index(b"\xff\xe1") + 2 :][:2], "big")
    start = data.index(b"Exif\0\0")
    block = bytearray(data[start + 6 : start - 4 + 2 + length])
    small = io.BytesIO()
    Image.new("RGB", (16, 12)).save(small, "JPEG")
    thumbnail = small.getvalue()
    first = int.from_bytes(block[4:8], "big")
    link = first + 2 + 12 * int.from_bytes(block[first : first + 2], "big")
    block[link : link + 4] = len(block).to_bytes(4, "big")
    at = len(block) + 2 + 2 * 12 + 4
    for tag, value in ((0x0201, at), (0x0202, len(thumbnail))):
        block += (b"\0\2" if tag == 0x0201 else b"") + tag.to_bytes(2, "big") + b"\0\4\0\0\0\1"
        block += value.to_bytes(4, "big")
    block += bytes(4) + thumbnail
    segment = b"Exif\0\0" + bytes(block)
    head = b"\xff\xe1" + (len(segment) + 2).to_bytes(2, "big") + segment
    path.write_bytes(data[: start - 4] + head + data[start - 4 + 2 + length :])
    with Image.open(path) as check:
        assert check.getexif().get_ifd(IFD1)
    return path


@pytest.mark.parametrize("source", [".jpg", ".png", ".webp", ".tif", ".avif", ".heic"])
@pytest.mark.parametrize("target", [".jpg", ".png", ".webp", ".tif", ".avif"])
def test_photos_keep_date_camera_and_place(source: str, target: str, tmp_path: Path) -> None:
    pillow_heif.register_heif_opener()
    orientation = 1 if source in (".avif", ".heic") else 6  # these are turned by their container
    path = photo(tmp_path / f"in{source}", orientation)
    picture = read_picture(path)
    assert picture.notes == () and number_of(picture.image) == 77
    out = tmp_path / f"out{target}"
    write_image(out, picture.image, metadata=picture.metadata)
    with Image.open(out) as back:
        exif = back.getexif()
        shot, place = exif.get_ifd(EXIF), exif.get_ifd(GPS)
        assert back.size == (64, 48)
    assert (exif[0x010F], exif[0x0110], exif[0x013B]) == ("ACME", "ACME 1", "Ansel")
    assert shot[DATE] == "2024:05:06 07:08:09"
    assert place[1] == "N" and [float(v) for v in place[2]] == [48, 12, 0]
    assert exif.get(ORIENTATION, 1) == 1
    assert (shot[0xA002], shot[0xA003]) == (64, 48)
    assert MAKER_NOTE not in shot


XMP = b"""<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF><rdf:Description tiff:Orientation="6"
xmp:Rating="5" photoshop:City="M\xc3\xbcnchen"/></rdf:RDF></x:xmpmeta>"""


@pytest.mark.parametrize("source", [".jpg", ".webp", ".avif"])
@pytest.mark.parametrize("target", [".jpg", ".png", ".webp", ".tif", ".avif", "16.png", "16.tif"])
def test_xmp(source: str, target: str, tmp_path: Path) -> None:
    Image.fromarray(numbered_picture(7)).save(tmp_path / f"in{source}", xmp=XMP)
    picture = read_picture(tmp_path / f"in{source}")
    assert picture.image.shape[0] > picture.image.shape[1]  # turned by the orientation in it
    image = picture.image.astype(np.uint16) * 257 if "16" in target else picture.image
    write_image(tmp_path / f"out{target}", image, metadata=picture.metadata)
    again = read_picture(tmp_path / f"out{target}")
    assert again.image.shape == picture.image.shape
    assert again.metadata.xmp == XMP.replace(b'Orientation="6"', b'Orientation="1"')


def test_gain_maps_are_noted(tmp_path: Path) -> None:
    xmp = XMP.replace(b"xmp:Rating", b"hdrgm:Version").replace(b'Orientation="6"', b"")
    Image.fromarray(numbered_picture(7)).save(tmp_path / "a.jpg", xmp=xmp)
    picture = read_picture(tmp_path / "a.jpg")
    assert picture.metadata.xmp == b"" and "gain map" in picture.notes[0]


def test_the_old_thumbnail_is_gone(tmp_path: Path) -> None:
    picture = read_picture(with_thumbnail(photo(tmp_path / "in.jpg")))
    write_image(tmp_path / "out.jpg", picture.image, metadata=picture.metadata)
    with Image.open(tmp_path / "out.jpg") as back:
        assert back.getexif().get_ifd(EXIF)[DATE] and not back.getexif().get_ifd(IFD1)
    assert (tmp_path / "out.jpg").read_bytes().count(b"\xff\xd8\xff") == 1


def test_the_size_in_exif_is_the_new_one(tmp_path: Path) -> None:
    picture = read_picture(photo(tmp_path / "in.jpg"), size=24)
    write_image(tmp_path / "out.jpg", picture.image, metadata=picture.metadata)
    with Image.open(tmp_path / "out.jpg") as back:
        shot = back.getexif().get_ifd(EXIF)
        assert (shot[0xA002], shot[0xA003]) == back.size == (32, 24)


@pytest.mark.parametrize("extension", [".png", ".tif"])
def test_with_16_bits(extension: str, tmp_path: Path) -> None:
    picture = read_picture(photo(tmp_path / "in.jpg"))
    deep = picture.image.astype(np.uint16) * 257
    write_image(tmp_path / f"out{extension}", deep, metadata=picture.metadata)
    again = read_picture(tmp_path / f"out{extension}")
    assert (again.painted_as(again.image, Path(f"a{extension}")) == deep).all()
    with Image.open(tmp_path / f"out{extension}") as back:
        assert back.getexif()[0x0110] == "ACME 1"
        assert back.getexif().get_ifd(EXIF)[DATE] == "2024:05:06 07:08:09"
        assert back.getexif().get_ifd(GPS)[3] == "E"


@pytest.mark.parametrize("extension", [".jpg", ".png", ".tif", ".bmp"])
def test_pixels_an_inch(extension: str, tmp_path: Path) -> None:
    picture = read_picture(photo(tmp_path / "in.jpg"))
    write_image(tmp_path / f"out{extension}", picture.image, metadata=picture.metadata)
    with Image.open(tmp_path / f"out{extension}") as back:
        assert [round(float(v)) for v in back.info["dpi"]] == [300, 300]


def test_damaged_exif_is_noted(tmp_path: Path) -> None:
    """Bytes of the block changed, one at a time: it is read, or a note says that it is not kept."""
    data = photo(tmp_path / "in.jpg", 1).read_bytes()
    start = data.index(b"Exif\0\0") + 6
    noted = 0
    for at in range(start, start + 120, 2):
        (tmp_path / "a.jpg").write_bytes(data[:at] + b"\xff" + data[at + 1 :])
        picture = read_picture(tmp_path / "a.jpg")
        noted += bool(picture.notes)
        write_image(tmp_path / "o.jpg", picture.image, metadata=picture.metadata, overwrite=True)
    assert noted > 0


def test_pictures_without_metadata_get_none(tmp_path: Path) -> None:
    Image.fromarray(numbered_picture(1)).save(tmp_path / "a.png")
    picture = read_picture(tmp_path / "a.png")
    write_image(tmp_path / "b.jpg", picture.image, metadata=picture.metadata)
    with Image.open(tmp_path / "b.jpg") as back:
        assert not back.getexif() and "icc_profile" not in back.info
