"""Tags of MP4 and MOV in both lists: of players (title, artist ...) and of any other name.

FFmpeg writes either the list that iTunes, Windows, Android and Plex read (`ilst` in `udta`), which
has a fixed set of tags, or the one of QuickTime (`mdta`), which has any. A file with unusual tags
is written with the second; a placeholder there makes room for the first.
"""

import io
from base64 import b64decode, b64encode
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import av

# The tags that the list of players has.
_PLAYER_TAGS = {
    *("title", "artist", "album_artist", "album", "composer", "author", "date", "comment"),
    *("genre", "copyright", "grouping", "lyrics", "description", "synopsis", "show", "network"),
    *("episode_id", "keywords", "track", "disc", "creation_time", "language", "timecode"),
    *("encoded_by", "location"),
}
_PLACEHOLDER = "impasto.room"
_VALUE = 24  # bytes before the text of a value: two headers, its type and its language


def with_room(tags: dict[str, str], muxer: str) -> tuple[dict[str, str], bool]:
    """The tags to write, and whether FFmpeg's option `use_metadata_tags` is needed.

    muxer: mp4 or mov.
    """
    tags = {_name(key): value for key, value in tags.items() if not _is_repeated(key, tags)}
    if not set(tags) - _PLAYER_TAGS:
        return tags, False
    # In text it is longer by a third, so what is written there later has room.
    return {**tags, _PLACEHOLDER: b64encode(_player_list(tags, muxer) + bytes(24)).decode()}, True


def fill_room(path: Path) -> None:
    """Write the list of players into the room of a complete MP4 or MOV, in place.

    Nothing else moves: what is left over becomes free space. A file without room stays as it is.
    Raises OSError.
    """
    with path.open("r+b") as file:
        moov = next((box for box in _boxes_of(file) if box.kind == b"moov"), None)
        if moov is None:
            return
        file.seek(moov.start)
        data = file.read(moov.size)
        udta = _child(data, moov._replace(start=0), b"udta")
        meta = udta and _child(data, udta, b"meta")
        room = meta and _placeholder(data, meta)
        if udta is None or meta is None or room is None:
            return
        players = b64decode(data[room.start + _VALUE : room.end])
        rest = data[udta.start + udta.header : meta.start] + data[meta.end : udta.end]
        kinds = {box.kind for box in _boxes(rest, 0, len(rest))}
        size = int.from_bytes(players[:4])
        first = b"".join(
            players[box.start : box.end]
            for box in _boxes(players, 8, size)
            if box.kind not in kinds
        )
        new = _box(b"udta", first + rest) + _without(data, meta, room)
        file.seek(moov.start + udta.start)
        file.write(new + _box(b"free", bytes(udta.size - len(new) - 8)))


class _Box(NamedTuple):
    """A box of ISO/IEC 14496-12, 4.2: where it starts, and how long it and its header are."""

    kind: bytes
    start: int
    size: int
    header: int

    @property
    def end(self) -> int:
        return self.start + self.size


def _boxes(data: bytes, start: int, end: int) -> Iterator[_Box]:
    while start + 8 <= end:
        size, header = int.from_bytes(data[start : start + 4]), 8
        if size == 1:
            size, header = int.from_bytes(data[start + 8 : start + 16]), 16
        if size < header or start + size > end:
            return
        yield _Box(data[start + 4 : start + 8], start, size, header)
        start += size


def _boxes_of(file: io.BufferedRandom) -> Iterator[_Box]:
    """The outermost boxes of a file."""
    at = 0
    while len(head := _at(file, at)) >= 8:
        size, header = int.from_bytes(head[:4]), 8
        if size == 1:
            size, header = int.from_bytes(head[8:16]), 16
        if size < header:
            return
        yield _Box(head[4:8], at, size, header)
        at += size


def _at(file: io.BufferedRandom, offset: int) -> bytes:
    file.seek(offset)
    return file.read(16)


def _player_list(tags: dict[str, str], muxer: str) -> bytes:
    """FFmpeg's own box `udta` of these tags, taken from a file without streams in memory."""
    file = io.BytesIO()
    with av.open(file, "w", format=muxer) as trial:
        trial.metadata.update(tags)
        trial.add_stream("pcm_s16le", rate=8000, layout="mono")
        trial.start_encoding()
    data = file.getvalue()
    moov = next((b for b in _boxes(data, 0, len(data)) if b.kind == b"moov"), None)
    if moov is None:
        return b""
    found = (b for b in _boxes(data, moov.start + 8, moov.end) if b.kind == b"udta")
    return next((data[b.start : b.end] for b in found), b"")


def _name(key: str) -> str:
    """A tag's name as players of MP4 expect it: Matroska writes all in capitals."""
    small = key.lower()
    return (
        small if small in _PLAYER_TAGS or small.startswith(("com.apple.", "com.android.")) else key
    )


def _is_repeated(key: str, tags: dict[str, str]) -> bool:
    """Whether this is FFmpeg's second reading of a tag, by its language: `location-eng`."""
    name, dash, language = key.rpartition("-")
    return bool(dash) and len(language) == 3 and tags.get(name) == tags[key]


def _box(kind: bytes, content: bytes) -> bytes:
    return (len(content) + 8).to_bytes(4) + kind + content


def _child(data: bytes, parent: _Box, kind: bytes, *, skipped: int = 0) -> _Box | None:
    boxes = _boxes(data, parent.start + parent.header + skipped, parent.end)
    return next((box for box in boxes if box.kind == kind), None)


def _placeholder(data: bytes, meta: _Box) -> _Box | None:
    """The placeholder's value in QuickTime's list: keys by number, from 1, and their values."""
    keys = _child(data, meta, b"keys", skipped=4)
    values = _child(data, meta, b"ilst", skipped=4)
    if keys is None or values is None:
        return None
    names = [data[k.start + 8 : k.end] for k in _boxes(data, keys.start + 16, keys.end)]
    if _PLACEHOLDER.encode() not in names:
        return None
    number = (names.index(_PLACEHOLDER.encode()) + 1).to_bytes(4)
    return _child(data, values, number)


def _without(data: bytes, meta: _Box, room: _Box) -> bytes:
    """QuickTime's list without the placeholder's value; its key stays, so that all numbers do."""
    values = _child(data, meta, b"ilst", skipped=4)
    assert values is not None
    return _box(
        b"meta",
        data[meta.start + meta.header : values.start]
        + _box(b"ilst", data[values.start + 8 : room.start] + data[room.end : values.end])
        + data[values.end : meta.end],
    )
