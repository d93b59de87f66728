"""Set-up for every test: import order, a cache folder for the run, and tests that need a GPU."""

import os
from tempfile import mkdtemp

import cv2  # noqa: F401  # before PyAV, or else its windows hang: see impasto.realtime.live.window
import pytest

from impasto.models.architectures import ARCHITECTURES
from impasto.realtime.cpu import cores
from impasto.realtime.engines import autotune_cache
from impasto.realtime.engines.autotune_cache import AutotuneResult

if "PYTEST_XDIST_WORKER" in os.environ:  # other workers have the other cores
    os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ["XDG_CACHE_HOME"] = mkdtemp(prefix="impasto-tests-")
# On a CPU "auto" is the engine that opens soonest; tests of the autotuning have their own caches.
for network in (*ARCHITECTURES, "TransformNet", "ClassicNet"):
    known = AutotuneResult("onnxruntime", "opens soonest")
    autotune_cache.store(network, "cpu", "auto", result=known)


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
