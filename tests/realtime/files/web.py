"""A web server for tests: files of a folder, redirections, silence, and broken connections."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path


class QuietHandler(SimpleHTTPRequestHandler):
    """Serves files of a folder, without a log.

    Of requests: "/redirect/NAME" leads to NAME, "/to-disk/PATH" to file:///PATH, "/silence" is
    never answered, "/half/NAME" breaks off in the middle.
    """

    def do_GET(self) -> None:
        kind, _, rest = self.path.partition("?")[0].strip("/").partition("/")
        if kind in ("redirect", "to-disk"):
            self.send_response(302)
            self.send_header("Location", f"/{rest}" if kind == "redirect" else f"file:///{rest}")
            self.end_headers()
        elif kind == "silence":
            self.server.released.wait()  # type: ignore[attr-defined]
        elif kind == "half":
            data = (Path(self.directory) / rest).read_bytes()
            self.send_response(200)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data[: len(data) // 2])
        else:
            super().do_GET()

    def log_message(self, *_: object) -> None:
        """Print nothing."""


@contextmanager
def web_server(folder: Path) -> Iterator[str]:
    """Serve a folder on this machine; gives the address of its root, which ends in a slash."""
    handler = partial(QuietHandler, directory=str(folder))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        server.daemon_threads = True
        server.released = threading.Event()  # type: ignore[attr-defined]
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}/"
        finally:
            server.released.set()  # type: ignore[attr-defined]
            server.shutdown()
            thread.join()
