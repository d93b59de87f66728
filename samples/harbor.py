"""A harbour in the evening sun, rendered by us: the sample clip, and its exact optical flow.

    python samples/harbor.py samples/harbor.mp4 --still samples/harbor.jpg

The scene is a list of flat painted sheets that stand and move in space, the sky, and the water.
A pixel therefore knows which surface it shows and which point of it; asking where that point is
at another time gives the optical flow exactly, and asking what stands before it then gives the
occlusion. One thing no flow describes: a reflection moves unlike the water that shows it.
`on_water` says where that is.
"""

import argparse
import multiprocessing
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import av
import numpy as np

from scenery.horizon import HAZE
from scenery.jpeg import write_jpeg
from scenery.scene import SECONDS, WATER, camera, scene
from scenery.sound import RATE, soundtrack
from scenery.space import Dome, Sheet, Texture, View
from scenery.water import MirrorFrame, Water

HEIGHT, WIDTH = 360, 640
FRAME_RATE = Fraction(30)
FRAME_COUNT = round(SECONDS * FRAME_RATE)
STILL_AT = 6.4  # seconds


def _box(
    surface: Dome | Sheet, view: View, t: float, columns: np.ndarray, rows: np.ndarray
) -> tuple[slice, slice] | None:
    """The part of a grid of samples within which a surface lies; None if it lies outside."""
    corners = surface.corners(view, t) if isinstance(surface, Sheet) else None
    if corners is None:
        return slice(0, rows.size), slice(0, columns.size)
    px, py = corners
    x = np.searchsorted(columns, (px.min() - 1, px.max() + 1))
    y = np.searchsorted(rows, (py.min() - 1, py.max() + 1))
    return (slice(*y), slice(*x)) if x[0] < x[1] and y[0] < y[1] else None


def _paint(
    view: View,
    t: float,
    columns: np.ndarray,
    rows: np.ndarray,
    pixel: float,
    mirror: tuple[Texture, MirrorFrame] | None,
) -> np.ndarray:
    """Linear light at a grid of samples, far to near; without water if there is no mirror yet."""
    picture = np.zeros((rows.size, columns.size, 3), np.float32)
    for surface in scene():
        if isinstance(surface, Water):
            if mirror is not None:
                wet = int(np.searchsorted(rows, view.centre[1] + 1e-3))
                py, px = np.meshgrid(rows[wet:], columns, indexing="ij")
                light = surface.shade(view, t, px.ravel(), py.ravel(), pixel, *mirror)
                picture[wet:] = light.reshape(px.shape + (3,))
            continue
        if view.mirrored and not surface.reflected:
            continue
        box = _box(surface, view, t, columns, rows)
        if box is None:
            continue
        py, px = np.meshgrid(rows[box[0]], columns[box[1]], indexing="ij")
        hit, rgba, _, _, depth = surface.look(view, t, px.ravel(), py.ravel(), pixel)
        light, cover = rgba[:, :3], rgba[:, 3:]
        if isinstance(surface, Sheet):
            clear = np.exp(-depth / 1900).astype(np.float32)[:, None]
            light = light * clear + HAZE * (cover * (1 - clear))
        part = picture[box].reshape(-1, 3)
        part[hit] = part[hit] * (1 - cover) + light
        picture[box] = part.reshape(px.shape + (3,))
    return picture


def render(t: float, height: int = HEIGHT, width: int = WIDTH, *, samples: int = 2) -> np.ndarray:
    """The picture at time t (seconds): (height, width, 3) uint8 RGB, sRGB display values.

    samples: rays along each side of a pixel.
    """
    view = camera(t, height, width)
    frame = MirrorFrame(height, width, view.centre[1])
    below = View(view.position, view.yaw, view.focal_px, view.centre, mirrored=True)
    reflection = _paint(below, t, *frame.samples(), 1.0, None)
    columns = (np.arange(width * samples) + 0.5) / samples - 0.5
    rows = (np.arange(height * samples) + 0.5) / samples - 0.5
    light = _paint(view, t, columns, rows, 1.0 / samples, (Texture(reflection), frame))
    # Bright light rolls off softly above 0.75, before the samples are averaged: smooth edges.
    light = np.where(light > 0.75, 1 - 0.25 * np.exp(-(light - 0.75) / 0.25), light)
    light = light.reshape(height, samples, width, samples, 3).mean((1, 3))
    return np.round(255 * np.clip(light, 0, 1) ** (1 / 2.2)).astype(np.uint8)


def _trace(
    view: View, t: float, px: np.ndarray, py: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The surface seen at places of the picture, and the point of it: (N,) number, u and v."""
    number = np.zeros(px.size, np.int64)
    u, v = np.zeros(px.size), np.zeros(px.size)
    for k, surface in enumerate(scene()):
        if isinstance(surface, Water):
            hit = np.flatnonzero(py > view.centre[1] + 1e-3)
            su, sv, _ = surface.touch(view, t, px[hit], py[hit])
        else:
            hit, rgba, su, sv, _ = surface.look(view, t, px, py)
            solid = rgba[:, 3] > 0.5
            hit, su, sv = hit[solid], su[solid], sv[solid]
        number[hit], u[hit], v[hit] = k, su, sv
    return number, u, v


def _pixels(height: int, width: int) -> tuple[np.ndarray, np.ndarray]:
    py, px = np.mgrid[:height, :width].astype(np.float64)
    return px.ravel(), py.ravel()


def _landing(t0: float, t1: float, height: int, width: int) -> tuple[np.ndarray, ...]:
    """Surface of each pixel at t0, and the column and row where the same point is at t1."""
    number, u, v = _trace(camera(t0, height, width), t0, *_pixels(height, width))
    qx, qy = np.empty(u.size), np.empty(u.size)
    later = camera(t1, height, width)
    for k in np.unique(number):
        mine = number == k
        qx[mine], qy[mine] = scene()[k].show(later, t1, u[mine], v[mine])
    return number, qx, qy


def flow(t0: float, t1: float, height: int = HEIGHT, width: int = WIDTH) -> np.ndarray:
    """Exact optical flow from the picture at t0 to the picture at t1 (times in seconds).

    What pixel (x, y) shows at t0 is at (x, y) + flow[y, x] at t1, so that `warp` of the picture
    at t1 by this flow gives the picture at t0. Returns (height, width, 2) float32, in pixels,
    x (to the right) before y (down).
    """
    _, qx, qy = _landing(t0, t1, height, width)
    px, py = _pixels(height, width)
    return np.stack([qx - px, qy - py], axis=-1).reshape(height, width, 2).astype(np.float32)


def occlusion(t0: float, t1: float, height: int = HEIGHT, width: int = WIDTH) -> np.ndarray:
    """True where what a pixel shows at t0 cannot be seen at t1: hidden, or out of the frame.

    Returns (height, width) bool.
    """
    number, qx, qy = _landing(t0, t1, height, width)
    off = 1e-3  # a point at rest on the border stays in the frame whatever the rounding
    outside = (qx < -off) | (qx > width - 1 + off) | (qy < -off) | (qy > height - 1 + off)
    then, _, _ = _trace(camera(t1, height, width), t1, qx, qy)
    return (outside | (then > number)).reshape(height, width)


def on_water(t: float, height: int = HEIGHT, width: int = WIDTH) -> np.ndarray:
    """True where the picture shows water, whose reflections and glitter break the rule that a
    point keeps its brightness. Returns (height, width) bool."""
    number, _, _ = _trace(camera(t, height, width), t, *_pixels(height, width))
    return (number == WATER).reshape(height, width)


def _render_number(number: int) -> np.ndarray:
    return render(float(number / FRAME_RATE))


def pictures() -> Iterator[np.ndarray]:
    """Every frame of the clip in order, rendered by as many processes as there are cores."""
    scene()  # before the fork: the children share it
    with multiprocessing.get_context("fork").Pool() as pool:
        yield from pool.imap(_render_number, range(FRAME_COUNT), chunksize=2)


def write_clip(path: Path) -> None:
    """Write the clip: H.264 and AAC in MP4, with a title and the language of its sound."""
    with av.open(str(path), "w", options={"movflags": "+faststart"}) as container:
        container.metadata["title"] = "Harbor"
        container.metadata["comment"] = "Rendered by samples/harbor.py"
        video = container.add_stream("libx264", rate=FRAME_RATE)
        video.width, video.height, video.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        video.options = {"crf": "21", "preset": "slower", "tune": "animation"}
        context = video.codec_context
        context.color_primaries = context.color_trc = context.colorspace = 1  # BT.709
        context.color_range = 1  # limited
        audio = container.add_stream("aac", rate=RATE, layout="stereo")
        audio.bit_rate = 112_000
        audio.metadata["language"] = "zxx"  # no linguistic content
        audio.metadata["title"] = "Waves, a bell and gulls"
        for number, picture in enumerate(pictures()):
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24").reformat(
                format="yuv420p", dst_colorspace="ITU709"
            )
            frame.pts, frame.time_base = number, 1 / FRAME_RATE
            container.mux(video.encode(frame))
        container.mux(video.encode(None))
        sound = av.AudioFrame.from_ndarray(
            soundtrack(float(FRAME_COUNT / FRAME_RATE)), format="fltp", layout="stereo"
        )
        sound.sample_rate, sound.pts, sound.time_base = RATE, 0, Fraction(1, RATE)
        container.mux(audio.encode(sound))
        container.mux(audio.encode(None))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("output", type=Path, help="the .mp4 to write")
    parser.add_argument("--still", type=Path, help="a .jpg to write: one picture of the clip")
    arguments = parser.parse_args()
    write_clip(arguments.output)
    if arguments.still:
        write_jpeg(arguments.still, render(STILL_AT), quality=3)


if __name__ == "__main__":
    main()
