"""HDR and wide gamut to SDR, against the standards' equations written out one number at a time."""

import colorsys
import math

import av
import numpy as np
import pytest

from impasto.realtime.frame import ColorTags, HdrMetadata
from impasto.realtime.pixels import to_rgb, to_video_frame
from impasto.realtime.tone_mapping import SdrConverter, SdrConverters, is_sdr_bt709, sdr_color

HLG, PQ = 18, 16
WHITE = 203.0  # cd/m2
FORMATS = ("yuv420p10le", "yuv444p10le", "yuv422p12le", "p010le", "gbrp10le", "gray10le")


def nits_of_hlg(signal: float) -> float:
    """A gray in HLG on a display of 1000 cd/m2: BT.2100, where the OOTF of a gray is E ** 1.2."""
    if signal <= 0.5:
        scene = signal * signal / 3
    else:
        scene = (math.exp((signal - 0.55991073) / 0.17883277) + 0.28466892) / 12
    return 1000 * scene**1.2


def nits_of_pq(signal: float) -> float:
    root = signal ** (1 / 78.84375)
    return 10000 * (max(root - 0.8359375, 0) / (18.8515625 - 18.6875 * root)) ** (
        1 / 0.1593017578125
    )


def pq_of(nits: float) -> float:
    root = (nits / 10000) ** 0.1593017578125
    return ((0.8359375 + 18.8515625 * root) / (1 + 18.6875 * root)) ** 78.84375


def sdr_of(nits: float, peak: float = 1000.0) -> float:
    """The level of a gray in 8 bits: BT.2390's EETF to 203 cd/m2, then BT.1886 backwards."""
    top = pq_of(peak)
    value, ceiling = min(pq_of(nits) / top, 1.0), pq_of(WHITE) / top
    knee = 1.5 * ceiling - 0.5
    if value > knee:
        t = (value - knee) / (1 - knee)
        value = (2 * t**3 - 3 * t**2 + 1) * knee
        value += (t**3 - 2 * t**2 + t) * (1 - knee) + (-2 * t**3 + 3 * t**2) * ceiling
    return 255 * (nits_of_pq(value * top) / WHITE) ** (1 / 2.4)


def gray_frame(signal: float, pixel_format: str, transfer: int, *, full: bool) -> av.VideoFrame:
    """64x16 pixels of one gray in [0, 1], its samples put in by hand."""
    frame = av.VideoFrame(64, 16, pixel_format)
    bits = frame.format.components[0].bits
    black, span = (0, 2**bits - 1) if full else (16 << (bits - 8), 219 << (bits - 8))
    for index, plane in enumerate(frame.planes):
        is_chroma = index and not frame.format.is_rgb
        sample = 1 << (bits - 1) if is_chroma else round(black + span * signal)
        if pixel_format == "p010le":
            sample <<= 6
        plane.update(np.full(plane.buffer_size // 2, sample, np.uint16).tobytes())
    frame.color_primaries, frame.color_trc, frame.colorspace = 9, transfer, 9
    frame.color_range = 2 if full else 1
    return frame


class TestGrays:
    @pytest.mark.parametrize("pixel_format", FORMATS)
    @pytest.mark.parametrize("full", [False, True])
    @pytest.mark.parametrize(("transfer", "nits_of"), [(HLG, nits_of_hlg), (PQ, nits_of_pq)])
    def test_by_the_standards_in_every_format(self, transfer, nits_of, full, pixel_format):
        full = full or pixel_format.startswith("gbr")
        convert = SdrConverter(ColorTags(9, transfer, 9))
        for signal in (0.0, 0.1, 0.25, 0.38, 0.5, 0.58, 0.75, 1.0):
            picture = convert(gray_frame(signal, pixel_format, transfer, full=full))
            assert picture.shape == (16, 64, 3) and picture.dtype == np.uint8
            # Two levels: 10 bits, the LUT's points and the last rounding.
            assert np.abs(picture.astype(float) - sdr_of(nits_of(signal))).max() <= 2

    def test_reference_white_and_middle_gray(self):
        """BT.2408, table 1: 203 cd/m2 is 75 % HLG and 58 % PQ, an 18 % gray of 26 is 38 %."""
        for transfer, white, gray in ((HLG, 0.75, 0.38), (PQ, 0.58, 0.38)):
            convert = SdrConverter(ColorTags(9, transfer, 9))
            at = [
                int(convert(gray_frame(signal, "yuv420p10le", transfer, full=False))[8, 8, 1])
                for signal in (white, gray)
            ]
            assert at[0] >= 0.9 * 255
            assert abs(at[1] - 255 * (26 / 203) ** (1 / 2.4)) <= 3

    @pytest.mark.parametrize(("peak", "used"), [(400, 400), (4000, 1000), (None, 1000)])
    def test_the_peak_becomes_white(self, peak, used):
        convert = SdrConverter(ColorTags(9, PQ, 9), peak)
        for nits in (20, 100, 203, 350):
            picture = convert(gray_frame(pq_of(nits), "yuv420p10le", PQ, full=False))
            assert np.abs(picture.astype(float) - sdr_of(nits, used)).max() <= 2


def coded(light: np.ndarray, transfer: int) -> np.ndarray:
    """(3,) light in cd/m2 as PQ, or as a signal of BT.1886 with white at 203 cd/m2."""
    if transfer == PQ:
        return np.array([pq_of(value) for value in light])
    return (light / WHITE) ** (1 / 2.4)


def frame_of_color(signal: np.ndarray, color: ColorTags) -> av.VideoFrame:
    samples = np.tile(np.round(signal * 65535).astype(np.uint16), (16, 64, 1))
    frame = av.VideoFrame.from_ndarray(samples, format="gbrp16le")
    frame.color_primaries, frame.color_trc = color.primaries, color.transfer
    return frame


class TestColors:
    @pytest.mark.parametrize("primaries", [9, 11, 12])
    @pytest.mark.parametrize("transfer", [1, HLG, PQ])
    def test_primaries_stay_in_their_hue(self, primaries, transfer):
        tags = ColorTags(primaries, transfer, 9)
        for component, hue in enumerate((0, 120, 240)):
            signal = np.zeros(3)
            signal[component] = 0.6
            picture = SdrConverter(tags)(frame_of_color(signal, tags))
            red, green, blue = picture[8, 8] / 255
            found, saturation, _ = colorsys.rgb_to_hsv(red, green, blue)
            assert abs((360 * found - hue + 180) % 360 - 180) <= 4 and saturation > 0.8

    # The columns are BT.709's primaries in linear light of BT.2020 (BT.2087) and Display P3.
    MATRICES = {
        9: [[0.6274, 0.3293, 0.0433], [0.0691, 0.9195, 0.0114], [0.0164, 0.0880, 0.8956]],
        12: [[0.8225, 0.1775, 0.0], [0.0332, 0.9668, 0.0], [0.0171, 0.0724, 0.9105]],
    }

    @pytest.mark.parametrize("primaries", MATRICES)
    @pytest.mark.parametrize("transfer", [1, PQ])
    def test_colors_of_bt709_come_back(self, primaries, transfer):
        """Below the roll-off they are what they were before they were put in a wider gamut."""
        tags = ColorTags(primaries, transfer, 9)
        for rgb in ((150, 40, 60), (30, 140, 80), (50, 60, 150), (120, 110, 20)):
            light = WHITE * (np.array(rgb) / 255) ** 2.4
            signal = coded(np.array(self.MATRICES[primaries]) @ light, transfer)
            picture = SdrConverter(tags)(frame_of_color(signal, tags))
            assert np.abs(picture[8, 8].astype(float) - rgb).max() <= 3

    def test_grays_of_a_wide_gamut_are_not_changed(self):
        for transfer in (1, 13):
            tags = ColorTags(12, transfer, 1)
            for level in (20, 128, 235, 255):
                picture = SdrConverter(tags)(frame_of_color(np.full(3, level / 255), tags))
                assert np.abs(picture.astype(int) - level).max() <= 1

    def test_bright_colors_do_not_change_their_hue(self):
        """Orange of 1000 cd/m2: clipped channel by channel it would be yellow."""
        tags = ColorTags(9, PQ, 9)
        signal = coded(np.array([1000.0, 400.0, 100.0]), PQ)
        red, green, _ = SdrConverter(tags)(frame_of_color(signal, tags))[8, 8] / 255
        assert red > 0.98 and 0.5 < green < 0.75


class TestPictures:
    def test_resized_and_turned_into_new_sizes(self):
        convert = SdrConverter(ColorTags(9, HLG, 9))
        for size in (None, (8, 32), (31, 63), None):
            frame = gray_frame(0.5, "yuv420p10le", HLG, full=False)
            picture = convert(frame, size=size)
            assert picture.shape == (*(size or (16, 64)), 3) and picture.flags.c_contiguous
            assert np.ptp(picture) <= 1

    def test_alpha_is_kept_or_laid_over_black(self):
        rgba = np.full((16, 64, 4), 40000, np.uint16)
        rgba[:, :32, 3], rgba[:, 32:, 3] = 0, 65535
        frame = av.VideoFrame.from_ndarray(rgba, format="rgba64le")
        frame.color_primaries, frame.color_trc = 9, HLG
        convert = SdrConverter(ColorTags(9, HLG))
        with_alpha = convert(frame, background=None)
        assert with_alpha.shape == (16, 64, 4)
        assert (with_alpha[:, :32, 3] == 0).all() and (with_alpha[:, 32:, 3] == 255).all()
        flat = convert(frame)
        assert (flat[:, :32] == 0).all() and (flat[:, 33:] == with_alpha[:, 33:, :3]).all()

    @pytest.mark.parametrize(
        "color", [ColorTags(), ColorTags(1, 1, 1), ColorTags(6, 6, 6), ColorTags(5, 6, 5)]
    )
    def test_sdr_is_left_as_it_is(self, color):
        frame = to_video_frame(np.full((16, 64, 3), 90, np.uint8), "yuv420p", color)
        assert is_sdr_bt709(color) and SdrConverters().of(frame) is None

    def test_an_unspecified_transfer_is_sdr_unless_it_comes_with_metadata_of_hdr(self):
        frame = gray_frame(0.58, "yuv420p10le", 2, full=False)
        sdr = SdrConverters().of(frame)
        assert sdr is not None  # a wide gamut: its grays do not change
        assert np.abs(sdr(frame).astype(int) - to_rgb(frame)).max() <= 1
        hdr = SdrConverters(HdrMetadata(light_level=(1000, 400))).of(frame)
        assert hdr is not None and hdr(frame).min() >= 0.9 * 255

    def test_the_tags_of_the_result(self):
        assert sdr_color(ColorTags(9, PQ, 9, full_range=True)) == ColorTags(1, 1, 1)
        assert sdr_color(ColorTags(12, 13, 1)) == ColorTags(1, 13, 1)
