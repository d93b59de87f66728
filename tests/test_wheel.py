"""The wheel: its files, and that it works beside a user's own folders of the same names."""

import re
import shutil
import subprocess
import sys
import sysconfig
import tomllib
import venv
import zipfile
from pathlib import Path

import pytest

from tests.media import make_clip

ROOT = Path(__file__).parents[1]
PACKAGES = ("models", "export", "realtime")
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel of these sources, built from a copy, so that no stale build folder gets in."""
    source = tmp_path_factory.mktemp("source")
    for package in (*PACKAGES, "samples"):
        ignored = shutil.ignore_patterns("__pycache__", "node_modules")
        shutil.copytree(ROOT / package, source / package, ignore=ignored)
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)
    out = tmp_path_factory.mktemp("wheel")
    _run(
        [sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "--no-build-isolation"]
        + [".", "-w", str(out)],
        source,
    )
    (wheel,) = out.glob("impasto-*.whl")
    return wheel


@pytest.fixture(scope="module")
def python(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The Python of a new environment with the wheel in it, and the dependencies of this one."""
    folder = tmp_path_factory.mktemp("environment")
    venv.create(folder, symlinks=True)
    scripts = folder / ("Scripts" if sys.platform == "win32" else "bin")
    python = scripts / Path(sys.executable).name
    _run(
        [sys.executable, "-m", "pip", "--python", str(python), "install", "-q", "--no-deps"]
        + [str(wheel)],
        folder,
    )
    (packages,) = folder.rglob("site-packages")
    # A line of a .pth file adds a folder, and not what the .pth files in that folder would add.
    dependencies = {sysconfig.get_path("purelib"), sysconfig.get_path("platlib")}
    (packages / "dependencies.pth").write_text("\n".join(sorted(dependencies)) + "\n")
    return python


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A user's own folder, with packages of the same names as those in the repository."""
    for package in PACKAGES:
        (tmp_path / package).mkdir()
        (tmp_path / package / "__init__.py").write_text("raise RuntimeError('not Impasto')\n")
    (tmp_path / "samples").mkdir()
    make_clip(tmp_path / "samples" / "harbor.mp4", frames=6)
    return tmp_path


def _run(command: list[str], folder: Path) -> str:
    ran = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=300)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    return ran.stdout


def test_nothing_else_is_at_its_top_level(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        top = {name.split("/")[0] for name in archive.namelist()}
    assert top == {"impasto", f"impasto-{PROJECT['project']['version']}.dist-info"}


def test_every_module_and_every_file_it_needs_is_in_it(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
    for pattern in ("*.py", "py.typed", "*.safetensors", "*.onnx", "manifest.json"):
        for package in PACKAGES:
            for path in (ROOT / package).rglob(pattern):
                relative = path.relative_to(ROOT)
                if "web" not in relative.parts:  # the page, which is served from the repository
                    assert f"impasto/{relative.as_posix()}" in names
    for name in ("harbor.jpg", "harbor.mp4"):  # `realtime.samples` refers to them
        assert f"impasto/samples/{name}" in names


def test_every_package_is_listed() -> None:
    folders = {
        path.parent.relative_to(ROOT)
        for package in PACKAGES
        for path in (ROOT / package).rglob("__init__.py")
    }
    listed = PROJECT["tool"]["setuptools"]["packages"]
    expected = ["impasto." + ".".join(folder.parts) for folder in folders]
    assert sorted(listed) == sorted([*expected, "impasto.samples"])


@pytest.mark.parametrize("name", ["impasto.realtime", "impasto"])
def test_the_command_runs_as_a_module_and_by_its_name(
    name: str, python: Path, folder: Path
) -> None:
    as_module = [str(python), "-m", name]
    command = as_module if "." in name else [str(python.with_name(name))]
    assert _run([*command, "--version"], folder) == f"impasto {PROJECT['project']['version']}\n"


def test_the_example_in_the_readme_runs(python: Path, folder: Path) -> None:
    (code,) = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(), re.S)
    (folder / "example.py").write_text(code)
    _run([str(python), "-W", "error", "example.py"], folder)
    assert (folder / "painted.mp4").stat().st_size > 0
