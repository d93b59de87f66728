"""The fastest engine is cached, for the machine and versions it was measured with."""

import pytest

from impasto.models import machine_cache
from impasto.realtime.engines import autotune_cache
from impasto.realtime.engines.autotune_cache import AutotuneResult, load, store

FOUND = AutotuneResult("onnxruntime", "fp32", "12 fps at 640x360; torch bf16 7")


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.setattr(machine_cache, "user_cache_path", lambda name: tmp_path / name)
    return tmp_path / "impasto"


def test_a_stored_result_is_loaded():
    assert load("fast", "cpu") is None
    store("fast", "cpu", result=FOUND)
    assert load("fast", "cpu") == FOUND
    assert load("fast", "cuda") is None


@pytest.mark.parametrize(
    ("module", "what"), [(machine_cache, "_processor"), (autotune_cache, "computing_threads")]
)
def test_another_machine_is_another_case(monkeypatch, module, what):
    store("fast", "cpu", result=FOUND)
    monkeypatch.setattr(module, what, lambda: "another")
    assert load("fast", "cpu") is None


def test_another_version_is_measured_again(monkeypatch):
    store("fast", "cpu", result=FOUND)
    monkeypatch.setattr(machine_cache, "version", lambda name: "99")
    assert load("fast", "cpu") is None


@pytest.mark.parametrize("content", ["", "{", "[]", "1", "{}", '{"engine": "torch"}'])
def test_what_cannot_be_read_is_nothing(folder, content):
    store("fast", "cpu", result=FOUND)
    (file,) = (folder / "speeds").iterdir()
    file.write_text(content)
    assert load("fast", "cpu") is None


def test_nowhere_to_write_is_no_error(tmp_path, monkeypatch):
    (tmp_path / "file").touch()
    monkeypatch.setattr(machine_cache, "user_cache_path", lambda name: tmp_path / "file" / name)
    store("fast", "cpu", result=FOUND)
    assert load("fast", "cpu") is None


def test_a_user_without_a_home_has_no_cache(monkeypatch):
    def no_home(name):
        raise RuntimeError("could not determine the home directory for '~/.cache'")

    monkeypatch.setattr(machine_cache, "user_cache_path", no_home)
    store("fast", "cpu", result=FOUND)
    assert load("fast", "cpu") is None


def test_nothing_half_written_is_left(folder):
    store("fast", "cpu", result=FOUND)
    store("fast", "cpu", result=FOUND)
    assert [path.suffix for path in (folder / "speeds").iterdir()] == [".json"]
