"""Deinterlacing with FFmpeg's bwdif filter."""

from collections.abc import Generator, Iterable, Iterator
from fractions import Fraction

import av
import av.filter
from av.video.frame import VideoFrame


def deinterlace(frames: Iterable[VideoFrame], time_base: Fraction) -> Generator[VideoFrame]:
    """Yield one progressive frame for each frame; those not marked as interlaced are not changed.

    bwdif reads the frames before and after each one, so a frame comes out one later; pts are kept.
    time_base: of the frames' pts.
    """
    graph, shape = None, None
    for frame in frames:
        new_shape = (frame.width, frame.height, frame.format.name)
        if graph is not None and shape != new_shape:
            yield from _flush(graph, time_base)
            graph = None
        if graph is None and not frame.interlaced_frame:
            yield frame
            continue
        if graph is None:
            graph, shape = _bwdif_graph(frame, time_base), new_shape
        graph.vpush(frame)
        yield from _pull(graph, time_base)
    if graph is not None:
        yield from _flush(graph, time_base)


def _bwdif_graph(frame: VideoFrame, time_base: Fraction) -> av.filter.Graph:
    graph = av.filter.Graph()
    graph.link_nodes(
        graph.add_buffer(
            width=frame.width, height=frame.height, format=frame.format, time_base=time_base
        ),
        graph.add("bwdif", "mode=send_frame:deint=interlaced"),
        graph.add("buffersink"),
    ).configure()
    return graph


def _pull(graph: av.filter.Graph, time_base: Fraction) -> Iterator[VideoFrame]:
    while True:
        try:
            frame = graph.vpull()
        except (av.error.BlockingIOError, av.error.EOFError):
            return
        # The filter halves the time base, to have room for one frame per field.
        assert frame.pts is not None and frame.time_base is not None  # as when pushed
        frame.pts, frame.time_base = round(frame.pts * frame.time_base / time_base), time_base
        yield frame


def _flush(graph: av.filter.Graph, time_base: Fraction) -> Iterator[VideoFrame]:
    graph.vpush(None)
    yield from _pull(graph, time_base)
