"""A harbour in the evening sun, rendered by us: the sample clip, and its exact optical flow.

    python samples/harbor.py samples/harbor.mp4

The scene is a list of flat painted sheets that stand and move in space, the sky, and the water.
A pixel therefore knows which surface it shows and which point of it; asking where that point is
at another time gives the optical flow exactly, and asking what stands before it then gives the
occlusion. One thing no flow describes: a reflection moves unlike the water that shows it.
`on_water` says where that is.
"""

import argparse
import multiprocessing
from collections.abc import Callable, Iterator
from fractions import Fraction
from functools import cache
from pathlib import Path

import numpy as np

from scenery import afloat, horizon, town
from scenery.canvas import Canvas
from scenery.space import Dome, Pose, Sheet, Texture, View

SEED = 7
HEIGHT, WIDTH = 360, 640
FRAME_RATE = Fraction(30)
FRAME_COUNT = 210
HORIZON = 0.49  # of the height, from the top
FOCAL = 0.98  # of the width: 54 degrees across
QUAY_FROM, QUAY_TO = np.array((-37.0, 0.0, 34.0)), np.array((3.0, 0.0, 92.0))
WATER = 3  # place of the water in the list of surfaces: sky and hills are behind it


def _ease(t: float) -> float:
    """From 0 to 1 over the clip, slow at both ends but never at rest."""
    s = t / float(FRAME_COUNT / FRAME_RATE)
    return 0.35 * s + 0.65 * s * s * (3 - 2 * s)


def camera(t: float, height: int = HEIGHT, width: int = WIDTH) -> View:
    """The camera at time t (seconds): it pans to the right, walks forward and sways."""
    s = _ease(t)
    position = (-0.9 + 2.6 * s, 3.3 + 0.05 * np.sin(1.9 * t), 2.2 * s)
    yaw = np.radians(-6.0 + 12.5 * s + 0.15 * np.sin(1.3 * t))
    return View(position, yaw, FOCAL * width, ((width - 1) / 2, HORIZON * height))


def _texture(canvas: Canvas) -> Texture:
    rgb = horizon.linear(canvas.rgb) * canvas.alpha[..., None]
    return Texture(np.concatenate([rgb, canvas.alpha[..., None]], axis=2))


def _standing(
    canvas: Canvas, x: float, z: float, scale: float = 1.0, along: tuple[float, float] = (1, 0)
) -> Callable[[float], Pose]:
    """A sheet that stands still on the water: (x, z) is its lower left corner."""
    pose = Pose(
        np.array((x, 0.0, z)),
        np.array((along[0], 0.0, along[1])) * canvas.width_m * scale,
        np.array((0.0, canvas.height_m * scale, 0.0)),
    )
    return lambda t: pose


def _sailing(
    canvas: Canvas, x: float, z: float, speed: float, *, scale: float = 1.0, roll: float = 0.0,
    beat: float = 1.0, mirrored: bool = False,
) -> Callable[[float], Pose]:  # fmt: skip
    """A boat: its left edge at x when t = 0, moving at `speed` m/s along x, rocking."""
    w, h = canvas.width_m * scale, canvas.height_m * scale

    def pose(t: float) -> Pose:
        tilt = roll * np.sin(beat * t + x)
        c, s = np.cos(tilt), np.sin(tilt)
        along, up = np.array((c, s, 0.0)) * w, np.array((-s, c, 0.0)) * h
        sunk = 0.06 * scale + 0.04 * np.sin(1.3 * beat * t + z)
        middle = np.array((x + w / 2 + speed * t, -sunk, z))
        origin = middle - along / 2
        return Pose(origin + along, -along, up) if mirrored else Pose(origin, along, up)

    return pose


def _lying(canvas: Canvas, x: float, z: float, speed: float) -> Callable[[float], Pose]:
    """Foam on the water; its right end (left end, if speed < 0) at x when t = 0."""
    sign = np.sign(speed)
    along = np.array((sign * canvas.width_m, 0.0, 0.0))
    up = np.array((0.0, 0.0, sign * canvas.height_m))
    return lambda t: Pose(np.array((x + speed * t, 0.0, z)) - along - up / 2, along, up)


def _flying(
    canvas: Canvas, start: tuple[float, float, float], velocity: tuple[float, float, float],
    bank: float, scale: float = 1.0,
) -> Callable[[float], Pose]:  # fmt: skip
    """A gull: from `start` in a straight line, leaning by `bank` radians."""
    along = np.array((np.cos(bank), np.sin(bank), 0.0)) * canvas.width_m * scale
    up = np.array((-np.sin(bank), np.cos(bank), 0.0)) * canvas.height_m * scale
    return lambda t: Pose(np.array(start) + np.array(velocity) * t - along / 2, along, up)


@cache
def scene() -> tuple[Dome | horizon.Water | Sheet, ...]:
    """Every surface, farthest first: the later hides the earlier."""
    sheets: list[Dome | horizon.Water | Sheet] = []

    def add(name: str, canvas: Canvas, pose: Callable[[float], Pose], **options: object) -> None:
        sheets.append(Sheet(name, _texture(canvas), pose, **options))  # type: ignore[arg-type]

    sheets.append(Dome("sky", Texture(horizon.sky(SEED)), horizon.SKY_SPAN, 0.0035))
    far = horizon.range_of_hills(SEED + 1, 4600, 330, 0.42, (0.46, 0.52, 0.62), wooded=0.3)
    add("far hills", far, _standing(far, -2300, 3400))
    near = horizon.range_of_hills(SEED + 5, 2000, 110, 1.0, (0.38, 0.46, 0.28), wooded=1.0)
    add("near hills", near, _standing(near, -900, 1250))
    assert len(sheets) == WATER
    sheets.append(horizon.Water(SEED + 3))

    hill = town.hillside(SEED + 4)
    add("hillside", hill, _standing(hill, -108, 118))
    point = afloat.lighthouse(SEED + 6)
    add("lighthouse", point, _standing(point, 22, 104))

    direction = (QUAY_TO - QUAY_FROM) / np.linalg.norm(QUAY_TO - QUAY_FROM)
    heading = (direction[0], direction[2])
    outward = np.array((direction[2], 0.0, -direction[0]))
    houses = town.house_row(SEED + 7)
    front = QUAY_FROM + np.array((0.0, 1.6, 0.0))
    add("houses", houses, lambda t: Pose(
        front, direction * houses.width_m, np.array((0.0, houses.height_m, 0.0))))  # fmt: skip
    ground = town.cobbles(SEED + 8)
    add("pavement", ground, lambda t: Pose(
        front + outward * 6.0, direction * houses.width_m, -outward * 6.0))  # fmt: skip
    edge = town.quay_edge(SEED + 9)
    kerb = QUAY_FROM + outward * 6.0
    add("quay", edge, _standing(edge, kerb[0], kerb[2], along=heading))

    moored = [
        (0.82, (0.90, 0.88, 0.82), (0.2, 0.35, 0.5), True),
        (0.62, (0.75, 0.24, 0.18), (0.95, 0.9, 0.8), False),
        (0.47, (0.25, 0.42, 0.32), (0.95, 0.85, 0.5), True),
        (0.34, (0.93, 0.72, 0.28), (0.5, 0.2, 0.15), False),
        (0.23, (0.85, 0.84, 0.80), (0.7, 0.2, 0.2), True),
    ]
    for k, (share, top, stripe, mast) in enumerate(moored):
        boat = afloat.dinghy(SEED + 20 + k, top, stripe, mast)
        at = QUAY_FROM + (QUAY_TO - QUAY_FROM) * share + outward * 8.0
        add(f"moored {k}", boat, _sailing(
            boat, at[0], at[2], 0.0, scale=1.15, roll=0.03, beat=1.1 + 0.1 * k))  # fmt: skip

    sloop, foam = afloat.sloop(SEED + 10), afloat.wake(SEED + 11)
    add("sloop's wake", foam, _lying(foam, 20.0, 58.0, -1.7), reflected=False)
    add("sloop", sloop, _sailing(sloop, 20.0, 58.0, -1.7, scale=1.25, roll=0.035, beat=0.9))
    mark = afloat.buoy()
    add("buoy", mark, _sailing(mark, 11.5, 40.0, 0.0, scale=1.0, roll=0.10, beat=1.6))
    trawler = afloat.trawler(SEED + 12)
    add("trawler's wake", foam, _lying(foam, -3.0, 30.0, 1.9), reflected=False)
    add("trawler", trawler, _sailing(trawler, -13.6, 30.0, 1.9, roll=0.03, beat=1.4))

    bird = afloat.gull(SEED + 13)
    flights = [
        ((9.0, 11.5, 40.0), (-1.6, 0.15, -0.6), 0.15, 7.0, 0.0, 1.5),
        ((-7.0, 6.8, 22.0), (2.1, 0.05, 0.3), -0.18, 8.0, 1.0, 1.0),
        ((4.5, 5.6, 15.0), (-1.5, 0.12, 0.9), 0.22, 9.0, 2.0, 1.0),
        ((12.0, 9.0, 30.0), (-2.0, -0.1, 0.0), 0.05, 7.6, 3.0, 1.2),
    ]
    for k, (start, velocity, bank, beat, phase, size) in enumerate(flights):
        add(f"gull {k}", bird, _flying(bird, start, velocity, bank, size),
            bend=lambda t, b=beat, p=phase: 0.35 + 0.85 * np.sin(b * t + p))  # fmt: skip
    piles = afloat.mooring(SEED + 14)
    add("piles", piles, _standing(piles, 3.2, 11.5))
    return tuple(sheets)


def _box(
    sheet: Sheet, view: View, t: float, columns: np.ndarray, rows: np.ndarray
) -> tuple[slice, slice] | None:
    """The part of a grid of samples within which the sheet lies; None if it lies outside."""
    corners = sheet.corners(view, t)
    if corners is None:
        return slice(0, rows.size), slice(0, columns.size)
    px, py = corners
    x = np.searchsorted(columns, (px.min() - 1, px.max() + 1))
    y = np.searchsorted(rows, (py.min() - 1, py.max() + 1))
    return (slice(*y), slice(*x)) if x[0] < x[1] and y[0] < y[1] else None


def _paint(view: View, t: float, columns: np.ndarray, rows: np.ndarray, pixel: float,
           mirror: tuple[Texture, horizon.MirrorFrame] | None) -> np.ndarray:  # fmt: skip
    """Linear light at a grid of samples, far to near; without water if there is no mirror yet."""
    picture = np.zeros((rows.size, columns.size, 3), np.float32)
    for surface in scene():
        if isinstance(surface, horizon.Water):
            if mirror is not None:
                wet = int(np.searchsorted(rows, view.centre[1] + 1e-3))
                py, px = np.meshgrid(rows[wet:], columns, indexing="ij")
                light = surface.shade(view, t, px.ravel(), py.ravel(), pixel, *mirror)
                picture[wet:] = light.reshape(px.shape + (3,))
            continue
        if view.mirrored and not surface.reflected:
            continue
        box = (slice(None), slice(None))
        if isinstance(surface, Sheet):
            found = _box(surface, view, t, columns, rows)
            if found is None:
                continue
            box = found
        py, px = np.meshgrid(rows[box[0]], columns[box[1]], indexing="ij")
        hit, rgba, _, _, depth = surface.look(view, t, px.ravel(), py.ravel(), pixel)
        if isinstance(surface, Sheet):
            clear = np.exp(-depth / 1900).astype(np.float32)[:, None]
            rgba = rgba * np.array((1, 1, 1, 1), np.float32)
            rgba[:, :3] = rgba[:, :3] * clear + horizon.HAZE * (rgba[:, 3:] * (1 - clear))
        part = picture[box].reshape(-1, 3)
        part[hit] = part[hit] * (1 - rgba[:, 3:]) + rgba[:, :3]
        picture[box] = part.reshape(px.shape + (3,))
    return picture


def render(t: float, height: int = HEIGHT, width: int = WIDTH, *, samples: int = 2) -> np.ndarray:
    """The picture at time t (seconds): (height, width, 3) uint8 RGB, sRGB display values.

    samples: rays along each side of a pixel.
    """
    view = camera(t, height, width)
    frame = horizon.MirrorFrame(height, width, view.centre[1])
    below = View(view.position, view.yaw, view.focal_px, view.centre, mirrored=True)
    px, py = frame.pixels()
    reflection = _paint(below, t, px[0], py[:, 0], 1.0, None)
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
        if isinstance(surface, horizon.Water):
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
    outside = (qx < 0) | (qx > width - 1) | (qy < 0) | (qy > height - 1)
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
    import av

    from scenery.sound import RATE, soundtrack

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
    write_clip(parser.parse_args().output)


if __name__ == "__main__":
    main()
