"""docs/method.md: every command in its tables runs, on pictures of 64 px."""

import math
import re
import shlex
from pathlib import Path

import pytest

from impasto.models.networks import new_network
from impasto.models.training.results import save_network
from impasto.realtime.cli import progress_lines
from impasto.realtime.cli.main import main
from impasto.realtime.files.images import write_image
from tests.media import make_clip
from tests.pictures import make_pictures

PAGE = Path(__file__).parents[1] / "docs" / "method.md"
COMMANDS = re.findall(r"`(impasto [^`]+)`", PAGE.read_text())
ROWS = re.findall(r"^\|.*`impasto .*$", PAGE.read_text(), re.M)
# Added to the commands, so that each takes a second; the last of an option counts.
SMALL = {
    "paint": ["--size", "64", "--steps", "1"],
    "eval": ["--side", "64", "--frames", "3", "--engine", "torch"],
    "learn": ["--size", "64", "--steps", "2", "--batch", "1", "--loss-network", "compact"],
}


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with small files under the names that the page uses, to work in."""
    monkeypatch.chdir(tmp_path)
    for seed, name in enumerate(("holiday.jpg", "painting.jpg")):
        write_image(tmp_path / name, make_pictures(1, 64, 80, seed=seed)[0])
    for start, name in enumerate(("photos", "paintings")):
        (tmp_path / name).mkdir()
        for seed in (1, 2):
            picture = make_pictures(1, 64, 80, seed=2 * start + seed)[0]
            write_image(tmp_path / name / f"{seed}.jpg", picture)
    return tmp_path


@pytest.mark.usefixtures("small_figures")
@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_of_the_tables_runs(
    command: str,
    folder: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(progress_lines, "FIRST_SECONDS", math.inf)  # on a busy machine
    words = shlex.split(command)[1:]
    if words[0] == "learn":  # on eight pictures or more
        for seed, picture in enumerate(make_pictures(8, 64, 80)):
            write_image(folder / "photos" / f"more{seed}.png", picture)
    elif words[0] == "eval":
        monkeypatch.setattr("impasto.realtime.measure.against_gatys.EVALUATED_SIDE", 64)
        monkeypatch.setattr("impasto.realtime.measure.originals.PICTURE_SIDE", 64)
        make_clip(folder / "holiday.mp4", frames=3, size=(64, 96))
        words += ["--gatys", "2"] if "--gatys" in words else []
    elif "mine.safetensors" in words:
        save_network(new_network("classic"), folder / "mine.safetensors")
    assert main([*words, *SMALL.get(words[0], [])]) == 0
    lines = capsys.readouterr().err.splitlines()
    assert not [line for line in lines if not line.startswith("Downloading")]


def test_every_row_has_a_small_picture_or_says_why_not() -> None:
    shown = {picture for row in ROWS for picture in re.findall(r"\(method/(\w+\.webp)\)", row)}
    files = list((PAGE.parent / "method").iterdir())
    assert shown == {file.name for file in files}
    assert all(file.stat().st_size < 100_000 for file in files)
    assert all("method/" in row or "| none: " in row for row in ROWS)
