"""A look through a media file before it is converted: first packets, and formats of its sound."""

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from fractions import Fraction
from itertools import islice
from pathlib import Path

import av
from av.container import InputContainer
from av.stream import Stream

from impasto.realtime.files.audio_headers import AudioFormat, header_format
from impasto.realtime.files.containers import open_media, video_stream
from impasto.realtime.files.discontinuity import TimestampUnwrapper

_FIRST_PACKETS = 2  # kept of each stream
_SEARCHED_PACKETS = 400  # for the first of each stream
# A file up to this size is read as a whole, at some 500 MB/s; of a larger one, parts.
_READ_BYTES = 256 << 20
_PARTS, _PART_PACKETS = 48, 300
_GAP_SECONDS = Fraction(1, 10)
_MIN_SHARE = 0.05  # of the packets, for a format to be more than damage or a short announcement


@dataclass
class Survey:
    """What the streams of a file contain, by index.

    first_packets: the first of each stream, if they come early. formats: how many packets have
    each format, of sound that can change. change: when it first does, in seconds of the file.
    gaps: where sound first pauses, in seconds of the file.
    """

    first_packets: dict[int, list[av.Packet]] = field(default_factory=dict)
    formats: dict[int, Counter[AudioFormat]] = field(default_factory=dict)
    change: dict[int, Fraction] = field(default_factory=dict)
    gaps: dict[int, Fraction] = field(default_factory=dict)

    def richest(self, index: int) -> AudioFormat | None:
        """The format with the most channels, then the highest rate, of those that last."""
        counts = self.formats.get(index, Counter())
        lasting = [f for f, n in counts.items() if n >= _MIN_SHARE * counts.total()]
        return max(lasting, key=lambda f: (f.channels, f.rate), default=None)


def survey(path: Path, indices: Iterable[int], *, whole: bool = False) -> Survey:
    """Look at these streams of a file. Raises SourceError if it cannot be opened.

    whole: look at all of it even if no sound of it can change its format.
    A file of over 256 MiB is looked at in 48 places, which may miss a short change.
    """
    found, wanted = Survey(), set(indices)
    with open_media(path) as container:
        video = video_stream(container, path)
        streams = [s for s in container.streams if s.index in wanted]
        changing = {s.index: _codec(s) for s in streams if _can_change(s)}
        timestamps, due = TimestampUnwrapper(container, video), dict[int, Fraction]()
        if timestamps.is_broadcast:
            streams.append(video)
        for stream in container.streams:
            if stream not in streams:
                stream.discard = av.stream.Discard.all
        try:
            for packet in _packets(container, path, streams, whole or bool(changing)):
                timestamps.unwrap(packet)
                if packet.size and packet.stream_index in wanted:
                    _note(found, packet, changing.get(packet.stream_index))
                    _note_gap(found, packet, due)
        except av.FFmpegError:
            pass  # damaged: the conversion says so
    return found


def _note(found: Survey, packet: av.Packet, codec: str | None) -> None:
    index = packet.stream_index
    first = found.first_packets.setdefault(index, [])
    if len(first) < _FIRST_PACKETS:
        first.append(packet)
    if codec is None:
        return
    sound = header_format(codec, bytes(memoryview(packet)[:16]))
    if sound is None:
        return
    counts = found.formats.setdefault(index, Counter())
    if counts and sound not in counts and index not in found.change and packet.pts is not None:
        found.change[index] = packet.pts * packet.time_base
    counts[sound] += 1


def _note_gap(found: Survey, packet: av.Packet, due: dict[int, Fraction]) -> None:
    """Note a pause; due: when the next packet of each stream is expected, which is kept up."""
    index = packet.stream_index
    if packet.pts is None or packet.stream.type != "audio":
        return
    time = packet.pts * packet.time_base
    if index not in found.gaps and time - due.get(index, time) > _GAP_SECONDS:
        found.gaps[index] = due[index]
    due[index] = time + (packet.duration or 0) * packet.time_base
    if not packet.duration:
        del due[index]  # unknown


def _packets(
    container: InputContainer, path: Path, streams: list[Stream], whole: bool
) -> Iterator[av.Packet]:
    """The packets to look at: all, those in parts, or, if nothing can change, the first."""
    packets = container.demux(*streams)
    if not whole:
        yield from islice(packets, _SEARCHED_PACKETS)
        return
    if path.stat().st_size <= _READ_BYTES or not container.duration:
        yield from packets
        return
    yield from islice(packets, _SEARCHED_PACKETS)
    for part in range(1, _PARTS):
        container.seek((container.start_time or 0) + container.duration * part // _PARTS)
        yield from islice(container.demux(*streams), _PART_PACKETS)


def _can_change(stream: Stream) -> bool:
    """Whether each of its packets says what it has, as AAC does only without a common header."""
    codec, context = _codec(stream), stream.codec_context
    return codec in ("mp1", "mp2", "mp3", "ac3", "eac3") or (
        codec == "aac" and not context.extradata_size
    )


def _codec(stream: Stream) -> str:
    context = stream.codec_context
    return "" if context is None else context.codec.canonical_name
