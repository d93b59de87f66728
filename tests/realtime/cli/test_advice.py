"""What a command refuses at once, and what it says to do instead."""

import subprocess
import sys
from pathlib import Path

import pytest

from impasto.realtime.files.images import read_image, write_image
from tests.media import frame_count
from tests.pictures import make_pictures
from tests.realtime.conftest import Impasto

ROOT = Path(__file__).parents[3]


@pytest.fixture
def picture(tmp_path: Path) -> Path:
    """A picture in a folder of its own."""
    path = tmp_path / "photos" / "photo.png"
    path.parent.mkdir()
    write_image(path, make_pictures(1, 48, 64)[0])
    return path


# The command with its files, its exit code, and what the error line has.
REFUSED = {
    "a style that is no file": ("video CLIP out.mp4 --style wave.jpg", 1, "cannot read wave.jpg"),
    "and in a blend": ("video CLIP out.mp4 --style dawn:0.5+a.jpg:0.5", 1, "cannot read a.jpg"),
    "and of an export": ("export wave.jpg out.onnx", 1, "cannot read wave.jpg"),
    "a style of text": ("image PHOTO out.png --style README", 1, "README: it is not an image"),
    "a folder of paintings": ("video CLIP out.mp4 --style FOLDER", 1, "impasto live steps"),
    "a picture as a video": ("video PHOTO out.png", 1, "is a picture: use impasto image"),
    "pictures as videos": ("video FOLDER painted", 1, "--as-video for a film of them"),
    "a video into a picture": ("video CLIP out.png", 1, "such as out-%05d.png"),
    "a video as a picture": ("image CLIP out.mp4", 1, "is a video: use impasto video"),
    "a picture into a video": ("image PHOTO out.mp4", 1, "such as out.png"),
    "a picture's keyframes": ("keyframes PHOTO PHOTO keys", 1, "use impasto paint"),
    "an export that is no ONNX": ("export dawn out.txt", 1, "out.txt must end in .onnx"),
    "a style to learn": ("learn dawn out.safetensors", 2, "by --style dawn"),
    "a style to paint": ("paint PHOTO dawn out.png", 2, "dawn is a style, and a picture"),
    "a style file to paint": ("paint PHOTO mine.safetensors out.png", 2, "is a style"),
    "a video to paint like": ("paint PHOTO CLIP out.png", 1, "save a frame of it"),
    "a video to learn": ("learn CLIP out.safetensors", 1, "is a video, and a picture"),
    "an export as a style": ("video CLIP out.mp4 --style out.onnx", 1, "is an exported network"),
    "a style for keyframes": ("keyframes CLIP dusk keys", 2, "dusk is a style"),
    "no picture to paint": ("paint none.png PHOTO out.png", 1, "none.png does not exist"),
    "text to paint": ("paint README PHOTO out.png", 1, "README"),
    "no painting": ("paint PHOTO none.png out.png", 1, "none.png does not exist"),
    "a folder to paint": ("paint FOLDER PHOTO out.png", 1, "is a folder: name a picture in it"),
    "a painted text": ("paint PHOTO PHOTO out.txt", 1, "cannot write pictures as '.txt'"),
    "curves in a text": ("paint PHOTO PHOTO out.png --curves c.txt", 1, "pictures as '.txt'"),
    "curves in the picture": ("paint PHOTO PHOTO out.png --curves out.png", 1, "another file"),
    "a film in a text": ("paint PHOTO PHOTO out.png --film f.txt", 1, "'.txt' is not supported"),
    "no such loss network": (
        "paint PHOTO PHOTO out.png --loss-network none.pth",
        2,
        "there is no file none.pth",
    ),
    "a folder to learn": ("learn FOLDER out.safetensors", 1, "is a folder"),
    "no photos": ("learn PHOTO out.safetensors --photos none", 1, "none does not exist"),
    "a style in pickle": ("learn PHOTO out.pth", 1, "out.pth must end in .safetensors"),
}


@pytest.mark.parametrize("command, code, words", REFUSED.values(), ids=REFUSED)
def test_refused(
    command: str,
    code: int,
    words: str,
    clip: Path,
    picture: Path,
    library: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    impasto: Impasto,
) -> None:
    monkeypatch.chdir(tmp_path)
    text = tmp_path / "README"
    text.write_text("no picture")
    files = {"PHOTO": picture, "FOLDER": picture.parent, "CLIP": clip, "README": text}
    before = sorted(tmp_path.rglob("*"))
    ran = impasto(*(files.get(word, word) for word in command.split()))
    assert ran.code == code and words in ran.error_line and ran.out in ("", FIRST)
    assert sorted(tmp_path.rglob("*")) == before


FIRST = "style: dawn, as no --style is given; others: dusk\n"


def test_the_first_style_is_taken_where_none_is_given(
    clip: Path, picture: Path, library: Path, tmp_path: Path, impasto: Impasto
) -> None:
    painted = [tmp_path / name for name in ("first.png", "dawn.png")]
    ran = impasto("image", picture, painted[0])
    assert ran.code == 0 and ran.out.startswith(FIRST)
    assert impasto("image", picture, painted[1], "--style", "dawn").code == 0
    assert (read_image(painted[0]) == read_image(painted[1])).all()
    assert impasto("video", clip, tmp_path / "o.mp4", "--end", "0.1").out.startswith(FIRST)


def test_a_film_of_one_picture_has_a_note(
    picture: Path, library: Path, tmp_path: Path, impasto: Impasto
) -> None:
    ran = impasto("video", picture, tmp_path / "out.mp4", "--style", "dawn")
    assert ran.code == 0 and frame_count(tmp_path / "out.mp4") == 1
    assert "out.mp4: a film of one picture; impasto image stylizes pictures" in ran.out


def test_files_are_checked_before_pytorch_is_loaded(picture: Path, tmp_path: Path) -> None:
    commands = [
        ["paint", str(picture), "none.png", "out.png"],
        ["paint", str(picture), str(picture), "out.txt"],
        ["learn", "none.png", "out.safetensors"],
        ["learn", str(picture), str(picture)],
    ]
    code = (
        "import sys; from impasto.realtime.cli.main import main; "
        f"print([main(command) for command in {commands}], 'torch' in sys.modules)"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT)
    assert ran.stdout == "[1, 1, 1, 1] False\n" and len(ran.stderr.splitlines()) == 4
