"""The web page stylizes live, as ONNX Runtime does, and reports errors."""

import re
import shutil
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from onnx import TensorProto, helper

from impasto.export.graphs.portable import build_portable_model
from impasto.models.transform_net import TransformNet
from tests.export.web_browser import CAMERA, PAGE, Browser, find_programs, install_runtime, serve
from tests.media import make_clip, number_of, text_file
from tests.pictures import make_pictures

# In levels. One: WASM adds floats in another order, which rounding can turn into one. Two: the
# statistics of a picture can differ by that much in its deepest layers.
TOLERANCE = 2


@pytest.fixture(scope="module")
def style(tmp_path_factory) -> Path:
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("style") / "some_waves.onnx"
    onnx.save(build_portable_model(TransformNet("fast").eval()), path)
    return path


@pytest.fixture(scope="module")
def page(tmp_path_factory) -> Path:
    """A copy of the folder, with its node_modules."""
    find_programs()  # without a browser nothing is installed
    runtime = install_runtime()
    folder = tmp_path_factory.mktemp("page") / "web"
    shutil.copytree(PAGE, folder, ignore=shutil.ignore_patterns("node_modules"))
    (folder / "node_modules").symlink_to(runtime)
    return folder


@pytest.fixture(scope="module")
def url(page, style):
    with serve(page, style) as address:
        yield address


# Counts the pictures that a page has sent to its worker and not received back.
COUNT_WAITING = """
    window.most = window.waiting = 0;
    window.Worker = class extends Worker {
        constructor(...inputs) {
            super(...inputs);
            this.addEventListener("message", ({ data }) => data.stylized && waiting--);
        }
        postMessage(message, ...more) {
            if (message.stylize) most = Math.max(most, ++waiting);
            super.postMessage(message, ...more);
        }
    };
"""


@pytest.fixture(scope="module")
def browser():
    with ExitStack() as stack:
        browser = Browser(stack, *CAMERA)
        command = "Page.addScriptToEvaluateOnNewDocument"
        browser.driver.execute_cdp_cmd(command, {"source": COUNT_WAITING})
        yield browser


@pytest.fixture
def ready(browser, url) -> Browser:
    """A browser on a newly opened page."""
    browser.open_ready(url)
    return browser


@pytest.fixture
def visited(browser, url) -> Browser:
    """A browser on a page that other tests may have used."""
    if browser.driver.current_url != url:
        browser.open_ready(url)
    return browser


def expected(style: Path, picture: np.ndarray) -> np.ndarray:
    session = onnxruntime.InferenceSession(str(style), providers=["CPUExecutionProvider"])
    (stylized,) = session.run(None, {session.get_inputs()[0].name: picture[None]})
    return stylized[0]


def assert_alike(got: np.ndarray, wanted: np.ndarray) -> None:
    assert got.shape == wanted.shape
    assert np.ptp(wanted) > 50  # not a blank
    assert np.abs(got.astype(int) - wanted).max() <= TOLERANCE


@pytest.mark.parametrize("size", [(48, 64), (61, 83)])
def test_pictures_are_those_of_onnx_runtime(visited, style, size):
    (picture,) = make_pictures(1, *size)
    assert_alike(visited.stylize(picture), expected(style, picture))


def test_the_backend_is_shown(visited):
    assert visited.text("style").lower() == "some waves"
    threads = visited.driver.execute_script("return Math.min(navigator.hardwareConcurrency, 8)")
    assert visited.text("backend") == f"WASM, {threads} thread" + "s" * (threads > 1)
    assert visited.wait_for_message("note").endswith("so it runs on the CPU.")


def test_a_slow_machine_starts_with_a_small_picture(ready, style):
    threads = ready.driver.execute_script("return Math.min(navigator.hardwareConcurrency, 8)")
    assert ready.driver.execute_script("return size.value") == ("256" if threads <= 4 else "360")
    ready.driver.execute_script("size.value = 480; size.dispatchEvent(new Event('change'))")
    ready.driver.execute_script("message.textContent = ''")
    ready.choose("model", style)
    ready.wait_for_message("note")
    assert ready.driver.execute_script("return size.value") == "480"  # the user's own choice


def test_the_camera_is_stylized_live(ready, style):
    ready.driver.execute_script("size.value = 256")
    ready.click("camera")
    pictures = []
    for _ in range(3):
        ready.until("document.body.classList.contains('stylized')")
        pictures.append(ready.canvases())
        ready.driver.execute_script("shown = stylized.toDataURL()")
        ready.until("stylized.toDataURL() !== shown")
    for before, after in pictures:
        assert before.shape[0] == 256
        assert np.ptp(before) > 50  # the camera's own picture is not a blank
        assert_alike(after, expected(style, before))
    assert " fps · " in ready.text("figures")
    assert ready.driver.execute_script("return most") == 1  # none queued behind it

    ready.click("stop")
    assert ready.driver.execute_script("return video.srcObject") is None
    ready.until("waiting === 0")
    last = ready.canvases()[1]
    ready.click("camera")  # and it starts again
    ready.until("figures.value && document.body.classList.contains('running')")
    ready.driver.execute_script("shown = stylized.toDataURL()")
    ready.until("stylized.toDataURL() !== shown")
    assert not np.array_equal(ready.canvases()[1], last)


def test_a_video_file_is_stylized_while_it_plays(ready, style, tmp_path):
    ready.choose("file", make_clip(tmp_path / "film.webm", frames=50))
    numbers = set()
    for _ in range(2):
        ready.until("document.body.classList.contains('stylized')")
        before, after = ready.canvases()
        assert before.shape == (48, 64, 3)  # never made larger
        assert_alike(after, expected(style, before))
        numbers.add(number_of(before))
        ready.driver.execute_script("shown = original.toDataURL()")
        ready.until("original.toDataURL() !== shown")
    assert len(numbers) == 2
    assert max(numbers) < 50


def test_an_export_of_one_size_gets_that_size(browser, page, style, tmp_path):
    model = onnx.load(style)
    for info in (*model.graph.input, *model.graph.output):
        for axis, length in enumerate((1, 48, 80, 3)):
            info.type.tensor_type.shape.dim[axis].dim_value = length
    onnx.save(model, tmp_path / "small.onnx")
    with serve(page, tmp_path / "small.onnx") as address:
        browser.open_ready(address)
        browser.click("camera")
        browser.until("document.body.classList.contains('stylized')")
        before, after = browser.canvases()
    assert before.shape == (48, 80, 3)
    assert_alike(after, expected(style, before))


def test_several_styles_are_mixed(browser, page, tmp_path):
    # The output is named as in files of earlier versions.
    pictures = helper.make_tensor_value_info("frames", TensorProto.UINT8, ["n", "h", "w", 3])
    weights = helper.make_tensor_value_info("weights", TensorProto.FLOAT, [2])
    stylized = helper.make_tensor_value_info("stylised", TensorProto.UINT8, ["n", "h", "w", 3])
    nodes = [
        helper.make_node("ReduceSum", ["weights"], ["sum"], keepdims=0),
        helper.make_node("Cast", ["frames"], ["levels"], to=TensorProto.FLOAT),
        helper.make_node("Mul", ["levels", "sum"], ["dimmed"]),
        helper.make_node("Cast", ["dimmed"], ["stylised"], to=TensorProto.UINT8),
    ]
    graph = helper.make_graph(nodes, "mixture", [weights, pictures], [stylized])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    helper.set_model_props(model, {"styles": '["red_sea", "<b>"]', "painting": "Two"})
    onnx.save(model, tmp_path / "two.onnx")
    (picture,) = make_pictures(1, 20, 30)
    with serve(page, tmp_path / "two.onnx") as address:
        browser.open_ready(address)
        assert browser.text("mix").lower().split("\n") == ["red sea", "<b>"]
        assert np.array_equal(browser.stylize(picture), picture)  # the first has weight 1
        browser.driver.execute_script("""
            const range = mix.querySelector("input");
            range.value = 0.5;
            range.dispatchEvent(new Event("input"));
        """)
        assert np.array_equal(browser.stylize(picture), picture // 2)


def test_the_label_shows_the_painting(browser, page, tmp_path):
    path = other_model(tmp_path / "blue.onnx", TensorProto.UINT8, ["n", "h", "w", 3])
    model = onnx.load(path)
    about = {"painting": "Waves, “blue”", "artist": "A. Painter", "recipe": "x" * 1000}
    helper.set_model_props(model, about)
    onnx.save(model, path)
    with serve(page, path) as address:
        browser.open_ready(address)
        assert browser.text("style") == "Waves, “blue”"
        assert browser.text("artist") == "A. Painter"


def other_model(path: Path, kind: int, shape: list, inputs: int = 1) -> Path:
    names = [f"x{number}" for number in range(inputs)]
    infos = [helper.make_tensor_value_info(name, kind, shape) for name in names]
    output = helper.make_tensor_value_info("y", kind, shape)
    nodes = [helper.make_node("Identity", names[:1], ["y"])]
    graph = helper.make_graph(nodes, "other", infos, [output])
    opset = [helper.make_opsetid("", 17)]
    onnx.save(helper.make_model(graph, opset_imports=opset, ir_version=8), path)
    return path


WRONG = {
    "not ONNX": lambda path: path.write_text("no"),
    "empty": lambda path: path.write_bytes(b""),
    "cut off": lambda path: path.write_bytes(path.read_bytes()[:1000]),
    "floats": lambda path: other_model(path, TensorProto.FLOAT, ["n", 3, "h", "w"]),
    "two inputs": lambda path: other_model(path, TensorProto.UINT8, ["n", "h", "w", 3], 2),
    "batches of four": lambda path: other_model(path, TensorProto.UINT8, [4, 48, 64, 3]),
}


@pytest.mark.parametrize("wrong", WRONG)
def test_a_wrong_file_is_reported_and_changes_nothing(visited, style, tmp_path, wrong):
    path = shutil.copy(style, tmp_path / f"{wrong}.onnx")
    WRONG[wrong](path)
    visited.choose("model", path)
    visited.until(f"message.textContent.startsWith('Cannot open {wrong}.onnx: ')")
    message = visited.wait_for_message()
    if wrong in ("not ONNX", "empty", "cut off"):
        assert "not an ONNX file" in message
    else:
        assert "impasto export" in message
    (picture,) = make_pictures(1, 48, 64)
    assert_alike(visited.stylize(picture), expected(style, picture))


def test_a_missing_style(browser, url):
    browser.open(url.split("?")[0] + "?model=none.onnx")
    assert browser.wait_for_message() == "Cannot fetch none.onnx: the server answers 404."


def test_a_file_that_is_not_a_video(visited, tmp_path):
    visited.choose("file", text_file(tmp_path / "film.mp4"))
    visited.until("message.className === 'error' && message.textContent.includes('film.mp4')")
    assert "This browser cannot play film.mp4" in visited.text("message")


def test_a_camera_that_is_denied(url):
    with ExitStack() as stack:
        browser = Browser(stack, CAMERA[0])
        permission = {"permission": {"name": "camera"}, "setting": "denied"}
        browser.driver.execute_cdp_cmd("Browser.setPermission", permission)
        browser.open_ready(url)
        browser.click("camera")
        assert "was not allowed" in browser.wait_for_message()


def test_a_machine_without_a_camera(url):
    with ExitStack() as stack:
        browser = Browser(stack, f"{CAMERA[0]}=device-count=0", CAMERA[1])
        browser.open_ready(url)
        browser.click("camera")
        assert "No camera found" in browser.wait_for_message()


def test_a_server_without_isolation_leaves_one_thread(browser, page, style):
    shutil.copy(style, page)
    command = [sys.executable, "-u", "-m", "http.server", "0", "--bind", "127.0.0.1"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=page) as process:
        try:
            port = re.search(r"port (\d+)", process.stdout.readline())[1]
            browser.open_ready(f"http://localhost:{port}/?model={style.name}")
            assert browser.text("backend") == "WASM, 1 thread"
            assert "serve.py" in browser.wait_for_message("note")
        finally:
            process.terminate()
