"""Compiled graphs are kept: a start from them, from damaged ones, and without the folder."""

import locale
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from impasto.models.styles import load_weights
from impasto.realtime.engines import compile_cache

openvino = pytest.importorskip("openvino")
from impasto.realtime.engines.openvino_engine import OpenVinoEngine  # noqa: E402

PAINT = """
import sys
import numpy as np
from impasto.models.styles import load_weights
from impasto.realtime.engines.openvino_engine import OpenVinoEngine
engine = OpenVinoEngine(load_weights("great_wave", network="fast"), precision="fp32")
np.save(sys.argv[1], engine(np.arange(64 * 64 * 3).reshape(1, 64, 64, 3).astype(np.uint8)))
"""


def paint(tmp_path: Path) -> np.ndarray:
    """A picture painted in a new process, with `tmp_path` as the user's cache."""
    env = {**os.environ, "XDG_CACHE_HOME": str(tmp_path)}
    command = [sys.executable, "-c", PAINT, str(tmp_path / "picture.npy")]
    ran = subprocess.run(command, env=env, capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr
    return np.load(tmp_path / "picture.npy")


def graphs(tmp_path: Path) -> list[Path]:
    return [*(tmp_path / "impasto" / "openvino").glob("*.blob")]


def test_graphs_are_kept_and_damage_is_no_more_than_a_slower_start(tmp_path):
    first = paint(tmp_path)
    (graph,) = graphs(tmp_path)
    written = graph.stat().st_mtime_ns
    assert np.array_equal(paint(tmp_path), first)
    assert graph.stat().st_mtime_ns == written  # read, not written again
    graph.chmod(0o644)
    graph.write_bytes(graph.read_bytes()[:1000])
    assert np.array_equal(paint(tmp_path), first)
    assert len(graphs(tmp_path)) == 1


class CountingCore:
    """OpenVINO's, and how many compile at once."""

    def __init__(self, core: openvino.Core) -> None:
        self.core, self.now, self.most = core, 0, 0

    def compile_model(self, *arguments: object) -> openvino.CompiledModel:
        self.now += 1
        self.most = max(self.most, self.now)
        try:
            return self.core.compile_model(*arguments)
        finally:
            self.now -= 1


def test_a_graph_is_compiled_by_one_at_a_time(tmp_path, monkeypatch):
    """Two that write its file at once, or write and read it, end with a bus error."""
    monkeypatch.setattr(compile_cache, "folder", lambda: tmp_path)
    weights = load_weights("great_wave", network="fast")
    engines = [OpenVinoEngine(weights, precision="fp32") for _ in range(3)]
    core = CountingCore(engines[0]._core)
    frames = np.arange(64 * 64 * 3).reshape(1, 64, 64, 3).astype(np.uint8)
    with ThreadPoolExecutor(3) as threads:
        for engine in engines:
            engine._core = core
        first, *others = threads.map(lambda engine: engine(frames), engines)
    assert core.most == 1 and len([*tmp_path.glob("*.blob")]) == 1
    assert all(np.array_equal(first, other) for other in others)


def test_a_folder_that_cannot_be_made_is_no_more_than_a_slower_start(tmp_path):
    (tmp_path / "impasto").write_text("a file in its place")
    assert paint(tmp_path).std() > 0


def test_the_oldest_graphs_are_removed(tmp_path, monkeypatch):
    for name, time in (("old", 1), ("middle", 2), ("new", 3)):
        file = tmp_path / f"{name}.blob"
        file.write_bytes(bytes(10))
        os.utime(file, (time, time))
    monkeypatch.setattr(compile_cache, "_MAX_BYTES", 20)
    compile_cache._remove_oldest(tmp_path)
    assert {file.stem for file in tmp_path.iterdir()} == {"middle", "new"}


def test_two_threads_that_load_graphs_leave_the_locale_as_it_was():
    before = locale.setlocale(locale.LC_ALL)
    first, second = compile_cache.same_locale(), compile_cache.same_locale()
    first.__enter__()
    locale.setlocale(locale.LC_ALL, "C")  # as OpenVINO does, which restores what it has found
    second.__enter__()
    found = locale.setlocale(locale.LC_ALL)
    locale.setlocale(locale.LC_ALL, before)
    first.__exit__(None, None, None)
    locale.setlocale(locale.LC_ALL, found)
    second.__exit__(None, None, None)
    assert locale.setlocale(locale.LC_ALL) == before
