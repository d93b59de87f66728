"""Display matrices: videos stored rotated or mirrored come out upright, at any size."""

from fractions import Fraction

import numpy as np
import pytest

from tests.media import (
    SIZE,
    make_clip,
    numbered_picture,
    numbers_of,
    read_video,
)


@pytest.mark.parametrize("hflip", [False, True])
@pytest.mark.parametrize("rotation", [0, 90, 180, 270])
@pytest.mark.parametrize("codec", ["libx264", "mpeg4"])
def test_rotated_and_mirrored(tmp_path, rotation, hflip, codec):
    """Stored so that the display matrix undoes it: mirrored last for display, so first here."""

    def stored(number, size):
        upright = numbered_picture(number, size if rotation % 180 == 0 else size[::-1])
        upright = upright[:, ::-1] if hflip else upright
        return np.rot90(upright, -(rotation // 90))

    path = make_clip(
        tmp_path / "turned.mp4",
        codec=codec,
        rotation=rotation,
        hflip=hflip,
        picture=stored,
        sar=Fraction(4, 3),
    )
    frames, source = read_video(path)
    assert numbers_of(frames) == list(range(12))
    sideways = rotation % 180 == 90
    info = source.info
    assert (info.height, info.width) == (SIZE[::-1] if sideways else SIZE)
    assert info.sample_aspect_ratio == (Fraction(3, 4) if sideways else Fraction(4, 3))


@pytest.mark.parametrize("rotation", [0, 90])
@pytest.mark.parametrize("size", [96, 24, (30, 70), (33, 41)])
def test_resized_after_rotation(tmp_path, size, rotation):
    path = make_clip(
        tmp_path / "a.mp4",
        size=(48, 80) if rotation == 0 else (80, 48),
        rotation=rotation,
        sar=Fraction(4, 3),
        picture=lambda number, stored: np.rot90(
            numbered_picture(number, (48, 80)), -(rotation // 90)
        ),
    )
    frames, source = read_video(path, size=size)
    expected = size if isinstance(size, tuple) else (size, size * 80 // 48)
    assert (source.info.height, source.info.width) == expected
    assert {frame.image.shape for frame in frames} == {(*expected, 3)}
    assert numbers_of(frames) == list(range(12))
    square = isinstance(size, tuple) or rotation
    if isinstance(size, tuple):
        assert source.info.sample_aspect_ratio == 1
    elif not square:
        assert source.info.sample_aspect_ratio == Fraction(4, 3)
