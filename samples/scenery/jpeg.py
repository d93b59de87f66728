"""Writes a picture as JPEG."""

from pathlib import Path

import av
import numpy as np


def write_jpeg(path: Path, picture: np.ndarray, *, quality: int = 6) -> None:
    """Write (H, W, 3) uint8 RGB as JPEG. quality: the quantiser, 2 (best) to 31."""
    with av.open(str(path), "w", format="image2", options={"update": "1"}) as container:
        stream = container.add_stream("mjpeg", rate=1)
        stream.height, stream.width = picture.shape[:2]
        stream.pix_fmt = "yuvj444p"
        stream.options = {"qmin": str(quality), "qmax": str(quality)}
        stream.codec_context.color_range = 2  # full
        frame = av.VideoFrame.from_ndarray(picture, format="rgb24").reformat(
            format="yuvj444p", dst_colorspace="ITU601"
        )
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
