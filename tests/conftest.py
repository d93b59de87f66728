"""Set-up for every test: import order, a cache folder for the run, and tests that need a GPU."""

import atexit
import gc
import os
from collections.abc import Iterator
from shutil import rmtree
from tempfile import mkdtemp

import cv2  # noqa: F401  # before PyAV, or else its windows hang: see impasto.realtime.live.window
import pytest

from impasto.models.architectures import NETWORKS
from impasto.realtime.cpu import cores
from impasto.realtime.engines import autotune_cache
from impasto.realtime.engines.autotune_cache import AutotuneResult
from tests.small_figures import small_figures

gc.disable()  # until all tests are collected: what is imported for them stays
if "PYTEST_XDIST_WORKER" in os.environ:  # other workers have the other cores
    os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ["https_proxy"] = "http://127.0.0.1:9"  # nothing is there: no test downloads weights
if "PYTEST_XDIST_WORKER" not in os.environ:  # else it is that of all
    os.environ["XDG_CACHE_HOME"] = mkdtemp(prefix="impasto-tests-")
    atexit.register(rmtree, os.environ["XDG_CACHE_HOME"], ignore_errors=True)
# On a CPU "auto" is the engine that opens soonest; tests of the autotuning have their own caches.
CANDIDATES = "torch:auto onnxruntime:auto openvino:auto openvino:int8"
for network in NETWORKS:
    known = AutotuneResult("onnxruntime", "fp32", "opens soonest")
    autotune_cache.store(network, "cpu", CANDIDATES, result=known)


# The files that take longest: they come first, so that none is left for the end alone.
LONGEST = (
    *("test_web.py", "test_engines.py", "test_cli.py", "test_main.py", "test_track_plan.py"),
    *("test_docs.py", "test_train.py", "test_optimize.py", "test_openvino.py", "test_wheel.py"),
    *("test_learn.py", "test_torch_gpu.py", "test_styles.py", "test_video_writer.py"),
    *("test_architecture.py", "test_harbor.py", "test_convert.py", "test_standard_streams.py"),
    *("test_bench.py", "test_remux.py", "test_evaluate_keyframes.py"),
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The longest files first, for which pyproject.toml has `--no-loadscope-reorder`."""
    order = {name: place for place, name in enumerate(LONGEST)}
    items.sort(key=lambda item: order.get(item.path.name, len(order)))


def pytest_collection_finish() -> None:
    gc.enable()


@pytest.fixture(name="small_figures")
def _small_figures() -> Iterator[None]:
    with small_figures():
        yield


def pytest_xdist_auto_num_workers() -> int:
    """One process more than cores: tests of browsers, windows and streams mostly wait."""
    return cores() + 1


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skip a test marked `gpu` without a CUDA device; fail it where IMPASTO_REQUIRE_GPU is 1."""
    if item.get_closest_marker("gpu") is None:
        return
    from impasto.realtime.engines.cuda import cuda_devices

    if cuda_devices():  # asked first: importing PyTorch takes seconds
        import torch

        if torch.cuda.is_available():
            return
    if os.environ.get("IMPASTO_REQUIRE_GPU") == "1":
        pytest.fail("no CUDA device found, and IMPASTO_REQUIRE_GPU is 1", pytrace=False)
    pytest.skip("no CUDA device found")
