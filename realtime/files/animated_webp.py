"""Animated WebP as a film, which FFmpeg does not read: raw frames in Matroska, made when read."""

import io
import warnings
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
from PIL import Image, WebPImagePlugin  # noqa: F401  (the second registers the format)

from impasto.models.errors import SourceError
from impasto.realtime.files.image_color import to_srgb

_SHORTEST_MS, _USUAL_MS = 11, 100  # browsers show frames of less than the first for the second
_MILLISECOND = Fraction(1, 1000)


class AnimatedWebp:
    """The frames of an animated WebP as an unseekable Matroska file, for `av.open`.

    Frames are decoded by Pillow when they are read, in sRGB, with alpha if the file has it.
    Raises SourceError if the file cannot be opened; it ends at the first damaged frame.
    """

    def __init__(self, path: Path) -> None:
        self._parts = _matroska(path)
        self._read = next(self._parts)

    def read(self, size: int) -> bytes:
        """The next bytes, at most `size`; none at the end."""
        while len(self._read) < size and (part := next(self._parts, b"")):
            self._read += part
        data, self._read = self._read[:size], self._read[size:]
        return data


class _Written:
    """What a muxer has written since it was last taken."""

    def __init__(self) -> None:
        self._parts: list[bytes] = []

    def write(self, data: bytes) -> int:
        self._parts.append(bytes(data))
        return len(data)

    def take(self) -> bytes:
        data = b"".join(self._parts)
        self._parts.clear()
        return data


def _matroska(path: Path) -> Iterator[bytes]:
    """The parts of the file, none of them empty; the first has its header."""
    data = path.read_bytes()
    try:
        source = Image.open(io.BytesIO(data), formats=("WEBP",))
    except Exception as error:  # a decoder of damaged data raises errors of any kind
        raise SourceError(f"cannot read {path}: it is damaged or incomplete") from error
    durations = _durations(data)
    written, pts = _Written(), 0
    out: Any = av.open(written, "w", format="matroska", options={"allow_raw_vfw": "1"})
    with out:
        rate = Fraction(1000 * max(1, len(durations)), max(1, sum(durations)))
        stream = out.add_stream("rawvideo", rate=rate.limit_denominator(1000))
        stream.width, stream.height, stream.pix_fmt = source.width, source.height, "rgba"
        stream.codec_context.time_base = _MILLISECOND
        stream.metadata["DURATION"] = _clock(sum(durations))
        for number, duration in enumerate(durations):
            try:
                image = _frame(source, number)
            except Exception:
                break
            frame = av.VideoFrame.from_ndarray(image, format="rgba")
            frame.pts, frame.time_base, frame.duration = pts, _MILLISECOND, duration
            for packet in stream.encode(frame):
                packet.duration = duration
                out.mux(packet)
            pts += duration
            if part := written.take():
                yield part
    yield written.take()


def _frame(source: Image.Image, number: int) -> np.ndarray:
    """(H, W, 4) uint8: a frame as it is shown."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        source.seek(number)
        source.load()
        image, _, _ = to_srgb(source, source, b"")
        return np.array(image.convert("RGBA"))


def _durations(data: bytes) -> list[int]:
    """How long browsers show each frame, in ms: the ANMF chunks of the WebP container."""
    durations, at = [], 12
    while at + 24 <= len(data):
        kind, length = data[at : at + 4], int.from_bytes(data[at + 4 : at + 8], "little")
        if kind == b"ANMF":
            shown = int.from_bytes(data[at + 20 : at + 23], "little")
            durations.append(shown if shown >= _SHORTEST_MS else _USUAL_MS)
        at += 8 + length + length % 2
    return durations


def _clock(milliseconds: int) -> str:
    """HH:MM:SS.mmm."""
    seconds, fraction = divmod(milliseconds, 1000)
    return f"{seconds // 3600:02}:{seconds // 60 % 60:02}:{seconds % 60:02}.{fraction:03}000000"
