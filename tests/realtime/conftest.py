"""What tests of the whole command share: styles that need no training, and a way to run it."""

import math
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from impasto.models import styles
from impasto.realtime.cli import progress_lines
from impasto.realtime.cli.main import main
from tests.display import Display, virtual_display


@pytest.fixture(scope="session", autouse=True)
def _compared_small() -> Iterator[None]:
    """int8 is compared with float on small pictures, which takes a tenth of the time."""
    from impasto.realtime.engines import fidelity

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(fidelity, "_SIZE", (48, 64))
        yield


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
def impasto(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Impasto:
    """The command, run in this process; it never takes so long that it reports its progress."""
    monkeypatch.setattr(progress_lines, "FIRST_SECONDS", math.inf)

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
    from tests.weights import make_library  # loads PyTorch

    folder = tmp_path_factory.mktemp("weights")
    return make_library(folder, {"dawn": ["fast"], "dusk": ["fast"]})


@pytest.fixture(scope="session")
def untrained_in_two_sizes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same with "dawn" and "dusk" as fine networks too, and "noon" as a fast one only."""
    from tests.weights import make_library

    both = ["fast", "fine"]
    styles = {"dawn": both, "dusk": both, "noon": ["fast"]}
    return make_library(tmp_path_factory.mktemp("sizes"), styles, both)


@pytest.fixture
def style(untrained: Path) -> Path:
    """A style file."""
    return untrained / "dawn.fast.safetensors"


@pytest.fixture(scope="session")
def style_files(untrained: Path) -> list[str]:
    """Two of them, as a user names them."""
    return [str(untrained / f"{name}.fast.safetensors") for name in ("dawn", "dusk")]


@pytest.fixture
def library(untrained: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The untrained styles in place of those shipped: "dawn" and "dusk"."""
    with _installed(untrained, monkeypatch):
        yield untrained


@pytest.fixture
def two_sizes(untrained_in_two_sizes: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Styles in place of those shipped: "dawn" and "dusk", fast and fine, and "noon", fast."""
    with _installed(untrained_in_two_sizes, monkeypatch):
        yield untrained_in_two_sizes


@contextmanager
def _installed(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(styles, "WEIGHTS", folder)
    styles.manifest.cache_clear()
    yield
    styles.manifest.cache_clear()


@pytest.fixture(scope="session")
def display(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Display]:
    """A display for windows; one for all tests, since Qt ends the process that loses its own."""
    with virtual_display(tmp_path_factory.mktemp("display")) as display:
        yield display
