"""What the tests of conversions share: a stylizer that changes nothing, and reading files back."""

from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import av

from impasto.realtime.frame import Frame
from tests.media import make_clip, number_of


def identity(batches: Iterator[list[Frame]]) -> Iterator[Frame]:
    """A stylizer that returns its frames."""
    for batch in batches:
        yield from batch


def full_clip(path: Path, **more: Any) -> Path:
    """A clip with all its format allows: two audio streams, subtitles, chapters and tags."""
    subtitles = ("fra", "deu") if path.suffix in (".mp4", ".mov", ".mkv", ".webm") else ()
    chapters = () if path.suffix in (".ts", ".avi") else ("One", "Two")
    options = {
        "frames": 25,
        "audio": ("eng", "fra"),
        "audio_codec": "libopus" if path.suffix == ".webm" else "aac",
        "subtitles": subtitles,
        "chapters": chapters,
        "metadata": {"title": "The Harbor", "comment": "Test"},
    }
    return make_clip(path, **{**options, **more})


def packets(path: Path, kind: str, index: int = 0) -> list[tuple[Fraction, bytes]]:
    """Time in seconds, and data, of every packet of one stream."""
    with av.open(str(path)) as container:
        stream = [s for s in container.streams if s.type == kind][index]
        assert stream.time_base is not None
        return [
            ((p.pts or 0) * stream.time_base, bytes(p)) for p in container.demux(stream) if p.size
        ]


def payloads(path: Path, kind: str, index: int = 0) -> list[bytes]:
    """The data of every packet of one stream."""
    return [content for _, content in packets(path, kind, index)]


def times(path: Path, kind: str = "video") -> list[Fraction]:
    """The times of all packets of a stream, in seconds, sorted."""
    return sorted(time for time, _ in packets(path, kind))


def numbers(path: Path) -> list[int]:
    """The number that each frame of the video shows."""
    with av.open(str(path)) as container:
        return [number_of(f.to_ndarray(format="rgb24")) for f in container.decode(video=0)]


def languages(path: Path, kind: str) -> list[str | None]:
    with av.open(str(path)) as container:
        return [s.language for s in container.streams if s.type == kind]


def duration(path: Path) -> Fraction:
    with av.open(str(path)) as container:
        return Fraction(container.duration or 0, av.time_base)
