"""Every change of layout, dtype, color order and size of a picture.

Pictures are (H, W, 3) uint8 RGB arrays; PyAV's frames are whatever a codec wants. The arithmetic
is FFmpeg's swscale throughout; what is decided here is the matrix, the range, where chroma is
sited and how it is interpolated, because swscale's own defaults are faster and wrong.
"""

from fractions import Fraction
from typing import TYPE_CHECKING, Any

import av
import av.filter
import numpy as np
from av.video.format import VideoFormat
from av.video.plane import VideoPlane
from av.video.reformatter import ColorRange, Colorspace, Interpolation, VideoReformatter

from impasto.realtime.frame import ColorTags, Frame

if TYPE_CHECKING:  # where there are tensors, torch is loaded already
    from torch import Tensor

# Code points of ITU-T H.273.
UNSPECIFIED, BT709, BT601, BT2020, BT2020_CONSTANT_LUMINANCE = 2, 1, 6, 9, 10
_LIMITED, _FULL = ColorRange.MPEG.value, ColorRange.JPEG.value
_SWSCALE_MATRIX = {
    1: Colorspace.ITU709,
    4: Colorspace.FCC,
    5: Colorspace.ITU601,
    6: Colorspace.ITU601,
    7: Colorspace.SMPTE240M,
    9: Colorspace.BT2020,
}
_FILTER_MATRIX = {
    1: "bt709",
    4: "fcc",
    5: "bt470bg",
    6: "smpte170m",
    7: "smpte240m",
    9: "bt2020",
}

# Full chroma interpolation: 47 dB against the original of a saturated photo; swscale's default
# repeats chroma samples instead and reaches 43 dB. It has vector code for planar RGB only, so the
# way to packed RGB goes through that: 2.0 ms of one core at 1280x720, and 3.3 without the detour.
_SAME_SIZE = (
    Interpolation.BILINEAR
    | Interpolation.ACCURATE_RND
    | Interpolation.FULL_CHR_H_INT
    | Interpolation.FULL_CHR_H_INP
)
# What swscale converts to packed RGB by its own vector code, if nothing finer is asked for; and
# what it converts to such by vector code.
_QUICK = {"yuv420p", "yuvj420p", "yuv422p", "yuvj422p"}
_SEMI_PLANAR = {"nv12", "nv21"}
_RESIZE = Interpolation.BICUBIC | Interpolation.ACCURATE_RND | Interpolation.FULL_CHR_H_INT
_LUMA = (np.float32(0.2126), np.float32(0.7152), np.float32(0.0722))  # BT.709
_TINY, _HALF = np.float32(1e-3), np.float32(0.5)
_LIMITED_TO_FULL = np.clip(np.rint((np.arange(256) - 16) * (255 / 219)), 0, 255).astype(np.uint8)


def matrix_for(matrix: int, height: int) -> int:
    """The H.273 matrix to convert with, where a file says `matrix`.

    Untagged pictures, and those tagged with what swscale cannot do, are BT.709 from 720 lines up
    and BT.601 below, as players assume. Constant-luminance BT.2020 is read as the other, likewise.
    """
    if matrix == BT2020_CONSTANT_LUMINANCE:
        return BT2020
    if matrix in _SWSCALE_MATRIX:
        return matrix
    return BT709 if height >= 720 else BT601


def has_known_matrix(matrix: int) -> bool:
    """Whether conversion by this matrix of H.273 is supported."""
    return matrix in _SWSCALE_MATRIX or matrix == BT2020_CONSTANT_LUMINANCE


def fitted_size(
    height: int, width: int, size: int | tuple[int, int] | None = None
) -> tuple[int, int]:
    """The (height, width) that a picture of (height, width) gets when `size` is asked for.

    size: None keeps it; an int is the short side, aspect kept, both sides made even;
    a (height, width) is taken as it is. Raises ValueError for a side below 2.
    """
    if size is None:
        return height, width
    if isinstance(size, int):
        scale = Fraction(size, min(height, width))
        height, width = (max(2, 2 * round(side * scale / 2)) for side in (height, width))
        asked = size
    else:
        height, width = size
        asked = min(size)
    if asked < 2:
        raise ValueError(f"expected a size of at least 2 pixels, got {size}; give a larger one")
    return height, width


def even_sized(image: np.ndarray) -> np.ndarray:
    """A picture without its last row or column where their number is odd; a view of it."""
    return image[: image.shape[0] & ~1, : image.shape[1] & ~1]


def color_of(frame: av.VideoFrame) -> ColorTags:
    """The tags of a decoded frame, for the file made of it.

    The matrix is the one it is converted with, or 2 where it has none that we know. RGB, palette
    and gray have no matrix and no range to keep.
    """
    pixel_format = frame.sw_format or frame.format
    is_yuv = _is_yuv(pixel_format)
    known = is_yuv and has_known_matrix(frame.colorspace)
    return ColorTags(
        primaries=frame.color_primaries,
        transfer=frame.color_trc,
        matrix=matrix_for(frame.colorspace, frame.height) if known else UNSPECIFIED,
        full_range=is_yuv and _is_full_range(frame, pixel_format),
    )


def bit_depth_of(pixel_format: VideoFormat) -> int:
    """Bits of one component: 8 for yuv420p, rgb24 and palettes, 10 for yuv420p10le."""
    if pixel_format.has_palette:
        return 8
    return max(component.bits for component in pixel_format.components)


def to_rgb(
    frame: av.VideoFrame,
    *,
    size: tuple[int, int] | None = None,
    background: int | None = 0,
    scaler: VideoReformatter | None = None,
    quick: bool = False,
) -> np.ndarray:
    """A decoded frame as an RGB picture, resized to `size` in the same pass.

    The frame's own matrix and range are used (`matrix_for` where it has none). Where it has
    transparency, it is laid over `background` (0 black to 255 white). Keep one `scaler` for a
    stream: it saves the set-up, and its threads.
    quick: repeat chroma and cut fractions off where that is faster: 0.4 ms of one core at 1280x720
    instead of 2.5, for 8-bit 4:2:0 and 4:2:2; a photo comes out at 40 dB, not 45.

    Returns (H, W, 3) uint8, contiguous; where `background` is None, a frame with transparency gives
    (H, W, 4), straight alpha. Raises av.FFmpegError for formats swscale cannot read.
    """
    if quick and (planar := _resized_planar(frame, size, scaler)) is not None:
        frame, size, scaler = planar, None, None
    pixel_format = frame.sw_format or frame.format
    alpha = has_alpha(pixel_format)
    height, width = size or (frame.height, frame.width)
    small = max(height * width, frame.height * frame.width) < 500_000
    packed = "rgba" if alpha else "rgb24"
    same_size = (height, width) == (frame.height, frame.width)
    quick = quick and same_size and pixel_format.name in _QUICK
    exact = _SAME_SIZE if same_size else _RESIZE
    rgb = (scaler or VideoReformatter()).reformat(
        frame,
        width=width,
        height=height,
        format="gbrp" if _is_yuv(pixel_format) and not alpha and not quick else packed,
        src_colorspace=_SWSCALE_MATRIX[matrix_for(frame.colorspace, frame.height)].value,
        src_color_range=_FULL if _is_full_range(frame, pixel_format) else _LIMITED,
        dst_color_range=_FULL,
        interpolation=Interpolation.FAST_BILINEAR if quick else exact,
        threads=1 if small or quick else 0,  # waking threads takes longer than a small picture
    )
    image = np.ascontiguousarray(rgb.reformat(format=packed, threads=1).to_ndarray())
    if alpha and background is not None:
        image = composited(image, background)
    if is_limited_gray(frame):
        image = _LIMITED_TO_FULL[image]  # swscale takes every gray for full range
    return image


def to_gbrp16(
    frame: av.VideoFrame, *, size: tuple[int, int] | None, scaler: VideoReformatter
) -> av.VideoFrame:
    """A decoded frame as planar RGB of 16 bits and full range, resized to `size`; without alpha.

    The frame's own matrix and range are used, as in `to_rgb`; but gray is taken for full range:
    see `is_limited_gray`. Raises av.FFmpegError for formats swscale cannot read.
    """
    height, width = size or (frame.height, frame.width)
    same_size = (height, width) == (frame.height, frame.width)
    return scaler.reformat(
        frame,
        width=width,
        height=height,
        format="gbrp16le",
        src_colorspace=_SWSCALE_MATRIX[matrix_for(frame.colorspace, frame.height)].value,
        src_color_range=_FULL
        if _is_full_range(frame, frame.sw_format or frame.format)
        else _LIMITED,
        dst_color_range=_FULL,
        interpolation=_SAME_SIZE if same_size else _RESIZE,
    )


def is_limited_gray(frame: av.VideoFrame) -> bool:
    """Whether a frame is gray in limited range, which swscale does not tell from full range."""
    pixel_format = frame.sw_format or frame.format
    return pixel_format.name.startswith("gray") and frame.color_range == _LIMITED


def with_alpha_of(frame: av.VideoFrame, rgb: np.ndarray, background: int | None) -> np.ndarray:
    """RGB made of a frame, (H, W, 3) uint8, laid over `background` where the frame is transparent.

    Returns (H, W, 3); where `background` is None, a frame with an alpha channel gives (H, W, 4).
    """
    if not has_alpha(frame.sw_format or frame.format):
        return rgb
    height, width = rgb.shape[:2]
    alpha = frame.reformat(width=width, height=height, format="rgba").to_ndarray()[..., 3:]
    image = np.concatenate([rgb, alpha], axis=2)
    return image if background is None else composited(image, background)


def _resized_planar(
    frame: av.VideoFrame, size: tuple[int, int] | None, scaler: VideoReformatter | None
) -> av.VideoFrame | None:
    """A frame resized as planar Y'CbCr before its conversion to RGB; None if that gains nothing.

    It gains where the conversion is quick: 4:2:0 has half as many samples to resize as RGB.
    """
    name = (frame.sw_format or frame.format).name
    same_size = size is None or size == (frame.height, frame.width)
    if name not in _SEMI_PLANAR and (same_size or name not in _QUICK):
        return None
    height, width = size or (frame.height, frame.width)
    matrix = matrix_for(frame.colorspace, frame.height)
    color_range = _FULL if _is_full_range(frame, frame.sw_format or frame.format) else _LIMITED
    planar = (scaler or VideoReformatter()).reformat(
        frame,
        width=width,
        height=height,
        format="yuv420p" if name in _SEMI_PLANAR else name,
        src_colorspace=_SWSCALE_MATRIX[matrix].value,
        dst_colorspace=_SWSCALE_MATRIX[matrix].value,
        src_color_range=color_range,
        dst_color_range=color_range,
        interpolation=_RESIZE,
    )
    planar.colorspace, planar.color_range = matrix, color_range
    return planar


def rgb_of(frame: Frame) -> np.ndarray:
    """The picture of a frame, of any pixel format, as (H, W, 3) uint8 RGB."""
    if frame.color is None:
        return frame.image
    return to_rgb(yuv420p_video_frame(frame.image, frame.color))


def yuv420p_video_frame(image: np.ndarray, color: ColorTags) -> av.VideoFrame:
    """An image of yuv420p (see `Frame`) as a frame for an encoder, with its tags; without a pts."""
    frame = av.VideoFrame.from_ndarray(image, format="yuv420p")
    frame.colorspace = color.matrix
    frame.color_range = _FULL if color.full_range else _LIMITED
    frame.color_primaries, frame.color_trc = color.primaries, color.transfer
    return frame


def to_video_frame(
    image: np.ndarray, pixel_format: str, color: ColorTags | None = None
) -> av.VideoFrame:
    """An RGB picture as a frame for an encoder, with the matrix and range of `color`, tagged so.

    image: (H, W, 3) uint8. pixel_format: "yuv420p", "yuv420p10le", "yuv444p", "gbrp", "rgb24" ...
    Chroma is sited at the left, where every decoder expects it (swscale's default is the center).
    The frame has no pts. Raises ValueError for another kind of array and av.FFmpegError for a
    pixel format swscale cannot write.
    """
    if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8:
        raise ValueError(f"expected (H, W, 3) uint8, got {image.shape} {image.dtype}")
    color = color or ColorTags()
    height, width = image.shape[:2]
    matrix = matrix_for(color.matrix, height)
    frame = _scaled(
        av.VideoFrame.from_numpy_buffer(np.ascontiguousarray(image), format="rgb24"),
        f"in_range=pc:out_range={'pc' if color.full_range else 'tv'}"
        f":out_color_matrix={_FILTER_MATRIX[matrix]}:out_chroma_loc=left"
        ":flags=bicubic+accurate_rnd+full_chroma_inp",
        pixel_format,
    )
    if _is_yuv(frame.format):
        frame.colorspace = matrix
        frame.color_range = _FULL if color.full_range else _LIMITED
    frame.color_primaries = color.primaries
    frame.color_trc = color.transfer
    return frame


def with_alpha(frame: av.VideoFrame, alpha: np.ndarray, pixel_format: str) -> av.VideoFrame:
    """A planar frame for an encoder with an alpha plane added: yuv420p becomes yuva420p.

    alpha: (H, W) uint8; it is scaled to the bits of `pixel_format`, and always of full range.
    """
    result = av.VideoFrame(frame.width, frame.height, pixel_format)
    for source, target in zip(frame.planes, result.planes[:-1], strict=True):
        copy_plane(source, target)
    top = 2 ** result.format.components[-1].bits - 1
    if top > 255:
        alpha = ((alpha.astype(np.uint32) * top + 127) // 255).astype(np.uint16)
    rows = np.ascontiguousarray(alpha).view(np.uint8)
    _rows_of(result.planes[-1])[:, : rows.shape[1]] = rows
    result.colorspace, result.color_range = frame.colorspace, frame.color_range
    result.color_primaries, result.color_trc = frame.color_primaries, frame.color_trc
    return result


def copy_plane(source: VideoPlane, target: VideoPlane) -> None:
    """Copy the samples of a plane into one of the same size; their rows may be padded otherwise."""
    width = min(source.line_size, target.line_size)
    np.copyto(_rows_of(target)[:, :width], _rows_of(source)[:, :width])


def _rows_of(plane: VideoPlane) -> np.ndarray:
    """The bytes of a plane, (rows, bytes with padding), to read and to write."""
    data: Any = plane  # it has the buffer protocol, which PyAV's types do not say
    return np.frombuffer(data, np.uint8).reshape(-1, plane.line_size)


def as_tensor(image: np.ndarray) -> "Tensor":
    """(H, W, 3) uint8 as (1, 3, H, W) float32 in [0, 1]."""
    import torch

    return torch.from_numpy(np.ascontiguousarray(image)).permute(2, 0, 1)[None].float() / 255


def as_picture(tensor: "Tensor") -> np.ndarray:
    """(1, 3, H, W), floating, on any device, as (H, W, 3) uint8: clamped to [0, 1] and rounded."""
    levels = (tensor[0].float().clamp(0, 1) * 255).round().byte()
    return levels.permute(1, 2, 0).contiguous().cpu().numpy()


def resized(image: np.ndarray, size: tuple[int, int], *, bicubic: bool = False) -> np.ndarray:
    """A picture, (H, W, 3) uint8, at (height, width): averaged when it shrinks, else bilinear.

    bicubic: enlarged so; it is sharper, and overshoots at edges. For pictures to stylize, and what
    is looked at live; `to_rgb` resizes films, by swscale. The same size is itself.
    """
    import cv2

    height, width = image.shape[:2]
    if (height, width) == size:
        return image
    shrinks = size[0] <= height and size[1] <= width
    enlarging = cv2.INTER_CUBIC if bicubic else cv2.INTER_LINEAR
    way = cv2.INTER_AREA if shrinks else enlarging
    return cv2.resize(image, (size[1], size[0]), interpolation=way)


def quickly_resized(image: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """As `resized` with `bicubic`, for live frames: averages of 2x2 pixels, then bilinear.

    image: (H, W, 3) uint8; size: (height, width). Returns (height, width, 3) uint8.
    1.3 ms of one core from 1280x720 to 960x540, where averages of 1.33x1.33 pixels take 5.8; they
    differ by 49 dB, at half of the size not at all.
    """
    import cv2

    height, width = size
    if height > image.shape[0] or width > image.shape[1]:
        return resized(image, size, bicubic=True)
    while 2 * height <= image.shape[0] and 2 * width <= image.shape[1]:
        halved = image.shape[1] // 2, image.shape[0] // 2
        image = cv2.resize(image, halved, interpolation=cv2.INTER_AREA)
    return image if image.shape[:2] == size else cv2.resize(image, (width, height))


def with_color_of(stylized: np.ndarray, original: np.ndarray) -> np.ndarray:
    """The luminance of `stylized` with the chroma of `original` (both (H, W, 3) uint8).

    In gamma-coded RGB with BT.709 luma Y: out = Y_stylized + (original - Y_original), which
    leaves both color differences as they were. Where that leaves the cube, the chroma is scaled
    down until it fits, so that luminance and hue hold (clipping would change both).
    """
    out = np.empty_like(stylized)
    for top in range(0, len(out), 24):  # rows that stay in the cache: 5 ms at 1280x720, not 12
        rows = slice(top, top + 24)
        luma, chroma = _luma(_planes(stylized[rows])), _planes(original[rows])
        chroma -= _luma(chroma)
        # As much of it as the cube holds above and below; the same steps for every pixel, as
        # picking out the few that need them takes longer. 1e-3: a gray pixel has none.
        above = (255 - luma) / (chroma.max(axis=0) + _TINY)
        below = luma / (_TINY - chroma.min(axis=0))
        np.minimum(above, below, out=above)
        chroma *= np.minimum(above, 1, out=above)
        chroma += luma + _HALF  # and the fraction is cut off
        for channel in range(3):
            out[rows, :, channel] = chroma[channel]
    return out


def _planes(rgb: np.ndarray) -> np.ndarray:
    """(H, W, 3) uint8 as (3, H, W) float32: arithmetic on planes is vectorized."""
    planes = np.empty((3, *rgb.shape[:2]), np.float32)
    for channel in range(3):
        planes[channel] = rgb[..., channel]
    return planes


def _luma(planes: np.ndarray) -> np.ndarray:
    """BT.709 luma (H, W) of (3, H, W) float32."""
    red, green, blue = _LUMA
    luma = planes[0] * red
    luma += planes[1] * green
    luma += planes[2] * blue
    return luma


def is_transparent(frame: av.VideoFrame) -> bool:
    """Whether any pixel of a decoded frame is not opaque."""
    if not has_alpha(frame.sw_format or frame.format):
        return False
    return bool(frame.reformat(format="rgba").to_ndarray()[..., 3].min() < 255)


def has_alpha(pixel_format: VideoFormat) -> bool:
    """Whether a pixel format can be transparent: one with an alpha channel, or a palette."""
    return pixel_format.has_palette or any(c.is_alpha for c in pixel_format.components)


def composited(rgba: np.ndarray, background: int) -> np.ndarray:
    """(H, W, 4) straight alpha laid over one gray level: (H, W, 3)."""
    color, alpha = rgba[..., :3], rgba[..., 3:].astype(np.uint16)
    if alpha.min() == 255:
        return np.ascontiguousarray(color)
    return ((color * alpha + background * (255 - alpha) + 127) // 255).astype(np.uint8)


def _is_yuv(pixel_format: VideoFormat) -> bool:
    return len(pixel_format.components) >= 3 and not (
        pixel_format.is_rgb or pixel_format.has_palette or pixel_format.is_bayer
    )


def _is_full_range(frame: av.VideoFrame, pixel_format: VideoFormat) -> bool:
    return frame.color_range == _FULL or pixel_format.name.startswith("yuvj")


def _scaled(frame: av.VideoFrame, options: str, pixel_format: str) -> av.VideoFrame:
    """One frame through FFmpeg's scale filter. The graph takes 0.1 ms to make: none is kept."""
    graph = av.filter.Graph()
    graph.threads = 1
    source = graph.add_buffer(
        width=frame.width,
        height=frame.height,
        format=frame.format,
        time_base=Fraction(1, 1000),  # required; a frame without pts does not use it
    )
    graph.link_nodes(
        source,
        graph.add("scale", options),
        graph.add("format", pixel_format),
        graph.add("buffersink"),
    ).configure()
    graph.vpush(frame)
    return graph.vpull()
