"""The documents: commands parse, cheap ones and all Python examples run, links lead somewhere."""

import ast
import importlib
import os
import re
import shlex
import subprocess
import sys
import tomllib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import typer
from PIL import Image

from impasto.realtime.cli.app import RENAMED_OPTIONS
from impasto.realtime.cli.main import app, main
from tests.media import make_clip

ROOT = Path(__file__).parents[1]
PAGES = sorted(
    [
        *ROOT.glob("*.md"),
        *(ROOT / "docs").rglob("*.md"),
        *(ROOT / ".github").rglob("*.md"),
        ROOT / "samples" / "README.md",
        ROOT / "export" / "web" / "README.md",
    ]
)
GROUP = typer.main.get_command(app)
COMMANDS = GROUP.commands  # type: ignore[attr-defined]
# Documented commands that take a second or so with small files: these are run.
CHEAP = (
    "impasto image holiday.jpg painted.png --style great_wave",
    "impasto video holiday.mp4 painted.mp4 --style great_wave",
    "impasto keyframes holiday.mp4 --dry-run --sheet keyframes.jpg",
    "impasto styles",
    "impasto styles --sheet styles.jpg --on holiday.jpg",
    "impasto live --list-cameras",
)


def blocks(page: Path, language: str = "") -> list[str]:
    """The fenced blocks of a page in a language; "" for those of commands."""
    fenced = re.findall(r"^ *```(\w*)\n(.*?)^ *```$", page.read_text(), re.M | re.S)
    return [body for named, body in fenced if named == language]


def shell_lines(page: Path) -> Iterator[list[str]]:
    """Every command in the fenced blocks of a page, split into words."""
    for block in blocks(page):
        for line in block.replace("\\\n", " ").splitlines():
            for part in re.split(r"&&|\|", line):
                yield shlex.split(part, comments=True)


def impasto_lines(page: Path) -> Iterator[list[str]]:
    """The arguments of every `impasto` in the fenced blocks of a page."""
    for words in shell_lines(page):
        if words and words[0] in ("impasto", ".venv/bin/impasto"):
            yield words[1:]


def inline_code(page: Path) -> list[str]:
    """What stands between single backticks on a page, outside of fenced blocks."""
    text = re.sub(r"^ *```.*?^ *```", "", page.read_text(), flags=re.M | re.S)
    return [" ".join(code.split()) for code in re.findall(r"(?<!`)`([^`]+)`(?!`)", text)]


def options_of(command: str) -> set[str]:
    """Every spelling of the options of a command."""
    parameters = COMMANDS[command].params
    return {"--help"} | {o for p in parameters for o in (*p.opts, *p.secondary_opts)}


def named(page: Path) -> str:
    """A page by its path in the repository."""
    return page.relative_to(ROOT).as_posix()


def cases(lines: Sequence[tuple[Path, list[str]]]) -> list[Any]:
    """Parameters of a test, each named by its page and its words."""
    return [pytest.param(words, id=f"{named(page)}: {' '.join(words)}") for page, words in lines]


def anchors(page: Path) -> set[str]:
    """The anchors that GitHub gives to the headings of a page."""
    text = re.sub(r"^ *```.*?^ *```", "", page.read_text(), flags=re.M | re.S)
    headings = re.findall(r"^#+ (.+)$", text, re.M)
    plain = (re.sub(r"[^\w\- ]", "", heading.lower()) for heading in headings)
    return {heading.replace(" ", "-") for heading in plain}


@pytest.mark.parametrize(
    "words", cases([(page, words) for page in PAGES for words in impasto_lines(page)])
)
def test_every_command_parses(words: list[str]) -> None:
    assert words[0] in COMMANDS
    with COMMANDS[words[0]].make_context(words[0], words[1:]):
        pass


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_options_in_the_text_exist(page: Path) -> None:
    renamed = {f"--{option}" for option in RENAMED_OPTIONS}
    known = renamed.union(*map(options_of, COMMANDS)) | {"--no-deps", "--device"}
    for code in inline_code(page):
        words = code.split()
        options = {re.split("[=|]", word)[0] for word in words if word.startswith("--")}
        if words[0] == "impasto" and len(words) > 1 and words[1] != "--help":
            assert words[1] in COMMANDS, code
            assert options <= options_of(words[1]), code
        elif words[0].startswith("--"):
            assert options <= known, code


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_files_and_modules_in_the_text_exist(page: Path) -> None:
    for code in inline_code(page):
        if re.fullmatch(r"(realtime|models|export|tests|docs|samples|\.ci)(/[\w.-]+)+/?", code):
            assert (ROOT / code).exists(), code
        if re.fullmatch(r"impasto(\.\w+)+", code):
            path = ROOT.joinpath(*code.split(".")[1:])
            in_parent = path.parent.with_suffix(".py")  # a class or function there
            assert (
                path.exists()
                or path.with_suffix(".py").exists()
                or (path.name in in_parent.read_text())
            ), code


@pytest.mark.parametrize(
    "words",
    cases(
        [
            (page, words)
            for page in PAGES
            for words in shell_lines(page)
            if "-m" in words and "impasto." in words[words.index("-m") + 1]
        ]
    ),
)
def test_every_module_that_is_run_has_these_options(
    words: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    at = words.index("-m") + 1
    given = words[at + 1 :]
    subcommand = [word for word in given[:1] if word.isalpha() and word.islower()]
    monkeypatch.setattr("sys.argv", [words[at], *subcommand, "--help"])
    with pytest.raises(SystemExit) as left:
        importlib.import_module(words[at]).main()
    assert left.value.code == 0
    shown = set(re.findall(r"--[\w-]+", capsys.readouterr().out))
    assert {word for word in given if word.startswith("--")} <= shown


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with small files under the names that the examples use, to work in."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "samples").mkdir()
    for name in ("holiday.mp4", "samples/harbor.mp4"):
        make_clip(tmp_path / name, frames=6)
    with Image.open(ROOT / "samples" / "harbor.jpg") as picture:
        small = picture.resize((96, 72))
        for name in ("holiday.jpg", "painting.jpg", "samples/harbor.jpg"):
            small.save(tmp_path / name)
    return tmp_path


@pytest.mark.parametrize("command", CHEAP)
def test_cheap_commands_run(command: str, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = shlex.split(command)[1:]
    assert any(words in impasto_lines(page) for page in PAGES), "no longer documented"
    assert main(words) == 0
    assert capsys.readouterr().err == ""
    for name in words:
        if name.startswith(("painted.", "keyframes.", "styles.")):
            assert (folder / name).stat().st_size > 0


@pytest.mark.parametrize(
    "code",
    [
        pytest.param(code, id=f"{named(page)}-{number}")
        for page in PAGES
        for number, code in enumerate(blocks(page, "python"))
        if "onnxruntime." not in code and named(page) != "README.md"  # run from the wheel
    ],
)
def test_python_examples_run(code: str, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    exec(compile(code, "example", "exec"), {"__name__": "__main__"})
    assert capsys.readouterr().err == ""


def test_the_example_with_onnxruntime_needs_nothing_of_impasto(folder: Path) -> None:
    from impasto.export import export_onnx

    (code,) = (c for c in blocks(ROOT / "docs" / "export.md", "python") if "onnxruntime." in c)
    imported = {
        (node.module if isinstance(node, ast.ImportFrom) else node.names[0].name).split(".")[0]
        for node in ast.walk(ast.parse(code))
        if isinstance(node, ast.Import | ast.ImportFrom)
    }
    assert imported == {"numpy", "onnxruntime", "PIL"}
    export_onnx("great_wave", folder / "great_wave.onnx", shapes=[(1, 24, 32)])
    exec(compile(code, "example", "exec"), {"__name__": "__main__"})
    photo = np.asarray(Image.open(folder / "samples" / "harbor.jpg").convert("RGB"))
    painted = np.asarray(Image.open(folder / "painted.png"))
    assert painted.shape == photo.shape
    assert np.abs(painted.astype(int) - photo).mean() > 5  # painted, not copied


def test_what_opencv_lacks_is_named_as_in_the_manual(folder: Path) -> None:
    """A server without a desktop often has no libGL, and then OpenCV does not load."""
    missing = "libGL.so.1: cannot open shared object file"
    (folder / "cv2.py").write_text(f"raise ImportError({missing!r})\n")
    ran = subprocess.run(
        [sys.executable, "-m", "impasto.realtime", "live", "--camera", "test", "--seconds", "1"],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": str(folder)},
    )
    assert ran.returncode == 1
    assert ran.stderr.startswith(f"impasto: {missing}") and "libgl1" in ran.stderr
    manual = (ROOT / "docs" / "troubleshooting.md").read_text()
    assert missing in manual and "apt-get install libgl1 libglib2.0-0" in manual


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_links_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)\s]+)\)", page.read_text()):
        if re.match(r"[a-z]+:", target) or target.startswith("../../actions/"):
            continue
        path, _, anchor = target.partition("#")
        file = (page.parent / path).resolve() if path else page
        assert file.exists(), target
        assert not anchor or anchor in anchors(file), target


def test_the_readme_is_short_and_sets_itself_up() -> None:
    text = (ROOT / "README.md").read_text()
    assert len(text.splitlines()) <= 160
    install = [line for line in text.splitlines() if line.startswith("python3 -m venv")]
    assert [line.split()[-1] for line in install] == ["great_wave", "pytest"]
    assert (ROOT / "samples" / "preview.webp").stat().st_size < 3_000_000


def test_the_readme_lists_every_command_and_extra() -> None:
    text = (ROOT / "README.md").read_text()
    assert re.findall(r"^\| `impasto (\w+)` \|", text, re.M) == list(COMMANDS)
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    listed = set(re.findall(r"^\| `([\w-]+)` \|", text, re.M))
    assert listed == set(extras["optional-dependencies"])


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_spelling_is_american(page: Path) -> None:
    text = re.sub(r"```.*?```|`[^`]*`|\"[^\"]*\"", "", page.read_text(), flags=re.S)
    british = (
        r"colour|grey|licence|behaviour|neighbour|centre|harbour|\w+(?:ilis|imis|andardis)(?:e|a)"
    )
    assert re.findall(british, text, re.I) == []
