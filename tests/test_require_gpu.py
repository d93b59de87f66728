"""Tests marked `gpu` are skipped without a CUDA device, and fail where one is required."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest


@pytest.mark.parametrize(
    ("required", "outcome"), [("", "1 passed, 1 skipped"), ("1", "1 passed, 1 error")]
)
def test_without_a_cuda_device(required: str, outcome: str, tmp_path: Path) -> None:
    shutil.copy(Path(__file__).with_name("conftest.py"), tmp_path)
    (tmp_path / "pytest.ini").write_text("[pytest]\nmarkers = gpu: needs a CUDA device\n")
    (tmp_path / "test_it.py").write_text(
        "import pytest\n"
        "@pytest.mark.gpu\n"
        "@pytest.mark.skipif(True, reason='another reason')\n"
        "def test_on_a_gpu(): pass\n"
        "def test_anywhere(): pass\n"
    )
    environment = {**os.environ, "IMPASTO_REQUIRE_GPU": required, "CUDA_VISIBLE_DEVICES": "-1"}
    environment["PYTHONPATH"] = str(Path(__file__).parents[1])  # conftest.py imports from tests
    command = [sys.executable, "-m", "pytest", "-q", "-rs", "-p", "no:cacheprovider"]
    command += ["-p", "no:hypothesispytest"]  # takes longer to load than the rest
    ran = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert outcome in ran.stdout.splitlines()[-1], ran.stdout
    assert "no CUDA device found" in ran.stdout
