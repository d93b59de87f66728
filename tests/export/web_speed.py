"""Measures the web page: python -m tests.export.web_speed STYLE.onnx [SIZE ...]

Headless Chromium with its fake camera, on WASM. Prints a line for each size, the short side in px.
"""

import argparse
import shutil
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory
from time import sleep

from tests.export.web_browser import CAMERA, PAGE, Browser, install_runtime, serve

_SETTLING, _SECONDS = 3.0, 7.0  # the page's own figure is the mean of its last 20 pictures


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("style", type=Path, help="a file that `impasto export` wrote")
    parser.add_argument("sizes", type=int, nargs="*", default=[256, 360])
    arguments = parser.parse_args()
    with ExitStack() as stack:
        page = Path(stack.enter_context(TemporaryDirectory())) / "web"
        shutil.copytree(PAGE, page, ignore=shutil.ignore_patterns("node_modules"))
        (page / "node_modules").symlink_to(install_runtime())
        url = stack.enter_context(serve(page, arguments.style.resolve()))
        browser = Browser(stack, *CAMERA)
        for size in arguments.sizes:
            browser.open_ready(f"{url}&backend=wasm")
            browser.driver.execute_script(f"size.value = {size}")
            browser.click("camera")
            browser.until("document.body.classList.contains('stylized')")
            sleep(_SETTLING + _SECONDS)
            print(browser.text("backend"), browser.text("figures"), flush=True)


if __name__ == "__main__":
    main()
