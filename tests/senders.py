"""Network cameras on 127.0.0.1, to be lost and found: MJPEG over HTTP, MPEG-TS over UDP."""

import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from fractions import Fraction
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Event, Thread
from typing import Any

import av
import numpy as np

from realtime.pixels import to_video_frame
from tests.media import numbered_picture

SIZE = (48, 64)


def jpeg(image: np.ndarray) -> bytes:
    """A picture as a camera sends it."""
    codec: Any = av.CodecContext.create("mjpeg", "w")
    codec.height, codec.width, codec.pix_fmt = *image.shape[:2], "yuvj420p"
    codec.time_base, codec.options = Fraction(1, 25), {"qmin": "2", "qmax": "2"}
    frame = to_video_frame(image, "yuvj420p")
    frame.pts = 0
    return b"".join(bytes(packet) for packet in [*codec.encode(frame), *codec.encode(None)])


class HttpCamera:
    """An HTTP camera; each connection gets what `send` gives, at `rate`, and is then cut.

    send: connection's number, from 0 -> its pictures, as bytes.
    """

    def __init__(self, send: Callable[[int], Iterator[bytes]], rate: float = 50) -> None:
        self.connections = 0
        self.stopping = Event()
        camera = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                number, camera.connections = camera.connections, camera.connections + 1
                self.send_response(200)
                self.send_header("Content-Type", "multipart/x-mixed-replace; boundary=frame")
                self.end_headers()
                with suppress(OSError):  # the reader left
                    for data in send(number):
                        head = f"--frame\r\nContent-Type: image/jpeg\r\nContent-Length: {len(data)}"
                        self.wfile.write(head.encode() + b"\r\n\r\n" + data + b"\r\n")
                        if camera.stopping.wait(1 / rate):
                            return

            def log_message(self, *_: object) -> None:
                """It stays quiet."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._thread = Thread(target=self._server.serve_forever, args=(0.01,))
        self.address = f"http://127.0.0.1:{self._server.server_port}/video"

    def __enter__(self) -> "HttpCamera":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stopping.set()
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


def numbered_jpegs() -> list[bytes]:
    """Pictures 0 to 7, as cameras send them."""
    return [jpeg(numbered_picture(number, SIZE)) for number in range(8)]


def free_port() -> int:
    """A UDP port that nobody listens at."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def udp_sender(port: int, *, declared: int = 25, rate: float = 25) -> Iterator[None]:
    """Sends MPEG-TS to a port: time stamps for `declared` frames a second, sent at `rate`."""
    stopping = Event()

    def send() -> None:
        out: Any
        with av.open(f"udp://127.0.0.1:{port}?pkt_size=1316", "w", format="mpegts") as out:
            stream = out.add_stream("mpeg2video", rate=declared)
            stream.height, stream.width, stream.pix_fmt = *SIZE, "yuv420p"
            stream.codec_context.gop_size = 4
            number = 0
            while not stopping.wait(1 / rate):
                frame = to_video_frame(numbered_picture(number % 256, SIZE), "yuv420p")
                frame.pts, frame.time_base = number, Fraction(1, declared)
                out.mux(stream.encode(frame))
                number += 1

    thread = Thread(target=send)
    thread.start()
    try:
        yield
    finally:
        stopping.set()
        thread.join()
