"""Serves this page and a style to browsers on this machine: python3 serve.py STYLE.onnx"""

import argparse
import sys
from contextlib import suppress
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote, urlsplit

FOLDER = Path(__file__).resolve().parent
RUNTIME = FOLDER / "node_modules" / "onnxruntime-web" / "dist"


class Handler(SimpleHTTPRequestHandler):
    """Serves the folder and the style, with the headers that browsers require for shared memory."""

    extensions_map = SimpleHTTPRequestHandler.extensions_map | {
        ".js": "text/javascript",  # text/plain on some systems, with which modules do not load
        ".mjs": "text/javascript",
        ".wasm": "application/wasm",
        ".onnx": "application/octet-stream",
    }

    def __init__(self, *arguments: Any, style: Path | None, **more: Any) -> None:
        self.style = style
        super().__init__(*arguments, directory=str(FOLDER), **more)

    def translate_path(self, path: str) -> str:
        if self.style and unquote(urlsplit(path).path) == f"/{self.style.name}":
            return str(self.style)
        return super().translate_path(path)

    def end_headers(self) -> None:
        # Cross-origin isolation: without it WASM has one thread only.
        self.send_header("Cross-Origin-Opener-Policy", "same-origin")
        self.send_header("Cross-Origin-Embedder-Policy", "require-corp")
        self.send_header("Cache-Control", "no-cache")  # revalidate
        super().end_headers()

    def log_message(self, *_: Any) -> None:
        """Log nothing: the browser shows errors."""


def main() -> int:
    parser = argparse.ArgumentParser(description="Serve the page to browsers on this machine.")
    parser.add_argument("style", nargs="?", type=Path, help="a file that `impasto export` wrote")
    parser.add_argument("--port", type=int, default=8000, help="0: any free port")
    arguments = parser.parse_args()
    style = arguments.style
    if style and not style.is_file():
        parser.error(f"no such file: {style}; write one with `impasto export`")
    if not RUNTIME.is_dir():
        print(f"onnxruntime-web is missing: run `npm install` in {FOLDER}", file=sys.stderr)
        return 1
    handler = partial(Handler, style=style)
    try:
        server = ThreadingHTTPServer(("127.0.0.1", arguments.port), handler)
    except OSError as error:
        print(f"port {arguments.port}: {error.strerror}; try another --port", file=sys.stderr)
        return 1
    query = f"?model={quote(style.name)}" if style else ""
    print(f"http://localhost:{server.server_port}/{query}  (Ctrl-C to stop)", flush=True)
    with server, suppress(KeyboardInterrupt):
        server.serve_forever()
    return 0


if __name__ == "__main__":
    sys.exit(main())
