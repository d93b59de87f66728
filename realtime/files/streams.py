"""The streams of a media file that belong together, where the film starts, and unknown codecs.

PyAV gives neither programs nor the names of unknown codecs; both are in FFmpeg's own listing.
"""

import re
from collections import defaultdict
from fractions import Fraction
from typing import Any

import av
from av.container import InputContainer
from av.video.stream import VideoStream

from impasto.realtime.files.containers import time_base_of

_PROGRAM = re.compile(r"  Program \d+")
_STREAM = re.compile(r"  Stream #\d+:(\d+)")
_CODEC = re.compile(r": [A-Z][a-z]+: (\w+)(?: \((\S+) / 0x)?")


def program_streams(container: InputContainer, video: VideoStream) -> set[int]:
    """Indices of the streams that belong to the picture: those of its program, or all.

    A broadcast carries several programs (channels) in one file; other files have none.
    """
    everything = {stream.index for stream in container.streams}
    if "mpegts" not in container.format.name:
        return everything
    programs: dict[int, set[int]] = defaultdict(set)
    number = 0  # of the program in the listing; 0: streams before the first, or of no program
    for line in _listing(container):
        if _PROGRAM.match(line):
            number += 1
        elif line.startswith("  No Program"):
            number = 0
        elif match := _STREAM.match(line):
            programs[number].add(int(match[1]))
    mine = [streams for key, streams in programs.items() if key and video.index in streams]
    return set().union(*mine) if mine else everything


def film_start(container: InputContainer, video: VideoStream) -> Fraction:
    """The file's own time, in seconds, at which players begin: that of the earliest sound or
    picture, of the streams that belong together."""
    mine = program_streams(container, video)
    starts = [
        stream.start_time * stream.time_base
        for stream in container.streams.audio
        if stream.index in mine and stream.codec_context is not None
        if stream.start_time is not None and stream.time_base is not None
    ]
    if video.start_time is not None:
        starts.append(video.start_time * time_base_of(video))
    return min(starts, default=Fraction(0))


def names_of_unknown(container: InputContainer) -> dict[int, str]:
    """Codecs, by index, of the streams that FFmpeg cannot decode: its name, or the file's code.

    The code, of four letters in MP4 and MOV, is that of a codec that FFmpeg does not know.
    """
    names = {}
    for line in _listing(container):
        stream, codec = _STREAM.match(line), _CODEC.search(line)
        if stream and codec:
            names[int(stream[1])] = codec[1] if codec[1] != "none" else codec[2]
    unknown = {s.index for s in container.streams if s.codec_context is None}
    return {index: name for index, name in names.items() if index in unknown and name}


def _listing(container: Any) -> list[str]:
    """FFmpeg's listing of a file, by line: it goes through the log, which is off else."""
    level = av.logging.get_level()
    av.logging.set_level(av.logging.INFO)
    try:
        return container.dumps_format().splitlines()
    finally:
        av.logging.set_level(level)
