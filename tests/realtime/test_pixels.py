"""Colors against the formulas of ITU-T H.273; sizes; rotations; luminance only."""

from fractions import Fraction

import av
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from impasto.realtime.files.rotation import apply_display_matrix, transposes
from impasto.realtime.frame import ColorTags
from impasto.realtime.pixels import (
    bit_depth_of,
    color_of,
    fitted_size,
    is_transparent,
    matrix_for,
    quickly_resized,
    resized,
    to_rgb,
    to_video_frame,
    with_color_of,
)
from tests.pictures import make_pictures

KR_KB = {1: (0.2126, 0.0722), 5: (0.299, 0.114), 6: (0.299, 0.114), 9: (0.2627, 0.0593)}
COLORS = [(0, 0, 0), (255, 255, 255), (200, 30, 60), (20, 180, 90), (40, 50, 230), (128, 128, 128)]
LUMA = np.array([0.2126, 0.7152, 0.0722])


def coded(rgb, matrix, full_range, bits=8):
    """Y, Cb, Cr of (..., 3) RGB in 0..255, unrounded: H.273, equations 20 to 58."""
    kr, kb = KR_KB[matrix]
    red, green, blue = np.moveaxis(np.asarray(rgb, float) / 255, -1, 0)
    luma = kr * red + (1 - kr - kb) * green + kb * blue
    blueness, redness = (blue - luma) / (2 - 2 * kb), (red - luma) / (2 - 2 * kr)
    scale, top = 2 ** (bits - 8), 2**bits - 1
    if full_range:
        return luma * top, blueness * top + 128 * scale, redness * top + 128 * scale
    return (219 * luma + 16) * scale, (224 * blueness + 128) * scale, (224 * redness + 128) * scale


def plane(frame, index):
    """A plane's samples, without the padding at the end of its rows."""
    p = frame.planes[index]
    deep = frame.format.components[0].bits > 8
    samples = np.frombuffer(p, np.uint16 if deep else np.uint8)
    return samples.reshape(p.height, -1)[:, : p.width]


def frame_of(planes, pixel_format, *, matrix=2, color_range=0):
    """A frame with these sample arrays, one a plane."""
    height, width = planes[0].shape
    frame = av.VideoFrame(width, height, pixel_format)
    for p, samples in zip(frame.planes, planes, strict=True):
        rows = np.zeros((p.height, p.line_size // samples.itemsize), samples.dtype)
        rows[:, : p.width] = samples
        p.update(rows.tobytes())
    frame.colorspace, frame.color_range = matrix, color_range
    return frame


def flat(rgb, size=(32, 48)):
    return np.full((*size, 3), rgb, np.uint8)


class TestDecodedColors:
    @pytest.mark.parametrize("color", COLORS)
    @pytest.mark.parametrize("full_range", [False, True])
    @pytest.mark.parametrize("matrix", KR_KB)
    @pytest.mark.parametrize(
        ("pixel_format", "bits", "chroma"),
        [
            ("yuv444p", 8, (1, 1)),
            ("yuv422p", 8, (1, 2)),
            ("yuv420p", 8, (2, 2)),
            ("yuv420p10le", 10, (2, 2)),
            ("yuv422p10le", 10, (1, 2)),
            ("yuv444p12le", 12, (1, 1)),
        ],
    )
    def test_matrix_and_range_are_the_frames_own(
        self, color, full_range, matrix, pixel_format, bits, chroma
    ):
        height, width = 32, 48
        dtype = np.uint8 if bits == 8 else np.uint16
        planes = [
            np.full((height // down, width // across), round(float(value)), dtype)
            for value, (down, across) in zip(
                coded(color, matrix, full_range, bits), [(1, 1), chroma, chroma], strict=True
            )
        ]
        frame = frame_of(planes, pixel_format, matrix=matrix, color_range=1 + full_range)
        image = to_rgb(frame)
        # Rounding Cb by half a level moves blue by up to 0.5 * 1.88 * 255 / 224 levels: 2 in all.
        tolerance = 2 if bits == 8 else 1
        assert image.shape == (height, width, 3) and image.dtype == np.uint8
        assert np.abs(image.astype(int) - color).max() <= tolerance
        assert color_of(frame) == ColorTags(matrix=matrix, full_range=full_range)
        assert bit_depth_of(frame.format) == bits

    @pytest.mark.parametrize(("height", "matrix"), [(480, 6), (718, 6), (720, 1), (1080, 1)])
    def test_untagged_is_bt601_below_720_lines_and_bt709_above(self, height, matrix):
        color = (40, 180, 90)
        planes = [np.full((height, 16), round(float(v)), np.uint8) for v in coded(color, matrix, 0)]
        assert np.abs(to_rgb(frame_of(planes, "yuv444p")).astype(int) - color).max() <= 2
        assert matrix_for(2, height) == matrix

    def test_a_matrix_swscale_does_not_know_is_read_as_untagged(self):
        planes = [np.full((32, 48), v, np.uint8) for v in (120, 100, 160)]
        unknown = frame_of(planes, "yuv444p", matrix=8)  # YCgCo
        assert (to_rgb(unknown) == to_rgb(frame_of(planes, "yuv444p"))).all()
        assert color_of(unknown).matrix == 2

    def test_chroma_is_interpolated_not_repeated(self):
        """A chroma ramp: repeating samples would be off by a quarter of a sample's step, 7."""
        ramp = np.linspace(40, 216, 24)
        chroma = np.tile(np.rint(ramp), (16, 1)).astype(np.uint8)
        luma = np.full((32, 48), 120, np.uint8)
        gray = np.full((16, 24), 128, np.uint8)
        image = to_rgb(frame_of([luma, gray, chroma], "yuv420p", matrix=1, color_range=1))
        steps = np.diff(image[16, 8:40, 0].astype(int))
        assert steps.min() >= 5 and steps.max() <= 9  # 7.65 levels of Cr a sample, 1.79 of red each

    @pytest.mark.parametrize(("color_range", "expected"), [(0, 100), (1, 98), (2, 100)])
    def test_gray_is_full_range_unless_tagged(self, color_range, expected):
        frame = frame_of([np.full((32, 48), 100, np.uint8)], "gray", color_range=color_range)
        assert (to_rgb(frame) == expected).all()  # (100 - 16) * 255 / 219 = 97.8

    @pytest.mark.parametrize("pixel_format", ["rgb24", "bgr24", "gbrp", "gbrp10le", "rgba", "bgr0"])
    def test_rgb_passes_unchanged(self, pixel_format):
        image = np.random.default_rng(0).integers(0, 256, (33, 47, 3), dtype=np.uint8)
        frame = to_video_frame(image, pixel_format)
        assert (to_rgb(frame) == image).all()
        assert color_of(frame).matrix == 2 and not color_of(frame).full_range

    def test_transparency_is_laid_over_the_background(self):
        rgba = np.full((32, 48, 4), (200, 100, 50, 255), np.uint8)
        rgba[:, :24, 3] = 0
        rgba[:16, 24:, 3] = 51  # a fifth
        frame = av.VideoFrame.from_ndarray(rgba, format="rgba")
        black, white = to_rgb(frame), to_rgb(frame, background=255)
        assert (black[:, :24] == 0).all() and (white[:, :24] == 255).all()
        assert (black[:16, 24:] == (40, 20, 10)).all()
        assert (white[:16, 24:] == (244, 224, 214)).all()
        assert (black[16:, 24:] == (200, 100, 50)).all()
        assert is_transparent(frame)
        rgba[..., 3] = 255
        assert not is_transparent(av.VideoFrame.from_ndarray(rgba, format="rgba"))

    def test_palette(self):
        palette = np.zeros((256, 4), np.uint8)
        palette[7] = (255, 10, 20, 30)  # alpha, red, green, blue
        indices = np.full((32, 48), 7, np.uint8)
        frame = av.VideoFrame.from_ndarray((indices, palette), format="pal8")
        assert (to_rgb(frame) == (10, 20, 30)).all()
        assert bit_depth_of(frame.format) == 8


class TestEncodedColors:
    @pytest.mark.parametrize("full_range", [False, True])
    @pytest.mark.parametrize("matrix", KR_KB)
    @pytest.mark.parametrize(("pixel_format", "bits"), [("yuv444p", 8), ("yuv444p10le", 10)])
    def test_yuv420p_follows_the_formula(self, matrix, full_range, pixel_format, bits):
        image = np.random.default_rng(1).integers(0, 256, (32, 48, 3), dtype=np.uint8)
        frame = to_video_frame(image, pixel_format, ColorTags(matrix=matrix, full_range=full_range))
        for index, expected in enumerate(coded(image, matrix, full_range, bits)):
            # swscale reaches full range in a second step, which truncates: just over a level.
            assert np.abs(plane(frame, index) - expected).max() <= (1.1 if bits == 8 else 2)

    def test_tags(self):
        tags = ColorTags(primaries=9, transfer=16, matrix=9, full_range=False)
        frame = to_video_frame(flat((9, 99, 199)), "yuv420p10le", tags)
        assert color_of(frame) == tags
        assert frame.color_range == 1 and frame.format.name == "yuv420p10le" and frame.pts is None

    def test_chroma_is_sited_at_the_left(self):
        """A red ramp: samples at even columns, not between two, so half a column's step apart."""
        image = np.full((32, 64, 3), 100, np.uint8)
        image[..., 0] = 3 * np.arange(64)
        redness = coded(image, 1, False)[2][0]
        samples = plane(to_video_frame(image, "yuv420p", ColorTags(matrix=1)), 2)[8]
        inner = slice(4, 28)
        at_left = np.abs(samples[inner] - redness[::2][inner]).mean()
        between = np.abs(samples[inner] - (redness[::2] + redness[1::2])[inner] / 2).mean()
        assert at_left < 0.5 < between

    @pytest.mark.parametrize("pixel_format", ["yuv444p", "yuv420p", "yuv422p10le", "gbrp", "rgb24"])
    def test_there_and_back(self, pixel_format):
        y, x = np.mgrid[0:34, 0:62]
        image = np.stack([40 + 2 * x, 60 + 3 * y, 200 - x - y], axis=-1).astype(np.uint8)
        back = to_rgb(to_video_frame(image, pixel_format))
        inside = np.s_[4:-4, 4:-4]  # chroma at the very edge has nothing to interpolate with
        assert np.abs(back[inside].astype(int) - image[inside]).max() <= 3

    def test_rows_need_not_be_contiguous(self):
        image = np.random.default_rng(2).integers(0, 256, (32, 64, 3), dtype=np.uint8)
        for view in (image[:, ::-1], image[::2], image[:, 3:50]):
            assert (to_rgb(to_video_frame(view, "gbrp")) == view).all()

    @pytest.mark.parametrize(
        "image",
        [
            np.zeros((4, 4, 3), np.float32),
            np.zeros((4, 4, 4), np.uint8),
            np.zeros((4, 4), np.uint8),
        ],
    )
    def test_other_arrays_are_refused(self, image):
        with pytest.raises(ValueError, match="expected .* uint8"):
            to_video_frame(image, "yuv420p")


class TestSizes:
    @given(st.integers(16, 4000), st.integers(16, 4000), st.integers(2, 2000).map(lambda n: 2 * n))
    def test_a_short_side_keeps_the_aspect_and_is_even(self, height, width, short):
        new_height, new_width = fitted_size(height, width, short)
        assert min(new_height, new_width) == short
        assert new_height % 2 == new_width % 2 == 0
        exact = Fraction(short, min(height, width)) * max(height, width)
        assert abs(max(new_height, new_width) - exact) <= 1
        assert (
            (new_height >= new_width) == (height >= width)
            or height == width
            or short == (new_height) == (new_width)
        )

    def test_none_and_exact(self):
        assert fitted_size(47, 63) == (47, 63)
        assert fitted_size(47, 63, (99, 31)) == (99, 31)

    @pytest.mark.parametrize("size", [0, -2, (0, 10), (10, 1)])
    def test_too_small(self, size):
        with pytest.raises(ValueError, match="at least 2"):
            fitted_size(480, 640, size)

    @pytest.mark.parametrize("size", [(16, 24), (90, 62), (32, 48)])
    def test_resized_in_the_same_pass(self, size):
        y, x = np.mgrid[0:32, 0:48]
        image = np.stack([5 * x, 7 * y, 0 * x + 90], axis=-1).astype(np.uint8)
        resized = to_rgb(to_video_frame(image, "yuv444p"), size=size)
        assert resized.shape == (*size, 3)
        assert abs(resized.mean() - image.mean()) < 1.5
        assert np.abs(resized[..., 2].astype(int) - 90).max() <= 3


class TestTurns:
    @pytest.mark.parametrize("matrix", [(a, 0, 0, d) for a in (1, -1) for d in (1, -1)])
    @pytest.mark.parametrize("swap", [False, True])
    def test_pixels_go_where_the_matrix_says(self, matrix, swap):
        if swap:
            matrix = (0, matrix[0], matrix[3], 0)
        a, b, c, d = matrix
        image = np.arange(4 * 5 * 3, dtype=np.uint8).reshape(4, 5, 3)
        positions = {(x, y): (a * x + c * y, b * x + d * y) for y in range(4) for x in range(5)}
        left, top = (min(p[k] for p in positions.values()) for k in (0, 1))
        out = apply_display_matrix(image, tuple(65536 * n for n in matrix))
        assert transposes(matrix) == swap
        assert out.shape == ((5, 4, 3) if swap else (4, 5, 3)) and out.flags.c_contiguous
        for (x, y), (new_x, new_y) in positions.items():
            assert (out[new_y - top, new_x - left] == image[y, x]).all()


class TestWithColorOf:
    @pytest.fixture
    def pair(self):
        rng = np.random.default_rng(3)
        return rng.integers(0, 256, (2, 70, 41, 3), dtype=np.uint8)

    def test_own_colors_change_nothing(self, pair):
        assert (with_color_of(pair[0], pair[0]) == pair[0]).all()

    def test_luminance_is_the_stylized_ones(self, pair):
        out = with_color_of(pair[0], pair[1])
        # Every channel is rounded by half a level at most, and the shift by another half.
        assert np.abs(out @ LUMA - pair[0] @ LUMA).max() <= 1

    def test_hue_is_the_originals_and_nothing_is_clipped(self, pair):
        out = with_color_of(pair[0], pair[1]).astype(float)
        ours = out - (out @ LUMA)[..., None]
        theirs = pair[1] - (pair[1] @ LUMA)[..., None]
        # Parallel to the original's chroma, and not longer: up to rounding.
        along = (ours * theirs).sum(-1) / np.maximum((theirs**2).sum(-1), 1e-9)
        assert along.max() <= 1.05 or np.abs(theirs[along > 1.05]).max() < 20
        assert np.abs(ours - along[..., None] * theirs).max() <= 1.5

    def test_where_nothing_leaves_the_cube_it_is_a_shift(self):
        """The formula itself, on colors with room around them."""
        rng = np.random.default_rng(4)
        stylized, original = rng.integers(96, 160, (2, 50, 37, 3), dtype=np.uint8)
        shifted = original + ((stylized.astype(float) - original) @ LUMA)[..., None]
        assert np.abs(with_color_of(stylized, original) - shifted).max() <= 0.51

    def test_of_gray_is_gray(self, pair):
        gray = np.repeat(pair[1][..., :1], 3, axis=-1)
        out = with_color_of(pair[0], gray)
        assert (out == out[..., :1]).all()


@pytest.mark.parametrize("pixel_format", ["yuv420p", "yuv422p", "yuvj422p", "yuyv422", "yuv444p"])
@pytest.mark.parametrize("full_range", [False, True])
@pytest.mark.parametrize("matrix", [1, 6])
@pytest.mark.parametrize("size", [(32, 48), (33, 47), (2, 2)])
def test_quick_colors_are_the_same_but_for_rounding(
    pixel_format: str, full_range: bool, matrix: int, size: tuple[int, int]
) -> None:
    for color in COLORS:
        picture = np.full((*size, 3), color, np.uint8)
        tags = ColorTags(matrix=matrix, full_range=full_range or "j" in pixel_format)
        frame = to_video_frame(picture, pixel_format, tags)
        exact, quick = to_rgb(frame).astype(int), to_rgb(frame, quick=True).astype(int)
        assert np.abs(quick - exact).max() <= 3  # fractions cut off at each of three steps


@pytest.mark.parametrize("size", [None, (144, 48), (143, 47), (400, 140)])
@pytest.mark.parametrize("pixel_format", ["yuv420p", "yuvj422p", "nv12"])
@pytest.mark.parametrize("color", [ColorTags(matrix=1), ColorTags(matrix=6, full_range=True)])
def test_quick_rgb_is_resized_before_conversion(pixel_format, size, color) -> None:
    """Resized before chroma is repeated, so sharp edges of color differ; flat color does not."""
    rows = np.repeat(np.array(COLORS, np.uint8), 48, axis=0)
    image = np.ascontiguousarray(np.broadcast_to(rows[:, None], (288, 96, 3)))
    frame = to_video_frame(image, pixel_format, color)
    exact, quick = (to_rgb(frame, size=size, quick=q).astype(int) for q in (False, True))
    assert quick.shape == exact.shape == (*(size or (288, 96)), 3)
    bar = len(quick) / 6
    middle = [round(bar * (k + 0.5)) for k in range(6)]
    assert np.abs(quick[middle] - exact[middle]).max() <= 4


def test_a_live_frame_is_averaged_as_well_in_steps_as_at_once():
    (image,) = make_pictures(1, 120, 160)
    for size, least in [((60, 80), 99), ((90, 120), 35), ((45, 60), 33), ((30, 40), 45)]:
        quick, exact = quickly_resized(image, size), resized(image, size)
        assert quick.shape == (*size, 3)
        error = np.square(quick.astype(float) - exact).mean()
        assert 10 * np.log10(255**2 / max(error, 1e-9)) > least
    assert np.array_equal(quickly_resized(image, (120, 160)), image)
    larger = quickly_resized(image, (150, 200))
    assert np.array_equal(larger, resized(image, (150, 200), bicubic=True))
