"""`--mask` on the commands: what is black stays, what is white is stylized."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from impasto.realtime.files.images import read_image, read_picture, write_image
from tests.media import decoded, numbered_picture
from tests.realtime.conftest import Impasto

TORCH = ("--engine", "torch")  # nothing is timed


def half_white(path: Path) -> Path:
    """A mask that is white on the right."""
    pixels = np.zeros((48, 64), np.uint8)
    pixels[:, 32:] = 255
    Image.fromarray(pixels).save(path)
    return path


def changed(before: np.ndarray, after: np.ndarray) -> tuple[bool, bool]:
    """Whether the left and the right half differ."""
    differ = (before != after).any(axis=2)
    return bool(differ[:, :32].any()), bool(differ[:, 32:].any())


def test_of_a_picture(style: Path, tmp_path: Path, impasto: Impasto) -> None:
    mask, source = half_white(tmp_path / "mask.png"), tmp_path / "in.png"
    deep = 257 * numbered_picture(1).astype(np.uint16) + 19
    write_image(source, deep)
    ran = impasto("image", source, tmp_path / "out.png", "--style", style, "--mask", mask)
    assert (ran.code, ran.err) == (0, "")
    before, after = read_picture(source), read_picture(tmp_path / "out.png")
    assert changed(before.image, after.image) == (False, True)
    assert before.remainder is not None and after.remainder is not None  # 16 bits, all of them
    assert np.array_equal(before.remainder[:, :32], after.remainder[:, :32])


def test_a_folder_of_masks(style: Path, tmp_path: Path, impasto: Impasto) -> None:
    photos, masks, out = tmp_path / "photos", tmp_path / "masks", tmp_path / "out"
    photos.mkdir()
    masks.mkdir()
    for name in ("a.bmp", "b.bmp", "c.bmp"):
        write_image(photos / name, numbered_picture(1))
    half_white(masks / "a.png")
    Image.new("L", (64, 48), 0).save(masks / "b.png")
    ran = impasto("image", photos, out, "--style", style, "--mask", masks)
    assert ran.code == 1
    assert f"there is no mask for c.bmp in {masks}: name it c.png" in ran.err
    original = numbered_picture(1)
    assert changed(original, read_image(out / "a.bmp")) == (False, True)
    assert changed(original, read_image(out / "b.bmp")) == (False, False)


def test_of_a_video(clip: Path, style: Path, tmp_path: Path, impasto: Impasto) -> None:
    """The network gives yuv420p for this encoder without a mask, and RGB for the mixture."""
    mask, out = half_white(tmp_path / "mask.png"), tmp_path / "out.mp4"
    ran = impasto("video", clip, out, "--style", style, "--mask", mask, "--crf", 1, *TORCH)
    assert (ran.code, ran.err) == (0, "")
    for before, after in zip(decoded(clip)[0], decoded(out)[0], strict=True):
        error = np.abs(before.astype(int) - after).mean(axis=(0, 2))
        assert error[:28].max() < 5 < error[36:].min()


@pytest.mark.parametrize("command", ["image", "video", "live"])
def test_the_wrong_kind_is_one_line(
    command: str, clip: Path, style: Path, tmp_path: Path, impasto: Impasto
) -> None:
    text = tmp_path / "mask.txt"
    text.write_text("no mask")
    chosen = ("--style", style, "--mask", text)
    if command == "live":
        ran = impasto("live", "--no-window", "--camera", clip, *chosen)
    elif command == "video":
        ran = impasto("video", clip, tmp_path / "out.mp4", *chosen)
    else:
        write_image(tmp_path / "in.png", numbered_picture(1))
        ran = impasto("image", tmp_path / "in.png", tmp_path / "out.png", *chosen)
    assert ran.code == 1 and f"cannot read {text}" in ran.error_line
    assert not list(tmp_path.glob("out*"))
