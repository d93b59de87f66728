"""Network cameras on 127.0.0.1: HTTP, UDP, RTSP."""

import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from fractions import Fraction
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from socketserver import BaseServer, StreamRequestHandler, ThreadingTCPServer
from threading import Event, Thread
from typing import Any, Self

import av
import numpy as np

from impasto.realtime.pixels import to_video_frame
from tests.media import numbered_picture

SIZE = (48, 64)


def jpeg(image: np.ndarray) -> bytes:
    """An image as JPEG bytes, as a camera sends it."""
    codec: Any = av.CodecContext.create("mjpeg", "w")
    codec.height, codec.width, codec.pix_fmt = *image.shape[:2], "yuvj420p"
    codec.time_base, codec.options = Fraction(1, 25), {"qmin": "2", "qmax": "2"}
    frame = to_video_frame(image, "yuvj420p")
    frame.pts = 0
    return b"".join(bytes(packet) for packet in [*codec.encode(frame), *codec.encode(None)])


class _Served:
    """A server that runs in a thread, within a `with` block."""

    stopping: Event
    _server: BaseServer
    _thread: Thread

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stopping.set()
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


class HttpCamera(_Served):
    """An MJPEG camera over HTTP; each connection gets the images of `send`, and is then closed.

    send: from the number of the connection (0, 1 ...) to its images, as JPEG bytes. rate: images
    per second.
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
                """Print nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._thread = Thread(target=self._server.serve_forever, args=(0.01,))
        self.address = f"http://127.0.0.1:{self._server.server_port}/video"


def numbered_jpegs() -> list[bytes]:
    """Images with the numbers 0 to 7, as JPEG bytes."""
    return [jpeg(numbered_picture(number, SIZE)) for number in range(8)]


def free_port() -> int:
    """A UDP port that is not in use."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def udp_sender(port: int, *, declared: int = 25, rate: float = 25) -> Iterator[None]:
    """Send MPEG-TS to a UDP port: timestamps of `declared` frames per second, sent at `rate`."""
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


class RtspCamera(_Served):
    """An RTSP camera: H.264 over TCP, interleaved (RFC 2326); closes after `frames`.

    FFmpeg writes RTP packets to a UDP port, from which they are copied into the TCP connection.
    """

    def __init__(self, frames: int = 40, rate: float = 50) -> None:
        self.stopping = Event()
        self.transports: list[str] = []
        camera = self

        class Handler(StreamRequestHandler):
            def handle(self) -> None:
                with suppress(OSError):
                    while request := self.rfile.readline():
                        fields = dict(
                            line.split(": ", 1)
                            for line in iter(lambda: self.rfile.readline().decode().strip(), "")
                        )
                        method = request.split()[0].decode()
                        if method == "SETUP":
                            camera.transports.append(fields["Transport"])
                        self.wfile.write(_rtsp_answer(method, fields))
                        if method == "PLAY":
                            camera._send(self.wfile, frames, rate)
                            return

        class Server(ThreadingTCPServer):
            allow_reuse_address = True

        self._server = Server(("127.0.0.1", 0), Handler)
        self._thread = Thread(target=self._server.serve_forever, args=(0.01,))
        self.address = f"rtsp://127.0.0.1:{self._server.server_address[1]}/live"

    def _send(self, out: Any, frames: int, rate: float) -> None:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as port:
            port.bind(("127.0.0.1", 0))
            port.setblocking(False)
            rtp: Any
            with av.open(f"rtp://127.0.0.1:{port.getsockname()[1]}", "w", format="rtp") as rtp:
                options = {"preset": "ultrafast", "tune": "zerolatency"}
                stream = rtp.add_stream("libx264", rate=25, options=options)
                stream.height, stream.width, stream.pix_fmt = *SIZE, "yuv420p"
                stream.codec_context.gop_size = 4
                for number in range(frames):
                    frame = to_video_frame(numbered_picture(number % 256, SIZE), "yuv420p")
                    frame.pts, frame.time_base = number, Fraction(1, 25)
                    rtp.mux(stream.encode(frame))
                    with suppress(BlockingIOError):
                        while data := port.recv(65536):
                            out.write(b"$\0" + len(data).to_bytes(2, "big") + data)
                    if self.stopping.wait(1 / rate):
                        return


def _rtsp_answer(method: str, fields: dict[str, str]) -> bytes:
    head, body = [f"RTSP/1.0 200 OK\r\nCSeq: {fields['CSeq']}\r\nSession: 1"], ""
    if method == "OPTIONS":
        head.append("Public: OPTIONS, DESCRIBE, SETUP, PLAY, TEARDOWN")
    if method == "DESCRIBE":
        body = (
            "v=0\r\no=- 0 0 IN IP4 127.0.0.1\r\ns=camera\r\nc=IN IP4 0.0.0.0\r\nt=0 0\r\n"
            "m=video 0 RTP/AVP 96\r\na=rtpmap:96 H264/90000\r\na=fmtp:96 packetization-mode=1\r\n"
        )
        head.append(f"Content-Type: application/sdp\r\nContent-Length: {len(body)}")
    if method == "SETUP":
        head.append("Transport: RTP/AVP/TCP;unicast;interleaved=0-1")
    return ("\r\n".join(head) + "\r\n\r\n" + body).encode()
