"""A harbor in the evening sun, rendered from rules: the sample clip, and its exact optical flow.

    python samples/harbor.py samples/harbor.mp4 --still samples/harbor.jpg

The scene is a list of flat pictures that stand and move in space, the sky and the water, each seen
through a homography. A pixel therefore knows which picture it shows and which point of it; asking
where that point is at another time gives the optical flow exactly, and asking what stands before
it then gives the occlusion. One thing no flow describes: a reflection moves unlike the water that
shows it. `on_water` says where that is.
"""

import argparse
import multiprocessing
from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction
from functools import cache
from pathlib import Path

import av
import cv2
import numpy as np

from scenery import boats, town
from scenery.canvas import Canvas
from scenery.light import HAZE, SKY, Waves, sky, water_light
from scenery.sound import RATE, soundtrack
from scenery.space import Grid, Sheet, View, project

HEIGHT, WIDTH = 360, 640
FRAME_RATE = Fraction(30)
SECONDS = 7
FRAME_COUNT = int(SECONDS * FRAME_RATE)
STILL_AT = 6.4  # seconds
WATER, WAVES = 3, Waves(10)  # the water's number among the sheets

Vector = tuple[float, ...]
Pose = Callable[[float], np.ndarray]


def camera(t: float, height: int, width: int) -> View:
    """The camera at time t (seconds): it pans to the right, walks forward and sways."""
    s = t / SECONDS
    s = 0.35 * s + 0.65 * s * s * (3 - 2 * s)  # slow at both ends, never at rest
    eye = np.array((-0.9 + 2.6 * s, 3.3 + 0.05 * np.sin(1.9 * t), 2.2 * s))
    yaw = np.radians(-6.0 + 12.5 * s + 0.15 * np.sin(1.3 * t))
    return View(eye, yaw, 0.98 * width, ((width - 1) / 2, 0.49 * height))


def _fixed(corner: np.ndarray, along: np.ndarray, up: np.ndarray) -> Pose:
    return lambda t: np.stack([along, up, corner], axis=1)


def _facing(
    canvas: Canvas,
    corner: Vector,
    velocity: Vector = (0, 0, 0),
    *,
    scale: float = 1.0,
    lean: float = 0.0,
    roll: float = 0.0,
) -> Pose:
    """Facing us: its lower left corner when t = 0, its motion in m/s. What rolls is afloat."""
    start = np.array(corner) + (canvas.width * scale / 2, 0, 0)

    def pose(t: float) -> np.ndarray:
        tilt = lean + roll * np.sin(1.2 * t + corner[0])
        along = np.array((np.cos(tilt), np.sin(tilt), 0)) * canvas.width * scale
        up = np.array((-np.sin(tilt), np.cos(tilt), 0)) * canvas.height * scale
        afloat = (roll > 0) * np.array((0, -0.06 - 0.04 * np.sin(1.6 * t + corner[2]), 0))
        return np.stack([along, up, start + np.array(velocity) * t + afloat - along / 2], axis=1)

    return pose


def _turning_sky(t: float) -> np.ndarray:
    left, low, width, height = SKY
    c, s = np.cos(0.0035 * t), np.sin(0.0035 * t)
    turn = np.array([[c, 0, s], [0, 1, 0], [-s, 0, c]])
    return turn @ np.array([[width, 0, left], [0, height, low], [0, 0, 1]])


@cache
def scene() -> tuple[Sheet, ...]:
    """Every sheet, the farthest first: the later hides the earlier."""
    sheets = [Sheet(sky(3), _turning_sky, distant=True)]

    def add(canvas: Canvas, pose: Pose) -> None:
        sheets.append(Sheet(canvas.texture(), pose))

    far = town.hills(8, 4600, 330, 0.42, "#75859e", 0.2)
    near = town.hills(12, 2000, 110, 1.0, "#617547", 1.0)
    add(far, _facing(far, (-2300, 0, 3400)))
    add(near, _facing(near, (-900, 0, 1250)))
    sheets.append(Sheet(None, lambda t: np.array([[1, 0, 0.42 * t], [0, 0, 0], [0, 1, -0.3 * t]])))
    slope, point = town.hills(11, 150, 30, 10, "#66772f", 1.0, 400), town.lighthouse(13)
    add(slope, _facing(slope, (-108, 0, 118)))
    add(point, _facing(point, (22, 0, 104)))

    start, along, up = np.array((-37, 0, 34)), np.array((40, 0, 58)), np.array((0, 1, 0))
    outward = np.array((58, 0, -40)) / 71  # from the houses to the water
    row, edge = town.houses(14), town.quay(16)
    add(row, _fixed(start + 1.6 * up, along, row.height * up))
    add(edge, _fixed(start + 3 * outward, along, edge.height * up))
    colors = "#e6e0d1 #335980", "#bf3d2e #f2e6cc", "#406b52 #f2d980", "#edb847 #803326"
    for k, paint in enumerate(colors):
        boat = boats.dinghy(27 + k, f"{paint} #591f1a")
        x, _, z = start + along * (0.82 - 0.18 * k) + 6 * outward
        add(boat, _facing(boat, (x, 0, z), scale=1.15, roll=0.03))
    sloop, trawler, bird, posts = boats.sloop(17), boats.trawler(19), boats.gull(), town.piles(21)
    add(sloop, _facing(sloop, (20, 0, 58), (-1.7, 0, 0), scale=1.25, roll=0.035))
    add(trawler, _facing(trawler, (-13.6, 0, 30), (1.9, 0, 0), roll=0.03))
    add(bird, _facing(bird, (11, 12.5, 40), (-1.6, 0.15, -0.6), lean=0.15, scale=1.5))
    add(bird, _facing(bird, (-7.5, 6.8, 22), (2.1, 0.05, 0.3), lean=-0.18))
    add(bird, _facing(bird, (4, 5.6, 15), (-1.5, 0.12, 0.9), lean=0.22))
    add(posts, _facing(posts, (3.2, 0, 11.5)))
    return tuple(sheets)


def _paint(view: View, t: float, grid: Grid, mirror: np.ndarray, corner: Vector) -> np.ndarray:
    """Linear light (H, W, 3) on a grid, far to near; what still water shows, if it is mirrored."""
    picture = np.zeros((grid.y.size, grid.x.size, 3), np.float32)
    for number, sheet in enumerate(scene()):
        rows, columns = sheet.box(view, t, grid)
        part = picture[rows, columns]
        if not part.size or (view.mirrored and number == WATER):
            continue
        window = Grid(grid.x[:, columns], grid.y[rows], grid.spacing)
        seen = sheet.look(view, t, window)
        if number == WATER:
            part[:] = water_light(view, WAVES, window, seen, mirror, corner)
            continue
        clear = 1.0 if sheet.distant else np.exp(-seen.depth / 1900)[..., None]
        light, cover = seen.rgba[..., :3], seen.rgba[..., 3:]
        part[:] = part * (1 - cover) + light * clear + HAZE * cover * (1 - clear)
    return picture


def render(t: float, height: int = HEIGHT, width: int = WIDTH, *, samples: int = 2) -> np.ndarray:
    """The picture at time t (seconds): (height, width, 3) uint8 RGB, sRGB display values.

    samples: rays along each side of a pixel.
    """
    view = camera(t, height, width)
    left, top = corner = -0.15 * width, view.center[1] - 2
    wider = Grid(left + np.arange(1.3 * width)[None], top + np.arange(0.95 * height)[:, None], 1.0)
    mirror = _paint(replace(view, mirrored=True), t, wider, np.empty(0), corner)
    px, py = ((np.arange(n * samples) + 0.5) / samples - 0.5 for n in (width, height))
    light = _paint(view, t, Grid(px[None], py[:, None], 1 / samples), mirror, corner)
    # Bright light rolls off softly above 0.75, before the samples are averaged: smooth edges.
    light = np.where(light > 0.75, 1 - 0.25 * np.exp(-(light - 0.75) / 0.25), light)
    light = light.reshape(height, samples, width, samples, 3).mean((1, 3))
    return np.round(255 * np.clip(light, 0, 1) ** (1 / 2.2)).astype(np.uint8)


def _pixels(height: int, width: int) -> tuple[np.ndarray, np.ndarray]:
    py, px = np.mgrid[:height, :width].astype(np.float64)
    return px, py


def _trace(view: View, t: float, px: np.ndarray, py: np.ndarray) -> np.ndarray:
    """The number of the sheet that is seen at positions (H, W) of the picture."""
    number = np.zeros(px.shape, np.int64)
    for k, sheet in enumerate(scene()):
        number[sheet.look(view, t, Grid(px, py, 1.0)).rgba[..., 3] > 0.5] = k
    return number


def _landing(t0: float, t1: float, height: int, width: int) -> tuple[np.ndarray, ...]:
    """The sheet of each pixel at t0, and the column and row where the same point is at t1."""
    before, after = camera(t0, height, width), camera(t1, height, width)
    px, py = _pixels(height, width)
    number, qx, qy = _trace(before, t0, px, py), px.copy(), py.copy()
    for k in np.unique(number):
        mine, sheet = number == k, scene()[k]
        move = sheet.matrix(after, t1) @ np.linalg.inv(sheet.matrix(before, t0))
        qx[mine], qy[mine], _ = project(move, px[mine], py[mine])
    return number, qx, qy


def flow(t0: float, t1: float, height: int = HEIGHT, width: int = WIDTH) -> np.ndarray:
    """Exact optical flow from the picture at t0 to the picture at t1 (times in seconds).

    What pixel (x, y) shows at t0 is at (x, y) + flow[y, x] at t1, so that `warp` of the picture
    at t1 by this flow gives the picture at t0. Returns (height, width, 2) float32, in pixels,
    x (to the right) before y (down).
    """
    _, qx, qy = _landing(t0, t1, height, width)
    px, py = _pixels(height, width)
    return np.stack([qx - px, qy - py], axis=-1).astype(np.float32)


def occlusion(t0: float, t1: float, height: int = HEIGHT, width: int = WIDTH) -> np.ndarray:
    """True where what a pixel shows at t0 cannot be seen at t1: hidden, or out of the frame.

    Returns (height, width) bool.
    """
    number, qx, qy = _landing(t0, t1, height, width)
    off = 1e-3  # a point at rest on the border stays in the frame whatever the rounding
    outside = (qx < -off) | (qx > width - 1 + off) | (qy < -off) | (qy > height - 1 + off)
    return outside | (_trace(camera(t1, height, width), t1, qx, qy) > number)


def on_water(t: float, height: int = HEIGHT, width: int = WIDTH) -> np.ndarray:
    """True where the picture shows water, whose reflections and glitter break the rule that a
    point keeps its brightness. Returns (height, width) bool."""
    return _trace(camera(t, height, width), t, *_pixels(height, width)) == WATER


def _render_number(number: int) -> np.ndarray:
    return render(float(number / FRAME_RATE))


def write_clip(path: Path) -> None:
    """Write the clip: H.264 and AAC in MP4, with a title and the language of its sound."""
    scene()  # before the fork: the children share it
    with (
        multiprocessing.get_context("fork").Pool() as pool,
        av.open(str(path), "w", options={"movflags": "+faststart"}) as container,
    ):
        container.metadata["title"] = "Harbor"
        container.metadata["comment"] = "Rendered by samples/harbor.py"
        video = container.add_stream("libx264", rate=FRAME_RATE)
        video.width, video.height, video.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        video.options = {"crf": "23", "preset": "slower", "tune": "animation"}
        context = video.codec_context
        context.color_primaries = context.color_trc = context.colorspace = 1  # BT.709
        context.color_range = 1  # limited
        audio = container.add_stream("aac", rate=RATE, layout="stereo")
        audio.bit_rate = 96_000
        audio.metadata["language"] = "zxx"  # no linguistic content
        audio.metadata["title"] = "Waves and a bell"
        for number, picture in enumerate(pool.imap(_render_number, range(FRAME_COUNT))):
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24").reformat(
                format="yuv420p", dst_colorspace="ITU709"
            )
            frame.pts, frame.time_base = number, 1 / FRAME_RATE
            container.mux(video.encode(frame))
        container.mux(video.encode(None))
        sound = av.AudioFrame.from_ndarray(soundtrack(SECONDS), format="fltp", layout="stereo")
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
        cv2.imwrite(
            str(arguments.still), render(STILL_AT)[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 93]
        )


if __name__ == "__main__":
    main()
