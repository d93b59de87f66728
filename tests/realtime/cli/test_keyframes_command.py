"""`impasto keyframes` from end to end: what it lists, paints and writes, and what it refuses."""

import json
from pathlib import Path

import pytest

from impasto.realtime.files.images import read_image, write_image
from impasto.realtime.files.video_reader import VideoReader
from impasto.realtime.keyframes.folder import KeyframeFolder
from tests.media import make_clip
from tests.realtime.conftest import Impasto
from tests.realtime.keyframes.views import texture


@pytest.fixture
def painting(tmp_path: Path) -> Path:
    path = tmp_path / "painting.png"
    write_image(path, texture(64, 64, 8))
    return path


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    return make_clip(tmp_path / "in.mp4", frames=6, audio=["eng"])


ARGUMENTS = ("--steps", "2", "--fill", "content", "--every", "0.12s")


def test_dry_run_lists_the_keyframes(clip: Path, tmp_path: Path, impasto: Impasto) -> None:
    ran = impasto(
        "keyframes",
        clip,
        "--dry-run",
        "--every",
        "0.12s",
        "--json",
        "--sheet",
        tmp_path / "s.png",
    )
    rows = json.loads(ran.out)["keyframes"]
    assert ran.code == 0 and [row["number"] for row in rows] == [0, 3]
    assert read_image(tmp_path / "s.png").ndim == 3


def test_paints_and_propagates(
    clip: Path, painting: Path, tmp_path: Path, impasto: Impasto
) -> None:
    out = tmp_path / "out.mp4"
    arguments = (clip, painting, tmp_path / "keys", *ARGUMENTS, "--video", out)
    ran = impasto("keyframes", *arguments, "--json")
    assert ran.code == 0, ran.err
    figures = json.loads(ran.out)
    assert figures["frames_written"] == 6 and len(figures["painted"]) == 2
    with VideoReader(out) as film, VideoReader(clip) as original:
        assert [f.pts for f in film] == [f.pts for f in original]
    import av

    with av.open(str(out)) as container:
        assert len(container.streams.audio) == 1
    ran = impasto("keyframes", *arguments, "--resume")
    assert ran.code == 1 and "out.mp4 exists" in ran.error_line
    ran = impasto("keyframes", *arguments, "--resume", "--overwrite", "--json")
    assert ran.code == 0
    assert all(row["reused"] for row in json.loads(ran.out)["painted"])


def test_a_video_of_one_frame(painting: Path, tmp_path: Path, impasto: Impasto) -> None:
    one = make_clip(tmp_path / "one.mp4", frames=1)
    ran = impasto(
        *("keyframes", one, painting, tmp_path / "keys", *ARGUMENTS),
        *("--video", tmp_path / "out.mp4"),
    )
    assert ran.code == 0, ran.err
    with VideoReader(tmp_path / "out.mp4") as film:
        assert len(list(film)) == 1


def test_finetunes_a_style(
    clip: Path,
    painting: Path,
    tmp_path: Path,
    impasto: Impasto,
    library: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from dataclasses import replace

    from impasto.models.training.finetune import RECIPE, finetune

    changed = {"recipe": replace(RECIPE, steps=2, batch=1)}
    monkeypatch.setattr(finetune, "__kwdefaults__", finetune.__kwdefaults__ | changed)
    style = tmp_path / "mine.safetensors"
    ran = impasto(
        *("keyframes", clip, painting, tmp_path / "keys", *ARGUMENTS),
        *("--finetune", "--save-style", style, "--fill", "dawn", "--size", "64"),
    )
    assert ran.code == 0, ran.err
    write_image(tmp_path / "a.png", texture(64, 64))
    ran = impasto("image", tmp_path / "a.png", tmp_path / "b.png", "--style", style)
    assert ran.code == 0, ran.err


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    {
        "no painting": (["CLIP", "--every", "1"], 2, "PAINTING"),
        "two rules": (["CLIP", "PAINTING", "KEYS", "--intra", "--every", "1"], 2, "one of"),
        "every nothing": (["CLIP", "PAINTING", "KEYS", "--every", "0s"], 2, "above zero"),
        "at what": (["CLIP", "PAINTING", "KEYS", "--at", "noon"], 2, "mm:ss"),
        "at too late": (["CLIP", "PAINTING", "KEYS", "--at", "0:07"], 1, "no frame at 7 s"),
        "no film": (["NOTHING", "PAINTING", "KEYS"], 1, "nothing.mp4"),
        "no painting there": (["CLIP", "NOTHING", "KEYS"], 1, "nothing.mp4"),
        "no folder for it": (["CLIP", "PAINTING", "NOTHING/keys"], 1, "no folder"),
        "a file, not a folder": (["CLIP", "PAINTING", "PAINTING"], 1, "painting.png"),
        "sound only": (["SOUND", "PAINTING", "KEYS"], 1, "sound.mp4"),
        "too small": (["SMALL", "PAINTING", "KEYS"], 1, "too small"),
        "no style's name": (
            ["CLIP", "PAINTING", "KEYS", "--finetune", "--save-style", "a.pt"],
            1,
            ".safetensors",
        ),
        "not a video's name": (
            ["CLIP", "PAINTING", "KEYS", "--video", "x.png"],
            1,
            "the extension chooses the container",
        ),
        "onto what is read": (
            ["CLIP", "PAINTING", "KEYS", "--overwrite", "--video", "CLIP"],
            1,
            "is the source",
        ),
        "not a sheet's name": (
            ["CLIP", "--dry-run", "--sheet", "s.xyz"],
            1,
            "cannot write pictures",
        ),
        "no such style": (["CLIP", "PAINTING", "KEYS", "--fill", "nobody"], 1, "nobody"),
    }.values(),
)
def test_bad_input(
    arguments: list[str],
    code: int,
    says: str,
    clip: Path,
    painting: Path,
    tmp_path: Path,
    impasto: Impasto,
) -> None:
    from tests.media import make_audio_only

    names = {
        "CLIP": clip,
        "PAINTING": painting,
        "KEYS": tmp_path / "keys",
        "NOTHING": tmp_path / "nothing.mp4",
        "NOTHING/keys": tmp_path / "nothing" / "keys",
    }
    if "SOUND" in arguments:
        names["SOUND"] = make_audio_only(tmp_path / "sound.mp4")
    if "SMALL" in arguments:
        names["SMALL"] = make_clip(tmp_path / "small.mp4", size=(8, 64), frames=2)
    ran = impasto("keyframes", *(names.get(word, word) for word in arguments))
    assert ran.code == code and says in ran.error_line
    assert not list(tmp_path.rglob("keyframe_*"))  # refused before anything is painted


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="/dev/full is a Linux device")
def test_full_disk(clip: Path, painting: Path, tmp_path: Path, impasto: Impasto) -> None:
    (tmp_path / "keys").mkdir()
    (tmp_path / "keys" / "keyframe_000003.partial.png").symlink_to("/dev/full")
    ran = impasto("keyframes", clip, painting, tmp_path / "keys", *ARGUMENTS)
    assert ran.code == 1 and "No space left" in ran.error_line
    assert (tmp_path / "keys" / "keyframe_000000.png").exists()


def test_ctrl_c_keeps_the_painted_keyframes(
    clip: Path,
    painting: Path,
    tmp_path: Path,
    impasto: Impasto,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    save = KeyframeFolder.save

    def stop(self: KeyframeFolder, *given: object) -> None:
        save(self, *given)  # type: ignore[arg-type]
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(KeyframeFolder, "save", stop)
        arguments = (clip, painting, tmp_path / "keys", *ARGUMENTS)
        ran = impasto("keyframes", *arguments)
    assert ran.code == 130 and "--resume" in ran.error_line
    ran = impasto("keyframes", *arguments, "--resume", "--json")
    assert [row["reused"] for row in json.loads(ran.out)["painted"]] == [True, False]


def test_old_spellings_of_renamed_options(clip: Path, tmp_path: Path, impasto: Impasto) -> None:
    old = ("--retouch", "0", "--teach", "--alone", "--video", tmp_path / "out.mp4")
    assert impasto("keyframes", clip, "--dry-run", *old).code == 0
    help_text = impasto("keyframes", "--help").out
    assert "--refine" in help_text and "--retouch" not in help_text
