"""Films whose picture changes in the middle: fitted with bars, and a circle stays a circle."""

from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from impasto.realtime.files.convert import stylize_video
from impasto.realtime.files.fitting import PictureShape, with_bars
from impasto.realtime.frame import ColorTags, Frame
from tests.media import make_clip, read_video
from tests.realtime.files.conversion import identity


def disc(size: tuple[int, int], pixel_shape: Fraction = Fraction(1)) -> np.ndarray:
    """A white disc on blue that is round when pixels are `pixel_shape` wide."""
    height, width = size
    y, x = np.mgrid[0:height, 0:width] + 0.5
    across = (x - width / 2) * float(pixel_shape)
    radius = 0.4 * min(height, width * float(pixel_shape))
    inside = across**2 + (y - height / 2) ** 2 < radius**2
    return np.where(inside[..., None], 255, (30, 40, 200)).astype(np.uint8)


def roundness(image: np.ndarray, pixel_shape: Fraction = Fraction(1)) -> float:
    """Width over height of the disc, as shown; 1 is a circle."""
    white = image.min(axis=2) > 128
    rows, columns = np.flatnonzero(white.any(axis=1)), np.flatnonzero(white.any(axis=0))
    return float(np.ptp(columns) + 1) * float(pixel_shape) / float(np.ptp(rows) + 1)


def bars(image: np.ndarray) -> tuple[int, int]:
    """Black rows at the top and black columns at the left."""
    lit = image.max(axis=2) > 60
    return int(lit.any(axis=1).argmax()), int(lit.any(axis=0).argmax())


def joined(folder: Path, *parts: dict[str, Any], codec: str = "libx264") -> Path:
    """A transport stream of clips of six frames, one after the other on one clock."""
    path = folder / "joined.ts"
    with path.open("wb") as out:
        for number, part in enumerate(parts):
            sar = part.get("sar", Fraction(1))
            clip = make_clip(
                folder / f"part{number}.ts",
                frames=6,
                pts=range(6 * number, 6 * number + 6),
                picture=lambda _, size, sar=sar: disc(size, sar),
                **{"codec": codec, **part},
            )
            out.write(clip.read_bytes())
    return path


class TestChangesInTheMiddle:
    @pytest.mark.parametrize(
        ("second", "bar"),
        [
            ({"size": (128, 72)}, (0, 44)),  # a telephone is turned
            ({"size": (36, 64)}, (0, 0)),  # smaller, of the same shape
            ({"size": (96, 128)}, (0, 16)),
            ({"size": (72, 72), "sar": Fraction(8, 3)}, (12, 0)),  # wider than the first
        ],
    )
    def test_another_size(self, tmp_path, second, bar):
        path = joined(tmp_path, {"size": (72, 128)}, second)
        frames, source = read_video(path)
        assert len(frames) == 12 and {frame.size for frame in frames} == {(72, 128)}
        for frame in frames:
            assert abs(roundness(frame.image) - 1) < 0.1
        assert bars(frames[2].image) == (0, 0) and source.missing_frames == 0
        assert np.abs(np.subtract(bars(frames[9].image), bar)).max() <= 1
        (note,) = source.notes
        assert "at 0.2 s" in note and "fitted with bars" in note and "from 128x72 to" in note

    def test_the_converted_film_is_round_throughout(self, tmp_path):
        path = joined(tmp_path, {"size": (72, 128)}, {"size": (128, 72)}, {"size": (72, 128)})
        report = stylize_video(path, tmp_path / "out.mp4", identity)
        frames, _ = read_video(tmp_path / "out.mp4")
        assert len(frames) == report.frames == 18
        assert all(abs(roundness(frame.image) - 1) < 0.1 for frame in frames)
        assert [bars(frames[n].image)[1] > 40 for n in (3, 9, 15)] == [False, True, False]
        (note,) = report.notes
        assert "and 1 more time" in note

    def test_another_pixel_shape(self, tmp_path):
        shapes = (Fraction(16, 15), Fraction(64, 45))  # of PAL, in 4:3 and 16:9
        parts = [{"size": (72, 90), "sar": shape} for shape in shapes]
        frames, source = read_video(joined(tmp_path, *parts, codec="mpeg2video"))
        assert source.info.sample_aspect_ratio == shapes[0]
        assert len(frames) >= 11  # of MPEG-2 joined by bytes, the last of a part may be lost
        for frame in (frames[1], frames[-2]):
            assert abs(roundness(frame.image, shapes[0]) - 1) < 0.1
        assert bars(frames[1].image)[0] == 0 and abs(bars(frames[-2].image)[0] - 9) <= 1
        assert "pixels of 64/45" in source.notes[0]

    @pytest.mark.parametrize("size", [(90, 90), 36])
    def test_a_size_that_was_asked_for(self, tmp_path, size):
        path = joined(tmp_path, {"size": (72, 72)}, {"size": (128, 72)})
        frames, source = read_video(path, size=size)
        assert {frame.size for frame in frames} == {(source.info.height, source.info.width)}
        assert all(abs(roundness(frame.image) - 1) < 0.12 for frame in frames)

    def test_vp9_in_one_stream(self, tmp_path):
        """As in recorded calls: a new size comes with a key frame, in the same Matroska file."""
        clips = [
            make_clip(
                tmp_path / f"{width}.webm",
                frames=4,
                size=(height, width),
                picture=lambda _, s: disc(s),
            )
            for height, width in ((72, 128), (128, 72))
        ]
        path = tmp_path / "call.webm"
        with av.open(str(path), "w") as out:
            stream: Any = None
            for number, clip in enumerate(clips):
                with av.open(str(clip)) as container:
                    stream = stream or out.add_stream_from_template(container.streams.video[0])
                    for packet in container.demux(video=0):
                        if packet.size:
                            packet.pts = packet.dts = packet.pts + 160 * number
                            packet.stream = stream
                            out.mux(packet)
        frames, source = read_video(path)
        assert [frame.size for frame in frames] == [(72, 128)] * 8
        assert all(abs(roundness(frame.image) - 1) < 0.1 for frame in frames)
        assert ["fitted with bars" in note for note in source.notes] == [True]

    @pytest.mark.parametrize("codec", ["libx264", "mpeg2video"])
    def test_a_small_beginning_does_not_make_a_small_film(self, tmp_path, codec):
        """As of calls, which begin with a slow connection; half of a film is no beginning."""
        small, large = {"size": (36, 64)}, {"size": (72, 128)}
        path = joined(tmp_path, small, *[large] * 6, codec=codec)
        frames, source = read_video(path)
        assert {frame.size for frame in frames} == {(72, 128)}
        assert all(abs(roundness(frame.image) - 1) < 0.1 for frame in frames)
        assert bars(frames[0].image) == (0, 0)
        assert ["from 64x36 to 128x72" in note for note in source.notes] == [True]
        frames, _ = read_video(path, size=36)
        assert {frame.size for frame in frames} == {(36, 64)}

    def test_another_pixel_format(self, tmp_path):
        parts = [{"pix_fmt": "yuv420p"}, {"pix_fmt": "yuv422p"}]
        frames, source = read_video(joined(tmp_path, *parts))
        assert len(frames) == 12
        # The same picture, but for the blur of chroma.
        assert np.abs(frames[2].image.astype(int) - frames[9].image).mean() < 4
        assert source.notes == [
            "the pixel format changes at 0.2 s from yuv420p to yuv422p: converted"
        ]

    def test_hdr_that_begins_in_the_middle(self, tmp_path):
        hlg = {"pix_fmt": "yuv420p10le", "color": ColorTags(9, 18, 9), "codec": "libx265"}
        path = joined(tmp_path, {**hlg, "color": ColorTags(1, 1, 1)}, hlg)
        frames, source = read_video(path)
        assert source.info.color == ColorTags(1, 1, 1)
        assert source.notes == [
            "the color changes at 0.2 s from BT.709 to HLG: converted to the first"
        ]
        # Blue of the first is coded as in BT.709; the same codes in HLG of BT.2020 are another.
        blues = [frames[n].image[4, 4].astype(int) for n in (2, 9)]
        assert np.abs(blues[0] - (30, 40, 200)).max() < 12
        assert np.abs(blues[0] - blues[1]).max() > 20

    def test_a_film_that_does_not_change_has_no_note(self, tmp_path):
        frames, source = read_video(joined(tmp_path, {}, {}))
        assert len(frames) == 12 and source.notes == []


@given(
    sizes=st.tuples(*[st.integers(2, 4000)] * 4),
    shapes=st.tuples(*[st.sampled_from([Fraction(1), Fraction(16, 15), Fraction(1, 2)])] * 2),
    turned=st.booleans(),
)
def test_a_picture_touches_two_sides_of_the_frame(sizes, shapes, turned):
    height, width, *frame = sizes
    matrix = (0, 1, -1, 0) if turned else (1, 0, 0, 1)
    shape = PictureShape(height, width, shapes[0], matrix)
    fitted = shape.size_within(tuple(frame), shapes[1])
    assert fitted[0] == frame[0] or fitted[1] == frame[1]
    assert 1 <= fitted[0] <= frame[0] and 1 <= fitted[1] <= frame[1]
    # The shape as shown, to the rounding of one pixel.
    shown = Fraction(width, height) * shapes[0]
    shown = 1 / shown if turned else shown
    exact = (
        (fitted[0], fitted[0] * shown / shapes[1]),
        (fitted[1] * shapes[1] / shown, fitted[1]),
    )
    assert any(abs(h - fitted[0]) <= 1 and abs(w - fitted[1]) <= 1 for h, w in exact)


def test_bars_are_black_and_even():
    framed = with_bars(np.full((4, 6, 3), 9, np.uint8), (10, 6))
    assert framed.shape == (10, 6, 3) and (framed[3:7] == 9).all()
    assert not framed[:3].any() and not framed[7:].any()
    assert Frame(framed, 0, Fraction(1)).size == (10, 6)
