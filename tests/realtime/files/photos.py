"""Image files as cameras and other programs write them: color profiles, EXIF, tiled AVIF."""

import io
import struct
from collections.abc import Sequence

import numpy as np
from PIL import Image

# The colorants of two published profiles, CIE XYZ adapted to D50.
DISPLAY_P3 = ((0.51512, 0.2412, -0.00105), (0.29198, 0.69225, 0.04189), (0.1571, 0.06657, 0.78407))
ADOBE_RGB = ((0.60974, 0.31111, 0.01947), (0.20528, 0.62567, 0.06087), (0.14919, 0.06322, 0.74457))
_D50 = (0.9642, 1.0, 0.8249)


def rgb_profile(colorants: Sequence[Sequence[float]], gamma: float | None, name: str) -> bytes:
    """An ICC profile of three colorants; gamma: None is the curve of sRGB."""
    tags = {b"desc": _description(name), b"wtpt": _xyz(_D50)}
    for letter, colorant in zip((b"r", b"g", b"b"), colorants, strict=True):
        tags[letter + b"XYZ"] = _xyz(colorant)
        tags[letter + b"TRC"] = _curve(gamma)
    return _profile(b"RGB ", tags)


def gray_profile(gamma: float) -> bytes:
    """An ICC profile of gray."""
    tags = {b"desc": _description("Gray"), b"wtpt": _xyz(_D50), b"kTRC": _curve(gamma)}
    return _profile(b"GRAY", tags)


def _profile(space: bytes, tags: dict[bytes, bytes]) -> bytes:
    table, body = struct.pack(">I", len(tags)), b""
    start = 132 + 12 * len(tags)
    for name, data in tags.items():
        table += name + struct.pack(">II", start + len(body), len(data))
        body += data + bytes(-len(data) % 4)
    header = struct.pack(
        ">I4xI4s4s4s6H", start + len(body), 0x02400000, b"mntr", space, b"XYZ ", *_DATE
    )
    header += b"acsp" + bytes(28) + _fixed(*_D50)
    return header.ljust(128, b"\0") + table + body


_DATE = (2024, 1, 1, 0, 0, 0)


def _fixed(*values: float) -> bytes:
    return b"".join(struct.pack(">i", round(value * 65536)) for value in values)


def _xyz(values: Sequence[float]) -> bytes:
    return b"XYZ \0\0\0\0" + _fixed(*values)


def _curve(gamma: float | None) -> bytes:
    if gamma is None:  # parametric, type 3: that of sRGB
        return b"para\0\0\0\0\0\3\0\0" + _fixed(2.4, 1 / 1.055, 0.055 / 1.055, 1 / 12.92, 0.04045)
    return b"curv\0\0\0\0" + struct.pack(">IH2x", 1, round(gamma * 256))


def _description(name: str) -> bytes:
    text = name.encode() + b"\0"
    return b"desc\0\0\0\0" + struct.pack(">I", len(text)) + text + bytes(78)


def photo_exif(orientation: int = 6) -> Image.Exif:
    """EXIF of a phone: camera, date, place, a maker's note."""
    exif = Image.Exif()
    exif[0x010F], exif[0x0110], exif[0x0112] = "ACME", "ACME 1", orientation
    exif[0x013B] = "Ansel"
    shot = exif.get_ifd(0x8769)
    shot[0x9003], shot[0x927C] = "2024:05:06 07:08:09", b"secret" * 9
    shot[0xA002], shot[0xA003] = 64, 48
    place = exif.get_ifd(0x8825)
    place[1], place[2] = "N", (48.0, 12.0, 0.0)
    place[3], place[4] = "E", (11.0, 30.0, 0.0)
    return exif


# --- Tiled AVIF (ISO/IEC 23008-12, grid of coded images) --------------------------------------


def tiled_avif(tiles: Sequence[Sequence[np.ndarray]]) -> bytes:
    """An AVIF whose picture is a grid of tiles, rows of (H, W, 3) uint8, all of one size."""
    rows, columns = len(tiles), len(tiles[0])
    coded = [_avif_item(tile) for row in tiles for tile in row]
    height, width = tiles[0][0].shape[:2]
    grid = struct.pack(">4BHH", 0, 0, rows - 1, columns - 1, columns * width, rows * height)
    items = [grid, *(data for data, _ in coded)]
    config = coded[0][1]
    ids = range(1, len(items) + 1)
    kinds = [b"grid"] + [b"av01"] * len(coded)
    entries = [
        _full(b"infe", struct.pack(">HH4s", number, 0, kind) + b"\0", 2)
        for number, kind in zip(ids, kinds, strict=True)
    ]
    references = struct.pack(">HH", 1, len(coded)) + b"".join(struct.pack(">H", n) for n in ids[1:])
    properties = [
        _full(b"ispe", struct.pack(">II", columns * width, rows * height)),
        _full(b"ispe", struct.pack(">II", width, height)),
        _box(b"av1C", config),
        _full(b"pixi", b"\3\x08\x08\x08"),
    ]
    associations = struct.pack(">I", len(items)) + struct.pack(">HB2B", 1, 2, 1, 4)
    associations += b"".join(struct.pack(">HB3B", n, 3, 2, 0x83, 4) for n in ids[1:])
    ftyp = _box(b"ftyp", b"avif\0\0\0\0avifmif1miaf")

    def meta(start: int) -> bytes:
        locations = struct.pack(">BBH", 0x44, 0, len(items))
        for number, item in zip(ids, items, strict=True):
            locations += struct.pack(">HHHII", number, 0, 1, start, len(item))
            start += len(item)
        return _full(
            b"meta",
            _full(b"hdlr", bytes(4) + b"pict" + bytes(13))
            + _full(b"pitm", struct.pack(">H", 1))
            + _full(b"iloc", locations)
            + _full(b"iinf", struct.pack(">H", len(items)) + b"".join(entries))
            + _full(b"iref", _box(b"dimg", references))
            + _box(b"iprp", _box(b"ipco", b"".join(properties)) + _full(b"ipma", associations)),
        )

    start = len(ftyp) + len(meta(0)) + 8
    return ftyp + meta(start) + _box(b"mdat", b"".join(items))


def _avif_item(tile: np.ndarray) -> tuple[bytes, bytes]:
    """The coded image and its configuration (av1C), out of a file with this image alone."""
    file = io.BytesIO()
    Image.fromarray(tile).save(file, "AVIF", quality=100, subsampling="4:4:4", speed=10)
    data = file.getvalue()
    at = data.index(b"av1C")
    config = data[at + 4 : at - 4 + int.from_bytes(data[at - 4 : at], "big")]
    return data[data.index(b"mdat") + 4 :], config


def _box(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I4s", 8 + len(data), kind) + data


def _full(kind: bytes, data: bytes, version: int = 0) -> bytes:
    return _box(kind, struct.pack(">I", version << 24) + data)
