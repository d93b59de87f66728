"""bfloat16 is taken where it is the faster one, and only there; what was measured is remembered."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from impasto.models import machine_cache, precision
from impasto.models.gatys.optimize import Settings, open_network
from impasto.models.loss_network import load_loss_network
from impasto.models.precision import computes_bfloat16, dtype_of


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A cache of its own, and nothing known yet."""
    monkeypatch.setattr(machine_cache, "user_cache_path", lambda name: tmp_path / name)
    computes_bfloat16.cache_clear()
    yield tmp_path / "impasto"
    computes_bfloat16.cache_clear()


@pytest.fixture
def timed(monkeypatch: pytest.MonkeyPatch) -> dict[torch.dtype, float]:
    """The seconds that a pass takes by type, which a test may change."""
    seconds = {torch.float32: 2e-3, torch.bfloat16: 1e-3}
    monkeypatch.setattr(precision, "_seconds", lambda dtype, device: seconds[dtype])
    return seconds


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [(1e-3, torch.bfloat16), (2e-3, torch.float32), (40e-3, torch.float32)],
)
def test_the_faster_one_is_taken(
    seconds: float, expected: torch.dtype, timed: dict[torch.dtype, float]
) -> None:
    timed[torch.bfloat16] = seconds
    assert dtype_of("auto", "cpu") is expected
    assert dtype_of("fp32", "cpu") is torch.float32
    assert dtype_of("bf16", "cpu") is torch.bfloat16
    assert load_loss_network("compact").convs["relu1_1"].weight.dtype is expected
    fp32 = open_network(Settings(precision="fp32"), "cpu")
    assert fp32.convs["relu1_1"].weight.dtype is torch.float32


def test_a_machine_is_timed_once(timed: dict[torch.dtype, float], folder: Path) -> None:
    assert computes_bfloat16("cpu")
    timed[torch.bfloat16] = 1.0
    computes_bfloat16.cache_clear()  # as in another process
    assert computes_bfloat16("cpu")
    (stored,) = (folder / "speeds").iterdir()
    stored.unlink()
    computes_bfloat16.cache_clear()
    assert not computes_bfloat16("cpu")


def test_nowhere_to_remember_it_is_no_error(
    timed: dict[torch.dtype, float], folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder.parent.mkdir(exist_ok=True)
    (folder.parent / "file").touch()
    monkeypatch.setattr(
        machine_cache, "user_cache_path", lambda name: folder.parent / "file" / name
    )
    assert computes_bfloat16("cpu")


def test_a_pass_takes_some_time() -> None:
    with torch.no_grad():
        assert 0 < precision._seconds(torch.float32, "cpu") < 10
