"""What FFmpeg does not tell or write of GIF, APNG and WebP: loop counts, the last frame's time."""

import zlib
from fractions import Fraction
from pathlib import Path
from typing import BinaryIO

ANIMATIONS = ("gif", "webp", "apng")  # muxers of files with pictures only
FOREVER = 0
_ANIMATION = 0x02  # a flag in the VP8X chunk of WebP
_HEAD = 1 << 16  # bytes; the count stands before the first frame


def is_animated_webp(path: Path) -> bool:
    """Whether a file is a WebP with an animation, by its header."""
    with path.open("rb") as file:
        head = file.read(21)
    is_webp = head[:4] == b"RIFF" and head[8:16] == b"WEBPVP8X"
    return is_webp and len(head) == 21 and bool(head[20] & _ANIMATION)


def plays_of(path: Path) -> int | None:
    """How often the animation in a GIF, APNG or WebP file is shown; 0: forever; None: no such file.

    GIF counts repetitions after the first showing, and is shown once if it says nothing.
    """
    if not path.is_file():
        return None  # a pipe or an address
    with path.open("rb") as file:
        head = file.read(_HEAD)
    if head.startswith((b"GIF87a", b"GIF89a")):
        at = head.find(b"NETSCAPE2.0\x03\x01")
        if at < 0:
            return 1
        repeats = int.from_bytes(head[at + 13 : at + 15], "little")
        return repeats + 1 if repeats else FOREVER
    if head.startswith(b"\x89PNG") and (at := head.find(b"acTL")) >= 0:
        return int.from_bytes(head[at + 8 : at + 12], "big")
    if head.startswith(b"RIFF") and (at := head.find(b"ANIM")) >= 0:
        return int.from_bytes(head[at + 12 : at + 14], "little")
    return None


def loop_option(muxer: str, plays: int | None) -> dict[str, str]:
    """The option of FFmpeg's muxer that shows an animation so often; None and 0: forever."""
    plays = plays or FOREVER
    if muxer == "gif":
        return {"loop": str(plays - 1 or -1) if plays else "0"}  # -1: no repetition
    option = {"apng": "plays", "webp": "loop"}.get(muxer)
    return {option: str(plays)} if option else {}


def set_last_delay(path: Path, muxer: str, delay: Fraction) -> None:
    """Write how long the last frame of an APNG or WebP file is shown, in seconds.

    FFmpeg's encoders repeat the last delay (APNG) or take the mean of all (WebP).
    """
    with path.open("r+b") as file:
        if muxer == "apng" and (at := _last_chunk(file, b"fcTL", 8, "big")) is not None:
            # Numerator and denominator; after the name, the data and then their CRC-32.
            file.seek(at - 4)
            chunk = bytearray(file.read(4 + 26))
            milliseconds = min(round(1000 * delay), 0xFFFF)
            chunk[24:28] = milliseconds.to_bytes(2, "big") + (1000).to_bytes(2, "big")
            file.seek(at - 4)
            file.write(chunk + zlib.crc32(chunk).to_bytes(4, "big"))
        elif muxer == "webp" and (at := _last_chunk(file, b"ANMF", 12, "little")) is not None:
            file.seek(at + 12)
            file.write(min(round(1000 * delay), 0xFFFFFF).to_bytes(3, "little"))


def _last_chunk(file: BinaryIO, name: bytes, at: int, order: str) -> int | None:
    """Where the data of the last chunk of this name begin. at: where the first chunk begins.

    order: "big" for PNG, whose chunks begin with their length; "little" for RIFF: with their name.
    """
    found = None
    while True:
        file.seek(at)
        head = file.read(8)
        if len(head) < 8:
            return found
        if order == "big":
            length, kind, rest = int.from_bytes(head[:4], "big"), head[4:], 4  # the CRC
        else:
            length, kind = int.from_bytes(head[4:], "little"), head[:4]
            rest = length & 1
        if kind == name:
            found = at + 8
        at += 8 + length + rest
