"""Interlaced frames to progressive ones."""

from collections.abc import Generator, Iterable, Iterator
from fractions import Fraction

import av
import av.filter
from av.video.frame import VideoFrame


def deinterlace(frames: Iterable[VideoFrame], time_base: Fraction) -> Generator[VideoFrame]:
    """One progressive frame for each frame; those not marked as interlaced pass as they are.

    FFmpeg's bwdif, which looks at the frame before and the one after; pts are kept.
    """
    graph, shape = None, None
    for frame in frames:
        new_shape = (frame.width, frame.height, frame.format.name)
        if graph is not None and shape != new_shape:
            yield from _flushed(graph, time_base)
            graph = None
        if graph is None and not frame.interlaced_frame:
            yield frame
            continue
        if graph is None:
            graph, shape = _bwdif(frame, time_base), new_shape
        graph.vpush(frame)
        yield from _pulled(graph, time_base)
    if graph is not None:
        yield from _flushed(graph, time_base)


def _bwdif(frame: VideoFrame, time_base: Fraction) -> av.filter.Graph:
    graph = av.filter.Graph()
    graph.link_nodes(
        graph.add_buffer(
            width=frame.width, height=frame.height, format=frame.format, time_base=time_base
        ),
        graph.add("bwdif", "mode=send_frame:deint=interlaced"),
        graph.add("buffersink"),
    ).configure()
    return graph


def _pulled(graph: av.filter.Graph, time_base: Fraction) -> Iterator[VideoFrame]:
    while True:
        try:
            frame = graph.vpull()
        except (av.error.BlockingIOError, av.error.EOFError):
            return
        # The filter halves the time base, to have room for one frame a field.
        assert frame.pts is not None and frame.time_base is not None  # it was pushed with both
        frame.pts, frame.time_base = round(frame.pts * frame.time_base / time_base), time_base
        yield frame


def _flushed(graph: av.filter.Graph, time_base: Fraction) -> Iterator[VideoFrame]:
    graph.vpush(None)
    yield from _pulled(graph, time_base)
