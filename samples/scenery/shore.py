"""The painted sheets of the water's edge: lighthouse, jetty, piles, and a gull above them."""

import numpy as np

from scenery.canvas import Canvas
from scenery.noise import band, fractal, ramp


def lighthouse(seed: int) -> Canvas:
    """A rocky point with a lighthouse and the keeper's cottage: 64 m by 34 m."""
    c = Canvas(64.0, 35.0, 20.0)
    gx, gy = c.grid()
    grain, rough = fractal(*c.shape, seed, roughness=1.3), band(*c.shape, 14.0, seed + 1)
    fine = band(*c.shape, 4.0, seed + 2)
    crags = band(*c.shape, 48.0, seed + 3, stretch=1.3)
    # The tower first: rocks hide its foot.
    x, foot, top = 37.0, 6.0, 27.0
    side = (gx - x) / (2.5 - 0.95 * (gy - foot) / (top - foot))
    round_light = np.clip(0.50 + 0.52 * ramp(side, -1.0, 0.75) - 0.2 * ramp(side, 0.8, 1.0), 0, 1.1)
    bands = np.mod(np.floor((gy - foot) / 4.2), 2)[..., None]
    paint = np.array((0.97, 0.95, 0.90)) * (1 - bands) + np.array((0.82, 0.18, 0.14)) * bands
    stain = 1 + 0.04 * fine + 0.05 * grain
    tower = np.clip(paint * (round_light * stain)[..., None], 0, 1).astype(np.float32)
    c.polygon(
        [(x - 2.5, foot), (x + 2.5, foot), (x + 1.55, top), (x - 1.55, top)],
        tower,
    )
    for y in (10.5, 16.0, 21.5):
        c.rect(x - 0.35, y, x + 0.35, y + 1.2, (0.16, 0.2, 0.26))
    c.rect(x - 2.3, top, x + 2.3, top + 0.5, (0.25, 0.25, 0.28))
    for k in np.linspace(-2.2, 2.2, 9):
        c.rect(x + k - 0.05, top + 0.5, x + k + 0.05, top + 1.5, (0.2, 0.2, 0.24))
    c.rect(x - 2.3, top + 1.45, x + 2.3, top + 1.6, (0.2, 0.2, 0.24))
    c.rect(x - 1.2, top + 0.5, x + 1.2, top + 3.1, (1.0, 0.88, 0.52))
    c.ellipse(x, top + 1.8, 0.6, 0.7, (1.0, 1.0, 0.88))
    for k in (-1.2, -0.4, 0.4, 1.2):
        c.rect(x + k - 0.06, top + 0.5, x + k + 0.06, top + 3.1, (0.2, 0.2, 0.24))
    c.polygon([(x - 1.6, top + 3.1), (x, top + 5.0), (x + 1.6, top + 3.1)], (0.70, 0.16, 0.13))
    c.line([(x, top + 4.8), (x, top + 6.4)], 0.1, (0.2, 0.2, 0.22))
    c.rect(23, 6, 33, 9.6, (0.90, 0.87, 0.80))  # the cottage
    c.rect(30.5, 6, 33, 9.6, (1.0, 0.97, 0.90))
    c.polygon([(22.4, 9.5), (24.2, 12.4), (31.8, 12.4), (33.6, 9.5)], (0.60, 0.27, 0.19))
    c.polygon([(30.3, 9.5), (31.8, 12.4), (33.6, 9.5)], (0.78, 0.40, 0.27))
    for k in range(3):
        c.rect(24 + 2.2 * k, 7.2, 25.1 + 2.2 * k, 8.6, (0.18, 0.24, 0.3))
    c.rect(28.2, 12, 29.1, 13.8, (0.55, 0.30, 0.22))
    profile = (
        8.2 * np.exp(-(((gx - 32) / 15) ** 2))
        + 4.5 * np.exp(-(((gx - 12) / 9) ** 2))
        + 3.2 * np.exp(-(((gx - 54) / 7) ** 2))
        + 0.55 * crags[:1]
        - 0.9
    )
    relief = np.floor(2.2 * crags + 0.9 * rough) / 1.6 + 0.5 * rough + 0.35 * fine + 0.5 * grain
    slope = np.roll(relief, 3, 1) - np.roll(relief, -3, 1) + 0.6 * (relief - np.roll(relief, -3, 0))
    light = np.clip(0.62 - 0.20 * slope, 0.12, 1.25)[..., None]
    grass = (ramp(gy + 0.8 * rough, profile - 2.2, profile - 0.8) * ramp(gy, 2.0, 3.6))[..., None]
    rock = np.array((0.52, 0.44, 0.37)) * light
    green = np.array((0.50, 0.55, 0.22)) * (0.62 + 0.4 * light)
    wet = (1 - 0.55 * ramp(gy + 0.25 * rough, 1.6, 0.6))[..., None]
    cover = np.clip((profile + 0.18 * rough + 0.05 * fine - gy) * c.scale + 0.5, 0, 1)
    c.lay(
        cover.astype(np.float32),
        np.clip((rock * (1 - grass) + green * grass) * wet, 0, 1).astype(np.float32),
    )
    return c


def jetty_top(seed: int) -> Canvas:
    """Planks of a jetty seen from above: 4.2 m across, 12 m long."""
    c = Canvas(4.3, 12.0, 64.0)
    gx, gy = c.grid()
    rng = np.random.default_rng(seed)
    grain, fine = band(*c.shape, 5.0, seed, stretch=9.0), band(*c.shape, 3.0, seed + 1)
    blotch = fractal(*c.shape, seed + 2, coarsest=0.2)
    width = 0.235
    plank = np.floor(gy / width).astype(int)
    tone = rng.uniform(0.78, 1.12, plank.max() + 1)[plank]
    warm = rng.uniform(-0.03, 0.04, plank.max() + 1)[plank]
    gap = 1 - 0.75 * (np.mod(gy, width) < 0.022)
    light = tone * (1 + 0.13 * grain + 0.05 * fine + 0.09 * blotch) * gap
    wood = np.stack([0.62 + warm, 0.54 + 0 * warm, 0.45 - warm], axis=-1) * light[..., None]
    c.rect(0, 0, c.width_m, c.height_m, np.clip(wood, 0, 1).astype(np.float32))
    for y in np.arange(width / 2, c.height_m, width):  # nails
        for x in (0.3, 2.1, 3.9):
            c.ellipse(x + rng.uniform(-0.02, 0.02), y, 0.018, 0.018, (0.2, 0.14, 0.1))
    c.rect(c.width_m - 0.22, 0, c.width_m, c.height_m, (0.70, 0.62, 0.50), opacity=0.85)
    return c


def jetty_side(seed: int) -> Canvas:
    """The side of a jetty: a beam, and piles in the shade beneath: 12 m by 1 m."""
    c = Canvas(12.0, 1.0, 64.0)
    gx, gy = c.grid()
    fine, streak = band(*c.shape, 3.0, seed), band(*c.shape, 3.0, seed + 1, stretch=60.0)
    c.rect(0, 0, c.width_m, 0.8, (0.05, 0.06, 0.06), opacity=0.9)
    for x in np.arange(0.3, 12.0, 1.9):
        side = (gx - x) / 0.15
        skin = (
            np.array((0.44, 0.36, 0.28))
            * ((0.5 + 0.6 * ramp(side, -1, 0.8)) * (1 + 0.1 * fine) * ramp(gy, -0.3, 0.5))[
                ..., None
            ]
        )
        c.rect(x - 0.15, 0, x + 0.15, 0.9, np.clip(skin, 0, 1).astype(np.float32))
    beam = np.array((0.60, 0.49, 0.36)) * (1 + 0.12 * streak + 0.06 * fine)[..., None]
    c.rect(0, 0.76, c.width_m, c.height_m, np.clip(beam, 0, 1).astype(np.float32))
    c.rect(0, 0.74, c.width_m, 0.79, (0.15, 0.12, 0.1))
    return c


def cargo(seed: int) -> Canvas:
    """What lies on the jetty: lobster pots, a barrel, fish boxes, a coil of rope: 4 m by 1.6 m."""
    c = Canvas(4.0, 1.6, 96.0)
    gx, gy = c.grid()
    rng = np.random.default_rng(seed)
    fine, streak = band(*c.shape, 3.0, seed), band(*c.shape, 6.0, seed + 1, stretch=0.2)
    side = (gx - 0.55) / 0.42
    staves = 1 - 0.3 * (np.mod(np.arcsin(np.clip(side, -1, 1)), 0.33) < 0.05)
    wood = (
        np.array((0.58, 0.36, 0.20))
        * ((0.4 + 0.75 * ramp(side, -1, 0.6)) * staves * (1 + 0.1 * streak + 0.05 * fine))[
            ..., None
        ]
    )
    wood = np.clip(wood, 0, 1).astype(np.float32)
    c.polygon([(0.2, 0.02), (0.13, 0.55), (0.2, 1.1), (0.9, 1.1), (0.97, 0.55), (0.9, 0.02)], wood)
    c.ellipse(0.55, 1.1, 0.35, 0.07, (0.46, 0.32, 0.20))
    for y in (0.2, 0.85):
        c.rect(
            0.15,
            y,
            0.95,
            y + 0.08,
            np.clip(
                wood * 0
                + np.array((0.36, 0.36, 0.38)) * (0.5 + 0.8 * ramp(side, -1, 0.6))[..., None],
                0,
                1,
            ).astype(np.float32),
        )
    for k, (x, y) in enumerate(((1.15, 0.02), (1.95, 0.02), (1.5, 0.5))):  # lobster pots
        c.polygon(
            [
                (x, y),
                (x, y + 0.28),
                (x + 0.2, y + 0.48),
                (x + 0.58, y + 0.48),
                (x + 0.78, y + 0.28),
                (x + 0.78, y),
            ],
            (0.12, 0.16, 0.15),
            opacity=0.85,
        )
        mesh = (0.30, 0.62, 0.50) if k % 2 else (0.85, 0.45, 0.20)
        for j in range(9):
            c.line(
                [(x + 0.09 * j, y), (x + 0.09 * j + 0.05, y + 0.46 * (1 - abs(j - 4) / 9))],
                0.016,
                mesh,
            )
            c.line([(x, y + 0.055 * j), (x + 0.78, y + 0.055 * j)], 0.014, mesh)
        c.line(
            [
                (x, y),
                (x, y + 0.28),
                (x + 0.2, y + 0.48),
                (x + 0.58, y + 0.48),
                (x + 0.78, y + 0.28),
                (x + 0.78, y),
                (x, y),
            ],
            0.045,
            (0.72, 0.54, 0.34),
        )
    for k, hue in enumerate(((0.18, 0.42, 0.62), (0.80, 0.30, 0.20), (0.92, 0.74, 0.30))):
        y = 0.02 + 0.3 * k
        x = 2.95 + 0.05 * rng.uniform(-1, 1)
        box = np.clip(
            np.asarray(hue) * ((0.62 + 0.45 * ramp(gx, 2.9, 3.8)) * (1 + 0.05 * fine))[..., None],
            0,
            1,
        ).astype(np.float32)
        c.rect(x, y, x + 0.85, y + 0.28, box)
        c.rect(x + 0.3, y + 0.14, x + 0.55, y + 0.2, (0.08, 0.08, 0.1))
        c.rect(x, y + 0.24, x + 0.85, y + 0.28, box * 0.6 + 0.3)
    for k in range(5):
        c.ellipse(2.55 + 0.01 * k, 0.08 + 0.055 * k, 0.27 - 0.012 * k, 0.055, (0.45, 0.35, 0.2))
        c.ellipse(2.55 + 0.01 * k, 0.095 + 0.055 * k, 0.25 - 0.012 * k, 0.04, (0.86, 0.73, 0.5))
    return c


def mooring(seed: int) -> Canvas:
    """Three weathered piles with a rope between them and a gull at rest: 4.6 m by 3.4 m."""
    c = Canvas(4.7, 3.5, 110.0)
    gx, gy = c.grid()
    streak = band(*c.shape, 6.0, seed, stretch=0.16)
    fine, grain = band(*c.shape, 3.0, seed + 1), fractal(*c.shape, seed + 2)
    spots = band(*c.shape, 7.0, seed + 3)
    for x, top, half in ((0.55, 2.45, 0.2), (2.25, 2.85, 0.23), (4.0, 2.2, 0.19)):
        side = (gx - x) / half
        light = 0.42 + 0.72 * ramp(side, -1.0, 0.7) - 0.18 * ramp(side, 0.75, 1.0)
        wood = np.array((0.52, 0.42, 0.33)) * (light * (1 + 0.16 * streak + 0.08 * fine))[..., None]
        weed = ramp(gy + 0.12 * grain + 0.08 * streak, 0.95, 0.45)[..., None]
        wood = (
            wood * (1 - weed)
            + np.array((0.20, 0.26, 0.11)) * (light * (0.8 + 0.3 * fine))[..., None] * weed
        )
        shell = ramp(spots + 0.6 * grain, 1.0, 1.3) * ramp(gy, 1.25, 0.9) * 0.8
        wood = wood * (1 - shell[..., None]) + np.array((0.78, 0.75, 0.68)) * shell[..., None]
        c.rect(x - half, 0, x + half, top, np.clip(wood, 0, 1).astype(np.float32))
        c.ellipse(x, top, half, 0.06, (0.66, 0.56, 0.44))
        for k in range(3):
            c.rect(
                x - half - 0.015,
                top - 0.55 + 0.07 * k,
                x + half + 0.015,
                top - 0.49 + 0.07 * k,
                (0.80 - 0.1 * (k % 2), 0.66, 0.42),
            )
    for x0, y0, x1, y1 in ((0.55, 1.95, 2.25, 2.35), (2.25, 2.35, 4.0, 1.7)):
        s = np.linspace(0, 1, 24)
        rope = [(x0 + (x1 - x0) * a, y0 + (y1 - y0) * a - 2.2 * a * (1 - a)) for a in s]
        c.line(rope, 0.075, (0.46, 0.36, 0.22))
        c.line([(x + 0.008, y + 0.016) for x, y in rope], 0.03, (0.88, 0.74, 0.50))
    x, y = 2.25, 2.89  # the gull
    c.line([(x - 0.02, y), (x - 0.02, y + 0.12)], 0.02, (0.9, 0.6, 0.2))
    c.line([(x + 0.05, y), (x + 0.05, y + 0.12)], 0.02, (0.9, 0.6, 0.2))
    c.ellipse(x, y + 0.2, 0.2, 0.11, (0.97, 0.96, 0.93))
    c.polygon(
        [(x - 0.36, y + 0.13), (x - 0.05, y + 0.29), (x + 0.13, y + 0.2), (x - 0.1, y + 0.12)],
        (0.58, 0.62, 0.68),
    )
    c.polygon([(x - 0.38, y + 0.12), (x - 0.2, y + 0.2), (x - 0.18, y + 0.15)], (0.1, 0.1, 0.12))
    c.ellipse(x + 0.17, y + 0.35, 0.085, 0.08, (1.0, 0.99, 0.96))
    c.polygon(
        [(x + 0.24, y + 0.37), (x + 0.36, y + 0.32), (x + 0.24, y + 0.32)], (0.95, 0.68, 0.15)
    )
    c.ellipse(x + 0.2, y + 0.37, 0.015, 0.015, (0.05, 0.05, 0.05))
    return c


def gull(seed: int) -> Canvas:
    """A gull from behind and below, its wings spread: 1.5 m by 0.8 m; `Sheet.bend` flaps it."""
    c = Canvas(1.52, 0.6, 168.0)
    middle, y = c.width_m / 2, 0.16
    for side in (-1, 1):

        def at(x: float, h: float, side: int = side) -> tuple[float, float]:
            return middle + side * x, y + h

        c.polygon(
            [
                at(0.0, 0.09),
                at(0.25, 0.10),
                at(0.5, 0.06),
                at(0.73, -0.02),
                at(0.5, -0.02),
                at(0.28, -0.06),
                at(0.05, -0.08),
            ],
            (0.93, 0.92, 0.90),
        )
        c.polygon(
            [
                at(0.05, -0.02),
                at(0.28, -0.03),
                at(0.5, 0.0),
                at(0.5, -0.02),
                at(0.28, -0.07),
                at(0.05, -0.08),
            ],
            (0.60, 0.64, 0.70),
        )
        c.polygon([at(0.58, 0.035), at(0.73, -0.02), at(0.55, -0.005)], (0.12, 0.12, 0.14))
    c.ellipse(middle, y - 0.01, 0.1, 0.085, (0.96, 0.95, 0.92))
    c.ellipse(middle, y - 0.05, 0.085, 0.045, (0.68, 0.70, 0.74))
    c.ellipse(middle + 0.03, y + 0.06, 0.05, 0.05, (0.99, 0.98, 0.95))
    c.polygon(
        [(middle + 0.06, y + 0.07), (middle + 0.14, y + 0.05), (middle + 0.06, y + 0.04)],
        (0.95, 0.66, 0.16),
    )
    return c
