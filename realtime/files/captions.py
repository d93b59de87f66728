"""Closed captions inside the picture (CTA-708, ATSC A/53): found, and put on other frames."""

from fractions import Fraction
from typing import Any

import av
import av.filter
from av.packet import Packet

from impasto.realtime.pixels import copy_plane

# Codecs whose pictures carry captions, as user data that begins with this identifier.
_CODECS = {"h264", "hevc", "mpeg2video", "av1"}
_IDENTIFIER = b"GA94"


class CaptionWatch:
    """Looks for closed captions in the packets of a stream, and then on its frames.

    codec: FFmpeg's name. `found`: whether any packet so far had captions. A packet takes some
    microseconds, until they are found; a frame takes 0.1 ms after that.
    """

    def __init__(self, codec: str) -> None:
        self.found = False
        self._is_possible = codec in _CODECS
        self._graph: Any = None
        self._shape: tuple[int, int, str] | None = None  # that the graph is made for

    def look_at(self, packet: Packet) -> None:
        """Look for captions in a packet that is about to be decoded."""
        if self._is_possible and not self.found:
            self.found = _IDENTIFIER in bytes(packet)

    def captioned(self, frame: av.VideoFrame) -> av.VideoFrame | None:
        """The frame itself if it has captions, else None; also for frames on a GPU.

        By FFmpeg's filter: PyAV's side data would keep each frame until the garbage collector runs.
        """
        if not self.found or frame.sw_format is not None:
            return None
        shape = (frame.width, frame.height, frame.format.name)
        if shape != self._shape:
            self._graph, self._shape = _selection(frame), shape
        self._graph.vpush(frame)
        try:
            return self._graph.vpull()
        except (av.error.BlockingIOError, av.error.EOFError):
            return None


def _selection(frame: av.VideoFrame) -> av.filter.Graph:
    """A graph that lets frames with captions pass."""
    graph = av.filter.Graph()
    graph.threads = 1
    graph.link_nodes(
        graph.add_buffer(
            width=frame.width,
            height=frame.height,
            format=frame.format,
            time_base=frame.time_base or Fraction(1, 1000),
        ),
        graph.add("sidedata", "mode=select:type=A53_CC"),
        graph.add("buffersink"),
    ).configure()
    return graph


def with_captions_of(captioned: av.VideoFrame, frame: av.VideoFrame) -> av.VideoFrame:
    """A frame for an encoder, with the captions of another frame, of any size and pixel format.

    PyAV cannot add side data to a frame, so it is the other frame whose pixels are replaced.
    """
    carrier = captioned.reformat(width=frame.width, height=frame.height, format=frame.format.name)
    carrier.make_writable()  # the decoder may still refer to it
    for source, target in zip(frame.planes, carrier.planes, strict=True):
        copy_plane(source, target)
    carrier.pict_type = 0  # or the encoder would repeat the source's kinds of frames
    carrier.colorspace, carrier.color_range = frame.colorspace, frame.color_range
    carrier.color_primaries, carrier.color_trc = frame.color_primaries, frame.color_trc
    return carrier
