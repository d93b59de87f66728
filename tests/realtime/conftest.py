"""What tests of the whole command share: styles that need no training, and a way to run it."""

import hashlib
import json
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from impasto.models import styles
from impasto.realtime.cli.main import main
from tests.display import Display, virtual_display


@pytest.fixture
def no_thread_is_left() -> Iterator[None]:
    """Every thread that a test starts has ended when it ends."""
    before = set(threading.enumerate())
    yield
    assert set(threading.enumerate()) <= before


@dataclass(frozen=True)
class Ran:
    """What came of a command."""

    code: int
    out: str
    err: str

    @property
    def error_line(self) -> str:
        """Standard error, which must be one line and no traceback."""
        (line,) = self.err.splitlines()
        assert line.startswith("impasto: ") and "Traceback" not in line
        return line


Impasto = Callable[..., Ran]


@pytest.fixture
def impasto(capsys: pytest.CaptureFixture[str]) -> Impasto:
    """The command, run in this process."""

    def run(*arguments: object) -> Ran:
        capsys.readouterr()
        code = main([str(argument) for argument in arguments])
        return Ran(code, *capsys.readouterr())

    return run


@pytest.fixture(scope="session")
def untrained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of weights like the package's: two styles and an identity network, all untrained.

    Their pictures are noise; everything else works.
    """
    import torch
    from safetensors.torch import save_file

    from impasto.models.transform_net import TransformNet

    folder = tmp_path_factory.mktemp("weights")
    rows = {}
    for seed, name in enumerate(("trunk", "dawn", "dusk")):
        torch.manual_seed(seed)
        path = folder / f"{name}.safetensors"
        save_file(TransformNet("fast").state_dict(), path, metadata={"form": "fast"})
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        rows[name] = {"file": path.name, "sha256": digest}
    table = {
        name: {
            "painting": f"The {name}",
            "artist": "Nobody",
            "year": "1900",
            "licence": "public domain",
            "sentence": "Noise.",
            "weights": rows[name],
        }
        for name in ("dawn", "dusk")
    }
    manifest = {"credits": [], "trunks": {"fast": rows["trunk"]}, "styles": table}
    (folder / "manifest.json").write_text(json.dumps(manifest))
    return folder


@pytest.fixture
def style(untrained: Path) -> Path:
    """A style file."""
    return untrained / "dawn.safetensors"


@pytest.fixture(scope="session")
def style_files(untrained: Path) -> list[str]:
    """Two of them, as a user names them."""
    return [str(untrained / f"{name}.safetensors") for name in ("dawn", "dusk")]


@pytest.fixture
def library(untrained: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The untrained styles in place of those shipped: "dawn" and "dusk"."""
    monkeypatch.setattr(styles, "WEIGHTS", untrained)
    styles.manifest.cache_clear()
    yield untrained
    styles.manifest.cache_clear()


@pytest.fixture(scope="session")
def display(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Display]:
    """A display for windows; one for all tests, since Qt ends the process that loses its own."""
    with virtual_display(tmp_path_factory.mktemp("display")) as display:
        yield display
