"""HDR and wide gamut to SDR: tone mapping and gamut conversion to BT.709 by a 3D LUT.

What the network, 8-bit codecs and GIF take is BT.709. The equations are the standards': the
transfer functions of ITU-R BT.2100-2, reference white at 203 cd/m2 (BT.2408), the roll-off of
BT.2390-10 section 5.4.1 and the display of BT.1886. They are evaluated once, at the points of a 3D
LUT; FFmpeg's haldclut interpolates in it.
"""

import math
from collections.abc import Sequence
from dataclasses import replace
from fractions import Fraction
from functools import cache
from typing import Any

import av
import av.filter
import numpy as np
from av.video.format import VideoFormat
from av.video.reformatter import VideoReformatter

from impasto.realtime.frame import ColorTags, HdrMetadata
from impasto.realtime.pixels import (
    BT709,
    UNSPECIFIED,
    color_of,
    is_limited_gray,
    to_gbrp16,
    with_alpha_of,
)

PQ, HLG = 16, 18  # transfer functions, by ITU-T H.273
HDR_NAMES = {PQ: "PQ", HLG: "HLG"}
REFERENCE_WHITE = 203.0  # cd/m2, of graphics and diffuse white in HDR: BT.2408
_PEAK = 1000.0  # cd/m2, of the display that HLG is rendered for, and of most films in PQ
_SRGB = 13
_GAMMA = 2.4  # of a display for SDR: BT.1886

# Primaries and white point of H.273's code points, in CIE 1931 x and y: red, green, blue, white.
BT709_PRIMARIES = ((0.640, 0.330), (0.300, 0.600), (0.150, 0.060), (0.3127, 0.3290))
_WIDE_GAMUTS = {
    9: ((0.708, 0.292), (0.170, 0.797), (0.131, 0.046), (0.3127, 0.3290)),
    11: ((0.680, 0.320), (0.265, 0.690), (0.150, 0.060), (0.314, 0.351)),
    12: ((0.680, 0.320), (0.265, 0.690), (0.150, 0.060), (0.3127, 0.3290)),
}
_GAMUT_NAMES = {9: "BT.2020", 11: "DCI-P3", 12: "Display P3"}

_POINTS = 64  # of the LUT a side; a square number, as haldclut reads it from a square picture


def is_sdr_bt709(color: ColorTags) -> bool:
    """Whether pictures with these tags are shown right as SDR in BT.709, or nearly (BT.601)."""
    return color.transfer not in HDR_NAMES and color.primaries not in _WIDE_GAMUTS


def color_name(color: ColorTags) -> str:
    """What pictures with these tags are, in a word: HLG, PQ, a wide gamut, or BT.709."""
    return HDR_NAMES.get(color.transfer) or _GAMUT_NAMES.get(color.primaries, "BT.709")


def sdr_note(color: ColorTags) -> str | None:
    """What `SdrConverter` does to pictures with these tags, in a line; None if nothing."""
    if is_sdr_bt709(color):
        return None
    if color.transfer in HDR_NAMES:
        return f"HDR ({color_name(color)}): tone-mapped to SDR (BT.709)"
    return f"wide gamut ({color_name(color)}): converted to BT.709"


def sdr_color(color: ColorTags) -> ColorTags:
    """The tags of what `SdrConverter` makes of pictures with the tags `color`."""
    transfer = _SRGB if color.transfer == _SRGB else BT709
    return ColorTags(primaries=BT709, transfer=transfer, matrix=BT709)


def known_color(frame: av.VideoFrame, hdr: HdrMetadata | None) -> ColorTags:
    """The tags of a decoded frame; with static metadata of HDR, an unspecified transfer is PQ."""
    color = color_of(frame)
    unsaid = hdr is not None and color.transfer == UNSPECIFIED
    return replace(color, transfer=PQ) if unsaid else color


class SdrConverters:
    """The converters to SDR of a stream's frames, by their tags, which may change.

    hdr: the stream's static metadata.
    """

    def __init__(self, hdr: HdrMetadata | None = None) -> None:
        self._hdr = hdr
        self._by_tags: dict[tuple[int, int], SdrConverter | None] = {}

    def of(self, frame: av.VideoFrame) -> "SdrConverter | None":
        """What makes SDR of BT.709 of a decoded frame; None if it is that."""
        tags = (frame.color_primaries, frame.color_trc)
        if tags not in self._by_tags:
            color = known_color(frame, self._hdr)
            peak = None if self._hdr is None else self._hdr.peak
            self._by_tags[tags] = None if is_sdr_bt709(color) else SdrConverter(color, peak)
        return self._by_tags[tags]


class SdrConverter:
    """Converts decoded frames of HDR or a wide gamut to RGB for SDR displays of BT.709.

    color: the tags of the frames. peak: the brightest light in them, cd/m2, which becomes white in
    PQ: the maximum content light level, or that of the mastering display; None: 1000. It is read
    as 1000 at most, so that reference white stays near white; the few brighter lights are clipped.
    HLG has no absolute brightness and is rendered for 1000 cd/m2.

    24 ms of one core at 1280x720, of which the LUT takes 16. Keep one for a stream.
    """

    def __init__(self, color: ColorTags, peak: float | None = None) -> None:
        self._color = color
        self._peak = min(max(peak or _PEAK, REFERENCE_WHITE), _PEAK)
        self._scaler = VideoReformatter()
        self._shape: tuple[int, int, bool] | None = None  # that the graph is made for
        self._graph = av.filter.Graph()
        self._source: Any = None  # of the graph
        self._frames = 0

    def __call__(
        self,
        frame: av.VideoFrame,
        *,
        size: tuple[int, int] | None = None,
        background: int | None = 0,
    ) -> np.ndarray:
        """A frame as RGB, resized to `size`; see `pixels.to_rgb`, also for `background`.

        Returns (H, W, 3) uint8, contiguous, coded for BT.709, or (H, W, 4) with straight alpha.
        """
        planar = to_gbrp16(frame, size=size, scaler=self._scaler)
        shape = (planar.width, planar.height, is_limited_gray(frame))
        if shape != self._shape:
            width, height, limited_gray = self._shape = shape
            lut = _lut(self._color.primaries, self._color.transfer, self._peak, limited_gray)
            self._graph, self._source = _haldclut(width, height, lut)
        planar.pts, planar.time_base = self._frames, Fraction(1, 1000)
        self._frames += 1
        self._source.push(planar)
        # By way of gbrp, for which swscale has vector code.
        mapped = self._graph.vpull().reformat(format="gbrp", threads=1)
        rgb = np.ascontiguousarray(mapped.reformat(format="rgb24", threads=1).to_ndarray())
        return with_alpha_of(frame, rgb, background)


def _haldclut(width: int, height: int, lut: np.ndarray) -> tuple[av.filter.Graph, Any]:
    """A graph that maps planar RGB of 16 bits by a 3D LUT, and where its frames are pushed.

    lut: (N, N, N, 3) uint16, indexed by blue, green and red; N a square number.
    """
    graph, unit, kind = av.filter.Graph(), Fraction(1, 1000), VideoFormat("gbrp16le")
    side = math.isqrt(lut.size // 3)
    picture = lut.reshape(side, side, 3)
    source = graph.add_buffer(width=width, height=height, format=kind, time_base=unit)
    table = graph.add_buffer(
        width=picture.shape[1], height=picture.shape[0], format=kind, time_base=unit
    )
    haldclut = graph.add("haldclut", "interp=tetrahedral:clut=first")
    source.link_to(haldclut, 0, 0)
    table.link_to(haldclut, 0, 1)
    haldclut.link_to(graph.add("buffersink"))
    graph.configure()
    frame = av.VideoFrame.from_ndarray(picture, format="gbrp16le")
    frame.pts, frame.time_base = 0, unit
    table.push(frame)
    table.push(None)
    return graph, source


@cache
def _plane_order() -> list[int]:
    """Which component of a LUT haldclut takes for red, green and blue.

    FFmpeg 8.1 reads the planes of planar RGB, which are G, B and R, as if they were R, G and B; a
    later one may not.
    """
    levels = np.array([0, 21845, 43690, 65535], np.uint16)
    graph, source = _haldclut(32, 1, _grid(levels))
    color = levels[[1, 2, 3]]
    frame = av.VideoFrame.from_ndarray(np.tile(color, (1, 32, 1)), format="gbrp16le")
    frame.pts, frame.time_base = 0, Fraction(1, 1000)
    source.push(frame)
    mapped = graph.vpull().to_ndarray()[0, 0].astype(int)
    return [int(np.abs(color.astype(int) - component).argmin()) for component in mapped]


def _grid(levels: np.ndarray) -> np.ndarray:
    """(N, N, N, 3): RGB by blue, green and red, at these N levels of each."""
    blue, green, red = np.meshgrid(levels, levels, levels, indexing="ij")
    return np.stack([red, green, blue], axis=-1)


@cache
def _lut(primaries: int, transfer: int, peak: float, limited_gray: bool) -> np.ndarray:
    """The LUT: (64, 64, 64, 3) uint16, indexed by blue, green and red."""
    points = np.linspace(0, 1, _POINTS)
    if limited_gray:  # swscale takes every gray for full range
        points = np.clip((points * 255 - 16) / 219, 0, 1)
    sdr = to_sdr(_grid(points), primaries, transfer, peak)
    lut = np.empty((*sdr.shape[:3], 3), np.uint16)
    lut[..., _plane_order()] = np.round(sdr * 65535)
    return lut


def to_sdr(coded: np.ndarray, primaries: int, transfer: int, peak: float = _PEAK) -> np.ndarray:
    """Coded RGB of HDR or a wide gamut as coded RGB of BT.709, both (..., 3) in [0, 1].

    primaries, transfer: code points of H.273. peak: cd/m2, of PQ.
    """
    if transfer in HDR_NAMES:
        light = hlg_light(coded) if transfer == HLG else pq_light(coded)
        light = _rolled_off(light, peak if transfer == PQ else _PEAK) / REFERENCE_WHITE
    else:
        light = srgb_light(coded) if transfer == _SRGB else coded**_GAMMA
    if primaries in _WIDE_GAMUTS or transfer in HDR_NAMES:
        light = _inside_gamut(light @ _to_bt709(primaries).T)
    return srgb_coded(light) if transfer == _SRGB else light ** (1 / _GAMMA)


def pq_light(coded: np.ndarray) -> np.ndarray:
    """Light in cd/m2, of PQ in [0, 1]: the EOTF of SMPTE ST 2084, BT.2100-2 table 4."""
    power = np.power(coded, 1 / _M2)
    return 10000 * np.power(np.maximum(power - _C1, 0) / (_C2 - _C3 * power), 1 / _M1)


def pq_coded(light: np.ndarray) -> np.ndarray:
    """PQ in [0, 1], of light in cd/m2: the inverse EOTF, BT.2100-2 table 4."""
    power = np.power(light / 10000, _M1)
    return np.power((_C1 + _C2 * power) / (1 + _C3 * power), _M2)


def hlg_light(coded: np.ndarray) -> np.ndarray:
    """Light in cd/m2 on a display of 1000 cd/m2, of HLG, (..., 3) RGB in [0, 1].

    The inverse OETF and the OOTF of BT.2100-2 table 5, with a system gamma of 1.2.
    """
    a, b, c = 0.17883277, 0.28466892, 0.55991073
    scene = np.where(coded <= 0.5, coded**2 / 3, (np.exp((coded - c) / a) + b) / 12)
    luminance = scene @ np.array([0.2627, 0.6780, 0.0593])
    return _PEAK * np.power(luminance, 0.2)[..., None] * scene


# Constants of PQ.
_M1, _M2 = 2610 / 16384, 2523 / 4096 * 128
_C1, _C2, _C3 = 3424 / 4096, 2413 / 4096 * 32, 2392 / 4096 * 32


def _rolled_off(light: np.ndarray, peak: float) -> np.ndarray:
    """Light of at most `peak`, as light of at most reference white, (..., 3) RGB in cd/m2.

    The EETF of BT.2390-10 section 5.4.1, for black at 0, applied to the largest of R, G and B; the
    other two keep their ratio to it, and the color its hue.
    """
    white = pq_coded(np.array(peak))
    largest = light.max(axis=-1, keepdims=True)
    relative = np.minimum(pq_coded(largest) / white, 1)
    max_lum = float(pq_coded(np.array(REFERENCE_WHITE)) / white)
    knee = 1.5 * max_lum - 0.5
    if knee < 1:
        t = np.maximum(relative - knee, 0) / (1 - knee)
        spline = (
            (2 * t**3 - 3 * t**2 + 1) * knee
            + (t**3 - 2 * t**2 + t) * (1 - knee)
            + (-2 * t**3 + 3 * t**2) * max_lum
        )
        relative = np.where(relative < knee, relative, spline)
    return light * (pq_light(relative * white) / np.maximum(largest, 1e-6))


def _inside_gamut(light: np.ndarray) -> np.ndarray:
    """Linear RGB of BT.709, (..., 3), brought into [0, 1].

    Negative components become 0, which keeps a primary a primary; then a color with a component
    above 1 is darkened, as clipping would change its hue.
    """
    positive = np.maximum(light, 0)
    return positive / np.maximum(positive.max(axis=-1, keepdims=True), 1)


@cache
def _to_bt709(primaries: int) -> np.ndarray:
    """(3, 3): linear RGB of these primaries to that of BT.709, white to white.

    HDR with unspecified primaries is taken for BT.2020.
    """
    wide = _WIDE_GAMUTS.get(primaries, BT709_PRIMARIES)
    if primaries == UNSPECIFIED:
        wide = _WIDE_GAMUTS[9]
    return (
        np.linalg.inv(rgb_to_xyz(BT709_PRIMARIES)) @ adaptation_to_d65(wide[3]) @ rgb_to_xyz(wide)
    )


def rgb_to_xyz(chromaticities: Sequence[tuple[float, float]]) -> np.ndarray:
    """(3, 3): linear RGB to CIE XYZ, with white at Y = 1 (SMPTE RP 177)."""
    xyz = np.array([(x / y, 1, (1 - x - y) / y) for x, y in chromaticities])
    return xyz[:3].T * np.linalg.solve(xyz[:3].T, xyz[3])


def adaptation_to_d65(white: tuple[float, float]) -> np.ndarray:
    """(3, 3): XYZ seen under this white point to XYZ under D65, by Bradford's method."""
    cones = np.array(
        [[0.8951, 0.2664, -0.1614], [-0.7502, 1.7135, 0.0367], [0.0389, -0.0685, 1.0296]]
    )
    old, new = (cones @ (x / y, 1, (1 - x - y) / y) for x, y in (white, BT709_PRIMARIES[3]))
    return np.linalg.inv(cones) @ np.diag(new / old) @ cones


def srgb_light(coded: np.ndarray) -> np.ndarray:
    """Linear light of sRGB, in [0, 1]: IEC 61966-2-1."""
    return np.where(coded <= 0.04045, coded / 12.92, ((coded + 0.055) / 1.055) ** 2.4)


def srgb_coded(light: np.ndarray) -> np.ndarray:
    """The inverse of `srgb_light`."""
    return np.where(light <= 0.0031308, 12.92 * light, 1.055 * light ** (1 / 2.4) - 0.055)
