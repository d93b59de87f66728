"""A look through a media file before it is converted: first packets, and formats of its sound."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from fractions import Fraction
from itertools import islice
from pathlib import Path
from typing import cast

import av
from av.container import InputContainer
from av.stream import Discard, Stream

from impasto.realtime.files.audio_headers import AudioFormat, header_format
from impasto.realtime.files.containers import demuxed, open_media

_FIRST_PACKETS = 2  # kept of each stream
_SEARCHED_PACKETS = 400  # for the first of each stream
# A file up to this size is read as a whole, which takes a second; of a larger one, parts.
_READ_BYTES = 256 << 20
_PARTS, _PART_PACKETS = 48, 150
_MIN_GAP, _MAX_GAP = 0.1, 10.0  # seconds; more is a jump of the clock
_MIN_SHARE = 0.05  # of the packets, for a format to be more than damage or a short announcement


@dataclass
class Survey:
    """What the streams of a file contain, by index.

    first_packets: the first of each stream, if they come early. formats: how many packets have
    each format, of sound that can change. changes, gaps: after how many seconds of sound it first
    changes its format, or pauses.
    """

    first_packets: dict[int, list[av.Packet]] = field(default_factory=dict)
    formats: dict[int, Counter[AudioFormat]] = field(default_factory=dict)
    changes: dict[int, Fraction] = field(default_factory=dict)
    gaps: dict[int, Fraction] = field(default_factory=dict)

    def richest(self, index: int) -> AudioFormat | None:
        """The format with the most channels, then the highest rate, of those that last."""
        counts = self.formats.get(index, Counter())
        lasting = [f for f, n in counts.items() if n >= _MIN_SHARE * counts.total()]
        return max(lasting, key=lambda f: (f.channels, f.rate), default=None)


def survey(path: Path, indices: Iterable[int], *, whole: bool = False) -> Survey:
    """Look at these streams of a file. Raises SourceError if it cannot be opened.

    whole: look at all of it even if no sound of it can change its format. A file of over 256 MiB
    is looked at in 48 places, which may miss a short change.
    """
    found, wanted = Survey(), set(indices)
    with open_media(path) as container:
        streams = [s for s in container.streams if s.index in wanted]
        for stream in container.streams:
            if stream.index not in wanted:
                stream.discard = Discard.all
        sounds = {s.index: _Sound(s, found) for s in streams if s.type == "audio"}
        whole = whole or any(sound.can_change for sound in sounds.values())
        with suppress(av.FFmpegError):  # damaged: the conversion says so
            for packet in _packets(container, streams, whole):
                _look(found, packet, sounds)
    return found


def survey_of(packets: Iterable[av.Packet], streams: Iterable[Stream]) -> Survey:
    """What the first packets tell of a film that cannot be read twice."""
    found, wanted = Survey(), {stream.index: stream for stream in streams}
    sounds = {s.index: _Sound(s, found) for s in wanted.values() if s.type == "audio"}
    for packet in packets:
        if packet.stream_index in wanted:
            _look(found, packet, sounds)
    return found


def _look(found: Survey, packet: av.Packet, sounds: Mapping[int, "_Sound"]) -> None:
    if not packet.size:
        return
    first = found.first_packets.setdefault(packet.stream_index, [])
    if len(first) < _FIRST_PACKETS:
        first.append(packet)
    if packet.stream_index in sounds:
        sounds[packet.stream_index].look(packet)


class _Sound:
    """Looks for changes and gaps in the packets of one stream."""

    def __init__(self, stream: Stream, found: Survey) -> None:
        context, container = stream.codec_context, cast(InputContainer, stream.container)
        self._index, self._found = stream.index, found
        self._codec = "" if context is None else context.codec.canonical_name
        self._unit = stream.time_base or Fraction(1, 1000)
        self._gap = range(int(_MIN_GAP / self._unit) + 1, int(_MAX_GAP / self._unit))
        self._elapsed = 0  # units of time
        # Between two samples of a large file nothing is known, so its clock has to be believed.
        self._is_sampled = container.size > _READ_BYTES
        self._start = stream.start_time or 0
        self._due: int | None = None  # the timestamp of the next packet
        # AAC with a common header does not change within the file.
        self.can_change = self._codec in ("mp1", "mp2", "mp3", "ac3", "eac3") or (
            self._codec == "aac" and not context.extradata_size
        )

    def look(self, packet: av.Packet) -> None:
        found, duration, pts = self._found, packet.duration or 0, packet.pts
        if self._is_sampled:
            self._elapsed = self._elapsed if pts is None else pts - self._start
        elif pts is not None and self._due is not None and pts - self._due in self._gap:
            found.gaps.setdefault(self._index, self._elapsed * self._unit)
            self._elapsed += pts - self._due
        self._due = pts + duration if pts is not None and duration else None
        if self.can_change:
            sound = header_format(self._codec, bytes(memoryview(packet)[:16]))
            if sound is not None:
                counts = found.formats.setdefault(self._index, Counter())
                if counts and sound not in counts:
                    found.changes.setdefault(self._index, self._elapsed * self._unit)
                counts[sound] += 1
        self._elapsed += duration


def _packets(container: InputContainer, streams: list[Stream], whole: bool) -> Iterator[av.Packet]:
    """The packets to look at: all, those in parts, or, if nothing can change, the first."""
    packets = demuxed(container, *streams)
    if not whole:
        yield from islice(packets, _SEARCHED_PACKETS)
        return
    if container.size <= _READ_BYTES or not container.duration:
        yield from packets
        return
    yield from islice(packets, _SEARCHED_PACKETS)
    for part in range(1, _PARTS):
        container.seek((container.start_time or 0) + container.duration * part // _PARTS)
        yield from islice(demuxed(container, *streams), _PART_PACKETS)
