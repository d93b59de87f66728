"""Side data of decoded frames, read in a way that PyAV survives."""

from collections.abc import Iterable, Mapping
from fractions import Fraction
from typing import Any, cast

import av
import av.filter
from av.sidedata.sidedata import SideData, Type

# PyAV frees the metadata of an entry twice: the process ends with a segmentation fault. FFmpeg
# gives metadata to this kind only: the name of a PNG's color profile. And PyAV fails on kinds it
# has no name for, such as EXIF; FFmpeg 8.1 has four of these.
_NAMED: list[Any] = list(Type)  # PyAV's types do not say that it is an Enum
_LEFT_OUT = (Type.ICC_PROFILE.value, *range(max(kind.value for kind in _NAMED) + 1, 40))


def side_data_of(frame: av.VideoFrame) -> Mapping[str, SideData]:
    """The side data of a decoded frame by FFmpeg's name, "DISPLAYMATRIX", "A53_CC" ...

    Color profiles and kinds unknown to PyAV are left out; their names are refused by KeyError.
    Use this instead of `frame.side_data`, which ends the process for a PNG with a color profile.
    It takes 0.2 ms.
    """
    if frame.sw_format is not None:  # on a GPU, which decodes no PNG
        return _by_name(frame)
    graph = _filtered(frame, [f"mode=delete:type={kind}" for kind in _LEFT_OUT])
    return _by_name(graph.vpull())


def has_color_profile(frame: av.VideoFrame) -> bool:
    """Whether a decoded frame has an ICC profile, as those of PNG and JPEG may have."""
    if frame.sw_format is not None:
        return False
    try:
        _filtered(frame, ["mode=select:type=ICC_PROFILE"]).vpull()
    except (av.error.BlockingIOError, av.error.EOFError):  # not selected
        return False
    return True


def _filtered(frame: av.VideoFrame, options: Iterable[str]) -> av.filter.Graph:
    """A graph that this frame was pushed into, through sidedata filters with these options."""
    graph = av.filter.Graph()
    graph.threads = 1
    source = graph.add_buffer(
        width=frame.width, height=frame.height, format=frame.format, time_base=Fraction(1, 1000)
    )
    filters = [graph.add("sidedata", option) for option in options]
    graph.link_nodes(source, *filters, graph.add("buffersink")).configure()
    graph.vpush(frame)
    return graph


def _by_name(frame: av.VideoFrame) -> dict[str, SideData]:
    entries = cast(Iterable[SideData], frame.side_data)  # PyAV's type says names
    return {entry.type.name: entry for entry in entries}
