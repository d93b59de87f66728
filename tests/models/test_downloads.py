"""Downloaded weights are cached in the user's home, or not at all."""

import hashlib
import os
from pathlib import Path
from typing import Any

import pytest
import torch
from torchvision.models import Weights, WeightsEnum

from impasto.models.downloads import downloaded_weights
from impasto.models.errors import WeightsError


@pytest.fixture
def weights(tmp_path: Path) -> Any:
    """Weights to be downloaded, from a file."""
    path = tmp_path / "net.pth"
    torch.save({"a": torch.ones(2)}, path)
    digest = hashlib.sha256(path.read_bytes()).hexdigest()[:8]
    path = path.rename(tmp_path / f"net-{digest}.pth")

    class Local(WeightsEnum):
        V1 = Weights(url=path.as_uri(), transforms=None, meta={})

    return Local.V1


def test_they_are_cached_in_the_home(
    weights: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "cache"))
    for _ in range(2):
        assert downloaded_weights(weights, "it", instead="")["a"].tolist() == [1, 1]
        Path(weights.url.removeprefix("file://")).unlink(missing_ok=True)


def test_only_tensors_are_unpickled_and_standard_output_stays_clean(
    weights: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "cache"))
    downloaded_weights(weights, "it", instead="")
    output = capsys.readouterr()
    assert output.out == "" and "Downloading" in output.err
    (cached,) = (tmp_path / "cache").rglob("*.pth")
    torch.save({"a": tmp_path}, cached)  # a path is no tensor
    with pytest.raises(WeightsError, match="more than tensors; use another"):
        downloaded_weights(weights, "it", instead="use another")


def test_a_download_of_another_hash_is_refused(
    weights: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "cache"))
    torch.save({"a": torch.zeros(2)}, weights.url.removeprefix("file://"))
    with pytest.raises(WeightsError, match="invalid hash"):
        downloaded_weights(weights, "it", instead="")


def test_a_user_without_a_home_gets_them_and_keeps_nothing(
    weights: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("TORCH_HOME", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(os.path, "expanduser", lambda path: path)
    here = tmp_path / "here"
    here.mkdir()
    monkeypatch.chdir(here)
    assert downloaded_weights(weights, "it", instead="")["a"].tolist() == [1, 1]
    Path(weights.url.removeprefix("file://")).unlink()
    with pytest.raises(WeightsError, match="cannot download it from file:.*: .*; use another"):
        downloaded_weights(weights, "it", instead="use another")
    assert list(here.iterdir()) == []
