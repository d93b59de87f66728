"""Headless Chromium on the page that serve.py serves."""

import base64
import hashlib
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import cv2
import numpy as np
import pytest

PAGE = Path(__file__).parents[2] / "export" / "web"
PATIENCE = 60  # s, enough for everything even on a busy machine
INSTALL_PATIENCE = 40  # s; it takes 4 where npm has to fetch all of it
NO_NETWORK = ("ENOTFOUND", "EAI_AGAIN", "ECONN", "ETIMEDOUT", "ENETUNREACH", "network")
FLAGS = ("--headless=new", "--no-sandbox", "--disable-dev-shm-usage", "--disable-gpu")
CAMERA = ("--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream")


def find_programs() -> list[str]:
    """Chromium and its driver. Skips without them."""
    programs = [found for name in ("chromium", "chromedriver") if (found := shutil.which(name))]
    if len(programs) < 2:
        pytest.skip("chromium is not installed: apt-get install chromium chromium-driver")
    return programs


def install_runtime() -> Path:
    """node_modules with onnxruntime-web, installed once per package.json.

    Skips without npm, and where it takes too long.
    """
    if not shutil.which("npm"):
        pytest.skip("npm is not installed: apt-get install nodejs npm")
    package = (PAGE / "package.json").read_bytes()
    cache = Path.home() / ".cache" / "impasto-tests"
    folder = cache / f"web-{hashlib.sha256(package).hexdigest()[:12]}"
    if not folder.exists():
        partial = folder.with_name(f"{folder.name}.{os.getpid()}.partial")
        partial.mkdir(parents=True)
        (partial / "package.json").write_bytes(package)
        try:
            _npm_install(partial)
            partial.rename(folder)
        finally:
            shutil.rmtree(partial, ignore_errors=True)
    return folder / "node_modules"


def _npm_install(folder: Path) -> None:
    command = "npm install --no-package-lock --ignore-scripts --no-audit --no-fund"
    command += " --prefer-offline --fetch-retries=0"
    # The proxy of the tests, behind which nothing is, is not meant for npm.
    environment = {name: value for name, value in os.environ.items() if name != "https_proxy"}
    try:
        ran = subprocess.run(
            command.split(),
            cwd=folder,
            env=environment,
            capture_output=True,
            text=True,
            timeout=INSTALL_PATIENCE,
        )
    except subprocess.TimeoutExpired:
        pytest.skip(f"npm did not install onnxruntime-web within {INSTALL_PATIENCE} s")
    if ran.returncode:
        if any(sign in ran.stderr for sign in NO_NETWORK):
            pytest.skip("npm cannot be reached for onnxruntime-web")
        pytest.fail(ran.stderr)


@contextmanager
def serve(page: Path, *arguments: object) -> Iterator[str]:
    """Run serve.py; yields the address that it prints."""
    command = [sys.executable, str(page / "serve.py"), "--port", "0", *map(str, arguments)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout
            yield process.stdout.readline().split()[0]
        finally:
            process.terminate()


class Browser:
    """Chromium, with the actions of a user and of a script."""

    def __init__(self, stack: ExitStack, *flags: str) -> None:
        from selenium import webdriver

        chromium, driver = find_programs()
        options = webdriver.ChromeOptions()
        options.binary_location = chromium
        for flag in (*FLAGS, *flags):
            options.add_argument(flag)
        service = webdriver.ChromeService(driver)
        self.driver = webdriver.Chrome(options, service)
        stack.callback(self.driver.quit)
        self.driver.set_script_timeout(PATIENCE)

    def open(self, url: str) -> None:
        self.driver.get(url)

    def open_ready(self, url: str) -> None:
        """Open an address and wait until its style is open."""
        self.open(url)
        self.until("document.body.classList.contains('ready')")

    def text(self, name: str) -> str:
        return self.driver.find_element("id", name).text

    def click(self, name: str) -> None:
        self.driver.find_element("id", name).click()

    def choose(self, name: str, path: Path) -> None:
        """Choose a file for one of the file buttons."""
        self.driver.find_element("id", name).send_keys(str(path))

    def until(self, condition: str) -> None:
        """Wait for a condition in JavaScript; fail with the page's message if it stays false."""
        from selenium.common.exceptions import TimeoutException
        from selenium.webdriver.support.ui import WebDriverWait

        wait = WebDriverWait(self.driver, PATIENCE, poll_frequency=0.05)
        try:
            wait.until(lambda driver: driver.execute_script(f"return {condition}"))
        except TimeoutException:
            pytest.fail(f"{condition} stayed false; the page's message: {self.text('message')!r}")

    def wait_for_message(self, kind: str = "error") -> str:
        self.until(f"message.className === '{kind}' && message.textContent")
        return self.text("message")

    def stylize(self, picture: np.ndarray) -> np.ndarray:
        """Stylize (H, W, 3) uint8 RGB by the page's function for other scripts."""
        height, width = picture.shape[:2]
        opaque = np.full((height, width, 1), 255, np.uint8)
        pixels = np.concatenate([picture, opaque], axis=2).ravel().tolist()
        script = """
            const [pixels, width, done] = arguments;
            const picture = new ImageData(Uint8ClampedArray.from(pixels), width);
            impasto
                .stylize(picture)
                .then(({ data }) => done([...data]), (error) => done(`${error}`));
        """
        stylized = self.driver.execute_async_script(script, pixels, width)
        assert isinstance(stylized, list), stylized
        return np.array(stylized, np.uint8).reshape(height, width, 4)[..., :3]

    def canvases(self) -> tuple[np.ndarray, np.ndarray]:
        """The current picture, original and stylized, each (H, W, 3) uint8 RGB."""
        script = "return [original, stylized].map((canvas) => canvas.toDataURL())"  # PNG
        before, after = map(_decode, self.driver.execute_script(script))
        return before, after


def _decode(address: str) -> np.ndarray:
    png = np.frombuffer(base64.b64decode(address.split(",")[1]), np.uint8)
    return cv2.imdecode(png, cv2.IMREAD_COLOR_RGB)
