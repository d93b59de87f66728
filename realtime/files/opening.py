"""Films that begin smaller than they go on, as recorded calls do: the size of their frames."""

from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import av
from av.video.stream import VideoStream

from impasto.realtime.files.containers import open_media, time_base_of, video_stream
from impasto.realtime.files.fitting import PictureShape

# Where each key frame has its own size: codecs, and containers without a size of their own.
_CODECS = {"vp8", "vp9", "av1"}
_CONTAINERS = {"mpegts", "mpeg", "h264", "hevc"}
_SECONDS, _PART = 10, Fraction(1, 5)  # that such a beginning lasts at most; of the duration


def shape_of_film(
    path: Path, stream: VideoStream, first: PictureShape, duration: Fraction | None
) -> PictureShape:
    """The largest shape of the pictures at the beginning of a film, whose first one is `first`.

    Key frames are decoded until ten seconds, or a fifth of `duration`, seconds. A change after that
    is one in the middle: the shape is that of the first picture.
    """
    is_in_band = stream.codec_context.name in _CODECS or stream.container.format.name in _CONTAINERS
    if not is_in_band or not path.is_file():
        return first
    end = min(Fraction(_SECONDS), duration * _PART if duration else Fraction(_SECONDS))
    sizes = {(first.height, first.width)}
    with open_media(path) as container:
        again = video_stream(container, path)
        again.codec_context.skip_frame = "NONKEY"
        last_pts = (again.start_time or 0) + end / time_base_of(again)
        try:
            for packet in container.demux(again):
                if packet.pts is not None and packet.pts > last_pts:
                    break
                if packet.is_keyframe:
                    sizes |= {(frame.height, frame.width) for frame in packet.decode()}
            sizes |= {(frame.height, frame.width) for frame in again.decode(None)}
        except av.FFmpegError:
            pass  # damage is the decoder's to report
    height, width = max(
        sizes, key=lambda size: (size[0] * size[1], size == (first.height, first.width))
    )
    return replace(first, height=height, width=width)
