"""The harbour: every surface, where it stands and how it moves, and the camera."""

from collections.abc import Callable
from functools import cache

import numpy as np
from numpy.typing import ArrayLike

from scenery import boats, horizon, houses, shore, town
from scenery.canvas import Canvas
from scenery.space import Dome, Pose, Sheet, Texture, View
from scenery.water import Water

Surface = Dome | Water | Sheet

SEED = 7
SECONDS = 7.0  # the camera's walk
HORIZON = 0.49  # of the height, from the top
FOCAL = 0.98  # of the width: 54 degrees across
QUAY_FROM, QUAY_TO = np.array((-37.0, 0.0, 34.0)), np.array((3.0, 0.0, 92.0))
QUAY_HEIGHT = 1.6
WATER = 3  # place of the water in the list of surfaces: sky and hills are behind it


def _ease(t: float) -> float:
    """From 0 to 1 over the clip, slow at both ends but never at rest."""
    s = t / SECONDS
    return 0.35 * s + 0.65 * s * s * (3 - 2 * s)


def camera(t: float, height: int, width: int) -> View:
    """The camera at time t (seconds): it pans to the right, walks forward and sways."""
    s = _ease(t)
    position = (-0.9 + 2.6 * s, 3.3 + 0.05 * np.sin(1.9 * t), 2.2 * s)
    yaw = np.radians(-6.0 + 12.5 * s + 0.15 * np.sin(1.3 * t))
    return View(position, yaw, FOCAL * width, ((width - 1) / 2, HORIZON * height))


def _texture(canvas: Canvas) -> Texture:
    rgb = horizon.linear(canvas.rgb) * canvas.alpha[..., None]
    return Texture(np.concatenate([rgb, canvas.alpha[..., None]], axis=2))


def _fixed(origin: ArrayLike, along: ArrayLike, up: ArrayLike) -> Callable[[float], Pose]:
    """A sheet that stays where it is."""
    pose = Pose(np.array(origin, float), np.array(along, float), np.array(up, float))
    return lambda t: pose


def _standing(canvas: Canvas, x: float, z: float) -> Callable[[float], Pose]:
    """A sheet that stands upright on the water and faces us: (x, z) is its lower left corner."""
    return _fixed((x, 0, z), (canvas.width_m, 0, 0), (0, canvas.height_m, 0))


def _sailing(
    canvas: Canvas,
    x: float,
    z: float,
    speed: float,
    *,
    scale: float = 1.0,
    roll: float = 0.0,
    beat: float = 1.0,
) -> Callable[[float], Pose]:
    """A boat: its left edge at x when t = 0, moving at `speed` m/s along x, rocking."""
    w, h = canvas.width_m * scale, canvas.height_m * scale

    def pose(t: float) -> Pose:
        tilt = roll * np.sin(beat * t + x)
        c, s = np.cos(tilt), np.sin(tilt)
        along, up = np.array((c, s, 0.0)) * w, np.array((-s, c, 0.0)) * h
        sunk = 0.06 * scale + 0.04 * np.sin(1.3 * beat * t + z)
        middle = np.array((x + w / 2 + speed * t, -sunk, z))
        return Pose(middle - along / 2, along, up)

    return pose


def _lying(canvas: Canvas, x: float, z: float, speed: float) -> Callable[[float], Pose]:
    """Foam on the water; its right end (left end, if speed < 0) at x when t = 0."""
    sign = np.sign(speed)
    along = np.array((sign * canvas.width_m, 0.0, 0.0))
    up = np.array((0.0, 0.0, sign * canvas.height_m))
    return lambda t: Pose(np.array((x + speed * t, 0.0, z)) - along - up / 2, along, up)


def _flying(
    canvas: Canvas,
    start: tuple[float, float, float],
    velocity: tuple[float, float, float],
    bank: float,
    scale: float = 1.0,
) -> Callable[[float], Pose]:
    """A gull: from `start` in a straight line, leaning by `bank` radians."""
    along = np.array((np.cos(bank), np.sin(bank), 0.0)) * canvas.width_m * scale
    up = np.array((-np.sin(bank), np.cos(bank), 0.0)) * canvas.height_m * scale
    return lambda t: Pose(np.array(start) + np.array(velocity) * t - along / 2, along, up)


@cache
def scene() -> tuple[Surface, ...]:
    """Every surface, farthest first: the later hides the earlier."""
    sheets: list[Surface] = []

    def add(name: str, canvas: Canvas, pose: Callable[[float], Pose], **options: object) -> None:
        sheets.append(Sheet(name, _texture(canvas), pose, **options))  # type: ignore[arg-type]

    sheets.append(Dome("sky", Texture(horizon.sky(SEED)), horizon.SKY_SPAN, 0.0035))
    far = horizon.range_of_hills(SEED + 1, 4600, 330, 0.42, (0.46, 0.52, 0.62), wooded=0.3)
    add("far hills", far, _standing(far, -2300, 3400))
    near = horizon.range_of_hills(SEED + 5, 2000, 110, 1.0, (0.38, 0.46, 0.28), wooded=1.0)
    add("near hills", near, _standing(near, -900, 1250))
    assert len(sheets) == WATER
    sheets.append(Water(SEED + 3))

    hill = town.hillside(SEED + 4)
    add("hillside", hill, _standing(hill, -108, 118))
    point = shore.lighthouse(SEED + 6)
    add("lighthouse", point, _standing(point, 22, 104))

    quay = (QUAY_TO - QUAY_FROM) / np.linalg.norm(QUAY_TO - QUAY_FROM)
    outward = np.array((quay[2], 0.0, -quay[0]))  # from the houses to the water
    row, ground = houses.house_row(SEED + 7), town.cobbles(SEED + 8)
    edge = town.quay_edge(SEED + 9)
    front, kerb = QUAY_FROM + (0, QUAY_HEIGHT, 0), QUAY_FROM + 6 * outward
    add("houses", row, _fixed(front, quay * row.width_m, (0, row.height_m, 0)))
    add("pavement", ground, _fixed(front + 6 * outward, quay * row.width_m, -6 * outward))
    add("quay", edge, _fixed(kerb, quay * edge.width_m, (0, edge.height_m, 0)))

    moored = [
        (0.82, (0.90, 0.88, 0.82), (0.2, 0.35, 0.5), True),
        (0.62, (0.75, 0.24, 0.18), (0.95, 0.9, 0.8), False),
        (0.47, (0.25, 0.42, 0.32), (0.95, 0.85, 0.5), True),
        (0.34, (0.93, 0.72, 0.28), (0.5, 0.2, 0.15), False),
        (0.23, (0.85, 0.84, 0.80), (0.7, 0.2, 0.2), True),
    ]
    for k, (share, top, stripe, mast) in enumerate(moored):
        boat = boats.dinghy(SEED + 20 + k, top, stripe, mast)
        at = QUAY_FROM + (QUAY_TO - QUAY_FROM) * share + 8 * outward
        add(
            f"moored {k}",
            boat,
            _sailing(boat, at[0], at[2], 0.0, scale=1.15, roll=0.03, beat=1.1 + 0.1 * k),
        )

    sloop, foam = boats.sloop(SEED + 10), boats.wake(SEED + 11)
    add("sloop's wake", foam, _lying(foam, 20.0, 58.0, -1.7), reflected=False)
    add("sloop", sloop, _sailing(sloop, 20.0, 58.0, -1.7, scale=1.25, roll=0.035, beat=0.9))
    mark = boats.buoy()
    add("buoy", mark, _sailing(mark, 11.5, 40.0, 0.0, scale=1.0, roll=0.10, beat=1.6))
    trawler = boats.trawler(SEED + 12)
    add("trawler's wake", foam, _lying(foam, -3.0, 30.0, 1.9), reflected=False)
    add("trawler", trawler, _sailing(trawler, -13.6, 30.0, 1.9, roll=0.03, beat=1.4))

    bird = shore.gull(SEED + 13)
    flights = [
        ((9.0, 11.5, 40.0), (-1.6, 0.15, -0.6), 0.15, 7.0, 0.0, 1.5),
        ((-7.0, 6.8, 22.0), (2.1, 0.05, 0.3), -0.18, 8.0, 1.0, 1.0),
        ((4.5, 5.6, 15.0), (-1.5, 0.12, 0.9), 0.22, 9.0, 2.0, 1.0),
        ((12.0, 9.0, 30.0), (-2.0, -0.1, 0.0), 0.05, 7.6, 3.0, 1.2),
    ]
    for k, (start, velocity, bank, beat, phase, size) in enumerate(flights):
        add(
            f"gull {k}",
            bird,
            _flying(bird, start, velocity, bank, size),
            bend=lambda t, b=beat, p=phase: 0.3 + 0.6 * np.sin(b * t + p),
        )
    planks, side, pots = (
        shore.jetty_top(SEED + 15),
        shore.jetty_side(SEED + 16),
        shore.cargo(SEED + 17),
    )
    ahead, right = np.array((0.35, 0.0, 12.0)), np.array((12.0, 0.0, -0.35)) / 12 * planks.width_m
    corner, deck = np.array((-7.9, 0.0, 6.0)), np.array((0.0, side.height_m, 0.0))
    add("jetty side", side, _fixed(corner + right, ahead, deck))
    add("jetty", planks, _fixed(corner + deck, right, ahead))
    add(
        "cargo",
        pots,
        _fixed(corner + deck + (0.2, 0, 8.5), (pots.width_m, 0, 0), (0, pots.height_m, 0)),
    )
    piles = shore.mooring(SEED + 14)
    add("piles", piles, _standing(piles, 3.2, 11.5))
    return tuple(sheets)
