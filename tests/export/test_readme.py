"""The example in the README runs as it stands, and needs nothing of ours."""

import ast
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
from PIL import Image

from impasto.export import export_onnx

ROOT = Path(__file__).parents[2]


def test_the_example(tmp_path):
    text = (ROOT / "README.md").read_text()
    (code,) = (c for c in re.findall(r"```python\n(.*?)```", text, re.S) if "onnxruntime." in c)
    imported = {
        (node.module if isinstance(node, ast.ImportFrom) else node.names[0].name).split(".")[0]
        for node in ast.walk(ast.parse(code))
        if isinstance(node, ast.Import | ast.ImportFrom)
    }
    assert imported == {"numpy", "onnxruntime", "PIL"}
    export_onnx("great_wave", tmp_path / "great_wave.onnx", shapes=[(1, 24, 32)])
    (tmp_path / "samples").mkdir()
    shutil.copy(ROOT / "samples" / "harbor.jpg", tmp_path / "samples")
    subprocess.run(
        [sys.executable, "-I", "-W", "error", "-c", code],
        cwd=tmp_path,
        check=True,
        capture_output=True,
        timeout=120,
    )
    photo = np.asarray(Image.open(tmp_path / "samples" / "harbor.jpg").convert("RGB"))
    painted = np.asarray(Image.open(tmp_path / "painted.png"))
    assert painted.shape == photo.shape
    assert np.abs(painted.astype(int) - photo).mean() > 5  # painted, not copied
