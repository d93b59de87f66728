"""Strokes of another width: twice as wide where asked, on frames of the same size and time."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from impasto.models.stroke import check_stroke, painted_size
from impasto.models.styles import load_weights
from impasto.realtime.engines.base import IdentityEngine
from impasto.realtime.engines.onnx_engine import OnnxEngine
from impasto.realtime.files.convert import stylize_video
from impasto.realtime.frame import Frame
from impasto.realtime.mask import MaskedStylizer
from impasto.realtime.pipeline import StylizerFormats, batched
from impasto.realtime.pixels import resized
from impasto.realtime.stroke import StrokeStylizer, at_size_of
from impasto.realtime.stylizer import Stylizer
from tests.engines import make_engine
from tests.media import make_clip, read_video, stored_pts
from tests.pictures import make_pictures, noisy
from tests.realtime.test_mask import inverted

TICK = Fraction(1, 25)


def inverted_in_place(batches: Iterator[list[Frame]]) -> Iterator[Frame]:
    """A stylizer that gives the negative, and keeps all else of a frame."""
    for batch in batches:
        for frame in batch:
            yield replace(frame, image=255 - frame.image)


def stroke_length(picture: np.ndarray) -> float:
    """The mean wavelength of a picture's luma, in pixels: 1 over the centroid of its spectrum.

    Without light and shade, which are wider than strokes.
    """
    luma = cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY).astype(float)
    luma = (luma - cv2.GaussianBlur(luma, (0, 0), 16))[32:-32, 32:-32]
    power = np.abs(np.fft.fft2((luma - luma.mean()) * np.outer(*2 * [np.hanning(len(luma))]))) ** 2
    y, x = np.meshgrid(*2 * [np.fft.fftfreq(len(luma))], indexing="ij")
    return float(power.sum() / (power * np.hypot(x, y)).sum())


@pytest.fixture(scope="module")
def sky_painted() -> Callable[[float], np.ndarray]:
    """A sky from dark to light, painted: all that is to be seen is the network's own strokes."""
    stylizer = Stylizer(OnnxEngine(load_weights("great_wave", network="fast")), is_video=False)
    ramp = np.linspace(60, 190, 320).astype(np.uint8)
    sky = noisy(np.ascontiguousarray(np.broadcast_to(ramp[:, None], (320, 320, 3))), 1.0, seed=1)
    return lambda stroke: StrokeStylizer(stylizer, stroke).stylize_image(sky)


@pytest.mark.parametrize("stroke", [0.5, 2.0, 4.0])
def test_a_network_paints_wider_strokes(sky_painted, stroke: float) -> None:
    """In proportion, but for the few strokes that fit into so small a picture."""
    own, wide = sky_painted(1.0), sky_painted(stroke)
    assert own.std() > 5
    assert stroke_length(wide) / stroke_length(own) == pytest.approx(stroke, rel=0.3)


@settings(max_examples=40, deadline=None)
@given(height=st.integers(1, 70), width=st.integers(1, 70), stroke=st.floats(0.5, 4))
def test_any_size_is_kept(height: int, width: int, stroke: float) -> None:
    seen: list[tuple[int, int]] = []

    def stylizer(batches: Iterator[list[Frame]]) -> Iterator[Frame]:
        for frame in inverted(batches):
            seen.append(frame.size)
            yield frame

    frames = [Frame(image, 7 * n, TICK) for n, image in enumerate(make_pictures(3, height, width))]
    out = list(StrokeStylizer(stylizer, stroke)(batched(frames, 2)))
    assert [(f.size, f.pts, f.time_base) for f in out] == [
        (f.size, f.pts, f.time_base) for f in frames
    ]
    assert seen == 3 * [painted_size((height, width), stroke)]
    for painted, side in zip(seen[0], (height, width), strict=True):
        assert abs(painted - side / stroke) <= 0.501 + side / 500 or painted == 1


def test_frames_get_their_own_detail() -> None:
    """From a stylizer that takes everything before it gives anything."""
    clip = make_pictures(5, 60, 80)
    clip[:, 20:22] = np.arange(0, 250, 50).reshape(5, 1, 1, 1)  # finer than a painting at 1/4

    def hoarding(batches: Iterator[list[Frame]]) -> Iterator[Frame]:
        yield from list(inverted(batches))

    frames = [Frame(image, n, TICK) for n, image in enumerate(clip)]
    for frame, stylized in zip(
        frames, StrokeStylizer(hoarding, 4)(batched(frames, 2)), strict=True
    ):
        small = 255 - resized(frame.image, (15, 20))
        assert np.array_equal(stylized.image, at_size_of(small, frame.image))


def test_statistics_go_on_at_the_painted_size() -> None:
    """As if the reduced frames had been stylized by themselves."""
    clip = make_pictures(9, 80, 96)
    frames = [Frame(image, n, TICK) for n, image in enumerate(clip)]
    small = [Frame(resized(image, (40, 48)), n, TICK) for n, image in enumerate(clip)]
    engine = make_engine("torch-fp32")
    expected = list(Stylizer(engine)(batched(small, 1)))
    found = list(StrokeStylizer(Stylizer(engine), 2)(batched(frames, 1)))
    for frame, painted, stylized in zip(frames, expected, found, strict=True):
        assert np.array_equal(stylized.image, at_size_of(painted.image, frame.image))


class TestDetail:
    def lines(self, contrast: int) -> np.ndarray:
        """Lines 1 px wide, 32 px apart, on gray of 128."""
        frame = np.full((96, 96, 3), 128, np.uint8)
        frame[:, 16::32] = 128 - contrast
        return frame

    def test_a_line_that_the_painting_lost_is_drawn(self) -> None:
        flat = np.full((48, 48, 3), 100, np.uint8)
        drawn = at_size_of(flat, self.lines(100))
        # The small copy has 50 of its 100 levels in one column, the blurred one 12.5 of these, that
        # is 1 / (1.6 sqrt(2 pi)). The threshold takes 10 more, and 0.7 of the rest is drawn.
        assert np.all(np.abs(drawn[8:-8, 16].astype(int) - (100 - 0.7 * 77.5)) <= 1.5)
        assert np.all(np.abs(drawn[8:-8, :14].astype(int) - 100) <= 2)  # and nothing beside it

    def test_noise_and_faint_texture_are_not(self) -> None:
        flat = np.full((48, 48, 3), 100, np.uint8)
        faint = noisy(self.lines(5), 1.0, seed=3)
        assert np.array_equal(at_size_of(flat, faint), np.full((96, 96, 3), 100, np.uint8))

    def test_it_grows_from_none_at_the_full_size(self) -> None:
        """Live the size goes up and down: no step is to be seen."""
        frame = self.lines(100)
        depths = [
            100 - int(at_size_of(np.full((side, side, 3), 100, np.uint8), frame)[48, 16, 0])
            for side in (96, 84, 72, 60, 48)
        ]
        assert depths[0] == 0
        assert depths == sorted(depths) and max(np.diff(depths)) < 30 < depths[-1]

    def test_a_painting_that_is_larger_is_averaged(self) -> None:
        painted = np.zeros((192, 192, 3), np.uint8)
        painted[::2, ::2] = 200
        assert np.all(at_size_of(painted, self.lines(100)) == 50)


def test_kept_color_is_that_of_the_full_size() -> None:
    """Not of the reduced frame, whose colors run over edges."""
    frame = np.full((64, 64, 3), (120, 90, 60), np.uint8)
    frame[:, 33:] = (60, 90, 130)
    stylizer = Stylizer(IdentityEngine(), keep_color=True)
    (out,) = StrokeStylizer(stylizer, 4)([[Frame(frame, 0, TICK)]])
    chroma = [image[..., 0].astype(int) - image[..., 2] for image in (frame, out.image)]
    assert np.abs(chroma[0] - chroma[1]).max() <= 1


def test_masks_and_transparency_are_of_the_full_size() -> None:
    image = make_pictures(1, 60, 80)[0]
    alpha = image[..., 0].copy()
    white = np.zeros((60, 80), np.uint8)
    white[:, 41:] = 255
    stylizer = MaskedStylizer(StrokeStylizer(inverted_in_place, 2), lambda time, size: white)
    (out,) = stylizer(iter([[Frame(image, 0, TICK, alpha=alpha)]]))
    assert out.alpha is alpha
    assert np.array_equal(out.image[:, :41], image[:, :41])
    assert (out.image[:, 41:] != image[:, 41:]).any(axis=(0, 2)).all()


def test_it_takes_and_gives_rgb_on_the_host() -> None:
    inner = Stylizer(make_engine("torch-fp32"))
    assert StrokeStylizer(inner, 2).formats == StylizerFormats(lossy_chroma_ok=True)


def test_a_film_keeps_its_size_and_times(tmp_path: Path) -> None:
    clip = make_clip(tmp_path / "clip.mp4")
    sizes: set[tuple[int, int]] = set()

    def stylizer(batches: Iterator[list[Frame]]) -> Iterator[Frame]:
        for frame in inverted(batches):
            sizes.add(frame.size)
            yield frame

    stylize_video(clip, tmp_path / "out.mp4", stylizer, stroke=2)
    before, after = (read_video(path)[0] for path in (clip, tmp_path / "out.mp4"))
    assert stored_pts(tmp_path / "out.mp4") == stored_pts(clip)
    assert {frame.size for frame in after} == {before[0].size}
    assert sizes == {painted_size(before[0].size, 2)}


@pytest.mark.parametrize("stroke", [0.4, 5, -1, float("nan"), float("inf")])
def test_other_strokes_are_refused(stroke: float, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="from 0.5 to 4"):
        check_stroke(stroke)
    with pytest.raises(ValueError, match="from 0.5 to 4"):  # before anything is read
        stylize_video(tmp_path / "none.mp4", tmp_path / "out.mp4", inverted, stroke=stroke)


@pytest.mark.parametrize("command", ["video IN OUT.mp4 --style dawn", "live", "export dawn a.onnx"])
@pytest.mark.parametrize("stroke", ["0.4", "5", "nan", "wide"])
def test_the_command_refuses_them_in_one_line(impasto, command: str, stroke: str) -> None:
    ran = impasto(*command.split(), "--stroke", stroke)
    assert ran.code == 2
    assert f"expected a factor from 0.5 to 4, such as 2; got {stroke!r}" in ran.error_line
