"""Imports point one way, importing is cheap, and nothing is ever unpickled."""

import ast
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PACKAGES = ("models", "export", "realtime")
FILES = [path for package in PACKAGES for path in sorted((ROOT / package).rglob("*.py"))]
MAY_IMPORT = {
    "models": {"models"},
    "export": {"export", "models"},
    "realtime": {"realtime", "export", "models"},
}
# Within realtime: what each of the inner modules may import of it. The rest stands above them.
INNER = {
    "frame": set(),
    "threads": {"pipeline"},
    "atomic": {"target_lock"},
    "target_lock": set(),
    "meter": set(),
    "cpu": set(),
    "temporal/raft": set(),
    "temporal/modes": set(),
    "temporal/flow": set(),
    "temporal/hold": set(),
    "temporal/blend": {"temporal.detail", "temporal.flow"},
    "temporal/detail": {"temporal.flow"},
    "pixels": {"frame"},
    "tone_mapping": {"frame", "pixels"},
    "pipeline": {"frame"},
    "stroke": {"frame", "pipeline", "pixels"},
    "cli/arguments": set(),
    "cli/inputs": {"files.dvd"},
    "cli/jobs": {"cli.inputs", "files.dvd"},
    "files/dvd": set(),
    "cli/progress_lines": set(),
    "cli/terminal": {"cli.progress_lines", "progress"},
    "live/rate_control": set(),
    "live/controls": {"temporal.modes"},
    "live/overlay": {"live.controls", "temporal.modes"},
    "keyframes/tracking": {"temporal.flow"},
    "keyframes/color_transfer": set(),
    "keyframes/selection": {
        "files.containers",
        "frame",
        "keyframes.tracking",
        "temporal.cuts",
        "temporal.flow",
    },
    "progress": set(),
    "keyframes/propagate": {
        "frame",
        "keyframes.color_transfer",
        "keyframes.tracking",
        "pipeline",
        "temporal.flow",
    },
}
# What the folders of realtime may import of each other; all may import the modules beside them.
FOLDERS = {
    "temporal": set(),
    "engines": set(),
    "files": set(),
    "live": {"engines", "files", "temporal"},
    "painting": {"engines", "files", "live"},
    "keyframes": {"engines", "files", "painting", "temporal"},
    "measure": {"engines", "files", "keyframes", "live", "painting", "temporal"},
}
HEAVY = ("torch", "torchvision", "cv2", "onnxruntime", "onnx", "av", "numpy", "scenedetect", "PIL")


@cache
def nodes(path: Path) -> tuple[ast.AST, ...]:
    """All nodes of the syntax tree of a file; its module is the first."""
    return tuple(ast.walk(ast.parse(path.read_text())))


def imported(path: Path) -> Iterator[str]:
    """The full names of the modules that a file imports, anywhere in it."""
    for node in nodes(path):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: imports are absolute"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def ours_in_realtime(path: Path) -> set[str]:
    """The modules of realtime that a file imports: `frame`, `files.codecs`, `live.loop`."""
    names = (name.split(".") for name in imported(path))
    return {
        ".".join(name[2:4] if (ROOT / "realtime" / name[2]).is_dir() else name[2:3])
        for name in names
        if name[:2] == ["impasto", "realtime"] and len(name) > 2
    }


@pytest.mark.parametrize("path", FILES, ids=lambda path: f"{path.parent.name}/{path.name}")
def test_imports_point_one_way(path: Path) -> None:
    package = path.relative_to(ROOT).parts[0]
    names = [name.split(".") for name in imported(path)]
    assert not {name[0] for name in names} & {*PACKAGES, "tests", "samples"}
    assert {name[1] for name in names if name[0] == "impasto"} <= MAY_IMPORT[package]


def runtime_nodes(tree: ast.AST) -> Iterator[ast.AST]:
    """All nodes of a syntax tree, except those under `if TYPE_CHECKING`."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            continue
        yield node
        yield from runtime_nodes(node)


def module_name(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(("impasto", *parts)).removesuffix(".__init__")


def test_no_import_cycles() -> None:
    """Imports inside functions count; a cycle is hidden there, not removed."""
    modules = {module_name(path): path for path in FILES}
    graph: dict[str, set[str]] = {}
    for module, path in modules.items():
        names = set()
        for node in runtime_nodes(nodes(path)[0]):
            if isinstance(node, ast.Import):
                names |= {alias.name for alias in node.names}
            elif isinstance(node, ast.ImportFrom):
                names |= {f"{node.module}.{alias.name}" for alias in node.names}
                names.add(str(node.module))
        graph[module] = names & modules.keys()
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        pytest.fail(f"import cycle: {' -> '.join(reversed(error.args[1]))}")


def test_no_two_classes_share_a_name() -> None:
    """Among the classes at module level, of all packages and of the scripts beside them."""
    assert {path.relative_to(ROOT).parts[0] for path in FILES} == set(PACKAGES)
    first: dict[str, str] = {}
    for path in [*FILES, *(ROOT / ".ci").glob("*.py"), *(ROOT / "samples").rglob("*.py")]:
        for node in ast.iter_child_nodes(nodes(path)[0]):
            if isinstance(node, ast.ClassDef):
                here = f"{path.relative_to(ROOT)}:{node.lineno}"
                other = first.setdefault(node.name, here)
                assert other == here, f"{node.name} is a class in {other} and in {here}"


def test_identifiers_avoid_ambiguous_and_british_words() -> None:
    """The glossary in CONTRIBUTING.md has a better word for each."""
    avoided = {"colour", "grey", "stylised", "neighbour", "centre"}
    avoided |= {"places", "moments", "carried", "renewed", "trunk", "joints", "companions"}
    for path in FILES:
        for node in nodes(path):
            for field in ("name", "id", "arg", "attr"):
                name = str(getattr(node, field, ""))
                assert not avoided & set(name.lower().split("_")), f"{path}: {name}"


@pytest.mark.parametrize("module", INNER)
def test_inner_modules_know_nothing_of_outer_ones(module: str) -> None:
    names = ours_in_realtime(ROOT / "realtime" / f"{module}.py")
    assert names <= INNER[module]


@pytest.mark.parametrize("folder", FOLDERS)
def test_folders_import_one_way(folder: str) -> None:
    for path in (ROOT / "realtime" / folder).glob("*.py"):
        used = {name.split(".")[0] for name in ours_in_realtime(path) if "." in name}
        assert used - {folder} <= FOLDERS[folder], path


@pytest.mark.parametrize("path", FILES, ids=lambda path: f"{path.parent.name}/{path.name}")
def test_nothing_is_unpickled(path: Path) -> None:
    loaders = {"pickle", "cPickle", "dill", "cloudpickle", "joblib", "shelve"}
    assert not {name.split(".")[0] for name in imported(path)} & loaders
    for node in nodes(path):
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "torch.load":
            options = {option.arg: ast.unparse(option.value) for option in node.keywords}
            assert options.get("weights_only") == "True", f"{path}:{node.lineno}"


@pytest.mark.parametrize(
    "module", ["impasto.models", "impasto.export", "impasto.realtime", "impasto.realtime.cli.main"]
)
def test_importing_loads_nothing_heavy(module: str) -> None:
    code = f"import sys, {module}; print(*sorted(set(sys.modules) & set({HEAVY})))"
    ran = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT
    )
    assert ran.stdout.split() == []


@pytest.mark.parametrize("arguments", [["--help"], ["--version"], ["video", "--help"]])
def test_help_loads_nothing_heavy(arguments: list[str]) -> None:
    code = (
        "import sys; from impasto.realtime.cli.main import main; main(sys.argv[1:]);"
        f"print('loaded:', *sorted(set(sys.modules) & set({HEAVY})))"
    )
    ran = subprocess.run(
        [sys.executable, "-c", code, *arguments],
        capture_output=True,
        text=True,
        check=True,
        cwd=ROOT,
    )
    assert ran.stdout.splitlines()[-1].strip() == "loaded:"


def test_only_the_command_prints() -> None:
    for path in (ROOT / "realtime").rglob("*.py"):
        if path.parent.name == "cli":
            continue
        for node in nodes(path):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
                assert node.func.id != "print", f"{path}:{node.lineno} prints"


@pytest.mark.parametrize(
    "module",
    [
        "impasto.export.parity",
        "impasto.realtime.engines.onnx_engine",
        "impasto.realtime.engines.openvino_engine",
    ],
)
def test_libraries_do_not_report_its_use(module: str, tmp_path: Path) -> None:
    """What they report with is an identity that they keep in the user's home."""
    if "openvino" in module:
        pytest.importorskip("openvino")
    here = {**os.environ, "HOME": str(tmp_path), "XDG_CACHE_HOME": str(tmp_path)}
    for name in ("CI", "ORT_DISABLE_TELEMETRY"):  # no reports in either case
        here.pop(name, None)
    code = f"import {module}, onnxruntime"
    subprocess.run([sys.executable, "-c", code], check=True, cwd=ROOT, env=here)
    assert list(tmp_path.iterdir()) == []


def test_the_tree_names_every_module() -> None:
    text = (ROOT / "docs" / "architecture.md").read_text()
    named: set[str] = set()
    folders: list[str] = []
    for indent, name in re.findall(r"^( *)([\w/]+/|\w+\.py)(?: |$)", text, re.M):
        folders = folders[: len(indent) // 2]
        if name.endswith("/"):
            folders.append(name)
        else:
            named.add("".join(folders) + name)
    modules = {path for path in FILES if not path.name.startswith("__")}
    assert named == {path.relative_to(ROOT).as_posix() for path in modules}


def test_side_data_is_read_by_one_module() -> None:
    """`frame.side_data` of PyAV ends the process for some files: see `files.side_data`."""
    for path in FILES:
        for node in nodes(path):
            if isinstance(node, ast.Attribute) and node.attr == "side_data":
                assert path.name == "side_data.py", f"{path}:{node.lineno} reads it"
