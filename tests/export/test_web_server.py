"""The server of the web page: what it serves, to whom, and what it reports."""

import errno
import shutil
import socket
import subprocess
import sys
from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import urlopen

import pytest

from tests.export.web_browser import PAGE, PATIENCE, serve


@pytest.fixture(scope="module")
def page(tmp_path_factory) -> Path:
    """A copy of the folder, with files named as those of onnxruntime-web."""
    folder = tmp_path_factory.mktemp("page") / "web"
    shutil.copytree(PAGE, folder, ignore=shutil.ignore_patterns("node_modules"))
    runtime = folder / "node_modules" / "onnxruntime-web" / "dist"
    runtime.mkdir(parents=True)
    for name in ("ort.wasm.min.mjs", "ort-wasm-simd-threaded.wasm"):
        (runtime / name).touch()
    return folder


@pytest.fixture(scope="module")
def url(page, tmp_path_factory):
    style = tmp_path_factory.mktemp("style") / "some_waves.onnx"
    style.touch()
    with serve(page, style) as address:
        yield address


def test_what_is_served(url):
    kinds = {
        "": "text/html",
        "page.js": "text/javascript",
        "some_waves.onnx": "application/octet-stream",
        "node_modules/onnxruntime-web/dist/ort.wasm.min.mjs": "text/javascript",
        "node_modules/onnxruntime-web/dist/ort-wasm-simd-threaded.wasm": "application/wasm",
    }
    for name, kind in kinds.items():
        with urlopen(f"{url.split('?')[0]}{name}") as answer:
            assert answer.headers["Content-Type"].startswith(kind)
            assert answer.headers["Cross-Origin-Opener-Policy"] == "same-origin"
            assert answer.headers["Cross-Origin-Embedder-Policy"] == "require-corp"


@pytest.mark.skipif(sys.platform != "linux", reason="other systems have no address 127.0.0.2")
def test_only_this_machine_is_served(url):
    with socket.socket() as other:
        assert other.connect_ex(("127.0.0.2", urlsplit(url).port)) == errno.ECONNREFUSED


def run_serve(folder: Path, *arguments: object) -> tuple[int, str]:
    """Exit code and the last line on stderr."""
    command = [sys.executable, str(folder / "serve.py"), *map(str, arguments)]
    ran = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE)
    return ran.returncode, ran.stderr.splitlines()[-1]


def test_the_server_reports_what_is_missing(page, url, tmp_path):
    code, message = run_serve(page, tmp_path / "none.onnx")
    assert code == 2
    assert "no such file" in message
    code, message = run_serve(page, "--port", urlsplit(url).port)
    assert code == 1
    assert "try another --port" in message
    shutil.copy(PAGE / "serve.py", tmp_path)
    code, message = run_serve(tmp_path)
    assert code == 1
    assert "npm install" in message
