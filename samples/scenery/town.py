"""The painted sheets around the houses: the quay before them, the hill behind."""

import numpy as np

from scenery.canvas import Canvas
from scenery.houses import ROOFS, WALLS
from scenery.noise import band, fractal, ramp


def quay_edge(seed: int) -> Canvas:
    """The stone wall of the quay, 1.6 m high, and what stands on its edge."""
    c = Canvas(71.0, 6.5, 24.0)
    rng = np.random.default_rng(seed)
    gx, gy = c.grid()
    grain, fine = fractal(*c.shape, seed), band(*c.shape, 3.0, seed + 1)
    for _ in range(46):  # people
        x, tall = rng.uniform(1, c.width_m - 1), rng.uniform(1.55, 1.85)
        coat = rng.choice(
            [
                (0.7, 0.2, 0.18),
                (0.18, 0.25, 0.42),
                (0.9, 0.85, 0.75),
                (0.2, 0.22, 0.2),
                (0.86, 0.62, 0.2),
                (0.3, 0.45, 0.4),
            ]
        )
        y = 1.6
        c.rect(x - 0.17, y, x - 0.02, y + 0.85, (0.14, 0.15, 0.2))
        c.rect(x + 0.03, y, x + 0.18, y + 0.85, (0.18, 0.18, 0.24))
        c.ellipse(x, y + 1.08, 0.27, 0.42, coat)
        c.ellipse(x, y + tall - 0.13, 0.14, 0.16, (0.82, 0.6, 0.48))
        c.ellipse(x - 0.02, y + tall - 0.05, 0.14, 0.1, (0.22, 0.14, 0.1))
    for x in np.arange(3.0, c.width_m, 9.0):  # lamp posts
        c.rect(x - 0.07, 1.6, x + 0.07, 5.4, (0.13, 0.19, 0.18))
        c.ellipse(x, 1.9, 0.18, 0.35, (0.13, 0.19, 0.18))
        c.line([(x - 0.5, 5.2), (x, 5.45), (x + 0.5, 5.2)], 0.08, (0.13, 0.19, 0.18))
        for side in (-0.5, 0.5):
            c.ellipse(x + side, 5.1, 0.2, 0.26, (1.0, 0.9, 0.62))
    for _ in range(16):  # crates, barrels, parasols
        x = rng.uniform(2, c.width_m - 3)
        if rng.random() < 0.45:
            hue = rng.choice(
                [(0.85, 0.25, 0.2), (0.95, 0.9, 0.8), (0.2, 0.45, 0.45), (0.95, 0.7, 0.25)]
            )
            c.rect(x - 0.04, 1.6, x + 0.04, 3.9, (0.5, 0.38, 0.25))
            c.polygon([(x - 1.5, 3.6), (x, 4.4), (x + 1.5, 3.6)], hue)
            c.polygon([(x - 0.45, 3.6), (x, 4.4), (x + 0.45, 3.6)], hue * 0.8)
            c.polygon([(x - 1.5, 3.6), (x - 1.0, 3.6), (x, 4.4)], hue * 0.7)
        else:
            for k in range(int(rng.integers(2, 5))):
                wood = np.array((0.55, 0.38, 0.22)) * rng.uniform(0.7, 1.15)
                left, low = x + 0.75 * (k % 3), 1.6 + 0.6 * (k // 3)
                c.rect(left, low, left + 0.7, low + 0.55, wood)
                c.rect(left, low + 0.22, left + 0.7, low + 0.3, wood * 0.6)
                c.line([(left, low), (left + 0.7, low + 0.55)], 0.06, wood * 0.65)
    row = np.floor(gy / 0.4)
    joint = (np.mod(gy, 0.4) < 0.05) | (np.mod(gx + 0.55 * np.mod(row, 2), 1.1) < 0.05)
    tone = np.sin(12.9898 * np.floor((gx + 0.55 * np.mod(row, 2)) / 1.1) + 78.233 * row) * 0.1
    stone = (
        np.array((0.56, 0.52, 0.46))
        * ((1 + tone + 0.09 * fine + 0.1 * grain) * (1 - 0.45 * joint))[..., None]
    )
    weed = ramp(gy + 0.12 * grain, 0.75, 0.25)[..., None]
    stone = stone * (1 - weed) + np.array((0.17, 0.21, 0.10)) * (1 + 0.3 * fine[..., None]) * weed
    c.rect(0, 0, c.width_m, 1.6, np.clip(stone, 0, 1).astype(np.float32))
    c.rect(0, 1.5, c.width_m, 1.68, (0.76, 0.71, 0.62))
    for x in np.arange(2.0, c.width_m, 4.5):  # tyres as fenders, ladders
        c.ellipse(x, 0.9, 0.38, 0.4, (0.07, 0.07, 0.08))
        c.ellipse(x, 0.9, 0.18, 0.2, (0.3, 0.28, 0.25))
        c.rect(x + 2.0, 0.0, x + 2.06, 1.7, (0.4, 0.2, 0.12))
        c.rect(x + 2.4, 0.0, x + 2.46, 1.7, (0.4, 0.2, 0.12))
        for rung in np.arange(0.2, 1.6, 0.3):
            c.rect(x + 2.0, rung, x + 2.46, rung + 0.06, (0.42, 0.22, 0.14))
    return c


def cobbles(seed: int) -> Canvas:
    """The pavement of the quay: 71 m by 6 m, seen nearly edge on."""
    c = Canvas(71.0, 6.0, 12.0)
    fine = band(*c.shape, 4.0, seed)
    c.rect(
        0,
        0,
        c.width_m,
        c.height_m,
        np.clip(np.array((0.60, 0.52, 0.43)) * (1 + 0.14 * fine)[..., None], 0, 1).astype(
            np.float32
        ),
    )
    return c


def _cottage(c: Canvas, x: float, y: float, w: float, rng: np.random.Generator) -> None:
    wall = np.array(WALLS[int(rng.integers(len(WALLS)))]) * 0.5 + 0.42
    roof = np.array(ROOFS[int(rng.integers(len(ROOFS)))])
    h = w * rng.uniform(0.55, 0.8)
    c.rect(x, y, x + w, y + h, wall * 0.85)
    c.rect(x + 0.62 * w, y, x + w, y + h, wall)
    c.polygon(
        [
            (x - 0.3, y + h),
            (x + 0.2 * w, y + h + 0.42 * w),
            (x + 0.8 * w, y + h + 0.42 * w),
            (x + w + 0.3, y + h),
        ],
        roof,
    )
    c.polygon(
        [(x + 0.55 * w, y + h), (x + 0.8 * w, y + h + 0.42 * w), (x + w + 0.3, y + h)], roof * 1.35
    )
    for k in range(3):
        c.rect(
            x + w * (0.12 + 0.3 * k),
            y + 0.35 * h,
            x + w * (0.24 + 0.3 * k),
            y + 0.7 * h,
            (0.2, 0.24, 0.3),
        )
    c.rect(x + 0.3 * w, y + h + 0.2 * w, x + 0.38 * w, y + h + 0.55 * w, roof * 0.7)


def hillside(seed: int) -> Canvas:
    """The wooded hill behind the town, with cottages and a church: 150 m by 46 m."""
    c = Canvas(150.0, 46.0, 10.0)
    rng = np.random.default_rng(seed)
    gx, gy = c.grid()
    grain, leaf = fractal(*c.shape, seed, roughness=1.4), band(*c.shape, 9.0, seed + 1)
    fine = band(*c.shape, 3.5, seed + 2)
    ridge = (
        30 * np.exp(-(((gx - 38) / 46) ** 2))
        + 11 * np.exp(-(((gx - 104) / 26) ** 2))
        + 0.6 * np.sin(gx / 2.9) * np.sin(gx / 7.3)
        - 2
    )
    # Crowns of trees, lit from the right: the slope of a noise towards the sun.
    slope = np.roll(leaf + 0.6 * fine, 3, 1) - np.roll(leaf + 0.6 * fine, -3, 1)
    light = np.clip(0.55 - 0.16 * slope + 0.10 * fine + 0.1 * grain, 0.12, 1.1)
    meadow = ramp(grain, 0.4, 0.9) * ramp(gy, ridge - 3, ridge - 9)
    wood = np.array((0.30, 0.40, 0.17)) * (1 - meadow[..., None])
    grass = np.array((0.66, 0.66, 0.30)) * meadow[..., None]
    skin = wood * 1.35 * light[..., None] + grass * (0.75 + 0.3 * light[..., None])
    skin = np.clip(skin * (0.8 + 0.25 * ramp(gx, 0, c.width_m)[..., None]), 0, 1)
    edge = np.clip((ridge + 0.55 * leaf + 0.15 * fine - gy) * c.scale + 0.5, 0, 1)
    c.lay(edge.astype(np.float32), skin.astype(np.float32))
    houses = [(rng.uniform(8, 128), rng.uniform(0.12, 0.72)) for _ in range(30)]
    for x, share in sorted(houses, key=lambda place: -place[1]):
        top = float(np.interp(x, gx[0], ridge[0]))
        _cottage(c, x, max(top * share, 0.5), rng.uniform(4.0, 6.5), rng)
        for _ in range(4):  # bushes before it
            bx, by = x + rng.uniform(-2, 8), max(top * share, 0.5) + rng.uniform(-0.6, 0.4)
            r = rng.uniform(0.6, 1.3)
            c.ellipse(bx, by, r, 0.8 * r, (0.20, 0.28, 0.12))
            c.ellipse(bx + 0.25 * r, by + 0.2 * r, 0.6 * r, 0.45 * r, (0.42, 0.48, 0.2))
    x, y = 63.0, float(np.interp(63.0, gx[0], ridge[0])) - 3.0  # the church
    stone = np.array((0.86, 0.80, 0.68))
    c.rect(x, y, x + 11, y + 6, stone * 0.82)
    c.polygon(
        [(x - 0.4, y + 6), (x + 1.5, y + 9.5), (x + 11, y + 9.5), (x + 11.4, y + 6)],
        (0.46, 0.26, 0.2),
    )
    for k in range(4):
        c.rect(x + 1.6 + 2.3 * k, y + 1.6, x + 2.4 + 2.3 * k, y + 4.4, (0.25, 0.27, 0.33))
    c.rect(x + 10, y, x + 14, y + 13, stone * 0.8)
    c.rect(x + 12, y, x + 14, y + 13, stone * 1.08)
    c.polygon([(x + 9.7, y + 13), (x + 12, y + 21), (x + 14.3, y + 13)], (0.26, 0.42, 0.38))
    c.polygon([(x + 12, y + 13), (x + 12, y + 21), (x + 14.3, y + 13)], (0.42, 0.60, 0.52))
    c.ellipse(x + 12, y + 10.6, 0.9, 0.9, (0.95, 0.9, 0.7))
    c.ellipse(x + 12, y + 10.6, 0.6, 0.6, (0.2, 0.2, 0.25))
    return c
