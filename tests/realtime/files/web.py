"""A web server for tests: files of a folder, redirections, silence, and broken connections."""

import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

# Of "localhost", signed by itself, and of no use but here.
CERTIFICATE = """\
-----BEGIN PRIVATE KEY-----
MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQg29Fmp+/DD0KDr3Gq
V3Jj/1Ufqyzh7/1WcpcWrpZuvq2hRANCAASS9/hb5KGwLOftuwFT3/h7o+tdqZOh
itjyrrbFgFD6/R8JbFQK+DjehR8dPgOWzcZE7HtjYNHtCy39eVCJkQUV
-----END PRIVATE KEY-----
-----BEGIN CERTIFICATE-----
MIIBQjCB6KADAgECAgEBMAoGCCqGSM49BAMCMBQxEjAQBgNVBAMMCWxvY2FsaG9z
dDAgFw0yMDAxMDEwMDAwMDBaGA8yMTIwMDEwMTAwMDAwMFowFDESMBAGA1UEAwwJ
bG9jYWxob3N0MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEkvf4W+ShsCzn7bsB
U9/4e6PrXamToYrY8q62xYBQ+v0fCWxUCvg43oUfHT4Dls3GROx7Y2DR7Qst/XlQ
iZEFFaMpMCcwDwYDVR0TAQH/BAUwAwEB/zAUBgNVHREEDTALgglsb2NhbGhvc3Qw
CgYIKoZIzj0EAwIDSQAwRgIhAKV2UJUpERmrtn4HDP4k12wmwtVuSxiEDdnpQPZI
LtGFAiEAnTufQfnBTT9J2AD4xylmlCFDBs1oLLHQmIrhdZXYKKo=
-----END CERTIFICATE-----
"""


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
def web_server(folder: Path, certificate: Path | None = None) -> Iterator[str]:
    """Serve a folder on this machine; gives the address of its root, which ends in a slash.

    certificate: a file with `CERTIFICATE`, for https.
    """
    handler = partial(QuietHandler, directory=str(folder))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        if certificate is not None:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(certificate)
            server.socket = context.wrap_socket(server.socket, server_side=True)
        server.daemon_threads = True
        server.released = threading.Event()  # type: ignore[attr-defined]
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            where = "http://127.0.0.1" if certificate is None else "https://localhost"
            yield f"{where}:{server.server_port}/"
        finally:
            server.released.set()  # type: ignore[attr-defined]
            server.shutdown()
            thread.join()
