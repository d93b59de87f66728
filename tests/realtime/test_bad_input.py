"""Bad input to the command line: one line on stderr, the exit code, and no file left behind."""

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import av
import numpy as np
import pytest

from impasto.models.errors import SourceError
from impasto.realtime.files.images import read_image, write_image
from tests.media import (
    corrupted_middle,
    make_audio_only,
    make_clip,
    numbered_picture,
    text_file,
    truncated,
    with_dimensions,
    without_moov,
)
from tests.realtime.conftest import Impasto


def empty(path: Path) -> Path:
    path.touch()
    return path


def folder_without_videos(path: Path) -> Path:
    path.mkdir()
    text_file(path / "notes.txt")
    return path


def raw_clip(path: Path, height: int, width: int) -> Path:
    """Raw video with a wrong frame size in its header, the only place that has it."""
    return with_dimensions(make_clip(path, codec="rawvideo"), height, width)


def noise(path: Path) -> Path:
    path.write_bytes(np.random.default_rng(0).bytes(20_000))
    return path


# name of the input, what makes it (None: nothing), a part of the message
BAD_VIDEOS: dict[str, tuple[str, Callable[[Path], object] | None, str]] = {
    "missing": ("in.mp4", None, "does not exist"),
    "pattern without a match": ("*.mov", None, "no file matches"),
    "folder without videos": ("clips", folder_without_videos, "no file in"),
    "empty": ("in.mp4", empty, "empty"),
    "text renamed": ("in.mp4", text_file, "not a media file"),
    "noise": ("in.mkv", noise, "cannot read"),
    "audio only": ("in.mp4", make_audio_only, "no video stream"),
    "without its index": ("in.mp4", lambda p: without_moov(make_clip(p)), "moov"),
    "no pixels": ("in.avi", lambda p: raw_clip(p, 0, 0), "in.avi"),
    "absurd size": ("in.avi", lambda p: raw_clip(p, 16_000, 16_000), "100 megapixels"),
    "nothing decodable": (
        "in.mp4",
        lambda p: corrupted_middle(make_clip(p), packets=slice(None)),
        "no frame of",
    ),
}
# options, exit code, a part of the message
BAD_OPTIONS: dict[str, tuple[list[str], int, str]] = {
    "unknown style": (["--style", "dwan"], 1, "no style 'dwan', did you mean dawn? Known: dawn, "),
    "unknown in a blend": (["--style", "dawn:0.5+night:0.5"], 1, "no style 'night'"),
    "share below zero": (["--style", "dawn:-1"], 1, "positive share"),
    "missing style file": (["--style", "gone.safetensors"], 1, "gone.safetensors"),
    "unknown codec": (["--codec", "h267"], 1, "choose from h264"),
    "codec of another container": (["--codec", "gif"], 1, ".mp4 does not support gif"),
    "unknown preset": (["--preset", "warp"], 1, "ultrafast"),
    "crf out of range": (["--crf", "99"], 1, "0 to 51"),
    "start after the end": (["--start", "5:00"], 1, "cannot start at 300 s"),
    "empty part": (["--end", "0"], 2, "--start must come before --end"),
    "unknown decoding device": (["--hwaccel", "steam"], 1, "steam"),
    "strength": (["--strength", "1.5"], 2, "--strength"),
    "strength not a number": (["--strength", "full"], 2, "--strength"),
    "size": (["--size", "720p"], 2, "1280x720"),
    "tiny size": (["--size", "4"], 2, "1280x720"),
    "size that becomes absurd": (["--size", "16384"], 1, "x16384; at most"),
    "negative rate": (["--fps", "-5"], 2, "30000/1001"),
    "rate over zero": (["--fps", "30/0"], 2, "30000/1001"),
    "time": (["--start", "soon"], 2, "mm:ss"),
    "start not before end": (["--start", "2", "--end", "0:02"], 2, "--start must come before"),
    "bitrate": (["--bitrate", "fast"], 2, "8M"),
    "bitrate and crf": (["--bitrate", "1M", "--crf", "20"], 2, "--crf or --bitrate"),
    "bit depth": (["--bit-depth", "9"], 2, "8 or 10"),
    "batch": (["--batch", "0"], 2, "--batch"),
    "device": (["--device", "tpu"], 2, "--device"),
    "unknown option": (["--stile", "x"], 2, "--stile"),
}


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    return make_clip(tmp_path / "in.mp4")


@pytest.fixture(params=["new", "existing"])
def target(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Path]:
    """The output path; afterwards it must not exist, or be as it was before."""
    folder = tmp_path / "out"
    folder.mkdir()
    path = folder / "out.mp4"
    if request.param == "existing":
        path.write_bytes(b"precious")
    yield path
    assert [p.name for p in folder.iterdir()] == (["out.mp4"] if path.exists() else [])
    if request.param == "existing":
        assert path.read_bytes() == b"precious"
    else:
        assert not path.exists()


@pytest.mark.parametrize("name, make, message", BAD_VIDEOS.values(), ids=BAD_VIDEOS)
def test_bad_video(
    name: str,
    make: Callable[[Path], object] | None,
    message: str,
    tmp_path: Path,
    target: Path,
    style: Path,
    impasto: Impasto,
) -> None:
    source = tmp_path / name
    if make is not None:
        make(source)
    if name in ("clips", "*.mov"):
        target = target.parent
    ran = impasto("video", source, target, "--style", style, "--overwrite")
    assert ran.code == 1 and ran.out == ""
    assert message in ran.error_line


@pytest.mark.parametrize("options, code, message", BAD_OPTIONS.values(), ids=BAD_OPTIONS)
def test_bad_option(
    options: list[str],
    code: int,
    message: str,
    clip: Path,
    target: Path,
    library: Path,
    impasto: Impasto,
) -> None:
    ran = impasto("video", clip, target, "--style", "dawn", "--overwrite", *options)
    assert ran.code == code and ran.out == ""
    assert message in ran.error_line


@pytest.mark.parametrize("arguments", [[], ["in.mp4"]])
def test_missing_arguments(arguments: list[str], impasto: Impasto) -> None:
    ran = impasto("video", *arguments)
    assert ran.code == 2
    assert "Missing" in ran.error_line and "impasto video --help" in ran.error_line


def test_unknown_command(impasto: Impasto) -> None:
    ran = impasto("vidio", "in.mp4", "out.mp4")
    assert ran.code == 2 and "vidio" in ran.error_line


class TestTarget:
    def test_existing_is_refused(self, clip: Path, style: Path, impasto: Impasto) -> None:
        out = text_file(clip.with_name("out.mp4"))
        before = out.read_bytes()
        ran = impasto("video", clip, out, "--style", style)
        assert ran.code == 1 and "exists" in ran.error_line
        assert out.read_bytes() == before

    @pytest.mark.parametrize("name", ["out.xyz", "out"])
    def test_extension(
        self, name: str, clip: Path, style: Path, tmp_path: Path, impasto: Impasto
    ) -> None:
        ran = impasto("video", clip, tmp_path / name, "--style", style)
        assert ran.code == 1 and ".mkv" in ran.error_line
        assert list(tmp_path.iterdir()) == [clip]

    def test_missing_folder(
        self, clip: Path, style: Path, tmp_path: Path, impasto: Impasto
    ) -> None:
        ran = impasto("video", clip, tmp_path / "gone" / "out.mp4", "--style", style)
        assert ran.code == 1 and "gone" in ran.error_line
        assert list(tmp_path.iterdir()) == [clip]

    def test_read_only_folder(
        self, clip: Path, style: Path, tmp_path: Path, impasto: Impasto
    ) -> None:
        folder = tmp_path / "locked"
        folder.mkdir(mode=0o555)
        if os.access(folder, os.W_OK):  # root may write everywhere except to the kernel's folders
            folder = Path("/sys/kernel")
            if not folder.is_dir():
                pytest.skip("root may write to every folder here")
        ran = impasto("video", clip, folder / "out.mp4", "--style", style)
        assert ran.code == 1 and f"cannot write to {folder}" in ran.error_line
        assert not (folder / "out.mp4").exists()

    def test_a_name_too_long_to_be_written(
        self, clip: Path, style: Path, tmp_path: Path, impasto: Impasto
    ) -> None:
        """A name may have 255 bytes, and the partial file's name is longer."""
        long = tmp_path / "clips" / f"{250 * 'x'}.mp4"
        long.parent.mkdir()
        shutil.copy(clip, long)
        for source in (tmp_path / f"{300 * 'x'}.mp4", long):
            ran = impasto("video", source, long.with_name(f"{250 * 'y'}.mp4"), "--style", style)
            assert ran.code == 1 and ran.error_line.endswith(".mp4: File name too long")
        shutil.copy(clip, long.with_name("z.mp4"))
        ran = impasto("video", long.parent, tmp_path / "out", "--style", style)
        assert ran.code == 1 and "too long" in ran.err and "1 of 2" in ran.err
        assert [path.name for path in (tmp_path / "out").iterdir()] == ["z.mp4"]

    def test_a_broken_link_counts_as_existing(
        self, clip: Path, style: Path, impasto: Impasto
    ) -> None:
        link = clip.with_name("link.mp4")
        link.symlink_to("nothing.mp4")
        ran = impasto("video", clip, link, "--style", style)
        assert ran.code == 1 and "exists" in ran.error_line
        assert link.is_symlink() and not list(clip.parent.glob("*.partial.*"))

    def test_the_source_itself(self, clip: Path, style: Path, impasto: Impasto) -> None:
        before = clip.read_bytes()
        ran = impasto("video", clip, clip, "--style", style, "--overwrite")
        assert ran.code == 1 and "choose another name" in ran.error_line
        assert clip.read_bytes() == before

    def test_several_into_a_file(
        self, clip: Path, style: Path, tmp_path: Path, impasto: Impasto
    ) -> None:
        ran = impasto("video", tmp_path / "*.mp4", tmp_path / "out.mp4", "--style", style)
        assert ran.code == 1 and "name a folder" in ran.error_line
        assert list(tmp_path.iterdir()) == [clip]

    @pytest.mark.skipif(not Path("/dev/full").exists(), reason="/dev/full is a Linux device")
    def test_full_disk(self, style: Path, tmp_path: Path, impasto: Impasto) -> None:
        clip = make_clip(tmp_path / "in.mp4")
        # The partial file is a link to the device that is always full.
        (tmp_path / "out.partial.mp4").symlink_to("/dev/full")
        ran = impasto("video", clip, tmp_path / "out.mp4", "--style", style)
        assert ran.code == 1 and "the disk is full" in ran.error_line
        assert list(tmp_path.iterdir()) == [clip]


class TestStyleFile:
    @pytest.mark.parametrize("kind", ["text", "empty", "truncated", "truncated head", "foreign"])
    def test_damaged(
        self, kind: str, clip: Path, target: Path, style: Path, tmp_path: Path, impasto: Impasto
    ) -> None:
        path = tmp_path / "bad.safetensors"
        path.write_bytes(style.read_bytes())
        if kind == "text":
            text_file(path)
        elif kind == "foreign":
            from safetensors.numpy import save_file

            save_file({"weight": np.zeros(3, np.float32)}, path)
        else:
            length = {"empty": 0, "truncated": path.stat().st_size - 1, "truncated head": 100}
            os.truncate(path, length[kind])
        ran = impasto("video", clip, target, "--style", path, "--overwrite")
        assert ran.code == 1 and "bad.safetensors" in ran.error_line

    def test_of_a_blend(
        self, clip: Path, target: Path, style: Path, tmp_path: Path, impasto: Impasto
    ) -> None:
        bad = text_file(tmp_path / "bad.safetensors")
        ran = impasto("video", clip, target, "--style", f"{style}+{bad}", "--overwrite")
        assert ran.code == 1 and "bad.safetensors" in ran.error_line


def test_cuda_without_a_gpu(
    clip: Path, target: Path, style: Path, tmp_path: Path, impasto: Impasto
) -> None:
    import torch

    if torch.cuda.is_available():
        pytest.skip("this machine has a GPU")
    painting = tmp_path / "painting.png"
    write_image(painting, np.full((32, 32, 3), 128, np.uint8))
    for command in (
        ("video", clip, target, "--style", style, "--overwrite"),
        ("paint", painting, painting, tmp_path / "painted.png"),
        ("keyframes", clip, painting, tmp_path / "keyframes"),
        ("bench", "--quick"),
    ):
        ran = impasto(*command, "--device", "cuda")
        assert ran.code == 2 and "no CUDA device" in ran.error_line


class TestDamage:
    """What can be decoded is converted, and the number of missing frames is reported."""

    @pytest.mark.parametrize(
        "damage",
        [
            lambda path: truncated(make_clip(path, frames=40, faststart=True)),
            lambda path: corrupted_middle(make_clip(path, frames=40), packets=slice(8, 11)),
        ],
        ids=["truncated", "corrupt packets"],
    )
    def test_the_rest_is_converted(
        self, damage: Callable[[Path], Path], style: Path, tmp_path: Path, impasto: Impasto
    ) -> None:
        clip, out = damage(tmp_path / "in.mp4"), tmp_path / "out.mp4"
        ran = impasto("video", clip, out, "--style", style)
        with av.open(str(out)) as container:
            kept = sum(1 for _ in container.decode(video=0))
        assert 0 < kept < 40
        assert ran.code == 1 and f"{40 - kept} frames could not be decoded" in ran.error_line

    def test_one_of_several(self, style: Path, tmp_path: Path, impasto: Impasto) -> None:
        clips, out = tmp_path / "clips", tmp_path / "out"
        clips.mkdir()
        make_clip(clips / "a.mp4")
        text_file(clips / "b.mp4")
        make_clip(clips / "c.avi")
        ran = impasto("video", clips, out, "--style", style)
        assert ran.code == 1
        assert sorted(p.name for p in out.iterdir()) == ["a.mp4", "c.avi"]
        broken, summary = ran.err.splitlines()
        assert "b.mp4" in broken and "2 of 3" in summary


class TestImages:
    @pytest.mark.parametrize("make", [None, empty, text_file, noise, lambda p: p.mkdir()])
    def test_unreadable(
        self,
        make: Callable[[Path], object] | None,
        style: Path,
        tmp_path: Path,
        impasto: Impasto,
    ) -> None:
        source, out = tmp_path / "in.png", tmp_path / "out.png"
        if make is not None:
            make(source)
        with pytest.raises(SourceError):
            read_image(source)
        ran = impasto("image", source, out, "--style", style)
        assert ran.code == 1 and "in.png" in ran.error_line
        assert not out.exists()

    @pytest.mark.parametrize(
        "name, message", [("out.xyz", ".png"), ("gone/out.png", "gone"), ("old.png", "exists")]
    )
    def test_target(
        self, name: str, message: str, style: Path, tmp_path: Path, impasto: Impasto
    ) -> None:
        write_image(tmp_path / "in.png", numbered_picture(0))
        (tmp_path / "old.png").write_bytes(b"precious")
        ran = impasto("image", tmp_path / "in.png", tmp_path / name, "--style", style)
        assert ran.code == 1 and message in ran.error_line
        assert sorted(p.name for p in tmp_path.iterdir()) == ["in.png", "old.png"]
        assert (tmp_path / "old.png").read_bytes() == b"precious"


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ("--batch 0", "'--batch': expected 1 or more; got '0'"),
        ("--batch two", "'--batch': expected a whole number; got 'two'"),
        ("--batch 65", "'--batch': expected 64 or less; got '65'"),
        ("--strength much", "'--strength': expected a number; got 'much'"),
        ("--device tpu", "'--device': expected auto, cpu, cuda, gpu, npu, mps"),
        ("--size 7", "'--size': expected a short side such as 720"),
    ],
)
def test_bad_values_are_refused_in_plain_words(options: str, words: str, impasto: Impasto) -> None:
    line = impasto("video", "in.mp4", "out.mp4", *options.split()).error_line
    assert words in line and line.endswith(". See impasto video --help.")
