"""Interlaced video comes out progressive, one frame for each frame."""

import av
import numpy as np
import pytest

from tests.media import (
    make_clip,
    read_video,
    stored_pts,
)


def comb(image):
    """How much neighboring lines differ beyond those two apart: high where fields are mixed."""
    rows = image.astype(float).mean(axis=-1)[len(image) // 4 :]
    return np.abs(rows[1:-1] - (rows[:-2] + rows[2:]) / 2).mean()


@pytest.mark.parametrize("name", ["int.mp4", "int.mkv", "int.ts"])
def test_one_progressive_frame_for_each_frame(tmp_path, name):
    def fields(number, size):
        """A bar that moves 3 pixels from one field to the next."""
        image = np.full((*size, 3), 40, np.uint8)
        for field in (0, 1):
            left = 8 + 3 * (2 * number + field)
            image[field::2, left : left + 12] = 220
        return image

    path = make_clip(
        tmp_path / name,
        frames=6,
        codec="libx264" if name.endswith("mp4") else "mpeg2video",
        interlaced=True,
        picture=fields,
    )
    with av.open(str(path)) as container:
        woven = [f.to_ndarray(format="rgb24") for f in container.decode(video=0)]
    frames, source = read_video(path)
    assert [frame.pts for frame in frames] == stored_pts(path)
    assert min(map(comb, woven)) > 5 * max(comb(frame.image) for frame in frames)
    assert source.missing_frames == 0 and any("deinterlace" in note for note in source.notes)
